"""Loading stored patches as samples: each patch once, joined with the previous date's, labels alongside."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.errors import TableError
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.batches import PatchBatch, Seed
from avalanche_assets.patches.observability import MINIMUM
from avalanche_assets.patches.pairs import StoredDate, dates_with_previous, joined, pair
from avalanche_assets.patches.samples import BACKSCATTER, TERRAIN, PatchSamples
from avalanche_assets.patches.terrain_channels import PLACES
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import (
    CORRIDOR_PATCHES,
    PATCH_SIZE,
    TERRAIN_PATCHES,
    read_table,
)

Words = NDArray[np.object_]


@dataclass(frozen=True)
class LoadedSamples:
    """Samples and what is known about each of them; all arrays have the length of `samples`.

    Attributes:
        samples: The patches.
        new: Label state in (previous, current], a word of `tables.LABEL_STATES`.
        recent: Label state in the days up to current.
        observable: Whether the pair of patches can be scored.
        reasons: Why not, None where observable.
    """

    samples: PatchSamples
    new: Words
    recent: Words
    observable: NDArray[np.bool_]
    reasons: Words

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def corridor_ids(self) -> Sequence[str]:
        """Corridor of each sample."""
        return self.samples.corridor_ids

    @property
    def dates(self) -> Sequence[date]:
        """Acquisition date of each sample."""
        return self.samples.dates

    def stream(self, channels: Sequence[str], size: int, seed: Seed = None) -> Iterator[PatchBatch]:
        """`PatchSamples.stream`."""
        return self.samples.stream(channels, size, seed)

    def labels(self, window: str) -> Words:
        """Label states of one window, ``new`` or ``recent``."""
        return {"new": self.new, "recent": self.recent}[window]

    def subset(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "LoadedSamples":
        """The chosen samples; the patches stay shared."""
        return replace(
            self,
            samples=self.samples.subset(rows),
            new=self.new[rows],
            recent=self.recent[rows],
            observable=self.observable[rows],
            reasons=self.reasons[rows],
        )


def load_samples(
    layout: DataLayout,
    catalogue: AcquisitionCatalogue,
    dates: Sequence[date | str],
    corridors: Collection[str] | None = None,
    detection: DetectionSettings = MINIMUM,
) -> LoadedSamples:
    """All (corridor, acquisition) pairs of some dates that have a previous acquisition.

    A date without a previous acquisition contributes no samples. A date without label table is unobserved,
    and without terrain table the samples have no terrain channels.

    Args:
        layout: Where tables lie.
        catalogue: Knows the previous acquisition of a date.
        dates: Dates wanted, any order; samples come in order of date and stored corridor.
        corridors: Ids of the corridors wanted, or None for all.
        detection: Smallest valid and visible shares of an observable patch.

    Raises:
        TableError: Patches of a date or of its previous one are missing or damaged, or terrain patches lack a
            corridor.
    """
    pairs = dates_with_previous(catalogue, dates)
    wanted = None if corridors is None else pd.Index(list(corridors))
    backscatter, stored = _read_backscatter(layout, sorted({day for both in pairs for day in both}), wanted)
    parts = [pair(layout, both, stored[both[0]], stored[both[1]], detection) for both in pairs]
    table = joined(parts)
    ids = table["corridor_id"].tolist()
    terrain, corridor_rows = read_terrain(layout, ids)
    reasons = table["reason"].to_numpy(object)
    return LoadedSamples(
        PatchSamples(
            ids,
            table["date"].tolist(),
            backscatter,
            terrain.patches,
            table["current"].to_numpy(np.int64),
            table["previous"].to_numpy(np.int64),
            corridor_rows,
            terrain.places,
        ),
        table["new"].to_numpy(object),
        table["recent"].to_numpy(object),
        np.array([reason is None for reason in reasons], bool),
        reasons,
    )


def _read_backscatter(
    layout: DataLayout, days: list[str], wanted: pd.Index | None
) -> tuple[dict[str, NDArray[np.float16]], dict[str, StoredDate]]:
    """Patches of all days one after the other in one array a channel, and where each day's lie."""
    rows = 0
    for day in days:
        path = layout.corridor_patches(day)
        rows += read_table(path, CORRIDOR_PATCHES, ["corridor_id"]).num_rows if path.exists() else 0
    patches = {name: np.empty((rows, PATCH_SIZE, PATCH_SIZE), np.float16) for name in BACKSCATTER}
    stored: dict[str, StoredDate] = {}
    filled = 0
    for day in days:
        table = read_table(layout.corridor_patches(day), CORRIDOR_PATCHES)
        ids = pd.Index(table.column("corridor_id").to_pandas())
        keep = np.ones(len(ids), bool) if wanted is None else ids.isin(wanted)
        count = int(keep.sum())
        for name in BACKSCATTER:
            patches[name][filled : filled + count] = tensors(table.column(name))[keep]
        fractions = table.select(["valid_fraction", "visible_fraction"]).filter(pa.array(keep))
        stored[day] = StoredDate(ids[keep], fractions, filled)
        filled += count
    return {name: values[:filled] for name, values in patches.items()}, stored


@dataclass(frozen=True)
class Terrain:
    """Static channels of corridors: `patches` (C, 64, 64) and values `places` (C,) by name."""

    patches: dict[str, NDArray[np.floating]]
    places: dict[str, NDArray[np.float32]]


def read_terrain(layout: DataLayout, ids: Sequence[str]) -> tuple[Terrain, NDArray[np.int64]]:
    """The terrain of the corridors named, each once, and the row (N,) of every name; empty if not stored.

    Raises:
        TableError: The table is damaged or lacks a corridor.
    """
    path = layout.terrain_patches
    if not path.exists():
        return Terrain({}, {}), np.zeros(len(ids), np.int64)
    table = read_table(path, TERRAIN_PATCHES)
    known = pd.Index(table.column("corridor_id").to_pandas())
    rows = known.get_indexer(ids)
    if (rows < 0).any():
        missing = sorted({name for name, row in zip(ids, rows, strict=True) if row < 0})
        raise TableError(f"{path}: lacks the corridors {missing[:5]}; materialise terrain_patches again")
    used, local = np.unique(rows, return_inverse=True)
    terrain = Terrain(
        {name: tensors(table.column(name))[used] for name in TERRAIN},
        {name: table.column(name).to_pandas().to_numpy(np.float32)[used] for name in PLACES},
    )
    return terrain, local.astype(np.int64)


def tensors(column: pa.ChunkedArray) -> NDArray[np.floating]:
    """A column of patches as (N, 64, 64)."""
    chunks = [chunk.to_numpy_ndarray() for chunk in column.chunks if len(chunk)]
    if not chunks:
        return np.empty((0, PATCH_SIZE, PATCH_SIZE), np.float16)
    return np.concatenate(chunks) if len(chunks) > 1 else np.asarray(chunks[0])
