"""One finished tiny season for all tests that need one, and copies of it that a test may break."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from avalanche_assets.automation.due import OBSERVED, specs_of
from avalanche_assets.automation.runner import RunReport, materialise_missing
from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue, read_catalogue
from avalanche_assets.definitions import build_assets, build_definitions
from avalanche_assets.detectors.base import RECIPES
from avalanche_assets.files import sha256
from avalanche_assets.layout import DataLayout
from avalanche_assets.settings import Settings, load_settings
from avalanche_assets.simulation.season import simulate_season

INSTANCE_FILE = Path(__file__).resolve().parents[1] / "deploy" / "local" / "dagster.yaml"
Forget = Callable[[str, str | None], bool]


@dataclass(frozen=True)
class Deployment:
    """A settings file, what lies beside it, and the Dagster instance that remembers what was made."""

    settings_file: Path
    instance: dg.DagsterInstance

    @property
    def folder(self) -> Path:
        return self.settings_file.parent

    @property
    def settings(self) -> Settings:
        return load_settings(self.settings_file)

    @property
    def layout(self) -> DataLayout:
        return self.settings.layout

    @property
    def catalogue(self) -> AcquisitionCatalogue:
        return read_catalogue(self.layout.acquisition_catalogue, self.settings.season.max_gap_days)

    def run(self) -> RunReport:
        return materialise_missing(self.settings_file, self.instance, lambda line: None)

    def materialise(self, stage: str, partition: str | None = None) -> str:
        """Runs one stage whether it was done before or not; what the failed step said, or nothing."""
        job = build_definitions(self.settings_file).get_repository_def().get_job(stage)
        result = job.execute_in_process(
            instance=self.instance,
            partition_key=partition,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        failed = [event for event in result.all_events if event.is_step_failure]
        assert result.success == (not failed)
        return failed[0].step_failure_data.error.cause.message if failed else ""

    def expected(self) -> Iterator[tuple[str, str | None]]:
        """Every asset of the graph with every partition it has, None for an asset without partitions."""
        graph = build_definitions(self.settings_file).resolve_asset_graph()
        for key in graph.materializable_asset_keys:
            partitions = graph.get(key).partitions_def
            for partition in partitions.get_partition_keys() if partitions else [None]:
                yield key.to_user_string(), partition

    def materialised(self) -> set[tuple[str, str | None]]:
        """What the instance knows to be there."""
        found: set[tuple[str, str | None]] = set()
        for key in self.instance.get_asset_keys():
            if self.instance.get_latest_materialization_event(key) is None:
                continue  # only observed
            partitions = self.instance.get_materialized_partitions(key)
            found |= {(key.to_user_string(), partition) for partition in partitions or [None]}
        return found

    def stored(self, asset: str, partition: str | None) -> Path:
        """File or folder of a stored partition."""
        if asset in RECIPES:
            return self.layout.model(asset)
        place = getattr(self.layout, asset)
        return place(partition) if partition else place

    def hashes(self) -> dict[str, str]:
        """Content of every file below the data root."""
        root = self.layout.root
        return {str(path.relative_to(root)): sha256(path) for path in root.rglob("*") if path.is_file()}

    def copy(self, folder: Path, forget: Forget = lambda asset, partition: False) -> "Deployment":
        """The same deployment elsewhere, without the partitions to forget; products are links."""
        for name in ("data", "inventory", "orbits"):
            shutil.copytree(self.folder / name, folder / name)
        for name in ("dem.tif", self.settings_file.name):
            shutil.copy(self.folder / name, folder)
        (folder / "products").mkdir()
        for product in (self.folder / "products").iterdir():
            (folder / "products" / product.name).symlink_to(product)
        copied = Deployment(folder / self.settings_file.name, dg.DagsterInstance.ephemeral())
        for asset, partition in self.materialised():
            if forget(asset, partition):
                path = copied.stored(asset, partition)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                second = {"corridor_patches": "scene_levels", "detections": "residuals"}.get(asset)
                if second and partition:
                    getattr(copied.layout, second)(partition).unlink()
            else:
                where = {"dagster/uri": str(copied.stored(asset, partition))}
                event = dg.AssetMaterialization(dg.AssetKey(asset), metadata=where, partition=partition)
                copied.instance.report_runless_asset_event(event)
        return copied


@dataclass(frozen=True)
class FinishedSeason(Deployment):
    """The tiny season after one run of the whole graph.

    Attributes:
        truth: What really happened; it was moved away before the run, so that no asset can have read it.
        report: What the run said.
    """

    truth: Path
    report: RunReport


def remember(copied: Deployment, instance: dg.DagsterInstance) -> None:
    """Tells an instance of what is there, in the order in which it is made."""
    made = copied.materialised()
    for item in copied.catalogue.acquisitions:
        instance.report_runless_asset_event(dg.AssetObservation(OBSERVED, partition=str(item.date)))
    for spec in specs_of(build_assets(copied.settings)):
        name = spec.key.to_user_string()
        for _, partition in sorted((one for one in made if one[0] == name), key=str):
            instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=partition))


@pytest.fixture(scope="session")
def tiny_season(tmp_path_factory) -> FinishedSeason:
    """The tiny season, simulated and run once; tests only read it."""
    folder = tmp_path_factory.mktemp("tiny") / "season"
    settings_file = simulate_season(folder, "tiny", progress=lambda line: None)
    truth = tmp_path_factory.mktemp("kept_apart") / "truth"
    shutil.move(folder / "truth", truth)
    home = tmp_path_factory.mktemp("dagster_home")
    shutil.copy(INSTANCE_FILE, home)
    instance = dg.DagsterInstance.from_config(str(home))
    report = materialise_missing(settings_file, instance, lambda line: None)
    return FinishedSeason(settings_file, instance, truth, report)
