"""One Sentinel-1 IW GRDH product (a slice): what it is, where it images, and its backscatter."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import MultiPoint, Polygon

from avalanche_assets.errors import OrbitError, SafeError
from avalanche_assets.grid import Window
from avalanche_assets.sentinel1.annotation import Annotation, parse_annotation
from avalanche_assets.sentinel1.calibration import LUT_NAMES, Quantity
from avalanche_assets.sentinel1.geocoding import (
    ellipsoid_normal,
    geodetic_to_ecef,
    incidence_deg,
    zero_doppler,
)
from avalanche_assets.sentinel1.ground_range import GroundRange
from avalanche_assets.sentinel1.image import CalibratedImage, open_image
from avalanche_assets.sentinel1.noise import NoiseModel, parse_noise
from avalanche_assets.sentinel1.orbit import ABSURD_M, Orbit
from avalanche_assets.sentinel1.safe import (
    FILE_PATTERNS,
    POLARISATIONS,
    Manifest,
    SafeArchive,
    require_supported,
    require_supported_name,
)

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]

HIGH_RESOLUTION_SPACING_M = 10.0
MAX_MISFIT_SAMPLES = 5.0
"""Root mean square between the ground-range records and the geolocation grid of one sound annotation: below
0.1, or 0.5 where the records end before the image does (before IPF 2.70)."""


@dataclass(frozen=True)
class Location:
    """Where points of the ground lie in an image; arrays of one shape, NaN where not imaged.

    Attributes:
        line: Row, 0 at the centre of the first line; may lie outside the image.
        sample: Column, 0 at the centre of the first sample; may lie outside the image.
        slant_range: One-way, metres.
        azimuth_time: Zero-Doppler time, UTC; NaT where not imaged.
        incidence: Ellipsoid incidence angle, degrees.
    """

    line: Floats
    sample: Floats
    slant_range: Floats
    azimuth_time: NDArray[np.datetime64]
    incidence: Floats


@dataclass(frozen=True, eq=False, repr=False)
class Product:
    """A product whose manifest and annotation are read; pixels stay on disk until asked for.

    Attributes:
        archive: Its files.
        annotation: Annotation of the VV image, whose geometry both polarisations share.
    """

    archive: SafeArchive
    annotation: Annotation
    _noise: dict[str, NoiseModel] = field(default_factory=dict, init=False)

    @classmethod
    def open(cls, path: Path | str) -> "Product":
        """Opens a folder, or a zip in place.

        Raises:
            SafeError: The product is damaged, lacks a polarisation, or is not IW GRD in high resolution.
        """
        archive = SafeArchive.open(path)
        for name in (archive.name, archive.root):
            require_supported_name(name, archive.path)
        require_supported(archive.manifest, archive.path)
        member, _ = (archive.find("annotation", polarisation) for polarisation in POLARISATIONS)
        file = archive.label(member)
        annotation = parse_annotation(archive.read(member), file)
        _require_same_image(annotation, archive.manifest, file)
        if annotation.image.sample_spacing_m != HIGH_RESOLUTION_SPACING_M:
            raise SafeError(
                f"{file}: samples are {annotation.image.sample_spacing_m:g} m apart, in high resolution "
                f"{HIGH_RESOLUTION_SPACING_M:g} m; only high resolution (GRDH) is supported"
            )
        return cls(archive, annotation)

    def __repr__(self) -> str:
        """Name, track and size: annotations are long."""
        lines, samples = self.shape
        return (
            f"<Product {self.name}: {self.platform}, relative orbit {self.relative_orbit}, "
            f"{lines} x {samples}>"
        )

    @property
    def name(self) -> str:
        """Product name without ``.SAFE`` and ``.zip``."""
        return self.archive.name

    @property
    def platform(self) -> str:
        """``S1A`` to ``S1D``."""
        return self.archive.manifest.platform

    @property
    def absolute_orbit(self) -> int:
        """Absolute orbit number."""
        return self.archive.manifest.absolute_orbit

    @property
    def relative_orbit(self) -> int:
        """Relative orbit number, 1 to 175."""
        return self.archive.manifest.relative_orbit

    @property
    def direction(self) -> str:
        """``ASCENDING`` or ``DESCENDING``."""
        return self.archive.manifest.direction

    @property
    def start(self) -> datetime:
        """First azimuth time, UTC."""
        return self.archive.manifest.start

    @property
    def stop(self) -> datetime:
        """Last azimuth time, UTC."""
        return self.archive.manifest.stop

    @property
    def ipf_version(self) -> tuple[int, int]:
        """Version of the processor, e.g. ``(3, 31)``."""
        return self.archive.manifest.ipf_version

    @property
    def datatake_id(self) -> int:
        """Mission data take, the same for all slices of one switch-on of the radar."""
        return self.archive.manifest.datatake_id

    @property
    def polarisations(self) -> tuple[str, ...]:
        """Polarisations of the product."""
        return self.archive.manifest.polarisations

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and samples of the image."""
        return self.annotation.image.lines, self.annotation.image.samples

    @property
    def orbit(self) -> Orbit:
        """Orbit through the annotated state vectors."""
        return self.annotation.orbit

    @cached_property
    def footprint(self) -> Polygon:
        """Hull of the geolocation grid, longitude and latitude."""
        grid = self.annotation.grid
        return MultiPoint(np.column_stack([grid.lon_deg, grid.lat_deg])).convex_hull

    @cached_property
    def ground_range(self) -> GroundRange:
        """Conversion of slant range to samples.

        Raises:
            SafeError: The annotated records contradict the annotated geolocation grid.
        """
        annotation, grid = self.annotation, self.annotation.grid
        conversion = GroundRange.from_annotation(annotation, self.ipf_version)
        time: Floats = (grid.azimuth_time - annotation.image.first_line) / np.timedelta64(1, "s")
        misfit = np.sqrt(np.mean((conversion.sample(time, grid.slant_range_m) - grid.sample) ** 2))
        if not misfit < MAX_MISFIT_SAMPLES:
            raise SafeError(
                f"{self.archive.path}: coordinateConversion misses geolocationGrid by {misfit:.3g} samples; "
                "download the product again"
            )
        return conversion

    @cached_property
    def denoisable(self) -> bool:
        """Whether both polarisations carry a usable noise annotation; raises `SafeError` when one lacks."""
        return all(self.noise(polarisation).denoisable for polarisation in POLARISATIONS)

    def noise(self, polarisation: str) -> NoiseModel:
        """Thermal noise of one polarisation; read once.

        Raises:
            SafeError: The annotation is missing or damaged.
        """
        if polarisation not in self._noise:
            member = self.archive.find("noise", polarisation)
            content, file = self.archive.read(member), self.archive.label(member)
            self._noise[polarisation] = parse_noise(content, file, self.ipf_version, self.shape[1])
        return self._noise[polarisation]

    def require_complete(self) -> None:
        """Checks that every file that processing reads is there.

        Raises:
            SafeError: A file is missing; the message names its kind and polarisation.
        """
        for role in FILE_PATTERNS:
            for polarisation in POLARISATIONS:
                self.archive.find(role, polarisation)

    @contextmanager
    def open_image(
        self, polarisation: str, quantity: Quantity = "sigma0", denoise: bool = True
    ) -> Iterator[CalibratedImage]:
        """Opens one polarisation for reading calibrated lines; see `image.open_image`.

        Raises:
            SafeError: The polarisation or quantity is unknown, or a file is missing or damaged.
        """
        for name, known in ((polarisation, POLARISATIONS), (quantity, tuple(LUT_NAMES))):
            if name not in known:
                raise SafeError(f"{self.name}: {name!r} is not there to read; choose {' or '.join(known)}")
        image, noise = self.annotation.image, self.noise(polarisation)
        with open_image(self.archive, image, polarisation, noise, quantity, denoise) as opened:
            yield opened

    def calibrate(
        self,
        polarisation: str,
        window: Window | None = None,
        quantity: Quantity = "sigma0",
        denoise: bool = True,
    ) -> NDArray[np.float32]:
        """Calibrated backscatter, linear power.

        Args:
            polarisation: ``VV`` or ``VH``.
            window: Part of the image; the whole image when None.
            quantity: ``sigma0``, ``beta0`` or ``gamma0``.
            denoise: Take the thermal noise off, where the product's annotation allows it (`denoisable`).

        Returns:
            NaN where nothing was imaged. Negative where speckle falls below the noise.

        Raises:
            SafeError: The window leaves the image, the polarisation or quantity is unknown, or a file is
                missing or damaged.
        """
        area = self.window(window)
        with self.open_image(polarisation, quantity, denoise) as image:
            return image.read(area)

    def window(self, window: Window | None) -> Window:
        """A window of the image, the whole image when None.

        Raises:
            SafeError: It is no `Window`, is empty or leaves the image.
        """
        lines, samples = self.shape
        if not isinstance(window, Window | None):
            raise SafeError(
                f"{self.name}: {window!r} is no window; give avalanche_assets.grid.Window(row, col, height, "
                "width)"
            )
        area = window or Window(0, 0, lines, samples)
        if not (
            0 <= area.row < area.row + area.height <= lines
            and 0 <= area.col < area.col + area.width <= samples
        ):
            raise SafeError(
                f"{self.name}: {area} is empty or leaves the image of {lines} x {samples}; choose another"
            )
        return area

    def to_xarray(
        self,
        polarisation: str,
        window: Window | None = None,
        quantity: Quantity = "sigma0",
        denoise: bool = True,
    ) -> "xarray.DataArray":
        """As `calibrate`, with coordinates, units and origin; see `labelled.labelled`.

        The attribute `denoised` is 1 where the noise was taken off, else 0: truth values do not fit a netCDF
        file.
        """
        from avalanche_assets.sentinel1.labelled import labelled

        area = self.window(window)
        power = self.calibrate(polarisation, area, quantity, denoise)
        attributes: dict[str, str | int] = {
            "polarisation": polarisation,
            "product": self.name,
            "platform": self.platform,
            "absolute_orbit": self.absolute_orbit,
            "relative_orbit": self.relative_orbit,
            "orbit_direction": self.direction,
            "orbit_source": f"{self.orbit.source} ({self.annotation.orbit_source})".removesuffix(" ()"),
            "ipf_version": "{}.{:02d}".format(*self.ipf_version),
            "denoised": int(denoise and self.denoisable),
        }
        return labelled(power, area, self.annotation.image, quantity, attributes)

    def locate(
        self, lon: ArrayLike, lat: ArrayLike, height: ArrayLike, orbit: Orbit | None = None
    ) -> Location:
        """Where ground points lie in the image.

        Args:
            lon: Longitude in degrees; the three arguments broadcast.
            lat: Latitude in degrees.
            height: Height over the ellipsoid in metres.
            orbit: Orbit to use instead of the annotated one.

        Raises:
            OrbitError: It is of another time or platform.
        """
        path = orbit or self.orbit
        self._require_own(path)
        lon, lat, height = (np.asarray(values, np.float64) for values in (lon, lat, height))
        points = geodetic_to_ecef(lon, lat, height)
        azimuth_time, slant_range = zero_doppler(path, points)
        time = azimuth_time - path.seconds(self.annotation.image.first_line)
        line = time / self.annotation.image.line_interval_s
        sample = self.ground_range.sample(time, slant_range)
        incidence = incidence_deg(path, azimuth_time, points, ellipsoid_normal(lon, lat))
        return Location(line, sample, slant_range, path.instants(azimuth_time), incidence)

    def _require_own(self, orbit: Orbit) -> None:
        """Checks that an orbit is the one on which the image was taken."""
        image = self.annotation.image
        ends = image.first_line, image.last_line
        name = orbit.file or f"orbit of the {orbit.source}"
        if not orbit.covers(*ends):
            raise OrbitError(
                f"{self.name}: {name} has state vectors from {orbit.instants(orbit.times[0])} to "
                f"{orbit.instants(orbit.times[-1])}, the image is of {ends[0]} to {ends[1]}; give an "
                "orbit of that time"
            )
        times = np.array([orbit.seconds(end) for end in ends])
        apart = np.linalg.norm(orbit.displacement(self.orbit, times), axis=-1).max()
        if not apart < ABSURD_M:
            raise OrbitError(
                f"{self.name}: {name} lies {apart:.3g} m from the annotated one, more than {ABSURD_M:g} m; "
                f"give an orbit of {self.platform}"
            )


def _require_same_image(annotation: Annotation, manifest: Manifest, file: str) -> None:
    """Checks that an annotation of VV is the one of this product, not of another one copied into it."""
    said = annotation.polarisation, annotation.absolute_orbit, annotation.datatake_id
    expected = POLARISATIONS[0], manifest.absolute_orbit, manifest.datatake_id
    if said != expected:
        raise SafeError(
            f"{file}: polarisation, absoluteOrbitNumber and missionDataTakeId are {said}, by name and "
            f"manifest {expected}; download the product again"
        )
