"""Three real repeat passes, ready made on the ground, through VV*/VH*, patches and a score."""

from types import SimpleNamespace

import dagster as dg
import pyarrow.compute as pc
import pytest

from avalanche_assets.automation.runner import materialise_missing
from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.errors import SettingsError
from avalanche_assets.real_pixels import prepare_real_pixels, summarise_real_pixels
from avalanche_assets.settings import load_settings
from avalanche_assets.tables import ANOMALY_SCORES, CORRIDOR_PATCHES, read_table

pytestmark = pytest.mark.integration

FIRST, JUMP, LAST = "2019-02-25", "2019-03-09", "2019-03-21"


@pytest.fixture(scope="module")
def passes(real_data, tmp_path_factory):
    """The real passes after one run, with what the summary said of them."""
    rasters = real_data / "rtc_idaho"
    if len(list(rasters.glob("*.tif"))) != 3:
        pytest.skip(f"no repeat passes in {rasters}")
    out = tmp_path_factory.mktemp("real_pixels")
    settings_file = prepare_real_pixels(rasters, out)
    with dg.DagsterInstance.ephemeral() as instance:
        report = materialise_missing(settings_file, instance, lambda line: None)
        yield SimpleNamespace(
            out=out,
            settings=load_settings(settings_file),
            instance=instance,
            report=report,
            lines=list(summarise_real_pixels(settings_file)),
        )


def check_of(passes, day):
    """The outcome of the check `scene_change` that one date's scoring recorded in the instance."""
    key = dg.AssetCheckKey(dg.AssetKey("anomaly_scores"), "scene_change")
    records = passes.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    evaluations = [record.event.dagster_event.event_specific_data for record in records]
    (found,) = [item for item in evaluations if item.metadata["date"].value == day]
    return found


def test_graph_without_terrain_runs_to_the_scores(passes):
    assert passes.report.failures == {}
    layout = passes.settings.layout
    catalogue = read_catalogue(layout.acquisition_catalogue)
    assert catalogue.dates("winter") == [FIRST, JUMP, LAST]
    patches = [read_table(layout.corridor_patches(day), CORRIDOR_PATCHES) for day in (FIRST, JUMP, LAST)]
    assert {table.num_rows for table in patches} == {patches[0].num_rows}
    assert patches[0].num_rows > 20
    assert all(pc.min(table["valid_fraction"]).as_py() > 0.98 for table in patches)
    scores = read_table(layout.anomaly_scores(LAST), ANOMALY_SCORES).to_pandas()
    assert set(scores["detector"]) == {"change_threshold", "local_contrast"}
    assert scores["score"].notna().all()
    first = read_table(layout.anomaly_scores(FIRST), ANOMALY_SCORES).to_pandas()
    assert set(first["reason"]) == {"no previous acquisition"}


def test_jump_of_the_whole_scene_is_flagged_and_a_small_change_is_not(passes):
    (jump,) = [line for line in passes.lines if line.startswith(f"{FIRST} to {JUMP}")]
    (small,) = [line for line in passes.lines if line.startswith(f"{JUMP} to {LAST}")]
    # Measured on the source pixels: the snow dried and froze, then little happened.
    assert "VV +3.2 dB" in jump
    assert "FLAGGED" in jump
    assert "VV -0.7 dB" in small
    assert "FLAGGED" not in small


def test_instance_records_a_warning_for_the_jump_alone(passes):
    jump, small = check_of(passes, JUMP), check_of(passes, LAST)
    assert not jump.passed
    assert jump.severity == dg.AssetCheckSeverity.WARN
    assert jump.metadata["change (dB)"].value == pytest.approx(3.2, abs=0.3)
    assert small.passed
    assert small.metadata["change (dB)"].value == pytest.approx(-0.7, abs=0.3)


def test_baseline_scores_move_with_the_scene_and_that_is_why_it_is_flagged(passes):
    layout = passes.settings.layout
    jump, small = (
        read_table(layout.anomaly_scores(day), ANOMALY_SCORES).to_pandas()["score"].median()
        for day in (JUMP, LAST)
    )
    # Measured: 4.2 and -0.1 dB.
    assert jump > small + 2


def test_changes_are_drawn(passes):
    picture = passes.out / "scene_changes.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"picture: {picture}" in passes.lines


def test_second_run_finds_everything_done(passes):
    report = materialise_missing(passes.out / "avalanche.toml", passes.instance, lambda line: None)
    assert report.failures == {}
    assert report.materialised == 1


def test_folder_without_rasters_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="no GeoTIFF; this task needs the folder with real data"):
        prepare_real_pixels(tmp_path, tmp_path / "out")
