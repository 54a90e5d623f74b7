"""The code location of `benchmarks.orchestration`: the real graph, whose assets do nothing.

Partitions, mappings, pools, jobs, checks and sensor are those of the deployment, so that what is left of the
time is orchestration.
"""

import os
from pathlib import Path

import dagster as dg

from avalanche_assets.assets.acquisition import DOWNLOADS
from avalanche_assets.automation.due import OBSERVED, specs_of
from avalanche_assets.automation.new_dates import process_new_dates
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.automation.stages import stage_jobs
from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.definitions import build_assets
from avalanche_assets.settings import SETTINGS_VARIABLE, load_settings

POLICY, SENSOR = "HOLLOW_POLICY", "HOLLOW_SENSOR"
DOWNLOADING = ("s1_products", "orbit_files")


def hollow_asset(spec: dg.AssetSpec, policy: dg.BackfillPolicy | None) -> dg.AssetsDefinition:
    """An asset of the same name, partitions and inputs that does nothing."""
    name = spec.key.to_user_string()

    @dg.asset(
        name=name,
        deps=list(spec.deps),
        partitions_def=spec.partitions_def,
        code_version=spec.code_version,
        backfill_policy=policy if spec.partitions_def else None,
        pool=DOWNLOADS if name in DOWNLOADING else None,
    )
    def made() -> None:
        """Nothing."""

    return made


def build(settings_file: Path, _: str = "") -> dg.Definitions:
    """The hollow deployment."""
    settings = load_settings(settings_file)
    catalogue = read_catalogue(settings.layout.acquisition_catalogue, settings.season.max_gap_days)
    policy = dg.BackfillPolicy.single_run() if os.environ.get(POLICY) == "single_run" else None
    specs = specs_of(build_assets(settings))
    assets = [spec if spec.key == OBSERVED else hollow_asset(spec, policy) for spec in specs]
    # Without the check of orbits, which has no hollow counterpart.
    names = {spec.key.to_user_string() for spec in specs}
    sensing = os.environ.get(SENSOR) == "on"
    return dg.Definitions(
        assets=assets,
        jobs=[job for job in stage_jobs(names - {"orbit_files"}) if job.name != "fetch_products"]
        + [dg.define_asset_job("fetch_products", dg.AssetSelection.assets(*DOWNLOADING))],
        sensors=[process_new_dates(specs, Partitions(catalogue, settings), remote=True)] if sensing else [],
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Loaded by Dagster."""
    return build(Path(os.environ[SETTINGS_VARIABLE]))
