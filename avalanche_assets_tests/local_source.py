"""A folder of products as source, listed the way the pipeline does."""

from datetime import UTC, datetime

from avalanche_assets.catalogue.sources import list_source
from avalanche_assets.settings import (
    InventorySettings,
    Settings,
    SourceSettings,
    TerrainSettings,
    TrackSettings,
)

NOW = datetime(2026, 11, 26, tzinfo=UTC)
FRENCH_ALPS = (5.4, 43.9, 7.8, 46.5)


def folder_settings(folder, track=None, area=FRENCH_ALPS) -> Settings:
    """Settings whose source is `folder` and whose data root lies beside it."""
    return Settings(
        data_root=folder.parent / f"{folder.name}_data",
        track=track or TrackSettings(),
        source=SourceSettings(folder=folder, area=area),
        terrain=TerrainSettings(dem=folder / "dem.tif", vertical_datum="ellipsoidal"),
        inventory=InventorySettings(corridors=folder / "c.gpkg", events=folder / "e.csv"),
    )


def list_folder(folder, track=None, area=FRENCH_ALPS):
    """What a folder of products holds."""
    return list_source(folder_settings(folder, track, area), NOW)
