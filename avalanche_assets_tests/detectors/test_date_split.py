"""The split by date: leak-free, complete, deterministic."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avalanche_assets.detectors.split import date_split
from avalanche_assets.errors import DetectorError
from avalanche_assets.settings import LearningSettings


def days(count):
    return [date(2017, 12, 22) + timedelta(days=6 * index) for index in range(count)]


def roles(count, **changes):
    return date_split(days(count), LearningSettings(**changes)).column("role").to_pylist()


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


def test_order_of_the_input_does_not_matter():
    defaults = LearningSettings()
    assert date_split(days(19)[::-1], defaults).equals(date_split(days(19), defaults))


def test_impossible_splits_name_the_setting():
    with pytest.raises(DetectorError, match=r"4 dates .* at least 5 .* learning.gap_dates"):
        date_split(days(4), LearningSettings())
