"""Questions to the Copernicus Data Space catalogue, as OData filters.

Products are told apart by attributes, never by their names: each scene has a cloud-optimised twin whose name
begins in the same way.

Source: Copernicus Data Space documentation, OData API: filter option, query by attributes, by geographic
criteria and DeletedProducts.
"""

from datetime import UTC, datetime

from avalanche_assets.catalogue.interface import LonLatBounds, ProductQuery

PRODUCT_TYPE = "IW_GRDH_1S"
"""Exactly: ``IW_GRDH_1S-COG`` is the twin."""
POLARISATIONS = "VV&VH"
ORBIT_FILE_TYPES = ("AUX_POEORB", "AUX_RESORB")
_COLLECTION = "Collection/Name eq 'SENTINEL-1'"


def products_filter(query: ProductQuery) -> str:
    """Products of a query."""
    published = query.published_after
    return _all(_scenes(query), f"PublicationDate gt {_instant(published)}" if published else "")


def withdrawn_filter(query: ProductQuery, since: datetime) -> str:
    """Products of a query, whenever they were published, that were deleted at an instant or later."""
    return _all(_scenes(query), f"DeletionDate ge {_instant(since)}")


def orbit_files_filter(platform: str, start: datetime, stop: datetime) -> str:
    """Orbit files of a platform, ready to be fetched, that are valid from `start` to `stop`."""
    types = " or ".join(_string_attribute("productType", name) for name in ORBIT_FILE_TYPES)
    return _all(
        _COLLECTION,
        f"startswith(Name,{_text(platform + '_')})",
        f"({types})",
        "Online eq true",
        f"ContentDate/Start le {_instant(start)}",
        f"ContentDate/End ge {_instant(stop)}",
    )


def _scenes(query: ProductQuery) -> str:
    return _all(
        _COLLECTION,
        _string_attribute("productType", PRODUCT_TYPE),
        _integer_attribute("relativeOrbitNumber", query.relative_orbit),
        _string_attribute("orbitDirection", query.direction),
        _string_attribute("polarisationChannels", POLARISATIONS),
        f"OData.CSC.Intersects(area=geography'SRID=4326;{_polygon(query.area)}')",
        f"ContentDate/Start ge {_instant(query.start)}" if query.start else "",
        f"ContentDate/Start lt {_instant(query.stop)}" if query.stop else "",
    )


def _all(*clauses: str) -> str:
    return " and ".join(clause for clause in clauses if clause)


def _string_attribute(name: str, value: str) -> str:
    return _attribute("String", name, _text(value))


def _integer_attribute(name: str, value: int) -> str:
    return _attribute("Integer", name, str(value))


def _attribute(kind: str, name: str, value: str) -> str:
    attribute = f"OData.CSC.{kind}Attribute"
    return f"Attributes/{attribute}/any(att:att/Name eq '{name}' and att/{attribute}/Value eq {value})"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _polygon(area: LonLatBounds) -> str:
    west, south, east, north = area
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    return "POLYGON((" + ",".join(f"{lon:.6f} {lat:.6f}" for lon, lat in corners) + "))"


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
