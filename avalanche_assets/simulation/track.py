"""How one date's pass images the scene: image frame, ground-range conversion, slices and their tables.

Two sources agree on one interface: the synthetic track, whose swath is laid over the scene, and a template
(see `avalanche_assets.simulation.template`), whose frame and tables are a real product's.
"""

from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.sentinel1.geocoding import zero_doppler
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.simulation.calendar import RELATIVE_ORBIT
from avalanche_assets.simulation.facets import Facets
from avalanche_assets.simulation.image_geometry import RECORD_STEP_S, ImageGeometry, fit_records
from avalanche_assets.simulation.orbit import NominalPass, solve_pass, tube_offset
from avalanche_assets.simulation.radiometry import Radiometry, synthetic_radiometry

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

LINE_INTERVAL_S = 1.4966e-3
SPACING_M = 10.0
INCIDENCE_DEG = 39.0
"""Incidence at the scene centre: the middle of the IW swath."""
OVERPASS_SECOND = 5 * 3600 + 43 * 60 + 30
"""Seconds of the day (UTC) at which relative orbit 139 passes 45.2 degrees north."""

MARGIN_PX = 48
SWATH_START_M = 800_900.0
SWATH_SAMPLES, SLICE_LINES = 25_900, 16_700
"""A full IW swath: slant range of its first sample, samples, and lines of a slice of 25 s."""
OUTLINE_STEP = 4


@dataclass(frozen=True)
class SceneExtent:
    """When and how far away the nodes of the scene are imaged, and how high they lie.

    Attributes:
        time: First and last zero-Doppler time, seconds since the orbit's epoch.
        slant_range: Nearest and farthest slant range in metres.
        node_times: Times of a sample of nodes, (n,).
        node_heights: Their heights in metres, (n,).
    """

    time: tuple[float, float]
    slant_range: tuple[float, float]
    node_times: Floats
    node_heights: Floats

    def mean_height(self, times: Floats) -> Floats:
        """Mean height within half a second of each time; beyond the scene that of its nearest end."""
        edges = np.clip(times, self.time[0] + 0.25, self.time[1] - 0.25)
        return np.array([float(np.mean(self.node_heights[np.abs(self.node_times - t) < 0.5])) for t in edges])


class Track(Protocol):
    """A relative orbit and the frame its products have."""

    @property
    def relative_orbit(self) -> int:
        """Relative orbit number, 1 to 175."""

    @property
    def direction(self) -> str:
        """``DESCENDING`` or ``ASCENDING``."""

    @property
    def nominal(self) -> NominalPass:
        """State vectors around the overpass of the scene centre."""

    def overpass(self, day: date) -> np.datetime64:
        """Instant (UTC) at which the scene centre is imaged on a day."""

    def geometry(self, orbit: Orbit, scene: SceneExtent, random: np.random.Generator) -> ImageGeometry:
        """The image of one date over the scene."""

    def radiometry(self, geometry: ImageGeometry, first: int, last: int, old_format: bool) -> Radiometry:
        """Look-up tables of the lines `first` to `last` - 1 as one slice."""


@dataclass(frozen=True)
class SyntheticTrack:
    """Relative orbit 139, descending, laid over the scene at mid swath.

    Attributes:
        nominal: State vectors around the overpass.
        full_swath: Whether images have the size of real slices instead of the scene's.
    """

    nominal: NominalPass
    full_swath: bool
    relative_orbit: int = RELATIVE_ORBIT
    direction: str = "DESCENDING"

    @classmethod
    def over(cls, lon: float, lat: float, height: float, full_swath: bool) -> "SyntheticTrack":
        """The track that images a scene centre (degrees, metres) at `INCIDENCE_DEG`."""
        return cls(solve_pass(lon, lat, height, INCIDENCE_DEG), full_swath)

    def overpass(self, day: date) -> np.datetime64:
        """See `Track`."""
        return np.datetime64(day, "ns") + np.timedelta64(OVERPASS_SECOND, "s")

    def geometry(self, orbit: Orbit, scene: SceneExtent, random: np.random.Generator) -> ImageGeometry:
        """See `Track`; the frame starts a little earlier or later each date."""
        span = scene.time[1] - scene.time[0]
        lines = int(span / LINE_INTERVAL_S) + 2 * MARGIN_PX + int(random.integers(0, 64))
        slant_start = scene.slant_range[0] - MARGIN_PX * SPACING_M
        # Along the ground a line is at most about twice as long as along the sight.
        extent = 2.1 * (scene.slant_range[1] - slant_start) + 2 * MARGIN_PX * SPACING_M
        start = scene.time[0] - MARGIN_PX * LINE_INTERVAL_S
        if self.full_swath:
            lines, slant_start, extent = 2 * SLICE_LINES, SWATH_START_M, SWATH_SAMPLES * SPACING_M
            start = sum(scene.time) / 2 - lines / 2 * LINE_INTERVAL_S
        start = round(start, 6)
        times = start + RECORD_STEP_S * np.arange(-2.0, int(lines * LINE_INTERVAL_S) + 4)
        records = fit_records(orbit, times, scene.mean_height(times), slant_start, extent)
        image = ImageGeometry(
            orbit, start, LINE_INTERVAL_S, SPACING_M, lines, SWATH_SAMPLES, slant_start, records
        )
        return image if self.full_swath else fit_width(image, scene)

    def radiometry(self, geometry: ImageGeometry, first: int, last: int, old_format: bool) -> Radiometry:
        """See `Track`."""
        return synthetic_radiometry(geometry, first, last, old_format)


def scene_extent(orbit: Orbit, facets: Facets, elevation: Floats32, padding: int = 0) -> SceneExtent:
    """The extent of the scene for one orbit, from every fourth node in each direction and the rim.

    The outermost `padding` nodes on each side are left out.
    """
    rows = padding + _thinned(elevation.shape[0] - 2 * padding)
    cols = padding + _thinned(elevation.shape[1] - 2 * padding)
    time, slant = zero_doppler(orbit, facets.points[np.ix_(rows, cols)])
    return SceneExtent(
        (float(time.min()), float(time.max())),
        (float(slant.min()), float(slant.max())),
        time.ravel(),
        elevation[np.ix_(rows, cols)].astype(np.float64).ravel(),
    )


def date_random(seed: int, day: date) -> np.random.Generator:
    """Where the chance of one date comes from; `date_orbit` takes the first draws."""
    return np.random.default_rng([seed, day.toordinal()])


def date_orbit(track: Track, day: date, random: np.random.Generator) -> Orbit:
    """The orbit of one date: the nominal one, displaced inside the orbital tube."""
    return track.nominal.orbit(track.overpass(day), tube_offset(random))


def slice_bounds(
    geometry: ImageGeometry, scene: SceneExtent, random: np.random.Generator
) -> list[tuple[int, int]]:
    """First and last + 1 line of two slices that abut somewhere in the middle third of the scene."""
    share = random.uniform(1 / 3, 2 / 3)
    time = scene.time[0] + share * (scene.time[1] - scene.time[0])
    border = round((time - geometry.first_time) / geometry.line_interval)
    return [(0, border), (border, geometry.lines)]


def fit_width(image: ImageGeometry, scene: SceneExtent) -> ImageGeometry:
    """The image with as many samples as the scene needs, margin included."""
    time = np.array(scene.time)
    farthest = np.full(2, scene.slant_range[1])
    samples = int(np.ceil(image.line_sample(time, farthest)[1].max())) + MARGIN_PX
    return ImageGeometry(
        image.orbit,
        image.first_time,
        image.line_interval,
        image.spacing,
        image.lines,
        samples,
        image.slant_start,
        image.records,
    )


def _thinned(count: int) -> NDArray[np.int64]:
    return np.unique(np.append(np.arange(0, count, OUTLINE_STEP), count - 1))
