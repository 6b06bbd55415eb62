"""The pictures of a synthetic clip: a painted person who moves, blinks and speaks."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from personality.corpus.synthetic.canvas import Canvas
from personality.corpus.synthetic.face import REGIONS, Face, paint_eyes, paint_mouth, paint_person

WIDTH, HEIGHT = 384, 216  # pixels
FPS = 15  # enough for lip movements, and fast to encode
FINE = 2  # pixels of the canvas per pixel of a frame, along each side: edges stay smooth when the head moves


class Scene(NamedTuple):
    """The background of a clip, and how the person moves."""

    origin: np.ndarray
    """`(2,)` the point between the eyes when the head is still, in pixels of the canvas."""
    unit: float
    """Half the face's width, in pixels of the canvas."""
    walls: np.ndarray
    """`(2, 3)` colours of the wall on the left and on the right."""
    shelves: np.ndarray
    """`(n, 3)` objects out of focus: centre, width, brightness."""
    sway: np.ndarray
    """`(3, 2, 2)` for moves across, moves down and turns: two waves each, their frequency in Hz and their phase."""
    blinks: np.ndarray
    """`(n,)` times of blinks, in seconds."""


def random_scene(seconds: float, rng: np.random.Generator) -> Scene:
    """Choose a scene at rng."""
    return Scene(
        origin=np.array([WIDTH, HEIGHT]) * rng.uniform((0.42, 0.42), (0.58, 0.46)) * FINE,
        unit=HEIGHT * rng.uniform(0.215, 0.245) * FINE,
        walls=rng.uniform(70, 215, (2, 1)) * rng.uniform(0.88, 1.12, (2, 3)),
        shelves=rng.uniform((-3.5, 0.1, 0.6), (3.5, 0.5, 1.35), (6, 3)),
        sway=np.stack([rng.uniform(0.1, 0.45, (3, 2)), rng.uniform(0, 2 * np.pi, (3, 2))], axis=-1),
        blinks=np.cumsum(rng.uniform(1.5, 5, round(seconds) + 1)),
    )


def cue_boxes(cue: str, scene: Scene, time: float) -> np.ndarray:
    """Return the boxes of a cue of `REGIONS` at a time in seconds.

    Returns:
        `(boxes, 4)` left, top, right and bottom, as shares of the frame.
    """
    left, top, right, bottom = np.array(REGIONS[cue]).T * scene.unit + np.tile(scene.origin, 2)[:, None]
    corners = np.stack([np.stack([left, right, left, right]), np.stack([top, top, bottom, bottom])])
    motion = _head_motion(scene, time)
    moved = np.einsum("ij,jcb->bic", motion[:, :2], corners) + motion[:, 2:]
    shares = moved / (FINE * np.array([[WIDTH], [HEIGHT]]))
    return np.concatenate([shares.min(-1), shares.max(-1)], axis=-1).clip(0, 1)


def render_frames(face: Face, scene: Scene, strength: Mapping[str, float], opening: np.ndarray) -> Iterator[np.ndarray]:
    """Render a person who speaks.

    Args:
        face: The person.
        scene: The scene.
        strength: Strength of each cue of `REGIONS`, in [0, 1].
        opening: `(frames,)` opening of the mouth, in [0, 1].

    Yields:
        `(HEIGHT, WIDTH, 3)` uint8 RGB, `FPS` a second.
    """
    still = _paint_background(scene)
    paint_person(still, face, strength)

    @cache
    def expression(opening: float, lids: float) -> np.ndarray:
        canvas = Canvas(still.image.copy(), scene.origin, scene.unit)
        paint_eyes(canvas, face, (0.35 + 0.65 * strength["eyes"]) * lids)
        paint_mouth(canvas, face, strength["smile"], opening)
        return canvas.image

    position = np.stack(np.meshgrid(*(FINE * (np.arange(size) + 0.5) - 0.5 for size in (WIDTH, HEIGHT))))
    distance = np.linalg.norm(position - scene.origin[:, None, None], axis=0) / scene.unit
    near = np.clip(2.7 - distance, 0, 1)  # 1 on the head, 0 on the walls, which do not move
    position, moving = position.astype(np.float32), (near * np.insert(position, 2, 1, axis=0)).astype(np.float32)
    wall = cv2.remap(still.image, position[0], position[1], cv2.INTER_LINEAR)
    box = tuple(slice(inside.min(), inside.max() + 1) for inside in np.nonzero(near))  # of all that moves
    position, moving = position[:, *box], moving[:, *box]
    for frame, gap in enumerate(opening):
        time = frame / FPS
        lids = 1 - np.exp(-(((time - scene.blinks) / 0.08) ** 2)).max()
        image = expression(round(20 * gap) / 20, round(lids, 1))
        shift = cv2.invertAffineTransform(_head_motion(scene, time)) - np.eye(2, 3)
        columns, rows = position + np.tensordot(shift.astype(np.float32), moving, 1)
        picture = wall.copy()
        picture[box] = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield picture


def _paint_background(scene: Scene) -> Canvas:
    across = np.linspace(0, 1, WIDTH * FINE)[None, :, None]
    down = np.linspace(1.08, 0.8, HEIGHT * FINE)[:, None, None]
    walls = (scene.walls[0] * (1 - across) + scene.walls[1] * across) * down
    canvas = Canvas(walls.astype(np.uint8), scene.origin, scene.unit)
    for centre, width, tone in scene.shelves:
        left, right = centre - width, centre + width
        shelf = np.array([(left, -1.6), (right, -1.6), (right, 1.2), (left, 1.2)])
        canvas.fill(shelf, (tone * scene.walls.mean(0)).clip(0, 255), alpha=0.5, soft=0.12)
    return canvas


def _head_motion(scene: Scene, time: float) -> np.ndarray:
    """Return the affine transform `(2, 3)` from the still canvas to the canvas at a time."""
    across, down, turn = np.sin(2 * np.pi * scene.sway[..., 0] * time + scene.sway[..., 1]).mean(-1)
    neck = scene.origin[0], scene.origin[1] + 1.5 * scene.unit
    shift = scene.unit * np.array([[0, 0, 0.15 * across], [0, 0, 0.08 * down]])
    return cv2.getRotationMatrix2D(neck, 4 * turn, 1) + shift
