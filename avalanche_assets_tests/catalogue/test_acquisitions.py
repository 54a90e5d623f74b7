from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avalanche_assets.catalogue.acquisitions import (
    FIELDS,
    Acquisition,
    AcquisitionCatalogue,
    read_catalogue,
    roles_by_month,
    season_of,
    write_catalogue,
)
from avalanche_assets.errors import CatalogueError


def acquisition(day: str, role: str = "winter", season: str | None = None) -> Acquisition:
    parsed = date.fromisoformat(day)
    return Acquisition(
        parsed,
        datetime(parsed.year, parsed.month, parsed.day, 5, 35, 12, 345678, tzinfo=UTC),
        "S1A",
        20011,
        role,
        season or season_of(parsed),
        "complete",
        (f"S1A_{day}_1.zip", f"S1A_{day}_2.zip"),
        version="0123456789ab",
        size_bytes=3_600_000_000,
    )


def catalogue(*items: Acquisition, max_gap_days: int = 24) -> AcquisitionCatalogue:
    return AcquisitionCatalogue(items, max_gap_days)


def previous(of: str, *items: Acquisition, max_gap_days: int = 24) -> str | None:
    found = catalogue(*items, max_gap_days=max_gap_days).previous(of)
    return str(found.date) if found else None


def test_previous_is_the_latest_earlier_date_whatever_the_step():
    days = [acquisition(day) for day in ("2017-12-05", "2017-12-17", "2017-12-23")]
    assert previous("2017-12-17", *days) == "2017-12-05"
    assert previous("2017-12-23", *days) == "2017-12-17"
    assert previous("2017-12-05", *days) is None


@pytest.mark.parametrize(("gap", "expected"), [(12, "2017-12-05"), (11, None)])
def test_previous_lies_within_the_maximum_gap(gap, expected):
    days = [acquisition("2017-12-05"), acquisition("2017-12-17")]
    assert previous("2017-12-17", *days, max_gap_days=gap) == expected


def test_previous_stays_inside_the_season_and_skips_snow_free_dates():
    days = [
        acquisition("2018-07-28", season="2017-18"),
        acquisition("2018-08-03", role="reference"),
        acquisition("2018-08-09"),
        acquisition("2018-08-15"),
    ]
    assert previous("2018-08-09", *days) is None
    assert previous("2018-08-15", *days) == "2018-08-09"


@given(st.lists(st.integers(0, 250), min_size=1, max_size=30, unique=True), st.integers(1, 40))
def test_previous_is_what_a_plain_search_finds(offsets, gap):
    days = [str(date(2017, 10, 1) + timedelta(days=offset)) for offset in sorted(offsets)]
    table = catalogue(*[acquisition(day, season="2017-18") for day in days], max_gap_days=gap)
    for i, day in enumerate(days):
        near = i > 0 and (date.fromisoformat(day) - date.fromisoformat(days[i - 1])).days <= gap
        found = table.previous(day)
        assert (str(found.date) if found else None) == (days[i - 1] if near else None)


def test_dates_by_role_and_season_and_all_seasons():
    table = catalogue(
        acquisition("2017-09-06", role="reference"), acquisition("2017-12-05"), acquisition("2018-12-06")
    )
    assert table.dates() == ["2017-09-06", "2017-12-05", "2018-12-06"]
    assert table.dates("winter") == ["2017-12-05", "2018-12-06"]
    assert table.dates("winter", "2017-18") == ["2017-12-05"]
    assert table.dates("reference", "2018-19") == []
    assert table.seasons == ["2017-18", "2018-19"]


def test_get_takes_keys_and_dates_and_names_unknown_ones():
    table = catalogue(acquisition("2017-12-05"))
    assert table.get("2017-12-05") == table.get(date(2017, 12, 5))
    with pytest.raises(CatalogueError, match=r"no acquisition on 2017-12-06; materialise"):
        table.get("2017-12-06")


@pytest.mark.parametrize(
    ("day", "season"),
    [
        ("2017-08-01", "2017-18"),
        ("2018-07-31", "2017-18"),
        ("2018-01-01", "2017-18"),
        ("1999-12-31", "1999-00"),
    ],
)
def test_season_begins_in_august(day, season):
    assert season_of(date.fromisoformat(day)) == season


def test_written_catalogue_comes_back_in_order_of_date(tmp_path):
    path = tmp_path / "acquisition" / "catalogue.csv"
    incomplete = Acquisition(
        date(2018, 1, 4),
        datetime(2018, 1, 4, 6, 35, tzinfo=timezone(timedelta(hours=1))),
        "S1B",
        0,
        "winter",
        "2017-18",
        "incomplete",
        (),
        'no slice north of 45.9° N, "about" 18 s missing; gap of 25 s',
    )
    items = [acquisition("2018-01-10"), incomplete, acquisition("2017-09-06", role="reference")]
    write_catalogue(path, items)
    back = read_catalogue(path, max_gap_days=12)
    assert back.acquisitions == (items[2], incomplete, items[0])
    assert back.max_gap_days == 12
    assert back.get("2018-01-04").overpass.utcoffset() == timedelta(0)


def test_same_catalogue_gives_the_same_bytes(tmp_path):
    items = [acquisition("2018-01-10"), acquisition("2018-01-04")]
    write_catalogue(tmp_path / "a.csv", items)
    write_catalogue(tmp_path / "b.csv", reversed(items))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_missing_catalogue_is_empty(tmp_path):
    assert read_catalogue(tmp_path / "none.csv").acquisitions == ()
    assert read_catalogue(tmp_path / "none.csv").dates() == []


GOOD = [
    "2018-01-04",
    "2018-01-04T05:35:12+00:00",
    "S1A",
    "20011",
    "winter",
    "2017-18",
    "complete",
    "",
    "ab12",
    "9",
    "a b",
]


def write_rows(path: Path, *rows: list[str], header=FIELDS) -> Path:
    path.write_text("\n".join(",".join(cells) for cells in [list(header), *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("date", "04/01/2018", "line 3: Invalid isoformat string: '04/01/2018'"),
        ("overpass", "", "line 3: Invalid isoformat string: ''"),
        ("absolute_orbit", "many", "line 3: invalid literal"),
        ("role", "summer", "line 3: role 'summer' is not one of"),
        ("state", "true", "line 3: state 'true' is not one of"),
        ("size_bytes", "", "line 3: invalid literal"),
    ],
)
def test_bad_row_is_named_with_its_line(field, value, message, tmp_path):
    bad = [value if name == field else cell for name, cell in zip(FIELDS, GOOD, strict=True)]
    path = write_rows(tmp_path / "catalogue.csv", GOOD, bad)
    with pytest.raises(CatalogueError, match=rf"catalogue\.csv {message}"):
        read_catalogue(path)


def test_short_row_is_named(tmp_path):
    path = write_rows(tmp_path / "catalogue.csv", GOOD[:3])
    with pytest.raises(CatalogueError, match=r"catalogue\.csv line 2"):
        read_catalogue(path)


def test_foreign_header_is_refused(tmp_path):
    path = write_rows(tmp_path / "catalogue.csv", header=("day", "orbit"))
    with pytest.raises(CatalogueError, match=r"header is \['day', 'orbit'\]"):
        read_catalogue(path)


def test_table_from_before_states_is_refused_with_the_remedy(tmp_path):
    old = ("date", "overpass", "platform", "absolute_orbit", "role", "season", "complete", "products")
    path = write_rows(tmp_path / "catalogue.csv", header=old)
    with pytest.raises(CatalogueError, match="delete the file and materialise acquisition_catalogue"):
        read_catalogue(path)


def test_reference_months_give_their_role():
    days = [date(2017, 8, 1), date(2017, 9, 30), date(2017, 10, 1)]
    assert list(roles_by_month(days, (8, 9)).values()) == ["reference", "reference", "winter"]
