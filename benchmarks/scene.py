"""What the benchmarks work on: products of full size with real metadata and synthetic pixels, and terrain.

Real annotations come from the folder that the tests use (AVALANCHE_TEST_DATA); no full-size raster can be
kept there, so pixels are speckle. The two slices of the acquisition have the annotations of one real data
take and the calibration and noise tables of a newer real product, whose processor version they are given.
"""

import json
import os
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.windows import Window
from scipy.ndimage import zoom

from avalanche_assets.grid import Grid
from avalanche_assets.rasters import read_bands, read_grid, write_cog
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.slices import SliceStack

DATA = Path(os.environ.get("AVALANCHE_TEST_DATA", "../shared/data"))
SLICES = ("CEAB", "3768")
TABLES = "8255"
NEW_IPF, OLD_IPF = "003.31", "002.36"
RESOLUTION = 20.0
CORRIDORS, VALLEYS = 3000, 60
VALLEY_M = 8000.0
"""Spread of the corridors of one valley."""
MARGIN_PX = 128
"""Image pixels between a deposit point and the image's edge, so that all of its patch is imaged: half its
side is 64, and relief moves its parts by less than as many again."""


@dataclass(frozen=True)
class Scene:
    """Products, terrain and corridors of one benchmark.

    Attributes:
        products: SAFE folders, in order of time.
        dem: Ellipsoidal heights on the analysis grid.
        corridors: Deposit points.
        described: What is real and what is not.
    """

    products: list[Path]
    dem: Path
    corridors: Path
    described: str

    @property
    def rasters(self) -> list[Path]:
        """Measurements of all products."""
        return [raster for path in self.products for raster in sorted((path / "measurement").iterdir())]

    @property
    def grid(self) -> Grid:
        """The analysis grid."""
        return read_grid(self.dem)

    def heights(self) -> np.ndarray:
        """Ellipsoidal heights in metres on the grid."""
        return read_bands(self.dem)["elevation"]

    def stack(self) -> SliceStack:
        """The slices as one image."""
        return SliceStack.of([Product.open(path) for path in self.products])

    def corridors_on_image(self) -> tuple[int, int]:
        """How many corridors the image holds with their whole patch, and how many there are."""
        table, grid = gpd.read_parquet(self.corridors), self.grid
        points = table["deposit_x"], table["deposit_y"], table["deposit_elevation_m"]
        inside = _on_image(self.stack(), grid.crs, *(column.to_numpy() for column in points))
        return int(inside.sum()), len(table)

    def first(self) -> "Scene":
        """The scene of the first product alone."""
        return replace(self, products=self.products[:1])

    def to_json(self, file: Path) -> None:
        """Writes the paths, for a process of its own to read."""
        fields = {**asdict(self), "products": [str(path) for path in self.products]}
        file.write_text(json.dumps(fields, default=str))

    @classmethod
    def from_json(cls, file: Path) -> "Scene":
        """The scene that `to_json` wrote."""
        fields = json.loads(file.read_text())
        products = [Path(path) for path in fields["products"]]
        return cls(products, Path(fields["dem"]), Path(fields["corridors"]), fields["described"])


def single(folder: Path, km: int) -> Scene:
    """One real product of IPF 3.31, and terrain of `km` x `km` in the middle of its image."""
    product = folder / _source(TABLES).name.removesuffix(".zip")
    if not product.exists():
        _unpack(TABLES, product)
        _write_rasters(product)
    lon, lat = np.array(Product.open(product).footprint.centroid.coords[0])
    return _scene(folder / f"single_{km}km", [product], (lon, lat), km, "metadata real")


def acquisition(folder: Path) -> Scene:
    """Two real slices and terrain under all of their swath."""
    products = []
    for name in SLICES:
        product = folder / _source(name).name.removesuffix(".zip")
        if not product.exists():
            _unpack(name, product)
            _take_tables(product)
            _write_rasters(product)
        products.append(product)
    described = "annotations real, tables of a newer real product"
    return _scene(folder / "acquisition", products, None, 0, described)


def simulated(folder: Path) -> Scene:
    """The smallest simulated season's first acquisition: seconds instead of minutes, and no real data."""
    from avalanche_assets.simulation.season import simulate_season

    season = folder / "season"
    if not season.exists():
        simulate_season(season, "tiny")
    first = sorted((season / "products").glob("*.zip"))[0]
    day = first.name.split("_")[4][:8]
    for path in sorted((season / "products").glob(f"*_{day}T*.zip")):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    products = sorted(folder.glob(f"*_{day}T*.SAFE"))
    made = Scene(products, season / "dem.tif", folder / "corridors.parquet", "metadata and pixels simulated")
    _write_corridors(made, 20)
    return made


def _source(name: str) -> Path:
    found = sorted((DATA / "safe").glob(f"*{name}.SAFE.zip"))
    if not found:
        raise SystemExit(
            f"{DATA}/safe: no real product *{name}.SAFE.zip; set AVALANCHE_TEST_DATA to a folder that holds "
            "it, or run with --scale small, which needs no real data"
        )
    return found[0]


def _unpack(name: str, product: Path) -> None:
    with zipfile.ZipFile(_source(name)) as archive:
        archive.extractall(product.parent)


def _take_tables(product: Path) -> None:
    """Puts another product's calibration and noise tables beside the annotation, under its names."""
    with zipfile.ZipFile(_source(TABLES)) as archive:
        for member in (product / "annotation/calibration").iterdir():
            kind, polarisation = member.name.split("-")[0], member.name.split("-")[4]
            other = next(n for n in archive.namelist() if f"/{kind}-" in n and f"-{polarisation}-" in n)
            member.write_bytes(archive.read(other))
    manifest = product / "manifest.safe"
    manifest.write_text(manifest.read_text().replace(f'version="{OLD_IPF}"', f'version="{NEW_IPF}"'))


def _write_rasters(product: Path) -> None:
    """Uncompressed strips of one line, as the processor writes them, with speckle of 4.4 looks."""
    lines, samples = Product.open(product).shape
    random = np.random.default_rng(1)
    (product / "measurement").mkdir(exist_ok=True)
    for annotation in (product / "annotation").glob("*.xml"):
        mean = 200 if "-vv-" in annotation.name else 80
        profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": lines, "width": samples}
        raster = product / "measurement" / f"{annotation.stem}.tiff"
        with rasterio.open(raster, "w", **profile, transform=rasterio.Affine.translation(0, 1)) as out:
            for first in range(0, lines, 512):
                shape = min(512, lines - first), samples
                power = random.standard_gamma(4.4, shape, np.float32) / np.float32(4.4)
                out.write((mean * np.sqrt(power)).astype(np.uint16), 1, window=Window(0, first, *shape[::-1]))


def _scene(
    folder: Path, products: list[Path], middle: tuple[float, float] | None, km: int, described: str
) -> Scene:
    dem, corridors = folder / "dem.tif", folder / "corridors.parquet"
    made = Scene(products, dem, corridors, f"{described}, pixels and terrain synthetic")
    if not corridors.exists():
        opened = [Product.open(path) for path in products]
        west, south, east, north = np.array([product.footprint.bounds for product in opened]).T
        lon, lat = middle or ((west.min() + east.max()) / 2, (south.min() + north.max()) / 2)
        crs = f"EPSG:{32600 + 100 * (lat < 0) + int(lon // 6) + 31}"
        to_grid = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        if middle:
            x, y = to_grid.transform(lon, lat)
            bounds = x - 500 * km, y - 500 * km, x + 500 * km, y + 500 * km
        else:
            bounds = to_grid.transform_bounds(west.min(), south.min(), east.max(), north.max())
        grid = Grid.covering(bounds, crs, RESOLUTION)
        write_cog(dem, {"elevation": _mountains(grid)}, grid, {"elevation": "m"})
        _write_corridors(made, CORRIDORS)
    return made


def _mountains(grid: Grid) -> np.ndarray:
    """Fractal relief from 0 to some 3,500 m."""
    random = np.random.default_rng(3)
    heights = np.zeros(grid.shape, np.float32)
    for step, amplitude in ((1024, 500), (256, 350), (64, 150), (16, 40)):
        coarse = random.normal(size=(grid.height // step + 4, grid.width // step + 4)).astype(np.float32)
        heights += amplitude * zoom(coarse, step, order=1)[: grid.height, : grid.width]
    return heights - heights.min()


def _write_corridors(made: Scene, count: int) -> None:
    """Deposit points in clusters, as avalanche paths line valleys, all of them on the image.

    The swath is tilted: a third of its bounding box is not imaged, and corridors there would cost nothing.
    """
    random, grid, heights, stack = np.random.default_rng(4), made.grid, made.heights(), made.stack()
    west, south, east, north = grid.bounds
    margin = 40 * grid.resolution
    corner = np.array([west + margin, south + margin]), np.array([east - margin, north - margin])

    def imaged(points: np.ndarray) -> np.ndarray:
        x, y = points.clip(*corner).T
        row, col = ((north - y) / grid.resolution).astype(int), ((x - west) / grid.resolution).astype(int)
        placed = np.column_stack([x, y, heights[row, col]])
        return placed[_on_image(stack, grid.crs, *placed.T)]

    valleys = imaged(random.uniform(*corner, (20 * VALLEYS, 2)))[:VALLEYS, :2]
    near = valleys[random.integers(0, len(valleys), 20 * count)]
    x, y, elevation = imaged(near + random.normal(0, VALLEY_M, near.shape))[:count].T
    if len(x) < count:
        raise SystemExit(f"{made.dem}: only {len(x)} of {count} corridors found on the image; enlarge it")
    table = gpd.GeoDataFrame(
        {
            "corridor_id": [f"c{i}" for i in range(count)],
            "deposit_x": x,
            "deposit_y": y,
            "deposit_elevation_m": elevation,
        },
        geometry=gpd.points_from_xy(x, y),
        crs=grid.crs,
    )
    table.to_parquet(made.corridors)


def _on_image(stack: SliceStack, crs: str, x: np.ndarray, y: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Whether points lie at least `MARGIN_PX` inside the image."""
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    time, slant_range = zero_doppler(stack.orbit, geodetic_to_ecef(lon, lat, height))
    inside = np.ones(len(x), bool)
    for place, size in zip(stack.line_sample(time, slant_range, stack.orbit), stack.shape, strict=True):
        # A comparison with NaN is false: what the orbit does not see is not on the image.
        inside &= (place >= MARGIN_PX) & (place <= size - 1 - MARGIN_PX)
    return inside
