"""One acquisition of the simulated season: from the ground and the weather of a date to its products."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from avalanche_assets.grid import Grid
from avalanche_assets.simulation.backscatter_model import Ground, background_sigma0, surface_at
from avalanche_assets.simulation.calendar import RELATIVE_ORBIT, PredictedPass
from avalanche_assets.simulation.facets import Facets, pad_grid
from avalanche_assets.simulation.landscape import Landscape
from avalanche_assets.simulation.orbit import annotated_orbit
from avalanche_assets.simulation.radiometry import incidence_at, is_old_format
from avalanche_assets.simulation.rendering import View, render
from avalanche_assets.simulation.safe_writer import write_product
from avalanche_assets.simulation.scene import place_nodes
from avalanche_assets.simulation.slices import Slice
from avalanche_assets.simulation.track import Track, date_orbit, date_random, scene_extent, slice_bounds
from avalanche_assets.simulation.weather import Weather

Floats = NDArray[np.float64]

MIN_PADDING_CELLS, FILL_PADDING = 25, 0.2
"""The ground goes on this far beyond the elevation model: cells, and share of its side to fill the frame.

The track runs 12 degrees off north, so the frame's corners lie sin(12) cos(12) = 0.2 of a side outside.
"""


@dataclass(frozen=True)
class Scene:
    """All that is the same on every date.

    Attributes:
        ground: Padded landscape with texture and deposits.
        padding: Cells of the ground beyond the elevation model on each side.
        facets: Its radar geometry.
        track: Orbit and frame.
        seed: Of the season.
        fill_swath: Whether level ground surrounds the scene; else pixels there hold no data.
    """

    ground: Ground
    padding: int
    facets: Facets
    track: Track
    seed: int
    fill_swath: bool


def simulate_acquisition(
    folder: Path, scene: Scene, date_pass: PredictedPass, weather: Weather
) -> list[Path]:
    """Writes the two products of one pass into `folder` and returns their paths.

    The same scene and pass give the same bytes, whatever was simulated before.
    """
    track = scene.track
    key = scene.seed * 100_000 + date_pass.date.toordinal() % 100_000
    random = date_random(scene.seed, date_pass.date)
    elevation = scene.ground.landscape.elevation
    orbit = date_orbit(track, date_pass.date, random)
    annotated = annotated_orbit(orbit, np.random.default_rng([scene.seed, date_pass.date.toordinal(), 1]))
    extent = scene_extent(orbit, scene.facets, elevation, scene.padding)
    geometry = track.geometry(orbit, extent, random)
    centre = incidence_at(geometry, np.array([geometry.lines / 2]), np.array([geometry.samples / 2]))
    view = View(
        scene.facets,
        place_nodes(scene.facets, geometry),
        surface_at(scene.ground, weather, key),
        background_sigma0(weather, float(centre[0, 0])) if scene.fill_swath else None,
        key,
    )
    paths = []
    bounds = slice_bounds(geometry, extent, random)
    for number, (first, last) in enumerate(bounds, start=1):
        item = Slice(
            platform=date_pass.platform,
            # Moved along with the relative orbit, so that both keep agreeing.
            absolute_orbit=date_pass.absolute_orbit + track.relative_orbit - RELATIVE_ORBIT,
            relative_orbit=track.relative_orbit,
            direction=track.direction,
            number=number,
            total=len(bounds),
            geometry=geometry,
            first=first,
            last=last,
            radiometry=track.radiometry(geometry, first, last, is_old_format(date_pass.date)),
            height_model=height_model(scene.ground.landscape),
            annotated=annotated,
        )
        paths.append(write_product(folder, item, render(view, item), compress=not scene.fill_swath))
    return paths


def padding_cells(landscape: Landscape, fill_swath: bool) -> int:
    """How far to pad; with `fill_swath` so far that the image frame, turned against the grid, is covered."""
    return MIN_PADDING_CELLS + fill_swath * round(FILL_PADDING * max(landscape.grid.shape))


def pad_landscape(landscape: Landscape, cells: int) -> Landscape:
    """The landscape mirrored at its borders, so that images do not end where the elevation model does."""
    return Landscape(
        pad_grid(landscape.grid, cells),
        np.pad(landscape.elevation, cells, mode="reflect"),
        np.pad(landscape.land_cover, cells, mode="reflect"),
    )


def height_model(landscape: Landscape) -> Callable[[Floats, Floats], Floats]:
    """Heights of a landscape by longitude and latitude; its mean height outside."""
    grid: Grid = landscape.grid
    to_grid = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    mean = float(landscape.elevation.mean())

    def height(lon: Floats, lat: Floats) -> Floats:
        x, y = to_grid.transform(lon, lat)
        row = np.floor((grid.north - np.asarray(y)) / grid.resolution).astype(np.int64)
        col = np.floor((np.asarray(x) - grid.west) / grid.resolution).astype(np.int64)
        inside = (row >= 0) & (row < grid.height) & (col >= 0) & (col < grid.width)
        values = landscape.elevation[row.clip(0, grid.height - 1), col.clip(0, grid.width - 1)]
        return np.where(inside, values, mean).astype(np.float64)

    return height
