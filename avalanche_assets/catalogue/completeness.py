"""Whether the slices of one pass are all there: they abut, and they cover the area within the swath.

The swath is the strip that the slices' footprints define. Its sides are followed beyond the first and the
last slice, so that a pass whose first slice was never delivered is told from one that only clips the area.
Corners are joined by straight lines in an equal-area projection around the area, where the lines of an image
(great circles) are straight to some metres.

Sides are extended as straight lines. They do curve, because the Earth turns below the satellite: by 0.8 km
over the length of a missing slice, some 4 km over four degrees of latitude, both to the same side. A share
differs by less than 0.2 % of what is missing, and nothing of what is there.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), manifest, footPrint; slices of one data take
share their border lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from avalanche_assets.catalogue.interface import LonLatBounds, ProductOffer

Floats = NDArray[np.float64]

MAX_GAP = timedelta(seconds=1)
"""Slices of one data take abut to a millisecond, but names carry whole seconds only."""
MIN_SHARE = 0.995
"""Share of the area within the swath that slices have to cover.

Corners of neighbours differ by some 100 m across their border, 0.04 % of a slice; half a percent of three
degrees of latitude is a strip of 1.7 km or 0.25 s, less than any slice.
"""
GROUND_SPEED_M_S = 6760.0
"""How fast the image grows along the ground."""
_BEYOND_M = 200e3
"""Sides are followed so much further north and south than the area, as border lines slope against them."""
_BOX_STEPS = 50


@dataclass(frozen=True)
class Completeness:
    """What was found of the slices of one pass.

    Attributes:
        complete: They abut and, where that can be told, cover the area within the swath.
        covered_share: Of the area within the swath, 0 to 1; None when it cannot be told.
        reason: What is missing or was not checked, for an operator; empty when all is there.
    """

    complete: bool
    covered_share: float | None
    reason: str


def check_slices(slices: Sequence[ProductOffer], area: LonLatBounds | None) -> Completeness:
    """Whether slices of one pass abut and cover the area within their swath.

    Args:
        slices: At least one, of one pass, none of which overlap, in any order.
        area: What has to be covered; None when only abutting counts.
    """
    in_time = sorted(slices, key=lambda item: item.start)
    gaps = [
        f"gap of {(later.start - earlier.stop).total_seconds():.0f} s between {earlier.name} and {later.name}"
        for earlier, later in pairwise(in_time)
        if later.start - earlier.stop > MAX_GAP
    ]
    if area is None:
        return Completeness(not gaps, None, "; ".join(gaps))
    projection = _Local.around(area)
    footprints = [projection.footprint(item.footprint) for item in in_time]
    if blind := [item.name for item, known in zip(in_time, footprints, strict=True) if known is None]:
        unchecked = f"coverage of the area was not checked: no footprint of {', '.join(blind)}"
        return Completeness(not gaps, None, "; ".join([*gaps, unchecked]))
    strip = _Strip.of([item for item in footprints if item is not None], projection)
    target = strip.target
    if target.is_empty:
        return Completeness(False, None, "; ".join([*gaps, "the swath lies outside the area"]))
    share = float(strip.covered.intersection(target).area / target.area)
    if share < MIN_SHARE:
        missing = strip.missing_ends()
        # Whatever the ends do not explain lies between slices.
        gaps += missing or ([] if gaps else [f"only {share:.1%} of the area within the swath are covered"])
    return Completeness(not gaps, share, "; ".join(gaps))


@dataclass(frozen=True)
class _Footprint:
    """One slice on the ground: its outline, and its sides from south to north, (n, 2)."""

    outline: shapely.Polygon
    west: Floats
    east: Floats


@dataclass(frozen=True)
class _Local:
    """Metres east and north of the centre of an area.

    Attributes:
        area: What has to be covered.
        from_lon_lat: From degrees to metres.
    """

    area: shapely.Polygon
    from_lon_lat: Transformer

    @classmethod
    @lru_cache(maxsize=4)
    def around(cls, bounds: LonLatBounds) -> "_Local":
        west, south, east, north = bounds
        local = f"+proj=laea +lon_0={(west + east) / 2} +lat_0={(south + north) / 2} +datum=WGS84"
        project = Transformer.from_crs("EPSG:4326", local, always_xy=True)
        # Parallels are curves: the box gets more vertices than its corners.
        box = shapely.segmentize(shapely.box(*bounds), max(east - west, north - south) / _BOX_STEPS)
        return cls(shapely.transform(box, project.transform, interleaved=False), project)

    def footprint(self, wkt: str) -> _Footprint | None:
        """A footprint, whatever the order of its corners; None when there is none of use.

        Up to 70 degrees of latitude paths stay within 30 degrees of the meridian, so the sides are the edges
        nearer to it; going round counter-clockwise, the eastern one leads north.
        """
        corners = shapely.get_coordinates(shapely.from_wkt(wkt or None, on_invalid="ignore"))
        points = np.column_stack(self.from_lon_lat.transform(*corners.T))
        outline = shapely.orient_polygons(
            shapely.MultiPoint(points[np.isfinite(points).all(axis=1)]).convex_hull
        )
        ring = shapely.get_coordinates(outline)
        step = np.diff(ring, axis=0)
        along = np.abs(step[:, 1]) > np.abs(step[:, 0])
        west, east = along & (step[:, 1] < 0), along & (step[:, 1] > 0)
        if not (outline.area > 0 and west.any() and east.any()):
            return None
        return _Footprint(
            outline,
            _ordered([ring[:-1][west], ring[1:][west]]),
            _ordered([ring[:-1][east], ring[1:][east]]),
        )


@dataclass(frozen=True)
class _Strip:
    """The swath that footprints define around an area, in its local metres.

    Attributes:
        covered: Union of the footprints.
        west: Western side from south to north, (n, 2).
        east: Eastern side, likewise.
        local: The area.
    """

    covered: shapely.Geometry
    west: Floats
    east: Floats
    local: _Local

    @classmethod
    def of(cls, footprints: Sequence[_Footprint], local: _Local) -> "_Strip":
        return cls(
            shapely.union_all([item.outline for item in footprints]),
            _ordered([item.west for item in footprints]),
            _ordered([item.east for item in footprints]),
            local,
        )

    @property
    def target(self) -> shapely.Geometry:
        """The area within the swath."""
        outline = np.concatenate([self._extended(self.west), self._extended(self.east)[::-1]])
        return self.local.area.intersection(shapely.make_valid(shapely.Polygon(outline)))

    def missing_ends(self) -> list[str]:
        """What is missing before the first and after the last slice, in order of time."""
        found = []
        for end, way in ((-1, "north"), (0, "south")) if self._southwards else ((0, "south"), (-1, "north")):
            line = np.stack([self.west[end], self.east[end]])
            far = np.stack([self._extended(self.west)[end], self._extended(self.east)[end]])
            beyond = shapely.Polygon(np.concatenate([line, far[::-1]]))
            missing = self.target.intersection(beyond).difference(self.covered)
            # Less than this at one end alone would have been let pass.
            if missing.area <= (1 - MIN_SHARE) / 3 * self.target.area:
                continue
            along = shapely.get_coordinates(missing) @ self._axis
            first = (way == "north") == self._southwards
            found.append(
                f"no slice {way} of {self._latitude(line)}: about {np.ptp(along) / GROUND_SPEED_M_S:.0f} s "
                f"missing at the {'start' if first else 'end'}"
            )
        return found

    @property
    def _southwards(self) -> bool:
        """Whether the satellite flies south: seen northwards, its path then leans to the east."""
        return bool(self._axis[0] > 0)

    @property
    def _axis(self) -> Floats:
        """Unit vector along the strip, northwards."""
        slope = (_slope(self.west) + _slope(self.east)) / 2
        return np.asarray([slope, 1.0] / np.hypot(slope, 1.0))

    def _extended(self, side: Floats) -> Floats:
        """A side with one more point beyond the area at each end."""
        _, low, _, high = self.local.area.bounds
        ys = min(low, side[0, 1]) - _BEYOND_M, max(high, side[-1, 1]) + _BEYOND_M
        slope = _slope(side)
        ends = [[x + slope * (to - y), to] for (x, y), to in zip((side[0], side[-1]), ys, strict=True)]
        return np.concatenate([ends[:1], side, ends[1:]])

    def _latitude(self, line: Floats) -> str:
        """Latitude of the middle of a border line, as far as it crosses the area."""
        inside = self.local.area.intersection(shapely.LineString(line))
        middle = (shapely.LineString(line) if inside.is_empty else inside).centroid
        _, latitude = self.local.from_lon_lat.transform(middle.x, middle.y, direction="INVERSE")
        return f"{abs(latitude):.1f}° {'N' if latitude >= 0 else 'S'}"


def _ordered(parts: Sequence[Floats]) -> Floats:
    points = np.concatenate(parts)
    return np.asarray(points[np.argsort(points[:, 1])])


def _slope(side: Floats) -> float:
    """Metres eastwards for a metre northwards, fitted to all corners of a side."""
    return float(np.polyfit(side[:, 1], side[:, 0], 1)[0])
