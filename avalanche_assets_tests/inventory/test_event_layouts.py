"""Event tables in other layouts than the two official ones."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.events import read_events

KNOWN = {"38002002", "73040007"}
HEADER = "Date 1,Date 2,INSEE de la commune,Numéro du site"


def interval(table, index=0) -> tuple[datetime, datetime]:
    return table.column("date_min")[index].as_py(), table.column("date_max")[index].as_py()


def one(tmp_path, first: str, last: str) -> tuple[datetime, datetime]:
    path = tmp_path / "events.csv"
    path.write_text(f'{HEADER}\n"{first}","{last}",38002,2\n', encoding="utf-8")
    return interval(read_events(path, KNOWN)[0])


DAY = (datetime(2018, 1, 3, 23, tzinfo=UTC), datetime(2018, 1, 4, 23, tzinfo=UTC))
HOURS = (datetime(2018, 1, 4, 8, 30, tzinfo=UTC), datetime(2018, 1, 4, 13, tzinfo=UTC))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (" 04/01/2018 09:30", " 04/01/2018 14h", HOURS),
        ("04-01-18 9h30", "04.01.18 14:00:00", HOURS),
        ("2018-01-04T09:30", "2018/01/04 14:00", HOURS),
        ("2018-01-04T08:30:00Z", "2018-01-04T14:00:00.000+01:00", HOURS),
        # databases write dates as midnight, or as local midnight in UTC
        ("2018-01-04 00:00:00", "2018-01-04T00:00:00.0", DAY),
        ("2018-01-03T23:00:00Z", "2018-01-03T23:00:00Z", DAY),
        ("2018-01-04Z", "2018-01-04Z", DAY),
    ],
)
def test_hours_and_zones_inside_dates_count(first, last, expected, tmp_path):
    assert one(tmp_path, first, last) == expected


def test_reversed_hours_of_one_day_are_turned_round(tmp_path):
    assert one(tmp_path, "04/01/2018 14:00", "04/01/2018 09:30") == HOURS


@pytest.mark.parametrize("wrong", ["04/01/2018 25:00", "04/01/2018 morgens", "2018-01-04T09:75", "2018-01"])
def test_date_with_an_impossible_time_is_no_date(wrong, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(f"{HEADER}\n{wrong},04/01/2018,38002,2\n04/01/2018,04/01/2018,38002,2\n")
    _, report = read_events(path, KNOWN)
    assert [(item.record, item.reason) for item in report.rejected] == [
        ("line 2", f"Date 1 '{wrong}' is not a date")
    ]


def test_own_columns_of_hours_stand_before_times_inside_dates(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(
        "insee,site,date1,date1_h,date2,date2_h\n73040,7,2018-01-04 01:00,09:30,2018-01-04 14:00,\n"
    )
    assert interval(read_events(path, KNOWN)[0]) == HOURS


MAPPED = {"corridor_id": "Zug", "date1": "von", "date2": "bis", "arrival1": "Höhe (m)"}


def test_columns_of_any_table_can_be_named(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("Zug|von|bis|Höhe (m)|site\n38002002|04.01.2018|04.01.2018|1450|x\n", encoding="utf-8")
    table, report = read_events(path, KNOWN, MAPPED)
    assert interval(table) == DAY
    assert table.column("arrival_elevation_m").to_pylist() == [1450.0]
    assert report.kept == 1


def test_named_column_that_is_not_there_lists_those_that_are(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("Zug|von|bis\n38002002|04.01.2018|04.01.2018\n", encoding="utf-8")
    with pytest.raises(
        InventoryError,
        match=r"events\.csv: no column for \{'arrival1': 'Höhe \(m\)'\} of inventory\.event_columns; "
        r"found \['Zug', 'von', 'bis'\]",
    ):
        read_events(path, KNOWN, MAPPED)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_text_of_spreadsheets_is_read(encoding, tmp_path):
    path = tmp_path / "events.csv"
    mark = "" if encoding == "utf-16" else "\ufeff"
    text = mark + HEADER.replace(",", "\t") + "\r\n04/01/2018\t04/01/2018\t38002\t2\r\n"
    path.write_bytes(text.encode(encoding))
    assert interval(read_events(path, KNOWN)[0]) == DAY


def test_measures_that_are_no_numbers_are_null_and_counted(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(
        f"{HEADER},Longueur,Altitude de départ 1\n04/01/2018,04/01/2018,38002,2,env. 80,\n", encoding="utf-8"
    )
    table, report = read_events(path, KNOWN)
    assert table.column("length_m").to_pylist() == [None]
    assert report.mended["unreadable measures"] == 1


def test_parquet_table_is_read_and_its_rows_are_features(tmp_path):
    path = tmp_path / "events.parquet"
    pd.DataFrame(
        {
            "insee": [38002, 73040, 38002],
            "site": [2.0, 7.0, float("nan")],
            "date1": ["2018-01-04Z", "2018-01-40Z", "2018-01-04Z"],
            "date2": ["2018-01-04Z"] * 3,
            "alt_arr": [1450, None, None],
        }
    ).to_parquet(path)
    table, report = read_events(path, KNOWN)
    assert interval(table) == DAY
    assert table.column("arrival_elevation_m").to_pylist() == [1450.0]
    assert {item.record: item.reason for item in report.rejected} == {
        "feature 2": "Date 1 '2018-01-40Z' is not a date",
        "feature 3": "no corridor id",
    }


def test_every_rejected_row_is_listed_in_the_stored_table(tmp_path):
    path = tmp_path / "events.csv"
    bad = [f"soon,04/01/2018,38002,{i}" for i in range(200)]
    path.write_text("\n".join([HEADER, "04/01/2018,04/01/2018,38002,2", *bad]) + "\n", encoding="utf-8")
    _, report = read_events(path, KNOWN)
    lines = report.rejected_csv().splitlines()
    assert len(lines) == 201
    assert lines[:2] == ["record,reason", "line 3,Date 1 'soon' is not a date"]


ROW = "04/01/2018,04/01/2018,38002,2"


def read(tmp_path, content: str | bytes, known=frozenset(KNOWN)):
    path = tmp_path / "events.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_events(path, known)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", ["", "sep=,\n", "\n  \n"])
def test_line_ends_and_what_spreadsheets_put_before_the_header(before, ending, tmp_path):
    text = before + HEADER + "\n" + ROW + "\nsoon,04/01/2018,38002,2\n"
    table, report = read(tmp_path, text.replace("\n", ending))
    assert interval(table) == DAY
    assert [item.record for item in report.rejected] == [f"line {3 + before.count(chr(10))}"]


def test_header_may_hold_other_delimiters_line_breaks_and_typographic_signs(tmp_path):
    header = '"Date 1";"Date\n2";INSEE;site;"Remarque, avec, des, virgules";"Altitude d\u2019arriv\u00e9e 1"'
    table, report = read(tmp_path, f"{header}\n04/01/2018;04/01/2018;38002;2;x;1450\nx;;38002;2;;\n")
    assert interval(table) == DAY
    assert table["arrival_elevation_m"].to_pylist() == [1450.0]
    assert [item.record for item in report.rejected] == ["line 4"]


def test_rows_of_two_encodings_in_one_file(tmp_path):
    header, row = "Num\u00e9ro du site,insee,Date 1,Date 2", "2,38002,04/01/2018,04/01/2018,\u00e9"
    content = f"{header},Remarque\n{row}\n".encode() + f"{row}\n".encode("cp1252")
    assert read(tmp_path, content)[1].kept == 2


def test_column_that_is_there_twice_is_not_guessed(tmp_path):
    with pytest.raises(InventoryError, match=r"the columns \['Date 1'\] appear twice"):
        read(tmp_path, f"Date 1,{HEADER}\n04/01/2018,{ROW}\n")
    # twice, but of no matter
    assert read(tmp_path, f"x,x,{HEADER}\n1,2,{ROW}\n")[1].kept == 1


def test_rows_swallowed_by_a_quotation_mark_are_listed_one_by_one(tmp_path):
    _, report = read(tmp_path, f'{HEADER}\n{ROW}\n04/01/2018,"04/01/2018,38002,2\n{ROW}\n{ROW}\n')
    assert {item.record: item.reason for item in report.rejected} == {
        "line 3": "wrong number of fields: '2', the header has 4",
        "line 4": "read as part of line '3': a quotation mark is not closed",
        "line 5": "read as part of line '3': a quotation mark is not closed",
    }
    assert (report.read, report.kept) == (4, 1)


def test_spreadsheet_is_named_as_such(tmp_path):
    with pytest.raises(InventoryError, match="a spreadsheet or archive, not text; save the table as CSV"):
        read(tmp_path, b"PK\x03\x04" + bytes(40))


COMMUNE = "insee,site,date1,date1_h,date2,date2_h"


def test_hours_that_became_decimal_numbers_are_hours(tmp_path):
    table, report = read(tmp_path, f"{COMMUNE}\n73040,7,2018-01-04,9.0,2018-01-04,14.0\n")
    assert interval(table) == (datetime(2018, 1, 4, 8, tzinfo=UTC), datetime(2018, 1, 4, 13, tzinfo=UTC))
    assert report.mended["unreadable hours"] == 0


def test_midnight_in_a_column_of_hours_is_a_day_without_hour(tmp_path):
    rows = ["2018-01-04,0,2018-01-04,0", "2018-01-04,00:00,2018-01-04,24:00", "2018-01-04,,2018-01-04,"]
    table, report = read(tmp_path, "\n".join([COMMUNE, *(f"73040,7,{row}" for row in rows)]))
    assert [interval(table, i) for i in range(3)] == [DAY] * 3
    assert report.mended["unreadable hours"] == 0


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("2 100", 2100.0),
        ("2\u202f100,5", 2100.5),
        ("-9999", None),
        ("0", None),
        ("inf", None),
        ("21000", None),
    ],
)
def test_altitudes_with_blanks_are_read_and_impossible_ones_unknown(written, read_as, tmp_path):
    table, report = read(tmp_path, f'{HEADER},alt_dep\n{ROW},"{written}"\n')
    assert table["departure_elevation_m"].to_pylist() == [read_as]
    assert report.mended["unreadable measures"] == (read_as is None)


def test_year_that_lost_its_century_is_no_date(tmp_path):
    _, report = read(tmp_path, f"{HEADER}\n{ROW}\n04/01/0018,04/01/2018,38002,2\n")
    assert [item.reason for item in report.rejected] == ["Date 1 '04/01/0018' is not a date"]


def test_reasons_add_up_over_values_with_apostrophes(tmp_path):
    bad = "".join(f"{word},04/01/2018,38002,2\n" for word in ("l'hiver", "d'avril l'an dernier", "soon"))
    _, report = read(tmp_path, f"{HEADER}\n{ROW}\n{bad}")
    assert report.reasons() == {"Date 1 is not a date": 3}
