"""Which area acquisitions have to cover and elevation models are fetched for."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from avalanche_assets.area import FRENCH_ALPS, area_of_interest, grid_bounds
from avalanche_assets.errors import SettingsError, TerrainError
from avalanche_assets.settings import (
    GridSettings,
    InventorySettings,
    Settings,
    SourceSettings,
    TerrainSettings,
)

AREA = (6.0, 45.0, 7.0, 46.0)


def settings_of(
    folder: Path,
    area: tuple[float, float, float, float] | None = None,
    grid: GridSettings | None = None,
    terrain: TerrainSettings | None = None,
) -> Settings:
    return Settings(
        data_root=folder,
        source=SourceSettings(folder=folder, area=area),
        grid=grid or GridSettings(),
        terrain=terrain or TerrainSettings(source="glo30"),
        inventory=InventorySettings(corridors=folder / "c.gpkg", events=folder / "e.csv"),
    )


def write_dem(path: Path, crs: str | None) -> Path:
    """A raster from 6.0 to 6.5 degrees east and 45.0 to 45.4 degrees north."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="float32",
        count=1,
        height=40,
        width=50,
        crs=crs,
        transform=from_origin(6.0, 45.4, 0.01, 0.01),
    ) as dataset:
        dataset.write(np.zeros((40, 50), np.float32), 1)
    return path


def file_terrain(path: Path) -> TerrainSettings:
    return TerrainSettings(dem=path, vertical_datum="ellipsoidal")


def test_the_area_of_the_source_goes_before_all_others(tmp_path):
    grid = GridSettings(bounds=(300_000.0, 5_000_000.0, 310_000.0, 5_010_000.0))
    assert area_of_interest(settings_of(tmp_path, AREA, grid)) == AREA


def test_bounds_of_the_grid_are_carried_to_degrees_and_enclosed(tmp_path):
    grid = GridSettings(bounds=grid_bounds(AREA, "EPSG:32632"))
    west, south, east, north = area_of_interest(settings_of(tmp_path, grid=grid))
    assert west < AREA[0] < AREA[2] < east
    assert south < AREA[1] < AREA[3] < north
    # meridians lean by up to 2 degrees in the zone's west: 111 km x sin(2 deg) = 4 km, 0.06 degrees
    assert max(AREA[0] - west, AREA[1] - south, east - AREA[2], north - AREA[3]) < 0.06


def test_a_grid_around_its_own_middle_keeps_its_corner(tmp_path):
    grid = GridSettings(bounds=(500_000.0, 0.0, 600_000.0, 10_000.0))
    west, south, _, _ = area_of_interest(settings_of(tmp_path, grid=grid))
    # the origin of zone 32 by definition: 9 degrees east on the equator
    assert (west, south) == pytest.approx((9.0, 0.0), abs=1e-7)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4979"])
def test_without_bounds_the_extent_of_the_elevation_model_counts(crs, tmp_path):
    terrain = file_terrain(write_dem(tmp_path / "dem.tif", crs))
    assert area_of_interest(settings_of(tmp_path, terrain=terrain)) == pytest.approx(
        (6.0, 45.0, 6.5, 45.4), abs=1e-9
    )


def test_the_french_alps_are_the_default(tmp_path):
    assert area_of_interest(settings_of(tmp_path)) == FRENCH_ALPS


def test_an_unknown_coordinate_system_is_named(tmp_path):
    grid = GridSettings(crs="EPSG:999999", bounds=(0.0, 0.0, 1.0, 1.0))
    with pytest.raises(SettingsError, match=r"grid\.crs.*999999"):
        area_of_interest(settings_of(tmp_path, grid=grid))


def test_an_elevation_model_that_cannot_tell_its_extent_is_named(tmp_path):
    with pytest.raises(TerrainError, match=r"none\.tif: not a readable raster"):
        area_of_interest(settings_of(tmp_path, terrain=file_terrain(tmp_path / "none.tif")))
    bare = write_dem(tmp_path / "dem.tif", None)
    with pytest.raises(TerrainError, match=r"dem\.tif: unknown coordinate system"):
        area_of_interest(settings_of(tmp_path, terrain=file_terrain(bare)))
