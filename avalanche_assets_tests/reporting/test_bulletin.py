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
    example_evaluation,
    example_settings,
    score_table,
)

from avalanche_assets.detection.reviewing import apply_reviews
from avalanche_assets.detection.reviews import Review
from avalanche_assets.reporting.bulletin import BulletinContent, write_bulletin
from avalanche_assets.reporting.bulletin_text import (
    detection_cells,
    notes,
    operating_point_words,
    warnings,
)
from avalanche_assets.reporting.charts import DateActivity
from avalanche_assets.reporting.evaluation_text import HEADER, evaluation_markdown, evaluation_text
from avalanche_assets.reporting.language import Language
from avalanche_assets.reporting.season_report import SeasonDate, season_summary, write_season_report
from avalanche_assets.reporting.summary import (
    activity_index,
    change_since,
    count,
    count_by_aspect,
    count_by_elevation,
    count_by_massif,
    reasons,
)
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import (
    DETECTIONS,
    EVALUATION,
    OPERATING_POINTS,
    SEASON_SUMMARY,
    SEASON_TRACKS,
    read_geotable,
    read_table,
    write_geotable,
)

ENGLISH, FRENCH = Language("en"), Language("fr")
HIDDEN = {2: "layover", 3: "layover", 4: "wet snow <script>alert(1)</script>"}


class References(HTMLParser):
    """Collects every address and tag of a page, and the text that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        if self.tags[-1:] not in (["script"], ["style"]):
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


def publish(world, detections, folder, *, simulated=True, previous=FIRST, **more):
    content = BulletinContent(
        detections,
        world.elevation,
        world.grid,
        acquisition(SECOND),
        acquisition(previous) if previous else None,
        **more,
    )
    return write_bulletin(folder, content, example_settings(folder, simulated=simulated))


def neighbours(world):
    """What the date before and the season tell: earlier detections, the season's activity, addresses."""
    season = [DateActivity(FIRST - timedelta(6), None, 0), DateActivity(FIRST, 25.0, 3)]
    return {
        "before": detections_of(world, FIRST, {0: 6.0, 1: 5.0, 2: 4.0}, {}),
        "season": [*season, DateActivity(SECOND, 11.1, 1)],
        "table": "../detections.parquet",
        "previous_folder": "../before",
        "season_folder": "../season",
    }


@pytest.fixture(scope="module")
def bulletin(world, detections, tmp_path_factory):
    return publish(world, detections, tmp_path_factory.mktemp("bulletin"), **neighbours(world))


def test_page_refers_to_its_own_files_and_neighbours_only(bulletin):
    page = parse(bulletin.page)
    loaded = ("data:image/jpeg;base64,", "geo:")
    outside = {address for address in page.addresses if not address.startswith(loaded)}
    files = {"map.png", "detections.gpkg", "item.json", "bulletin.fr.html", "../detections.parquet"}
    assert outside == files | {"../before/bulletin.html", "../season/season_report.html"}
    assert not {"link", "iframe", "object", "base"} & set(page.tags)
    text = bulletin.page.read_text(encoding="utf-8")
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|import\(", text)


def test_policy_of_the_page_forbids_every_request(bulletin):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', bulletin.page.read_text("utf-8"))[1]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert not set(rules) - {"default-src", "img-src", "style-src", "script-src"}


def test_page_escapes_text_of_the_tables(bulletin):
    assert "<script>alert" not in bulletin.page.read_text(encoding="utf-8")
    assert "wet snow <script>alert(1)</script>" in parse(bulletin.page).text


def test_page_says_window_orbit_detector_version_and_threshold(bulletin):
    text = parse(bulletin.page).text
    for part in (
        "28 December 2017, 05:43 UTC to 3 January 2018, 05:43 UTC (6 days)",
        "orbit 139, descending",
        "change_threshold, version 0123abcd",
        "operating point “budget”",
        "at most about 5\N{NO-BREAK SPACE}% of the corridors",
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
    assert reasons(detections)[0] == ("layover", 2)
    assert "3 of 12 corridors could not be judged on this date. No statement" in parse(bulletin.page).text


def test_date_on_which_nothing_could_be_seen_makes_no_statement(world, tmp_path):
    hidden = dict.fromkeys(range(12), "no previous acquisition within 24 days")
    text = parse(publish(world, detections_of(world, FIRST, {}, hidden), tmp_path, previous=None).page).text
    assert "None of 12 corridors could be judged" in text
    assert "None possible" in text
    assert "No deposit detected" not in text


def test_date_whose_previous_one_failed_says_so_at_its_head(world, tmp_path):
    hidden = dict.fromkeys(range(12), "previous acquisition not processed")
    text = parse(publish(world, detections_of(world, SECOND, {}, hidden), tmp_path).page).text
    assert "The previous acquisition could not be processed yet, so nothing can be said of this one." in text
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
    assert [row["quality"] for row in detection_cells(changed, ENGLISH)] == ["A", "C"]
    assert [row["score"] for row in detection_cells(detections, ENGLISH)] == ["7.00", "6.00"]


def test_cells_are_the_same_after_the_table_was_stored(detections, tmp_path):
    write_geotable(tmp_path / "detections.parquet", detections, DETECTIONS)
    stored = detection_cells(read_geotable(tmp_path / "detections.parquet", DETECTIONS), ENGLISH)
    assert stored == detection_cells(detections, ENGLISH)
    assert stored[1]["state"] == "persisting: 2 passes, since 28 Dec"


def test_missing_measures_are_dashes(detections):
    changed = detections.copy()
    changed.loc[5, ["aspect_deg", "dvh_mean_db", "elevation_min_m"]] = float("nan")
    row = detection_cells(changed, ENGLISH)[0]
    assert (row["aspect"], row["dvh"], row["elevation"]) == ("—", "—", "—")


def test_warnings_name_gap_incomplete_acquisition_wet_snow_and_coverage(detections):
    late = replace(acquisition(SECOND), state="incomplete")
    wet = detections.assign(wet_snow_fraction=0.6)
    few = replace(count(wet), hidden=8)
    found = warnings(wet, few, late, acquisition(date(2017, 12, 22)), ENGLISH)
    assert [heading for heading, _ in found] == [
        *("Wet snow", "Poor coverage", "Long gap", "Incomplete acquisition"),
    ]
    text = " ".join(text for _, text in found)
    assert "12 days lie between" in text
    assert "60\N{NO-BREAK SPACE}% or more is as dark as wet snow. Wet snow hides deposits" in text
    assert warnings(detections, count(detections), acquisition(SECOND), acquisition(FIRST), ENGLISH) == []
    assert "2,000 m²" in " ".join(notes(detections, count(detections), ENGLISH))


def test_warnings_stand_above_map_and_tables(world, detections, tmp_path):
    page = publish(world, detections.assign(wet_snow_fraction=0.6), tmp_path).page.read_text("utf-8")
    assert page.index("<b>Wet snow</b>") < page.index('id="map"') < page.index("<table")


def test_corridors_have_names_and_coordinates_in_the_table(detections):
    row = detection_cells(detections, ENGLISH)[0]
    assert (row["name"], row["corridor"]) == ("Couloir 6", "73040006")
    latitude, longitude = detections.loc[5, ["latitude", "longitude"]]
    assert row["place"] == f"{latitude:.4f}° N, {longitude:.4f}° E"


def test_change_since_the_last_pass_tells_gone_from_not_looked_at(bulletin):
    # Before: 0, 1 and 2; now 0 again, 1 seen and quiet, 2 hidden.
    text = parse(bulletin.page).text
    assert "Since 28 December 2017" in text
    for words, number in (("Still visible", 1), ("or below the threshold", 1), ("not be looked at again", 1)):
        assert re.search(rf"{words}\s*{number}\s", text)


def test_change_counts_corridors_of_the_earlier_date_only(world):
    before = detections_of(world, FIRST, {0: 6.0, 1: 5.0, 2: 4.0}, {})
    now = detections_of(world, SECOND, {0: 6.0, 7: 5.0}, {2: "shadow"})
    change = change_since(before, now)
    assert (change.still, change.gone, change.unseen) == (1, 1, 1)


def test_activity_index_is_per_hundred_corridors_seen_and_six_days(detections):
    counts = count(detections)  # 1 new among 9 observable
    assert activity_index(counts, 6) == pytest.approx(100 / 9)
    assert activity_index(counts, 12) == pytest.approx(50 / 9)
    assert activity_index(counts, None) is None
    assert activity_index(replace(counts, hidden=10), 6) is None


def test_elevation_bands_and_aspects_hold_every_detection_once(detections):
    placed = detections.copy()
    placed.loc[0, ["elevation_min_m", "elevation_max_m", "aspect_deg"]] = [1700.0, 1898.0, 350.0]
    placed.loc[5, ["elevation_min_m", "elevation_max_m", "aspect_deg"]] = [1700.0, 1900.0, 92.0]
    bands = {part.low_m: (part.new, part.persisting) for part in count_by_elevation(placed)}
    assert bands[1500.0] == (0, 1)
    assert bands[1800.0] == (1, 0)
    aspects = {part.name: part.new + part.persisting for part in count_by_aspect(placed)}
    assert aspects == dict.fromkeys(("NE", "SE", "S", "SW", "W", "NW"), 0) | {"N": 1, "E": 1}


def test_reviews_are_marked_and_counted(world, detections, tmp_path):
    reviewed = apply_reviews(
        detections,
        [
            Review("line 2", "73040001", SECOND, "reject", SECOND),
            Review("line 3", "73040006", SECOND, "confirm", SECOND),
            Review("line 4", "73040008", SECOND, "add", SECOND),
        ],
    )
    text = parse(publish(world, reviewed, tmp_path).page).text
    assert "1 confirmed, 1 rejected (not shown), 1 added" in text
    assert "2 deposits detected: 2 new" in text
    assert [row["review"] for row in detection_cells(reviewed, ENGLISH)] == ["confirmed", "added"]


def test_french_page_says_the_same_in_french(bulletin):
    page = parse(bulletin.page.with_name("bulletin.fr.html"))
    # Square metres, not a part of the country.
    assert '<th class="n">Surface</th>' in bulletin.page.with_name("bulletin.fr.html").read_text()
    assert "2 dépôts détectés\N{NO-BREAK SPACE}: 1 nouveau depuis le 28 décembre 2017" in page.text
    assert "9 couloirs observables sur 12" in page.text
    assert {"map.fr.png", "bulletin.html", "../before/bulletin.fr.html"} <= set(page.addresses)
    assert bulletin.page.with_name("map.fr.png").exists()


def test_only_the_languages_of_the_settings_are_published(world, detections, tmp_path):
    settings = example_settings(tmp_path)
    french = settings.reporting.model_copy(update={"languages": ("fr",)})
    content = BulletinContent(detections, world.elevation, world.grid, acquisition(SECOND), None)
    page = write_bulletin(tmp_path, content, settings.model_copy(update={"reporting": french})).page
    assert page.name == "bulletin.html"
    assert '<html lang="fr">' in page.read_text("utf-8")
    assert {file.name for file in tmp_path.iterdir()} == {
        "bulletin.html",
        "map.png",
        "detections.gpkg",
        "item.json",
    }


def test_same_inputs_give_the_same_files(world, detections, bulletin, tmp_path):
    again = publish(world, detections, tmp_path, **neighbours(world))
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
            f"../{day}",
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
    report = write_season_report(tmp_path, "2017-18", season, settings, example_evaluation())
    page = parse(report.page)
    links = {address for address in page.addresses if not address.startswith("data:")}
    files = {"activity.png", "summary.parquet", "tracks.parquet", "tracks.gpkg", "season_report.fr.html"}
    assert links == files | {f"{item.bulletin}/bulletin.html" for item in season}
    assert "2 new deposits detected in 12 corridors over 3 dates" in page.text
    assert "The numbers come from simulated data" in page.text
    assert report.detections == 2
    assert read_table(report.summary, SEASON_SUMMARY).equals(season_summary(season))
    assert len(report.thumbnail) <= 100 * 1024


@pytest.mark.parametrize(
    ("name", "heads", "area", "rival", "paper"),
    [
        (
            "season_report.html",
            ("Found, of 100 recorded", "False alarms, of 100 corridors without a record"),
            "All massifs",
            "contrast with the surroundings",
            "in the publication: neural network",
        ),
        (
            "season_report.fr.html",
            ("Retrouvées, sur 100 recensées", "Fausses alertes, sur 100 couloirs sans avalanche recensée"),
            "Tous les massifs",
            "contraste avec les alentours",
            "dans la publication : réseau de neurones",
        ),
    ],
)
def test_season_report_says_in_plain_words_how_well_avalanches_are_found(
    season, tmp_path, name, heads, area, rival, paper
):
    settings = example_settings(tmp_path)
    write_season_report(tmp_path, "2017-18", season, settings, example_evaluation())
    text = parse(tmp_path / name).text
    for words in (*heads, area, rival, paper):
        assert words in text
    # Of 16 recorded avalanches 62 % are found, 5 % of the others raise alarms, 20 % of these are right.
    (row,) = re.findall(rf"{area}\s*16\s*(.*)", text)
    assert row.replace("\N{EN DASH}", "-").startswith("62 (40-81)5 (3-8)20")
    for jargon in ("balanced", "F1", "prevalence", "dual_contrast", "vae_kl", "operating point", " AP "):
        assert jargon not in text


def test_season_report_without_evaluation_or_records_leaves_them_out(season, tmp_path):
    dates = [replace(item, recorded=None, bulletin="") for item in season]
    page = parse(write_season_report(tmp_path, "2017-18", dates, example_settings(tmp_path)).page)
    assert "recorded avalanches are found" not in page.text
    assert "Recorded corridors" not in page.text.split("Read with care")[0]
    assert not [address for address in page.addresses if "bulletin" in address]


def test_season_tracks_hold_every_anomaly_once(season, tmp_path):
    write_season_report(tmp_path, "2017-18", season, example_settings(tmp_path))
    tracks = read_geotable(tmp_path / "tracks.parquet", SEASON_TRACKS).set_index("corridor_id")
    assert tracks.index.tolist() == ["73040001", "73040006"]
    columns = ["first_seen", "last_seen", "times_seen"]
    assert tracks.loc["73040001", columns].tolist() == [FIRST, SECOND, 2]
    assert tracks.loc["73040006", columns].tolist() == [SECOND, SECOND, 1]
    styled = gpd.read_file(tmp_path / "tracks.gpkg", layer="tracks")
    assert styled["track_id"].tolist() == tracks["track_id"].tolist()


def test_season_without_detections_has_an_empty_table_of_tracks(world, tmp_path):
    dates = [SeasonDate(FIRST, detections_of(world, FIRST, {}, {}))]
    report = write_season_report(tmp_path, "2017-18", dates, example_settings(tmp_path))
    assert "No deposit was detected on any date" in parse(report.page).text
    assert len(read_geotable(tmp_path / "tracks.parquet", SEASON_TRACKS)) == 0


def test_every_operating_point_has_its_own_plain_words():
    words = {
        operating_point_words(DetectionSettings(operating_point=point), ENGLISH) for point in OPERATING_POINTS
    }
    assert len(words) == len(OPERATING_POINTS)
    share = operating_point_words(DetectionSettings(false_alarm_rate=0.025), FRENCH)
    assert "2,5\N{NO-BREAK SPACE}%" in share
