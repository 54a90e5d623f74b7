"""Dates with and without thermal noise, or of two conventions, are never mixed: neither in a reference nor in
VV* and VH*.
"""

from datetime import UTC, date, datetime, time

import dagster as dg
import numpy as np
import pytest

from avalanche_assets.assets.backscatter import CONVENTION_TAG, NOISE_TAG, reference_assets
from avalanche_assets.assets.common import in_db
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.catalogue.acquisitions import Acquisition, AcquisitionCatalogue, write_catalogue
from avalanche_assets.errors import TableError
from avalanche_assets.grid import Grid
from avalanche_assets.rasters import read_bands, read_tags, write_cog
from avalanche_assets.resources.pipeline import Pipeline

GRID = Grid("EPSG:32632", 20.0, 300160.0, 5017600.0, 64, 64)
REFERENCE = (date(2017, 8, 6), date(2017, 8, 12))
WINTER = date(2017, 12, 3)
OVERPASS = time(5, 36)
SIGMA0, GAMMA0 = "sigma0, ellipsoid", "gamma0, terrain flattened"
REMOVED, LEFT = "removed", "not removed: not annotated"


@pytest.fixture
def deployment(tmp_path):
    """Layout, and functions that store sigma0 of a date with its tags and materialise one of both assets."""
    settings = tmp_path / "avalanche.toml"
    settings.write_text(
        'data_root = "data"\n[source]\nfolder = "products"\n'
        '[terrain]\ndem = "dem.tif"\nvertical_datum = "ellipsoidal"\n'
        '[inventory]\ncorridors = "corridors.gpkg"\nevents = "events.csv"\n'
    )
    pipeline = Pipeline(settings_file=str(settings))
    passes = tuple(
        Acquisition(
            day, datetime.combine(day, OVERPASS, UTC), "S1B", 8510, role, "2017-18", "complete", ("A",)
        )
        for day, role in ((REFERENCE[0], "reference"), (REFERENCE[1], "reference"), (WINTER, "winter"))
    )
    write_catalogue(pipeline.layout.acquisition_catalogue, passes)
    partitions = Partitions(AcquisitionCatalogue(passes), pipeline.settings)
    assets = reference_assets(partitions, dg.AssetSpec("sigma0", partitions_def=partitions.all_dates))

    def store(day: date, noise: str, power: float, convention: str = SIGMA0) -> None:
        bands = {name: np.full(GRID.shape, power, np.float32) for name in ("vv", "vh")}
        units = dict.fromkeys(bands, "1")
        tags = {NOISE_TAG: noise, CONVENTION_TAG: convention}
        write_cog(pipeline.layout.sigma0(str(day)), bands, GRID, units, tags)

    with dg.DagsterInstance.ephemeral() as instance:

        def materialise(index: int, key: str):
            context = dg.build_asset_context(partition_key=key, instance=instance)
            return assets[index](context, pipeline=pipeline)

        yield pipeline.layout, store, materialise


def test_dates_of_one_kind_give_reference_and_star(deployment):
    layout, store, materialise = deployment
    for day, power in ((REFERENCE[0], 0.1), (REFERENCE[1], 0.1), (WINTER, 0.2)):
        store(day, REMOVED, power)
    materialise(0, "2017-18")
    materialise(1, str(WINTER))
    star = read_bands(layout.vv_vh_star(str(WINTER)))
    np.testing.assert_allclose(star["vh_star"], 10 * np.log10(2), rtol=1e-5)
    assert read_tags(layout.vv_vh_star(str(WINTER)))[NOISE_TAG] == REMOVED
    assert read_tags(layout.vv_vh_star(str(WINTER)))[CONVENTION_TAG] == SIGMA0


def test_reference_of_both_kinds_is_refused(deployment):
    _, store, materialise = deployment
    store(REFERENCE[0], REMOVED, 0.1)
    store(REFERENCE[1], LEFT, 0.1)
    with pytest.raises(TableError, match=r"2017-08-12.*thermal_noise is 'not removed.*must not be mixed"):
        materialise(0, "2017-18")


def test_date_of_another_kind_than_its_reference_is_refused(deployment):
    layout, store, materialise = deployment
    for day in REFERENCE:
        store(day, REMOVED, 0.1)
    store(WINTER, LEFT, 0.2)
    materialise(0, "2017-18")
    with pytest.raises(TableError, match="must not be mixed"):
        materialise(1, str(WINTER))
    assert not layout.vv_vh_star(str(WINTER)).exists()


def test_reference_of_two_conventions_is_refused(deployment):
    _, store, materialise = deployment
    store(REFERENCE[0], REMOVED, 0.1, SIGMA0)
    store(REFERENCE[1], REMOVED, 0.1, GAMMA0)
    with pytest.raises(TableError, match=r"2017-08-12.*convention is 'gamma0.*terrain_flattening"):
        materialise(0, "2017-18")


def test_date_of_another_convention_than_its_reference_is_refused(deployment):
    layout, store, materialise = deployment
    for day in REFERENCE:
        store(day, REMOVED, 0.1)
    store(WINTER, REMOVED, 0.2, GAMMA0)
    materialise(0, "2017-18")
    with pytest.raises(TableError, match=r"convention is 'sigma0.*is 'gamma0.*terrain_flattening"):
        materialise(1, str(WINTER))
    assert not layout.vv_vh_star(str(WINTER)).exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("power", "expected"), [(0.1, -10.0), (0.0, None), (-0.1, None), (np.nan, None), (np.inf, None)]
)
def test_median_has_decibels_only_where_it_is_positive(deployment, power, expected):
    _, store, materialise = deployment
    assert in_db(power) == (expected if power != np.inf else np.inf)
    for day in REFERENCE:
        store(day, REMOVED, power)
    # Medians are known to half a bin of 1/256.
    found = materialise(0, "2017-18").metadata["median VV (dB)"]
    assert found == (None if expected is None else pytest.approx(expected, abs=0.02))
