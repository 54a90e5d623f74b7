"""Counts of a detections table: what bulletins and the season report say in numbers.

Every corridor falls in exactly one of four groups: new detection, persisting detection, quiet (seen, nothing
detected) and hidden (not observable). The groups add up to the corridors, so that no corridor is silently
dropped or taken for quiet.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import geopandas as gpd
import numpy as np

from avalanche_assets.detection.geopackage import NOT_OBSERVABLE_STATUS, QUIET_STATUS, corridor_status
from avalanche_assets.reporting.language import COMPASS, marked

OUTSIDE = marked("outside all massifs")

USUAL_GAP_DAYS = 6
SMALLEST_OBSERVABLE_SHARE = 0.2
"""Below it the corridors that could be judged say too little of the others for an index."""

BAND_EDGES_M = (-np.inf, 1200.0, 1500.0, 1800.0, 2100.0, 2400.0, np.inf)
"""Elevation bands of 300 m, as in the bulletins of the French Alps."""


@dataclass(frozen=True)
class Counts:
    """Corridors by outcome; `a`, `b` and `c` split the detections by quality.

    Attributes:
        total: All corridors.
        new: Detections not seen at the previous acquisition.
        persisting: Detections seen before.
        a: Detections of quality A.
        b: Detections of quality B.
        c: Detections of quality C.
        quiet: Seen, nothing detected.
        hidden: Not observable.
    """

    total: int
    new: int
    persisting: int
    a: int
    b: int
    c: int
    quiet: int
    hidden: int

    @property
    def detections(self) -> int:
        """New and persisting."""
        return self.new + self.persisting

    @property
    def observable(self) -> int:
        """Corridors that could be judged."""
        return self.total - self.hidden


def count(detections: gpd.GeoDataFrame) -> Counts:
    """Counts the rows of a detections table or of a part of one."""
    states = Counter(detections["new_or_persisting"].dropna())
    qualities = Counter(detections["quality"].dropna())
    status = Counter(corridor_status(detections))
    return Counts(
        total=len(detections),
        new=states["new"],
        persisting=states["persisting"],
        a=qualities["A"],
        b=qualities["B"],
        c=qualities["C"],
        quiet=status[QUIET_STATUS],
        hidden=status[NOT_OBSERVABLE_STATUS],
    )


def activity_index(counts: Counts, gap_days: int | None) -> float | None:
    """New detections per 100 corridors that could be judged and six days; None where that says nothing.

    Comparable between dates: neither the number of corridors seen nor the length of the window matters. It
    is unknown without a previous pass, and where less than `SMALLEST_OBSERVABLE_SHARE` could be judged.
    """
    if gap_days is None or counts.observable < max(1.0, SMALLEST_OBSERVABLE_SHARE * counts.total):
        return None
    return 100 * counts.new / counts.observable * USUAL_GAP_DAYS / gap_days


@dataclass(frozen=True)
class Change:
    """What became of the corridors with a detection at the previous acquisition.

    Attributes:
        still: Detected again, the same anomaly or another one.
        gone: Seen, and nothing detected any more.
        unseen: Not observable this time: nothing is known.
    """

    still: int
    gone: int
    unseen: int


def change_since(before: gpd.GeoDataFrame, now: gpd.GeoDataFrame) -> Change:
    """Compares the detections tables of two dates."""
    detected = before.loc[before["is_detection"].to_numpy(bool), "corridor_id"]
    status = Counter(corridor_status(now[now["corridor_id"].isin(detected)]))
    unseen, gone = status[NOT_OBSERVABLE_STATUS], status[QUIET_STATUS]
    return Change(still=status.total() - unseen - gone, gone=gone, unseen=unseen)


@dataclass(frozen=True)
class Part:
    """Detections in one elevation band or aspect.

    Attributes:
        name: Compass point, or empty.
        low_m: Lower edge of the band, None for none.
        high_m: Upper edge of the band, None for none.
        new: New detections.
        persisting: Detections seen before.
    """

    new: int
    persisting: int
    name: str = ""
    low_m: float | None = None
    high_m: float | None = None


def count_by_elevation(detections: gpd.GeoDataFrame) -> list[Part]:
    """Detections by elevation band of the middle of the deposit, highest first; unknown ones left out."""
    found = detections[detections["is_detection"].to_numpy(bool)]
    middle = (found["elevation_min_m"] + found["elevation_max_m"]).to_numpy(float, na_value=np.nan) / 2
    bands = []
    for low, high in pairwise(BAND_EDGES_M):
        new, persisting = _new_and_persisting(found[(middle >= low) & (middle < high)])
        edges = (edge if np.isfinite(edge) else None for edge in (low, high))
        bands.append(Part(new, persisting, "", *edges))
    return bands[::-1]


def count_by_aspect(detections: gpd.GeoDataFrame) -> list[Part]:
    """Detections by aspect of the deposit, clockwise from north; flat and unknown ones left out."""
    found = detections[detections["is_detection"].to_numpy(bool)]
    aspect = found["aspect_deg"].to_numpy(float, na_value=np.nan)
    sector = np.where(np.isfinite(aspect), np.round(np.nan_to_num(aspect) / 45) % 8, -1)
    counted = [_new_and_persisting(found[sector == number]) for number in range(len(COMPASS))]
    return [Part(new, persisting, name) for (new, persisting), name in zip(counted, COMPASS, strict=True)]


def _new_and_persisting(found: gpd.GeoDataFrame) -> tuple[int, int]:
    states = Counter(found["new_or_persisting"])
    return states["new"], states["persisting"]


def count_by_massif(detections: gpd.GeoDataFrame) -> dict[tuple[int, str], Counts]:
    """Counts of every massif by number and name, in order of the official number."""
    groups = detections.groupby(["massif_id", "massif"], sort=True, dropna=False)
    return {
        (int(identifier), massif_name(int(identifier), name)): count(group)
        for (identifier, name), group in groups
    }


def massif_name(identifier: int, name: str) -> str:
    """Name of a massif; number 0 stands for outside all of them."""
    return name if identifier else OUTSIDE


def reasons(detections: gpd.GeoDataFrame) -> list[tuple[str, int]]:
    """Why corridors were not observable, with their number, most frequent first."""
    hidden = detections[~detections["observable"].to_numpy(bool)]
    counted = Counter(str(reason) for reason in hidden["reason"])
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))
