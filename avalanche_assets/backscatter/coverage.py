"""How much of the corridors an acquisition covers, and what is missing where it does not.

Whether the products of a date abut says nothing about whether they reach all corridors: a slice may be
missing at either end, and a corridor may lie beside the swath or on a hole of the elevation model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.sentinel1.visibility import Visibility

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NOT_IMAGED = int(Visibility.OUTSIDE | Visibility.BORDER | Visibility.SHADOW)
"""Reasons for which a cell of sigma0 has no value; SHADOW only where terrain flattening left none."""
SLICE_S = 25.0
"""Usual length of a slice."""
SHOWN = 10
"""Corridors named in a message; all are counted."""


@dataclass(frozen=True)
class CorridorCoverage:
    """Shares of the pixels of each corridor's patch window, in the order of the corridors.

    Attributes:
        corridor_id: Shape (n,).
        covered: Share with a measurement, 0 to 1, shape (n,).
        without_height: Share on holes of the elevation model, which cannot be covered, shape (n,); 0 where no
            elevation model was given.
    """

    corridor_id: NDArray[np.object_]
    covered: Floats
    without_height: Floats

    @property
    def fully(self) -> Bools:
        """Corridors with a measurement on every pixel that has a height."""
        return np.asarray((self.covered + self.without_height > 1 - 1e-9) & ~self.not_covered)

    @property
    def not_covered(self) -> Bools:
        """Corridors without any measurement."""
        return np.asarray(self.covered == 0)

    @property
    def partly(self) -> Bools:
        """All others."""
        return ~(self.fully | self.not_covered)

    def summary(self) -> dict[str, int | str]:
        """Counts and names, for the metadata of an asset."""
        report: dict[str, int | str] = {
            "corridors fully covered": int(self.fully.sum()),
            "corridors partly covered": int(self.partly.sum()),
            "corridors not covered": int(self.not_covered.sum()),
        }
        if self.partly.any():
            report["partly covered"] = _names(self.corridor_id[self.partly])
        if self.not_covered.any():
            report["not covered"] = _names(self.corridor_id[self.not_covered])
        if holes := _holes_message(self.corridor_id, self.without_height):
            report["elevation model"] = holes
        return report


@dataclass(frozen=True)
class BeyondImage:
    """Corridors whose deposit point an acquisition's products do not reach.

    Attributes:
        before: Corridor ids imaged before the first line, by an earlier slice.
        after: Corridor ids imaged after the last line, by a later slice.
        beside: Corridor ids nearer or farther than the swath: no product of the pass shows them.
        seconds_before: How long before the first line the first of them was imaged; 0 without any.
        seconds_after: How long after the last line the last of them was imaged; 0 without any.
        descending: Whether the pass goes south, so that earlier slices lie north.
    """

    before: NDArray[np.object_]
    after: NDArray[np.object_]
    beside: NDArray[np.object_]
    seconds_before: float
    seconds_after: float
    descending: bool

    def summary(self) -> dict[str, str]:
        """What to add at which end, for the metadata of an asset; empty when all corridors are reached."""
        ends = ("north", "south") if self.descending else ("south", "north")
        report = {}
        for side, end, ids, seconds in (
            ("before the first product", ends[0], self.before, self.seconds_before),
            ("after the last product", ends[1], self.after, self.seconds_after),
        ):
            if ids.size:
                count = int(np.ceil(seconds / SLICE_S))
                report[f"missing {side}"] = (
                    f"about {count} slice{'s' if count > 1 else ''} ({seconds:.0f} s) at the {end} end, for "
                    f"{_count(ids)}: {_names(ids)}; add the product"
                )
        if self.beside.size:
            report["beside the swath"] = (
                f"{_count(self.beside)}: {_names(self.beside)}; this track never images them"
            )
        return report


def corridor_coverage(
    corridors: gpd.GeoDataFrame,
    grid: Grid,
    flags: NDArray[np.integer] | NDArray[np.floating],
    heights: NDArray[np.float32] | None = None,
) -> CorridorCoverage:
    """The share of each corridor's patch window that an acquisition's image covers.

    Args:
        corridors: `tables.CORRIDORS`; windows may reach beyond the grid, where nothing is covered.
        grid: Analysis grid.
        flags: `Visibility` bits of sigma0, maybe as float; shape of the grid.
        heights: Elevation model on the grid, NaN on its holes.
    """
    covered = _window_shares(corridors, grid, flags, _imaged)
    holes = np.zeros_like(covered) if heights is None else _window_shares(corridors, grid, heights, np.isnan)
    return CorridorCoverage(corridors["corridor_id"].to_numpy(object), covered, holes)


def patch_holes(
    corridors: gpd.GeoDataFrame, grid: Grid, heights: NDArray[np.float32], dem: Path | str
) -> str:
    """Which patch windows lie on holes of the elevation model, and what to do; empty without any.

    Args:
        corridors: `tables.CORRIDORS`.
        grid: Analysis grid.
        heights: Elevation model on the grid, NaN on its holes.
        dem: The file, for the message.
    """
    shares = _window_shares(corridors, grid, heights, np.isnan)
    message = _holes_message(corridors["corridor_id"].to_numpy(object), shares)
    return f"{dem}: {message}" if message else ""


def corridors_beyond_image(
    corridors: gpd.GeoDataFrame, grid: Grid, stack: SliceStack, orbit: Orbit
) -> BeyondImage:
    """On which side of the image each corridor lies that is not on it, judged by its deposit point.

    Args:
        corridors: `tables.CORRIDORS`; a point without elevation counts as at sea level.
        grid: Analysis grid.
        stack: The products of the acquisition.
        orbit: Path of the platform.
    """
    to_geodetic = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_geodetic.transform(corridors["deposit_x"].to_numpy(), corridors["deposit_y"].to_numpy())
    height = np.nan_to_num(corridors["deposit_elevation_m"].to_numpy(np.float64))
    time, slant_range = zero_doppler(orbit, geodetic_to_ecef(lon, lat, height))
    line, sample = stack.line_sample(time, slant_range, orbit)
    lines, samples = stack.shape
    ids = corridors["corridor_id"].to_numpy(object)
    # Within the image's lines, a comparison that NaN (not seen by the orbit) fails means beside.
    before, after = line < 0, line > lines - 1
    beside = ~(before | after) & ~((sample >= 0) & (sample <= samples - 1))
    first, last = stack.products[0].annotation.image, stack.products[-1].annotation.image
    begin = orbit.seconds(first.first_line)
    end = orbit.seconds(last.first_line) + (last.lines - 1) * last.line_interval_s
    return BeyondImage(
        ids[before],
        ids[after],
        ids[beside],
        float((begin - time[before]).max(initial=0.0)),
        float((time[after] - end).max(initial=0.0)),
        stack.products[0].direction == "DESCENDING",
    )


def _window_shares(
    corridors: gpd.GeoDataFrame,
    grid: Grid,
    values: NDArray[Any],
    chosen: Callable[[NDArray[Any]], Bools],
) -> Floats:
    """The share of each patch window's pixels whose values are chosen; beyond the grid none is."""
    shares = []
    for x, y in zip(corridors["deposit_x"], corridors["deposit_y"], strict=True):
        window = grid.window_around(x, y)
        rows = slice(max(window.row, 0), max(window.row + window.height, 0))
        cols = slice(max(window.col, 0), max(window.col + window.width, 0))
        shares.append(chosen(values[rows, cols]).sum() / (window.height * window.width))
    return np.array(shares, np.float64)


def _imaged(flags: NDArray[Any]) -> Bools:
    return np.asarray((np.nan_to_num(flags, nan=NOT_IMAGED).astype(np.uint8) & NOT_IMAGED) == 0)


def _holes_message(corridor_id: NDArray[np.object_], without_height: Floats) -> str:
    ids = corridor_id[without_height > 0]
    if not ids.size:
        return ""
    return (
        f"holes in the patches of {_count(ids)}, up to {without_height.max():.0%} of a patch: {_names(ids)}; "
        "their pixels have no value: fill the voids of terrain.dem (e.g. gdal_fillnodata) or give another "
        "elevation model, then materialise dem again"
    )


def _count(ids: NDArray[np.object_]) -> str:
    return f"{ids.size} corridor{'' if ids.size == 1 else 's'}"


def _names(ids: NDArray[np.object_]) -> str:
    shown = ", ".join(str(name) for name in ids[:SHOWN])
    return shown if ids.size <= SHOWN else f"{shown} and {ids.size - SHOWN} more"
