"""The level of a whole scene: medians of VV* and VH* over elevation bands, and what they are good for.

An avalanche covers far less than half of a band, so a band's median moves only when everything there does:
melt, refreezing, a calibration step (+3.2 dB on a real pair). Taking the medians out of a date is an option;
a choice of this project, the paper has none.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.tables import SCENE_LEVELS

CHANNELS = ("vv_star", "vh_star")
BAND_M = 200.0
LOWEST_M, HIGHEST_M = -600.0, 9000.0
BANDS = round((HIGHEST_M - LOWEST_M) / BAND_M)
LEAST_PIXELS = 500
"""A band with fewer has no level: speckle of 1.5 dB then leaves a median 0.1 dB uncertain."""
BIN_DB = 0.02
REACH_DB = 30.0
BINS = round(2 * REACH_DB / BIN_DB)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SceneLevels:
    """Medians of one date in dB.

    Attributes:
        elevation_m: Middles of the bands that have a level, ascending, (B,); empty without heights.
        bands: Channel name to the medians of these bands, (B,).
        scene: Channel name to the median over all heights, NaN without enough pixels.
        pixels: Pixels of these bands, (B,).
        scene_pixels: Pixels of all heights.
    """

    elevation_m: NDArray[np.float64]
    bands: Mapping[str, NDArray[np.float64]]
    scene: Mapping[str, float]
    pixels: NDArray[np.int64]
    scene_pixels: int

    def at(self, name: str, elevation: Floats) -> Floats:
        """The level at every height: between the middles of the bands linear, beyond them that of the last.

        Where the height is unknown it is that of all heights; 0 where that has none either.
        """
        scene = float(np.nan_to_num(self.scene[name], nan=0.0))
        if not len(self.elevation_m):
            return np.full(elevation.shape, scene, np.float32)
        level = np.interp(elevation, self.elevation_m, self.bands[name])
        return np.where(np.isnan(elevation), scene, level).astype(np.float32)

    @property
    def drop_db(self) -> float:
        """How far VV* fell at every height alike, 0 or less: the fall of the band that fell least.

        Wet snow lies below some height, so what fell at all heights is something else. Without heights the
        two cannot be told apart, and it is 0.
        """
        return float(min(0.0, self.bands["vv_star"].max(initial=-np.inf))) if len(self.elevation_m) else 0.0

    def to_table(self, acquisition_date: date) -> pa.Table:
        """The levels as `tables.SCENE_LEVELS`, the row of all heights first."""
        columns: dict[str, Any] = {
            "acquisition_date": [acquisition_date] * (1 + len(self.elevation_m)),
            "elevation_m": [None, *self.elevation_m.tolist()],
            "pixels": [self.scene_pixels, *self.pixels.tolist()],
        }
        for name in CHANNELS:
            scene = self.scene[name]
            columns[name] = [None if np.isnan(scene) else scene, *self.bands[name].tolist()]
        return pa.Table.from_pydict(columns, SCENE_LEVELS)

    @classmethod
    def from_table(cls, table: pa.Table) -> "SceneLevels":
        """The levels that `to_table` gave."""
        frame = table.to_pandas()
        scene, bands = frame.iloc[0], frame.iloc[1:]
        return cls(
            bands["elevation_m"].to_numpy(np.float64),
            {name: bands[name].to_numpy(np.float64) for name in CHANNELS},
            {name: float(scene[name]) for name in CHANNELS},
            bands["pixels"].to_numpy(np.int64),
            int(scene["pixels"]),
        )


class LevelCounter:
    """Counts values by elevation band and level as parts of a scene come; memory is that of the counts."""

    def __init__(self) -> None:
        self._counts = {name: np.zeros((BANDS + 1, BINS), np.int64) for name in CHANNELS}

    def add(self, bands: Mapping[str, NDArray[Any]], visible: NDArray[np.bool_], elevation: Floats) -> None:
        """Counts the visible pixels of one part; those of unknown height count for all heights only."""
        for name, counts in self._counts.items():
            _count(bands[name], visible, elevation, counts)

    def levels(self) -> SceneLevels:
        """The medians of everything counted."""
        pixels = np.minimum(*(counts.sum(axis=1) for counts in self._counts.values()))
        kept = np.flatnonzero(pixels[:BANDS] >= LEAST_PIXELS)
        return SceneLevels(
            np.asarray(LOWEST_M + (kept + 0.5) * BAND_M, np.float64),
            {
                name: np.array([_median(counts[band]) for band in kept], np.float64)
                for name, counts in self._counts.items()
            },
            {
                name: _median(counts.sum(axis=0)) if pixels.sum() >= LEAST_PIXELS else float("nan")
                for name, counts in self._counts.items()
            },
            pixels[kept],
            int(pixels.sum()),
        )


@njit(cache=True, nogil=True)
def _count(
    values: Floats, visible: NDArray[np.bool_], elevation: Floats, counts: NDArray[np.int64]
) -> None:  # pragma: no cover - compiled
    for row in range(values.shape[0]):
        for col in range(values.shape[1]):
            value, height = values[row, col], elevation[row, col]
            if not visible[row, col] or math.isnan(value):
                continue
            band = BANDS
            if LOWEST_M <= height < HIGHEST_M:
                band = int((height - LOWEST_M) / BAND_M)
            level = int(min(max((value + REACH_DB) / BIN_DB, 0.0), BINS - 1.0))
            counts[band, level] += 1


def _median(counts: NDArray[np.int64]) -> float:
    """The middle of the bin that holds the median."""
    middle = int(np.searchsorted(counts.cumsum(), (counts.sum() + 1) // 2))
    return (middle + 0.5) * BIN_DB - REACH_DB
