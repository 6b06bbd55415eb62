"""The face of a synthetic clip: features of a drawn person carry the cues."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from personality.corpus.synthetic.canvas import Canvas, between, closed, ellipse, mirrored

REGIONS = {
    "eyes": [(-0.72, -0.24, 0.72, 0.18)],
    "brows": [(-0.80, -0.62, 0.80, -0.24)],
    "smile": [(-0.50, 0.72, 0.50, 1.14)],
    "blush": [(-0.88, 0.24, -0.36, 0.68), (0.36, 0.24, 0.88, 0.68)],
    "mole": [(-0.14, 1.15, 0.14, 1.41)],
    "fringe": [(-0.95, -1.15, 0.95, -0.45)],
    "collar": [(-2.00, 1.85, 2.00, 2.60)],
}
"""Boxes of each cue: left, top, right and bottom, in the units of `Canvas`."""


class Face(NamedTuple):
    """The looks of a person, the same in all their clips. Colours are `(3,)` red, green and blue in [0, 255]."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    jaw: float
    """Width of the jaw, relative to the average."""
    length: float
    """Length of the hair: 0 ends at the ears, 1 at the shoulders."""
    parting: float
    """Parting of the hair: below 0 is left of the middle."""
    brow: float
    """Thickness of the eyebrows."""

    @property
    def shadow(self) -> np.ndarray:
        """Colour of the skin in the shade."""
        return self.skin * (0.62, 0.55, 0.52)

    @property
    def light(self) -> np.ndarray:
        """Colour of the skin in direct light."""
        return 0.5 * self.skin + 127


def random_face(rng: np.random.Generator) -> Face:
    """Choose the looks of a person at random."""
    hairs = [(38, 28, 24), (74, 48, 32), (118, 82, 48), (186, 148, 92), (130, 66, 38), (92, 88, 90)]
    irises = [(88, 58, 36), (62, 96, 128), (84, 112, 72), (50, 36, 28)]
    darkness = rng.uniform()
    return Face(
        skin=np.array([238, 196, 168]) * (1 - darkness) + np.array([128, 86, 62]) * darkness,
        hair=rng.choice(np.array(hairs)) * rng.uniform(0.85, 1.15),
        iris=rng.choice(np.array(irises)),
        jaw=rng.uniform(0.9, 1.04),
        length=rng.uniform(),
        parting=rng.uniform(-0.5, 0.5),
        brow=rng.uniform(0.05, 0.07),
    )


def paint_person(canvas: Canvas, face: Face, strength: Mapping[str, float]) -> None:
    """Paint everything but the eyes and the mouth.

    Args:
        canvas: The canvas, with the background on it.
        face: The person.
        strength: Strength of each cue of `REGIONS`, in [0, 1].
    """
    end = 0.25 + 1.95 * face.length
    behind = mirrored((0, -1.5), (0.85, -1.25), (1.16, -0.3), (1.13, 0.5 * end), (0.95, end), (0, end))
    canvas.fill(behind, 0.7 * face.hair)
    _paint_body(canvas, face, strength["collar"])
    _paint_skin(canvas, face, strength)
    _paint_nose(canvas, face)
    _paint_brows(canvas, face, strength["brows"])
    _paint_hair(canvas, face, strength["fringe"])


def _paint_body(canvas: Canvas, face: Face, warmth: float) -> None:
    neck = mirrored((0, 0.6), (0.5, 0.8), (0.48, 1.5), (0.7, 2.1), (0, 2.5))
    canvas.fill(neck, 0.94 * face.skin)
    canvas.fill(ellipse(0.08, 1.42, 0.6, 0.32), face.shadow, alpha=0.8, soft=0.1, within=neck)
    cloth = np.array([52, 84, 148]) * (1 - warmth) + np.array([222, 158, 52]) * warmth
    canvas.fill(mirrored((0, 2.25), (0.52, 1.92), (1.2, 2.0), (1.9, 2.4), (2.1, 3.4), (0, 3.6)), cloth)
    for side in (-1, 1):
        canvas.fill(closed((side * 0.5, 1.78), (side * 0.74, 1.96), (side * 0.3, 2.5), (0, 2.3)), 0.8 * cloth)


def _paint_skin(canvas: Canvas, face: Face, strength: Mapping[str, float]) -> None:
    for side in (-1, 1):
        canvas.fill(ellipse(side * 1.0, 0.12, 0.13, 0.26), 0.88 * face.skin)
        canvas.fill(ellipse(side * 1.02, 0.12, 0.06, 0.16), face.shadow, alpha=0.5, soft=0.03)
    cheeks = (0, -1.15), (0.62, -0.98), (0.95, -0.35), (0.97, 0.2)
    outline = mirrored(*cheeks, (0.85 * face.jaw, 0.78), (0.5 * face.jaw, 1.26), (0, 1.45))
    canvas.fill(outline, face.skin)
    for shape, alpha, soft in (
        (ellipse(1.02, 0.3, 0.33, 1.3), 0.55, 0.2),
        (ellipse(-1.12, 0.4, 0.22, 1.2), 0.4, 0.15),
        (ellipse(0, 1.52, 0.7, 0.16), 0.45, 0.1),
        (ellipse(0, -0.98, 0.9, 0.2), 0.5, 0.1),
        (ellipse(-0.42, -0.04, 0.3, 0.17), 0.5, 0.08),
        (ellipse(0.42, -0.04, 0.3, 0.17), 0.5, 0.08),
    ):
        canvas.fill(shape, face.shadow, alpha=alpha, soft=soft, within=outline)
    for shape, alpha in (
        (ellipse(-0.15, -0.62, 0.45, 0.18), 0.4),
        (ellipse(-0.5, 0.36, 0.2, 0.14), 0.4),
        (ellipse(0.46, 0.36, 0.16, 0.12), 0.25),
        (ellipse(-0.03, 1.2, 0.18, 0.08), 0.3),
    ):
        canvas.fill(shape, face.light, alpha=alpha, soft=0.1, within=outline)
    for side in (-1, 1):
        cheek = ellipse(side * 0.62, 0.45, 0.19, 0.14)
        canvas.fill(cheek, np.array([214, 62, 70]), alpha=0.8 * strength["blush"], soft=0.08, within=outline)
    mole = 0.015 + 0.06 * strength["mole"]
    canvas.fill(ellipse(0, 1.28, mole, mole), np.array([62, 36, 30]), soft=0.01)


def _paint_nose(canvas: Canvas, face: Face) -> None:
    canvas.fill(closed((0.1, -0.1), (0.22, 0.5), (0.08, 0.62), (0.06, 0.3)), face.shadow, alpha=0.5, soft=0.05)
    canvas.fill(ellipse(-0.03, 0.2, 0.05, 0.28), face.light, alpha=0.5, soft=0.05)
    canvas.fill(ellipse(-0.02, 0.48, 0.08, 0.07), face.light, alpha=0.5, soft=0.05)
    canvas.fill(closed((-0.2, 0.56), (0, 0.63), (0.2, 0.56), (0, 0.7)), face.shadow, alpha=0.7, soft=0.03)
    for side in (-1, 1):
        canvas.fill(ellipse(side * 0.1, 0.6, 0.05, 0.025), 0.5 * face.shadow, alpha=0.9, soft=0.01)


def _paint_brows(canvas: Canvas, face: Face, calm: float) -> None:
    x = np.linspace(0, 1, 15)  # from the nose outwards
    middle = -0.42 - 0.06 * np.sin(np.pi * x) - (0.22 - 0.26 * calm) * (0.5 - x)
    thickness = face.brow * (1 - 0.75 * x**2)
    for side in (-1, 1):
        shape = between(side * (0.17 + 0.5 * x), middle - thickness, middle + thickness)
        canvas.fill(shape, 0.65 * face.hair, alpha=0.9, soft=0.01)


def _paint_hair(canvas: Canvas, face: Face, fringe: float) -> None:
    edge = -1.02 + 0.34 * fringe  # how far down the forehead it comes
    x = np.linspace(-1, 1, 61)
    outer = -0.1 - 1.45 * (1 - np.abs(x) ** 2.6) ** 0.6
    locks = 0.05 * np.abs(np.sin(9 * (x - face.parting)))
    inner = edge - locks + 0.85 * np.abs(x) ** 7 - 0.12 * np.exp(-(((x - face.parting) / 0.1) ** 2))
    canvas.fill(between(1.1 * x, outer, np.maximum(outer, inner)), face.hair)
    for end in np.linspace(-0.95, 0.95, 20):
        along = np.linspace(0, 1, 12)
        across = face.parting + (1.05 * end - face.parting) * np.sin(along * np.pi / 2)
        top = -0.1 - 1.4 * (1 - np.abs(face.parting) ** 2.6) ** 0.6
        down = top + (edge + 0.75 * np.abs(end) ** 7 - 0.06 - top) * along**1.6
        tone = 1.3 if round(20 * end) % 2 else 0.8
        canvas.line(np.stack([across, down], -1), np.minimum(255, tone * face.hair), 0.012)
    canvas.fill(ellipse(-0.35, -1.22, 0.4, 0.08), 0.5 * face.hair + 127, alpha=0.25, soft=0.08)


def paint_eyes(canvas: Canvas, face: Face, aperture: float) -> None:
    """Paint both eyes; the aperture is in [0, 1]."""
    x = np.linspace(-1, 1, 21)
    lid = 0.17 * aperture * (1 - x**2) ** 0.7
    for side in (-1, 1):
        across, corner = side * 0.42 + 0.21 * x, 0.02 - 0.02 * side * x
        upper, lower = np.stack([across, corner - 1.1 * lid], -1), np.stack([across, corner + 0.5 * lid], -1)
        almond = np.concatenate([upper, lower[::-1]])
        canvas.fill(almond, np.array([240, 238, 234]))
        canvas.fill(ellipse(side * 0.42, -0.02, 0.115, 0.115), face.iris, within=almond)
        canvas.fill(ellipse(side * 0.42, -0.02, 0.055, 0.055), np.array([14, 12, 12]), within=almond)
        canvas.fill(ellipse(side * 0.42 - 0.035, -0.06, 0.025, 0.025), np.array([255, 255, 255]), within=almond)
        canvas.line(lower, 0.6 * face.skin, 0.01)
        canvas.line(upper, np.array([34, 24, 24]), 0.04)
        canvas.line(upper - (0, 0.07), 0.62 * face.skin, 0.015)


def paint_mouth(canvas: Canvas, face: Face, smile: float, opening: float) -> None:
    """Paint the mouth; the strength of the smile and the opening are in [0, 1]."""
    x = np.linspace(-1, 1, 31)
    bow = 1 - x**2
    across = (0.28 + 0.12 * smile) * x
    middle = 0.92 + (0.24 * smile - 0.05) * (0.4 - x**2)
    gap = (0.015 + 0.17 * opening) * bow
    cupid = 0.03 * np.exp(-((x / 0.16) ** 2))
    top, bottom = middle - 0.3 * gap, middle + 0.7 * gap
    canvas.fill(between(across, bottom, bottom + 0.17 * bow), face.shadow, alpha=0.5, soft=0.03)
    canvas.fill(between(across, top - 0.085 * np.sqrt(bow) + cupid, bottom + 0.1 * bow), face.skin * (0.78, 0.5, 0.5))
    canvas.fill(between(across, top, bottom), np.array([60, 18, 22]))
    canvas.fill(between(across, top, top + np.minimum(0.05 * bow, 0.4 * gap)), np.array([236, 230, 222]))
    canvas.fill(between(across, bottom + 0.035 * bow, bottom + 0.06 * bow), face.light, alpha=0.25, soft=0.01)
