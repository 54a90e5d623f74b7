"""Bad input: a named error with file and remedy, every finished partition intact, the other dates go on."""

import sys
import zipfile
from types import SimpleNamespace

import dagster as dg
import geopandas as gpd
import pytest
import rasterio

from avalanche_assets import cli
from avalanche_assets.detectors.base import RECIPES
from avalanche_assets.errors import SettingsError
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    EVALUATION,
    THRESHOLDS,
    read_table,
)

pytestmark = pytest.mark.integration

TRUNCATED, ONE_POLARISATION, WRONG_ORBIT, GOOD = "2018-02-20", "2018-02-26", "2018-03-10", "2018-03-28"
FIRST_REFERENCE, TEST_DATE, DATE_AFTER = "2017-08-18", "2018-03-10", "2018-03-16"
GROUND = ("dem", "slope_aspect", "track_geometry", "corridors", "avalanche_events", "terrain_patches")
LEARNED = (*RECIPES, "anomaly_scores", "score_background", "thresholds", "evaluation")


def products_of(deployment, day):
    return sorted((deployment.folder / "products").glob(f"*_{day.replace('-', '')}T*"))


def truncate(path):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def rewrite(path, keep=lambda name: True, edit=lambda name, content: content):
    """Writes a product anew in place of its link, without some files or with others edited."""
    source = path.resolve()
    path.unlink()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if keep(name):
                new.writestr(name, edit(name, old.read(name)))


def without_vh(name):
    return "-vh-" not in name


def other_orbit(name, content):
    if not name.endswith("manifest.safe"):
        return content
    text = content.decode()
    assert text.count(">139</") >= 1
    return text.replace(">139</", ">138</").encode()


def edit_settings(deployment, old, new):
    text = deployment.settings_file.read_text(encoding="utf-8")
    assert old in text
    deployment.settings_file.write_text(text.replace(old, new), encoding="utf-8")


def unchanged(before, after):
    """Whether every file that was there still holds the same."""
    return {name: after.get(name) for name in before} == before


# Products of new acquisitions


@pytest.fixture(scope="module")
def arrivals(tiny_season, tmp_path_factory):
    """Four acquisitions arrive in a finished season, three of them bad; then the graph runs once."""
    days = (TRUNCATED, ONE_POLARISATION, WRONG_ORBIT, GOOD)
    deployment = tiny_season.copy(tmp_path_factory.mktemp("arrivals"), lambda _, partition: partition in days)
    truncate(products_of(deployment, TRUNCATED)[1])
    rewrite(products_of(deployment, ONE_POLARISATION)[0], keep=without_vh)
    rewrite(products_of(deployment, WRONG_ORBIT)[0], edit=other_orbit)
    before, known = deployment.hashes(), deployment.materialised()
    return SimpleNamespace(deployment=deployment, before=before, known=known, report=deployment.run())


@pytest.mark.parametrize(
    ("day", "number", "said"),
    [
        (TRUNCATED, 1, ["not a complete zip", "download it again"]),
        (ONE_POLARISATION, 0, ["polarisation VH", "download the product again"]),
        (WRONG_ORBIT, 0, ["relative orbit 138", "the settings ask for 139", "move it or set [track]"]),
    ],
)
def test_bad_product_is_named_with_its_remedy(arrivals, day, number, said):
    message = arrivals.report.failures[day]
    path = products_of(arrivals.deployment, day)[number]
    assert "s1_products: avalanche_assets.errors.SafeError" in message
    assert all(text in message for text in [str(path), *said]), message


def test_bad_date_leaves_nothing_and_stops_no_other(arrivals):
    deployment, after = arrivals.deployment, arrivals.deployment.materialised()
    assert set(arrivals.report.failures) == {TRUNCATED, ONE_POLARISATION, WRONG_ORBIT}
    assert {partition for _, partition in after - arrivals.known} == {GOOD}
    assert {asset for asset, partition in after if partition == GOOD} == {
        asset for asset, partition in deployment.expected() if partition == GOOD
    }
    assert (deployment.layout.bulletin(GOOD) / "bulletin.html").exists()
    made = set(deployment.hashes()) - set(arrivals.before)
    assert made
    assert all(f"acquisition_date={GOOD}" in name for name in made)


def test_bad_date_changes_no_finished_partition(arrivals):
    after = arrivals.deployment.hashes()
    # Season report and STAC collection are made anew: a date has joined. The catalogue has the sizes of the
    # changed products.
    renewed = (
        "detection/season_report",
        "detection/bulletin/collection.json",
        "acquisition/acquisition_catalogue.csv",
    )
    assert unchanged({k: v for k, v in arrivals.before.items() if not k.startswith(renewed)}, after)
    assert arrivals.known <= arrivals.deployment.materialised()


def test_repaired_product_is_taken(arrivals, tiny_season):
    deployment = arrivals.deployment
    good = products_of(tiny_season, TRUNCATED)[1]
    broken = deployment.folder / "products" / good.name
    broken.unlink()
    broken.symlink_to(good)
    assert deployment.materialise("fetch_products", TRUNCATED) == ""


# A first run with damaged dates


@pytest.fixture(scope="module")
def first_run(tiny_season, tmp_path_factory):
    """A season whose first reference date and one test date were damaged from the start."""

    def forget(asset, partition):
        learned = asset in (*LEARNED, "track_geometry", "reference_sigma0")
        return learned or partition in (FIRST_REFERENCE, TEST_DATE)

    deployment = tiny_season.copy(tmp_path_factory.mktemp("first_run"), forget)
    for day in (FIRST_REFERENCE, TEST_DATE):
        truncate(products_of(deployment, day)[0])
    return SimpleNamespace(deployment=deployment, report=deployment.run())


def test_season_is_learned_without_its_damaged_dates(first_run, tiny_season):
    failures, layout = first_run.report.failures, first_run.deployment.layout
    assert set(failures) == {FIRST_REFERENCE, TEST_DATE}, failures
    assert layout.reference_sigma0("2017-18").exists()
    rows = read_table(tiny_season.layout.thresholds, THRESHOLDS).num_rows
    assert read_table(layout.thresholds, THRESHOLDS).num_rows == rows > 0
    assert read_table(layout.evaluation, EVALUATION).num_rows > 0
    # The date after the damaged one has nothing to be compared with.
    left_out = {"reference_sigma0": [FIRST_REFERENCE], "vae": [DATE_AFTER], "evaluation": [TEST_DATE]}
    for asset, days in left_out.items():
        assert metadata_of(first_run.deployment, asset)["dates left out"].value == days, asset
    assert metadata_of(first_run.deployment, "track_geometry")["orbit of"].value == "2017-08-24"


def test_date_after_a_damaged_one_is_not_observable_and_says_what_it_lacks(first_run):
    deployment = first_run.deployment
    table = read_table(deployment.layout.anomaly_scores(DATE_AFTER), ANOMALY_SCORES)
    assert not any(table["observable"].to_pylist())
    assert set(table["reason"].to_pylist()) == {"previous acquisition not processed"}
    key = dg.AssetCheckKey(dg.AssetKey("anomaly_scores"), "previous_date_processed")
    record = deployment.instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
    told = [one.event.dagster_event.asset_check_evaluation_data for one in record]
    (warned,) = (one for one in told if not one.passed)
    assert f"{TEST_DATE} has no patches" in warned.description


def metadata_of(deployment, asset):
    event = deployment.instance.get_latest_materialization_event(dg.AssetKey(asset))
    return event.asset_materialization.metadata


# Terrain and inventory


def no_events(deployment):
    path = deployment.folder / "inventory" / "epa_events.csv"
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")


def dem_too_small(deployment):
    edit_settings(
        deployment,
        "resolution_m = 20",
        "resolution_m = 20\nbounds = [320000.0, 5003520.0, 339200.0, 5012480.0]",
    )


def dem_nowhere(deployment):
    path = deployment.folder / "dem.tif"
    with rasterio.open(path) as dataset:
        heights, profile = dataset.read(), dataset.profile
    with rasterio.open(path, "w", **(profile | {"crs": None, "driver": "GTiff"})) as dataset:
        dataset.write(heights)


def grid_nowhere(deployment):
    edit_settings(deployment, "EPSG:32632", "EPSG:99999")


def no_corridor_ids(deployment):
    path = deployment.folder / "inventory" / "corridors.gpkg"
    frame = gpd.read_file(path)
    path.unlink()
    frame[["name", "geometry"]].to_file(path)


@pytest.mark.parametrize(
    ("spoil", "step", "error", "said"),
    [
        (no_events, "avalanche_events", "InventoryError", ["epa_events.csv", "inventory.events"]),
        (
            dem_too_small,
            "dem",
            "TerrainError",
            ["dem.tif", "does not cover grid.bounds", "shrink grid.bounds"],
        ),
        (dem_nowhere, "dem", "TerrainError", ["dem.tif", "unknown coordinate system", "set it"]),
        (grid_nowhere, "dem", "TerrainError", ["grid.crs", "EPSG:99999", "not a coordinate system"]),
        (no_corridor_ids, "corridors", "InventoryError", ["corridors.gpkg", "no column for", "corridor_id"]),
    ],
)
def test_bad_ground_is_named_and_the_old_one_stays(tiny_season, tmp_path, spoil, step, error, said):
    deployment = tiny_season.copy(tmp_path)
    before, known = deployment.hashes(), deployment.materialised()
    spoil(deployment)
    message = deployment.materialise("prepare_ground")
    assert f"avalanche_assets.errors.{error}" in message
    assert all(text in message for text in said), message
    assert deployment.hashes() == before
    assert deployment.materialised() == known
    failed = [event.step_key for event in failures_of_latest_run(deployment)]
    assert failed == [step]


def failures_of_latest_run(deployment):
    (run,) = deployment.instance.get_runs(limit=1)
    events = (entry.dagster_event for entry in deployment.instance.all_logs(run.run_id))
    return [event for event in events if event and event.is_step_failure]


def test_bad_ground_stops_a_first_run_with_one_error(tiny_season, tmp_path):
    deployment = tiny_season.copy(tmp_path, lambda asset, partition: asset in GROUND or asset in RECIPES)
    no_events(deployment)
    assert set(deployment.run().failures) == {"prepare_ground"}


# Stored tables


@pytest.mark.parametrize(
    ("asset", "stage", "partition"),
    [
        ("sigma0", "cut_patches", GOOD),
        ("corridor_patches", "score", GOOD),
        ("detections", "report_season", "2017-18"),
    ],
)
def test_corrupted_file_is_named_and_nothing_is_replaced(tiny_season, tmp_path, asset, stage, partition):
    deployment = tiny_season.copy(tmp_path)
    path = deployment.stored(asset, GOOD)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    before = deployment.hashes()
    message = deployment.materialise(stage, partition)
    assert "avalanche_assets.errors.TableError" in message
    assert str(path) in message
    assert "materialise the asset that writes it again" in message
    assert deployment.hashes() == before


def test_date_before_a_corrupted_table_is_scored_again(tiny_season, tmp_path):
    deployment = tiny_season.copy(tmp_path)
    deployment.layout.corridor_patches(GOOD).write_bytes(b"")
    before = deployment.hashes()
    assert deployment.materialise("score", "2018-03-16") == ""
    assert deployment.hashes() == before


def test_date_without_a_previous_one_near_enough_is_not_observable(tiny_season, tmp_path):
    """The last acquisition comes twelve days after the one before."""
    deployment = tiny_season.copy(tmp_path)
    edit_settings(deployment, 'data_root = "data"', 'data_root = "data"\nseason = {max_gap_days = 10}')
    assert deployment.materialise("score", GOOD) == ""
    scores = read_table(deployment.layout.anomaly_scores(GOOD), ANOMALY_SCORES).to_pandas()
    assert set(scores["reason"]) == {"no previous acquisition"}
    assert scores["score"].isna().all()
    assert deployment.materialise("detect", GOOD) == ""


# Settings, source and command line


def test_unknown_setting_is_named_before_anything_runs(tiny_season, tmp_path):
    deployment = tiny_season.copy(tmp_path)
    before, runs = deployment.hashes(), deployment.instance.get_runs_count()
    edit_settings(deployment, "test_dates =", "tset_dates =")
    with pytest.raises(SettingsError, match=r"avalanche\.toml: learning\.tset_dates"):
        deployment.run()
    edit_settings(deployment, "tset_dates =", "test_dates =")
    assert deployment.instance.get_runs_count() == runs
    assert deployment.hashes() == before


@pytest.mark.parametrize("exists", [False, True])
def test_source_that_has_vanished_wipes_no_known_date(tiny_season, tmp_path, exists):
    deployment = tiny_season.copy(tmp_path)
    before, known = deployment.hashes(), deployment.materialised()
    folder = deployment.folder / "products"
    folder.rename(deployment.folder / "elsewhere")
    if exists:
        folder.mkdir()
    report = deployment.run()
    assert list(report.failures) == ["find_acquisitions"]
    message = report.failures["find_acquisitions"]
    assert "avalanche_assets.errors.CatalogueError" in message
    assert str(folder) in message
    assert "set source.folder" in message
    assert deployment.hashes() == before
    assert deployment.materialised() == known


def test_source_missing_from_the_start_is_the_only_error(tiny_season, tmp_path):
    deployment = tiny_season.copy(tmp_path, lambda asset, partition: True)
    for product in (deployment.folder / "products").iterdir():
        product.unlink()
    assert list(deployment.run().failures) == ["find_acquisitions"]


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["avalanche", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_command_line_prints_one_line_for_what_a_user_can_mend(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert call(monkeypatch, "run", tmp_path / "none.toml") == 1
    output = capsys.readouterr()
    assert output.err.startswith(f"error: {tmp_path}/none.toml: settings file not found")
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_command_line_asks_for_a_dagster_home(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert call(monkeypatch, "run", tmp_path / "none.toml") == 1
    assert "error: DAGSTER_HOME is ''" in capsys.readouterr().err


def test_command_line_asks_for_real_data(tmp_path, monkeypatch, capsys):
    assert call(monkeypatch, "real-pixels", tmp_path, tmp_path / "out") == 1
    assert f"error: {tmp_path}/rtc_idaho: not found" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
