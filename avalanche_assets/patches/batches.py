"""What detectors learn from: pairs of a corridor and an acquisition, given out as batches of images.

`PatchSet` streams them from the stored tables, `LoadedSamples` from memory; both give the same numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Seed = int | Sequence[int] | None


@dataclass(frozen=True)
class PatchBatch:
    """Some patches of a set.

    Attributes:
        rows: Their rows (n,) in the set.
        images: float32 (n, channels, 64, 64), dB, degrees or metres; NaN where no value.
        channels: Names of the channels, in their order.
    """

    rows: Rows
    images: NDArray[np.float32]
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, channel: str) -> NDArray[np.float32]:
        """One channel (n, 64, 64); ``dvv`` and ``dvh`` follow from the two dates."""
        if channel in self.channels:
            return self.images[:, self.channels.index(channel)]
        star = f"{channel[1:]}_star"
        return self[star] - self[f"{star}_old"]


class PatchSource(Protocol):
    """Pairs of a corridor and an acquisition with what is known about each of them."""

    def __len__(self) -> int: ...

    @property
    def corridor_ids(self) -> Sequence[str]:
        """Corridor of every pair."""

    @property
    def dates(self) -> Sequence[date]:
        """Acquisition date of every pair."""

    @property
    def observable(self) -> NDArray[np.bool_]:
        """Whether each pair can be scored."""

    def labels(self, window: str) -> NDArray[np.object_]:
        """Label state of every pair in a window, ``new`` or ``recent``."""

    def subset(self, rows: NDArray[np.bool_]) -> Self:
        """The chosen pairs."""

    def stream(self, channels: Sequence[str], size: int, seed: Seed = None) -> Iterator[PatchBatch]:
        """Every pair once, in batches of `size` and a last one of what is left; mixed with a seed."""
