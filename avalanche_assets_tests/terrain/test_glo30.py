"""GLO-30 tiles of the area become one elevation model without seams, above the ellipsoid."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from loopback.fake_glo30 import POSTS, FakeBucket, raster, tile, tile_name, tile_path
from loopback.server import Fault
from pyproj import Transformer
from stored_roots import names

from avalanche_assets.area import FRENCH_ALPS, area_of_interest, grid_bounds, lonlat_bounds
from avalanche_assets.errors import CatalogueError, TerrainError
from avalanche_assets.grid import Grid
from avalanche_assets.services.http_service import HttpService
from avalanche_assets.settings import (
    InventorySettings,
    Settings,
    SourceSettings,
    TerrainSettings,
    TransferSettings,
)
from avalanche_assets.terrain.dem import prepare_dem
from avalanche_assets.terrain.glo30 import mosaic, prepare_glo30
from avalanche_assets.terrain.glo30_tiles import fetch_tiles, tile_names

AREA = (5.85, 44.9, 6.1, 45.1)
"""Touches four tiles."""
CORNERS = [(5, 44), (6, 44), (5, 45), (6, 45)]
QUICK = TransferSettings(attempts=2, first_wait_s=0.0, longest_wait_s=0.01, keep_free_gb=0.0)


def mountains(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    return 1500.0 + 800.0 * np.sin(20.0 * lon) * np.cos(25.0 * lat)


def tilted_geoid(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Linear, so that bilinear interpolation gives it back exactly."""
    return 50.0 + 0.5 * (lon - 6.0) - 0.8 * (lat - 45.0)


def ignore(_: object) -> None:
    """Progress nobody looks at."""


@pytest.fixture
def bucket():
    with FakeBucket() as served:
        for lon, lat in CORNERS:
            served.add_tile(lon, lat, tile(lon, lat, mountains))
        served.files["/egm08.tif"] = raster(3.0, 48.0, (24, 24), 0.25, tilted_geoid)
        yield served


def settings_of(folder: Path, bucket: FakeBucket, area=AREA, **terrain) -> Settings:
    addresses = {"glo30_url": bucket.url, "geoid_url": f"{bucket.url}/egm08.tif"}
    return Settings(
        data_root=folder / "data",
        source=SourceSettings(folder=folder, area=area, transfer=QUICK),
        terrain=TerrainSettings(source="glo30", **(addresses | terrain)),
        inventory=InventorySettings(corridors=folder / "c.gpkg", events=folder / "e.csv"),
    )


def fetched(bucket: FakeBucket, folder: Path, area=AREA):
    return fetch_tiles(area, bucket.url, folder, HttpService(QUICK), ignore)


def one_raster(path: Path) -> Path:
    """The four tiles' ground as a single raster of the same posts."""
    step = 1 / POSTS
    content = raster(5 - step / 2, 46 + step / 2, (2 * POSTS, 2 * POSTS), step, mountains)
    path.write_bytes(content)
    return path


def test_tiles_are_named_by_their_south_west_corner():
    assert tile_names((6.2, 45.3, 6.9, 45.8)) == ["Copernicus_DSM_COG_10_N45_00_E006_00_DEM"]
    assert tile_names((-0.5, -0.5, 0.5, 0.5)) == [
        "Copernicus_DSM_COG_10_S01_00_W001_00_DEM",
        "Copernicus_DSM_COG_10_S01_00_E000_00_DEM",
        "Copernicus_DSM_COG_10_N00_00_W001_00_DEM",
        "Copernicus_DSM_COG_10_N00_00_E000_00_DEM",
    ]


def test_the_french_alps_need_twelve_tiles_although_their_grid_is_a_wider_rectangle(tmp_path):
    grid = Grid.covering(grid_bounds(FRENCH_ALPS, "EPSG:32632"), "EPSG:32632", 20.0)
    assert tile_names(lonlat_bounds(grid.bounds, grid.crs)) == [
        tile_name(lon, lat) for lat in (43, 44, 45, 46) for lon in (5, 6, 7)
    ]


def test_tiles_join_without_a_seam(bucket, tmp_path):
    with mosaic(fetched(bucket, tmp_path / "tiles"), AREA) as path, rasterio.open(path) as joined:
        heights, transform = joined.read(1), joined.transform
    col, row = ~transform * (AREA[0], AREA[3])
    assert min(col, row) >= 6  # what resampling may look at
    with rasterio.open(one_raster(tmp_path / "whole.tif")) as whole:
        col, row = ~whole.transform * (transform.c, transform.f)
        assert (col, row) == pytest.approx((round(col), round(row)), abs=1e-6)
        window = rasterio.windows.Window(round(col), round(row), heights.shape[1], heights.shape[0])
        np.testing.assert_array_equal(heights, whole.read(1, window=window))
    assert not list((tmp_path / "tiles").glob(".mosaic*"))


def test_tiles_and_geoid_are_kept_in_the_data_root_and_not_fetched_again(bucket, root, tmp_path):
    settings = settings_of(tmp_path, bucket).model_copy(update={"data_root": root})
    _, heights, tiles = prepare_glo30(settings, ignore)
    assert len(tiles.fetched) == 4
    assert tiles.size_bytes == sum(path.stat().st_size for path in tiles.paths)
    assert abs(tiles.retrieved - datetime.now(UTC)) < timedelta(minutes=5)
    stored = [f"terrain/glo30/{path.name}" for path in tiles.paths]
    assert names(root) == sorted([*stored, "terrain/glo30/tileList.txt", "terrain/geoid/egm08.tif"])
    _, again, tiles = prepare_glo30(settings, ignore)
    assert tiles.fetched == ()
    np.testing.assert_array_equal(again, heights)


def test_heights_on_the_grid_are_those_of_one_raster_and_the_undulation(bucket, tmp_path):
    settings = settings_of(tmp_path, bucket)
    grid, heights, tiles = prepare_glo30(settings, ignore)
    assert len(tiles.paths) == 4
    bounded = settings.grid.model_copy(update={"bounds": grid_bounds(AREA, settings.grid.crs)})
    whole, above_geoid = prepare_dem(one_raster(tmp_path / "whole.tif"), bounded, "ellipsoidal")
    assert grid == whole
    row, col = np.mgrid[: grid.height, : grid.width]
    x, y = grid.west + (col + 0.5) * grid.resolution, grid.north - (row + 0.5) * grid.resolution
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    # Cubic weights of the warp are good to 1 cm on 800 m; the linear geoid is met to a millimetre.
    np.testing.assert_allclose(heights, above_geoid + tilted_geoid(lon, lat), atol=0.02, rtol=0)
    assert np.isfinite(heights).all()


def test_the_grid_is_bounded_by_the_area_not_by_whole_tiles(bucket, tmp_path):
    settings = settings_of(tmp_path, bucket)
    grid, _, _ = prepare_glo30(settings, ignore)
    west, south, east, north = grid_bounds(area_of_interest(settings), grid.crs)
    spare = np.abs(np.subtract(grid.bounds, (west, south, east, north)))
    assert (spare < 64 * 20.0).all()


def test_a_second_run_fetches_nothing(bucket, tmp_path):
    settings = settings_of(tmp_path, bucket)
    _, first, tiles = prepare_glo30(settings, ignore)
    assert len(tiles.fetched) == 4
    assert len(bucket.seen) == 6  # four tiles, their list, the geoid
    _, second, tiles = prepare_glo30(settings, ignore)
    assert tiles.fetched == ()
    assert len(bucket.seen) == 6
    np.testing.assert_array_equal(first, second)


def test_a_tile_that_the_bucket_does_not_list_stays_without_height_and_is_not_asked_for(bucket, tmp_path):
    del bucket.files[tile_path(6, 44)]
    bucket.add_tile(5, 44, tile(5, 44, mountains))
    settings = settings_of(tmp_path, bucket)
    grid, heights, tiles = prepare_glo30(settings, ignore)
    assert tiles.missing == (tile_name(6, 44),)
    assert bucket.asked(tile_path(6, 44)) == 0
    row, col = np.mgrid[: grid.height, : grid.width]
    x, y = grid.west + (col + 0.5) * grid.resolution, grid.north - (row + 0.5) * grid.resolution
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    # Resampling looks up to two posts across the border.
    reach = 2.5 / POSTS
    assert np.isnan(heights[(lon > 6 + reach) & (lat < 45 - reach)]).all()
    assert np.isfinite(heights[(lon < 6 - reach) | (lat > 45 + reach)]).all()
    before = len(bucket.seen)
    prepare_glo30(settings, ignore)
    assert len(bucket.seen) == before


def test_a_listed_tile_that_is_not_there_is_an_error_not_sea(bucket, tmp_path):
    del bucket.files[tile_path(6, 44)]
    with pytest.raises(CatalogueError, match=rf"{tile_name(6, 44)}\.tif: not found \(404\) in 2 tries"):
        fetched(bucket, tmp_path)


def test_an_area_without_any_tile_is_refused(bucket, tmp_path):
    with pytest.raises(TerrainError, match=r"no tile of 9\.20 to 9\.80 degrees east.*only sea"):
        fetched(bucket, tmp_path, (9.2, 40.2, 9.8, 40.8))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (tile(6, 44, mountains, crs="EPSG:4258"), "EPSG:4258, a tile has one in EPSG:4326"),
        (tile(6, 45, mountains), r"it spans .*, the tile \(5\.98"),
        (raster(6.0, 45.0, (POSTS, POSTS), 1 / POSTS, mountains), "it spans"),
        (tile(6, 44, lambda lon, lat: 30_000 + 0 * lon), "heights of 30000 to 30000 m"),
        (tile(6, 44, lambda lon, lat: np.nan * lon), "heights of"),
        (b"<html>maintenance</html>", "not a readable raster"),
        (tile(6, 44, mountains)[:-300], "damaged|not a readable raster"),
    ],
    ids=["crs", "place", "half pixel", "heights", "empty", "page", "cut"],
)
def test_a_wrong_tile_is_refused_by_name_and_not_kept(content, complaint, bucket, tmp_path):
    path = bucket.add_tile(6, 44, content)
    with pytest.raises(CatalogueError, match=rf"{tile_name(6, 44)}.*({complaint}).*fetched 3 times"):
        fetched(bucket, tmp_path)
    assert bucket.asked(path) == 3
    assert not list(tmp_path.glob(f"*{tile_name(6, 44)}*.tif*"))


def test_a_damaged_block_is_found_although_the_file_opens(bucket, tmp_path):
    content = bytearray(tile(6, 44, mountains, compress="DEFLATE"))
    for place in range(len(content) // 2, len(content) // 2 + 40):
        content[place] ^= 0xFF
    bucket.add_tile(6, 44, bytes(content))
    with rasterio.MemoryFile(bytes(content)) as memory, memory.open() as dataset:
        assert dataset.shape == (POSTS, POSTS)
    with pytest.raises(CatalogueError, match=rf"{tile_name(6, 44)}.*(damaged|heights of nan)"):
        fetched(bucket, tmp_path)


def test_a_broken_transfer_goes_on_where_it_stopped(bucket, tmp_path):
    path = tile_path(6, 45)
    bucket.faults[path].append(Fault("reset", at=1000))
    fetched(bucket, tmp_path)
    assert [request.headers.get("range") for request in bucket.seen if request.path == path][1:] == [
        "bytes=1000-"
    ]
    assert (tmp_path / f"{tile_name(6, 45)}.tif").read_bytes() == bucket.files[path]


def test_a_tile_spoilt_on_disk_is_fetched_again(bucket, tmp_path):
    fetched(bucket, tmp_path)
    (tmp_path / f"{tile_name(5, 45)}.tif").write_bytes(b"spoilt")
    assert fetched(bucket, tmp_path).fetched == (tile_name(5, 45),)


def test_a_local_geoid_goes_before_the_fetched_one(bucket, tmp_path):
    local = tmp_path / "local.tif"
    local.write_bytes(raster(3.0, 48.0, (24, 24), 0.25, lambda lon, lat: 10.0 + 0 * lon))
    _, above_local, _ = prepare_glo30(settings_of(tmp_path, bucket, geoid_grid=local), ignore)
    assert bucket.asked("/egm08.tif") == 0
    _, above_fetched, _ = prepare_glo30(settings_of(tmp_path, bucket), ignore)
    # 50 m at the middle of the area and 0.25 m to its ends, against 10 m
    np.testing.assert_allclose(above_fetched - above_local, 40.0, atol=0.3)


def test_without_a_geoid_there_is_no_elevation_model(bucket, tmp_path):
    bucket.files["/egm08.tif"] = raster(3.0, 48.0, (24, 24), 0.25, mountains)
    with pytest.raises(CatalogueError, match=r"egm08\.tif.*no geoid has.*terrain\.geoid_grid"):
        prepare_glo30(settings_of(tmp_path, bucket), ignore)
    del bucket.files["/egm08.tif"]
    with pytest.raises(CatalogueError, match=r"egm08\.tif.*404.*terrain\.geoid_grid"):
        prepare_glo30(settings_of(tmp_path, bucket), ignore)


def test_an_area_across_a_change_of_posting_is_refused(bucket, tmp_path):
    bucket.add_tile(6, 45, tile(6, 45, mountains, posts=18))
    tiles = fetched(bucket, tmp_path)
    with pytest.raises(TerrainError, match="differ in posting"), mosaic(tiles, AREA):
        pass


def test_tiles_that_resampling_looks_into_belong_to_the_area(bucket, tmp_path):
    near = (6.001, 45.001, 6.1, 45.1)
    tiles = fetched(bucket, tmp_path, near)
    assert [path.stem for path in tiles.paths] == [tile_name(*corner) for corner in CORNERS]
    with mosaic(tiles, near) as path, rasterio.open(path) as joined:
        assert np.isfinite(joined.read(1)).all()
