from datetime import UTC, date, datetime, time

import pytest

from avalanche_assets.catalogue.raster_folder import find_rasters
from avalanche_assets.catalogue.sources import list_source
from avalanche_assets.errors import CatalogueError
from avalanche_assets.settings import InventorySettings, Settings, SourceSettings


def find(folder, *names, overpass=time(6)):
    """Empty files: dates come from names alone."""
    for name in names:
        (folder / name).touch()
    return find_rasters(folder, (8, 9), overpass)


@pytest.mark.parametrize(
    "name",
    [
        "S1B_RTC_T020A_20190225_VV_VH_inc.tif",
        "20190225.tiff",
        "sigma0_2019-02-25.tif",
        "S1B_IW_20190225T013412_RTC.tif",
        # Digits that are no date come first.
        "frame_20991399_20190225.tif",
        "orbit0120190225_2019-02-25.tif",
    ],
)
def test_date_is_read_from_the_name(tmp_path, name):
    (found,) = find(tmp_path, name)
    assert found.date == date(2019, 2, 25)
    assert found.products == (name,)
    assert found.complete


def test_acquisitions_come_in_order_of_date_with_role_and_season(tmp_path):
    found = find(tmp_path, "S1A_20180109.tif", "S1B_20180103.tif", "S1A_20170824.tif")
    assert [str(item.date) for item in found] == ["2017-08-24", "2018-01-03", "2018-01-09"]
    assert [item.role for item in found] == ["reference", "winter", "winter"]
    assert {item.season for item in found} == {"2017-18"}
    assert [item.platform for item in found] == ["S1A", "S1B", "S1A"]
    assert {item.absolute_orbit for item in found} == {0}


def test_given_time_of_day_stands_in_for_the_overpass(tmp_path):
    (found,) = find(tmp_path, "20190225.tif", overpass=time(13, 34))
    assert found.overpass == datetime(2019, 2, 25, 13, 34, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", ["vv.tif", "S1_2019-02.tif", "19990225.tif", "20191399.tif", "20190230.tif", "120190225.tif"]
)
def test_name_without_a_date_is_refused(tmp_path, name):
    with pytest.raises(CatalogueError, match=rf"{name}: no date YYYYMMDD in the file name; rename the file"):
        find(tmp_path, name)


def test_two_rasters_of_one_date_are_refused_by_name(tmp_path):
    with pytest.raises(CatalogueError, match=r"b_2019-02-25\.tif: same date as a_20190225\.tif; keep one"):
        find(tmp_path, "a_20190225.tif", "b_2019-02-25.tif")


def test_files_beside_the_rasters_are_passed_over(tmp_path):
    (found,) = find(
        tmp_path, "20190225.tif", "20190225.tif.aux.xml", "20190225.tif.ovr", "README_20190301.md"
    )
    assert found.products == ("20190225.tif",)


def test_missing_folder_names_the_setting(tmp_path):
    with pytest.raises(CatalogueError, match=r"none: folder not found; set source\.folder"):
        find_rasters(tmp_path / "none", (8, 9))


def test_empty_folder_is_an_error_and_no_empty_catalogue(tmp_path):
    settings = Settings(
        data_root=tmp_path,
        source=SourceSettings(kind="raster_folder", folder=tmp_path),
        inventory=InventorySettings(corridors=tmp_path / "points.gpkg"),
    )
    with pytest.raises(CatalogueError, match="no GeoTIFF; put one there"):
        list_source(settings, datetime(2026, 11, 26, tzinfo=UTC))
