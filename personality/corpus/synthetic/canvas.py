"""Painting of smooth, translucent shapes with soft edges, in units of a face."""

import cv2
import numpy as np
from scipy.interpolate import CubicSpline


class Canvas:
    """An image with coordinates in units of half a face's width; the origin lies between the eyes.

    Args:
        image: `(height, width, 3)` uint8 RGB, painted in place.
        origin: `(2,)` the point between the eyes, in pixels.
        unit: Half the face's width, in pixels.
    """

    def __init__(self, image: np.ndarray, origin: np.ndarray, unit: float) -> None:
        self.image, self.origin, self.unit = image, origin, unit

    def fill(
        self,
        shape: np.ndarray,
        colour: np.ndarray,
        *,
        alpha: float = 1,
        soft: float = 0,
        within: np.ndarray | None = None,
    ) -> None:
        """Paint a polygon, `(points, 2)`.

        Args:
            shape: Its corners.
            colour: Red, green and blue, in [0, 255].
            alpha: Opacity, in [0, 1].
            soft: Standard deviation of the blur of the edge.
            within: Another polygon: paint only the intersection.
        """
        points = self.origin + self.unit * shape
        blur = soft * self.unit
        size = self.image.shape[1::-1]
        left, top = np.clip(points.min(0) - 3 * blur - 2, 0, size).astype(int)
        right, bottom = np.clip(points.max(0) + 3 * blur + 3, 0, size).astype(int)
        area = self.image[top:bottom, left:right]
        if area.size:
            mask = _mask(points - (left, top), area.shape[:2])
            if blur:
                mask = cv2.GaussianBlur(mask, (0, 0), blur)
            if within is not None:
                mask = mask * _mask(self.origin + self.unit * within - (left, top), area.shape[:2])
            area[:] = np.clip(area + (np.asarray(colour, np.float32) - area) * (alpha * mask[..., None]) + 0.5, 0, 255)

    def line(self, points: np.ndarray, colour: np.ndarray, width: float) -> None:
        """Paint a line through points, `(points, 2)`."""
        pixels = np.rint((self.origin + self.unit * points) * 16).astype(np.int32)
        thickness = max(1, round(width * self.unit))
        cv2.polylines(self.image, [pixels], False, np.asarray(colour, float).tolist(), thickness, cv2.LINE_AA, shift=4)


def _mask(points: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return the share of each pixel that lies in a polygon, `(height, width)`."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return mask.astype(np.float32) / 255


def closed(*points: tuple[float, float]) -> np.ndarray:
    """Return a smooth closed curve through points, `(corners, 2)`."""
    curve = CubicSpline(np.arange(len(points) + 1), [*points, points[0]], bc_type="periodic")
    return curve(np.linspace(0, len(points), 12 * len(points), endpoint=False))


def mirrored(*points: tuple[float, float]) -> np.ndarray:
    """Return a symmetric closed curve, given its right half; the first and last points lie in the middle."""
    return closed(*points, *((-across, down) for across, down in points[-2:0:-1]))


def ellipse(across: float, down: float, width: float, height: float) -> np.ndarray:
    """Return an ellipse about a centre; width and height are its half axes."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([across + width * np.cos(angle), down + height * np.sin(angle)], axis=-1)


def between(across: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return the polygon between two curves over the same x."""
    return np.concatenate([np.stack([across, upper], -1), np.stack([across, lower], -1)[::-1]])
