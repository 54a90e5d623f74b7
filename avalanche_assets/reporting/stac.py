"""Bulletins as a STAC collection, so that other systems find them and take what is new.

Every bulletin's folder has an `item.json`; `collection.json` above lists them all and is made anew from the
items that lie there each time one is written, so that dates may be published in any order and at once.

Source: STAC specification 1.1.0; satellite extension 1.0.0.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
import shapely
from pyproj import Transformer

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.files import exclusive, write_text
from avalanche_assets.grid import Grid
from avalanche_assets.reporting.language import NAMES, Language, page_name
from avalanche_assets.reporting.summary import Counts
from avalanche_assets.settings import Settings

ITEM, COLLECTION = "item.json", "collection.json"
SATELLITE_EXTENSION = "https://stac-extensions.github.io/sat/v1.0.0/schema.json"
GEOPACKAGE, PARQUET = "application/geopackage+sqlite3", "application/vnd.apache.parquet"


def collection_id(settings: Settings) -> str:
    """``avalanche-deposits-139``: one collection a track."""
    return f"avalanche-deposits-{settings.track.relative_orbit}"


def write_item(
    folder: Path,
    grid: Grid,
    current: Acquisition,
    previous: Acquisition | None,
    counts: Counts,
    index: float | None,
    table: str,
    settings: Settings,
) -> Path:
    """Writes `item.json` to a bulletin's folder, and `collection.json` above it.

    Args:
        folder: The bulletin's folder.
        grid: The analysis grid, whose extent is the item's.
        current: The acquisition.
        previous: The previous acquisition, or None.
        counts: Corridors by outcome.
        index: Activity index, None where it is unknown.
        table: Address of the detections table relative to the folder, empty for none.
        settings: Track, languages, publisher.
    """
    item = _item(grid, current, previous, counts, index, settings)
    for key, asset in _assets(table, settings).items():
        item.add_asset(key, asset)
    above = f"../{COLLECTION}"
    for relation in (pystac.RelType.ROOT, pystac.RelType.PARENT, pystac.RelType.COLLECTION):
        item.add_link(pystac.Link(relation, above, pystac.MediaType.JSON))
    _write(folder / ITEM, item.to_dict(include_self_link=False, transform_hrefs=False))
    _write_collection(folder.parent, settings)
    return folder / ITEM


def _item(
    grid: Grid,
    current: Acquisition,
    previous: Acquisition | None,
    counts: Counts,
    index: float | None,
    settings: Settings,
) -> pystac.Item:
    footprint = _footprint(grid)
    track = settings.track
    return pystac.Item(
        id=f"{collection_id(settings)}-{current.date:%Y%m%d}",
        geometry=shapely.geometry.mapping(footprint),
        bbox=list(footprint.bounds),
        datetime=current.overpass,
        start_datetime=previous.overpass if previous else None,
        end_datetime=current.overpass if previous else None,
        collection=collection_id(settings),
        stac_extensions=[SATELLITE_EXTENSION],
        properties={
            "title": f"Avalanche deposits seen by radar, {current.date}",
            "platform": f"sentinel-{current.platform.removeprefix('S').lower()}",
            "constellation": "sentinel-1",
            "instruments": ["c-sar"],
            "gsd": settings.grid.resolution_m,
            "sat:relative_orbit": track.relative_orbit,
            "sat:absolute_orbit": current.absolute_orbit,
            "sat:orbit_state": track.direction.lower(),
            "avalanche:simulated": settings.simulated,
            "avalanche:new": counts.new,
            "avalanche:persisting": counts.persisting,
            "avalanche:quiet": counts.quiet,
            "avalanche:not_observable": counts.hidden,
            "avalanche:activity_index": None if index is None else round(index, 2),
        },
    )


def _assets(table: str, settings: Settings) -> dict[str, pystac.Asset]:
    languages = settings.reporting.languages
    assets = {
        "geopackage": pystac.Asset(
            "detections.gpkg",
            "Detections and corridors, with QGIS styles",
            media_type=GEOPACKAGE,
            roles=["data"],
        )
    }
    if table:
        assets["detections"] = pystac.Asset(
            table, "Every corridor with all measures (GeoParquet)", media_type=PARQUET, roles=["data"]
        )
    for code in languages:
        language = Language(code)
        assets[f"bulletin-{code}"] = pystac.Asset(
            page_name("bulletin", ".html", language, languages),
            f"Bulletin, {NAMES[code]}",
            media_type=pystac.MediaType.HTML,
            roles=["overview"],
        )
        assets[f"map-{code}"] = pystac.Asset(
            page_name("map", ".png", language, languages),
            f"Map, {NAMES[code]}",
            media_type=pystac.MediaType.PNG,
            roles=["overview"],
        )
    return assets


def _footprint(grid: Grid) -> shapely.Polygon:
    """The grid's rectangle in degrees, with points along its sides, which are no meridians or parallels."""
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    west, south, east, north = grid.bounds
    rectangle = shapely.segmentize(shapely.box(west, south, east, north), max(east - west, north - south) / 4)
    return shapely.transform(
        rectangle,
        lambda lon, lat: [part.round(6) for part in to_degrees.transform(lon, lat)],
        interleaved=False,
    )


def _write_collection(folder: Path, settings: Settings) -> None:
    with exclusive(folder / "collection.lock"):
        items = [
            (path.relative_to(folder), json.loads(path.read_text("utf-8")))
            for path in sorted(folder.glob(f"*/{ITEM}"))
        ]
        collection = pystac.Collection(
            id=collection_id(settings),
            title="Avalanche deposits seen by radar",
            description="Avalanche deposits detected in Sentinel-1 images, one item an acquisition date: "
            "every corridor detected with its evidence, quiet, or not observable and why."
            + (" Simulated data." if settings.simulated else ""),
            extent=_extent([item for _, item in items]),
            license="other",
            keywords=["avalanche", "Sentinel-1", "SAR"],
            providers=[
                pystac.Provider(name, roles=[role])
                for name, role in (
                    (settings.reporting.publisher, pystac.ProviderRole.PROCESSOR),
                    ("European Union/ESA/Copernicus", pystac.ProviderRole.PRODUCER),
                )
                if name
            ],
        )
        for path, item in items:
            title = item["properties"]["title"]
            collection.add_link(pystac.Link("item", f"./{path.as_posix()}", pystac.MediaType.GEOJSON, title))
        # The object itself is its root; a file says so by its name.
        collection.remove_links(pystac.RelType.ROOT)
        collection.add_link(pystac.Link(pystac.RelType.ROOT, f"./{COLLECTION}", pystac.MediaType.JSON))
        _write(folder / COLLECTION, collection.to_dict(include_self_link=False, transform_hrefs=False))


def _extent(items: list[dict[str, Any]]) -> pystac.Extent:
    boxes = [item["bbox"] for item in items]
    west, south = (min(box[i] for box in boxes) for i in (0, 1))
    east, north = (max(box[i] for box in boxes) for i in (2, 3))
    days = [datetime.fromisoformat(item["properties"]["datetime"]) for item in items]
    return pystac.Extent(
        pystac.SpatialExtent([[west, south, east, north]]),
        pystac.TemporalExtent([[min(days), max(days)]]),
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
