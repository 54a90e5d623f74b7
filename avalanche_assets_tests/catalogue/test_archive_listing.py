"""Dates of an archive from poll to poll, as `acquisition_catalogue` lists and stores them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from catalogue.passes import AREA, FakeCatalogue, whole_pass

from avalanche_assets.catalogue import sources
from avalanche_assets.catalogue.acquisitions import write_catalogue
from avalanche_assets.settings import InventorySettings, Settings, SourceSettings, TerrainSettings

TAKEN = datetime(2018, 1, 3, 5, 43, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(
        data_root=tmp_path / "data",
        source=SourceSettings(
            kind="cdse", folder=tmp_path / "products", orbits=tmp_path / "orbits", area=AREA
        ),
        terrain=TerrainSettings(dem=Path("dem.tif"), vertical_datum="ellipsoidal"),
        inventory=InventorySettings(corridors=Path("c.gpkg"), events=Path("e.csv")),
    )


def test_date_stays_while_its_fast_slices_are_replaced_by_regular_ones_with_other_borders(
    settings, monkeypatch
):
    fast = whole_pass("2018-01-03", slice_number=0, published=TAKEN + 2 * HOUR, processed=TAKEN + HOUR)
    regular = whole_pass("2018-01-03", (-45, -20, 5, 40), unique=2, processed=TAKEN + 4 * HOUR)
    archive = FakeCatalogue.of(*fast)
    monkeypatch.setattr(sources, "open_catalogue", lambda _: archive)

    def listed(hours):
        found = sources.list_source(settings, TAKEN + hours * HOUR)
        write_catalogue(settings.layout.acquisition_catalogue, found.acquisitions)
        return [(str(item.date), item.state) for item in found.acquisitions], found.acquisitions[0].version

    history = [listed(3)]
    # One after the other, each of which overlaps two of the fast ones.
    for offer, hours in zip(regular, (5, 7, 9), strict=True):
        monkeypatch.setattr(archive, "offers", [*archive.offers, offer])
        history.append(listed(hours))
    dates, versions = zip(*history, strict=True)
    states = "complete", "incomplete", "incomplete", "complete"
    assert list(dates) == [[("2018-01-03", state)] for state in states]
    assert len(set(versions)) == 4
