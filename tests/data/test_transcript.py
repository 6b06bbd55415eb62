"""Transcripts: from every source to words, and words to bytes and back."""

import json
import logging
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from personality.corpus import TableCorpus
from personality.corpus.synthetic.words import TRAIT_WORDS
from personality.corpus.transcripts import read_transcript_files, read_words, words_beside
from personality.data import Transcript
from personality.data.transcript import decode_words
from personality.features.media import Excerpt
from personality.models import Ridge
from personality.models.backbones import build_backbone
from personality.traits import TRAITS

SRT = """2
00:00:03,000 --> 00:00:04,000
<i>second</i> one

1
00:00:01,000 --> 00:00:02,000
Well, {name}!
"""


def texts(words):
    return [word.text for word in words]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_subtitles_are_read_in_order_whatever_their_encoding(tmp_path, encoding, caplog):
    (tmp_path / "a.srt").write_bytes(SRT.format(name="Zoë").encode(encoding))
    words = read_words(tmp_path / "a.srt")
    assert texts(words) == ["Well,", "Zoë!", "second", "one"]
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert (words[0].start, words[1].end, words[2].start, words[3].end) == (1.0, 2.0, 3.0, 4.0)
    assert ("a.srt" in caplog.text and "UTF-8" in caplog.text) == (encoding == "cp1252")


def test_webvtt_text_and_json_are_read(tmp_path):
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000 align:start\n<v Bob>Hi &amp; bye</c>\n")
    (tmp_path / "b.txt").write_text("So [laughter] it is - fine.\n")
    (tmp_path / "c.json").write_text(json.dumps({"transcription": "Good day"}))
    assert texts(read_words(tmp_path / "a.vtt")) == ["Hi", "bye"]
    assert texts(read_words(tmp_path / "b.txt")) == ["So", "it", "is", "fine."]
    assert texts(read_words(tmp_path / "c.json")) == ["Good", "day"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{}", "a.json has no text under"),
        ("a.json", "{", "a.json is no JSON file"),
        ("a.srt", "hello there", "a.srt has text, but no subtitle.*00:00:01,000"),
        ("a.csv", "clip,openness\na.mp4,1\n", "a.csv has the columns.*transcript"),
    ],
)
def test_a_file_without_words_is_refused_with_its_name(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_transcript_files([tmp_path / name])


def test_files_of_many_clips_are_read_and_the_first_counts(tmp_path):
    (tmp_path / "transcription_training.pkl").write_bytes(pickle.dumps({"a.000.mp4": "one two"}, protocol=2))
    (tmp_path / "more.csv").write_text("clip,Transcript\nb.000,three\na.000,other\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/c.000.srt").write_text(SRT.format(name="x"))
    names = ["transcription_training.pkl", "more.csv", "folder"]
    found = read_transcript_files([tmp_path / name for name in names])
    assert {clip: texts(words)[0] for clip, words in found.items()} == {
        "a.000.mp4": "one",
        "b.000.mp4": "three",
        "c.000.mp4": "Well,",
    }
    with pytest.raises(FileNotFoundError, match=r"none.pkl"):
        read_transcript_files([tmp_path / "none.pkl"])


def test_subtitles_beside_a_long_recording_are_cut_by_time(tmp_path, caplog):
    (tmp_path / "talk.en.srt").write_text(SRT.format(name="x"))
    (tmp_path / "talk.mp4").write_bytes(b"")
    parts = [Excerpt(str(tmp_path / "talk.mp4"), start, 1.5) for start in (0.0, 1.5)]
    found = words_beside(pd.Series(parts, index=["talk.000.mp4", "talk.001.mp4"]))
    assert {clip: texts(words) for clip, words in found.items()} == {"talk.000.mp4": ["Well,"], "talk.001.mp4": ["x!"]}
    assert found["talk.001.mp4"][0].end == 0.5
    assert "goes on to 4.0 s" in caplog.text
    (tmp_path / "talk.en.srt").rename(tmp_path / "talk.txt")
    assert words_beside(pd.Series(parts, index=["a", "b"])) == {}
    assert "talk.txt has no times" in caplog.text


def test_bytes_are_words_again(corpus, loading):
    data = Transcript(corpus, words=8, **loading)
    data.prepare_data()
    data.setup()
    spoken = corpus.transcripts("train")
    for row, clip in enumerate(data.clips("train").index):
        assert decode_words(data.fetch("train", [row]).inputs[0, 0].numpy()) == texts(spoken[clip])[:8]
        coordinates = data.coordinates("train", row, 0)
        assert coordinates.axes[0].names[0] == spoken[clip][0].text
        assert coordinates.positions()["time"][0] == pytest.approx((spoken[clip][0].start + spoken[clip][0].end) / 2)


def test_planted_words_are_where_the_corpus_says(corpus, loading):
    data = Transcript(corpus, **loading)
    data.prepare_data()
    data.setup()
    found = 0
    for row in range(3):
        names = data.coordinates("test", row, 0).axes[0].names
        for trait, mask in data.cues("test", row, 0).items():
            planted = {name for name, marked in zip(names, mask, strict=True) if marked}
            assert planted <= {*TRAIT_WORDS[trait]}
            assert planted == {*TRAIT_WORDS[trait]} & {*names}
            found += len(planted)
    assert found


def test_a_clip_without_words_gets_the_mean_and_an_unknown_clip_is_named(corpus, loading, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    clips = {split: [*corpus.clips(split).index] for split in ("train", "val", "test")}
    lines = [
        f"{clip},hello my friend {row}" for row, clip in enumerate(clip for some in clips.values() for clip in some)
    ]
    silent = clips["test"][0]
    lines = [line if silent not in line else f"{silent}," for line in lines]
    (tmp_path / "words.csv").write_text("\n".join(["clip,transcript", *lines, "gone.000.mp4,hi"]))
    data = Transcript(corpus, files=str(tmp_path / "words.csv"), **loading)
    data.prepare_data()
    data.setup()
    assert silent in caplog.text
    assert "gone.000.mp4" in caplog.text
    assert data.usable("test").tolist() == [0, 1, 2]
    model = Ridge(data.input_shape, modality="text", width=0.02)
    model.target_mean.copy_(torch.arange(5) / 10)
    torch.nn.init.ones_(model.linear.weight)
    scores = model.score(data.normalise(data.fetch("test", [0, 1])))
    assert torch.equal(scores.clips[0], model.target_mean)
    assert scores.segments[0].isnan().all()
    assert not torch.equal(scores.clips[1], model.target_mean)


def test_a_corpus_without_transcripts_is_refused_with_what_to_do(corpus, loading, tmp_path):
    lines = [f"{path},{row % 3},{row}" for row, path in enumerate(corpus.clips("train").path)]
    (tmp_path / "clips.csv").write_text("\n".join(["path,warmth,subject", *lines]))
    table = TableCorpus(tmp_path / "clips.csv", labels=["warmth"], group="subject")
    with pytest.raises(ValueError, match=r"has a transcript. Expected.*\.srt.*data.files"):
        Transcript(table, **loading).prepare_data()


@pytest.mark.parametrize("backbone", ["hashed_words", "learnt_words"])
def test_the_mean_over_positions_is_the_mean_over_words(backbone):
    layers = build_backbone((1, 48, 16), "text", backbone)
    texts_ = ["one two", "one", "two"]
    inputs = torch.zeros(3, 48, 16)
    for row, text in enumerate(texts_):
        for position, word in enumerate(text.split()):
            inputs[row, : len(word), position] = torch.tensor([*word.encode()], dtype=torch.float)
    means = layers(inputs).detach().mean(2)
    assert torch.allclose(means[0, :-4], (means[1, :-4] + means[2, :-4]) / 2, atol=1e-6)
    assert torch.allclose(means[0, -4:], means[1, -4:] + means[2, -4:], atol=1e-6)  # of these, the sum
    assert not layers(torch.zeros(1, 48, 16)).any()


def test_words_need_a_backbone_for_words():
    with pytest.raises(ValueError, match="words need hashed_words"):
        build_backbone((1, 48, 16), "text", "identity")
    with pytest.raises(ValueError, match="words need hashed_words"):
        build_backbone((1, 1, 16), "vector", "hashed_words")


def test_a_language_model_gives_each_word_the_mean_of_its_tokens(tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs the extra transformers")
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizerFast(vocab={name: row for row, name in enumerate(vocabulary)}).save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    network = transformers.BertModel(config).eval()
    network.save_pretrained(tmp_path)
    layers = build_backbone((1, 48, 6), "text", f"transformers:{tmp_path}").eval()
    layers.network.network.load_state_dict(layers.network.published(None))
    inputs = torch.zeros(1, 48, 6)
    for position, word in enumerate(["ab", "c"]):
        inputs[0, : len(word), position] = torch.tensor([*word.encode()], dtype=torch.float)
    with torch.inference_mode():
        tokens = torch.tensor([[vocabulary.index(name) for name in ("[CLS]", "a", "##b", "c", "[SEP]")]])
        states = network(tokens).last_hidden_state[0]
        maps = layers(inputs)[0]
    expected = np.stack([states[1:3].mean(0), states[3]]) * 3  # six positions over two words
    np.testing.assert_allclose(maps[:8, :2].T, expected, atol=1e-5)
    assert not maps[:, 2:].any()
    with pytest.raises(ConnectionError, match=r"none is neither in the cache"):
        build_backbone((1, 48, 6), "text", f"transformers:{tmp_path / 'none'}")


def test_traits_have_words():
    assert {*TRAITS} < {*TRAIT_WORDS}
