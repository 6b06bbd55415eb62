"""One clip of the sample corpus: its file, and where its cues are. Everything follows from its name and a seed."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from personality.corpus.synthetic import sound, video
from personality.corpus.synthetic.face import REGIONS, random_face
from personality.corpus.synthetic.labels import CUE_TRAITS
from personality.corpus.synthetic.sound import RATE, TONE_SECONDS, TONES
from personality.features.encoding import write_video
from personality.traits import source_id

BOX_SECONDS = 0.5  # for which one box of a visible cue is listed: a face hardly moves in that time


class ClipPlan(NamedTuple):
    """Where and when the cues of a clip are."""

    tone_times: dict[str, np.ndarray]
    """When each of `TONES` begins, in seconds."""
    scene: video.Scene
    rng: np.random.Generator
    """The random generator, for the rest of the clip."""


def use_one_thread() -> None:
    """Prepare a process that shares the cores with others."""
    cv2.setNumThreads(1)


def plan_clip(clip: str, seconds: float, seed: int) -> ClipPlan:
    """Choose where and when the cues of a clip are, which takes little time."""
    rng = np.random.default_rng([seed, *clip.encode()])
    tone_times = {tone: sound.random_tone_times(seconds, rng) for tone in TONES}
    return ClipPlan(tone_times, video.random_scene(seconds, rng), rng)


def make_clip(path: Path, strength: Mapping[str, float], seconds: float, seed: int) -> None:
    """Write one clip: the same arguments give the same bytes.

    Args:
        path: The file, in an existing folder; its name is the clip's.
        strength: Strength of each cue of `CUE_TRAITS`, in [0, 1].
        seconds: Duration.
        seed: Seed of the corpus.
    """
    plan = plan_clip(path.name, seconds, seed)
    of_person = np.random.default_rng([seed, *source_id(path.name).encode()])
    voice, face = sound.random_voice(of_person), random_face(of_person)
    speech = sound.random_speech(voice, seconds, plan.rng)
    tones = {tone: sound.synthesise_tone(tone, strength[tone]) for tone in TONES}
    timed_tones = [(time, tones[tone]) for tone, times in plan.tone_times.items() for time in times]
    waveform = sound.record(sound.synthesise_speech(voice, speech, seconds, plan.rng), timed_tones, plan.rng)
    opening = sound.mouth_opening(speech, np.arange(round(seconds * video.FPS)) / video.FPS)
    write_video(path, video.render_frames(face, plan.scene, strength, opening), video.FPS, waveform, RATE)


def list_cues(clip: str, strength: Mapping[str, float], seconds: float, seed: int) -> pd.DataFrame:
    """List where and when each cue of a clip is heard or seen: `Corpus.cues`."""
    plan = plan_clip(clip, seconds, seed)
    audible = [
        ("audio", tone, time, time + TONE_SECONDS, *TONES[tone], *[np.nan] * 4)
        for tone, times in plan.tone_times.items()
        for time in times
    ]
    visible = [
        ("image", cue, start, min(start + BOX_SECONDS, seconds), np.nan, np.nan, *box)
        for cue in REGIONS
        for start in np.arange(0, seconds, BOX_SECONDS)
        for box in video.cue_boxes(cue, plan.scene, start + BOX_SECONDS / 2)
    ]
    columns = ["modality", "cue", "start", "end", "low", "high", "left", "top", "right", "bottom"]
    table = pd.DataFrame(audible + visible, columns=columns)
    table.insert(0, "clip", clip)
    table.insert(1, "trait", table["cue"].map(CUE_TRAITS))
    return table.assign(strength=table["cue"].map(strength))
