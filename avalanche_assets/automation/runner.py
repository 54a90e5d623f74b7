"""Materialising what is missing, stage by stage, in this process and on the Dagster instance of DAGSTER_HOME.

For one machine without a daemon: the demo, a first backfill, tests. The daemon's own backfills and schedules
do the same through the same jobs. What is materialised already is left alone; a date that fails is reported
and left out of the later stages, and stops no other date.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock, Timeout

from avalanche_assets.automation.missing import missing_partitions, of_season, stage_job
from avalanche_assets.automation.retries import COMMAND_LINE
from avalanche_assets.automation.stages import STAGES, Stage
from avalanche_assets.catalogue.acquisitions import read_catalogue, season_of
from avalanche_assets.catalogue.season import season_spans
from avalanche_assets.definitions import build_definitions
from avalanche_assets.errors import SettingsError
from avalanche_assets.settings import Settings, load_settings

Progress = Callable[[str], None]
STANDSTILL = ("avalanche_assets.errors.AccountError", "avalanche_assets.errors.DiskError")
"""What is wrong for all dates; anything else is the failure of one."""
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class RunReport:
    """What a run did.

    Attributes:
        materialised: Runs that succeeded.
        failures: Per failed partition (or stage without partitions) what the error said.
    """

    materialised: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def register_season(settings_file: Path, instance: dg.DagsterInstance, season: str) -> RunReport:
    """Lists all acquisitions of a past season in the catalogue.

    Raises:
        CatalogueError: No season is called so; nothing was asked.
        SettingsError: As `materialise_missing`.
    """
    report, settings = RunReport(), load_settings(settings_file)
    season_spans(season, settings.season.reference_months)
    _require_same_data_root(settings, instance)
    with _alone(instance):
        _register(settings_file, instance, season, report)
    return report


def _register(settings_file: Path, instance: dg.DagsterInstance, season: str, report: RunReport) -> None:
    job = build_definitions(settings_file).get_repository_def().get_job("register_season")
    config = {"ops": {"acquisition_catalogue": {"config": {"season": season}}}}
    _materialise(job, None, instance, report, config)


def materialise_missing(
    settings_file: Path, instance: dg.DagsterInstance, progress: Progress, season: str | None = None
) -> RunReport:
    """Materialises every missing partition of every asset, in flow order.

    Args:
        settings_file: Of the deployment.
        instance: Knows what is materialised.
        progress: Gets a line after each stage.
        season: Only dates of this season; all when None.

    Raises:
        SettingsError: The settings file cannot be used, the instance belongs to another data root, or another
            such run is at work on it.
    """
    with _alone(instance):
        return _materialise_stages(settings_file, instance, progress, season)


def _materialise_stages(
    settings_file: Path, instance: dg.DagsterInstance, progress: Progress, season: str | None
) -> RunReport:
    report = RunReport()
    renewed: set[str] = set()
    compared: set[str] = set()
    definitions, settings = build_definitions(settings_file), load_settings(settings_file)
    _require_same_data_root(settings, instance)
    catalogue = settings.layout.acquisition_catalogue
    for position, stage in enumerate(STAGES):
        job = stage_job(definitions, stage)
        if job is None:
            continue
        started = time.monotonic()
        # The catalogue asks its source each time; everything else is left alone once it is there.
        missing = {None} if position == 0 else missing_partitions(job, stage, instance)
        if stage.name == "report_season":
            # A date that has joined makes the report on its season an old one.
            missing |= renewed
        if stage.name in ("score", "detect"):
            missing |= compared
        asked = missing if season is None else missing & of_season(settings, season)
        wanted = sorted((key for key in asked if key not in report.failures), key=str)
        for key in wanted:
            _materialise(job, key, instance, report)
            if stage.name == "detect" and key not in report.failures:
                # Tracks, and what a bulletin says of the season so far, begin at the earlier dates.
                later = [day for day in _later_in_season(settings, key) if day not in report.failures]
                wanted += [day for day in later if day not in wanted]
            if any(name in report.failures.get(key or stage.name, "") for name in STANDSTILL):
                # The next date would fail too, and services lock accounts that keep on trying.
                progress(f"       stopped: {report.failures[key or stage.name]}")
                return report
        done = [key for key in wanted if (key or stage.name) not in report.failures]
        progress(_line(position + 1, stage, len(wanted), len(wanted) - len(done), time.monotonic() - started))
        if stage.name in report.failures and not (position == 0 and catalogue.exists()):
            progress("       stopped: the later stages need this one")
            break
        if stage.name == "cut_patches":
            compared = _compared_with(settings, done)
        if stage.name == "detect":
            renewed = {season_of(date.fromisoformat(key)) for key in done if key is not None}
        if position == 0:
            # Partitions are built when definitions load: load them again now that the dates are known.
            definitions = build_definitions(settings_file)
    return report


@contextmanager
def _alone(instance: dg.DagsterInstance) -> Iterator[None]:
    """One run from the command line at a time; those that a killed one left behind are ended.

    Otherwise they would hold their places in the pool of downloads for ever: nothing else watches them.
    """
    lock = FileLock(Path(instance.root_directory) / "command_line.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"DAGSTER_HOME {instance.root_directory}: another run from the command line is at work on this "
            "instance; wait for it, or stop it"
        ) from None
    try:
        left = [status for status in dg.DagsterRunStatus if status not in FINISHED]
        for run in instance.get_runs(dg.RunsFilter(tags=COMMAND_LINE, statuses=left)):
            instance.report_run_failed(run, "Its process ended without a word; it is made again.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        yield
    finally:
        lock.release()


def _later_in_season(settings: Settings, day: str | None) -> list[str]:
    if day is None:
        return []
    known = read_catalogue(settings.layout.acquisition_catalogue)
    season = known.get(day).season
    there = of_season(settings, season)
    return [one for one in known.dates("winter", season) if one > day and one in there]


def _compared_with(settings: Settings, days: Collection[str | None]) -> set[str]:
    """The dates whose previous acquisition is among `days`: what it brings makes them others."""
    known = read_catalogue(settings.layout.acquisition_catalogue, settings.season.max_gap_days)
    before = {day: known.previous(day) for day in known.dates("winter")}
    return {day for day, previous in before.items() if previous and str(previous.date) in days}


def _require_same_data_root(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Otherwise what another deployment materialised would count as done here."""
    event = instance.get_latest_materialization_event(dg.AssetKey("acquisition_catalogue"))
    if event is None or event.asset_materialization is None:
        return
    known = event.asset_materialization.metadata["dagster/uri"].value
    if known != str(settings.layout.acquisition_catalogue):
        raise SettingsError(
            f"DAGSTER_HOME {instance.root_directory}: this instance holds the results of {known}; "
            f"use another DAGSTER_HOME for the data root {settings.data_root}"
        )


def _materialise(
    job: dg.JobDefinition,
    partition: str | None,
    instance: dg.DagsterInstance,
    report: RunReport,
    config: Mapping[str, Any] | None = None,
) -> None:
    result = job.execute_in_process(
        instance=instance,
        partition_key=partition,
        run_config={**QUIET, **(config or {})},
        tags=COMMAND_LINE,
        raise_on_error=False,
    )
    if result.success:
        report.materialised += 1
        return
    failures = [event for event in result.all_events if event.is_step_failure or event.is_job_failure]
    for event in failures:
        error = (event.step_failure_data if event.is_step_failure else event.job_failure_data).error
        if error and error.cls_name == "DagsterExecutionInterruptedError":
            raise KeyboardInterrupt
    step = next((event for event in failures if event.is_step_failure), None)
    if step is None:
        report.failures[partition or job.name] = "the run failed before its first step; see the Dagster UI"
        return
    error = step.step_failure_data.error
    cause = error.cause if error and error.cause else error
    message = cause.message.strip() if cause else "unknown error"
    report.failures[partition or job.name] = f"{step.step_key}: {message}"


def _line(number: int, stage: Stage, count: int, failed: int, seconds: float) -> str:
    done = "up to date" if count == 0 else f"{count - failed} done" + (f", {failed} FAILED" if failed else "")
    return f"{number:>2}/{len(STAGES)}  {stage.title:<28} {done:<20} {seconds:6.1f} s"
