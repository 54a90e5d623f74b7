"""Writes a slice as a SAFE product in one zip: manifest, annotations, calibration, noise, measurements.

The measurement rasters are stored uncompressed inside the zip in strips of one line, so that windows are read
in place. Every byte follows from the simulation's seed: file times are the sensing time.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), product structure and manifest; SAFE Control
Book volume 1 (XFDU manifest).
"""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.windows import Window as RasterWindow

from avalanche_assets.files import atomic_path, file_md5
from avalanche_assets.simulation.annotation_xml import calibration_xml, noise_xml, product_xml
from avalanche_assets.simulation.manifest_xml import DataObject, manifest_xml
from avalanche_assets.simulation.radiometry import POLARISATIONS
from avalanche_assets.simulation.slices import Slice, utc

Digital = NDArray[np.uint16]


@dataclass(frozen=True)
class _File:
    """A file of the product: path inside it, and where its content lies."""

    member: str
    path: Path
    role: str


def write_product(folder: Path, item: Slice, blocks: Iterator[tuple[int, Digital]], compress: bool) -> Path:
    """Writes ``<name>.SAFE.zip`` into `folder`, atomically.

    Args:
        folder: Target folder; it must exist.
        item: The slice.
        blocks: First line and VV and VH numbers, uint16 (2, lines, samples), from the first line on.
        compress: Deflate the rasters (large products that are mostly without data) instead of storing them.

    Returns:
        Path of the zip.
    """
    target = folder / f"{item.name}.SAFE.zip"
    work = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        files = [*_write_annotations(work, item), *_write_measurements(work, item, blocks, compress)]
        objects = [
            DataObject(file.member, file.role, file.path.stat().st_size, file_md5(file.path))
            for file in files
        ]
        manifest = work / "manifest.safe"
        manifest.write_text(manifest_xml(item, objects), encoding="utf-8")
        with atomic_path(target) as temporary:
            _pack(temporary, item, [_File("manifest.safe", manifest, "manifest"), *files])
    finally:
        shutil.rmtree(work)
    return target


def _write_annotations(work: Path, item: Slice) -> list[_File]:
    files = []
    for polarisation in POLARISATIONS:
        stem = item.file_stem(polarisation)
        texts = {
            ("product", f"annotation/{stem}.xml"): product_xml(item, polarisation),
            ("calibration", f"annotation/calibration/calibration-{stem}.xml"): calibration_xml(
                item, polarisation
            ),
            ("noise", f"annotation/calibration/noise-{stem}.xml"): noise_xml(item, polarisation),
        }
        for (role, member), text in texts.items():
            path = work / Path(member).name
            path.write_text(text, encoding="utf-8")
            files.append(_File(member, path, role))
    return files


def _write_measurements(
    work: Path, item: Slice, blocks: Iterator[tuple[int, Digital]], compress: bool
) -> list[_File]:
    samples = item.geometry.samples
    grid = item.tie_points
    points = [
        GroundControlPoint(
            row=float(grid.line[index]),
            col=float(grid.sample[index]),
            x=float(grid.lon[index]),
            y=float(grid.lat[index]),
            z=float(grid.height[index]),
        )
        for index in np.ndindex(grid.line.shape)
    ]
    profile = {
        "driver": "GTiff",
        "dtype": "uint16",
        "count": 1,
        "height": item.lines,
        "width": samples,
        "blockysize": 1,
        "gcps": points,
        "crs": "EPSG:4326",
        **({"compress": "deflate", "zlevel": 1} if compress else {}),
    }
    tags = {
        "TIFFTAG_IMAGEDESCRIPTION": f"Sentinel-{item.platform[1:]} IW GRD HR L1",
        "TIFFTAG_SOFTWARE": f"Sentinel-1 IPF {item.ipf_version}",
        "TIFFTAG_DATETIME": utc(item.start)[:19].replace("-", ":").replace("T", " "),
    }
    paths = [work / f"{item.file_stem(polarisation)}.tiff" for polarisation in POLARISATIONS]
    with rasterio.open(paths[0], "w", **profile) as vv, rasterio.open(paths[1], "w", **profile) as vh:
        for dataset in (vv, vh):
            dataset.update_tags(**tags)
        for line, numbers in blocks:
            window = RasterWindow(0, line, samples, numbers.shape[1])
            for dataset, values in zip((vv, vh), numbers, strict=True):
                dataset.write(values, 1, window=window)
    return [_File(f"measurement/{path.name}", path, "measurement") for path in paths]


def _pack(target: Path, item: Slice, files: list[_File]) -> None:
    moment = item.start.astype("datetime64[s]").item()
    with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
        for file in files:
            entry = zipfile.ZipInfo(f"{item.name}.SAFE/{file.member}", moment.timetuple()[:6])
            entry.external_attr = 0o644 << 16
            if file.role != "measurement":
                entry.compress_type = zipfile.ZIP_DEFLATED
            entry.file_size = file.path.stat().st_size
            with file.path.open("rb") as source, archive.open(entry, "w") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
