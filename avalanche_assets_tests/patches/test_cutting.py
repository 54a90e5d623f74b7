from datetime import date

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, box

from avalanche_assets.errors import TableError
from avalanche_assets.grid import Grid
from avalanche_assets.patches.cutting import cut_corridor_patches, cut_terrain_patches, wanted_squares
from avalanche_assets.tables import CORRIDOR_PATCHES, TERRAIN_PATCHES, read_table, write_table

GRID = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 256, 320)
DAY = date(2018, 1, 10)
EVERYWHERE = np.ones(GRID.shape, bool)


def corridors(*pixels: tuple[int, int]) -> gpd.GeoDataFrame:
    """Corridors with their deposit point in the given (row, col) and a polygon of 5 x 3 pixels around it."""
    points = [GRID.pixel_centre(row, col) for row, col in pixels]
    return gpd.GeoDataFrame(
        {
            "corridor_id": [f"c{i}" for i in range(len(pixels))],
            "deposit_x": [x for x, _ in points],
            "deposit_y": [y for _, y in points],
        },
        geometry=[box(x - 30.0, y - 50.0, x + 30.0, y + 50.0) for x, y in points],
        crs=GRID.crs,
    )


def numbered() -> np.ndarray:
    """Every pixel its own value that float16 holds exactly."""
    row, col = np.mgrid[: GRID.height, : GRID.width]
    return (row * 8 % 1024 + col / 64 % 1).astype(np.float32)


def patches(table, name) -> np.ndarray:
    return table.column(name).combine_chunks().to_numpy_ndarray()


@given(st.lists(st.tuples(st.integers(32, 256 - 32), st.integers(32, 320 - 32)), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_patch_is_the_grid_around_the_deposit_pixel(pixels):
    values = numbered()
    table = cut_corridor_patches(corridors(*pixels), GRID, DAY, values, -values, EVERYWHERE, -3.0)
    for i, (row, col) in enumerate(pixels):
        expected = values[row - 32 : row + 32, col - 32 : col + 32].astype(np.float16)
        np.testing.assert_array_equal(patches(table, "vv_star")[i], expected)
        np.testing.assert_array_equal(patches(table, "vh_star")[i], -expected)
        assert patches(table, "vv_star")[i][32, 32] == np.float16(values[row, col])


def test_fractions_count_pixels():
    vv = np.zeros(GRID.shape, np.float32)
    vv[:100] = np.nan
    vv[100:110] = -5.0
    visible = EVERYWHERE.copy()
    visible[:, :100] = False
    table = cut_corridor_patches(corridors((100, 100), (40, 200)), GRID, DAY, vv, vv, visible, -3.0)
    first, second = table.drop_columns(["vv_star", "vh_star"]).to_pylist()
    # the first patch covers rows 68..131 and columns 68..131: 32 rows without value, 10 at
    # -5 dB, 22 at 0 dB; the mean over 5 rows is below -3 dB in nine of the ten (-3.0 exactly in the last one)
    assert first == {
        "corridor_id": "c0",
        "acquisition_date": DAY,
        "valid_fraction": 0.5,
        "visible_fraction": 0.5,
        "wet_snow_fraction": pytest.approx(9 / 32),
    }
    assert (second["valid_fraction"], second["visible_fraction"]) == (0.0, 1.0)
    assert second["wet_snow_fraction"] is None


def test_speckle_alone_is_no_wet_snow():
    vv = np.random.default_rng(1).normal(-1.0, 1.6, GRID.shape).astype(np.float32)
    table = cut_corridor_patches(corridors((100, 100)), GRID, DAY, vv, vv, EVERYWHERE, -3.0)
    # One pixel in ten lies below -3 dB; means over 25 pixels have a deviation of 0.3 dB.
    assert (vv < -3).mean() > 0.09
    assert table["wet_snow_fraction"][0].as_py() < 0.001


def test_corridor_patches_can_be_stored(tmp_path):
    values = numbered()
    table = cut_corridor_patches(corridors((50, 60)), GRID, DAY, values, values, EVERYWHERE, -3.0)
    write_table(tmp_path / "part.parquet", table, CORRIDOR_PATCHES)
    assert read_table(tmp_path / "part.parquet", CORRIDOR_PATCHES).equals(table)


def terrain_bands() -> dict[str, np.ndarray]:
    return {
        "elevation": 3000.0 + numbered(),
        "slope": numbered() / 32.0,
        "aspect": np.full(GRID.shape, np.nan, np.float32),
        "local_incidence": np.full(GRID.shape, 39.5, np.float32),
        "visible": EVERYWHERE,
    }


def test_terrain_patches_hold_the_bands_and_the_corridor_mask(tmp_path):
    bands = terrain_bands()
    table = cut_terrain_patches(corridors((50, 60), (200, 100)), GRID, bands)
    write_table(tmp_path / "t.parquet", table, TERRAIN_PATCHES)
    np.testing.assert_array_equal(patches(table, "elevation")[1], bands["elevation"][168:232, 68:132])
    assert patches(table, "elevation").dtype == np.float32  # float16 steps by 2 m above 2048 m
    assert np.isnan(patches(table, "aspect")).all()
    assert (patches(table, "visible") == 1.0).all()
    expected = np.zeros((64, 64))
    expected[30:35, 31:34] = 1.0
    np.testing.assert_array_equal(patches(table, "inside")[0], expected)


def test_inside_is_exact_for_a_polygon_that_leaves_its_patch():
    frame = corridors((100, 100))
    circle = Point(frame["deposit_x"][0] - 500.0, frame["deposit_y"][0]).buffer(900.0, quad_segs=64)
    frame = frame.set_geometry([circle], crs=GRID.crs)
    inside = patches(cut_terrain_patches(frame, GRID, terrain_bands()), "inside")[0]
    row, col = np.mgrid[68:132, 68:132]
    distance = np.hypot((col - 100) * 20.0 + 500.0, (row - 100) * 20.0)
    clear = np.abs(distance - 900.0) > 1.0  # the polygon's chords cut off up to 0.07 m
    np.testing.assert_array_equal(inside[clear] == 1.0, distance[clear] < 900.0)


def test_corridor_off_the_grid_is_refused():
    values = numbered()
    with pytest.raises(TableError, match=r"\['c1'\].*materialise corridors again"):
        cut_corridor_patches(corridors((50, 60), (10, 60)), GRID, DAY, values, values, EVERYWHERE, -3.0)


@pytest.mark.parametrize(
    ("size", "rows", "cols"), [(64, (1, 3), (1, 3)), (16, (5, 9), (5, 9)), (32, (2, 5), (2, 5))]
)
def test_wanted_squares_hold_every_pixel_a_patch_needs(size, rows, cols):
    # the patch of pixel (112, 112) covers rows and columns 80..143
    wanted = wanted_squares(corridors((112, 112)), GRID, size)
    expected = np.zeros((GRID.height // size, GRID.width // size), bool)
    expected[slice(*rows), slice(*cols)] = True
    np.testing.assert_array_equal(wanted, expected)
