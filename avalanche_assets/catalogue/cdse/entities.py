"""Answers of the Copernicus Data Space catalogue, checked at the door and turned into offers.

Fields that decide which product is which have to be there; those that only prefer one duplicate to another
may lack. Checksums come some time after the product.

Source: Copernicus Data Space documentation, OData API; attributes of SENTINEL-1.
"""

import re
from datetime import UTC
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import shapely
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel, to_pascal

from avalanche_assets.catalogue.interface import OrbitOffer, ProductOffer, ProductQuery
from avalanche_assets.catalogue.product_name import ProductName
from avalanche_assets.errors import CatalogueError


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_pascal)


AnswerT = TypeVar("AnswerT", bound=_Answer)


class Page(_Answer):
    """One page of an answer: entries to be checked one by one, and where the next page is."""

    value: list[Any] = Field(alias="value")
    next_link: str = Field("", alias="@odata.nextLink")


def _md5(checksums: Any) -> str:
    """Of ``[{"Algorithm": "MD5", "Value": …}, …]``; the list may be empty, or hold an empty object."""
    try:
        values = (entry.get("Value", "") for entry in checksums or () if entry.get("Algorithm") == "MD5")
        value = str(next(values, "")).lower()
    except (AttributeError, TypeError) as error:
        raise ValueError("not a list of checksums") from error
    if value and not re.fullmatch("[0-9a-f]{32}", value):
        raise ValueError("not an MD5")
    return value


def _wkt(geometry: Any) -> str:
    """Of GeoJSON; None where a product has no place."""
    if geometry is None:
        return ""
    try:
        shape = shapely.geometry.shape(geometry)
    except (AttributeError, KeyError, TypeError, shapely.errors.ShapelyError) as error:
        raise ValueError("not a GeoJSON geometry") from error
    if shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        raise ValueError("not a polygon")
    return str(shape.wkt)


def _version(text: Any) -> tuple[int, int]:
    """Of the processor, ``003.71``."""
    match = re.fullmatch(r"(\d+)\.(\d+)", str(text), re.ASCII)
    if not match:
        raise ValueError("not a version such as 003.71")
    return int(match[1]), int(match[2].ljust(2, "0"))


def _by_name(attributes: Any) -> dict[str, Any]:
    """Of ``[{"Name": …, "Value": …}, …]``."""
    try:
        return {entry["Name"]: entry["Value"] for entry in attributes}
    except (KeyError, TypeError) as error:
        raise ValueError("not a list of names and values") from error


class _Attributes(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)

    product_type: Literal["IW_GRDH_1S"]
    polarisation_channels: Literal["VV&VH"]
    relative_orbit_number: int = Field(strict=True, ge=1, le=175)
    orbit_number: int = Field(strict=True, ge=1)
    orbit_direction: Literal["ASCENDING", "DESCENDING"]
    platform_serial_identifier: Literal["A", "B", "C", "D"]
    slice_number: int | None = Field(None, strict=True)
    processing_date: AwareDatetime | None = None
    processor_version: Annotated[tuple[int, int], BeforeValidator(_version)] = (0, 0)


class _ContentDate(_Answer):
    start: AwareDatetime
    end: AwareDatetime


class _File(_Answer):
    id: UUID
    name: str
    content_length: int = Field(strict=True, ge=0)
    publication_date: AwareDatetime
    s3_path: str
    md5: Annotated[str, BeforeValidator(_md5)] = Field("", alias="Checksum")


class _Product(_File):
    online: bool = Field(strict=True)
    content_date: _ContentDate
    footprint: Annotated[str, BeforeValidator(_wkt)] = Field(alias="GeoFootprint")
    attributes: Annotated[_Attributes, BeforeValidator(_by_name)]


class _Deleted(_Answer):
    id: UUID


def page(answer: Any, host: str) -> Page:
    """One page of an answer of `host`.

    Raises:
        CatalogueError: It is no page; the message names host and field.
    """
    return _checked(Page, answer, host)


def product_offer(entry: Any, query: ProductQuery, host: str) -> ProductOffer:
    """The offer that one entry of an answer of `host` makes.

    Raises:
        CatalogueError: A field is missing, malformed, or is not what the query asked for; the message names
            host, product and field.
    """
    product = _checked(_Product, entry, host)
    attributes = product.attributes
    name = ProductName.parse(product.name)
    if not name or name.ending != ".SAFE":
        raise _refused(host, product.name, "Name", product.name, "not the name of an IW GRDH 1SDV product")
    platform = "S1" + attributes.platform_serial_identifier
    expected = (
        ("platformSerialIdentifier", platform, name.platform),
        ("orbitNumber", attributes.orbit_number, name.absolute_orbit),
        ("relativeOrbitNumber", attributes.relative_orbit_number, query.relative_orbit),
        ("orbitDirection", attributes.orbit_direction, query.direction),
    )
    for field, found, wanted in expected:
        if found != wanted:
            raise _refused(host, product.name, f"Attributes.{field}", found, f"{wanted} was expected")
    return ProductOffer(
        name=product.name,
        platform=platform,
        absolute_orbit=attributes.orbit_number,
        start=product.content_date.start.astimezone(UTC),
        stop=product.content_date.end.astimezone(UTC),
        id=str(product.id),
        cog=name.cog,
        slice_number=attributes.slice_number,
        processed=attributes.processing_date and attributes.processing_date.astimezone(UTC),
        ipf_version=attributes.processor_version,
        published=product.publication_date.astimezone(UTC),
        online=product.online,
        size_bytes=product.content_length or None,
        md5=product.md5,
        footprint=product.footprint,
        location=product.s3_path,
    )


def orbit_offer(entry: Any, host: str) -> OrbitOffer:
    """The orbit file that one entry of an answer of `host` offers; raises as `product_offer`."""
    file = _checked(_File, entry, host)
    return OrbitOffer(
        name=file.name,
        id=str(file.id),
        published=file.publication_date.astimezone(UTC),
        size_bytes=file.content_length or None,
        md5=file.md5,
        location=file.s3_path,
    )


def deleted_id(entry: Any, host: str) -> str:
    """The id of one deleted product; raises as `product_offer`."""
    return str(_checked(_Deleted, entry, host).id)


def _checked(kind: type[AnswerT], entry: Any, host: str) -> AnswerT:
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        name = entry.get("Name", "the answer") if isinstance(entry, dict) else "the answer"
        found = "missing" if first["type"] == "missing" else first["input"]
        raise _refused(host, name, field, found, first["msg"]) from None


def _refused(host: str, name: object, field: str, found: object, reason: str) -> CatalogueError:
    return CatalogueError(
        f"{host}: {str(name)[:100]}: field {field} is {str(found)[:100]!r}: {reason}; the catalogue does not "
        "answer as documented: try again later, and report it to the help desk if that does not help"
    )
