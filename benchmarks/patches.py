"""Terrain and patches: slope and aspect against gdaldem, cutting, and the layouts training can read from.

The relief is made up, 5000 x 5000 cells of 20 m. Patches are speckle over a texture.
"""

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
from scipy.ndimage import zoom
from shapely.geometry import box

from avalanche_assets.catalogue.acquisitions import Acquisition, AcquisitionCatalogue
from avalanche_assets.grid import Grid
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.cutting import cut_corridor_patches
from avalanche_assets.patches.patch_set import PatchSet
from avalanche_assets.rasters import bands_reader, read_grid, write_cog
from avalanche_assets.tables import CORRIDOR_PATCHES, SCENE_LEVELS, TERRAIN_PATCHES, write_table
from benchmarks.scene import Scene

Work = Callable[[], int]

SIDE, CORRIDORS, DATES, BATCH = 5000, 3000, 3, 128
STORED = 4096
"""Patches of the layouts beside ours."""
GRID = Grid("EPSG:32632", 20.0, 300_000.0, 5_100_000.0, SIDE, SIDE)
DAYS = [date(2018, 1, 4) + timedelta(days=6 * index) for index in range(DATES)]


def slope_aspect(scene: Scene) -> Work:
    """Both by ours, from an elevation model to a Cloud-Optimized GeoTIFF."""
    from avalanche_assets.terrain.slope import horn_slope_aspect, write_slope_aspect

    dem = _relief(scene)
    horn_slope_aspect(np.zeros((8, 8), np.float32), 20.0)

    def work() -> int:
        write_slope_aspect(dem, dem.with_name("slope_aspect.tif"))
        return SIDE * SIDE

    return work


def gdaldem(scene: Scene) -> Work:
    """The peer, once for each."""
    if not shutil.which("gdaldem"):
        raise ImportError(name="gdaldem (Debian: gdal-bin)")
    dem = _relief(scene)

    def work() -> int:
        for mode in ("slope", "aspect"):
            subprocess.run(["gdaldem", mode, dem, dem.with_name(f"{mode}.tif"), "-q"], check=True)
        return SIDE * SIDE

    return work


def cut_date(scene: Scene) -> Work:
    """Patches of 3,000 corridors and the levels of the scene, from a raster of one date to tables."""
    layout, star = DataLayout(_folder(scene)), _star(scene)
    corridors = _corridors()

    _store_date(DataLayout(_folder(scene) / "warm"), star, _relief(scene), corridors[:1], DAYS[0])

    def work() -> int:
        _store_date(layout, star, _relief(scene), corridors, DAYS[0])
        return CORRIDORS

    return work


def stream(scene: Scene) -> Work:
    """Shuffled batches of the paper's four channels from the stored tables, the previous date joined."""
    layout, ids = DataLayout(_folder(scene)), _corridors()["corridor_id"].tolist()
    for day in DAYS:
        if not layout.corridor_patches(day).exists():
            _store_date(layout, _star(scene), _relief(scene), _corridors(), day)
    if not layout.terrain_patches.exists():
        _store_terrain(layout, ids)
    night = {day: datetime.combine(day, datetime.min.time(), UTC) for day in DAYS}
    passes = [Acquisition(day, night[day], "S1A", 1, "winter", "2017-18", "complete", ()) for day in DAYS]
    patches = PatchSet.open(layout, AcquisitionCatalogue(tuple(passes)), DAYS)
    return lambda: sum(len(batch.images) for batch in patches.batches(BATCH, seed=1))


def stream_npy(scene: Scene) -> Work:
    """The same batches out of one memory-mapped array of finished four-channel patches."""
    path = _folder(scene) / "patches.npy"
    if not path.exists():
        np.save(path, _finished())
    stored = np.load(path, mmap_mode="r")
    return lambda: _gather(lambda rows: stored[rows])


def stream_zarr(scene: Scene) -> Work:
    """The same out of zarr with chunks of 256 patches, mixed within pools of eight chunks as ours."""
    import zarr

    path = _folder(scene) / "patches.zarr"
    if not path.exists():
        zarr.create_array(store=str(path), data=_finished(), chunks=(256, 1, 64, 64))
    stored = zarr.open_array(str(path), mode="r")

    def work() -> int:
        served, random = 0, np.random.default_rng(1)
        for first in range(0, STORED, 2048):
            pool = stored[first : first + 2048]
            order = random.permutation(len(pool))
            for start in range(0, len(pool), BATCH):
                served += len(np.asarray(pool[order[start : start + BATCH]], np.float32))
        return served

    return work


def _gather(read: Callable[[np.ndarray], np.ndarray]) -> int:
    order = np.random.default_rng(1).permutation(STORED)
    return sum(
        len(np.asarray(read(order[start : start + BATCH]), np.float32)) for start in range(0, STORED, BATCH)
    )


def _folder(scene: Scene) -> Path:
    folder = scene.corridors.parent / "patches_benchmark"
    folder.mkdir(exist_ok=True)
    return folder


def _relief(scene: Scene) -> Path:
    path = _folder(scene) / "relief.tif"
    if not path.exists():
        random = np.random.default_rng(1)
        heights = 2000 + zoom(random.normal(0, 300, (100, 100)), SIDE / 100, order=3)
        heights += random.normal(0, 1, heights.shape)
        write_cog(path, {"elevation": heights.astype(np.float32)}, GRID, {"elevation": "m"})
    return path


def _star(scene: Scene) -> Path:
    path = _folder(scene) / "star.tif"
    if not path.exists():
        random = np.random.default_rng(2)
        star = {
            name: random.normal(-1, 1.6, GRID.shape).astype(np.float32) for name in ("vv_star", "vh_star")
        }
        write_cog(path, star, GRID, dict.fromkeys(star, "dB"))
    return path


def _corridors() -> gpd.GeoDataFrame:
    """Sixty valleys of fifty corridors."""
    random = np.random.default_rng(3)
    west, south, east, north = GRID.bounds
    valley = np.repeat(np.arange(60), CORRIDORS // 60)
    x = random.uniform(west, east, 60)[valley] + random.normal(0, 2000, CORRIDORS)
    y = random.uniform(south, north, 60)[valley] + random.normal(0, 2000, CORRIDORS)
    x, y = np.clip(x, west + 1, east - 1), np.clip(y, south + 1, north - 1)
    columns = {"corridor_id": [f"{i:08d}" for i in range(CORRIDORS)], "massif_id": valley % 23}
    shapes = [box(a - 200, b - 200, a + 200, b + 200) for a, b in zip(x, y, strict=True)]
    return gpd.GeoDataFrame({**columns, "deposit_x": x, "deposit_y": y}, geometry=shapes, crs=GRID.crs)


def _store_date(layout: DataLayout, star: Path, relief: Path, corridors: gpd.GeoDataFrame, day: date) -> None:
    with bands_reader(star) as read_star, bands_reader(relief) as read_relief:

        def read(window):
            visible = np.ones((window.height, window.width), bool)
            return {**read_star(window), **read_relief(window), "visible": visible}

        table, levels = cut_corridor_patches(corridors, read_grid(star), day, read, -3.0)
    write_table(layout.scene_levels(day), levels.to_table(day), SCENE_LEVELS)
    write_table(layout.corridor_patches(day), table, CORRIDOR_PATCHES)


def _store_terrain(layout: DataLayout, ids: list[str]) -> None:
    shape = (len(ids), 64, 64)
    values = np.random.default_rng(4).uniform(0, 60, shape)

    def tensor(kind):
        return pa.FixedShapeTensorArray.from_numpy_ndarray(values.astype(kind))

    columns = {"corridor_id": ids, "elevation": tensor(np.float32)}
    columns |= dict.fromkeys(("slope", "aspect", "local_incidence", "visible", "inside"), tensor(np.float16))
    ones = pa.array(np.ones(len(ids), np.float32))
    columns |= dict.fromkeys(("pixel_m", "look_azimuth_deg", "top_east_m", "top_north_m"), ones)
    write_table(layout.terrain_patches, pa.table(columns, TERRAIN_PATCHES), TERRAIN_PATCHES)


def _finished() -> np.ndarray:
    return np.random.default_rng(5).normal(-1, 1.6, (STORED, 4, 64, 64)).astype(np.float16)


def report(measure: Callable[[str], object]) -> list[str]:
    """Lines with the absolute claims; `measure` runs a task and gives its result or None."""
    lines = []
    if (cut := measure("cut_date")) is not None:
        met = "yes" if cut.wall <= 5 else "NO"
        lines.append(
            f"3,000 corridors cut, levels counted, written: {cut.wall:.1f} s wall, {cut.cpu:.1f} s CPU, "
            f"{cut.peak_gb:.2f} GB; asked 5 s: {met}"
        )
    for task, text in (
        ("stream", "Parquet tensors, previous date joined"),
        ("stream_npy", ".npy of finished patches"),
        ("stream_zarr", "zarr of finished patches"),
    ):
        if (result := measure(task)) is not None:
            asked = f"; asked 4,000: {'yes' if result.speed >= 4000 else 'NO'}" if task == "stream" else ""
            lines.append(
                f"shuffled four-channel batches, {text}: {result.speed:,.0f} patches a CPU second{asked}"
            )
    return lines
