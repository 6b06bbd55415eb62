"""Features of 720p clips on one core, beside the plain way: every frame decoded, NumPy spectrograms.

The plain way with sound wants the `ffmpeg` command, or `uv run --with imageio-ffmpeg pytest ...`.
"""

import shutil
import subprocess
import wave

import cv2
import numpy as np
import psutil
import pytest
import torch
from rows import Rows

from personality.data import ClipSpectrogram, FaceFrames, LogFilterbank, RawWavFFT, SummarySpectrogram
from personality.features.encoding import write_video

RATE = 44_100


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """15.3 s of 1280 x 720 at 30 frames a second, a photograph of a face that drifts, and speech-like sound."""
    skimage = pytest.importorskip("skimage.data")
    face = cv2.resize(skimage.astronaut(), (720, 720))
    random = np.random.default_rng(0)
    backdrop = cv2.resize(random.integers(60, 200, (45, 80, 3), np.uint8), (1280, 720))

    def frames():
        for number in range(459):
            frame = backdrop.copy()
            left = 280 + round(60 * np.sin(number / 20))
            frame[:, left : left + 720] = face
            yield frame

    seconds = np.arange(round(15.3 * RATE)) / RATE
    sound = 0.3 * np.sin(2 * np.pi * 150 * seconds) * (1 + np.sin(2 * np.pi * 4 * seconds)) / 2
    sound = sound + random.normal(0, 0.01, len(sound))
    path = tmp_path_factory.mktemp("video") / "talk.mp4"
    write_video(path, frames(), 30, sound.astype(np.float32), RATE)
    return path


INPUTS = [ClipSpectrogram, SummarySpectrogram, RawWavFFT, LogFilterbank, FaceFrames]


@pytest.mark.parametrize("kind", INPUTS, ids=lambda kind: kind.__name__)
def test_one_clip(benchmark, video, kind):
    benchmark.group = "one clip of 720p on one core"
    data = kind(Rows({"train": 1, "val": 1, "test": 1}))
    features = benchmark.pedantic(data.extract, args=(str(video),), rounds=5, warmup_rounds=1)
    benchmark.extra_info["bytes"] = int(np.prod(data.stored_shape)) * np.dtype(data.dtype).itemsize
    assert len(features["inputs"]) == data.stored_shape[0]


def log_mel_by_numpy(video):
    """The plain way with sound: FFmpeg writes a wav at 16 kHz, NumPy cuts, windows, transforms and sums it."""
    ffmpeg = shutil.which("ffmpeg") or pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    sound = video.with_suffix(".wav")
    subprocess.run([ffmpeg, "-y", "-loglevel", "error", "-i", video, "-ac", "1", "-ar", "16000", sound], check=True)
    with wave.open(str(sound)) as file:
        waveform = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 400)[::160] * window
    return np.log(np.abs(np.fft.rfft(frames, 512)) @ np.random.default_rng(0).random((257, 64)) + 0.01)


def every_frame_by_opencv(video):
    """The plain way with faces: every frame decoded, ten of them searched at full size."""
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    capture, frames = cv2.VideoCapture(str(video)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    faces = []
    for frame in frames[:: len(frames) // 10]:
        boxes = detector.detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
        x, y, w, h = boxes[0] if len(boxes) else (0, 0, *frame.shape[1::-1])
        faces.append(cv2.resize(frame[y : y + h, x : x + w], (224, 224)))
    return faces


@pytest.mark.parametrize("way", [log_mel_by_numpy, every_frame_by_opencv], ids=lambda way: way.__name__)
def test_the_plain_way(benchmark, video, way):
    benchmark.group = "one clip of 720p on one core"
    cv2.setNumThreads(1)
    benchmark.pedantic(way, args=(video,), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize(("kind", "clips"), [(ClipSpectrogram, 1000), (FaceFrames, 100)], ids=["sound", "faces"])
def test_memory_of_a_worker_stays_flat(benchmark, video, kind, clips):
    benchmark.group = "many clips in one process"
    extract = kind(Rows({"train": 1, "val": 1, "test": 1})).extract
    torch.set_num_threads(1)  # as a worker has
    for _ in range(clips // 10):
        extract(str(video))
    before = psutil.Process().memory_info().rss
    benchmark.pedantic(lambda: [extract(str(video)) for _ in range(clips)], rounds=1)
    grown = psutil.Process().memory_info().rss - before
    torch.set_num_threads(2)
    benchmark.extra_info["memory that it grew by, MB"] = round(grown / 1e6, 1)
    assert grown < 20e6
