"""Reviews: what people confirm, reject or add, and what it changes."""

from datetime import date, timedelta

import geopandas as gpd
import pyarrow as pa
import pyogrio
import pytest
from detection_world import FIRST, SECOND, build_world, detections_of, example_settings, score_table
from shapely.geometry import Point

from avalanche_assets.detection.reviewing import apply_reviews, awaits_reviews, reviewed_labels
from avalanche_assets.detection.reviews import LAYER, Review, create_reviews, read_reviews, reviews_of
from avalanche_assets.errors import ReviewError
from avalanche_assets.tables import CORRIDOR_LABELS, DETECTIONS, read_geotable, write_geotable

HIDDEN = {2: "shadow", 3: "layover"}
CRS = "EPSG:32632"
THIRD = date(2018, 1, 9)
HEADER = "corridor_id,acquisition_date,verdict,first_seen,reviewer,comment\n"


@pytest.fixture(scope="module")
def world():
    return build_world()


@pytest.fixture(scope="module")
def second(world):
    """Corridor 0 persists since the first date, 5 is new, 2 and 3 could not be seen."""
    return detections_of(world, SECOND, {0: 6.0, 5: 7.0}, HIDDEN, score_table(world, FIRST, {0: 6.0}, {}))


def review(number, day, verdict, **more):
    return Review("line 2", f"73040{number:03d}", day, verdict, more.pop("first_seen", day), **more)


def csv_file(folder, *lines, header=HEADER):
    path = folder / "reviews.csv"
    path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_rejected_detection_is_no_detection_any_more_but_was_seen(second):
    row = apply_reviews(second, [review(6, SECOND, "reject", reviewer="AB", comment="scree")]).loc[5]
    assert (row["is_detection"], row["observable"], row["review"]) == (False, True, "rejected")
    assert (row["reviewer"], row["review_comment"]) == ("AB", "scree")
    assert row[["quality", "new_or_persisting", "times_seen", "last_seen"]].isna().all()
    assert row.geometry.is_empty
    assert row["score"] == 7.0


def test_rejected_detection_in_wet_snow_leaves_the_corridor_not_observable(second):
    wet = second.assign(wet_snow_fraction=0.9)
    row = apply_reviews(wet, [review(6, SECOND, "reject")], wet_limit=0.8).loc[5]
    assert (row["is_detection"], row["observable"], row["reason"]) == (False, False, "wet snow")
    assert row[["score"]].isna().all()


def test_verdict_holds_for_as_long_as_the_anomaly_persists(second):
    earlier = apply_reviews(second, [review(1, FIRST, "reject"), review(6, FIRST, "reject")])
    # 0 is the anomaly that was rejected; 5 is a new one in a corridor where another was rejected before.
    assert earlier["is_detection"].iloc[[0, 5]].tolist() == [False, True]
    changed_mind = apply_reviews(second, [review(1, FIRST, "reject"), review(1, SECOND, "confirm")])
    assert changed_mind.loc[0, ["is_detection", "review"]].tolist() == [True, "confirmed"]


def test_confirmed_detection_is_of_quality_a(second):
    row = apply_reviews(second.assign(quality="C"), [review(6, SECOND, "confirm")]).loc[5]
    assert (row["quality"], row["review"], row["new_or_persisting"]) == ("A", "confirmed", "new")


@pytest.mark.parametrize(("number", "verdict"), [(5, "add"), (3, "add"), (5, "confirm")])
def test_what_is_added_becomes_a_new_detection_even_where_nobody_could_see(second, number, verdict):
    outline = Point(312_000, 5_037_000).buffer(60)
    row = apply_reviews(second, [review(number, SECOND, verdict, outline=outline)]).loc[number - 1]
    assert row[["is_detection", "observable", "review", "quality"]].tolist() == [True, True, "added", "A"]
    assert (row["new_or_persisting"], row["first_seen"], row["last_seen"]) == ("new", SECOND, SECOND)
    assert row["area_m2"] == outline.area
    place = gpd.GeoSeries.from_xy([row["longitude"]], [row["latitude"]], crs="EPSG:4326").to_crs(CRS)[0]
    assert place.within(outline)


def test_reviewed_table_still_follows_the_contract(second, tmp_path):
    reviews = [review(1, SECOND, "reject"), review(6, SECOND, "confirm"), review(5, SECOND, "add")]
    reviewed = apply_reviews(second, reviews)
    write_geotable(tmp_path / "detections.parquet", reviewed, DETECTIONS)
    back = read_geotable(tmp_path / "detections.parquet", DETECTIONS)
    assert back["review"].dropna().tolist() == ["rejected", "added", "confirmed"]
    assert int(back["is_detection"].sum()) == 2


def test_dates_made_before_a_review_changed_are_known(second):
    rejected, confirmed = [review(1, FIRST, "reject")], [review(1, FIRST, "confirm")]
    stored = apply_reviews(second, rejected)
    assert awaits_reviews(second, rejected)
    assert not awaits_reviews(stored, rejected)
    assert awaits_reviews(stored, confirmed)
    assert awaits_reviews(stored, [])
    assert not awaits_reviews(second, [])


def test_csv_of_a_french_spreadsheet_is_read(tmp_path):
    text = "corridor_id;acquisition_date;verdict;comment\n5040001;03/01/2018;rejeter;éboulis, pas de dépôt\n"
    path = tmp_path / "reviews.csv"
    path.write_bytes(text.encode("cp1252"))
    (found,) = read_reviews(path, CRS)
    assert (found.corridor_id, found.day, found.verdict) == ("05040001", SECOND, "reject")
    assert found.comment == "éboulis, pas de dépôt"


def test_geopackage_edited_by_hand_is_read_with_its_outlines(tmp_path):
    path = tmp_path / "reviews.gpkg"
    create_reviews(path, CRS)
    assert read_reviews(path, CRS) == []
    drawn = gpd.GeoDataFrame(
        {
            "corridor_id": ["73040001", "73040002"],
            "acquisition_date": [str(SECOND), str(SECOND)],
            "verdict": ["add", "reject"],
        },
        geometry=[Point(6.6, 45.4).buffer(0.001), None],
        crs="EPSG:4326",
    ).to_crs(CRS)
    pyogrio.write_dataframe(drawn, path, layer=LAYER, append=True, promote_to_multi=True)
    added, rejected = read_reviews(path, "EPSG:4326")
    assert (added.verdict, added.first_seen, added.reviewer) == ("add", SECOND, "")
    assert added.outline.centroid.distance(Point(6.6, 45.4)) < 1e-6
    assert rejected.outline.is_empty


def test_the_table_of_the_data_root_is_made_where_that_is(root):
    path = root / "reviews" / "reviews.csv"
    create_reviews(path, CRS)
    assert read_reviews(path, CRS) == []
    with pytest.raises(ReviewError, match="never overwritten"):
        create_reviews(path, CRS)


@pytest.mark.parametrize("name", ["reviews.csv", "reviews.gpkg"])
def test_an_existing_table_of_reviews_is_never_overwritten(tmp_path, name):
    path = tmp_path / "new" / name
    create_reviews(path, CRS)
    before = path.read_bytes()
    with pytest.raises(ReviewError, match="never overwritten"):
        create_reviews(path, CRS)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "73040001,2018-01-03,maybe,,,",
            r"reviews\.csv, line 2: verdict is maybe: write confirm, reject or add",
        ),
        ("73040001,3 Jan,reject,,,", r"line 2: acquisition_date is 3 Jan: write it as 2018-01-03"),
        ("73040099,2018-01-03,reject,,,", r"line 2: corridor_id is 73040099: give the id of a corridor"),
        ("73040001,2018-01-04,reject,,,", r"acquisition_date is 2018-01-04: .* nearest is 2018-01-03"),
        ("73040001,2017-12-28,add,2018-01-03,,", r"first_seen is 2018-01-03: it is after acquisition_date"),
        ("73040001,2018-01-03,reject,,AB,scree, wet", r"line 2: the row .* quote texts"),
    ],
)
def test_error_names_file_row_field_and_remedy(world, tmp_path, line, message):
    settings = example_settings(tmp_path)
    path = csv_file(tmp_path, line)
    detection = settings.detection.model_copy(update={"reviews": path})
    with pytest.raises(ReviewError, match=message):
        reviews_of(
            settings.model_copy(update={"detection": detection}), world.corridors, [str(FIRST), str(SECOND)]
        )


def test_two_verdicts_on_one_detection_are_refused(tmp_path):
    path = csv_file(tmp_path, "73040001,2018-01-03,reject,,,", "73040001,2018-01-03,confirm,,,")
    with pytest.raises(ReviewError, match=r"line 3: corridor_id is 73040001: line 2 reviews it"):
        read_reviews(path, CRS)


def test_missing_columns_and_files_are_named(world, tmp_path):
    with pytest.raises(ReviewError, match=r"columns \['verdict'\] are missing"):
        read_reviews(csv_file(tmp_path, header="corridor_id,acquisition_date\n"), CRS)
    settings = example_settings(tmp_path)
    assert reviews_of(settings, world.corridors, []) == []
    named = settings.detection.model_copy(update={"reviews": tmp_path / "none.csv"})
    with pytest.raises(ReviewError, match=r"none\.csv: file not found"):
        reviews_of(settings.model_copy(update={"detection": named}), world.corridors, [])


def labels(*rows):
    names = ("corridor_id", "acquisition_date", "new", "recent")
    table = [dict(zip(names, row, strict=True)) | {"previous_date": None, "event_ids": []} for row in rows]
    return pa.Table.from_pylist(table, CORRIDOR_LABELS)


def states(table):
    return list(zip(table["new"].to_pylist(), table["recent"].to_pylist(), strict=True))


def test_confirmed_deposit_is_a_positive_label_from_the_first_pass_that_shows_it():
    later = SECOND + timedelta(36)
    table = labels(*(("73040001", day, "negative", "negative") for day in (FIRST, SECOND, THIRD, later)))
    found = reviewed_labels(table, [review(1, THIRD, "confirm", first_seen=SECOND)], recent_days=30)
    assert states(found) == [
        ("negative", "negative"),
        ("positive", "positive"),
        ("negative", "positive"),
        ("negative", "negative"),
    ]


def test_rejected_detection_is_a_negative_label_unless_the_inventory_says_otherwise():
    table = labels(
        ("73040001", SECOND, "unobserved", "unobserved"),
        ("73040002", SECOND, "positive", "positive"),
        ("73040003", SECOND, "negative", "positive"),
    )
    found = reviewed_labels(table, [review(1, SECOND, "reject"), review(2, SECOND, "reject")], 30)
    assert states(found) == [
        ("negative", "negative"),
        ("ambiguous", "ambiguous"),
        ("negative", "positive"),
    ]
    assert found.schema.equals(CORRIDOR_LABELS)


def test_no_reviews_change_nothing(second):
    assert apply_reviews(second, []) is second
