"""One product of an acquisition: which lines it holds, what it is called, and what it says of itself.

Source: Sentinel-1 Product Definition (S1-RS-MDA-52-7440), naming convention; Product Specification
(S1-RS-MDA-52-7441), Level-1 product annotation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.simulation.image_geometry import ImageGeometry, geodetic
from avalanche_assets.simulation.radiometry import Radiometry, sight_angles

Floats = NDArray[np.float64]
HeightModel = Callable[[Floats, Floats], Floats]
"""Ellipsoidal height in metres at longitudes and latitudes in degrees."""

SYNTHETIC_DATATAKE = 0x510000
"""Added to the absolute orbit: real data takes of the time stay below 0x040000, these read ``51....``."""
GRID_ROWS, GRID_COLUMNS = 11, 21


@dataclass(frozen=True)
class GeolocationGrid:
    """Tie points of a slice, each (rows, columns): lines and samples of the slice and what they show."""

    line: Floats
    sample: Floats
    slant_range: Floats
    lon: Floats
    lat: Floats
    height: Floats
    incidence: Floats
    elevation_angle: Floats


@dataclass(frozen=True)
class Slice:
    """A product before it is written.

    Attributes:
        platform: ``S1A`` or ``S1B``.
        absolute_orbit: Absolute orbit number.
        relative_orbit: Relative orbit number.
        direction: ``DESCENDING`` or ``ASCENDING``.
        number: 1 for the first slice of the acquisition.
        total: Slices of the acquisition.
        geometry: Sampling of the whole acquisition.
        first: First line of the slice in the acquisition.
        last: Line after its last one.
        radiometry: Look-up tables of the slice.
        height_model: Terrain, for the tie points.
        annotated: Orbit that the annotation tells; None for the one that was flown.
    """

    platform: str
    absolute_orbit: int
    relative_orbit: int
    direction: str
    number: int
    total: int
    geometry: ImageGeometry
    first: int
    last: int
    radiometry: Radiometry
    height_model: HeightModel
    annotated: Orbit | None = None

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self.last - self.first

    @property
    def start(self) -> np.datetime64:
        """Azimuth time of the first line, UTC."""
        return self.geometry.instant(self.first)

    @property
    def stop(self) -> np.datetime64:
        """Azimuth time of the last line, UTC."""
        return self.geometry.instant(self.last - 1)

    @property
    def datatake_id(self) -> int:
        """Mission data take, outside the range of real ones."""
        return SYNTHETIC_DATATAKE + self.absolute_orbit

    @property
    def ipf_version(self) -> str:
        """Processor version whose formats the product follows."""
        return "002.84" if self.radiometry.old_format else "002.90"

    @property
    def name(self) -> str:
        """Product name without ``.SAFE``; the unique id ``51`` and slice number is visibly synthetic."""
        return (
            f"{self.platform}_IW_GRDH_1SDV_{compact(self.start)}_{compact(self.stop)}_"
            f"{self.absolute_orbit:06d}_{self.datatake_id:06X}_51{self.number:02X}"
        )

    def file_stem(self, polarisation: str) -> str:
        """Name of the measurement and annotation of one polarisation, without suffix."""
        image = {"VV": "001", "VH": "002"}[polarisation]
        times = f"{compact(self.start)}-{compact(self.stop)}".lower()
        return (
            f"{self.platform}-iw-grd-{polarisation}-{times}-"
            f"{self.absolute_orbit:06d}-{self.datatake_id:06x}-{image}"
        ).lower()

    @cached_property
    def tie_points(self) -> GeolocationGrid:
        """Tie points over the whole slice, on the terrain."""
        geometry = self.geometry
        line, sample = np.meshgrid(
            np.round(np.linspace(0, self.lines - 1, GRID_ROWS)),
            np.round(np.linspace(0, geometry.samples - 1, GRID_COLUMNS)),
            indexing="ij",
        )
        height = geometry.record_height(self.first + line)
        for _ in range(3):
            points = geometry.locate(self.first + line, sample, height)
            lon, lat, exact = geodetic(points)
            height = self.height_model(lon, lat)
        incidence, elevation_angle = sight_angles(geometry, geometry.line_time(self.first + line), points)
        slant = geometry.slant_range(self.first + line, sample)
        return GeolocationGrid(line, sample, slant, lon, lat, exact, incidence, elevation_angle)

    @cached_property
    def footprint(self) -> list[tuple[float, float]]:
        """Latitude and longitude of the corners: last line's near and far end, first line's far and near."""
        grid = self.tie_points
        return [
            (float(grid.lat[index]), float(grid.lon[index])) for index in ((-1, 0), (-1, -1), (0, -1), (0, 0))
        ]


def compact(instant: np.datetime64) -> str:
    """An instant as in product names: ``20180103T054330``."""
    return str(instant.astype("datetime64[s]")).replace("-", "").replace(":", "")


def utc(instant: np.datetime64) -> str:
    """An instant as in annotations, with microseconds."""
    return str(instant.astype("datetime64[us]"))
