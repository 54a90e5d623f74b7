"""The one place Dagster loads."""

import os
from pathlib import Path

import dagster as dg

from avalanche_assets.assets.acquisition import (
    acquisition_catalogue_asset,
    acquisition_spec,
    precise_orbits_check,
    product_assets,
)
from avalanche_assets.assets.backscatter import reference_assets, sigma0_from_products, sigma0_from_rasters
from avalanche_assets.assets.detection import (
    anomaly_scores_asset,
    detection_assets,
    published_scores_asset,
)
from avalanche_assets.assets.inventory import avalanche_events_asset, corridors_asset
from avalanche_assets.assets.learning import (
    decision_assets,
    detector_assets,
    training_split_asset,
    untrained_detector_assets,
)
from avalanche_assets.assets.patches import (
    corridor_labels_asset,
    corridor_patches_asset,
    terrain_patches_asset,
)
from avalanche_assets.assets.registry import registry_assets
from avalanche_assets.assets.schema_checks import schema_checks
from avalanche_assets.assets.terrain import terrain_assets, track_geometry_asset
from avalanche_assets.automation.acquiring import acquisition_jobs, watch_source
from avalanche_assets.automation.alerts import alert_sensors
from avalanche_assets.automation.checks import date_checks, service_checks
from avalanche_assets.automation.due import specs_of
from avalanche_assets.automation.new_dates import process_new_dates
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.automation.presentation import presented
from avalanche_assets.automation.promotion import promote_job, promotion_check
from avalanche_assets.automation.retries import try_again_later
from avalanche_assets.automation.stages import stage_jobs
from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.layout_version import check_layout
from avalanche_assets.resources.code_location import CodeLocation
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.settings import SETTINGS_VARIABLE, Settings, load_settings


def build_assets(settings: Settings) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The asset graph of a deployment, in flow order.

    With an elevation model the whole chain, from SAFE products or ready-made rasters; without one only what
    needs no terrain: sigma0, VV*/VH*, patches and the scores of detectors that need not learn.
    """
    catalogue = read_catalogue(settings.layout.acquisition_catalogue, settings.season.max_gap_days)
    partitions = Partitions(catalogue, settings)
    found = acquisition_catalogue_asset()
    acquisition = acquisition_spec(partitions, found)
    if settings.terrain is None:
        corridors = corridors_asset(None)
        sigma0 = sigma0_from_rasters(partitions, acquisition)
        reference, star = reference_assets(partitions, sigma0)
        patches = corridor_patches_asset(partitions, star, corridors, None, None)
        detectors = untrained_detector_assets()
        scores = anomaly_scores_asset(partitions, patches, None, detectors)
        return [found, acquisition, corridors, sigma0, reference, star, patches, *detectors, scores]

    dem, slope_aspect = terrain_assets()
    corridors = corridors_asset(dem)
    events = avalanche_events_asset(corridors)
    geometry: dg.AssetsDefinition | None = None
    fetched: list[dg.AssetsDefinition] = []
    if settings.source.kind != "raster_folder":
        products, orbits = product_assets(partitions, acquisition)
        geometry = track_geometry_asset(partitions, dem, orbits)
        sigma0 = sigma0_from_products(partitions, acquisition, products, orbits, dem, geometry, corridors)
        fetched = [products, orbits, geometry]
    else:
        sigma0 = sigma0_from_rasters(partitions, acquisition)
    reference, star = reference_assets(partitions, sigma0)
    terrain_patches = terrain_patches_asset(dem, slope_aspect, corridors, geometry)
    patches = corridor_patches_asset(partitions, star, corridors, geometry, dem)
    labels = corridor_labels_asset(partitions, corridors, events)
    split = training_split_asset(partitions, found, corridors, labels)
    detectors = detector_assets(
        partitions, settings.learning.detectors, split, terrain_patches, patches, labels
    )
    scores = anomaly_scores_asset(partitions, patches, terrain_patches, detectors)
    decisions = decision_assets(
        partitions, split, scores, labels, patches, corridors, terrain_patches, *detectors
    )
    background, thresholds, evaluation = decisions
    registry, promoted = registry_assets(evaluation, background, thresholds, *detectors)
    published = published_scores_asset(partitions, scores, patches, promoted)
    return [
        found,
        acquisition,
        *fetched,
        *(dem, slope_aspect, corridors, events),
        *(sigma0, reference, star, terrain_patches, patches, labels),
        *(split, *detectors, scores, *decisions, registry, promoted, published),
        *detection_assets(partitions, published, patches, promoted, evaluation),
    ]


def build_definitions(settings_file: Path, webserver: str = "") -> dg.Definitions:
    """Assets, jobs and resources of the deployment that `settings_file` describes.

    Raises:
        SettingsError: The settings file cannot be used, or the data root has another layout than this code.
    """
    settings = load_settings(settings_file)
    check_layout(settings.layout)
    catalogue = read_catalogue(settings.layout.acquisition_catalogue, settings.season.max_gap_days)
    partitions = Partitions(catalogue, settings)
    assets = presented(build_assets(settings), partitions, remote=settings.source.remote)
    specs = specs_of(assets)
    names = {spec.key.to_user_string() for spec in specs}
    jobs = [*stage_jobs(names), *acquisition_jobs(names, settings.learning.season)]
    checks = [
        *([precise_orbits_check()] if "orbit_files" in names else []),
        *schema_checks(names),
        *date_checks(specs),
        *service_checks(specs, partitions),
    ]
    if "promoted_model" in names:
        jobs.append(promote_job())
        checks.append(promotion_check())
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=jobs,
        schedules=[watch_source(jobs[0], running=settings.source.remote)],
        sensors=[
            process_new_dates(specs, partitions, remote=settings.source.remote),
            try_again_later(specs, running=settings.source.remote),
            *alert_sensors(settings),
        ],
        resources={
            "pipeline": Pipeline(settings_file=str(settings_file)),
            "code_location": CodeLocation(webserver=webserver),
        },
        # A process per step costs three seconds more than the work of most steps (docs/architecture.md).
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Loaded by Dagster; the settings file and the web server are named by the environment."""
    return build_definitions(
        Path(os.environ.get(SETTINGS_VARIABLE, "avalanche.toml")).resolve(),
        os.environ.get("AVALANCHE_WEBSERVER", ""),
    )
