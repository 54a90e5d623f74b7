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
from avalanche_assets.assets.detection import anomaly_scores_asset, detection_assets
from avalanche_assets.assets.inventory import avalanche_events_asset, corridors_asset
from avalanche_assets.assets.learning import change_threshold_asset, decision_assets, training_assets
from avalanche_assets.assets.patches import (
    corridor_labels_asset,
    corridor_patches_asset,
    terrain_patches_asset,
)
from avalanche_assets.assets.schema_checks import schema_checks
from avalanche_assets.assets.terrain import terrain_assets, track_geometry_asset
from avalanche_assets.automation.acquiring import acquisition_jobs, watch_source
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.automation.stages import stage_jobs
from avalanche_assets.catalogue.acquisitions import read_catalogue
from avalanche_assets.resources.code_location import CodeLocation
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.settings import SETTINGS_VARIABLE, Settings, load_settings


def build_assets(settings: Settings) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The asset graph of a deployment, in flow order.

    With an elevation model the whole chain, from SAFE products or ready-made rasters; without one only what
    needs no terrain: sigma0, VV*/VH*, patches and the scores of the detector that learns nothing.
    """
    catalogue = read_catalogue(settings.layout.acquisition_catalogue, settings.season.max_gap_days)
    partitions = Partitions(catalogue, settings)
    found, baseline = acquisition_catalogue_asset(), change_threshold_asset()
    acquisition = acquisition_spec(partitions, found)
    if settings.terrain is None:
        corridors = corridors_asset(None)
        sigma0 = sigma0_from_rasters(partitions, acquisition)
        reference, star = reference_assets(partitions, sigma0)
        patches = corridor_patches_asset(partitions, star, corridors, None, None)
        scores = anomaly_scores_asset(partitions, patches, baseline, None, None)
        return [found, acquisition, corridors, sigma0, reference, star, patches, baseline, scores]

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
    split, vae = training_assets(partitions, found, corridors, terrain_patches, patches, labels)
    scores = anomaly_scores_asset(partitions, patches, baseline, terrain_patches, vae)
    thresholds, evaluation = decision_assets(partitions, split, scores, labels)
    return [
        found,
        acquisition,
        *fetched,
        *(dem, slope_aspect, corridors, events),
        *(sigma0, reference, star, terrain_patches, patches, labels),
        *(split, vae, baseline, scores, thresholds, evaluation),
        *detection_assets(partitions, scores, patches, thresholds, vae, baseline, evaluation),
    ]


def build_definitions(settings_file: Path, webserver: str = "") -> dg.Definitions:
    """Assets, jobs and resources of the deployment that `settings_file` describes.

    Raises:
        SettingsError: The settings file cannot be used.
    """
    settings = load_settings(settings_file)
    assets = build_assets(settings)
    names = {asset.key.to_user_string() for asset in assets}
    jobs = [*stage_jobs(names), *acquisition_jobs(names, settings.learning.season)]
    return dg.Definitions(
        assets=assets,
        asset_checks=[*([precise_orbits_check()] if "orbit_files" in names else []), *schema_checks(names)],
        jobs=jobs,
        schedules=[watch_source(jobs[0], running=settings.source.remote)],
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
