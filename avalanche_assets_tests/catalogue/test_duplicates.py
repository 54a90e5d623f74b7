import logging
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_source import list_folder

from avalanche_assets.catalogue.duplicates import resolve_duplicates
from avalanche_assets.catalogue.interface import ProductOffer

BEGIN = datetime(2023, 12, 7, 6, 46, 44, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def overlapping(offers) -> set[str]:
    """Names of the products that overlap some other one."""
    return {one.name for pair in permutations(offers, 2) if pair[0].overlaps(pair[1]) for one in pair}


def product(name="a", first=0, seconds=25, **fields) -> ProductOffer:
    return ProductOffer(name, "S1A", 51531, at(first), at(first + seconds), **fields)


OLD, NEW = at(3600), at(400 * 86400)


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [
        # Each merit decides against all that come after it.
        (
            product("z", cog=True),
            product("a", slice_number=6, processed=NEW, ipf_version=(3, 9), damage="not a complete zip"),
            "cannot be read (not a complete zip)",
        ),
        (
            product("z", slice_number=6, cog=True, processed=OLD, ipf_version=(2, 84)),
            product("a", slice_number=0, processed=NEW, ipf_version=(3, 71)),
            "slice number 0, not of the regular slicing",
        ),
        (
            product("z", slice_number=6, cog=True, processed=NEW, ipf_version=(2, 84)),
            product("a", slice_number=6, processed=OLD, ipf_version=(3, 71)),
            "processed 2023-12-07 07:46:44, the other 2025-01-10 06:46:44",
        ),
        (
            product("z", slice_number=6, cog=True, ipf_version=(3, 71)),
            product("a", slice_number=6, ipf_version=(2, 84)),
            "processor version (2, 84), the other (3, 71)",
        ),
        (product("z"), product("a", cog=True), "cloud-optimised twin"),
        (product("a"), product("z"), "the same product, later by name"),
    ],
)
def test_first_merit_that_differs_decides(better, worse, reason):
    for offered in permutations([better, worse]):
        kept, (dropped,) = resolve_duplicates(offered)
        assert kept == [better]
        assert (dropped.name, dropped.kept) == (worse.name, better.name)
        assert reason in dropped.reason


def test_fast_slices_with_other_boundaries_give_way_to_regular_ones():
    """Real case: T064644 with slice number 0 beside T064649 with slice number 6."""
    fast = [product(f"fast{i}", 31 * i, 31, slice_number=0, processed=NEW) for i in range(2)]
    regular = [product(f"regular{i}", 5 + 25 * i, slice_number=6 + i, processed=OLD) for i in range(3)]
    kept, dropped = resolve_duplicates([*fast, *regular])
    assert kept == regular
    assert [item.name for item in dropped] == ["fast0", "fast1"]


@pytest.mark.parametrize("shared", [-1, 0, 1, 2])
def test_slices_whose_whole_seconds_touch_are_no_duplicates(shared):
    slices = [product("a"), product("b", 25 - shared)]
    assert resolve_duplicates(slices) == (slices, [])
    assert overlapping(slices) == set()


def test_three_shared_seconds_are_an_overlap():
    assert overlapping([product("a"), product("b", 22)]) == {"a", "b"}


def test_other_orbits_never_compete():
    both = [
        product("a"),
        replace(product("b"), absolute_orbit=51532),
        replace(product("c"), platform="S1B"),
    ]
    assert resolve_duplicates(both) == (both, [])


@st.composite
def folders(draw):
    count = draw(st.integers(0, 8))
    return [
        ProductOffer(
            f"p{index}",
            draw(st.sampled_from(["S1A", "S1B"])),
            1,
            at(first := draw(st.integers(0, 60))),
            at(first + draw(st.integers(1, 32))),
            cog=draw(st.booleans()),
            slice_number=draw(st.sampled_from([None, 0, 1, 2])),
            processed=draw(st.sampled_from([None, OLD, NEW])),
            ipf_version=draw(st.sampled_from([(0, 0), (2, 84), (3, 71)])),
            published=draw(st.sampled_from([None, OLD, NEW])),
            damage=draw(st.sampled_from(["", "damaged"])),
        )
        for index in range(count)
    ]


@given(folders(), st.randoms())
def test_resolution_is_independent_of_order_complete_and_final(offered, random):
    kept, dropped = resolve_duplicates(offered)
    shuffled = list(offered)
    random.shuffle(shuffled)
    assert resolve_duplicates(shuffled) == (kept, dropped)
    assert resolve_duplicates(kept) == (kept, [])
    assert overlapping(kept) == set()
    # Nothing is lost: each is kept, or overlaps the kept one that it is said to have lost against.
    assert sorted([item.name for item in (*kept, *dropped)]) == sorted(item.name for item in offered)
    by_name = {item.name: item for item in offered}
    for item in dropped:
        assert item.reason
        assert by_name[item.kept] in kept
        assert by_name[item.kept].overlaps(by_name[item.name])
    # One that no other overlaps is always kept.
    assert {item.name for item in offered} - overlapping(offered) <= {item.name for item in kept}


# In a folder

STEM = "S1A_IW_GRDH_1SDV_20180103T0543{:02d}_20180103T0543{:02d}_019986_0220F0_{}"
FIRST, SECOND = STEM.format(1, 26, "1A2B"), STEM.format(26, 51, "3C4D")


def write_manifest(
    folder, name, slice_number=1, processed="2018-01-03T08:00:00", ipf="002.84", cogified=False
):
    """As much of a product as the catalogue reads."""
    number = "" if slice_number is None else f"<sliceNumber>{slice_number}</sliceNumber>"
    run = (
        f'<processing name="GRD Post Processing" stop="{processed}"><facility>'
        f'<software name="Sentinel-1 IPF" version="{ipf}"/></facility></processing>'
    )
    if cogified:
        tool = '<facility><software name="COGifier" version="1.0"/></facility>'
        run = f'<processing stop="2024-06-01T00:00:00">{tool}<resource>{run}</resource></processing>'
    instants = [part[-2:] for part in name.split("_") if part.startswith("20180103T0543")]
    start, stop = (f"2018-01-03T05:43:{second}" for second in instants or ("01", "26"))
    (folder / name).mkdir()
    (folder / name / "manifest.safe").write_text(
        f"<XFDU>{run}<platform><number>A</number><instrumentMode><mode>IW</mode></instrumentMode></platform>"
        "<orbitReference><orbitNumber>19986</orbitNumber><relativeOrbitNumber>139</relativeOrbitNumber>"
        "<pass>DESCENDING</pass></orbitReference><standAloneProductInformation>"
        f"<missionDataTakeID>139504</missionDataTakeID>{number}<productType>GRD</productType>"
        f"</standAloneProductInformation><acquisitionPeriod><startTime>{start}</startTime>"
        f"<stopTime>{stop}</stopTime></acquisitionPeriod></XFDU>"
    )


def names(folder):
    listing = list_folder(folder)
    (found,) = listing.acquisitions
    assert found.complete
    return found.products, {item.name: item.reason for item in listing.dropped}


def test_cog_twin_of_a_classic_product_is_dropped_and_one_without_classic_is_used(tmp_path, caplog):
    write_manifest(tmp_path, f"{FIRST}.SAFE")
    twin = FIRST[:-4] + "9F00_COG.SAFE"
    write_manifest(tmp_path, twin, cogified=True)
    (tmp_path / f"{SECOND[:-4]}AAAA_COG.SAFE.zip").touch()
    with caplog.at_level(logging.WARNING):
        kept, dropped = names(tmp_path)
    assert kept == (f"{FIRST}.SAFE", f"{SECOND[:-4]}AAAA_COG.SAFE.zip")
    assert dropped == {twin: "cloud-optimised twin of a classic product"}
    assert f"{twin} passed over for {FIRST}.SAFE: cloud-optimised twin" in caplog.text


def test_reprocessed_product_is_preferred_to_the_first_edition(tmp_path):
    again = FIRST[:-4] + "0000"
    write_manifest(tmp_path, f"{FIRST}.SAFE")
    write_manifest(tmp_path, f"{again}.SAFE", processed="2024-09-30T11:22:33.5")
    kept, dropped = names(tmp_path)
    assert kept == (f"{again}.SAFE",)
    assert dropped[f"{FIRST}.SAFE"].startswith("processed 2018-01-03 08:00:00, the other 2024-09-30 11:22:33")


def test_fast_slice_is_dropped_for_regular_ones(tmp_path):
    fast = STEM.format(6, 36, "0000")
    write_manifest(tmp_path, f"{fast}.SAFE", slice_number=0, processed="2024-09-30T11:22:33")
    write_manifest(tmp_path, f"{FIRST}.SAFE", slice_number=6)
    write_manifest(tmp_path, f"{SECOND}.SAFE", slice_number=7)
    kept, dropped = names(tmp_path)
    assert kept == (f"{FIRST}.SAFE", f"{SECOND}.SAFE")
    assert list(dropped) == [f"{fast}.SAFE"]


def test_damaged_zip_loses_to_the_folder_beside_it_and_the_other_way_round(tmp_path):
    (tmp_path / f"{FIRST}.SAFE.zip").write_bytes(b"PK\x03\x04 truncated")
    write_manifest(tmp_path, f"{FIRST}.SAFE")
    kept, dropped = names(tmp_path)
    assert kept == (f"{FIRST}.SAFE",)
    assert "not a complete zip" in dropped[f"{FIRST}.SAFE.zip"]
    shutil.make_archive(str(tmp_path / f"{FIRST}.SAFE"), "zip", tmp_path, f"{FIRST}.SAFE")
    (tmp_path / f"{FIRST}.SAFE" / "manifest.safe").unlink()
    kept, dropped = names(tmp_path)
    assert kept == (f"{FIRST}.SAFE.zip",)
    assert "manifest.safe is missing" in dropped[f"{FIRST}.SAFE"]


def test_products_that_do_not_overlap_are_not_opened(tmp_path):
    """Empty files would not survive being opened."""
    for name in (FIRST, SECOND):
        (tmp_path / f"{name}.SAFE.zip").touch()
    assert names(tmp_path) == ((f"{FIRST}.SAFE.zip", f"{SECOND}.SAFE.zip"), {})


def test_four_slices_are_one_acquisition(tmp_path):
    slices = [
        "S1A_IW_GRDH_1SDV_20180103T054301_20180103T054326_019986_0220F0_1A2B.SAFE.zip",
        "S1A_IW_GRDH_1SDV_20180103T054326_20180103T054351_019986_0220F0_3C4D.SAFE.zip",
        "S1A_IW_GRDH_1SDV_20180103T054351_20180103T054416_019986_0220F0_5E6F.SAFE.zip",
        "S1A_IW_GRDH_1SDV_20180103T054416_20180103T054441_019986_0220F0_7081.SAFE.zip",
    ]
    for name in reversed(slices):
        (tmp_path / name).touch()
    assert names(tmp_path) == (tuple(slices), {})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (1, datetime(2018, 1, 3, 8, tzinfo=UTC))),
        ({"slice_number": None, "processed": "soon"}, (None, None)),
    ],
)
def test_manifest_tells_slice_and_end_of_processing(tmp_path, fields, expected):
    from avalanche_assets.sentinel1.safe import SafeArchive

    write_manifest(tmp_path, "one.SAFE", **fields, cogified=True)
    manifest = SafeArchive.open(tmp_path / "one.SAFE").manifest
    assert (manifest.slice_number, manifest.processed) == expected
