"""What the instance has not seen made yet, stage by stage."""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from avalanche_assets.automation.checks import GUARDS
from avalanche_assets.automation.made import refused
from avalanche_assets.automation.stages import STAGES, Stage
from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.definitions import build_definitions
from avalanche_assets.settings import Settings, load_settings


def stage_job(definitions: dg.Definitions, stage: Stage) -> dg.JobDefinition | None:
    """The job of a stage; None where the deployment has none of its assets."""
    repository = definitions.get_repository_def()
    return repository.get_job(stage.name) if repository.has_job(stage.name) else None


def missing_partitions(job: dg.JobDefinition, stage: Stage, instance: dg.DagsterInstance) -> set[str | None]:
    """Partitions of which an asset of a stage is missing; None where the stage has no partitions.

    What a blocking check has refused is missing.
    """
    keys = [dg.AssetKey(name) for name in _present(job, stage)]
    partitions = job.partitions_def
    if partitions is None:
        return set() if all(instance.get_latest_materialization_event(key) for key in keys) else {None}
    done = set.intersection(*(set(instance.get_materialized_partitions(key)) for key in keys))
    done -= {day for key in keys for day in refused(instance, GUARDS, key.to_user_string())}
    return {key for key in partitions.get_partition_keys() if key not in done}


def of_season(settings: Settings, season: str) -> set[str | None]:
    """What can be made of a season: its dates but the withdrawn ones, itself, and all without partitions."""
    known = read_catalogue(settings.layout.acquisition_catalogue).acquisitions
    dates = (str(one.date) for one in known if one.season == season and one.state != "withdrawn")
    return {None, season, *dates}


def missing_of_season(
    settings_file: Path, instance: dg.DagsterInstance, season: str
) -> Mapping[str, list[str | None]]:
    """The missing partitions of a season by asset, in flow order; the catalogue itself is left out."""
    definitions = build_definitions(settings_file)
    wanted = of_season(load_settings(settings_file), season)
    found: dict[str, list[str | None]] = {}
    for stage in STAGES[1:]:
        job = stage_job(definitions, stage)
        if job is not None and (missing := missing_partitions(job, stage, instance) & wanted):
            found |= dict.fromkeys(_present(job, stage), sorted(missing, key=str))
    return found


def _present(job: dg.JobDefinition, stage: Stage) -> list[str]:
    there = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    return [name for name in stage.assets if name in there]
