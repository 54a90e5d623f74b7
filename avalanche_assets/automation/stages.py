"""The graph in the order in which it is run: one job a stage, from the command line or the UI."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class Stage:
    """Assets that run together, one run per partition.

    Attributes:
        name: Name of the Dagster job.
        title: What an operator reads.
        assets: Names of the assets; those that a deployment lacks are left out.
    """

    name: str
    title: str
    assets: tuple[str, ...]


STAGES = (
    Stage("find_acquisitions", "Acquisition catalogue", ("acquisition_catalogue",)),
    Stage("check_products", "Products and orbits", ("s1_products", "orbit_files")),
    Stage(
        "prepare_ground",
        "Terrain and inventory",
        ("dem", "slope_aspect", "track_geometry", "corridors", "avalanche_events", "terrain_patches"),
    ),
    Stage("compute_sigma0", "Terrain-corrected sigma0", ("sigma0",)),
    Stage("compute_reference", "Snow-free reference", ("reference_sigma0",)),
    Stage("cut_patches", "VV*/VH*, patches, labels", ("vv_vh_star", "corridor_patches", "corridor_labels")),
    Stage("train", "Training", ("training_split", "change_threshold", "vae")),
    Stage("score", "Anomaly scores", ("anomaly_scores",)),
    Stage("choose_thresholds", "Thresholds and evaluation", ("thresholds", "evaluation")),
    Stage("detect", "Detections and bulletins", ("detections", "bulletin")),
    Stage("report_season", "Season report", ("season_report",)),
)


def stage_jobs(present: Collection[str]) -> list[Any]:
    """One job per stage that has assets in this deployment."""
    jobs = []
    for stage in STAGES:
        names = [name for name in stage.assets if name in present]
        if names:
            jobs.append(
                dg.define_asset_job(stage.name, dg.AssetSelection.assets(*names), description=stage.title)
            )
    return jobs
