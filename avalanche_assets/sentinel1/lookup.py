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
    values: Float32s

    @classmethod
    def from_vectors(cls, vectors: Sequence[XmlNode], name: str, samples: int) -> "LineTable":
        """Interpolates annotated vectors, each with pixels and a length of its own, to every sample.

        Args:
            vectors: Elements that hold `line`, `pixel` and the values.
            name: Name of the values' field.
            samples: Width of the image.

        Raises:
            SafeError: A field is missing or malformed, or pixels and values differ in number, or pixels
                decrease.
        """
        columns = np.arange(samples, dtype=np.float64)
        dense = []
        for vector in vectors:
            pixels, values = vector.numbers("pixel"), vector.numbers(name)
            if len(pixels) != len(values) or (np.diff(pixels) < 0).any():
                raise SafeError(
                    f"{vector.file}: {name} has {len(values)} values for {len(pixels)} pixels, which must "
                    "not decrease; download the product again"
                )
            dense.append(np.interp(columns, pixels, values))
        lines = np.array([vector.number("line") for vector in vectors])
        order = np.argsort(lines, kind="stable")
        return cls(lines[order], np.stack(dense)[order].astype(np.float32))

    def rows(self, first: int, count: int) -> Float32s:
        """Values on `count` image lines from `first`: shape (count, samples)."""
        out = np.empty((count, self.values.shape[1]), np.float32)
        for row in range(count):
            interpolate_row(self.lines, self.values, first + row, 0, out[row])
        return out


@njit(cache=True, nogil=True, error_model="numpy")
def interpolate_row(lines: Floats, values: Float32s, line: int, left: int, out: Float32s) -> None:
    """Writes the values of a `LineTable` on one image line, from sample `left`, to `out` (samples,)."""
    last = lines.size - 1
    at = min(max(float(line), lines[0]), lines[last])
    lower = min(max(np.searchsorted(lines, at, side="right") - 1, 0), max(last - 1, 0))
    upper = min(lower + 1, last)
    span = lines[upper] - lines[lower]
    weight = np.float32((at - lines[lower]) / span if span > 0.0 else 0.0)
    below, above = values[lower, left : left + out.size], values[upper, left : left + out.size]
    for col in range(out.size):
        out[col] = below[col] + weight * (above[col] - below[col])
