from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.inventory.interval_rules import INTERVAL_RULES, LABEL_RULE
from avalanche_assets.inventory.labels import (
    count_states,
    interval_costs,
    label_corridors,
)
from avalanche_assets.tables import AVALANCHE_EVENTS, CORRIDOR_LABELS, LABEL_STATES

START = datetime(2018, 1, 4, 5, 35, 12, 345678, tzinfo=UTC)
SIX_DAYS = timedelta(days=6)
INSTANT = timedelta(microseconds=1)


def acquisition(overpass: datetime) -> Acquisition:
    return Acquisition(overpass.date(), overpass, "S1A", 20000, "winter", "2017-18", "complete", ())


PREVIOUS, CURRENT = acquisition(START), acquisition(START + SIX_DAYS)


def corridors(**observed: bool) -> gpd.GeoDataFrame:
    return sites({name: ("watched", flag, None) for name, flag in observed.items()})


def sites(status: dict[str, tuple[str, bool, date | None]]) -> gpd.GeoDataFrame:
    """Corridors by observation, whether observed, and last day of that."""
    observation, observed, until = zip(*status.values(), strict=True)
    return gpd.GeoDataFrame(
        {
            "corridor_id": list(status),
            "observed": observed,
            "observation": observation,
            "observed_until": pd.Series(until, dtype=object),
        }
    )


def events(*intervals: tuple[datetime, datetime], corridor: str = "c") -> pa.Table:
    return pa.table(
        {
            "event_id": [f"e{i}" for i in range(len(intervals))],
            "corridor_id": pa.array([corridor] * len(intervals), pa.string()),
            "date_min": [first for first, _ in intervals],
            "date_max": [last for _, last in intervals],
            **{
                field.name: pa.nulls(len(intervals), field.type)
                for field in AVALANCHE_EVENTS
                if field.name.endswith("_m")
            },
        },
        AVALANCHE_EVENTS,
    )


def states(table: pa.Table, current=CURRENT, previous=PREVIOUS, days=30) -> tuple[str, str]:
    labels = label_corridors(corridors(c=True), table, current, previous, days)
    return labels.column("new")[0].as_py(), labels.column("recent")[0].as_py()


@pytest.mark.parametrize(
    ("first", "last", "state"),
    [
        (START + INSTANT, CURRENT.overpass, "positive"),  # fills the window to both ends
        (START, CURRENT.overpass, "ambiguous"),  # the open end belongs to the window before
        (START + INSTANT, CURRENT.overpass + INSTANT, "ambiguous"),
        (START - SIX_DAYS, CURRENT.overpass + SIX_DAYS, "ambiguous"),  # longer than the window
        (START - SIX_DAYS, START, "negative"),
        (START - SIX_DAYS, START + INSTANT, "ambiguous"),
        (CURRENT.overpass, CURRENT.overpass, "positive"),
        (START, START, "negative"),
        (CURRENT.overpass + INSTANT, CURRENT.overpass + SIX_DAYS, "negative"),
        (CURRENT.overpass, CURRENT.overpass + SIX_DAYS, "ambiguous"),
    ],
)
def test_new_window_is_open_at_the_previous_and_closed_at_the_current_overpass(first, last, state):
    assert states(events((first, last)))[0] == state


def test_recent_window_is_the_thirty_days_up_to_the_overpass():
    edge = CURRENT.overpass - timedelta(days=30)
    assert states(events((edge + INSTANT, edge + INSTANT)))[1] == "positive"
    assert states(events((edge, edge)))[1] == "negative"
    assert states(events((edge, edge + INSTANT)))[1] == "ambiguous"
    assert states(events((edge, edge)), days=31)[1] == "positive"


def test_day_interval_of_the_overpass_day_is_ambiguous():
    # the pass is at 05:35 UTC; an event of that day may have come after it
    midnight = datetime(2018, 1, 9, 23, tzinfo=UTC)
    assert states(events((midnight, midnight + timedelta(days=1))))[0] == "ambiguous"


def test_most_certain_of_several_events_counts():
    sure = (START + INSTANT, CURRENT.overpass)
    maybe = (START - SIX_DAYS, CURRENT.overpass)
    never = (START - SIX_DAYS, START - SIX_DAYS)
    assert states(events(never, maybe, sure))[0] == "positive"
    assert states(events(sure, never))[0] == "positive"
    assert states(events(maybe, never))[0] == "ambiguous"


def test_unobserved_corridor_stays_unobserved_whatever_is_recorded():
    labels = label_corridors(
        corridors(c=False), events((CURRENT.overpass, CURRENT.overpass)), CURRENT, PREVIOUS, 30
    )
    assert labels.select(["new", "recent", "event_ids"]).to_pylist() == [
        {"new": "unobserved", "recent": "unobserved", "event_ids": []}
    ]


def test_date_without_previous_has_no_new_window():
    labels = label_corridors(
        corridors(c=True), events((CURRENT.overpass, CURRENT.overpass)), CURRENT, None, 30
    )
    assert labels.to_pylist() == [
        {
            "corridor_id": "c",
            "acquisition_date": CURRENT.date,
            "previous_date": None,
            "new": "unobserved",
            "recent": "positive",
            "event_ids": ["e0"],
        }
    ]


def test_table_follows_the_corridors_and_names_deciding_events():
    table = events(
        (START + INSTANT, CURRENT.overpass),  # new and recent
        (START - SIX_DAYS, START),  # recent only
        (START, CURRENT.overpass),  # new ambiguous, recent positive
        (CURRENT.overpass, CURRENT.overpass + SIX_DAYS),  # decides nothing
        corridor="b",
    )
    labels = label_corridors(corridors(a=True, b=True, z=False), table, CURRENT, PREVIOUS, 30)
    assert labels.schema.equals(CORRIDOR_LABELS)
    assert labels.column("corridor_id").to_pylist() == ["a", "b", "z"]
    assert labels.column("new").to_pylist() == ["negative", "positive", "unobserved"]
    assert labels.column("event_ids").to_pylist() == [[], ["e0", "e1", "e2"], []]
    assert labels.column("previous_date").to_pylist() == [PREVIOUS.date] * 3


def test_events_of_corridors_off_the_map_do_not_matter():
    table = events((CURRENT.overpass, CURRENT.overpass), corridor="elsewhere")
    assert states(table) == ("negative", "negative")


def test_overpass_in_another_time_zone_is_the_same_instant():
    shifted = START.astimezone(tz=datetime.fromisoformat("2018-01-01T00:00+05:00").tzinfo)
    assert states(events((START, START)), previous=acquisition(shifted)) == ("negative", "positive")


def test_counts_name_every_window_and_state():
    labels = label_corridors(corridors(a=True, b=True, z=False), events(corridor="a"), CURRENT, PREVIOUS, 30)
    counts = count_states(labels)
    assert counts["new negative"] == counts["recent negative"] == 2
    assert counts["new unobserved"] == 1
    assert counts["new positive"] == 0
    assert set(counts) == {f"{window} {state}" for window in ("new", "recent") for state in LABEL_STATES}


SEASON = [START + SIX_DAYS * i for i in (0, 1, 2, 4, 5, 6, 9)]  # with gaps of 12 and 18 days
inside_season = st.integers(1, int((SEASON[-1] - SEASON[0]) / INSTANT)).map(lambda us: START + INSTANT * us)


def new_states(interval, shift=timedelta(0)) -> list[str]:
    passes = [acquisition(overpass + shift) for overpass in SEASON]
    table = events((interval[0] + shift, interval[1] + shift))
    return [states(table, current, previous)[0] for previous, current in pairwise(passes)]


@given(inside_season)
def test_event_with_exact_time_is_new_at_exactly_one_date(instant):
    found = new_states((instant, instant))
    assert found.count("positive") == 1
    assert found.count("negative") == len(found) - 1


@given(st.sampled_from(range(1, len(SEASON))), st.sampled_from([-1, 0, 1]))
def test_exact_times_at_an_overpass_belong_to_the_window_they_close(i, microseconds):
    instant = SEASON[i] + INSTANT * microseconds
    expected = i if microseconds > 0 else i - 1
    found = new_states((instant, instant))
    if expected < len(found):
        assert found[expected] == "positive"
    assert found.count("positive") == (expected < len(found))


@given(st.lists(inside_season, min_size=2, max_size=2).map(sorted))
def test_interval_is_either_new_once_or_ambiguous_at_consecutive_dates(interval):
    found = new_states(interval)
    touched = [i for i, state in enumerate(found) if state != "negative"]
    assert touched == list(range(touched[0], touched[-1] + 1))
    if len(touched) == 1:
        assert found[touched[0]] == "positive"
    else:
        assert {found[i] for i in touched} == {"ambiguous"}


@given(
    st.lists(inside_season, min_size=2, max_size=2).map(sorted),
    st.timedeltas(timedelta(days=-900), timedelta(days=900)),
)
def test_labels_do_not_depend_on_where_in_time_the_season_lies(interval, shift):
    assert new_states(interval, shift) == new_states(interval)


@given(st.lists(inside_season, min_size=2, max_size=2).map(sorted), st.integers(0, 5))
def test_new_is_never_more_certain_than_a_recent_window_that_holds_it(interval, i):
    certainty = {"negative": 0, "ambiguous": 1, "positive": 2}
    new, recent = states(events(interval), acquisition(SEASON[i + 1]), acquisition(SEASON[i]))
    assert certainty[recent] >= certainty[new]


def test_silence_of_a_site_that_is_hard_to_observe_says_nothing():
    hard = sites({"c": ("hard to observe", True, None)})

    def state(*interval: datetime) -> str:
        return label_corridors(hard, events(interval), CURRENT, PREVIOUS, 30)["new"][0].as_py()

    assert state(START - SIX_DAYS, START - SIX_DAYS) == "unobserved"
    assert state(START, CURRENT.overpass) == "ambiguous"
    assert state(CURRENT.overpass, CURRENT.overpass) == "positive"


def test_ended_site_counts_up_to_its_last_day():
    day = CURRENT.date
    ended = {f"c{i}": ("ended", True, day + timedelta(days=i - 1)) for i in range(3)}
    labels = label_corridors(sites(ended), events(), CURRENT, PREVIOUS, 30)
    assert labels["new"].to_pylist() == ["unobserved", "negative", "negative"]
    assert labels["recent"].to_pylist() == ["unobserved", "negative", "negative"]


def by_rule(table, passes, window="new", days=30):
    costs = interval_costs(corridors(c=True), table, passes, days)
    return {cost.rule: cost.states for cost in costs if cost.window == window}


@pytest.mark.parametrize(
    ("rule", "first_h", "last_h", "state"),
    [
        # hours after the previous overpass, which is at 06:35 local time; the window has 144 hours
        ("any overlap", -100, 1, "positive"),
        ("any overlap", -100, 0, "negative"),
        ("earliest instant", 1, 400, "positive"),
        ("earliest instant", 0, 1, "negative"),
        ("middle", -99, 101, "positive"),
        ("middle", -101, 99, "negative"),
        ("latest instant", -400, 144, "positive"),
        ("latest instant", 100, 145, "negative"),
        ("inside, by days instead of overpass times", 18, 161, "positive"),
        ("inside, by days instead of overpass times", 17, 100, "ambiguous"),
        ("inside, by days instead of overpass times", 100, 162, "ambiguous"),
        ("inside, at most 1 day long", 10, 35, "positive"),
        ("inside, at most 1 day long", 10, 36, "ambiguous"),
        ("inside, at most 3 days long", 10, 83, "positive"),
        ("inside, at most 3 days long", 10, 84, "ambiguous"),
    ],
)
def test_interval_rules(rule, first_h, last_h, state):
    table = events((START + timedelta(hours=first_h), START + timedelta(hours=last_h)))
    assert by_rule(table, [(PREVIOUS, CURRENT)])[rule][state] == 1


def test_table_of_rules_adds_up_over_dates_and_counts_against_the_label():
    table = events((START + INSTANT, CURRENT.overpass), (START, CURRENT.overpass), corridor="c")
    table = table.set_column(1, "corridor_id", pa.array(["a", "b"]))
    after = acquisition(CURRENT.overpass + SIX_DAYS)
    costs = interval_costs(
        corridors(a=True, b=True, z=False), table, [(PREVIOUS, CURRENT), (CURRENT, after), (None, after)], 30
    )
    assert len(costs) == 2 * len(INTERVAL_RULES)
    found = {(cost.window, cost.rule): cost for cost in costs}
    assert found["new", LABEL_RULE].states == {
        "positive": 1,
        "ambiguous": 1,
        "negative": 2,
        "unobserved": 5,  # z at three dates, a and b where there is no previous date
    }
    assert found["new", "any overlap"].positives_gained == 1
    assert found["new", "inside, at most 1 day long"].positives_gained == -1
    assert found["recent", LABEL_RULE].states["positive"] == 6


def test_rule_of_the_label_counts_what_labels_say():
    random = np.random.default_rng(3)
    hours = np.stack([random.uniform(-200, 300, 60), random.exponential(60, 60)], axis=1)
    table = events(*((START + timedelta(hours=a), START + timedelta(hours=a + b)) for a, b in hours.tolist()))
    names = [f"c{i % 20}" for i in range(60)]
    table = table.set_column(1, "corridor_id", pa.array(names))
    frame = corridors(**{f"c{i}": i % 7 != 0 for i in range(20)})
    counted = count_states(label_corridors(frame, table, CURRENT, PREVIOUS, 30))
    for cost in interval_costs(frame, table, [(PREVIOUS, CURRENT)], 30):
        if cost.rule == LABEL_RULE:
            assert {
                f"{cost.window} {state}": n for state, n in cost.states.items()
            }.items() <= counted.items()


@settings(max_examples=40, deadline=None)
@given(st.lists(inside_season, min_size=2, max_size=2).map(sorted), st.integers(0, 5))
def test_lenient_and_strict_rules_enclose_the_label(interval, i):
    passes = [(acquisition(SEASON[i]), acquisition(SEASON[i + 1]))]
    found = by_rule(events(interval), passes)
    label = found[LABEL_RULE]
    assert found["any overlap"]["positive"] == label["positive"] + label["ambiguous"]
    for rule in ("earliest instant", "middle", "latest instant"):
        assert label["positive"] <= found[rule]["positive"] <= found["any overlap"]["positive"]
    lengths = [found[f"inside, at most {n} long"]["positive"] for n in ("1 day", "3 days", "6 days")]
    assert lengths == sorted(lengths)
    assert lengths[-1] <= label["positive"]
    assert all(
        found[f"inside, at most {n} long"]["negative"] == label["negative"] for n in ("1 day", "6 days")
    )


@settings(max_examples=40, deadline=None)
@given(inside_season, st.integers(0, 5))
def test_all_rules_by_time_agree_on_an_exact_instant(instant, i):
    passes = [(acquisition(SEASON[i]), acquisition(SEASON[i + 1]))]
    found = by_rule(events((instant, instant)), passes)
    by_time = [states for rule, states in found.items() if "by days" not in rule]
    assert all(states == by_time[0] for states in by_time)
