"""The measurements, each run in a process of its own: `python -m benchmarks.tasks TASK SCENE.json`.

A task prepares what the claim does not count (imports, opened metadata, compiled code, warmed up on one
block) and returns the work to be timed, which returns how many pixels (or bytes) it served.
"""

import json
import math
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.windows import Window

from avalanche_assets.grid import TILE_PX, Grid
from avalanche_assets.grid import Window as GridWindow
from avalanche_assets.rasters import cog_writer
from avalanche_assets.sentinel1.block_model import PART_PX, fit_blocks
from avalanche_assets.sentinel1.mosaic import sigma0_tiles
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.sampling import sample_blocks
from avalanche_assets.sentinel1.slices import SliceStack
from benchmarks.inventory import events, events_pandas
from benchmarks.learning import score_date_ours, score_date_vae, train_memory, train_stream
from benchmarks.patches import cut_date, gdaldem, slope_aspect, stream, stream_npy, stream_zarr
from benchmarks.scene import Scene
from benchmarks.transfer import curl, curl_md5sum, download, download_md5

Work = Callable[[], int]

__all__ = ["curl", "curl_md5sum", "download", "download_md5", "events", "events_pandas"]
__all__ += ["cut_date", "gdaldem", "slope_aspect", "stream", "stream_npy", "stream_zarr"]
__all__ += ["score_date_ours", "score_date_vae", "train_memory", "train_stream"]
# Tasks are found by name in this module.


class Timed(NamedTuple):
    """A work and what belongs to it without being part of the claim: it counts to memory, not to time."""

    work: Work
    rest: Callable[[], None]


ROWS = 512
WINDOW = 5000


def read(scene: Scene) -> Work:
    """The limit: rasterio reads all rasters once in blocks of rows, with its own settings."""
    return lambda: sum(_read(raster) for raster in scene.rasters)


def read_one(scene: Scene) -> Work:
    """The same for one raster."""
    return lambda: _read(scene.rasters[0])


def read_direct(scene: Scene) -> Work:
    """A second limit: GDAL copies strips straight from the file, as ours does."""
    return lambda: sum(_read(raster, GTIFF_DIRECT_IO=True) for raster in scene.rasters)


def read_one_direct(scene: Scene) -> Work:
    """The same for one raster."""
    return lambda: _read(scene.rasters[0], GTIFF_DIRECT_IO=True)


def _read(raster: Path, **settings: bool) -> int:
    with rasterio.Env(**settings), rasterio.open(raster) as dataset:
        for row in range(0, dataset.height, ROWS):
            dataset.read(1, window=Window(0, row, dataset.width, min(ROWS, dataset.height - row)))
        return int(dataset.height * dataset.width)


def calibrate(scene: Scene) -> Work:
    """Full raster to denoised sigma0."""
    product = Product.open(scene.products[0])
    polarisation = _polarisation(scene.rasters[0])
    product.calibrate(polarisation, GridWindow(0, 0, 1, 1))

    def work() -> int:
        with product.open_image(polarisation) as image:
            return sum(block.size for _, block in image.blocks())

    return work


def calibrate_window(scene: Scene) -> Work:
    """A window of the raster to sigma0 without noise removal, as the peer does."""
    product = Product.open(scene.products[0])
    polarisation = _polarisation(scene.rasters[0])
    product.calibrate(polarisation, GridWindow(0, 0, 1, 1))
    size = min(WINDOW, *product.shape)
    window = GridWindow(0, 0, size, size)
    return lambda: product.calibrate(polarisation, window, denoise=False).size


def xarray_sentinel_window(scene: Scene) -> Work:
    """The same window by xarray-sentinel."""
    import xarray_sentinel

    group = f"IW/{_polarisation(scene.rasters[0])}"
    manifest = str(scene.products[0] / "manifest.safe")
    size = min(WINDOW, *Product.open(scene.products[0]).shape)
    # Chunks of whole lines: others read each strip several times.
    chunks = {"y": ROWS, "x": -1}
    image = xarray_sentinel.open_sentinel1_dataset(manifest, group=group, rasterio_chunks=chunks)
    table = xarray_sentinel.open_sentinel1_dataset(manifest, group=f"{group}/calibration")

    def calibrated(side: int) -> int:
        part = image.measurement[:side, :side]
        return int(xarray_sentinel.calibrate_intensity(part, table.sigmaNought).values.size)

    calibrated(min(size, ROWS))
    return lambda: calibrated(size)


def eos_sar_window(scene: Scene) -> Work:
    """The same window by eos-sar."""
    from eos.products.sentinel1.calibration import Sentinel1Calibrator
    from eos.sar.roi import Roi

    product = Product.open(scene.products[0])
    polarisation, size = _polarisation(scene.rasters[0]), min(WINDOW, *product.shape)
    tables = product.archive.read(product.archive.find("calibration", polarisation)).decode()

    def work() -> int:
        calibrator = Sentinel1Calibrator(tables)
        with rasterio.open(scene.rasters[0]) as dataset:
            image = dataset.read(1, window=Window(0, 0, size, size)).astype(np.float32)
        return int(calibrator.calibrate_inplace(image, Roi(0, 0, size, size), "sigma").size)

    return work


def geocode(scene: Scene) -> Work:
    """Terrain and product to a file of both polarisations, denoised and geocoded, as sarsen does for one."""
    stack, grid, path = scene.stack(), scene.grid, scene.corridors.with_name("geocoded.tif")
    _warm_up(stack, grid, scene.heights())

    def work() -> int:
        with cog_writer(path, {"vv": "1", "vh": "1"}, grid, threads="1") as write:
            for tile in sigma0_tiles(stack, stack.orbit, scene.heights(), grid):
                write(tile.window, {"vv": tile.vv, "vh": tile.vh})
        return 2 * grid.height * grid.width

    return work


def sampling(scene: Scene) -> Work:
    """Projection and sampling of two polarisations alone, on one core, as eos-sar's: no reading, no file."""
    stack, grid, heights = scene.stack(), scene.grid, scene.heights()
    orbit, timing = stack.orbit, stack.timing(stack.orbit)
    blocks = np.ones((grid.height // TILE_PX, grid.width // TILE_PX), bool)
    wanted = np.ones((grid.height // PART_PX, grid.width // PART_PX), bool)
    nodes = fit_blocks(orbit, heights, grid, blocks)
    lines, samples = stack.line_sample(nodes.node_time, nodes.node_range, orbit)
    first, stop = max(int(lines.min()) - 2, 0), min(int(lines.max()) + 3, stack.shape[0])
    left, right = max(int(samples.min()) - 2, 0), min(int(samples.max()) + 3, stack.shape[1])
    shape = 2 ** math.ceil(math.log2(stop - first)), right - left
    ring = np.ones(shape, np.float32), np.ones(shape, np.float32)
    out = np.empty((2, 1, *grid.shape), np.float32)
    flags = np.empty((1, *grid.shape), np.uint8)

    def work() -> int:
        models = fit_blocks(orbit, heights, grid, blocks)
        every, held, corner = np.arange(len(models.corners)), (first, stop, left), np.zeros((1, 2), np.int64)
        tile, powers = np.zeros_like(every), (out[0], out[1])
        sample_blocks(models, every, tile, timing, heights, wanted, ring, held, corner, powers, flags)
        if not np.isfinite(out).any():
            raise SystemExit("sampling: cells without a value; the area does not lie on the image")
        return 2 * grid.height * grid.width

    work()
    return work


def sarsen_gtc(scene: Scene) -> Work:
    """Terrain correction by sarsen: one polarisation, no noise removal, its usual blocks."""
    import sarsen

    grid, output = scene.grid, scene.corridors.with_name("sarsen.tif")
    product = sarsen.Sentinel1SarProduct(str(scene.products[0]), f"IW/{_polarisation(scene.rasters[0])}")

    def work() -> int:
        sarsen.terrain_correction(product, str(scene.dem), output_urlpath=str(output))
        return grid.height * grid.width

    return work


def eos_sar_ortho(scene: Scene) -> Work:
    """eos-sar's projection and sampling of two polarisations; reading and calibration are not counted."""
    import cv2
    from eos.dem import DEM
    from eos.products.sentinel1 import metadata, proj_model
    from eos.sar.orbit import Orbit
    from eos.sar.ortho import LinearInterpolation, Orthorectifier
    from eos.sar.roi import Roi

    cv2.setNumThreads(1)
    grid, product = scene.grid, Product.open(scene.products[0])
    annotation = product.archive.read(product.archive.find("annotation", _polarisation(scene.rasters[0])))
    details = metadata.extract_grd_metadata(annotation.decode())
    model = proj_model.grd_model_from_meta(details, Orbit(details.state_vectors))
    heights, transform = _geographic(scene)
    dem = DEM(array=heights, transform=transform)
    image = np.ones((1, 1), np.float32)

    def work() -> int:
        roi = Roi(0, 0, *product.shape[::-1])
        ortho = Orthorectifier.from_transform(
            model, roi, rasterio.CRS.from_string(grid.crs), grid.transform, grid.shape, dem
        )
        # cv2 samples images of less than 32,768 pixels a side.
        for _ in range(2):
            ortho.apply(images, LinearInterpolation)
        return 2 * grid.height * grid.width

    images = np.broadcast_to(image, product.shape).copy()
    return work


def gcp_warp(scene: Scene) -> Work:
    """GDAL's warp with the ground control points, which knows no relief: fast, and wrong in mountains."""
    from rasterio.enums import Resampling
    from rasterio.shutil import copy
    from rasterio.warp import reproject

    grid, points = scene.grid, Product.open(scene.products[0]).annotation.grid
    places = zip(points.line, points.sample, points.lon_deg, points.lat_deg, strict=True)
    gcps = [
        rasterio.control.GroundControlPoint(row=line, col=sample, x=lon, y=lat)
        for line, sample, lon, lat in places
    ]
    sources = []
    for raster in scene.rasters[:2]:
        sources.append(scene.corridors.with_name(f"{raster.stem}.vrt"))
        copy(raster, sources[-1], driver="VRT")
        # The benchmark's raster has a transform, which would count before the points.
        text = re.sub("<GeoTransform>.*?</GeoTransform>", "", sources[-1].read_text())
        sources[-1].write_text(text)
        with rasterio.open(sources[-1], "r+") as dataset:
            dataset.gcps = gcps, rasterio.CRS.from_epsg(4326)

    def work() -> int:
        out = np.empty(grid.shape, np.float32)
        for source in sources:
            # As a band, so that GDAL reads what it needs.
            with rasterio.open(source) as dataset:
                reproject(
                    rasterio.band(dataset, 1),
                    out,
                    dst_crs=grid.crs,
                    dst_transform=grid.transform,
                    resampling=Resampling.bilinear,
                )
            if not out.any():
                raise SystemExit("gcp_warp: nothing was warped")
        return 2 * grid.height * grid.width

    return work


def corridors(scene: Scene) -> Timed:
    """SAFE and terrain to a sigma0 file and the figures of its report, where corridor patches lie."""
    return _acquisition(scene, full_swath=False)


def swath(scene: Scene) -> Timed:
    """SAFE and terrain to a sigma0 file and the figures of its report, every cell of the swath."""
    return _acquisition(scene, full_swath=True)


def _acquisition(scene: Scene, full_swath: bool) -> Timed:
    """All that the asset sigma0 does, except talking to Dagster; the rest are picture and checksum."""
    import geopandas as gpd

    from avalanche_assets.backscatter.sigma0_file import write_sigma0
    from avalanche_assets.files import sha256
    from avalanche_assets.patches.cutting import wanted_squares
    from avalanche_assets.reporting.figures import sigma0_map
    from avalanche_assets.reporting.style import png

    grid, path = scene.grid, scene.corridors.with_name("sigma0.tif")
    one = np.zeros((grid.height // PART_PX, grid.width // PART_PX), bool)
    one[one.shape[0] // 2, one.shape[1] // 2] = True

    reports = []

    def run(wanted: np.ndarray | None) -> int:
        stack = scene.stack()
        table = gpd.read_parquet(scene.corridors)
        if wanted is None and not full_swath:
            wanted = wanted_squares(table, grid, PART_PX)
        report = write_sigma0(path, stack, stack.orbit, scene.dem, table, wanted, {})
        reports.append(report)
        return round(report.vv.filled * grid.height * grid.width)

    def rest() -> None:
        png(sigma0_map(reports[-1].vv, "VV"))
        sha256(path)

    run(one)
    rest()
    return Timed(lambda: run(None), rest)


def track_geometry(scene: Scene) -> Work:
    """Incidence, local incidence, layover, shadow and flattening of the whole track."""
    from avalanche_assets.sentinel1.track_geometry import track_geometry as geometry_of

    orbit, grid, heights = scene.stack().orbit, scene.grid, scene.heights()
    # A copy, for which the same code is compiled as for the whole.
    geometry_of(orbit, heights[:256, :256].copy(), replace(grid, height=256, width=256))

    def work() -> int:
        geometry_of(orbit, heights, grid)
        return grid.height * grid.width

    return work


def compile_all(scene: Scene) -> Work:
    """First use of the compiled kernels; with an empty cache this is the time to compile them."""
    from avalanche_assets.raster_summary import BandSummary
    from avalanche_assets.sentinel1.track_geometry import track_geometry as geometry_of

    stack, grid, heights = scene.stack(), scene.grid, scene.heights()

    def work() -> int:
        part = heights[:256, :256].copy()
        small = replace(grid, height=part.shape[0], width=part.shape[1])
        geometry_of(stack.orbit, part, small)
        BandSummary.of(part, small)
        return _warm_up(stack, grid, heights)

    return work


def _warm_up(stack: SliceStack, grid: Grid, heights: np.ndarray) -> int:
    wanted = np.zeros((grid.height // PART_PX, grid.width // PART_PX), bool)
    wanted[wanted.shape[0] // 2, wanted.shape[1] // 2] = True
    return sum(tile.vv.size for tile in sigma0_tiles(stack, stack.orbit, heights, grid, wanted))


def _polarisation(raster: Path) -> str:
    return raster.name.split("-")[3].upper()


def _geographic(scene: Scene) -> tuple[np.ndarray, rasterio.Affine]:
    """The terrain in geographic coordinates at the same spacing, which eos-sar asks for."""
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    grid = scene.grid
    transform, width, height = calculate_default_transform(
        grid.crs, "EPSG:4326", grid.width, grid.height, *grid.bounds
    )
    out = np.zeros((height, width), np.float32)
    reproject(
        scene.heights(),
        out,
        src_crs=grid.crs,
        src_transform=grid.transform,
        dst_crs="EPSG:4326",
        dst_transform=transform,
        resampling=Resampling.bilinear,
    )
    return out, transform


def main(task: str, scene_file: str) -> None:
    warnings.simplefilter("ignore")
    scene = Scene.from_json(Path(scene_file))
    try:
        work = globals()[task](scene)
    except ImportError as error:
        print(json.dumps({"missing": error.name}))
        return
    timed = work if isinstance(work, Timed) else Timed(work, lambda: None)
    wall, cpu = time.perf_counter(), _cpu_seconds()
    pixels = timed.work()
    wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    begin = time.perf_counter()
    timed.rest()
    rest = time.perf_counter() - begin
    answer = {"wall": wall, "cpu": cpu, "peak_gb": _peak_bytes() / 1e9, "pixels": pixels, "rest": rest}
    print(json.dumps(answer))


def _cpu_seconds() -> float:
    """Of this process and of programs it has run: some peers are programs."""
    own, programs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + programs.ru_utime + programs.ru_stime


def _peak_bytes() -> int:
    """Most memory this process ever held.

    `ru_maxrss` begins with the peak of the process that started this one, so the system's own count is read
    where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(*sys.argv[1:])
