"""Which corridors an acquisition can say something about, and why not the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import Acquisition, AcquisitionCatalogue
from avalanche_assets.layout import DataLayout
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import CORRIDOR_PATCHES, read_table

NO_PREVIOUS = "no previous acquisition"
OUTSIDE_SWATH = "outside swath"
HIDDEN = "layover or shadow"
REASONS = (NO_PREVIOUS, OUTSIDE_SWATH, HIDDEN)

MINIMUM = DetectionSettings()
"""The default smallest shares."""


@dataclass(frozen=True)
class Observability:
    """What can be observed of each corridor at one acquisition.

    Attributes:
        corridor_ids: Corridors in stored order.
        previous: The previous acquisition, None without one.
        gap_days: Days since it, None without one.
        reasons: Why a corridor cannot be observed, None where it can.
    """

    corridor_ids: Sequence[str]
    previous: Acquisition | None
    gap_days: int | None
    reasons: NDArray[np.object_]

    @property
    def observable(self) -> NDArray[np.bool_]:
        """Whether each corridor can be observed."""
        return np.array([reason is None for reason in self.reasons], bool)


def observability(
    layout: DataLayout,
    catalogue: AcquisitionCatalogue,
    day: str,
    detection: DetectionSettings = MINIMUM,
) -> Observability:
    """Observability of all corridors at one acquisition, from stored patch tables.

    Raises:
        TableError: The patches of the date or of its previous one are missing or damaged.
    """
    current = _fractions(layout, day)
    ids = current.column("corridor_id").to_pylist()
    previous = catalogue.previous(day)
    if previous is None:
        return Observability(ids, None, None, np.full(len(ids), NO_PREVIOUS, object))
    before = _fractions(layout, str(previous.date))
    row = pd.Index(before.column("corridor_id").to_pandas()).get_indexer(ids)
    reasons = np.full(len(ids), NO_PREVIOUS, object)
    paired = row >= 0
    reasons[paired] = patch_reasons(current.filter(pa.array(paired)), before.take(row[paired]), detection)
    return Observability(ids, previous, (catalogue.get(day).date - previous.date).days, reasons)


def patch_reasons(current: pa.Table, previous: pa.Table, detection: DetectionSettings) -> NDArray[np.object_]:
    """Why pairs of patches cannot be scored, None where they can.

    The poorer patch of a pair counts. Terrain is named before the swath: pixels in layover or shadow have no
    value either.

    Args:
        current: Columns valid_fraction and visible_fraction, N rows.
        previous: The same of the previous acquisition, row by row.
        detection: Smallest shares.
    """
    valid, visible = (
        np.minimum(current.column(name).to_numpy(), previous.column(name).to_numpy())
        for name in ("valid_fraction", "visible_fraction")
    )
    reasons = np.full(len(valid), None, object)
    reasons[valid < detection.min_valid_fraction] = OUTSIDE_SWATH
    reasons[visible < detection.min_visible_fraction] = HIDDEN
    return reasons


def _fractions(layout: DataLayout, day: str) -> pa.Table:
    columns = ["corridor_id", "valid_fraction", "visible_fraction"]
    return read_table(layout.corridor_patches(day), CORRIDOR_PATCHES, columns)
