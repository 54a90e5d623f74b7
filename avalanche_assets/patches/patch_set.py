"""A season's patches as batches of any channels, streamed from the stored tables.

Only ids, fractions and labels of all dates are held, and the terrain of the corridors, once each. Patches are
read by row groups of 256 into a pool of a few groups from several dates and massifs, mixed there, and given
out, so that memory follows the batch and not the season.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.errors import DetectorError
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.correction import elevation_of, stored_levels, without_level
from avalanche_assets.patches.loading import Terrain, read_terrain, tensors
from avalanche_assets.patches.observability import MINIMUM
from avalanche_assets.patches.pairs import dates_with_previous, joined, pair, stored_date
from avalanche_assets.patches.samples import BACKSCATTER, CHANNELS, PatchSamples
from avalanche_assets.patches.scene_level import SceneLevels
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import CORRIDOR_PATCHES, PATCH_SIZE, PATCHES_PER_GROUP, open_table

PAPER_CHANNELS = ("vv_star", "vv_star_old", "slope", "aspect")
"""The four channels of Sinha et al. 2019."""
POOL_GROUPS = 8
"""Row groups mixed with each other: about 2,000 patches, 16 MB a channel and date."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class PatchBatch:
    """Some patches of a set.

    Attributes:
        rows: Their rows (n,) in `PatchSet.pairs`.
        images: float32 (n, channels, 64, 64), dB, degrees or metres; NaN where no value.
    """

    rows: Rows
    images: NDArray[np.float32]


@dataclass(frozen=True)
class PatchSet:
    """Pairs of a corridor and an acquisition, and the channels wanted of each.

    Attributes:
        layout: Where tables lie.
        pairs: `pairs.COLUMNS` of every pair; `current` and `previous` are rows of the dates' files.
        channels: Names of `samples.CHANNELS`.
        terrain: Static channels of the corridors.
        corridor: Row in `terrain` of every pair.
        corrected: Whether the scene's level is taken out of VV* and VH*.
    """

    layout: DataLayout
    pairs: pd.DataFrame
    channels: tuple[str, ...]
    terrain: Terrain
    corridor: Rows
    corrected: bool = False

    @classmethod
    def open(
        cls,
        layout: DataLayout,
        catalogue: AcquisitionCatalogue,
        dates: Sequence[date | str],
        channels: Sequence[str] = PAPER_CHANNELS,
        *,
        corridors: Collection[str] | None = None,
        detection: DetectionSettings = MINIMUM,
        corrected: bool = False,
    ) -> "PatchSet":
        """The pairs of some dates that have a previous acquisition, in order of date and massif.

        Args:
            layout: Where tables lie.
            catalogue: Knows the previous acquisition of a date.
            dates: Dates wanted, any order.
            channels: Channels of an image, in this order.
            corridors: Ids of the corridors wanted, or None for all.
            detection: Smallest valid and visible shares of an observable pair.
            corrected: Whether to take the scene's level out, see `correction`.

        Raises:
            DetectorError: A channel is unknown.
            TableError: A table is missing or damaged, or terrain lacks a corridor.
        """
        if unknown := [name for name in channels if name not in CHANNELS]:
            raise DetectorError(f"patches have no channels {unknown}; known are {CHANNELS}")
        days = dates_with_previous(catalogue, dates)
        stored = {day: stored_date(layout, day) for day in sorted({day for both in days for day in both})}
        table = joined([pair(layout, both, stored[both[0]], stored[both[1]], detection) for both in days])
        if corridors is not None:
            table = table[table["corridor_id"].isin(list(corridors))].reset_index(drop=True)
        terrain, rows = read_terrain(layout, table["corridor_id"].tolist())
        return cls(layout, table, tuple(channels), terrain, rows, corrected)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def observable(self) -> NDArray[np.bool_]:
        """Whether each pair can be scored."""
        return np.asarray(self.pairs["reason"].isna())

    def select(self, chosen: NDArray[np.bool_]) -> "PatchSet":
        """The chosen pairs, e.g. the observable negatives of one role."""
        pairs = self.pairs[chosen].reset_index(drop=True)
        return replace(self, pairs=pairs, corridor=self.corridor[chosen])

    def batches(self, size: int, seed: int | None = None) -> Iterator[PatchBatch]:
        """Every pair once, in batches of `size` and a last one of what is left.

        Args:
            size: Pairs of a batch.
            seed: Mixes the pairs: row groups of all dates come in random order and their pairs mix in a pool
                of `POOL_GROUPS`. Without one they come in the order of `pairs`.

        Raises:
            TableError: A table is missing or damaged.
            DetectorError: A channel is not stored.
        """
        random = None if seed is None else np.random.default_rng(seed)
        groups = self._groups()
        if random is not None:
            groups = [groups[index] for index in random.permutation(len(groups))]
        with ExitStack() as stack:
            files = _Files(self.layout, stack)
            rows: Rows = np.empty(0, np.int64)
            pool: dict[str, NDArray[np.float16]] = {}
            for first in range(0, len(groups), POOL_GROUPS):
                fresh = np.concatenate(groups[first : first + POOL_GROUPS])
                read = self._read(files, fresh)
                pool = {
                    name: np.concatenate([pool[name], new]) if pool else new for name, new in read.items()
                }
                rows = np.concatenate([rows, fresh])
                last = first + POOL_GROUPS >= len(groups)
                order = np.arange(len(rows)) if random is None else random.permutation(len(rows))
                given = len(rows) if last else len(rows) // size * size
                for start in range(0, given, size):
                    taken = order[start : min(start + size, given)]
                    yield PatchBatch(rows[taken], self._images(rows[taken], pool, taken))
                rest = order[given:]
                rows, pool = rows[rest], {name: values[rest] for name, values in pool.items()}

    def _groups(self) -> list[Rows]:
        """Rows of `pairs` that lie in one row group of one date, in order."""
        if not len(self.pairs):
            return []
        days = pd.factorize(self.pairs["date"])[0]
        key = np.stack([days, self.pairs["current"].to_numpy(np.int64) // PATCHES_PER_GROUP])
        borders = np.flatnonzero((np.diff(key) != 0).any(axis=0)) + 1
        return np.split(np.arange(len(self.pairs)), borders)

    def _needed(self) -> list[str]:
        """Stored backscatter that the channels need: names, with ``_old`` for the previous date's."""
        needed: set[str] = set()
        for channel in self.channels:
            if channel in ("dvv", "dvh"):
                needed |= {f"{channel[1:]}_star", f"{channel[1:]}_star_old"}
            elif channel.removesuffix("_old") in BACKSCATTER:
                needed.add(channel)
        return sorted(needed)

    def _read(self, files: "_Files", rows: Rows) -> dict[str, NDArray[np.float16]]:
        """The needed backscatter of the pairs, each (n, 64, 64)."""
        needed = self._needed()
        patches = {name: np.empty((len(rows), PATCH_SIZE, PATCH_SIZE), np.float16) for name in needed}
        for suffix, day, column in (("", "date", "current"), ("_old", "previous_date", "previous")):
            names = [name.removesuffix("_old") for name in needed if name.endswith("_old") == bool(suffix)]
            if not names:
                continue
            wanted = self.pairs.iloc[rows]
            places: dict[tuple[date, int], list[int]] = defaultdict(list)
            file_rows = wanted[column].to_numpy(np.int64)
            for place, (when, row) in enumerate(zip(wanted[day], file_rows, strict=True)):
                places[when, int(row) // PATCHES_PER_GROUP].append(place)
            for (when, group), members in places.items():
                table = files.group(when, group, names)
                local = file_rows[members] - group * PATCHES_PER_GROUP
                for name in names:
                    values = tensors(table.column(name))[_run(local)]
                    if self.corrected:
                        elevation = elevation_of(self.terrain.patches, self.corridor[rows[members]])
                        values = without_level(values, files.levels(when), name, elevation)
                    patches[name + suffix][_run(np.array(members))] = values
        return patches

    def _images(self, rows: Rows, pool: dict[str, NDArray[np.float16]], taken: Rows) -> NDArray[np.float32]:
        """Images of the pairs `rows`, whose patches are those `taken` from the pool."""
        samples = PatchSamples(
            self.pairs["corridor_id"].to_numpy(object)[rows].tolist(),
            self.pairs["date"].to_numpy(object)[rows].tolist(),
            pool,
            self.terrain.patches,
            taken,
            taken,  # the pool holds patches of the previous date under names of their own
            self.corridor[rows],
            self.terrain.places,
        )
        images = np.empty((len(taken), len(self.channels), PATCH_SIZE, PATCH_SIZE), np.float32)
        for index, channel in enumerate(self.channels):
            samples.fill(channel, images[:, index])
        return images


def _run(rows: Rows) -> Rows | slice:
    """Rows that follow each other as a slice, which copies nothing."""
    consecutive = len(rows) == rows[-1] - rows[0] + 1 and bool((np.diff(rows) == 1).all())
    return slice(rows[0], rows[-1] + 1) if consecutive else rows


class _Files:
    """The dates' tables, opened when first needed, and their scene levels."""

    def __init__(self, layout: DataLayout, stack: ExitStack) -> None:
        self._layout, self._stack = layout, stack
        self._open: dict[date, pq.ParquetFile] = {}
        self._levels: dict[date, SceneLevels] = {}

    def group(self, day: date, group: int, names: list[str]) -> pa.Table:
        """Columns of one row group of a date's patches."""
        if day not in self._open:
            path = self._layout.corridor_patches(day)
            self._open[day] = self._stack.enter_context(open_table(path, CORRIDOR_PATCHES))
        return self._open[day].read_row_group(group, columns=names, use_threads=False)

    def levels(self, day: date) -> SceneLevels:
        """Scene levels of a date."""
        if day not in self._levels:
            self._levels[day] = stored_levels(self._layout, day)
        return self._levels[day]
