from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
import shapely
from catalogue.passes import AREA, CUTS, corners, product, whole_pass, wkt
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from avalanche_assets.catalogue.completeness import MIN_SHARE, check_slices
from avalanche_assets.catalogue.interface import ProductOffer
from avalanche_assets.sentinel1.safe import SafeArchive

DAY = "2018-01-03"
FEW = settings(max_examples=40)


@st.composite
def cuts(draw, first=CUTS[0], last=CUTS[-1], most=6):
    """Borders of slices of at least four seconds."""
    inner = draw(st.lists(st.floats(first + 4, last - 4), max_size=most))
    borders = [first]
    borders += [cut for cut in sorted(inner) if cut - borders[-1] >= 4]
    kept = [first, *(cut for before, cut in pairwise(borders) if cut - before >= 4)]
    return [*kept, last]


@FEW
@given(cuts(), st.booleans(), st.randoms())
def test_any_slicing_of_a_strip_over_the_area_is_complete_in_any_order(borders, descending, random):
    slices = whole_pass(DAY, borders, descending=descending)
    random.shuffle(slices)
    found = check_slices(slices, AREA)
    assert (found.complete, found.reason) == (True, "")
    # Corners are rounded to six decimals, 0.1 m.
    assert found.covered_share == pytest.approx(1, abs=1e-5)


@FEW
@given(cuts(first=-18, last=10), st.data())
def test_strip_without_any_one_of_its_slices_is_incomplete(borders, data):
    """The strip ends inside the area's latitudes, so that each slice is needed."""
    area = (5.6, 44.6, 7.0, 46.1)
    assert check_slices(whole_pass(DAY, borders), area).complete
    slices = whole_pass(DAY, borders)
    if len(slices) == 1:
        return
    lost = data.draw(st.integers(0, len(slices) - 1))
    found = check_slices(slices[:lost] + slices[lost + 1 :], area)
    assert not found.complete
    expected = (
        "no slice north of" if lost == 0 else "no slice south of" if slices[lost] is slices[-1] else "gap of"
    )
    assert found.reason.startswith(expected)


@FEW
@given(
    st.sampled_from([(-40.0, 36.0), (-12.0, 36.0), (-40.0, 2.0), (-10.0, 3.0)]).flatmap(
        lambda ends: st.tuples(cuts(*ends), cuts(*ends))
    )
)
def test_slicing_again_changes_nothing(slicings):
    one, other = (check_slices(whole_pass(DAY, borders), AREA) for borders in slicings)
    assert one.complete == other.complete
    # Sides are chords between corners: 0.1 km off the curve in the middle of 170 km, 1 km in that of 500 km.
    assert one.covered_share == pytest.approx(other.covered_share, abs=2e-3)


def test_first_slice_not_delivered_is_told_in_words():
    found = check_slices(whole_pass(DAY)[1:], AREA)
    assert not found.complete
    assert found.reason == "no slice north of 46.0° N: about 7 s missing at the start"


def test_last_slice_not_delivered_is_told_in_words():
    found = check_slices(whole_pass(DAY)[:-1], AREA)
    assert found.reason == "no slice south of 44.5° N: about 11 s missing at the end"


def test_ascending_passes_start_in_the_south():
    slices = whole_pass(DAY, descending=True), whole_pass(DAY, (-36, -10, 15, 40), descending=False)
    assert all(check_slices(one, AREA).complete for one in slices)
    middle = check_slices(slices[1][1:2], AREA).reason
    south, north = middle.split("; ")
    assert south.startswith("no slice south of 44.5° N")
    assert south.endswith("missing at the start")
    assert north.startswith("no slice north of 46.0° N")
    assert north.endswith("missing at the end")


def test_missing_seconds_are_those_of_the_simulated_pass():
    """The area's far end is imaged at a known time."""
    first_s = -20.0
    top = corners(first_s, first_s + 1)[:2].mean(axis=0)
    area = (top[0] - 0.1, 44.8, top[0] + 0.1, top[1])
    found = check_slices([product(DAY, -5, 25)], area)
    said = float(found.reason.split("about ")[1].split(" s")[0])
    # The box is 16 km wide and its border lines slope by a tenth of that, 0.3 s; half a second of rounding.
    assert said == pytest.approx(15, abs=1)


def test_missing_slice_in_the_middle_is_a_gap_between_two_names():
    first, _, last = whole_pass(DAY)
    found = check_slices([last, first], AREA)
    assert found.reason == f"gap of 25 s between {first.name} and {last.name}"
    assert found.covered_share < 0.5


@pytest.mark.parametrize(("gap", "complete"), [(0.0015, True), (1.0, True), (1.001, False), (2.0, False)])
def test_slices_abut_to_the_second_that_names_carry(gap, complete):
    first, second, third = whole_pass(DAY)
    later = replace(second, start=second.start + timedelta(seconds=gap))
    assert check_slices([first, later, third], AREA).complete is complete
    assert check_slices([first, later, third], None).complete is complete


def test_pass_that_only_clips_the_area_is_complete_over_the_part_it_sees():
    wide = (2.0, 43.9, 12.0, 46.3)
    assert check_slices(whole_pass(DAY), wide).covered_share == pytest.approx(1, abs=1e-5)
    assert not check_slices(whole_pass(DAY)[1:], wide).complete


def test_pass_beside_the_area_is_incomplete():
    found = check_slices(whole_pass(DAY), (14.0, 43.9, 16.0, 46.3))
    assert (found.complete, found.reason) == (False, "the swath lies outside the area")


def local(area):
    """A box of degrees in metres around its centre, and the projection."""
    west, south, east, north = area
    crs = f"+proj=laea +lon_0={(west + east) / 2} +lat_0={(south + north) / 2}"
    project = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform
    return shapely.transform(
        shapely.segmentize(shapely.box(*area), 0.02), project, interleaved=False
    ), project


def truth(area, seen, whole=(-62.0, 62.0)) -> float:
    """Covered share with the sides where the simulated orbit has them, a corner every second."""
    box, project = local(area)

    def strip(first, last):
        times = np.linspace(first, last, round(last - first) + 1)
        sides = [corners(a, b) for a, b in pairwise(times)]
        near = [sides[0][0], *(side[3] for side in sides)]
        far = [sides[0][1], *(side[2] for side in sides)]
        return shapely.Polygon(np.column_stack(project(*np.array([*near, *far[::-1]]).T)))

    target = box.intersection(strip(*whole))
    return target.intersection(strip(*seen)).area / target.area


@pytest.mark.parametrize(
    ("area", "seen"),
    [
        (AREA, (-15.0, 36.0)),  # the first slice of three is missing
        (AREA, (-40.0, 10.0)),  # the last one
        ((3.0, 43.9, 9.0, 46.3), (-15.0, 10.0)),  # both, and both sides cross the area
        ((3.0, 42.8, 9.0, 47.4), (11.0, 36.0)),  # three and a half degrees are missing
    ],
)
def test_sides_are_extended_well_within_the_slack(area, seen):
    found = check_slices([product(DAY, *seen)], area)
    expected = truth(area, seen)
    # A fifth of the slack; sides curve by up to 4 km over four degrees, to the same side.
    assert found.covered_share == pytest.approx(expected, abs=(1 - MIN_SHARE) / 5)


def test_real_slice_foretells_where_its_neighbour_lies(real_data):
    """Ascending over southern Germany; both sides of the swath cross the area."""
    paths = sorted((real_data / "safe").glob("S1A_IW_GRDH_1SDV_20150222*.zip"))
    if len(paths) != 2:
        pytest.skip(f"no pair of slices in {real_data / 'safe'}")
    first, second = (SafeArchive.open(path).manifest for path in paths)
    area = (7.0, 49.3, 13.5, 51.6)
    offers = [
        ProductOffer(name, "S1A", 4739, item.start, item.stop, footprint=item.footprint)
        for name, item in (("first", first), ("second", second))
    ]
    box, project = local(area)
    one, both = (
        shapely.union_all(
            [shapely.transform(shapely.from_wkt(o.footprint), project, interleaved=False) for o in seen]
        )
        for seen in (offers[:1], offers)
    )
    expected = one.intersection(box).area / both.intersection(box).area
    assert check_slices(offers, area).complete
    # Its corners lie 0.6 and 0.7 km west of the extended sides, 230 km apart; along 120 km that is 0.1 %.
    assert check_slices(offers[:1], area).covered_share == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("footprint", ["", "POLYGON EMPTY", "no WKT", "POLYGON ((6 45, 6 45, 6 45, 6 45))"])
def test_coverage_without_footprint_is_not_checked_and_says_so(footprint):
    first, second, third = whole_pass(DAY)
    found = check_slices([first, replace(second, footprint=footprint), third], AREA)
    assert (found.complete, found.covered_share) == (True, None)
    assert found.reason == f"coverage of the area was not checked: no footprint of {second.name}"
    gap = check_slices([first, replace(third, footprint=footprint)], AREA)
    assert not gap.complete
    assert gap.reason.startswith("gap of 25 s")


def test_corners_in_any_order_and_as_multipolygon_are_one_footprint():
    crossed = corners(*CUTS[:2])[[0, 2, 1, 3]]
    first, *others = whole_pass(DAY)
    multi = "MULTIPOLYGON" + wkt(crossed).removeprefix("POLYGON ").join("()")
    for footprint in (wkt(crossed), multi):
        assert check_slices([replace(first, footprint=footprint), *others], AREA).complete


def test_corners_of_neighbours_that_differ_by_a_hundred_metres_leave_no_hole():
    first, second, third = whole_pass(DAY)
    apart = corners(*CUTS[1:3])
    apart[:2, 1] -= 0.001
    found = check_slices([first, replace(second, footprint=wkt(apart)), third], AREA)
    assert found.complete
    assert found.covered_share < 1


@pytest.mark.parametrize(("short_s", "complete"), [(0.1, True), (1.0, False)])
def test_slack_is_below_a_second(short_s, complete):
    west, south, east, _ = AREA
    # The north of the box is parallel to the border line, to see the slack alone.
    lower = corners(-20 + short_s, -19)[:2]
    area = (6.55, south, 6.65, float(np.interp(6.6, lower[::-1, 0], lower[::-1, 1])) + short_s * 0.0608)
    assert west < area[0] < east
    assert check_slices([product(DAY, -20 + short_s, 40)], area).complete is complete


def test_gap_in_footprints_of_abutting_slices_is_a_reason_of_its_own():
    first, second, third = whole_pass(DAY)
    shrunk = replace(second, footprint=wkt(corners(-10, 5)))
    found = check_slices([first, shrunk, third], AREA)
    assert not found.complete
    assert found.reason.startswith("only 7")
    assert found.reason.endswith("% of the area within the swath are covered")


def test_times_with_microseconds_and_footprints_of_other_platforms_do():
    start = datetime(2024, 6, 4, 11, 1, 0, 494767, tzinfo=UTC)
    real = ProductOffer(
        "S1A_IW_GRDH_1SDV_20240604T110100_20240604T110131_054172_069690_E33E.SAFE",
        "S1A",
        54172,
        start,
        datetime(2024, 6, 4, 11, 1, 31, 89640, tzinfo=UTC),
        footprint="POLYGON ((113.605408 -29.713636, 116.147186 -29.10652, 115.581909 -27.285719, "
        "113.080147 -27.882109, 113.605408 -29.713636))",
    )
    assert check_slices([real], (114.0, -29.0, 115.0, -28.5)).complete
    found = check_slices([real], (114.0, -29.0, 115.0, -27.0))
    # Ascending: the last slice of its data take ends at 27.5 degrees south there.
    assert found.reason == "no slice north of 27.5° S: about 11 s missing at the end"
