"""The split by date, massif or both: leak-free, complete, deterministic, with positives where they can be."""

from datetime import date, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avalanche_assets.detectors.split import (
    date_roles,
    dates_of,
    sample_roles,
    separating_gap,
    shared_windows,
    split_samples,
)
from avalanche_assets.errors import DetectorError
from avalanche_assets.settings import LearningSettings


def days(count):
    return [date(2017, 12, 22) + timedelta(days=6 * index) for index in range(count)]


def roles(count, **changes):
    settings = LearningSettings(**changes)
    return list(date_roles(days(count), settings, settings.gap_dates).values())


SPLITS = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(0, 3))


@settings(deadline=None)
@given(st.integers(11, 40), SPLITS)
def test_every_date_has_one_role_and_held_out_dates_keep_their_distance(count, sizes):
    test, validation, gap = sizes
    found = roles(count, test_dates=test, validation_dates=validation, gap_dates=gap)
    assert len(found) == count
    held = [(index, role) for index, role in enumerate(found) if role != "gap"]
    for (index, role), (next_index, next_role) in pairwise(held):
        assert role == next_role or next_index - index > gap


@settings(deadline=None)
@given(st.integers(11, 40), SPLITS)
def test_every_role_is_present_and_never_larger_than_asked(count, sizes):
    test, validation, gap = sizes
    found = roles(count, test_dates=test, validation_dates=validation, gap_dates=gap)
    assert 1 <= found.count("test") <= test
    assert 1 <= found.count("validation") <= validation
    assert found.count("train") >= 1


@pytest.mark.parametrize("count", [19, 20, 21])
def test_season_of_2017_18_keeps_the_numbers_asked_for_at_two_places(count):
    found = roles(count)
    assert (found.count("test"), found.count("validation")) == (3, 2)
    assert found.count("train") >= 8
    validation = [index for index, role in enumerate(found) if role == "validation"]
    assert validation[0] < count / 2 < validation[-1]
    assert found[0] == found[-1] == "train"


def test_the_split_of_21_dates_as_documented():
    letters = "".join(role[0] if role != "train" else "." for role in roles(21))
    assert letters == "...gvgttg...gvgtg...."


def test_too_few_dates_shrink_the_held_out_dates():
    assert roles(7, test_dates=3, validation_dates=3).count("test") == 1
    assert roles(5) == ["train", "gap", "validation", "gap", "test"]


PATCH_M = 1280.0
SEASON = days(21)
PREVIOUS = dict(zip(SEASON, [SEASON[0] - timedelta(days=6), *SEASON], strict=False))


def corridors(massifs=8, each=6):
    """Massifs 20 km apart on a line, their corridors 2 km apart."""
    place = [(m, c) for m in range(massifs) for c in range(each)]
    return pd.DataFrame(
        {
            "corridor_id": [f"{m:02d}{c:03d}" for m, c in place],
            "massif_id": [m for m, _ in place],
            "deposit_x": [20_000.0 * m + 2_000.0 * c for m, c in place],
            "deposit_y": 0.0,
        }
    )


def positives(*pairs):
    """Positive pairs from (index of the date, corridor id)."""
    return pd.DataFrame(
        {
            "acquisition_date": pd.Series([SEASON[day] for day, _ in pairs], dtype=object),
            "corridor_id": pd.Series([name for _, name in pairs], dtype=object),
        }
    )


def split(found=None, known=None, gap=1, **changes):
    known = corridors() if known is None else known
    found = positives() if found is None else found
    return split_samples(SEASON, known, found, LearningSettings(**changes), gap, PATCH_M)


def leaks(table, window, recent_days=30):
    """Pairs of two roles that share an instant of a label window, a picture or pixels; by brute force."""
    rows = [row for row in table.to_pylist() if row["role"] != "gap"]
    found = []
    for index, one in enumerate(rows):
        for other in rows[index + 1 :]:
            if one["role"] == other["role"] or one["corridor_id"] != other["corridor_id"]:
                continue
            first, second = one["acquisition_date"], other["acquisition_date"]
            day = timedelta(days=1)
            spans = [
                {(day_ - offset * day) for offset in range(reach)}
                for day_, reach in (
                    (first, (first - PREVIOUS[first]).days if window == "new" else recent_days),
                    (second, (second - PREVIOUS[second]).days if window == "new" else recent_days),
                )
            ]
            pictures = {first, PREVIOUS[first]} & {second, PREVIOUS[second]}
            if spans[0] & spans[1] or pictures:
                found.append((one, other))
    return found


@pytest.mark.parametrize("split_by", ["date", "massif", "both"])
@pytest.mark.parametrize("window", ["new", "recent"])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_pair_shares_a_label_window_or_a_picture_with_another_role(split_by, window, seed):
    gap = separating_gap(SEASON, 1, window, 30)
    assert gap == (1 if window == "new" else 4)
    small = corridors(massifs=5, each=1)
    found = positives((seed, "00000"), (12, "02000"))
    table = split(found, small, gap, split_by=split_by, seed=seed, test_massifs=1, validation_massifs=1)
    assert {"train", "validation", "test"} <= set(table["role"].to_pylist())
    assert leaks(table, window) == []
    assert shared_windows(table, PREVIOUS, window, 30) == 0
    assert table.num_rows == len(SEASON) * 5


def test_a_gap_for_new_windows_shares_recent_ones_and_the_count_says_so():
    small = corridors(massifs=3, each=1)
    table = split(known=small)
    assert shared_windows(table, PREVIOUS, "recent", 30) == len(leaks(table, "recent")) > 0
    touching = split(known=small, gap=0)
    # each border between two roles: dates next to each other share a picture
    assert shared_windows(touching, PREVIOUS, "new", 30) == len(leaks(touching, "new")) > 0


def test_windows_that_end_where_another_begins_do_not_overlap():
    every_ten = [SEASON[0] + timedelta(days=10 * index) for index in range(12)]
    assert separating_gap(every_ten, 0, "recent", 30) == 2
    assert separating_gap(every_ten, 0, "recent", 31) == 3
    assert separating_gap(every_ten, 5, "recent", 31) == 5


def test_held_out_dates_move_to_where_the_positives_are():
    # the documented split trains on the first two and the last four dates
    found = positives((0, "00000"), (1, "00001"), (2, "00000"), (18, "01000"), (19, "01001"), (20, "02000"))
    documented = date_roles(SEASON, LearningSettings(), 1)
    assert {documented[day] for day in found["acquisition_date"]} == {"train"}
    table = split(found)
    keys = found["acquisition_date"].tolist(), found["corridor_id"].tolist()
    assert set(sample_roles(table, *keys)) >= {"train", "validation", "test"}
    assert leaks(split(found, corridors(massifs=3, each=1)), "new") == []


def test_the_documented_split_stays_where_it_holds_positives_or_nothing_can():
    expected = date_roles(SEASON, LearningSettings(), 1)
    held = {
        role: SEASON.index(next(day for day in SEASON if expected[day] == role))
        for role in set(expected.values())
    }
    for found in (positives(*((day, "00000") for day in held.values())), positives()):
        rows = split(found).to_pylist()
        assert {row["acquisition_date"]: row["role"] for row in rows} == expected


@pytest.mark.parametrize("split_by", ["massif", "both"])
def test_massifs_are_held_out_whole_and_hold_positives(split_by):
    found = positives(*((day, name) for day in range(21) for name in ("01002", "04003", "06001")))
    table = split(found, split_by=split_by, test_massifs=2, validation_massifs=2)
    rows = table.to_pandas()
    rows["massif"] = rows["corridor_id"].str[:2]
    used = rows[rows["role"] != "gap"]
    assert used.groupby("massif")["role"].nunique().max() == 1
    assert used.groupby("role")["massif"].nunique().to_dict() == {"train": 4, "validation": 2, "test": 2}
    keys = found["acquisition_date"].tolist(), found["corridor_id"].tolist()
    assert set(sample_roles(table, *keys)) >= {"train", "validation", "test"}
    if split_by == "both":
        assert used.groupby("acquisition_date")["role"].nunique().max() == 1


def test_corridors_whose_patches_reach_over_a_massif_s_border_are_left_out():
    known = corridors(massifs=3, each=2)
    # massifs 0 and 1 touch: 1,279 m are less than a patch, 1,281 m are not
    known.loc[known["corridor_id"] == "00001", "deposit_x"] = 20_000.0 - 1_279.0
    known.loc[known["corridor_id"] == "00000", "deposit_x"] = 20_000.0 - 1_281.0
    table = split(known=known, split_by="massif", test_massifs=1, validation_massifs=1)
    role = dict(zip(table["corridor_id"].to_pylist(), table["role"].to_pylist(), strict=True))
    pair = {"00001", "01000"}
    left_out = {name for name in role if role[name] == "gap"}
    assert len(left_out) == 1 < len(left_out | pair)
    assert left_out < pair
    rank = ["train", "validation", "test"].index
    kept = (pair - left_out).pop()
    assert rank(role[kept]) > rank(role["00000" if left_out == {"00001"} else "01001"])


def test_seed_decides_which_massifs_are_held_out():
    tables = [split(split_by="massif", seed=seed) for seed in (1, 1, 2)]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])


def test_pairs_the_split_does_not_know_have_no_role():
    table = split()
    assert sample_roles(table, [SEASON[0]], ["unknown"]).tolist() == ["gap"]
    assert sample_roles(table, [date(1999, 1, 1)], ["00000"]).tolist() == ["gap"]
    assert dates_of(table, "validation", "test") == [
        day
        for day, role in date_roles(SEASON, LearningSettings(), 1).items()
        if role in ("validation", "test")
    ]


def test_order_of_the_input_does_not_matter():
    shuffled = corridors().sample(frac=1.0, random_state=1)
    backwards = split_samples(SEASON[::-1], shuffled, positives(), LearningSettings(), 1, PATCH_M)
    assert backwards.equals(split())


def test_impossible_splits_name_the_setting():
    with pytest.raises(DetectorError, match=r"4 dates .* at least 5 .* learning.gap_dates"):
        date_roles(days(4), LearningSettings(), 1)
    with pytest.raises(DetectorError, match=r"2 massifs, learning.split_by = 'massif' needs 3"):
        split(known=corridors(massifs=2), split_by="massif")
