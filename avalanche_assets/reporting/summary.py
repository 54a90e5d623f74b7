"""Counts of a detections table: what bulletins and the season report say in numbers.

Every corridor falls in exactly one of four groups: new detection, persisting detection, quiet (seen, nothing
detected) and hidden (not observable). The groups add up to the corridors, so that no corridor is silently
dropped or taken for quiet.
"""

from collections import Counter
from dataclasses import dataclass

import geopandas as gpd

from avalanche_assets.detection.geopackage import NOT_OBSERVABLE_STATUS, QUIET_STATUS, corridor_status

OUTSIDE = "outside all massifs"


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
