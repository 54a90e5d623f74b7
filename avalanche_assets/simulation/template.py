"""A real product as template: its orbit, timing, calibration and noise, with simulated backscatter.

The annotation's state vectors are moved by whole days onto the simulated dates, so the same ground track is
flown again. Lines and samples are the template's own, cropped to the scene; its ground-range records are
taken at the times at which they reproduce the template's own geolocation grid.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), Level-1 annotations.
"""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.annotation import Annotation, parse_annotation
from avalanche_assets.sentinel1.calibration import LUT_NAMES, parse_calibration
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.lookup import LineTable
from avalanche_assets.sentinel1.noise import NoiseModel, parse_noise
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.safe import SafeArchive
from avalanche_assets.simulation.image_geometry import ConversionRecords, ImageGeometry, crop_records
from avalanche_assets.simulation.orbit import NominalPass
from avalanche_assets.simulation.radiometry import (
    POLARISATIONS,
    Radiometry,
    SubSwath,
    synthetic_radiometry,
    vector_positions,
)
from avalanche_assets.simulation.track import MARGIN_PX, SceneExtent

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TemplateTrack:
    """The track and frame of a real product; implements `avalanche_assets.simulation.track.Track`.

    Attributes:
        name: Product name of the template.
        annotation: Its VV annotation.
        records: Its ground-range conversion, times in seconds since the orbit's epoch.
        centre: When the scene centre was imaged, UTC.
        calibration: `sigmaNought`, `betaNought` and `gamma`, None when the product lacks them.
        noise: Noise of VV and VH, None when the product lacks it or it is all zero.
        relative_orbit: Relative orbit number.
        direction: ``DESCENDING`` or ``ASCENDING``.
        nominal: State vectors around `centre`.
    """

    name: str
    annotation: Annotation
    records: ConversionRecords
    centre: np.datetime64
    calibration: dict[str, LineTable] | None
    noise: tuple[NoiseModel, NoiseModel] | None
    relative_orbit: int
    direction: str
    nominal: NominalPass

    def overpass(self, day: date) -> np.datetime64:
        """The template's time of day on another day."""
        return np.datetime64(np.datetime64(day, "ns") + (self.centre - self.centre.astype("datetime64[D]")))

    def geometry(self, orbit: Orbit, scene: SceneExtent, random: np.random.Generator) -> ImageGeometry:
        """The template's image, cropped to the scene.

        Raises:
            SafeError: The template does not cover the scene.
        """
        image = self.annotation.image
        # Seconds since the template's epoch become seconds since the centre, the epoch of dated orbits.
        shift = self._seconds(self.centre)
        records = replace(self.records, times=self.records.times - shift)
        records = replace(records, terrain_height=scene.mean_height(records.times))
        whole = ImageGeometry(
            orbit,
            self._seconds(image.first_line) - shift,
            image.line_interval_s,
            image.sample_spacing_m,
            image.lines,
            image.samples,
            float(records.slant_start[0]),
            records,
        )
        times, ranges = np.meshgrid(scene.time, scene.slant_range)
        line, sample = whole.line_sample(times, ranges)
        first_line, last_line = int(line.min()) - MARGIN_PX, int(line.max()) + MARGIN_PX
        first_sample, last_sample = int(sample.min()) - MARGIN_PX, int(sample.max()) + MARGIN_PX
        if first_line < 0 or first_sample < 0 or last_line >= image.lines or last_sample >= image.samples:
            raise SafeError(
                f"{self.name}: the elevation model falls on lines {first_line} to {last_line} and samples "
                f"{first_sample} to {last_sample} of {image.lines} x {image.samples}; choose an elevation "
                "model inside the template's footprint"
            )
        return replace(
            whole,
            first_time=float(whole.line_time(first_line)),
            lines=last_line - first_line,
            samples=last_sample - first_sample,
            slant_start=float(whole.slant_range(first_line, first_sample)),
            records=crop_records(records, first_sample * whole.spacing),
        )

    def radiometry(self, geometry: ImageGeometry, first: int, last: int, old_format: bool) -> Radiometry:
        """The template's tables cut to the slice; synthetic ones where the template has none."""
        tables = synthetic_radiometry(geometry, first, last, old_format)
        lines, samples = vector_positions(last - first, geometry.samples, geometry.line_interval)
        line, sample = self._template_pixels(geometry, first + lines, samples)
        if self.calibration is not None:
            amplitude = {name: _cut(table, line, sample) for name, table in self.calibration.items()}
            tables = replace(tables, amplitude=amplitude)
        if self.noise is not None:
            noise = np.stack([_cut(model.range_noise, line, sample) for model in self.noise])
            tables = replace(tables, noise=noise)
            if not old_format:
                tables = replace(tables, swaths=self._swaths(tables, geometry, first, last))
        return tables

    def _swaths(
        self, tables: Radiometry, geometry: ImageGeometry, first: int, last: int
    ) -> tuple[SubSwath, ...]:
        """Azimuth factors of the template's sub-swaths where they meet the slice, VV's for both."""
        assert self.noise is not None
        lines = tables.swaths[0].lines
        line, sample = self._template_pixels(geometry, first + lines, np.array([0.0, geometry.samples - 1.0]))
        swaths = []
        for index, block in enumerate(self.noise[0].azimuth_blocks):
            left = max(block.first_sample - int(sample[0]), 0)
            right = min(block.last_sample - int(sample[0]), geometry.samples - 1)
            if left <= right:
                factors = np.interp(line, block.lines, block.factors)
                swaths.append(SubSwath(f"IW{index + 1}", left, right, lines, factors))
        return tuple(swaths) or tables.swaths

    def _template_pixels(
        self, geometry: ImageGeometry, lines: Floats, samples: Floats
    ) -> tuple[Floats, Floats]:
        """Lines and samples of a cropped image as lines and samples of the template."""
        image = self.annotation.image
        start = self._seconds(image.first_line) - self._seconds(self.centre)
        first_line = round((geometry.first_time - start) / image.line_interval_s)
        # The crop took the same ground range off all records' `to_ground`.
        cropped = self.records.to_ground[0, 0] - geometry.records.to_ground[0, 0]
        return lines + first_line, samples + round(cropped / image.sample_spacing_m)

    def _seconds(self, instant: np.datetime64) -> float:
        return self.annotation.orbit.seconds(instant)


def read_template(path: Path, lon: float, lat: float, height: float) -> TemplateTrack:
    """A template from a real IW GRD product.

    Args:
        path: SAFE folder or zip; calibration, noise and rasters may be missing.
        lon: Longitude of the scene centre in degrees.
        lat: Latitude of the scene centre.
        height: Ellipsoidal height of the scene centre in metres.

    Raises:
        SafeError: The product is damaged or did not image the scene centre.
    """
    archive = SafeArchive.open(path)
    file = archive.find("annotation", "VV")
    annotation = parse_annotation(archive.read(file), f"{path.name}/{file}")
    orbit = annotation.orbit
    time, _ = zero_doppler(orbit, geodetic_to_ecef(lon, lat, height)[None])
    if not np.isfinite(time[0]):
        raise SafeError(f"{path}: does not see {lat:.3f} N, {lon:.3f} E; choose a product over the scene")
    centre = orbit.epoch + np.timedelta64(round(float(time[0]) * 1e6) * 1000, "ns")
    return TemplateTrack(
        archive.name,
        annotation,
        _records(annotation),
        centre,
        _calibration(archive, annotation.image.samples),
        _noise(archive, annotation.image.samples),
        archive.manifest.relative_orbit,
        archive.manifest.direction,
        NominalPass(orbit.times - orbit.seconds(centre), orbit.positions),
    )


def _records(annotation: Annotation) -> ConversionRecords:
    """Conversion records with the time shift that reproduces the annotation's geolocation grid.

    Processors stamp the records up to a tenth of a second beside the line they were made for.
    """
    orbit, conversions, grid = annotation.orbit, annotation.conversions, annotation.grid
    records = ConversionRecords(
        np.array([orbit.seconds(instant) for instant in conversions.azimuth_time]),
        np.zeros(len(conversions.azimuth_time)),
        conversions.slant_origin_m,
        conversions.to_slant,
        conversions.to_ground,
    )
    image = annotation.image
    frame = ImageGeometry(
        orbit,
        orbit.seconds(image.first_line),
        image.line_interval_s,
        image.sample_spacing_m,
        image.lines,
        image.samples,
        float(conversions.slant_origin_m[0]),
        records,
    )
    times = frame.line_time(grid.line)

    def misfit(shift: float) -> float:
        moved = replace(frame, records=replace(records, times=records.times + shift))
        return float(np.mean((moved.line_sample(times, grid.slant_range_m)[1] - grid.sample) ** 2))

    shift = minimize_scalar(misfit, bounds=(-0.5, 0.5), method="bounded").x
    return replace(records, times=records.times + float(shift))


def _calibration(archive: SafeArchive, samples: int) -> dict[str, LineTable] | None:
    if not archive.has("calibration", "VV"):
        return None
    file = archive.find("calibration", "VV")
    content = archive.read(file)
    return {name: parse_calibration(content, file, quantity, samples) for quantity, name in LUT_NAMES.items()}


def _noise(archive: SafeArchive, samples: int) -> tuple[NoiseModel, NoiseModel] | None:
    models = []
    for polarisation in POLARISATIONS:
        if not archive.has("noise", polarisation):
            return None
        file = archive.find("noise", polarisation)
        models.append(parse_noise(archive.read(file), file, archive.manifest.ipf_version, samples))
    return (models[0], models[1]) if all(model.denoisable for model in models) else None


def _cut(table: LineTable, lines: Floats, samples: Floats) -> Floats:
    columns = np.clip(samples.astype(np.int64), 0, table.values.shape[1] - 1)
    rows = [table.rows(int(line), 1)[0, columns] for line in lines]
    return np.stack(rows).astype(np.float64)
