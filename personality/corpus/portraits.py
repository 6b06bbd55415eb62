"""The face of a made clip: a drawn person, whose features carry the planted evidence."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from personality.corpus.canvas import Canvas, between, closed, ellipse, mirrored

REGIONS = {
    "eyes": [(-0.72, -0.24, 0.72, 0.18)],
    "brows": [(-0.80, -0.62, 0.80, -0.24)],
    "smile": [(-0.50, 0.72, 0.50, 1.14)],
    "blush": [(-0.88, 0.24, -0.36, 0.68), (0.36, 0.24, 0.88, 0.68)],
    "mole": [(-0.14, 1.15, 0.14, 1.41)],
    "fringe": [(-0.95, -1.15, 0.95, -0.45)],
    "collar": [(-2.00, 1.85, 2.00, 2.60)],
}
"""Where each cue is seen: left, top, right and bottom, in units of half a face's width from between the eyes."""


class Look(NamedTuple):
    """What stays the same whenever a person is seen. Colours are `(3,)` red, green and blue in [0, 255]."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    jaw: float
    """Its width, as a share of the usual."""
    length: float
    """Of the hair: 0 ends at the ears, 1 at the shoulders."""
    parting: float
    """Where the hair is parted: left of the middle below 0."""
    brow: float
    """Thickness of the eyebrows."""

    @property
    def shadow(self) -> np.ndarray:
        """Colour of the skin where light does not fall."""
        return self.skin * (0.62, 0.55, 0.52)

    @property
    def light(self) -> np.ndarray:
        """Colour of the skin where light falls straight."""
        return 0.5 * self.skin + 127


def meet_face(random: np.random.Generator) -> Look:
    """Draw a person by lot."""
    hairs = [(38, 28, 24), (74, 48, 32), (118, 82, 48), (186, 148, 92), (130, 66, 38), (92, 88, 90)]
    irises = [(88, 58, 36), (62, 96, 128), (84, 112, 72), (50, 36, 28)]
    darkness = random.uniform()
    return Look(
        skin=np.array([238, 196, 168]) * (1 - darkness) + np.array([128, 86, 62]) * darkness,
        hair=random.choice(np.array(hairs)) * random.uniform(0.85, 1.15),
        iris=random.choice(np.array(irises)),
        jaw=random.uniform(0.9, 1.04),
        length=random.uniform(),
        parting=random.uniform(-0.5, 0.5),
        brow=random.uniform(0.05, 0.07),
    )


def paint_person(canvas: Canvas, look: Look, strength: Mapping[str, float]) -> None:
    """Paint all that neither blinks nor speaks.

    Args:
        canvas: Where; what is on it becomes the background.
        look: Who.
        strength: Of each cue of `REGIONS`, in [0, 1].
    """
    end = 0.25 + 1.95 * look.length
    behind = mirrored((0, -1.5), (0.85, -1.25), (1.16, -0.3), (1.13, 0.5 * end), (0.95, end), (0, end))
    canvas.fill(behind, 0.7 * look.hair)
    _paint_body(canvas, look, strength["collar"])
    _paint_skin(canvas, look, strength)
    _paint_nose(canvas, look)
    _paint_brows(canvas, look, strength["brows"])
    _paint_hair(canvas, look, strength["fringe"])


def _paint_body(canvas: Canvas, look: Look, warmth: float) -> None:
    neck = mirrored((0, 0.6), (0.5, 0.8), (0.48, 1.5), (0.7, 2.1), (0, 2.5))
    canvas.fill(neck, 0.94 * look.skin)
    canvas.fill(ellipse(0.08, 1.42, 0.6, 0.32), look.shadow, alpha=0.8, soft=0.1, within=neck)
    cloth = np.array([52, 84, 148]) * (1 - warmth) + np.array([222, 158, 52]) * warmth
    canvas.fill(mirrored((0, 2.25), (0.52, 1.92), (1.2, 2.0), (1.9, 2.4), (2.1, 3.4), (0, 3.6)), cloth)
    for side in (-1, 1):
        canvas.fill(closed((side * 0.5, 1.78), (side * 0.74, 1.96), (side * 0.3, 2.5), (0, 2.3)), 0.8 * cloth)


def _paint_skin(canvas: Canvas, look: Look, strength: Mapping[str, float]) -> None:
    for side in (-1, 1):
        canvas.fill(ellipse(side * 1.0, 0.12, 0.13, 0.26), 0.88 * look.skin)
        canvas.fill(ellipse(side * 1.02, 0.12, 0.06, 0.16), look.shadow, alpha=0.5, soft=0.03)
    cheeks = (0, -1.15), (0.62, -0.98), (0.95, -0.35), (0.97, 0.2)
    face = mirrored(*cheeks, (0.85 * look.jaw, 0.78), (0.5 * look.jaw, 1.26), (0, 1.45))
    canvas.fill(face, look.skin)
    for shape, alpha, soft in (
        (ellipse(1.02, 0.3, 0.33, 1.3), 0.55, 0.2),
        (ellipse(-1.12, 0.4, 0.22, 1.2), 0.4, 0.15),
        (ellipse(0, 1.52, 0.7, 0.16), 0.45, 0.1),
        (ellipse(0, -0.98, 0.9, 0.2), 0.5, 0.1),
        (ellipse(-0.42, -0.04, 0.3, 0.17), 0.5, 0.08),
        (ellipse(0.42, -0.04, 0.3, 0.17), 0.5, 0.08),
    ):
        canvas.fill(shape, look.shadow, alpha=alpha, soft=soft, within=face)
    for shape, alpha in (
        (ellipse(-0.15, -0.62, 0.45, 0.18), 0.4),
        (ellipse(-0.5, 0.36, 0.2, 0.14), 0.4),
        (ellipse(0.46, 0.36, 0.16, 0.12), 0.25),
        (ellipse(-0.03, 1.2, 0.18, 0.08), 0.3),
    ):
        canvas.fill(shape, look.light, alpha=alpha, soft=0.1, within=face)
    for side in (-1, 1):
        cheek = ellipse(side * 0.62, 0.45, 0.19, 0.14)
        canvas.fill(cheek, np.array([214, 62, 70]), alpha=0.8 * strength["blush"], soft=0.08, within=face)
    mole = 0.015 + 0.06 * strength["mole"]
    canvas.fill(ellipse(0, 1.28, mole, mole), np.array([62, 36, 30]), soft=0.01)


def _paint_nose(canvas: Canvas, look: Look) -> None:
    canvas.fill(closed((0.1, -0.1), (0.22, 0.5), (0.08, 0.62), (0.06, 0.3)), look.shadow, alpha=0.5, soft=0.05)
    canvas.fill(ellipse(-0.03, 0.2, 0.05, 0.28), look.light, alpha=0.5, soft=0.05)
    canvas.fill(ellipse(-0.02, 0.48, 0.08, 0.07), look.light, alpha=0.5, soft=0.05)
    canvas.fill(closed((-0.2, 0.56), (0, 0.63), (0.2, 0.56), (0, 0.7)), look.shadow, alpha=0.7, soft=0.03)
    for side in (-1, 1):
        canvas.fill(ellipse(side * 0.1, 0.6, 0.05, 0.025), 0.5 * look.shadow, alpha=0.9, soft=0.01)


def _paint_brows(canvas: Canvas, look: Look, calm: float) -> None:
    place = np.linspace(0, 1, 15)  # from the nose outwards
    middle = -0.42 - 0.06 * np.sin(np.pi * place) - (0.22 - 0.26 * calm) * (0.5 - place)
    thickness = look.brow * (1 - 0.75 * place**2)
    for side in (-1, 1):
        shape = between(side * (0.17 + 0.5 * place), middle - thickness, middle + thickness)
        canvas.fill(shape, 0.65 * look.hair, alpha=0.9, soft=0.01)


def _paint_hair(canvas: Canvas, look: Look, fringe: float) -> None:
    edge = -1.02 + 0.34 * fringe  # how far down the forehead it comes
    place = np.linspace(-1, 1, 61)
    outer = -0.1 - 1.45 * (1 - np.abs(place) ** 2.6) ** 0.6
    locks = 0.05 * np.abs(np.sin(9 * (place - look.parting)))
    inner = edge - locks + 0.85 * np.abs(place) ** 7 - 0.12 * np.exp(-(((place - look.parting) / 0.1) ** 2))
    canvas.fill(between(1.1 * place, outer, np.maximum(outer, inner)), look.hair)
    for end in np.linspace(-0.95, 0.95, 20):
        along = np.linspace(0, 1, 12)
        across = look.parting + (1.05 * end - look.parting) * np.sin(along * np.pi / 2)
        top = -0.1 - 1.4 * (1 - np.abs(look.parting) ** 2.6) ** 0.6
        down = top + (edge + 0.75 * np.abs(end) ** 7 - 0.06 - top) * along**1.6
        tone = 1.3 if round(20 * end) % 2 else 0.8
        canvas.line(np.stack([across, down], -1), np.minimum(255, tone * look.hair), 0.012)
    canvas.fill(ellipse(-0.35, -1.22, 0.4, 0.08), 0.5 * look.hair + 127, alpha=0.25, soft=0.08)


def paint_eyes(canvas: Canvas, look: Look, aperture: float) -> None:
    """Paint both eyes, open by a share of what is possible."""
    place = np.linspace(-1, 1, 21)
    lid = 0.17 * aperture * (1 - place**2) ** 0.7
    for side in (-1, 1):
        across, corner = side * 0.42 + 0.21 * place, 0.02 - 0.02 * side * place
        upper, lower = np.stack([across, corner - 1.1 * lid], -1), np.stack([across, corner + 0.5 * lid], -1)
        almond = np.concatenate([upper, lower[::-1]])
        canvas.fill(almond, np.array([240, 238, 234]))
        canvas.fill(ellipse(side * 0.42, -0.02, 0.115, 0.115), look.iris, within=almond)
        canvas.fill(ellipse(side * 0.42, -0.02, 0.055, 0.055), np.array([14, 12, 12]), within=almond)
        canvas.fill(ellipse(side * 0.42 - 0.035, -0.06, 0.025, 0.025), np.array([255, 255, 255]), within=almond)
        canvas.line(lower, 0.6 * look.skin, 0.01)
        canvas.line(upper, np.array([34, 24, 24]), 0.04)
        canvas.line(upper - (0, 0.07), 0.62 * look.skin, 0.015)


def paint_mouth(canvas: Canvas, look: Look, smile: float, opening: float) -> None:
    """Paint the mouth: both how it smiles and how wide it is open are shares of what is possible."""
    place = np.linspace(-1, 1, 31)
    bow = 1 - place**2
    across = (0.28 + 0.12 * smile) * place
    middle = 0.92 + (0.24 * smile - 0.05) * (0.4 - place**2)
    gap = (0.015 + 0.17 * opening) * bow
    cupid = 0.03 * np.exp(-((place / 0.16) ** 2))
    top, bottom = middle - 0.3 * gap, middle + 0.7 * gap
    canvas.fill(between(across, bottom, bottom + 0.17 * bow), look.shadow, alpha=0.5, soft=0.03)
    canvas.fill(between(across, top - 0.085 * np.sqrt(bow) + cupid, bottom + 0.1 * bow), look.skin * (0.78, 0.5, 0.5))
    canvas.fill(between(across, top, bottom), np.array([60, 18, 22]))
    canvas.fill(between(across, top, top + np.minimum(0.05 * bow, 0.4 * gap)), np.array([236, 230, 222]))
    canvas.fill(between(across, bottom + 0.035 * bow, bottom + 0.06 * bow), look.light, alpha=0.25, soft=0.01)
