from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.events import read_events
from avalanche_assets.tables import AVALANCHE_EVENTS, read_table, write_table

HEADER = (
    "id_evt,Campagne,Date 1,Date 2,Altitude de départ 1,Altitude de départ 2,Altitude d'arrivée 1,"
    "Longueur,Largeur,Hauteur,Numéro du site,Nom du site,INSEE de la commune,Nom de la commune"
)
KNOWN = {"38002002", "04001015", "73040007"}


def row(
    event="1", first=" 04/01/2018", last=" 05/01/2018", insee="38002", site="2", high="2100", low="1450"
) -> str:
    return f"{event},2017,{first},{last},{high},,{low},80,25,1.5,{site},Le Ravin,{insee},Allemond"


def write(path: Path, *rows: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path.write_bytes(("\n".join([header, *rows]) + "\n").encode(encoding))
    return path


def interval(table, index=0) -> tuple[datetime, datetime]:
    return table.column("date_min")[index].as_py(), table.column("date_max")[index].as_py()


def test_official_row_becomes_an_interval_of_local_days_in_utc(tmp_path):
    table, report = read_events(write(tmp_path / "epa.csv", row()), KNOWN)
    assert table.schema.equals(AVALANCHE_EVENTS)
    assert table.column("corridor_id").to_pylist() == ["38002002"]
    # Paris is UTC+1 in winter: 4 January 00:00 to 5 January 24:00 local
    assert interval(table) == (
        datetime(2018, 1, 3, 23, tzinfo=UTC),
        datetime(2018, 1, 5, 23, tzinfo=UTC),
    )
    assert table.to_pylist()[0] | {"date_min": 0, "date_max": 0} == {
        "event_id": "1",
        "corridor_id": "38002002",
        "date_min": 0,
        "date_max": 0,
        "departure_elevation_m": 2100.0,
        "arrival_elevation_m": 1450.0,
        "length_m": 80.0,
        "width_m": 25.0,
    }
    assert (report.read, report.kept, report.rejected) == (1, 1, ())


def test_summer_time_counts(tmp_path):
    # summer time began on 25 March 2018: that day has 23 hours
    table, _ = read_events(write(tmp_path / "epa.csv", row(first="25/03/2018", last="25/03/2018")), KNOWN)
    assert interval(table) == (
        datetime(2018, 3, 24, 23, tzinfo=UTC),
        datetime(2018, 3, 25, 22, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("text", "year"), [("04/01/18", 2018), ("04/01/68", 2068), ("04/01/69", 1969), ("04/01/99", 1999)]
)
def test_years_of_two_digits(text, year, tmp_path):
    table, _ = read_events(write(tmp_path / "epa.csv", row(first=text, last=text)), KNOWN)
    assert interval(table)[1].year == year


def test_lost_leading_zero_of_the_commune_is_put_back(tmp_path):
    table, _ = read_events(write(tmp_path / "epa.csv", row(insee="4001", site="15")), KNOWN)
    assert table.column("corridor_id").to_pylist() == ["04001015"]


def test_reversed_interval_is_turned_round_and_counted(tmp_path):
    path = write(tmp_path / "epa.csv", row(first="06/01/2018", last="02/01/2018"), row(event="2"))
    table, report = read_events(path, KNOWN)
    assert interval(table) == (
        datetime(2018, 1, 1, 23, tzinfo=UTC),
        datetime(2018, 1, 6, 23, tzinfo=UTC),
    )
    assert report.mended["swapped intervals"] == 1


def test_unknown_measures_are_null(tmp_path):
    table, _ = read_events(write(tmp_path / "epa.csv", row(high="", low="inconnue")), KNOWN)
    assert table.column("departure_elevation_m").null_count == 1
    assert table.column("arrival_elevation_m").null_count == 1


def test_every_bad_row_is_named_with_line_and_reason(tmp_path):
    path = write(
        tmp_path / "epa.csv",
        row(event="1"),
        row(event="2", first="29/02/2018"),
        row(event="3", first=""),
        row(event="4", last="soon"),
        row(event="5", insee="99999"),
        row(event="6", insee=""),
        "7,2017,only,three",
        row(event="1", site="2"),
        "",
        row(event="9", site="3"),
    )
    table, report = read_events(path, KNOWN)
    assert table.column("event_id").to_pylist() == ["1"]
    assert {item.record: item.reason for item in report.rejected} == {
        "line 3": "Date 1 '29/02/2018' is not a date",
        "line 4": "Date 1 is empty",
        "line 5": "Date 2 'soon' is not a date",
        "line 6": "corridor '99999002' is not among the corridors",
        "line 7": "no corridor id",
        "line 8": "wrong number of fields: '4', the header has 14",
        "line 9": "event id '1' appears before",
        "line 11": "corridor '38002003' is not among the corridors",
    }
    assert (report.read, report.kept) == (9, 1)
    assert report.reasons()["corridor is not among the corridors"] == 2


def test_line_numbers_count_line_breaks_inside_values(tmp_path):
    comment = row(event="1").replace("Le Ravin", '"Le\nRavin"')
    _, report = read_events(write(tmp_path / "epa.csv", comment, row(event="2", first="x")), KNOWN)
    assert [item.record for item in report.rejected] == ["line 4"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_encoding_is_found_out(encoding, tmp_path):
    table, _ = read_events(write(tmp_path / "epa.csv", row(), encoding=encoding), KNOWN)
    assert table.column("departure_elevation_m").to_pylist() == [2100.0]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_decimal_commas(delimiter, tmp_path):
    header, line = (
        HEADER.replace(",", delimiter),
        row().replace(",80,", ",80.5,").replace(",", delimiter).replace("80.5", "80,5"),
    )
    table, _ = read_events(write(tmp_path / "epa.csv", line, header=header), KNOWN)
    assert table.column("length_m").to_pylist() == [80.5]


COMMUNE = "insee,commune,site,id,date1,date1_h,date2,date2_h,alt_dep,alt_arr,longueur,largeur,hauteur"


def test_commune_table_with_hours(tmp_path):
    path = write(
        tmp_path / "b.csv",
        "73040,Bessans,007,55,2018-01-04,09:30,2018-01-04,14,2500,1800,,,",
        "73040,Bessans,007,55,2018-01-04,,2018-01-05,,2500,1800,,,",
        header=COMMUNE,
    )
    table, report = read_events(path, KNOWN)
    assert table.column("corridor_id").to_pylist() == ["73040007"] * 2
    by_start = sorted(interval(table, i) for i in range(2))
    assert by_start == [
        (datetime(2018, 1, 3, 23, tzinfo=UTC), datetime(2018, 1, 5, 23, tzinfo=UTC)),
        (datetime(2018, 1, 4, 8, 30, tzinfo=UTC), datetime(2018, 1, 4, 13, tzinfo=UTC)),
    ]
    assert not report.rejected


def test_hour_that_cannot_be_read_leaves_the_whole_day_open(tmp_path):
    path = write(
        tmp_path / "b.csv", "73040,Bessans,007,55,2018-01-04,matin,2018-01-04,25,,,,,", header=COMMUNE
    )
    table, report = read_events(path, KNOWN)
    assert interval(table) == (
        datetime(2018, 1, 3, 23, tzinfo=UTC),
        datetime(2018, 1, 4, 23, tzinfo=UTC),
    )
    assert report.mended["unreadable hours"] == 1


def test_events_without_an_id_get_stable_unique_ones(tmp_path):
    line = "73040,Bessans,007,55,2018-01-04,,2018-01-05,,,,,,"
    path = write(tmp_path / "b.csv", line, line, header=COMMUNE)
    first = read_events(path, KNOWN)[0].column("event_id").to_pylist()
    assert first == [
        "73040007-20180103T2300-20180105T2300-1",
        "73040007-20180103T2300-20180105T2300-2",
    ]


def test_table_can_be_stored_and_read_again(tmp_path):
    table, _ = read_events(write(tmp_path / "epa.csv", row()), KNOWN)
    write_table(tmp_path / "events.parquet", table, AVALANCHE_EVENTS)
    assert read_table(tmp_path / "events.parquet", AVALANCHE_EVENTS).equals(table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        (HEADER + "\n", "has a header but no rows"),
        (
            HEADER + "\n" + row(insee="99999") + "\n",
            "no event can be used.*1 rejected: corridor is not among",
        ),
        ("a,b\n1,2\n", r"no column for \['date1', 'date2', .*found \['a', 'b'\]"),
        ("Date 1,Date 2,site\n1,2,3\n", r"no column for \['corridor_id or insee'\]"),
    ],
)
def test_unusable_table_is_a_named_error(content, message, tmp_path):
    path = tmp_path / "epa.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InventoryError, match=rf"epa\.csv: .*{message}"):
        read_events(path, KNOWN)


def test_missing_and_binary_files_are_named(tmp_path):
    with pytest.raises(InventoryError, match=r"none\.csv: file not found; set inventory\.events"):
        read_events(tmp_path / "none.csv", KNOWN)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(bytes(range(256)))
    with pytest.raises(InventoryError, match="neither UTF-8 nor Windows-1252"):
        read_events(binary, KNOWN)


def test_order_of_events_does_not_depend_on_the_file(tmp_path):
    lines = [row(event=str(i), first=f"{i:02d}/01/2018", last="28/01/2018") for i in range(1, 20)]
    shuffled = list(np.random.default_rng(0).permutation(lines))
    one, _ = read_events(write(tmp_path / "a.csv", *lines), KNOWN)
    other, _ = read_events(write(tmp_path / "b.csv", *shuffled), KNOWN)
    assert one.equals(other)


def test_intervals_agree_with_python_time_zones_over_forty_winters(tmp_path):
    from zoneinfo import ZoneInfo

    days = pd.date_range("1980-11-01", "2018-05-31", freq="97D")
    lines = [row(event=str(i), first=f"{d:%d/%m/%Y}", last=f"{d:%d/%m/%Y}") for i, d in enumerate(days)]
    table, _ = read_events(write(tmp_path / "a.csv", *lines), KNOWN)
    paris = ZoneInfo("Europe/Paris")
    expected = [datetime(d.year, d.month, d.day, tzinfo=paris).astimezone(UTC) for d in days]
    assert table.column("date_min").to_pylist() == expected
