"""Heights above a geoid become ellipsoidal with a grid that is there, or the elevation model is refused."""

import os
import struct
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from pyproj import Transformer
from pyproj.transformer import TransformerGroup
from rasterio.transform import from_origin
from scipy.ndimage import map_coordinates

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid
from avalanche_assets.settings import GridSettings
from avalanche_assets.terrain import geoid
from avalanche_assets.terrain.dem import prepare_dem
from avalanche_assets.terrain.geoid import undulation

DEM = Path("dem.tif")
AREA = Grid("EPSG:32632", 20.0, 256_000.0, 5_120_000.0, 256, 320)


def grid_at(lon: float, lat: float, crs: str) -> Grid:
    """64 x 64 pixels about a point."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    return Grid(crs, 20.0, x - 640, y + 640, 64, 64)


def lon_lat(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    row, col = np.mgrid[: grid.height, : grid.width]
    x, y = grid.west + (col + 0.5) * grid.resolution, grid.north - (row + 0.5) * grid.resolution
    return Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)


def write_gtx(path: Path, values: np.ndarray, south: float, west: float, step: float) -> Path:
    """A vertical grid in NOAA's GTX layout: big-endian header and rows from south to north."""
    header = struct.pack(">4d2i", south, west, step, step, *values.shape)
    path.write_bytes(header + values.astype(">f4").tobytes())
    return path


def read_gtx(path: Path) -> tuple[np.ndarray, float, float, float]:
    content = path.read_bytes()
    south, west, step, _, rows, cols = struct.unpack(">4d2i", content[:40])
    return np.frombuffer(content[40:], ">f4").reshape(rows, cols).astype(float), south, west, step


def write_dem(folder: Path) -> tuple[Path, np.ndarray]:
    """Ground at 1500 m over the area of `AREA`."""
    heights = np.full(AREA.shape, 1500.0, np.float32)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 256, "width": 320}
    path = folder / "dem.tif"
    with rasterio.open(
        path, "w", **profile, crs="EPSG:32632", transform=from_origin(256_000.0, 5_120_000.0, 20.0, 20.0)
    ) as dataset:
        dataset.write(heights, 1)
    return path, heights


@pytest.fixture
def packaged() -> Path:
    return geoid._packaged_grid("EGM96") or pytest.skip("the extra geoid is not installed")


@pytest.fixture
def proj_without_grids():
    """PROJ as its wheel brings it: the database and no grid."""
    folders = [pyproj.datadir.get_user_data_dir(), *pyproj.datadir.get_data_dir().split(os.pathsep)]
    if any(path for folder in folders for path in Path(folder).glob("*egm*")):
        pytest.skip(f"geoid grids are installed in {folders}")


@pytest.fixture
def no_packaged_grid(monkeypatch):
    monkeypatch.setattr(geoid, "PACKAGED", {"EGM96": ("no_such_package", "egm96_15.gtx")})


@pytest.fixture
def proj_with_tilted_geoid(tmp_path):
    """PROJ finds an EGM96 grid of our own: 40 m at 0 deg E plus 1 m per degree of longitude."""
    folder = tmp_path / "proj"
    folder.mkdir()
    tilted_geoid(folder / "egm96_15.gtx")
    before = pyproj.datadir.get_data_dir()
    pyproj.datadir.append_data_dir(folder)
    yield
    pyproj.datadir.set_data_dir(before)


def tilted_geoid(path: Path) -> Path:
    return write_gtx(path, 40.0 + np.tile(np.arange(0.0, 21.0), (21, 1)), 35.0, 0.0, 1.0)


# Values


@pytest.mark.parametrize(
    ("name", "lon", "lat", "height", "crs", "tolerance"),
    [
        ("Mont Blanc", 6.8652, 45.8326, 51.53, "EPSG:32632", 0.02),
        ("Grenoble", 5.7245, 45.1885, 50.8, "EPSG:32632", 0.02),
        # Test points that NGA published with its EGM96 program F477, from the spherical harmonics; bilinear
        # interpolation of the 15 minute grid is within 6 cm of them.
        ("Missouri", -90.220845, 38.628155, -31.628, "EPSG:32615", 0.07),
        ("Bolivia", -54.978886, -14.621217, -2.969, "EPSG:32721", 0.07),
        ("Mongolia", 102.448729, 46.874319, -43.575, "EPSG:32648", 0.07),
        ("Australia", 133.874712, -23.617446, 15.871, "EPSG:32753", 0.07),
        ("Spain", -0.0005, 38.625473, 50.066, "EPSG:32630", 0.07),
        ("Gulf of Guinea", 0.0023, -0.466744, 17.329, "EPSG:32731", 0.07),
    ],
)
def test_packaged_egm96_has_the_published_undulation(packaged, name, lon, lat, height, crs, tolerance):
    found = undulation(grid_at(lon, lat, crs), "EGM96", DEM, packaged)
    assert found[31:33, 31:33].mean() == pytest.approx(height, abs=tolerance)


def test_packaged_grid_is_interpolated_bilinearly_and_added(packaged, proj_without_grids, tmp_path):
    path, heights = write_dem(tmp_path)
    grid, prepared = prepare_dem(path, GridSettings(), "EGM96")
    values, south, west, step = read_gtx(packaged)
    lon, lat = lon_lat(grid)
    expected = map_coordinates(values, [(lat - south) / step, (lon - west) / step], order=1)
    assert 48.0 < expected.min() < expected.max() < 52.0
    # Heights in single precision are good to 0.1 mm, bilinear patches of 320 m to a millimetre.
    np.testing.assert_allclose(prepared - heights, expected, atol=2e-3, rtol=0)


def test_grid_that_proj_finds_is_preferred_to_the_packaged_one(tmp_path, proj_with_tilted_geoid):
    path, heights = write_dem(tmp_path)
    grid, prepared = prepare_dem(path, GridSettings(), "EGM96")
    # PROJ stores the grid in float32 (4e-6 m) and heights are float32 (1e-4 m).
    np.testing.assert_allclose(prepared - heights, 40.0 + lon_lat(grid)[0], atol=1e-3, rtol=0)


@pytest.mark.parametrize("datum", ["EGM96", "EGM2008"])
def test_file_of_the_settings_is_preferred_to_all_others(tmp_path, datum):
    folder = tmp_path / "my grids"
    folder.mkdir()
    path, heights = write_dem(tmp_path)
    grid, prepared = prepare_dem(path, GridSettings(), datum, tilted_geoid(folder / "geoid.gtx"))
    np.testing.assert_allclose(prepared - heights, 40.0 + lon_lat(grid)[0], atol=1e-3, rtol=0)


def test_geoid_grid_may_be_a_geotiff(tmp_path):
    path, heights = write_dem(tmp_path)
    lat, lon = np.mgrid[50.0:39.9:-0.5, 0.0:15.1:0.5]
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": 1,
        "height": lat.shape[0],
        "width": lat.shape[1],
    }
    with rasterio.open(
        tmp_path / "geoid.tif", "w", **profile, crs="EPSG:4326", transform=from_origin(-0.25, 50.25, 0.5, 0.5)
    ) as dataset:
        dataset.write((lat + lon / 10).astype(np.float32), 1)
    grid, prepared = prepare_dem(path, GridSettings(), "EGM2008", tmp_path / "geoid.tif")
    lon, lat = lon_lat(grid)
    np.testing.assert_allclose(prepared - heights, lat + lon / 10, atol=1e-3, rtol=0)


# Never silently wrong


def test_proj_alone_leaves_heights_as_they_are(proj_without_grids):
    """What the refusals are for."""
    alone = Transformer.from_crs("EPSG:4326+3855", "EPSG:4979", always_xy=True)
    assert alone.transform(6.9, 45.2, 4000.0)[2] == 4000.0


@pytest.mark.parametrize("datum", ["EGM96", "EGM2008"])
def test_elevation_model_is_refused_without_a_grid(datum, tmp_path, proj_without_grids, no_packaged_grid):
    path, _ = write_dem(tmp_path)
    with pytest.raises(
        TerrainError, match=rf"dem.tif.*{datum}.*us_nga_egm.*pyproj sync.*terrain\.geoid_grid"
    ):
        prepare_dem(path, GridSettings(), datum)


@pytest.mark.parametrize("datum", ["EGM96", "EGM2008"])
def test_ballpark_transformation_is_never_used(datum, tmp_path, monkeypatch, no_packaged_grid):
    """Whatever grids this machine has: PROJ offers only transformations that leave heights alone."""

    class WithoutGrids:
        def __init__(self, *_: object, **__: object) -> None:
            self.transformers = TransformerGroup("EPSG:4326", "EPSG:4979", always_xy=True).transformers

    monkeypatch.setattr(geoid, "TransformerGroup", WithoutGrids)
    assert WithoutGrids().transformers
    path, _ = write_dem(tmp_path)
    with pytest.raises(TerrainError, match="would leave the heights about 50 m wrong"):
        prepare_dem(path, GridSettings(), datum)


def test_packaged_grid_counts_where_proj_cannot_fetch_the_one_it_believes_in(tmp_path, monkeypatch, packaged):
    """As with PROJ_NETWORK=ON and no network: the transformation is offered, and gives infinity."""

    class Unreachable:
        definition = "proj=vgridshift grids=us_nga_egm96_15.tif"

        def transform(self, lon, lat, height):
            return lon, lat, np.full_like(height, np.inf)

    class Believing:
        def __init__(self, *_: object, **__: object) -> None:
            self.transformers = [Unreachable()]

    path, heights = write_dem(tmp_path)
    _, expected = prepare_dem(path, GridSettings(), "EGM96", packaged)
    monkeypatch.setattr(geoid, "TransformerGroup", Believing)
    _, prepared = prepare_dem(path, GridSettings(), "EGM96")
    np.testing.assert_array_equal(prepared, expected)
    assert (prepared - heights > 40.0).all()


@pytest.mark.parametrize(("value", "said"), [(0.0, "0.0 to 0.0 m"), (300.0, "300.0 to 300.0 m")])
def test_grid_that_is_no_geoid_is_refused(tmp_path, value, said):
    """All zero leaves heights as they are; 300 m is an elevation model by mistake."""
    path, _ = write_dem(tmp_path)
    wrong = write_gtx(tmp_path / "wrong.gtx", np.full((21, 21), value), 35.0, 0.0, 1.0)
    with pytest.raises(TerrainError, match=rf"wrong.gtx gives undulations of {said}.*terrain\.geoid_grid"):
        prepare_dem(path, GridSettings(), "EGM96", wrong)


def test_grid_that_ends_inside_the_area_is_refused(tmp_path):
    far = Grid("EPSG:32635", 20.0, 499_200.0, 5_120_000.0, 64, 64)  # 27 deg E
    with pytest.raises(TerrainError, match=r"geoid.gtx does not cover the analysis grid"):
        undulation(far, "EGM96", DEM, tilted_geoid(tmp_path / "geoid.gtx"))


def test_file_that_is_not_there_or_no_grid_is_named(tmp_path):
    path, _ = write_dem(tmp_path)
    with pytest.raises(TerrainError, match=r"none.gtx: geoid grid not found; set terrain.geoid_grid"):
        prepare_dem(path, GridSettings(), "EGM96", tmp_path / "none.gtx")
    (tmp_path / "text.gtx").write_text("no grid")
    with pytest.raises(TerrainError, match=r"text.gtx: PROJ cannot use it as a geoid grid"):
        prepare_dem(path, GridSettings(), "EGM96", tmp_path / "text.gtx")


@pytest.mark.parametrize("folder", ["a,b", 'a"b'])
def test_path_that_proj_cannot_take_is_refused_with_the_reason(tmp_path, folder):
    (tmp_path / folder).mkdir()
    path, _ = write_dem(tmp_path)
    with pytest.raises(TerrainError, match="no comma or quotation mark"):
        prepare_dem(path, GridSettings(), "EGM96", tilted_geoid(tmp_path / folder / "geoid.gtx"))


def test_geoid_grid_of_ellipsoidal_heights_is_a_contradiction(tmp_path):
    path, _ = write_dem(tmp_path)
    with pytest.raises(TerrainError, match=r"geoid_grid is set, but terrain.vertical_datum is 'ellipsoidal'"):
        prepare_dem(path, GridSettings(), "ellipsoidal", tilted_geoid(tmp_path / "geoid.gtx"))
