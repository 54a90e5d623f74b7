from datetime import UTC, datetime

import numpy as np
import pytest
from orbit_file_text import EPOCH, START, STOP
from orbit_file_text import name as orbit_name

from avalanche_assets.catalogue.interface import Catalogue, ProductQuery
from avalanche_assets.catalogue.local import LocalCatalogue
from avalanche_assets.catalogue.product_name import ProductName
from avalanche_assets.errors import CatalogueError, OrbitError

QUERY = ProductQuery(139, "DESCENDING", (5.4, 43.9, 7.8, 46.5))
FIRST = "S1A_IW_GRDH_1SDV_20180103T054301_20180103T054326_019986_000001_AAAA.SAFE.zip"
SECOND = "S1A_IW_GRDH_1SDV_20180103T054326_20180103T054351_019986_000001_BBBB.SAFE"
NEXT = "S1B_IW_GRDH_1SDV_20180109T054221_20180109T054246_009090_000002_CCCC.zip"


def utc(instant):
    return instant.astype("datetime64[us]").item().replace(tzinfo=UTC)


def ignore(_):
    pass


@pytest.fixture
def folder(tmp_path):
    for name in (NEXT, SECOND, FIRST):
        (tmp_path / name).touch()
    return tmp_path


def test_products_come_in_order_of_time(folder):
    catalogue: Catalogue = LocalCatalogue(folder)
    assert [offer.name for offer in catalogue.search(QUERY)] == [FIRST, SECOND, NEXT]


def test_time_bounds_include_the_first_and_exclude_the_last_instant(folder):
    start = datetime(2018, 1, 3, 5, 43, 26, tzinfo=UTC)
    stop = datetime(2018, 1, 9, 5, 42, 21, tzinfo=UTC)
    query = ProductQuery(139, "DESCENDING", QUERY.area, start, stop)
    assert [offer.name for offer in LocalCatalogue(folder).search(query)] == [SECOND]


def test_fetched_product_is_the_file_in_the_folder(folder, tmp_path):
    catalogue = LocalCatalogue(folder)
    first, second, _ = catalogue.search(QUERY)
    assert catalogue.fetch(first, tmp_path / "elsewhere", ignore) == folder / FIRST
    (folder / SECOND).unlink()
    with pytest.raises(CatalogueError, match=rf"{SECOND}: no such product"):
        catalogue.fetch(second, tmp_path, ignore)
    assert catalogue.withdrawn(QUERY, datetime(2018, 1, 1, tzinfo=UTC)) == set()


def test_orbit_files_that_cover_the_pass_are_found_in_folders_below(tmp_path):
    (tmp_path / "below").mkdir()
    covering, resorb = orbit_name(), orbit_name(source="RESORB") + ".zip"
    early = orbit_name(stop=STOP + np.timedelta64(49, "s"))
    for name in (covering, early, orbit_name("S1B"), "readme.txt"):
        (tmp_path / name).touch()
    (tmp_path / "below" / resorb).touch()
    catalogue = LocalCatalogue(tmp_path, tmp_path)
    offers = catalogue.search_orbit_files("S1A", utc(START), utc(STOP))
    assert {offer.name for offer in offers} == {covering, resorb}
    (zipped,) = (offer for offer in offers if offer.name == resorb)
    assert catalogue.fetch_orbit_file(zipped, tmp_path, ignore) == tmp_path / "below" / resorb
    (tmp_path / "below" / resorb).unlink()
    with pytest.raises(CatalogueError, match=r"\.EOF\.zip: no such orbit file"):
        catalogue.fetch_orbit_file(zipped, tmp_path, ignore)


def test_without_a_folder_of_orbit_files_there_are_none_and_a_wrong_one_is_named(tmp_path):
    assert LocalCatalogue(tmp_path).search_orbit_files("S1A", utc(EPOCH), utc(STOP)) == []
    with pytest.raises(OrbitError, match="nowhere: folder not found"):
        LocalCatalogue(tmp_path, tmp_path / "nowhere").search_orbit_files("S1A", utc(START), utc(STOP))


@pytest.mark.parametrize(
    "name",
    [
        FIRST.replace("20180103T054301", "20181303T054301"),
        FIRST + "\n",
        "../" + FIRST,
        FIRST.replace("_AAAA", "_COG_AAAA"),
    ],
)
def test_other_names_are_not_those_of_products(name):
    assert ProductName.parse(name) is None


def test_name_tells_ending_and_twin():
    name = ProductName.parse(FIRST.replace("_AAAA", "_AAAA_COG"))
    assert name
    assert (name.cog, name.ending, name.relative_orbit) == (True, ".SAFE.zip", 139)
    assert name.stem.endswith("_AAAA_COG")
