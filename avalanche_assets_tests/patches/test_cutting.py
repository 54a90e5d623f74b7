from datetime import date

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, box

from avalanche_assets.errors import TableError
from avalanche_assets.grid import Grid
from avalanche_assets.patches.cutting import (
    SQUARE_PX,
    cut_corridor_patches,
    cut_terrain_patches,
    wanted_squares,
)
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
            "massif_id": [1] * len(pixels),
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


def cut(places, vv, vh=None, visible=EVERYWHERE, elevation=None, wet_snow_db=-3.0):
    """The table of patches and the levels of a scene given as whole arrays."""
    bands = {
        "vv_star": vv,
        "vh_star": vv if vh is None else vh,
        "visible": visible,
        "elevation": np.full(GRID.shape, np.nan, np.float32) if elevation is None else elevation,
    }
    return cut_corridor_patches(
        places,
        GRID,
        DAY,
        lambda window: {name: band[window.slices] for name, band in bands.items()},
        wet_snow_db,
    )


def cut_terrain(places, bands, looks=None):
    return cut_terrain_patches(
        places,
        GRID,
        bands["elevation"],
        lambda window: {name: band[window.slices] for name, band in bands.items() if name != "elevation"},
        looks,
    )


def patches(table, name) -> np.ndarray:
    return table.column(name).combine_chunks().to_numpy_ndarray()


@given(st.lists(st.tuples(st.integers(32, 256 - 32), st.integers(32, 320 - 32)), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_patch_is_the_grid_around_the_deposit_pixel(pixels):
    values = numbered()
    table, _ = cut(corridors(*pixels), values, -values)
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
    table, _ = cut(corridors((100, 100), (40, 200)), vv, visible=visible)
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
    table, _ = cut(corridors((100, 100)), vv)
    # One pixel in ten lies below -3 dB; means over 25 pixels have a deviation of 0.3 dB.
    assert (vv < -3).mean() > 0.09
    assert table["wet_snow_fraction"][0].as_py() < 0.001


def test_corridor_patches_can_be_stored(tmp_path):
    values = numbered()
    table, _ = cut(corridors((50, 60)), values)
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
    table = cut_terrain(corridors((50, 60), (200, 100)), bands)
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
    inside = patches(cut_terrain(frame, terrain_bands()), "inside")[0]
    row, col = np.mgrid[68:132, 68:132]
    distance = np.hypot((col - 100) * 20.0 + 500.0, (row - 100) * 20.0)
    clear = np.abs(distance - 900.0) > 1.0  # the polygon's chords cut off up to 0.07 m
    np.testing.assert_array_equal(inside[clear] == 1.0, distance[clear] < 900.0)


def test_corridor_off_the_grid_is_refused():
    values = numbered()
    with pytest.raises(TableError, match=r"\['c1'\].*materialise corridors again"):
        cut(corridors((50, 60), (-1, 60)), values)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 319)), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_window_beyond_the_grid_is_padded_and_counted(pixels):
    values = numbered()
    padded = np.pad(values, 32, constant_values=np.nan)
    table, _ = cut(corridors(*pixels), values)
    for i, (row, col) in enumerate(pixels):
        expected = padded[row : row + 64, col : col + 64]
        np.testing.assert_array_equal(patches(table, "vv_star")[i], expected.astype(np.float16))
        assert table["valid_fraction"][i].as_py() == pytest.approx(np.isfinite(expected).mean())
        assert table["visible_fraction"][i].as_py() == 1.0
    terrain = cut_terrain(corridors(*pixels), terrain_bands())
    elevation = np.pad(terrain_bands()["elevation"], 32, constant_values=np.nan)
    for i, (row, col) in enumerate(pixels):
        expected = elevation[row : row + 64, col : col + 64]
        np.testing.assert_array_equal(patches(terrain, "elevation")[i], expected)


def test_raster_is_read_once_and_only_where_patches_lie():
    grid = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 4 * SQUARE_PX, 4 * SQUARE_PX)
    rows_cols = [(100, 100), (110, 120), (SQUARE_PX, SQUARE_PX), (SQUARE_PX + 5, SQUARE_PX - 5)]
    seen = np.zeros(grid.shape, int)

    def read(window):
        seen[window.slices] += 1
        zeros = np.zeros((window.height, window.width), np.float32)
        return {"vv_star": zeros, "vh_star": zeros, "visible": zeros == 0, "elevation": zeros}

    cut_corridor_patches(corridors(*rows_cols), grid, DAY, read, -3.0)
    assert seen.max() == 1
    assert seen.sum() == 4 * SQUARE_PX**2


def test_patches_are_ordered_by_massif_whatever_the_order_of_the_corridors():
    frame = corridors((50, 60), (60, 70), (70, 80)).assign(massif_id=[11, 3, 11])
    values = numbered()
    table, _ = cut(frame.iloc[::-1], values)
    assert table["corridor_id"].to_pylist() == ["c1", "c0", "c2"]
    looks = np.array([10.0, 20.0, 30.0])
    terrain = cut_terrain(frame, terrain_bands(), looks)
    assert terrain["corridor_id"].to_pylist() == ["c1", "c0", "c2"]
    assert terrain["look_azimuth_deg"].to_pylist() == [20.0, 10.0, 30.0]


def test_highest_pixel_of_a_corridor_is_found_from_its_deposit_point():
    bands = terrain_bands()
    bands["elevation"] = np.tile(4000.0 - np.arange(256.0)[:, None], (1, 320)).astype(np.float32)
    table = cut_terrain(corridors((100, 100)), bands)
    # the polygon covers rows 98..102 and columns 99..101; the first of its highest row counts
    assert (table["top_east_m"][0].as_py(), table["top_north_m"][0].as_py()) == (-20.0, 40.0)
    assert table["pixel_m"][0].as_py() == 20.0
    assert table["look_azimuth_deg"][0].as_py() is None
    bands["elevation"][:] = np.nan
    assert cut_terrain(corridors((100, 100)), bands)["top_east_m"][0].as_py() is None


def slope_of_heights() -> np.ndarray:
    """From 1,000 m in the south to 3,550 m in the north."""
    return np.tile(3550.0 - 10.0 * np.arange(256.0)[:, None], (1, 320)).astype(np.float32)


def test_wet_snow_does_not_count_a_drop_of_the_whole_scene():
    heights = slope_of_heights()
    speckle = np.random.default_rng(2).normal(0.0, 1.5, GRID.shape).astype(np.float32)
    wet = heights < 2000.0
    places = corridors((210, 100), (40, 100))  # all wet; all dry
    dry, _ = cut(places, speckle, elevation=heights)
    assert dry["wet_snow_fraction"].to_pylist() == [0.0, 0.0]
    for whole_scene in (0.0, -4.0, -8.0):
        table, levels = cut(places, speckle - 6.0 * wet + whole_scene, elevation=heights)
        # one bin of 0.02 dB, and medians of 20 rows of 320 pixels with 1.5 dB: 0.02 dB
        assert levels.drop_db == pytest.approx(whole_scene, abs=0.15)
        assert table["wet_snow_fraction"][0].as_py() > 0.99
        assert table["wet_snow_fraction"][1].as_py() < 0.01


@pytest.mark.parametrize(
    ("size", "rows", "cols"), [(64, (1, 3), (1, 3)), (16, (5, 9), (5, 9)), (32, (2, 5), (2, 5))]
)
def test_wanted_squares_hold_every_pixel_a_patch_needs(size, rows, cols):
    # the patch of pixel (112, 112) covers rows and columns 80..143
    wanted = wanted_squares(corridors((112, 112)), GRID, size)
    expected = np.zeros((GRID.height // size, GRID.width // size), bool)
    expected[slice(*rows), slice(*cols)] = True
    np.testing.assert_array_equal(wanted, expected)
