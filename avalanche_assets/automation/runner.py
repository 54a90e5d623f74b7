"""Materialising what is missing, stage by stage, in this process and on the Dagster instance of DAGSTER_HOME.

For one machine without a daemon: the demo, a first backfill, tests. The daemon's own backfills and schedules
do the same through the same jobs. What is materialised already is left alone; a date that fails is reported
and left out of the later stages, and stops no other date.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from avalanche_assets.automation.stages import STAGES, Stage
from avalanche_assets.catalogue.acquisitions import read_catalogue, season_of
from avalanche_assets.definitions import build_definitions
from avalanche_assets.errors import SettingsError
from avalanche_assets.settings import Settings, load_settings

Progress = Callable[[str], None]
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
    """Lists all acquisitions of a past season in the catalogue; raises as `materialise_missing`."""
    report = RunReport()
    _require_same_data_root(load_settings(settings_file), instance)
    job = build_definitions(settings_file).get_repository_def().get_job("register_season")
    config = {"ops": {"acquisition_catalogue": {"config": {"season": season}}}}
    _materialise(job, None, instance, report, config)
    return report


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
        SettingsError: The settings file cannot be used, or the instance belongs to another data root.
    """
    report = RunReport()
    renewed: set[str] = set()
    definitions, settings = build_definitions(settings_file), load_settings(settings_file)
    _require_same_data_root(settings, instance)
    catalogue = settings.layout.acquisition_catalogue
    for position, stage in enumerate(STAGES):
        job = _job(definitions, stage)
        if job is None:
            continue
        started = time.monotonic()
        # The catalogue asks its source each time; everything else is left alone once it is there.
        missing = {None} if position == 0 else _missing(definitions, stage, job, instance)
        if stage.name == "report_season":
            # A date that has joined makes the report on its season an old one.
            missing |= renewed
        asked = missing if season is None else missing & {None, season, *_dates(settings, season)}
        wanted = sorted((key for key in asked if key not in report.failures), key=str)
        for key in wanted:
            _materialise(job, key, instance, report)
        done = [key for key in wanted if (key or stage.name) not in report.failures]
        progress(_line(position + 1, stage, len(wanted), len(wanted) - len(done), time.monotonic() - started))
        if stage.name in report.failures and not (position == 0 and catalogue.exists()):
            progress("       stopped: the later stages need this one")
            break
        if stage.name == "detect":
            renewed = {season_of(date.fromisoformat(key)) for key in done if key is not None}
        if position == 0:
            # Partitions are built when definitions load: load them again now that the dates are known.
            definitions = build_definitions(settings_file)
    return report


def _dates(settings: Settings, season: str) -> list[str]:
    return read_catalogue(settings.layout.acquisition_catalogue).dates(season=season)


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


def _job(definitions: dg.Definitions, stage: Stage) -> dg.JobDefinition | None:
    repository = definitions.get_repository_def()
    return repository.get_job(stage.name) if repository.has_job(stage.name) else None


def _missing(
    definitions: dg.Definitions, stage: Stage, job: dg.JobDefinition, instance: dg.DagsterInstance
) -> set[str | None]:
    present = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    keys = [dg.AssetKey(name) for name in stage.assets if name in present]
    partitions = job.partitions_def
    if partitions is None:
        return set() if all(instance.get_latest_materialization_event(key) for key in keys) else {None}
    done = set.intersection(*(set(instance.get_materialized_partitions(key)) for key in keys))
    return {key for key in partitions.get_partition_keys() if key not in done}


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
        raise_on_error=False,
    )
    if result.success:
        report.materialised += 1
        return
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            if error and error.cls_name == "DagsterExecutionInterruptedError":
                raise KeyboardInterrupt
            cause = error.cause if error and error.cause else error
            message = cause.message.strip() if cause else "unknown error"
            report.failures[partition or job.name] = f"{event.step_key}: {message}"
            return
    report.failures[partition or job.name] = "the run failed before its first step; see the Dagster UI"


def _line(number: int, stage: Stage, count: int, failed: int, seconds: float) -> str:
    done = "up to date" if count == 0 else f"{count - failed} done" + (f", {failed} FAILED" if failed else "")
    return f"{number:>2}/{len(STAGES)}  {stage.title:<28} {done:<20} {seconds:6.1f} s"
