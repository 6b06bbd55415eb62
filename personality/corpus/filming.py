"""The film of a made clip: a painted person in front of a camera, who sways, blinks and speaks."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from personality.corpus.canvas import Canvas
from personality.corpus.portraits import REGIONS, Look, paint_eyes, paint_mouth, paint_person

WIDTH, HEIGHT = 384, 216  # pixels
FPS = 15  # enough for lips to follow speech, and soon encoded
FINE = 2  # pixels of the canvas for one of the film, along each side: edges stay smooth when the head moves


class Scene(NamedTuple):
    """What one clip is filmed in."""

    origin: np.ndarray
    """`(2,)` where between the eyes is when the head is still, in pixels of the canvas."""
    unit: float
    """Half the face's width, in pixels of the canvas."""
    walls: np.ndarray
    """`(2, 3)` colours of the room, on the left and on the right."""
    shelves: np.ndarray
    """`(n, 3)` things out of focus: where, how wide, how bright."""
    sway: np.ndarray
    """`(3, 2, 2)` of moves across, moves down and turns: two waves each, their Hz and their phase."""
    blinks: np.ndarray
    """`(n,)` seconds."""


def set_scene(seconds: float, random: np.random.Generator) -> Scene:
    """Draw a scene by lot."""
    return Scene(
        origin=np.array([WIDTH, HEIGHT]) * random.uniform((0.42, 0.42), (0.58, 0.46)) * FINE,
        unit=HEIGHT * random.uniform(0.215, 0.245) * FINE,
        walls=random.uniform(70, 215, (2, 1)) * random.uniform(0.88, 1.12, (2, 3)),
        shelves=random.uniform((-3.5, 0.1, 0.6), (3.5, 0.5, 1.35), (6, 3)),
        sway=np.stack([random.uniform(0.1, 0.45, (3, 2)), random.uniform(0, 2 * np.pi, (3, 2))], axis=-1),
        blinks=np.cumsum(random.uniform(1.5, 5, round(seconds) + 1)),
    )


def locate(cue: str, scene: Scene, time: float) -> np.ndarray:
    """Say where a cue of `REGIONS` is seen.

    Returns:
        `(boxes, 4)` left, top, right and bottom, as shares of the frame.
    """
    left, top, right, bottom = np.array(REGIONS[cue]).T * scene.unit + np.tile(scene.origin, 2)[:, None]
    corners = np.stack([np.stack([left, right, left, right]), np.stack([top, top, bottom, bottom])])
    motion = _head_motion(scene, time)
    moved = np.einsum("ij,jcb->bic", motion[:, :2], corners) + motion[:, 2:]
    shares = moved / (FINE * np.array([[WIDTH], [HEIGHT]]))
    return np.concatenate([shares.min(-1), shares.max(-1)], axis=-1).clip(0, 1)


def film(look: Look, scene: Scene, strength: Mapping[str, float], opening: np.ndarray) -> Iterator[np.ndarray]:
    """Film a person who speaks.

    Args:
        look: The person.
        scene: The scene.
        strength: Of each cue of `REGIONS`, in [0, 1].
        opening: `(frames,)` how far the mouth is open, in [0, 1].

    Yields:
        `(HEIGHT, WIDTH, 3)` uint8 RGB, `FPS` a second.
    """
    still = _paint_room(scene)
    paint_person(still, look, strength)

    @cache
    def expression(opening: float, lids: float) -> np.ndarray:
        canvas = Canvas(still.image.copy(), scene.origin, scene.unit)
        paint_eyes(canvas, look, (0.35 + 0.65 * strength["eyes"]) * lids)
        paint_mouth(canvas, look, strength["smile"], opening)
        return canvas.image

    place = np.stack(np.meshgrid(*(FINE * (np.arange(size) + 0.5) - 0.5 for size in (WIDTH, HEIGHT))))
    distance = np.linalg.norm(place - scene.origin[:, None, None], axis=0) / scene.unit
    near = np.clip(2.7 - distance, 0, 1)  # 1 on the head; 0 on the walls, which stand still
    place, moving = place.astype(np.float32), (near * np.insert(place, 2, 1, axis=0)).astype(np.float32)
    for frame, gap in enumerate(opening):
        time = frame / FPS
        lids = 1 - np.exp(-(((time - scene.blinks) / 0.08) ** 2)).max()
        image = expression(round(20 * gap) / 20, round(lids, 1))
        shift = cv2.invertAffineTransform(_head_motion(scene, time)) - np.eye(2, 3)
        columns, rows = place + np.tensordot(shift.astype(np.float32), moving, 1)
        yield cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _paint_room(scene: Scene) -> Canvas:
    across = np.linspace(0, 1, WIDTH * FINE)[None, :, None]
    down = np.linspace(1.08, 0.8, HEIGHT * FINE)[:, None, None]
    walls = (scene.walls[0] * (1 - across) + scene.walls[1] * across) * down
    room = Canvas(walls.astype(np.uint8), scene.origin, scene.unit)
    for centre, width, tone in scene.shelves:
        left, right = centre - width, centre + width
        shelf = np.array([(left, -1.6), (right, -1.6), (right, 1.2), (left, 1.2)])
        room.fill(shelf, (tone * scene.walls.mean(0)).clip(0, 255), alpha=0.5, soft=0.12)
    return room


def _head_motion(scene: Scene, time: float) -> np.ndarray:
    """`(2, 3)` affine, from a place on the still canvas to where it is at a time."""
    across, down, turn = np.sin(2 * np.pi * scene.sway[..., 0] * time + scene.sway[..., 1]).mean(-1)
    neck = scene.origin[0], scene.origin[1] + 1.5 * scene.unit
    shift = scene.unit * np.array([[0, 0, 0.15 * across], [0, 0, 0.08 * down]])
    return cv2.getRotationMatrix2D(neck, 4 * turn, 1) + shift
