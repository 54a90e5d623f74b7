"""Which files the inventory is read from: the user's, or what the public service gave."""

from dataclasses import dataclass
from pathlib import Path

from avalanche_assets.errors import SettingsError
from avalanche_assets.grid import Grid
from avalanche_assets.inventory.layers import KINDS, StoredLayer, stored_layer
from avalanche_assets.inventory.wfs import Told
from avalanche_assets.settings import Settings


@dataclass(frozen=True)
class InventoryFiles:
    """Paths of the inventory.

    Attributes:
        corridors: The corridor map.
        massifs: Massif polygons.
        events: Table of events.
        layers: Those that came from the service.
    """

    corridors: Path
    massifs: Path | None
    events: Path | None
    layers: tuple[StoredLayer, ...] = ()


def inventory_files(settings: Settings, grid: Grid, told: Told) -> InventoryFiles:
    """The files of the settings; with the source `wfs`, what is not a file is fetched unless it is fresh.

    Raises:
        CatalogueError: The service cannot be asked.
        InventoryError: It has no layer that fits.
    """
    inventory = settings.inventory
    paths = {kind: getattr(inventory, kind) for kind in KINDS}
    layers = {}
    if inventory.source == "wfs":
        lacking = [kind for kind, path in paths.items() if path is None]
        layers = {kind: stored_layer(KINDS[kind], settings, grid, told) for kind in lacking}
    paths |= {kind: layer.path for kind, layer in layers.items()}
    if paths["corridors"] is None:
        raise SettingsError("inventory.corridors is missing: name the corridor map, or set source to wfs")
    return InventoryFiles(paths["corridors"], paths["massifs"], paths["events"], tuple(layers.values()))


def massifs_file(settings: Settings) -> Path | None:
    """The massif polygons, without asking any service; None where there are none."""
    if settings.inventory.massifs is not None or settings.inventory.source == "files":
        return settings.inventory.massifs
    stored = settings.layout.inventory_layer("massifs")
    return stored if stored.exists() else None
