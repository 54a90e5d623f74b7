"""Samples for detectors: (corridor, acquisition) pairs that share their patches instead of copying them.

A VV* patch is stored once and serves as `vv_star` of its own date and `vv_star_old` of the next one, so old
and new can never disagree and a winter of 2,400 corridors fits in memory as float16.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.errors import DetectorError
from avalanche_assets.patches.terrain_channels import DERIVED

Patches16 = NDArray[np.float16]
Patches32 = NDArray[np.float32]
Index = NDArray[np.int64]

BACKSCATTER = ("vv_star", "vh_star")
TERRAIN = ("elevation", "slope", "aspect", "local_incidence", "visible", "inside")
CHANNELS = (*BACKSCATTER, "vv_star_old", "vh_star_old", "dvv", "dvh", *TERRAIN, *DERIVED)
"""Names `PatchSamples.channel` knows; dB for backscatter, degrees for angles, metres for heights and
distances, NaN where no value."""


@dataclass(frozen=True)
class PatchSamples:
    """N samples over M backscatter patches and C terrain patches, each 64 x 64 pixels.

    Attributes:
        corridor_ids: Corridor of every sample, length N.
        dates: Acquisition date of every sample, length N.
        backscatter: ``vv_star`` and ``vh_star``, each float16 (M, 64, 64), dB, NaN where no value.
        terrain: The `TERRAIN` channels that exist, each (C, 64, 64).
        current: Row in `backscatter` of every sample, length N.
        previous: Row in `backscatter` of the sample's previous acquisition, length N.
        corridor: Row in `terrain` and `places` of every sample, length N.
        places: Values of a corridor by name, each (C,), see `terrain_channels.PLACES`.
    """

    corridor_ids: Sequence[str]
    dates: Sequence[date]
    backscatter: dict[str, Patches16]
    terrain: dict[str, NDArray[np.floating]]
    current: Index
    previous: Index
    corridor: Index
    places: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.current)

    def channel(self, name: str, rows: Index | slice = slice(None)) -> Patches32:
        """One channel of the chosen samples as float32 (n, 64, 64).

        Raises:
            DetectorError: The name is none of `CHANNELS`, or this channel was not loaded.
        """
        if name in ("dvv", "dvh"):
            base = f"{name[1:]}_star"
            return self.channel(base, rows) - self.channel(f"{base}_old", rows)
        if (stored := self._stored(name, rows)) is not None:
            return stored.astype(np.float32)
        if name in DERIVED and self.places:
            return DERIVED[name](lambda base: self.channel(base, rows), lambda base: self._place(base, rows))
        raise DetectorError(f"samples have no channel {name!r}; known are {CHANNELS}")

    def fill(self, name: str, out: Patches32) -> None:
        """Writes one channel of all samples to `out`, in one pass where it is stored; see `channel`."""
        stored = self._stored(name, slice(None))
        out[:] = self.channel(name) if stored is None else stored

    def _stored(self, name: str, rows: Index | slice) -> NDArray[np.floating] | None:
        """A channel of the chosen samples as it is stored, None where it has to be worked out."""
        if name in self.backscatter:
            return self.backscatter[name][self.current[rows]]
        if name.removesuffix("_old") in self.backscatter:
            return self.backscatter[name.removesuffix("_old")][self.previous[rows]]
        if name in self.terrain:
            return self.terrain[name][self.corridor[rows]]
        return None

    def _place(self, name: str, rows: Index | slice) -> Patches32:
        """A value of the chosen samples' corridors (n, 1, 1)."""
        return self.places[name][self.corridor[rows]].astype(np.float32)[:, None, None]

    def subset(self, rows: NDArray[np.bool_] | Index) -> "PatchSamples":
        """The chosen samples; the patches stay shared."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            corridor_ids=[self.corridor_ids[i] for i in index],
            dates=[self.dates[i] for i in index],
            current=self.current[index],
            previous=self.previous[index],
            corridor=self.corridor[index],
        )
