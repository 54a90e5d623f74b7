"""Look-up tables given on image lines, as calibration and range-noise annotations are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.xml_fields import XmlNode

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class LineTable:
    """Values on some lines of an image, at every sample; bilinear in between, constant beyond the ends.

    Attributes:
        lines: Increasing line numbers, shape (n,); the last may lie before or beyond the image's last line.
        values: Shape (n, samples).
    """

    lines: Floats
    values: Floats

    @classmethod
    def from_vectors(cls, vectors: Sequence[XmlNode], name: str, samples: int) -> "LineTable":
        """Interpolates annotated vectors, each with pixels and a length of its own, to every sample.

        Args:
            vectors: Elements that hold `line`, `pixel` and the values.
            name: Name of the values' field.
            samples: Width of the image.

        Raises:
            SafeError: A field is missing or malformed, or pixels and values differ in number.
        """
        columns = np.arange(samples, dtype=np.float64)
        dense = []
        for vector in vectors:
            pixels, values = vector.numbers("pixel"), vector.numbers(name)
            if len(pixels) != len(values):
                raise SafeError(
                    f"{vector.file}: {name} has {len(values)} values for {len(pixels)} pixels; "
                    "download the product again"
                )
            dense.append(np.interp(columns, pixels, values))
        lines = np.array([vector.number("line") for vector in vectors])
        order = np.argsort(lines, kind="stable")
        return cls(lines[order], np.stack(dense)[order])

    def rows(self, first: int, count: int) -> Float32s:
        """Values on `count` image lines from `first`: shape (count, samples)."""
        out = np.empty((count, self.values.shape[1]), np.float32)
        _interpolate(self.lines, self.values, first, out)
        return out


@njit(cache=True, nogil=True)
def _interpolate(lines: Floats, values: Floats, first: int, out: Float32s) -> None:
    last = lines.size - 1
    for row in range(out.shape[0]):
        line = min(max(float(first + row), lines[0]), lines[last])
        lower = min(max(np.searchsorted(lines, line, side="right") - 1, 0), max(last - 1, 0))
        upper = min(lower + 1, last)
        span = lines[upper] - lines[lower]
        weight = (line - lines[lower]) / span if span > 0.0 else 0.0
        for col in range(out.shape[1]):
            out[row, col] = (1.0 - weight) * values[lower, col] + weight * values[upper, col]
