"""Corridors and massifs of a simulated landscape."""

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid
from avalanche_assets.simulation.corridors import (
    clear_forest,
    corridor_frame,
    simulate_corridors,
)
from avalanche_assets.simulation.landscape import LandCover, synthetic_landscape
from avalanche_assets.simulation.massifs import massif_frame, massif_of

GRID = Grid("EPSG:32632", 20.0, 320000.0, 5040000.0, 512, 512)
COUNT = 24


@pytest.fixture(scope="module")
def landscape():
    return synthetic_landscape(GRID, 139)


@pytest.fixture(scope="module")
def corridors(landscape):
    return simulate_corridors(landscape, COUNT, 139)


def lowest_cell(landscape, corridor):
    inside = rasterize([corridor.outline], GRID.shape, transform=GRID.transform) > 0
    cells = np.flatnonzero(inside)
    return divmod(int(cells[landscape.elevation.ravel()[cells].argmin()]), GRID.width)


def test_as_many_corridors_as_asked_with_unique_ids_and_valid_outlines(corridors):
    assert len(corridors) == COUNT
    ids = [corridor.corridor_id for corridor in corridors]
    assert ids == sorted(set(ids))
    assert all(len(name) == 8 and name.isdigit() and name[2] == "9" for name in ids)
    assert all(corridor.outline.is_valid and not corridor.outline.is_empty for corridor in corridors)
    assert all(
        corridor.corridor_id == f"{corridor.insee}{corridor.site_number:03d}" for corridor in corridors
    )


def test_same_seed_same_corridors(landscape, corridors):
    again = simulate_corridors(landscape, COUNT, 139)
    assert all(
        a.outline.equals(b.outline) and a.corridor_id == b.corridor_id
        for a, b in zip(again, corridors, strict=True)
    )


def test_talwegs_lose_height_and_have_plausible_sizes(corridors):
    drops = np.array([corridor.path.drop_m for corridor in corridors])
    areas = np.array([corridor.outline.area for corridor in corridors]) / 1e4
    assert drops.min() > 250.0
    assert 400.0 < np.median(drops) < 1200.0
    # Belledonne: median 26 ha, 10th percentile 4, 90th 101.
    assert 15.0 < np.median(areas) < 45.0
    assert np.percentile(areas, 90) < 150.0


def test_patches_around_the_lowest_cells_fit_and_lie_apart(landscape, corridors):
    places = np.array([lowest_cell(landscape, corridor) for corridor in corridors])
    centres = [GRID.pixel_centre(row, col) for row, col in places]
    assert all(GRID.contains(GRID.window_around(x, y)) for x, y in centres)
    distance = 20.0 * np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    apart = distance[np.triu_indices(COUNT, 1)] > 300.0
    assert apart.mean() > 0.99


def test_some_are_unobserved_and_two_touch_without_overlap(corridors):
    assert 1 <= sum(not corridor.observed for corridor in corridors) <= 3
    outlines = [corridor.outline for corridor in corridors]
    pairs = shapely.STRtree(outlines).query(outlines, "intersects").T
    gaps = [outlines[a].intersection(outlines[b]) for a, b in pairs if a < b]
    assert any(0.0 <= gap.area < 1.0 and gap.length > 10.0 for gap in gaps)


def test_forest_is_cleared_inside_corridors_only(landscape, corridors):
    cleared = clear_forest(landscape, corridors)
    inside = rasterize([c.outline for c in corridors], GRID.shape, transform=GRID.transform) > 0
    assert not (cleared.land_cover[inside] == LandCover.FOREST).any()
    np.testing.assert_array_equal(cleared.land_cover[~inside], landscape.land_cover[~inside])


def test_asking_for_too_many_is_refused_with_the_number_possible(landscape):
    with pytest.raises(TerrainError, match=r"only \d+ avalanche paths found, 2000 corridors"):
        simulate_corridors(landscape, 2000, 139)


@pytest.mark.parametrize("cells", [512, 8512])
def test_massifs_partition_the_area_and_haute_maurienne_is_the_largest(cells):
    grid = Grid("EPSG:32632", 20.0, 320000.0, 5040000.0, cells, cells)
    massifs = massif_frame(grid)
    whole = (cells * 20.0) ** 2
    assert massifs.area.sum() == pytest.approx(whole, rel=1e-9)
    assert massifs.union_all().area == pytest.approx(whole, rel=1e-9)
    assert massifs.massif_id.is_unique
    assert massifs.simulated.all()
    share = massifs.set_index("massif_id").area / whole
    assert share.idxmax() == 11
    assert 0.35 < share[11] < 0.55


def test_every_corridor_lies_in_the_massif_it_names(corridors):
    frame = corridor_frame(corridors, GRID)
    polygons = massif_frame(GRID).set_index("massif_id").geometry
    assert frame.crs == GRID.crs
    for corridor in corridors:
        end = shapely.Point(corridor.path.line.coords[-1])
        assert polygons[corridor.massif_id].distance(end) == 0.0
    assert massif_of(GRID.west + 10.0, GRID.north - 10.0, GRID)[0] == 6
