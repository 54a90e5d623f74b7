"""A small scene of given heights under a synthetic pass, for the tests of the forward model."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from avalanche_assets.grid import Grid
from avalanche_assets.simulation.facets import Facets, build_facets
from avalanche_assets.simulation.image_geometry import ImageGeometry
from avalanche_assets.simulation.radiometry import synthetic_radiometry
from avalanche_assets.simulation.rendering import View
from avalanche_assets.simulation.scene import Placement, Surface, place_nodes
from avalanche_assets.simulation.slices import Slice
from avalanche_assets.simulation.track import SyntheticTrack, scene_extent
from avalanche_assets.simulation.weather import Weather

GRID = Grid("EPSG:32632", 20.0, 332800.0, 5009920.0, 192, 192)
LON, LAT = 6.9, 45.2
DRY = Weather(datetime(2018, 1, 3, 5, 43, 30, tzinfo=UTC), 0.0, -9000.0, -4.0, -4.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class World:
    grid: Grid
    elevation: np.ndarray
    facets: Facets
    geometry: ImageGeometry
    placement: Placement


def world(elevation: np.ndarray, grid: Grid = GRID) -> World:
    track = SyntheticTrack.over(LON, LAT, float(elevation.mean()), full_swath=False)
    orbit = track.nominal.orbit(np.datetime64("2018-01-03T05:43:30", "ns"))
    facets = build_facets(grid, elevation, orbit)
    extent = scene_extent(orbit, facets, elevation)
    geometry = track.geometry(orbit, extent, np.random.default_rng(1))
    return World(grid, elevation, facets, geometry, place_nodes(facets, geometry))


def flat_world(height: float = 1500.0) -> World:
    return world(np.full(GRID.shape, height, np.float32))


def uniform_surface(shape: tuple[int, int], vv: float, vh: float) -> Surface:
    sigma0 = np.stack([np.full(shape, vv, np.float32), np.full(shape, vh, np.float32)])
    return Surface(sigma0, np.zeros((2, 2 * shape[0], 2 * shape[1]), np.uint8))


def two_slices(scene: World, day: date) -> list[Slice]:
    border = scene.geometry.lines // 2 + 7
    old = day < date(2018, 3, 13)
    return [
        Slice(
            platform="S1A",
            absolute_orbit=19986,
            relative_orbit=139,
            direction="DESCENDING",
            number=number,
            total=2,
            geometry=scene.geometry,
            first=first,
            last=last,
            radiometry=synthetic_radiometry(scene.geometry, first, last, old),
            height_model=lambda lon, lat: np.full(lon.shape, float(scene.elevation.mean())),
        )
        for number, (first, last) in enumerate([(0, border), (border, scene.geometry.lines)], start=1)
    ]


def view(scene: World, surface: Surface, key: int = 7) -> View:
    background = (float(surface.sigma0[0, 0, 0]), float(surface.sigma0[1, 0, 0]))
    return View(scene.facets, scene.placement, surface, background, key)
