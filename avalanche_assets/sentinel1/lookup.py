"""Look-up tables given on image lines, as calibration and range-noise annotations are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.xml_fields import MAX_PIXELS, XmlNode

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

MAX_VECTORS = 200
"""A vector follows every 667 lines, 27 in an image; 200 would serve more lines than any image has."""


@dataclass(frozen=True)
class LineTable:
    """Values on some lines of an image, at every sample; bilinear in between, constant beyond the ends.

    Attributes:
        lines: Increasing line numbers, shape (n,); the last may lie before or beyond the image's last line.
        values: Shape (n, samples).
    """

    lines: Floats
    values: Float32s

    @classmethod
    def from_vectors(
        cls, vectors: Sequence[XmlNode], name: str, samples: int, bounds: tuple[float, float]
    ) -> "LineTable":
        """Interpolates annotated vectors, each with pixels and a length of its own, to every sample.

        Args:
            vectors: Elements that hold `line`, `pixel` and the values.
            name: Name of the values' field.
            samples: Width of the image.
            bounds: Lowest and highest value that can be true.

        Raises:
            SafeError: As `read_vector`.
        """
        columns = np.arange(samples, dtype=np.float64)
        dense = np.empty((len(vectors), samples), np.float32)
        for row, vector in enumerate(vectors):
            dense[row] = np.interp(columns, *read_vector(vector, "pixel", name, bounds))
        lines = np.array([vector.number("line", -MAX_PIXELS, MAX_PIXELS) for vector in vectors])
        order = np.argsort(lines, kind="stable")
        return cls(lines[order], dense[order])

    def rows(self, first: int, count: int) -> Float32s:
        """Values on `count` image lines from `first`: shape (count, samples)."""
        out = np.empty((count, self.values.shape[1]), np.float32)
        for row in range(count):
            interpolate_row(self.lines, self.values, first + row, 0, out[row])
        return out


def read_vector(vector: XmlNode, at: str, name: str, bounds: tuple[float, float]) -> tuple[Floats, Floats]:
    """Positions along an image and the values annotated there.

    Args:
        vector: Element that holds both.
        at: Name of the positions' field, `pixel` or `line`.
        name: Name of the values' field.
        bounds: Lowest and highest value that can be true.

    Raises:
        SafeError: A field is missing or malformed, a value is out of bounds, both differ in number, or
            positions decrease.
    """
    positions, values = vector.numbers(at, -MAX_PIXELS, MAX_PIXELS), vector.numbers(name, *bounds)
    if len(positions) != len(values) or (np.diff(positions) < 0).any():
        raise SafeError(
            f"{vector.file}: {name} has {len(values)} values for {len(positions)} {at}s, which must not "
            "decrease; download the product again"
        )
    return positions, values


@njit(cache=True, nogil=True, error_model="numpy")
def between(lines: Floats, line: int) -> tuple[int, int, np.float32]:
    """The two vectors of a `LineTable` that an image line lies between, and the second one's weight."""
    last = lines.size - 1
    at = min(max(float(line), lines[0]), lines[last])
    lower = min(max(np.searchsorted(lines, at, side="right") - 1, 0), max(last - 1, 0))
    upper = min(lower + 1, last)
    span = lines[upper] - lines[lower]
    return lower, upper, np.float32((at - lines[lower]) / span if span > 0.0 else 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def interpolate_row(lines: Floats, values: Float32s, line: int, left: int, out: Float32s) -> None:
    """Writes the values of a `LineTable` on one image line, from sample `left`, to `out` (samples,)."""
    lower, upper, weight = between(lines, line)
    below, above = values[lower, left : left + out.size], values[upper, left : left + out.size]
    for col in range(out.size):
        out[col] = below[col] + weight * (above[col] - below[col])
