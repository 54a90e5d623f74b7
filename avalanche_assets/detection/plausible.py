"""Whether the detections of a date can be true.

Melt, a wrong calibration or a wrong reference lights up half of the corridors at once; avalanches do not.
Such a date is held back: it gets no bulletin, and no later date counts on its detections.
"""

from typing import TYPE_CHECKING

from avalanche_assets.errors import DetectorError
from avalanche_assets.settings import DetectionSettings

if TYPE_CHECKING:
    import geopandas as gpd

FEW = 20
"""So many detections say nothing of a share."""
REMEDY = (
    "compare VV* with its neighbours (melt, calibration, wrong reference) and mend the cause, or reject what "
    "is wrong in the reviews; where it is right, raise detection.max_detected_share; "
    "then make detections again"
)


def too_many(found: int, seen: int, choice: DetectionSettings) -> bool:
    """Whether `found` detections among `seen` observable corridors point to a wrong input."""
    return found > max(choice.max_detected_share * seen, FEW)


def held_back(detections: "gpd.GeoDataFrame", choice: DetectionSettings) -> bool:
    """Whether a detections table of one date is not published."""
    return too_many(*_counts(detections), choice)


def require_plausible(detections: "gpd.GeoDataFrame", choice: DetectionSettings, name: str) -> None:
    """Refuses the detections of a date that is held back.

    Raises:
        DetectorError: They are too many.
    """
    found, seen = _counts(detections)
    if too_many(found, seen, choice):
        raise DetectorError(f"{name}: {found} of {seen} observable corridors are detected; {REMEDY}")


def _counts(detections: "gpd.GeoDataFrame") -> tuple[int, int]:
    """Detections, and observable corridors."""
    return int(detections["is_detection"].sum()), int(detections["observable"].sum())
