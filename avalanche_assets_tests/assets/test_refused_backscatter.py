"""What a blocking check has refused of sigma0 goes no further, also where the next asset is another run."""

from datetime import UTC, date, datetime, time

import dagster as dg
import numpy as np
import pytest
from minimal_settings import minimal_settings

from avalanche_assets.assets.backscatter import CONVENTION_TAG, NOISE_TAG, reference_assets
from avalanche_assets.automation.checks import date_checks
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.catalogue.acquisitions import Acquisition, AcquisitionCatalogue, write_catalogue
from avalanche_assets.grid import Grid
from avalanche_assets.rasters import read_tags, write_cog
from avalanche_assets.resources.pipeline import Pipeline

GRID = Grid("EPSG:32632", 20.0, 300160.0, 5017600.0, 64, 64)
REFERENCE = ("2017-08-06", "2017-08-12")
WINTER = "2017-12-03"
LAND, UNCALIBRATED = (-12.0, -19.0), (48.0, 41.0)


class Backscatter:
    """The real reference and VV*/VH* after a sigma0 whose medians a test sets; one run for each asset."""

    def __init__(self, folder, instance):
        settings = folder / "avalanche.toml"
        settings.write_text(minimal_settings())
        self.pipeline = Pipeline(settings_file=str(settings))
        self.instance = instance
        roles = {**dict.fromkeys(REFERENCE, "reference"), WINTER: "winter"}
        passes = tuple(
            Acquisition(
                date.fromisoformat(day),
                datetime.combine(date.fromisoformat(day), time(5, 36), UTC),
                *("S1B", 8510, role, "2017-18", "complete", ("A",)),
            )
            for day, role in roles.items()
        )
        write_catalogue(self.pipeline.layout.acquisition_catalogue, passes)
        partitions = Partitions(AcquisitionCatalogue(passes), self.pipeline.settings)
        self.medians = dict.fromkeys(roles, LAND)

        @dg.asset(partitions_def=partitions.all_dates)
        def sigma0(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            bands = {name: np.full(GRID.shape, 0.1, np.float32) for name in ("vv", "vh")}
            tags = {NOISE_TAG: "removed", CONVENTION_TAG: "sigma0, ellipsoid"}
            path = self.pipeline.layout.sigma0(context.partition_key)
            write_cog(path, bands, GRID, dict.fromkeys(bands, "1"), tags)
            vv, vh = self.medians[context.partition_key]
            return dg.MaterializeResult(metadata={"median VV (dB)": vv, "median VH (dB)": vh})

        external = dg.AssetSpec("acquisition", partitions_def=partitions.all_dates)
        checks = date_checks([dg.AssetSpec("sigma0", partitions_def=partitions.all_dates)])
        self.assets = [sigma0, *reference_assets(partitions, sigma0), external, *checks]

    def make(self, asset: str, partition: str) -> str:
        """The first error of a run; empty when it succeeded."""
        result = dg.materialize(
            self.assets,
            selection=[asset],
            partition_key=partition,
            instance=self.instance,
            resources={"pipeline": self.pipeline},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        failed = [event for event in result.all_events if event.is_step_failure]
        if not failed:
            return ""
        error = failed[0].step_failure_data.error
        return (error.cause or error).message


@pytest.fixture
def backscatter(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Backscatter(tmp_path, instance)


def test_star_of_refused_sigma0_is_refused_with_the_reason_until_sigma0_is_made_again(backscatter):
    backscatter.medians[WINTER] = UNCALIBRATED
    for day in REFERENCE:
        assert backscatter.make("sigma0", day) == ""
    assert backscatter.make("sigma0", WINTER) != ""
    assert backscatter.make("reference_sigma0", "2017-18") == ""
    said = backscatter.make("vv_vh_star", WINTER)
    assert f"sigma0 {WINTER}: the check calibration_plausible refused it: median VV (dB) 48.0" in said
    assert "; compare the picture of sigma0" in said
    assert not backscatter.pipeline.layout.vv_vh_star(WINTER).exists()
    backscatter.medians[WINTER] = LAND
    assert backscatter.make("sigma0", WINTER) == ""
    assert backscatter.make("vv_vh_star", WINTER) == ""


def test_reference_leaves_out_refused_dates(backscatter):
    backscatter.medians[REFERENCE[1]] = UNCALIBRATED
    for day in REFERENCE:
        backscatter.make("sigma0", day)
    assert backscatter.make("reference_sigma0", "2017-18") == ""
    assert read_tags(backscatter.pipeline.layout.reference_sigma0("2017-18"))["dates"] == REFERENCE[0]
