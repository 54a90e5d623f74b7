"""Bulletin, season report and evaluation text: what they say, and that they stand alone."""

import re
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser

import geopandas as gpd
import pyarrow as pa
import pytest
from detection_world import (
    FIRST,
    SECOND,
    acquisition,
    build_world,
    detections_of,
    example_settings,
    score_table,
)

from avalanche_assets.reporting.bulletin import (
    caveats,
    compass,
    detection_cells,
    operating_point_words,
    write_bulletin,
)
from avalanche_assets.reporting.evaluation_text import HEADER, evaluation_markdown, evaluation_text
from avalanche_assets.reporting.season_report import SeasonDate, season_summary, write_season_report
from avalanche_assets.reporting.summary import count, count_by_massif, reasons
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import (
    DETECTIONS,
    EVALUATION,
    OPERATING_POINTS,
    SEASON_SUMMARY,
    read_geotable,
    read_table,
    write_geotable,
)

HIDDEN = {2: "layover or shadow", 3: "layover or shadow", 4: "wet snow <script>alert(1)</script>"}


class References(HTMLParser):
    """Collects every address and tag of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def parse(page) -> References:
    parser = References()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


@pytest.fixture(scope="module")
def world():
    return build_world()


@pytest.fixture(scope="module")
def detections(world):
    first = score_table(world, FIRST, {0: 6.0}, {})
    return detections_of(world, SECOND, {0: 6.0, 5: 7.0}, HIDDEN, first)


def publish(world, detections, folder, *, simulated=True, previous=FIRST):
    before = acquisition(previous) if previous else None
    settings = example_settings(folder, simulated=simulated)
    return write_bulletin(
        folder, detections, world.elevation, world.grid, acquisition(SECOND), before, settings
    )


@pytest.fixture(scope="module")
def bulletin(world, detections, tmp_path_factory):
    return publish(world, detections, tmp_path_factory.mktemp("bulletin"))


def test_page_refers_to_nothing_but_its_own_files(bulletin):
    page = parse(bulletin.page)
    outside = [address for address in page.addresses if not address.startswith("data:image/png;base64,")]
    assert set(outside) == {"map.png", "detections.gpkg"}
    assert not page.tags & {"script", "link", "iframe"}
    text = bulletin.page.read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text


def test_page_escapes_text_of_the_tables(bulletin):
    assert "<script>" not in bulletin.page.read_text(encoding="utf-8")
    assert "wet snow <script>alert(1)</script>" in parse(bulletin.page).text


def test_page_says_window_orbit_detector_version_and_threshold(bulletin):
    text = parse(bulletin.page).text
    for part in (
        "28 December 2017, 05:43 UTC to 3 January 2018, 05:43 UTC (6 days)",
        "orbit 139 descending",
        "change_threshold, version 0123abcd",
        "operating point “budget”",
        "at most about 5 % of the corridors",
        "2 deposits detected: 1 new since 28 December 2017, 1 already seen",
        "9 of 12 corridors could be judged",
    ):
        assert part in text


def test_simulated_data_is_marked_and_real_data_is_not(world, detections, bulletin, tmp_path):
    assert "Simulated data" in parse(bulletin.page).text
    real = parse(publish(world, detections, tmp_path, simulated=False).page).text
    assert "imulated" not in real
    assert "modified Copernicus Sentinel data 2018" in real


def test_corridors_not_observable_are_counted_with_reasons_and_never_as_quiet(detections, bulletin):
    counts = bulletin.counts
    assert (counts.hidden, counts.quiet, counts.observable) == (3, 7, 9)
    assert reasons(detections)[0] == ("layover or shadow", 2)
    assert "3 of 12 corridors could not be judged on this date. No statement" in parse(bulletin.page).text


def test_date_on_which_nothing_could_be_seen_makes_no_statement(world, tmp_path):
    hidden = dict.fromkeys(range(12), "no previous acquisition within 24 days")
    text = parse(publish(world, detections_of(world, FIRST, {}, hidden), tmp_path, previous=None).page).text
    assert "None of 12 corridors could be judged" in text
    assert "None possible" in text
    assert "No deposit detected" not in text


def test_quiet_date_says_so_only_of_the_corridors_that_were_seen(world, tmp_path):
    text = parse(publish(world, detections_of(world, SECOND, {}, HIDDEN), tmp_path).page).text
    assert "No deposit detected. 9 of 12 corridors could be judged" in text


def test_groups_add_up_to_all_corridors(detections):
    counts = count(detections)
    assert counts.new + counts.persisting + counts.quiet + counts.hidden == counts.total == 12
    assert sum(part.total for part in count_by_massif(detections).values()) == 12


def test_detections_are_ordered_by_quality_then_score(detections):
    changed = detections.copy()
    changed.loc[5, "quality"] = "C"
    assert [row["quality"] for row in detection_cells(changed)] == ["A", "C"]
    assert [row["score"] for row in detection_cells(detections)] == ["7.00", "6.00"]


def test_cells_are_the_same_after_the_table_was_stored(detections, tmp_path):
    write_geotable(tmp_path / "detections.parquet", detections, DETECTIONS)
    stored = detection_cells(read_geotable(tmp_path / "detections.parquet", DETECTIONS))
    assert stored == detection_cells(detections)
    assert stored[1]["state"] == "persisting: 2 passes, since 28 Dec"


def test_missing_measures_are_dashes(detections):
    changed = detections.copy()
    changed.loc[5, ["aspect_deg", "dvh_mean_db", "elevation_min_m"]] = float("nan")
    row = detection_cells(changed)[0]
    assert (row["aspect"], row["dvh"], row["elevation"]) == ("—", "—", "—")


def test_caveats_name_gap_incomplete_acquisition_and_wet_snow(detections):
    late = replace(acquisition(SECOND), state="incomplete")
    wet = detections.assign(wet_snow_fraction=0.6)
    text = " ".join(caveats(wet, count(wet), late, acquisition(date(2017, 12, 22))))
    assert "12 days lie between" in text
    assert "incomplete" in text
    assert (
        "60 % or more is as dark as wet snow (or the whole scene is darker). Wet snow hides deposits" in text
    )
    usual = " ".join(caveats(detections, count(detections), acquisition(SECOND), acquisition(FIRST)))
    assert "days lie between" not in usual
    assert "incomplete" not in usual
    assert "2,000 m²" in usual


@pytest.mark.parametrize(
    ("angle", "point"), [(0, "N"), (22, "N"), (23, "NE"), (180, "S"), (338, "N"), (float("nan"), "—")]
)
def test_compass_point_is_the_nearest_of_eight(angle, point):
    assert compass(angle) == point


def test_same_inputs_give_the_same_files(world, detections, bulletin, tmp_path):
    again = publish(world, detections, tmp_path)
    for name in ("page", "map", "geopackage"):
        assert getattr(again, name).read_bytes() == getattr(bulletin, name).read_bytes()
    assert len(bulletin.thumbnail) <= 100 * 1024


def test_geopackage_lies_beside_the_page(bulletin):
    assert bulletin.geopackage.parent == bulletin.page.parent
    assert len(gpd.read_file(bulletin.geopackage, layer="detections")) == 2


def evaluation() -> pa.Table:
    rows = [
        {
            "detector": "vae",
            "label_window": "new",
            "operating_point": point,
            "area": "All massifs",
            "threshold": None if point == "budget" else 2.0,
            "balanced_accuracy": None if point == "budget" else 0.613,
            "balanced_accuracy_low": 0.552,
            "balanced_accuracy_high": 0.671,
            "gain": 0.031,
            "f1": None if point == "budget" else 0.118,
            "average_precision": 0.0871,
            "roc_auc": 0.7,
            "positives": 16,
            "negatives": 1184,
            "prevalence": 16 / 1200,
        }
        for point in OPERATING_POINTS
    ]
    return pa.Table.from_pylist(rows, EVALUATION)


def test_evaluation_text_has_our_numbers_and_marks_those_of_the_paper():
    lines = evaluation_text(evaluation(), ("balanced",)).splitlines()
    cells = ["vae", "new", "All massifs", "balanced", "0.61 [0.55, 0.67]", "0.12", "0.09", "+0.03"]
    cells += ["1.3 %", "16 / 1,200"]
    assert re.split(" {2,}", lines[2]) == cells
    paper = [line for line in lines if "0.63  0.11" in line]
    assert paper[0].startswith("paper: VAE ")
    assert lines[-1].startswith("Paper: Sinha et al. 2019")


def test_evaluation_markdown_has_every_column_and_dashes_for_nulls():
    table = evaluation_markdown(evaluation()).split("\n\n")[0].splitlines()
    assert {line.count(" | ") for line in table} == {len(HEADER) - 1}
    assert len(table) == 2 + len(OPERATING_POINTS) + 8
    assert "| budget | — | — | 0.09 | +0.03 | 1.3 % | 16 / 1,200 |" in table[5]


@pytest.fixture(scope="module")
def season(world):
    days = [FIRST, SECOND, SECOND + timedelta(12)]
    deposits = [{0: 6.0}, {0: 6.0, 5: 7.0}, {}]
    scores = [score_table(world, day, found, {}) for day, found in zip(days, deposits, strict=True)]
    return [
        SeasonDate(
            day,
            detections_of(world, day, found, HIDDEN, pa.concat_tables(scores[:index]) if index else None),
            f"../{day}/bulletin.html",
            recorded=index,
        )
        for index, (day, found) in enumerate(zip(days, deposits, strict=True))
    ]


def test_season_summary_has_a_row_per_date_and_massif_that_adds_up(season):
    summary = season_summary(season).to_pandas()
    assert summary.groupby("acquisition_date")["corridors"].sum().tolist() == [12, 12, 12]
    parts = summary[["new", "persisting", "quiet", "not_observable"]].sum(axis=1)
    assert (parts == summary["corridors"]).all()
    assert summary["new"].sum() == 2
    assert summary["persisting"].sum() == 1


def test_season_report_links_the_bulletins_and_stands_alone(season, tmp_path):
    settings = example_settings(tmp_path)
    report = write_season_report(tmp_path, "2017-18", season, settings, evaluation())
    page = parse(report.page)
    links = {address for address in page.addresses if not address.startswith("data:")}
    assert links == {"activity.png"} | {item.bulletin for item in season}
    assert "2 new deposits detected in 12 corridors over 3 dates" in page.text
    assert "paper: VAE" in page.text
    assert "They come from simulated data" in page.text
    assert report.detections == 2
    assert read_table(report.summary, SEASON_SUMMARY).equals(season_summary(season))
    assert len(report.thumbnail) <= 100 * 1024


def test_season_report_without_evaluation_or_records_leaves_them_out(season, tmp_path):
    dates = [replace(item, recorded=None, bulletin="") for item in season]
    page = parse(write_season_report(tmp_path, "2017-18", dates, example_settings(tmp_path)).page)
    assert "Evaluation" not in page.text
    assert "Recorded corridors" not in page.text.split("Read with care")[0]
    assert {address for address in page.addresses if not address.startswith("data:")} == {"activity.png"}


def test_every_operating_point_has_its_own_plain_words():
    words = {operating_point_words(DetectionSettings(operating_point=point)) for point in OPERATING_POINTS}
    assert len(words) == len(OPERATING_POINTS)
    assert "2.5 %" in operating_point_words(DetectionSettings(false_alarm_rate=0.025))
