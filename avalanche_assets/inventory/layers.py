"""Corridors, events and massifs from the inventory's public service, kept as files.

Names of its layers and attributes may change, and were not to be had without asking it: a layer without a
configured name is recognised by its attributes, and an error lists what the service offers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
from pyproj import Transformer

from avalanche_assets.errors import InventoryError, TransientError
from avalanche_assets.files import atomic_path
from avalanche_assets.grid import Grid
from avalanche_assets.inventory import corridors, events, massifs
from avalanche_assets.inventory.columns import CORRIDOR_REQUIRED, find_columns, require_columns
from avalanche_assets.inventory.wfs import Layer, Told, WebFeatureService
from avalanche_assets.services.http_service import HttpService
from avalanche_assets.settings import Settings, WfsSettings
from avalanche_assets.stored_path import arrow_file

NOTE = b"avalanche_assets.layer"
"""Key of the file's metadata that tells where it comes from and when it was retrieved."""


@dataclass(frozen=True)
class Kind:
    """What a layer has to have.

    Attributes:
        name: ``corridors``, ``events`` or ``massifs``.
        prefix: Of the names of layers that may be meant.
        names: Field to accepted attributes.
        required: Groups of fields; of each group one attribute must be there.
        has_shapes: Whether shapes are needed.
    """

    name: str
    prefix: str
    names: Mapping[str, Sequence[str]]
    required: Sequence[Sequence[str]]
    has_shapes: bool

    @property
    def columns_setting(self) -> str:
        """The setting that names attributes."""
        return f"inventory.{self.name.removesuffix('s')}_columns"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("corridors", "epa", corridors.NAMES, CORRIDOR_REQUIRED, True),
        Kind("events", "epa", events.NAMES, events.REQUIRED, False),
        Kind("massifs", "massif", massifs.NAMES, massifs.REQUIRED, True),
    )
}


@dataclass(frozen=True)
class StoredLayer:
    """A layer of the service in a file.

    Attributes:
        path: GeoParquet, or plain Parquet for a layer without shapes.
        source: Address of the service.
        layer: Its name.
        retrieved: When it was fetched, UTC.
        features: How many.
        asked: The question that it answers.
        warning: Why it is older than wanted, empty when it is not.
    """

    path: Path
    source: str
    layer: str
    retrieved: datetime
    features: int
    asked: str
    warning: str = ""


def stored_layer(
    kind: Kind, settings: Settings, grid: Grid, told: Told, now: datetime | None = None
) -> StoredLayer:
    """A layer's features on the analysis grid, from the file or, when that is too old, from the service.

    Raises:
        CatalogueError: The service cannot be asked, or not like this, and there is no file to go on with.
        InventoryError: No layer fits, or more than one, or it has no feature here; lists what is offered.
    """
    wfs, path = settings.inventory.wfs, settings.layout.inventory_layer(kind.name)
    chosen = getattr(settings.inventory, kind.columns_setting.split(".")[1])
    now = now or datetime.now(UTC)
    asked = _question(kind, wfs, chosen, grid)
    kept = _kept(path)
    if kept and kept.asked == asked and now - kept.retrieved <= timedelta(days=wfs.keep_days):
        return kept
    service = WebFeatureService(wfs.url, wfs.crs, wfs.page_size, HttpService(settings.source.transfer))
    try:
        layer = _layer(service, kind, getattr(wfs, f"{kind.name}_layer"), chosen)
        columns = require_columns(
            layer.fields,
            kind.names,
            kind.required,
            chosen,
            f"{service.where} {layer.name}",
            kind.columns_setting,
        )
        cql = _filter(layer, getattr(wfs, f"{kind.name}_filter"), grid, wfs.crs)
        frame = service.features(layer, cql, list(dict.fromkeys(columns.values())), told)
    except TransientError as error:
        if kept and kept.asked == asked:
            return replace(kept, warning=f"{error}; used is what was retrieved {kept.retrieved:%Y-%m-%d}")
        raise
    if frame.empty:
        raise InventoryError(
            f"{service.where}: {layer.name} has no feature for the filter {cql!r}; check grid.bounds and "
            f"inventory.wfs.{kind.name}_filter"
        )
    stored = StoredLayer(path, wfs.url, layer.name, now, len(frame), asked)
    _store(stored, frame)
    return stored


def _layer(service: WebFeatureService, kind: Kind, name: str | None, chosen: Mapping[str, str]) -> Layer:
    """The layer with the configured name, or the only one that looks right."""
    setting = f"inventory.wfs.{kind.name}_layer"
    if name:
        layers = [layer for layer in service.layers(name) if name in (layer.name, layer.short_name)]
        if layers:
            return layers[0]
        names = [layer.name for layer in service.layers()]
        raise InventoryError(f"{service.where}: no layer {name!r} of {setting}; it offers {names}")
    offered = service.layers()
    named = [layer for layer in offered if layer.short_name.lower().startswith(kind.prefix)]
    fitting = [layer for layer in named if _fits(layer, kind, chosen)]
    if len(fitting) == 1:
        return fitting[0]
    found = "no layer has" if not fitting else f"{len(fitting)} layers have"
    described = "; ".join(layer.described() for layer in fitting or named or offered)
    raise InventoryError(
        f"{service.where}: {found} the attributes of {kind.name}; set {setting}, and name attributes in "
        f"{kind.columns_setting}; it offers {described}"
    )


def _fits(layer: Layer, kind: Kind, chosen: Mapping[str, str]) -> bool:
    if kind.has_shapes and layer.geometry is None:
        return False
    if kind.name == "corridors" and _has(layer, KINDS["events"], {}):
        return False  # Events name their site too.
    return _has(layer, kind, chosen)


def _has(layer: Layer, kind: Kind, chosen: Mapping[str, str]) -> bool:
    columns = find_columns(layer.fields, kind.names, chosen)
    return set(chosen) <= set(columns) and all(set(group) & set(columns) for group in kind.required)


def _filter(layer: Layer, own: str, grid: Grid, crs: str) -> str:
    parts = [f"({own})"] if own else []
    if layer.geometry:
        west, south, east, north = _bounds(grid, crs)
        parts.append(f"BBOX({layer.geometry},{west},{south},{east},{north},'{crs}')")
    return " AND ".join(parts)


def _bounds(grid: Grid, crs: str) -> tuple[int, ...]:
    transformer = Transformer.from_crs(grid.crs, crs, always_xy=True)
    return tuple(round(value) for value in transformer.transform_bounds(*grid.bounds))


def _question(kind: Kind, wfs: WfsSettings, chosen: Mapping[str, str], grid: Grid) -> str:
    return json.dumps(
        {
            "url": wfs.url,
            "crs": wfs.crs,
            "layer": getattr(wfs, f"{kind.name}_layer"),
            "filter": getattr(wfs, f"{kind.name}_filter"),
            "bounds": _bounds(grid, wfs.crs),
            "columns": dict(chosen),
        },
        sort_keys=True,
    )


def _store(stored: StoredLayer, frame: gpd.GeoDataFrame) -> None:
    note = {
        "source": stored.source,
        "layer": stored.layer,
        "retrieved": stored.retrieved.isoformat(),
        "asked": stored.asked,
    }
    with atomic_path(stored.path) as temporary:
        if frame.crs is None:
            frame.drop(columns="geometry").to_parquet(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
        table = pq.read_table(temporary)
        metadata = {**(table.schema.metadata or {}), NOTE: json.dumps(note).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


def _kept(path: Path) -> StoredLayer | None:
    """The file as it was stored; None where there is none, or a damaged one."""
    if not path.exists():
        return None
    try:
        name, filesystem = arrow_file(path)
        file = pq.read_metadata(name, filesystem=filesystem)
        note = json.loads((file.metadata or {})[NOTE])
        retrieved = datetime.fromisoformat(note["retrieved"])
    except (pa.ArrowInvalid, OSError, KeyError, ValueError):
        return None
    return StoredLayer(path, note["source"], note["layer"], retrieved, file.num_rows, note["asked"])
