import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avalanche_assets.grid import TILE_PX, Grid, Window

GRID = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 128, 192)

# Millimetres: no coordinate is known better, and smaller differences are lost in float64 metres.
coordinates = st.integers(-5_000_000_000, 5_000_000_000).map(lambda millimetres: millimetres / 1000)
sizes = st.integers(1_000, 300_000_000).map(lambda millimetres: millimetres / 1000)
resolutions = st.sampled_from([10.0, 20.0])


@given(coordinates, coordinates, sizes, sizes, resolutions)
def test_covering_grid_holds_the_bounds_and_no_spare_tile(west, south, width, height, resolution):
    bounds = (west, south, west + width, south + height)
    grid = Grid.covering(bounds, "EPSG:32632", resolution)
    step = TILE_PX * resolution
    assert grid.bounds[0] <= bounds[0] < grid.bounds[0] + step
    assert grid.bounds[1] <= bounds[1] < grid.bounds[1] + step
    assert grid.bounds[2] - step < bounds[2] <= grid.bounds[2]
    assert grid.bounds[3] - step < bounds[3] <= grid.bounds[3]


@given(coordinates, coordinates, sizes, sizes, resolutions)
def test_covering_grids_lie_on_whole_tiles_so_that_they_nest(west, south, width, height, resolution):
    grid = Grid.covering((west, south, west + width, south + height), "EPSG:32632", resolution)
    assert grid.height % TILE_PX == grid.width % TILE_PX == 0
    assert math.fmod(grid.west, TILE_PX * resolution) == math.fmod(grid.north, TILE_PX * resolution) == 0.0


def test_covering_leaves_bounds_on_tiles_alone():
    grid = Grid.covering(GRID.bounds, GRID.crs, GRID.resolution)
    assert grid == GRID


@given(
    st.floats(0.0, 192 * 20.0, exclude_max=True),
    st.floats(0.0, 128 * 20.0, exclude_max=True, exclude_min=True),
)
def test_pixel_of_a_point_has_its_centre_within_half_a_pixel(east, south):
    x, y = GRID.west + east, GRID.north - south
    row, col = GRID.row_col(x, y)
    centre_x, centre_y = GRID.pixel_centre(row, col)
    assert abs(centre_x - x) <= 10.0
    assert abs(centre_y - y) <= 10.0


@given(st.integers(-300, 300), st.integers(-300, 300), st.sampled_from([2, 8, 64]))
def test_window_around_has_the_point_in_its_middle_pixel(row, col, size):
    window = GRID.window_around(*GRID.pixel_centre(row, col), size=size)
    assert window == Window(row - size // 2, col - size // 2, size, size)
    patch = GRID.subgrid(window)
    assert patch.row_col(*GRID.pixel_centre(row, col)) == (size // 2, size // 2)


@given(st.integers(-100, 300), st.integers(-100, 300))
def test_grid_contains_exactly_the_windows_whose_pixels_all_lie_on_it(row, col):
    window = Window(row, col, 64, 64)
    corners = [(row, col), (row + 63, col + 63)]
    on_grid = all(0 <= r < GRID.height and 0 <= c < GRID.width for r, c in corners)
    assert GRID.contains(window) == on_grid


def test_transform_gives_the_corner_of_the_first_pixel_north_up():
    transform = GRID.transform
    assert (transform.c, transform.f) == (GRID.west, GRID.north)
    assert (transform.a, transform.e) == (20.0, -20.0)
    assert GRID.bounds == (512_000.0, 5_117_440.0, 515_840.0, 5_120_000.0)


def test_subgrid_of_a_window_keeps_the_pixels_in_place():
    window = Window(32, 64, 64, 16)
    part = GRID.subgrid(window)
    assert part.shape == (64, 16)
    assert part.pixel_centre(0, 0) == GRID.pixel_centre(32, 64)
    assert part.pixel_centre(63, 15) == GRID.pixel_centre(95, 79)


def test_slices_cut_the_window():
    assert Window(3, 4, 5, 6).slices == (slice(3, 8), slice(4, 10))


@pytest.mark.parametrize("corner", [(0.0, 0.0), (20.0, 20.0)])
def test_pixel_edges_belong_to_the_pixel_south_east_of_them(corner):
    row, col = GRID.row_col(GRID.west + corner[0], GRID.north - corner[1])
    assert (row, col) == (corner[1] / 20.0, corner[0] / 20.0)
