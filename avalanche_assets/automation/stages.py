"""The graph in the order in which it is run: one job a stage, from the command line or the UI."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

import dagster as dg

from avalanche_assets.settings import ModelName

Demand = Literal["download", "compute", "train"]
"""What a step keeps busy: the network, a core for seconds to minutes, or all cores for hours."""
REQUESTS: dict[Demand, dict[str, str]] = {
    "download": {"cpu": "250m", "memory": "1Gi"},
    "compute": {"cpu": "1", "memory": "6Gi"},
    "train": {"cpu": "4", "memory": "8Gi"},
}
"""Of a pod on Kubernetes."""
CPU_LIMIT: dict[Demand, str] = {"download": "1", "compute": "2", "train": "16"}


@dataclass(frozen=True)
class Stage:
    """Assets that run together, one run per partition.

    Attributes:
        name: Name of the Dagster job.
        title: What an operator reads.
        assets: Names of the assets; those that a deployment lacks are left out.
        demand: What its runs ask of a machine.
    """

    name: str
    title: str
    assets: tuple[str, ...]
    demand: Demand = "compute"

    @property
    def run_tags(self) -> dict[str, Any]:
        """Where a run of it goes: to a queue of Celery, into a pod of this size; ignored on one machine."""
        request = REQUESTS[self.demand]
        limits = {"cpu": CPU_LIMIT[self.demand], "memory": request["memory"]}
        return {
            "dagster-celery/queue": self.demand,
            "dagster-k8s/config": {
                "container_config": {"resources": {"requests": request, "limits": limits}},
            },
        }


STAGES = (
    Stage("find_acquisitions", "Acquisition catalogue", ("acquisition_catalogue",), "download"),
    Stage("fetch_products", "Products and orbits", ("s1_products", "orbit_files"), "download"),
    Stage(
        "prepare_ground",
        "Terrain and inventory",
        ("dem", "slope_aspect", "track_geometry", "corridors", "avalanche_events", "terrain_patches"),
    ),
    Stage("compute_sigma0", "Terrain-corrected sigma0", ("sigma0",)),
    Stage("compute_reference", "Snow-free reference", ("reference_sigma0",)),
    Stage("cut_patches", "VV*/VH*, patches, labels", ("vv_vh_star", "corridor_patches", "corridor_labels")),
    Stage("train", "Training", ("training_split", *get_args(ModelName)), "train"),
    Stage("score", "Anomaly scores", ("anomaly_scores",)),
    Stage(
        "choose_thresholds",
        "Thresholds and evaluation",
        ("score_background", "thresholds", "evaluation"),
    ),
    Stage("register_model", "Model registry", ("model_registry", "promoted_model")),
    Stage("detect", "Detections and bulletins", ("published_scores", "detections", "bulletin")),
    Stage("report_season", "Season report", ("season_report",)),
)


PRECISE_ORBITS = dg.AssetCheckKey(dg.AssetKey("orbit_files"), "precise_orbits")
"""A check of all dates together: it is looked at with the catalogue, not with each date."""


def stage_jobs(present: Collection[str]) -> list[Any]:
    """One job per stage that has assets in this deployment."""
    jobs = []
    for stage in STAGES:
        names = [name for name in stage.assets if name in present]
        if names:
            jobs.append(
                dg.define_asset_job(
                    stage.name,
                    _selection(names, present),
                    description=stage.title,
                    run_tags=stage.run_tags,
                )
            )
    return jobs


def _selection(names: Collection[str], present: Collection[str]) -> dg.AssetSelection:
    selection: dg.AssetSelection = dg.AssetSelection.assets(*names)
    if "orbit_files" not in present:
        return selection
    of_all_dates = dg.AssetSelection.checks(PRECISE_ORBITS)
    return selection | of_all_dates if "acquisition_catalogue" in names else selection - of_all_dates
