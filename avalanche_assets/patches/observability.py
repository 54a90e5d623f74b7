"""Which corridors an acquisition can say something about, and why not the others."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.settings import DetectionSettings

NO_PREVIOUS = "no previous acquisition"
NOT_PROCESSED = "previous acquisition not processed"
OUTSIDE_SWATH = "outside swath"
HIDDEN = "layover or shadow"

MINIMUM = DetectionSettings()
"""The default smallest shares."""


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
