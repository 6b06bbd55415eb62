"""Where a clip is made: who speaks, what, in which scene, and where the evidence is, all follows from its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from personality.corpus.casting import MEANING
from personality.corpus.filming import FPS, Scene, film, locate, set_scene
from personality.corpus.portraits import REGIONS, meet_face
from personality.corpus.voices import (
    RATE,
    TONE_SECONDS,
    TONES,
    compose,
    meet_voice,
    mouth_opening,
    record,
    recur,
    speak,
    warble,
)
from personality.features.encoding import write_video
from personality.traits import source_id

LOOK_SECONDS = 0.5  # the evidence of a picture is told this often: in that time a face hardly moves


class Plan(NamedTuple):
    """What is settled before a clip is made, and cheap to settle again."""

    moments: dict[str, np.ndarray]
    """When each of `TONES` begins, in seconds."""
    scene: Scene
    random: np.random.Generator
    """Draws all the rest."""


def use_one_thread() -> None:
    """Prepare a process that shares the cores with others."""
    cv2.setNumThreads(1)


def plan_clip(clip: str, seconds: float, seed: int) -> Plan:
    """Settle where in a clip its evidence is."""
    random = np.random.default_rng([seed, *clip.encode()])
    return Plan({tone: recur(seconds, random) for tone in TONES}, set_scene(seconds, random), random)


def make_clip(path: Path, strength: Mapping[str, float], seconds: float, seed: int) -> None:
    """Write one clip.

    Args:
        path: The file; its name is the clip's. Its folder exists.
        strength: Of each cue of `MEANING`, in [0, 1].
        seconds: How long it lasts.
        seed: With the clip's name, all follows from it: in whichever process the clip is made, its bytes are the same.
    """
    plan = plan_clip(path.name, seconds, seed)
    person = np.random.default_rng([seed, *source_id(path.name).encode()])
    voice, look = meet_voice(person), meet_face(person)
    score = compose(voice, seconds, plan.random)
    tones = {tone: warble(tone, strength[tone]) for tone in TONES}
    heard = [(moment, tones[tone]) for tone, moments in plan.moments.items() for moment in moments]
    sound = record(speak(voice, score, seconds, plan.random), heard, plan.random)
    opening = mouth_opening(score, np.arange(round(seconds * FPS)) / FPS)
    write_video(path, film(look, plan.scene, strength, opening), FPS, sound, RATE)


def tell_evidence(clip: str, strength: Mapping[str, float], seconds: float, seed: int) -> pd.DataFrame:
    """List where each cue of a clip is heard or seen: `Corpus.evidence`."""
    plan = plan_clip(clip, seconds, seed)
    heard = [
        ("sound", tone, moment, moment + TONE_SECONDS, *TONES[tone], *[np.nan] * 4)
        for tone, moments in plan.moments.items()
        for moment in moments
    ]
    seen = [
        ("picture", cue, start, min(start + LOOK_SECONDS, seconds), np.nan, np.nan, *box)
        for cue in REGIONS
        for start in np.arange(0, seconds, LOOK_SECONDS)
        for box in locate(cue, plan.scene, start + LOOK_SECONDS / 2)
    ]
    columns = ["modality", "cue", "start", "end", "low", "high", "left", "top", "right", "bottom"]
    table = pd.DataFrame(heard + seen, columns=columns)
    table.insert(0, "clip", clip)
    table.insert(1, "trait", table["cue"].map(MEANING))
    return table.assign(strength=table["cue"].map(strength))
