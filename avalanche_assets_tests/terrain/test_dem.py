from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.transform import from_origin

from avalanche_assets.errors import TerrainError
from avalanche_assets.settings import GridSettings
from avalanche_assets.terrain.dem import prepare_dem

DAVOS = "dem_davos_20km_utm32_30m.tif"
BOUNDS = (562_000.0, 5_172_000.0, 578_000.0, 5_188_000.0)


def write_dem(
    path: Path, heights: np.ndarray, crs: str | None = "EPSG:32632", posting=20.0, nodata=None, **profile
) -> Path:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype=heights.dtype,
        count=1,
        height=heights.shape[0],
        width=heights.shape[1],
        crs=crs,
        **{"transform": from_origin(256_000.0, 5_120_000.0, posting, posting), "nodata": nodata, **profile},
    ) as dataset:
        dataset.write(heights, 1)
    return path


def slope_plane(shape=(256, 320)) -> np.ndarray:
    row, col = np.mgrid[: shape[0], : shape[1]]
    return (1500.0 + 2.0 * col - 3.0 * row).astype(np.float32)


def test_dem_already_on_the_grid_passes_unchanged(tmp_path):
    heights = slope_plane()
    grid, prepared = prepare_dem(write_dem(tmp_path / "dem.tif", heights), GridSettings(), "ellipsoidal")
    assert grid.shape == heights.shape
    assert grid.bounds == (256_000.0, 5_120_000.0 - 256 * 20, 256_000.0 + 320 * 20, 5_120_000.0)
    np.testing.assert_array_equal(prepared, heights)
    assert prepared.dtype == np.float32


def test_pixels_beyond_the_dem_have_no_height(tmp_path):
    grid, prepared = prepare_dem(
        write_dem(tmp_path / "dem.tif", slope_plane((250, 300))), GridSettings(), "ellipsoidal"
    )
    assert grid.shape == (256, 320)
    assert np.isfinite(prepared[:250, :300]).all()
    assert np.isnan(prepared[252:]).all()
    assert np.isnan(prepared[:, 302:]).all()


def test_voids_stay_voids_and_do_not_bend_their_surroundings(tmp_path):
    heights = slope_plane().astype(np.int16)
    heights[100:110, 100:110] = -32768
    _, prepared = prepare_dem(
        write_dem(tmp_path / "dem.tif", heights, nodata=-32768),
        GridSettings(bounds=(257_000.0, 5_116_000.0, 260_990.0, 5_119_000.0), resolution_m=10),
        "ellipsoidal",
    )
    assert np.isnan(prepared).any()
    finite = prepared[np.isfinite(prepared)]
    valid = heights[heights > -32768]
    assert finite.min() >= valid.min() - 3.0  # one posting of the plane's slope
    assert finite.max() <= valid.max() + 3.0


@pytest.mark.parametrize("name", ["dem_davos_20km_utm32_30m.tif", "dem_davos_srtm1_wgs84.tif"])
def test_real_dem_keeps_its_heights_at_its_own_posts(name, real_data):
    grid, prepared = prepare_dem(real_data / name, GridSettings(bounds=BOUNDS), "ellipsoidal")
    with rasterio.open(real_data / name) as dataset:
        to_source = Transformer.from_crs(grid.crs, dataset.crs.to_wkt(), always_xy=True)
        rng = np.random.default_rng(1)
        rows, cols = rng.integers(100, 700, 400), rng.integers(100, 700, 400)
        x, y = grid.west + (cols + 0.5) * 20.0, grid.north - (rows + 0.5) * 20.0
        points = zip(*to_source.transform(x, y), strict=True)
        nearest = np.array([value[0] for value in dataset.sample(points)])
    difference = prepared[rows, cols] - nearest
    # nearest post is up to half a posting (15 m, 21 m on the diagonal) away on slopes of about 25 deg
    assert abs(difference.mean()) < 1.5
    assert difference.std() < 8.0
    assert np.abs(difference).max() < 60.0


def test_two_real_dems_of_one_place_agree_after_warping(real_data):
    settings = GridSettings(bounds=BOUNDS)
    _, projected = prepare_dem(real_data / DAVOS, settings, "ellipsoidal")
    _, geographic = prepare_dem(real_data / "dem_davos_srtm1_wgs84.tif", settings, "ellipsoidal")
    both = np.isfinite(projected) & np.isfinite(geographic)
    difference = (projected - geographic)[both]
    # the projected one was itself resampled from the geographic one, which smooths ridges by a few metres
    assert abs(difference.mean()) < 0.5
    assert difference.std() < 4.0


def test_real_dem_with_voids_keeps_their_share(real_data):
    path = real_data / "dem_devoluy_30km_l93_90m.tif"
    with rasterio.open(path) as dataset:
        source = dataset.read(1, masked=True)
    grid, prepared = prepare_dem(path, GridSettings(), "ellipsoidal")
    known_area = np.isfinite(prepared).sum() * grid.resolution**2
    # the two projections' areas differ by 0.1 %; the rest is half pixels along the edges of voids
    assert known_area == pytest.approx((~source.mask).sum() * 90.0**2, rel=0.02)
    finite = prepared[np.isfinite(prepared)]
    assert finite.min() > source.min() - 20.0
    assert finite.max() < source.max() + 20.0


def test_finer_dem_is_averaged_not_sampled(tmp_path):
    noise = np.random.default_rng(0).normal(0.0, 10.0, (1280, 1280)).astype(np.float32)
    _, prepared = prepare_dem(
        write_dem(tmp_path / "dem.tif", 2000.0 + noise, posting=5.0), GridSettings(), "ellipsoidal"
    )
    # 16 fine posts a pixel: white noise falls to about a quarter, sampling would keep all of it
    assert np.nanstd(prepared) < 4.0


def test_missing_file_is_named(tmp_path):
    with pytest.raises(TerrainError, match=r"nothing\.tif: elevation model not found"):
        prepare_dem(tmp_path / "nothing.tif", GridSettings(), "ellipsoidal")


def test_file_that_is_no_raster_is_named(tmp_path):
    path = tmp_path / "dem.tif"
    path.write_text("not a raster")
    with pytest.raises(TerrainError, match="not a readable raster"):
        prepare_dem(path, GridSettings(), "ellipsoidal")


def test_unknown_coordinate_system_is_refused(tmp_path):
    path = write_dem(tmp_path / "dem.tif", slope_plane(), crs=None)
    with pytest.raises(TerrainError, match="unknown coordinate system"):
        prepare_dem(path, GridSettings(), "ellipsoidal")


@pytest.mark.parametrize("crs", ["EPSG:999999", "EPSG:4326"])
def test_grid_needs_a_projected_system_in_metres(crs, tmp_path):
    path = write_dem(tmp_path / "dem.tif", slope_plane())
    with pytest.raises(TerrainError, match=r"grid\.crs"):
        prepare_dem(path, GridSettings(crs=crs), "ellipsoidal")


@pytest.mark.parametrize(
    "bounds",
    [
        (561_000.0, 5_171_000.0, 589_000.0, 5_189_000.0),  # too far east
        (661_000.0, 5_171_000.0, 669_000.0, 5_189_000.0),  # elsewhere
    ],
)
def test_dem_that_does_not_cover_the_bounds_is_refused(bounds, real_data):
    with pytest.raises(TerrainError, match=r"does not cover grid\.bounds.*spans about \(560010, 5170020"):
        prepare_dem(real_data / DAVOS, GridSettings(bounds=bounds), "ellipsoidal")


def test_empty_bounds_are_refused(tmp_path):
    path = write_dem(tmp_path / "dem.tif", slope_plane())
    with pytest.raises(TerrainError, match="is empty"):
        prepare_dem(path, GridSettings(bounds=(2.0, 0.0, 1.0, 1.0)), "ellipsoidal")


def test_dem_without_any_height_is_refused(tmp_path):
    path = write_dem(tmp_path / "dem.tif", np.full((256, 256), -9999.0, np.float32), nodata=-9999.0)
    with pytest.raises(TerrainError, match="no height"):
        prepare_dem(path, GridSettings(), "ellipsoidal")


def test_file_that_states_a_geoid_is_not_taken_for_ellipsoidal(tmp_path):
    path = write_dem(tmp_path / "dem.tif", slope_plane(), crs="EPSG:32632+5773")
    with pytest.raises(TerrainError, match=r"'EGM96'.*vertical_datum is 'ellipsoidal'"):
        prepare_dem(path, GridSettings(), "ellipsoidal")
    with pytest.raises(TerrainError, match=r"'EGM96'.*vertical_datum is 'EGM2008'"):
        prepare_dem(path, GridSettings(), "EGM2008")


def test_file_that_states_the_ellipsoid_is_not_taken_for_heights_above_a_geoid(tmp_path):
    path = write_dem(tmp_path / "dem.tif", slope_plane(), crs="EPSG:32632+4979")
    with pytest.raises(TerrainError, match=r"'ellipsoidal'.*vertical_datum is 'EGM96'"):
        prepare_dem(path, GridSettings(), "EGM96")
    _, prepared = prepare_dem(path, GridSettings(), "ellipsoidal")
    np.testing.assert_array_equal(prepared, slope_plane())


def test_file_that_states_a_datum_no_setting_has_is_refused_by_name(tmp_path):
    path = write_dem(tmp_path / "dem.tif", slope_plane(), crs="EPSG:32632+5720")
    with pytest.raises(TerrainError, match=r"heights are 'NGF-IGN69 height'.*convert the file"):
        prepare_dem(path, GridSettings(), "ellipsoidal")


TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


def rough(shape=(512, 512)) -> np.ndarray:
    return np.random.default_rng(0).normal(1500.0, 100.0, shape).astype(np.float32)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_file_is_named_and_not_taken_for_voids(tmp_path, share):
    path = write_dem(tmp_path / "dem.tif", rough(), **TILED)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(TerrainError, match=r"dem\.tif: .*damaged.*copy it again"):
        prepare_dem(path, GridSettings(), "ellipsoidal")


def test_damaged_file_is_named_and_not_taken_for_heights(tmp_path):
    path = write_dem(tmp_path / "dem.tif", rough(), **TILED)
    content = bytearray(path.read_bytes())
    start = len(content) // 3
    content[start : start + 2000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(TerrainError, match=r"dem\.tif: .*copy it again"):
        prepare_dem(path, GridSettings(), "ellipsoidal")


@pytest.mark.parametrize("void", [-32768.0, -9999.0, np.inf, 1e30])
@pytest.mark.parametrize("posting", [20.0, 5.0])
def test_voids_that_the_file_does_not_declare_are_refused(tmp_path, void, posting):
    heights = rough()
    # One of sixteen fine posts in a cell: their mean would be a height that could be true.
    heights[100, 100] = void
    with pytest.raises(TerrainError, match=r"holds heights such as .*nodata"):
        prepare_dem(write_dem(tmp_path / "dem.tif", heights, posting=posting), GridSettings(), "ellipsoidal")


def test_heights_in_feet_and_complex_numbers_are_refused(tmp_path):
    with pytest.raises(TerrainError, match=r"such as 15000 m.*convert it to metres"):
        prepare_dem(
            write_dem(tmp_path / "dem.tif", np.full((64, 64), 15e3, np.float32)),
            GridSettings(),
            "ellipsoidal",
        )
    with pytest.raises(TerrainError, match="holds complex64 values"):
        prepare_dem(
            write_dem(tmp_path / "dem.tif", rough().astype(np.complex64)), GridSettings(), "ellipsoidal"
        )


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"transform": Affine.identity()}, "no georeference"),
        ({"transform": Affine(0, 0, 5, 0, 0, 5)}, "no georeference"),
        ({"crs": "EPSG:4978"}, "coordinate system is 'WGS 84', Geocentric"),
        ({"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}, "coordinate system is 'site', Engineering"),
        ({"crs": "EPSG:4326", "transform": from_origin(-180, 90, 0.7, 0.35)}, "set grid.bounds"),
        ({"crs": "EPSG:4326", "transform": from_origin(500, 200, 1, 1)}, "set grid.bounds"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_georeferences_that_cannot_be_used_are_named(tmp_path, profile, message):
    path = write_dem(tmp_path / "dem.tif", rough(), **profile)
    with pytest.raises(TerrainError, match=rf"dem\.tif: .*{message}"):
        prepare_dem(path, GridSettings(), "ellipsoidal")
