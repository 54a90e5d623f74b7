"""A deployment whose catalogue a test writes and whose runs it plays, to see what automation asks for."""

from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.test_utils import create_run_for_test
from minimal_settings import ARCHIVE, minimal_settings

from avalanche_assets.assets.acquisition import changed_offers
from avalanche_assets.automation.due import OBSERVED, date_chains, specs_of
from avalanche_assets.automation.failures import PARTITION
from avalanche_assets.automation.new_dates import process_new_dates
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.catalogue.acquisitions import (
    Acquisition,
    AcquisitionCatalogue,
    read_catalogue,
    season_of,
    write_catalogue,
)
from avalanche_assets.definitions import build_assets
from avalanche_assets.settings import Settings, load_settings

NOW = datetime(2018, 2, 1, 12, tzinfo=UTC)
REFERENCE_MONTHS = (8, 9)


def acquisition(day: str, version: str = "1", state: str = "complete") -> Acquisition:
    when = date.fromisoformat(day)
    role = "reference" if when.month in REFERENCE_MONTHS else "winter"
    overpass = datetime(when.year, when.month, when.day, 5, 43, tzinfo=UTC)
    products = () if state == "withdrawn" else (f"S1A_{day}",)
    return Acquisition(when, overpass, "S1A", 1, role, season_of(when), state, products, "", version)


class OperationsDesk:
    """Writes the catalogue, asks the sensor, plays the runs it requests."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.settings_file = folder / "avalanche.toml"
        self.settings_file.write_text(minimal_settings(ARCHIVE))
        self.instance = instance
        self.acquisitions: dict[date, Acquisition] = {}
        self.now = NOW
        self._locations: dict[str, tuple[list[dg.AssetSpec], dg.SensorDefinition]] = {}

    @property
    def settings(self) -> Settings:
        return load_settings(self.settings_file)

    @property
    def partitions(self) -> Partitions:
        catalogue = read_catalogue(self.settings.layout.acquisition_catalogue, 24)
        return Partitions(catalogue, self.settings)

    def fresh_specs(self) -> list[dg.AssetSpec]:
        """Of a deployment whose catalogue is still empty."""
        return specs_of(build_assets(self.settings))

    @property
    def specs(self) -> list[dg.AssetSpec]:
        return self._loaded()[0]

    def _loaded(self) -> tuple[list[dg.AssetSpec], dg.SensorDefinition]:
        """The code location, loaded again when the catalogue has changed."""
        table = self.settings.layout.acquisition_catalogue.read_text()
        if table not in self._locations:
            specs = specs_of(build_assets(self.settings))
            clock = lambda: self.now  # noqa: E731
            sensor = process_new_dates(specs, self.partitions, remote=True, now=clock)
            self._locations[table] = specs, sensor
        return self._locations[table]

    @property
    def _catalogue(self) -> AcquisitionCatalogue:
        return AcquisitionCatalogue(tuple(self.acquisitions[day] for day in sorted(self.acquisitions)))

    def register(self, *found: Acquisition) -> None:
        """What `acquisition_catalogue` does: write the table, observe what is new or different."""
        before = self._catalogue
        self.acquisitions |= {item.date: item for item in found}
        write_catalogue(self.settings.layout.acquisition_catalogue, self.acquisitions.values())
        for day, version in changed_offers(before, self._catalogue).items():
            tags = {"dagster/data_version": version}
            self.instance.report_runless_asset_event(
                dg.AssetObservation(OBSERVED, partition=str(day), tags=tags)
            )

    def chain(self, day: str) -> list[str]:
        """What is made of a date, in flow order."""
        season = season_of(date.fromisoformat(day))
        (found,) = (one for one in date_chains(self.specs, self.partitions, season) if one.partition == day)
        return [step.asset for step in found.steps]

    def make(self, asset: str, partition: str | None = None) -> None:
        """Materialised by hand."""
        self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition))

    def refuse(self, check: str, asset: str, day: str) -> None:
        """What a blocking check says of the latest that was made of a date."""
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[day])
        (record,) = self.instance.fetch_materializations(wanted, limit=1).records
        looked_at = AssetCheckEvaluationTargetMaterializationData(
            storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
        )
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(asset),
                check_name=check,
                passed=False,
                metadata={},
                target_materialization_data=looked_at,
                partition=day,
            )
        )

    def prepare(self, *leave_out: str) -> None:
        """Everything that automation does not make: terrain, inventory, models, the season's reference."""
        dated = {name for day in self.partitions.catalogue.dates() for name in self.chain(day)}
        for spec in self.specs:
            name = spec.key.to_user_string()
            if name in {*dated, *leave_out, "acquisition", "season_report"}:
                continue
            self.make(name, "2017-18" if spec.partitions_def else None)

    def ask(self) -> dg.RunRequest | str:
        """One tick of the sensor: the run it requests, or why it requests none."""
        _, sensor = self._loaded()
        with dg.build_sensor_context(instance=self.instance) as context:
            answer = sensor(context)
        return answer if isinstance(answer, dg.RunRequest) else str(answer.skip_message)

    def play(self, request: dg.RunRequest, fails_at: str | None = None) -> list[str]:
        """Does what a requested run would do; the assets it made."""
        made: list[str] = []
        partition = request.tags[PARTITION]
        for key in request.asset_selection:
            name = key.to_user_string()
            if name == fails_at:
                started = dg.DagsterRunStatus.STARTED
                run = create_run_for_test(self.instance, tags=request.tags, status=started)
                self.instance.report_run_failed(run)
                return made
            self.make(name, partition)
            made.append(name)
        create_run_for_test(self.instance, tags=request.tags, status=dg.DagsterRunStatus.SUCCESS)
        return made

    def work(self, fails: dict[str, str] | None = None) -> list[tuple[str, tuple[str, ...]]]:
        """Ticks until there is nothing more to do: date (or season) and assets of each run.

        Args:
            fails: Date and the asset at which its runs fail.
        """
        done = []
        for _ in range(50):
            request = self.ask()
            if isinstance(request, str):
                return done
            partition = request.tags[PARTITION]
            made = self.play(request, (fails or {}).get(partition))
            done.append((partition, tuple(made)))
        raise AssertionError(f"automation does not come to an end: {done[-5:]}")
