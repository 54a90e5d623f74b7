"""What keeps bad input out of a bulletin, and what watches over the service."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest
from automation.operations_desk import OperationsDesk, acquisition

from avalanche_assets.automation import checks
from avalanche_assets.automation.checks import (
    DATE_CHECKS,
    GRACE,
    GUARDS,
    calibration_plausible,
    corridors_covered,
    date_checks,
    detections_within_budget,
    labels_counted,
    late_dates,
    previous_date_processed,
    service_checks,
    slices_complete,
)
from avalanche_assets.automation.due import Chain, Item, Step
from avalanche_assets.automation.made import latest_events
from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.layout import DataLayout
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.settings import DetectionSettings

DAY = "2018-01-09"


def pipeline(tmp_path, *found, rate=0.05):
    return SimpleNamespace(
        catalogue=AcquisitionCatalogue(found),
        layout=DataLayout(tmp_path),
        settings=SimpleNamespace(detection=DetectionSettings(false_alarm_rate=rate)),
    )


@pytest.mark.parametrize(("vv", "vh"), [(-12.0, -19.0), (-24.0, -31.0), (-4.0, -11.0)])
def test_backscatter_of_land_passes(vv, vh):
    assert not calibration_plausible({"median VV (dB)": vv, "median VH (dB)": vh}, None, DAY).problem


@pytest.mark.parametrize(
    ("vv", "vh", "said"),
    [
        (48.0, 41.0, "median VV (dB) 48.0 is outside"),
        (-30.0, -32.0, "median VV (dB) -30.0 is outside"),
        (-12.0, -40.0, "median VH (dB) -40.0 is outside"),
        (-19.0, -12.0, "VH is not below VV"),
        (None, None, "no pixel with a value"),
    ],
)
def test_uncalibrated_empty_or_swapped_backscatter_blocks_the_date(vv, vh, said):
    found = calibration_plausible({"median VV (dB)": vv, "median VH (dB)": vh}, None, DAY)
    assert said in found.problem
    assert found.severe


@pytest.mark.parametrize(
    ("full", "part", "none", "problem", "severe"),
    [
        (90, 5, 5, "", False),
        (70, 10, 20, "20 of 100 corridors are not on the image", False),
        (0, 0, 100, "none of 100 corridors is on the image", True),
    ],
)
def test_coverage_warns_of_some_and_blocks_without_any_corridor(full, part, none, problem, severe):
    reported = {
        "corridors fully covered": full,
        "corridors partly covered": part,
        "corridors not covered": none,
    }
    found = corridors_covered(reported, None, DAY)
    assert problem in found.problem
    assert bool(found.problem) == bool(problem)
    assert found.severe == severe


def test_ready_made_rasters_count_no_corridors():
    assert not corridors_covered({}, None, DAY).problem


def test_a_date_without_slices_is_a_warning_with_the_reason(tmp_path):
    world = pipeline(tmp_path, acquisition(DAY), acquisition("2018-01-15", state="incomplete"))
    assert not slices_complete({}, world, DAY).problem
    found = slices_complete({}, world, "2018-01-15")
    assert found.problem.startswith("incomplete")
    assert not found.severe


def test_labels_without_any_observation_are_a_warning():
    assert not labels_counted({"new negative": 3}, None, DAY).problem
    assert "no corridor is under observation" in labels_counted({"new unobserved": 9}, None, DAY).problem


@pytest.mark.parametrize(
    ("found", "hidden", "problem", "severe"),
    [
        (10, 0, "", False),
        (149, 0, "", False),
        (200, 0, "three times the budget", False),
        (501, 0, "then make detections again", True),
        (300, 500, "then make detections again", True),
    ],
)
def test_detections_beyond_the_budget_warn_and_half_of_all_corridors_block(
    tmp_path, found, hidden, problem, severe
):
    reported = {"dagster/row_count": 1000, "detections": found, "not observable": hidden}
    verdict = detections_within_budget(reported, pipeline(tmp_path), DAY)
    assert problem in verdict.problem
    assert bool(verdict.problem) == bool(problem)
    assert verdict.severe == severe


def test_a_handful_of_detections_in_a_small_area_is_no_alarm(tmp_path):
    reported = {"dagster/row_count": 12, "detections": 9, "not observable": 0}
    assert not detections_within_budget(reported, pipeline(tmp_path), DAY).problem


def test_a_date_whose_previous_one_failed_says_so(tmp_path):
    world = pipeline(tmp_path, acquisition("2018-01-03"), acquisition(DAY))
    assert not previous_date_processed({}, world, "2018-01-03").problem
    assert "2018-01-03 has no patches" in previous_date_processed({}, world, DAY).problem
    world.layout.corridor_patches("2018-01-03").parent.mkdir(parents=True)
    world.layout.corridor_patches("2018-01-03").touch()
    assert not previous_date_processed({}, world, DAY).problem


def test_a_blocking_check_stops_its_date_and_no_other(tmp_path):
    """Through Dagster: what one asset reports of a date decides whether the next one runs."""
    partitions = dg.StaticPartitionsDefinition([DAY, "2018-01-15"])
    medians = {DAY: (48.0, 41.0), "2018-01-15": (-12.0, -19.0)}

    @dg.asset(partitions_def=partitions)
    def sigma0(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        vv, vh = medians[context.partition_key]
        return dg.MaterializeResult(metadata={"median VV (dB)": vv, "median VH (dB)": vh})

    @dg.asset(partitions_def=partitions, deps=[sigma0])
    def bulletin() -> None: ...

    checks = date_checks([dg.AssetSpec("sigma0", partitions_def=partitions)])
    settings_file = tmp_path / "none.toml"
    done: dict[str, set[str]] = {}
    known: dict[str, set[Item]] = {}
    for day in medians:
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [sigma0, bulletin, *checks],
                partition_key=day,
                instance=instance,
                resources={"pipeline": Pipeline(settings_file=str(settings_file))},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
            materialised = result.get_asset_materialization_events()
            done[day] = {event.asset_key.to_user_string() for event in materialised}
            known[day] = set(latest_events(instance, [Chain(day, (Step("sigma0"),))], GUARDS))
    assert done == {DAY: {"sigma0"}, "2018-01-15": {"sigma0", "bulletin"}}
    # What was refused does not count as made.
    assert known == {DAY: set(), "2018-01-15": {("sigma0", "2018-01-15")}}


def test_checks_have_names_of_their_own_and_assets_that_exist(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        names = {spec.key.to_user_string() for spec in OperationsDesk(tmp_path, instance).fresh_specs()}
    assert {one.asset for one in DATE_CHECKS} <= names
    assert len({(one.asset, one.name) for one in DATE_CHECKS}) == len(DATE_CHECKS)


@pytest.fixture
def desk(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        desk = OperationsDesk(tmp_path, instance)
        desk.register(*map(acquisition, ("2018-01-03", DAY)))
        desk.prepare()
        yield desk


def late(desk, after=timedelta()):
    return late_dates(desk.instance, desk.specs, desk.partitions, datetime.now(UTC) + after)


def test_bulletins_are_late_a_day_after_their_products(desk):
    soon, next_day = GRACE - timedelta(hours=1), GRACE + timedelta(hours=1)
    assert late(desk, soon) == {}
    assert set(late(desk, next_day)) == {"2018-01-03", DAY}
    desk.work()
    assert late(desk, next_day) == {}


def test_a_bulletin_from_products_that_changed_is_late(desk):
    desk.work()
    desk.register(acquisition(DAY, version="2"))
    assert list(late(desk, GRACE + timedelta(hours=1))) == [DAY]


def test_a_date_that_cannot_be_made_is_late_and_says_what_it_waits_for(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        desk = OperationsDesk(tmp_path, instance)
        desk.register(acquisition(DAY))
        desk.prepare("reference_sigma0")
        desk.work()
        (found,) = late(desk, GRACE + timedelta(hours=1)).values()
        assert found.waiting_for == (("reference_sigma0", "2017-18"),)


def problem_of_bulletins(desk, monkeypatch):
    monkeypatch.setattr(checks, "GRACE", timedelta())
    (check, _) = service_checks(desk.specs, desk.partitions)
    return check(dg.build_asset_check_context(instance=desk.instance)).description


def test_late_dates_of_a_new_season_name_its_reference_as_the_remedy(tmp_path, monkeypatch):
    """Before and after what can be made without it is made."""
    with dg.DagsterInstance.ephemeral() as instance:
        desk = OperationsDesk(tmp_path, instance)
        desk.register(acquisition(DAY))
        desk.prepare("reference_sigma0")
        remedy = "materialise reference_sigma0 2017-18, which nothing makes by itself"
        assert remedy in problem_of_bulletins(desk, monkeypatch)
        desk.work()
        assert remedy in problem_of_bulletins(desk, monkeypatch)
        desk.make("reference_sigma0", "2017-18")
        assert "see its last run" in problem_of_bulletins(desk, monkeypatch)
