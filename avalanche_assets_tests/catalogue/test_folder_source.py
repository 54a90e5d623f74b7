import csv
import shutil
from datetime import UTC, date, datetime

import pytest
from local_source import list_folder

from avalanche_assets.catalogue.product_name import relative_orbit
from avalanche_assets.catalogue.products import ProductRecord, check_products, open_products, write_records
from avalanche_assets.errors import CatalogueError, SafeError, TableError
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import SafeArchive
from avalanche_assets.settings import TrackSettings

TRACK = TrackSettings()
SLICE_1 = "S1A_IW_GRDH_1SDV_20180103T054301_20180103T054326_019986_0220F0_1A2B"
SLICE_2 = "S1A_IW_GRDH_1SDV_20180103T054326_20180103T054351_019986_0220F0_3C4D"
SLICE_3 = "S1A_IW_GRDH_1SDV_20180103T054351_20180103T054416_019986_0220F0_5E6F"
NEXT = "S1B_IW_GRDH_1SDV_20180109T054221_20180109T054246_009090_010460_77AA"
SUMMER = "S1A_IW_GRDH_1SDV_20170824T054301_20170824T054326_018061_01E500_9BBC"


def fill(folder, *names):
    """Empty files: dates come from names alone."""
    for name in names:
        (folder / name).touch()
    return folder


def find(folder, *names):
    return list(list_folder(fill(folder, *names)).acquisitions)


@pytest.mark.parametrize(
    ("platform", "absolute", "relative"),
    [
        ("S1A", 19986, 139),
        ("S1B", 9090, 139),
        ("S1B", 26269, 168),
        # The first orbit of each numbering, and the last of a cycle.
        ("S1A", 73, 1),
        ("S1A", 247, 175),
        ("S1A", 248, 1),
        # A real product of 3 October 2014.
        ("S1A", 2661, 139),
        # Track 58 in August 2026, after S1C had moved.
        ("S1C", 8906, 58),
        ("S1D", 3949, 58),
        ("S1D", 4130, 64),
    ],
)
def test_relative_orbit_of_known_passes(platform, absolute, relative):
    assert relative_orbit(platform, absolute) == relative


def test_platforms_six_days_apart_fly_the_same_track():
    """Real passes of February 2026, before S1C moved."""
    assert relative_orbit("S1A", 63207) == relative_orbit("S1C", 6431)


def test_relative_orbit_follows_a_calendar_of_twelve_years(real_data):
    with (real_data / "orbit139_predicted_calendar.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) > 500
    assert {relative_orbit(row["platform"], int(row["absolute_orbit"])) for row in rows} == {139}


def test_relative_orbit_is_what_real_manifests_say(real_data):
    products = sorted((real_data / "safe").glob("*.SAFE.zip"))
    if not products:
        pytest.skip(f"no products in {real_data / 'safe'}")
    for path in products:
        manifest = SafeArchive.open(path).manifest
        assert relative_orbit(manifest.platform, manifest.absolute_orbit) == manifest.relative_orbit, (
            path.name
        )


def test_slices_of_one_pass_are_one_acquisition_in_order_of_date(tmp_path):
    summer, first, second = find(
        tmp_path, f"{NEXT}.zip", f"{SLICE_2}.SAFE.zip", f"{SLICE_1}.SAFE.zip", f"{SUMMER}.SAFE"
    )
    assert (summer.date, first.date, second.date) == (date(2017, 8, 24), date(2018, 1, 3), date(2018, 1, 9))
    assert first.overpass == datetime(2018, 1, 3, 5, 43, 1, tzinfo=UTC)
    assert (first.platform, first.absolute_orbit) == ("S1A", 19986)
    assert first.products == (f"{SLICE_1}.SAFE.zip", f"{SLICE_2}.SAFE.zip")
    assert (summer.role, first.role, second.role) == ("reference", "winter", "winter")
    assert {item.season for item in (summer, first, second)} == {"2017-18"}
    assert all(item.complete for item in (summer, first, second))


@pytest.mark.parametrize("suffix", [".SAFE", ".zip", ".SAFE.zip"])
def test_folders_and_zips_count(tmp_path, suffix):
    (found,) = find(tmp_path, f"{SLICE_1}{suffix}")
    assert found.products == (f"{SLICE_1}{suffix}",)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        f"{SLICE_1}.SAFE.zip.part",
        f".{SLICE_1}.SAFE.zip",
        f"{SLICE_1}.SAFE.zip".replace("GRDH", "SLC_"),
        f"{SLICE_1}.SAFE.zip".replace("1SDV", "1SSV"),
        f"{SLICE_1}.SAFE.zip".replace("_IW_", "_EW_"),
        f"{SLICE_1}.SAFE.zip".replace("S1A_", "S2A_"),
        # Another track: the pass of the next orbit, ninety-nine minutes later.
        f"{SLICE_1}.SAFE.zip".replace("019986", "019987"),
    ],
)
def test_everything_else_is_passed_over(tmp_path, name):
    (found,) = find(tmp_path, name, f"{NEXT}.zip")
    assert found.products == (f"{NEXT}.zip",)


def test_missing_slice_in_the_middle_makes_an_acquisition_incomplete(tmp_path):
    (found,) = find(tmp_path, f"{SLICE_1}.zip", f"{SLICE_3}.zip")
    assert not found.complete
    (found,) = find(tmp_path, f"{SLICE_2}.zip")
    assert found.complete
    assert len(found.products) == 3


def test_late_slice_changes_state_and_version_of_its_date(tmp_path):
    (before,) = find(tmp_path, f"{SLICE_1}.zip", f"{SLICE_3}.zip")
    assert (before.state, before.reason) == (
        "incomplete",
        f"gap of 25 s between {SLICE_1}.zip and {SLICE_3}.zip; coverage of the area was not checked: "
        f"no footprint of {SLICE_1}.zip, {SLICE_3}.zip",
    )
    (after,) = find(tmp_path, f"{SLICE_2}.zip")
    assert (after.state, after.date) == ("complete", before.date)
    assert after.version != before.version
    assert find(tmp_path) == [after]


def test_size_of_an_acquisition_is_that_of_its_files(tmp_path):
    fill(tmp_path, f"{SLICE_1}.zip", f"{SLICE_2}.SAFE")
    (tmp_path / f"{SLICE_1}.zip").write_bytes(b"12345")
    (tmp_path / f"{SLICE_2}.SAFE").unlink()
    (tmp_path / f"{SLICE_2}.SAFE" / "measurement").mkdir(parents=True)
    (tmp_path / f"{SLICE_2}.SAFE" / "measurement" / "a.tiff").write_bytes(b"123")
    assert find(tmp_path)[0].size_bytes == 8


def test_coverage_is_checked_with_the_footprints_of_the_manifests(real_data, tmp_path):
    """Two ascending slices from 48.8 to 52.2 degrees north."""
    names = sorted(path.name for path in (real_data / "safe").glob("S1A_IW_GRDH_1SDV_20150222*.zip"))
    if len(names) != 2:
        pytest.skip(f"no pair of slices in {real_data / 'safe'}")
    for name in names:
        shutil.copy(real_data / "safe" / name, tmp_path)
    track, area = TrackSettings(relative_orbit=117, direction="ASCENDING"), (9.0, 49.5, 12.0, 51.5)
    (both,) = list_folder(tmp_path, track, area).acquisitions
    assert (both.state, both.reason) == ("complete", "")
    (tmp_path / names[0]).unlink()
    (one,) = list_folder(tmp_path, track, area).acquisitions
    assert one.reason == "no slice south of 50.5° N: about 19 s missing at the start"
    (tmp_path / names[1]).write_bytes(b"truncated")
    (damaged,) = list_folder(tmp_path, track, area).acquisitions
    assert damaged.complete
    assert damaged.reason == f"coverage of the area was not checked: no footprint of {names[1]}"


def test_product_unzipped_beside_its_zip_counts_once(tmp_path):
    (found,) = find(tmp_path, f"{SLICE_1}.SAFE", f"{SLICE_1}.SAFE.zip", f"{SLICE_2}.SAFE.zip")
    assert found.products == (f"{SLICE_1}.SAFE", f"{SLICE_2}.SAFE.zip")
    assert found.complete


def test_of_two_platforms_on_one_date_the_earlier_pass_is_kept_and_the_other_told(tmp_path):
    other = NEXT.replace("20180109", "20180103")
    listing = list_folder(fill(tmp_path, f"{SLICE_1}.zip", f"{other}.zip"))
    (found,) = listing.acquisitions
    assert found.products == (f"{other}.zip",)
    assert [item.name for item in listing.dropped] == [f"{SLICE_1}.zip"]
    assert "second pass on 2018-01-03, of S1A" in listing.dropped[0].reason


def test_missing_folder_names_the_setting(tmp_path):
    with pytest.raises(CatalogueError, match=r"none: folder not found; set source\.folder"):
        list_folder(tmp_path / "none")


def test_source_without_any_product_of_the_track_is_an_error(tmp_path):
    fill(tmp_path, f"{SLICE_1}.zip")
    with pytest.raises(CatalogueError, match="no IW GRDH 1SDV product of relative orbit 66"):
        list_folder(tmp_path, TrackSettings(relative_orbit=66))


# What is inside the products


def paths(folder, found):
    return [folder / name for name in found.products]


def test_damaged_product_is_met_only_when_its_date_is_checked(tmp_path):
    found, _ = find(tmp_path, f"{SLICE_1}.SAFE.zip", f"{NEXT}.SAFE.zip")
    with pytest.raises(SafeError, match=rf"{SLICE_1}.*not a complete zip"):
        check_products(paths(tmp_path, found), TRACK)


def test_product_that_has_gone_is_named(tmp_path):
    with pytest.raises(SafeError, match=rf"{SLICE_1}\.SAFE\.zip: no such product"):
        check_products([tmp_path / f"{SLICE_1}.SAFE.zip"], TRACK)


def test_date_whose_products_were_not_checked_names_the_step(tmp_path):
    with pytest.raises(TableError, match=r"products\.json: no record of checked products.*s1_products"):
        open_products(tmp_path / "products.json")


def test_products_that_were_deleted_since_are_named_with_the_step_that_fetches_them(tmp_path):
    start = datetime(2018, 1, 3, tzinfo=UTC)
    path = tmp_path / f"{SLICE_1}.SAFE.zip"
    record = ProductRecord(SLICE_1, str(path), 1, "", "2.90", 1, 1, start, start)
    write_records(tmp_path / "products.json", [record])
    with pytest.raises(TableError, match=rf"{path}: no longer there; materialise s1_products"):
        open_products(tmp_path / "products.json")


def test_real_product_is_found_and_refused_for_its_missing_pixels(real_data, tmp_path):
    """The stored real products hold annotations without full-size measurements."""
    name = "S1B_IW_GRDH_1SDV_20210401T052623_20210401T052648_026269_032297_ECC8.SAFE.zip"
    if not (real_data / "safe" / name).exists():
        pytest.skip(f"no {name}")
    shutil.copy(real_data / "safe" / name, tmp_path)
    track = TrackSettings(relative_orbit=168)
    (found,) = list_folder(tmp_path, track).acquisitions
    product = Product.open(tmp_path / found.products[0])
    assert (product.platform, product.absolute_orbit) == (found.platform, found.absolute_orbit)
    assert abs((product.start - found.overpass).total_seconds()) < 1
    with pytest.raises(SafeError, match=name):
        check_products([tmp_path / name], track)
