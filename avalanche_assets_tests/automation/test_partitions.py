from datetime import UTC, date, datetime

import dagster as dg
import pytest

from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.catalogue.acquisitions import Acquisition, AcquisitionCatalogue, season_of
from avalanche_assets.settings import InventorySettings, Settings, SourceSettings, TerrainSettings


def acquisition(text, role="winter"):
    day = date.fromisoformat(text)
    overpass = datetime(day.year, day.month, day.day, 5, 43, tzinfo=UTC)
    return Acquisition(day, overpass, "S1A", 1, role, season_of(day), "complete", ())


@pytest.fixture
def partitions(tmp_path):
    days = ["2018-01-03", "2018-01-09", "2018-01-21", "2018-02-20"]
    catalogue = AcquisitionCatalogue(
        (
            acquisition("2017-08-18", "reference"),
            acquisition("2017-08-30", "reference"),
            *(acquisition(day) for day in days),
            acquisition("2018-08-25", "reference"),
            acquisition("2018-12-29"),
        ),
        max_gap_days=24,
    )
    settings = Settings(
        data_root=tmp_path,
        source=SourceSettings(folder=tmp_path),
        terrain=TerrainSettings(dem=tmp_path / "dem.tif", vertical_datum="ellipsoidal"),
        inventory=InventorySettings(corridors=tmp_path / "c.gpkg", events=tmp_path / "e.csv"),
    )
    return Partitions(catalogue, settings)


def upstream(mapping, key, downstream, source):
    result = mapping.get_upstream_mapped_partitions_result_for_partitions(
        downstream.subset_with_partition_keys([key]), downstream, source
    )
    return sorted(result.partitions_subset.get_partition_keys())


def test_date_needs_itself_and_the_previous_acquisition_however_long_ago(partitions):
    winter = partitions.winter_dates
    assert upstream(partitions.this_and_previous, "2018-01-21", winter, winter) == [
        "2018-01-09",
        "2018-01-21",
    ]


def test_date_after_too_long_a_gap_needs_only_itself(partitions):
    winter = partitions.winter_dates
    assert upstream(partitions.this_and_previous, "2018-02-20", winter, winter) == ["2018-02-20"]


def test_first_date_of_a_season_does_not_need_the_last_season(partitions):
    winter = partitions.winter_dates
    assert upstream(partitions.season_so_far, "2018-12-29", winter, winter) == ["2018-12-29"]


def test_season_so_far_needs_every_earlier_date_of_the_season(partitions):
    winter = partitions.winter_dates
    assert upstream(partitions.season_so_far, "2018-01-21", winter, winter) == [
        "2018-01-03",
        "2018-01-09",
        "2018-01-21",
    ]


def test_reference_of_a_season_needs_the_snow_free_dates_before_it(partitions):
    mapping = partitions.reference_of_season
    keys = upstream(mapping, "2017-18", partitions.seasons, partitions.all_dates)
    assert keys == ["2017-08-18", "2017-08-30"]


def test_reference_dates_are_no_winter_partitions(partitions):
    assert "2017-08-18" in partitions.all_dates.get_partition_keys()
    assert "2017-08-18" not in partitions.winter_dates.get_partition_keys()


def test_mappings_survive_what_the_daemon_and_the_ui_see(partitions):
    """Custom mappings are lost in the serialised graph; these must not be."""
    from dagster._serdes import deserialize_value, serialize_value

    mapping = partitions.this_and_previous
    assert deserialize_value(serialize_value(mapping), dg.StaticPartitionMapping) == mapping
