"""Entities of the Copernicus Data Space catalogue with names of our own.

Field for field they follow a real GRDH entity and real entities of auxiliary files (the recorded answers of
which the tests of the catalogue read some). The fields of deleted products follow the documentation.
"""

import hashlib
import uuid
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import shapely

from avalanche_assets.catalogue.product_name import ProductName
from avalanche_assets.sentinel1.orbit_file import OrbitFile
from avalanche_assets.sentinel1.product import Product

FRENCH_ALPS = shapely.box(4.5, 43.8, 7.6, 46.5)
LATENCY = timedelta(minutes=77)
"""From the end of sensing to publication."""


def grdh(
    name,
    *,
    relative_orbit=None,
    direction="DESCENDING",
    slice_number=1,
    processed=None,
    published=None,
    online=True,
    md5="",
    checksum=None,
    size=1_732_332_897,
    footprint=FRENCH_ALPS,
    ipf="003.71",
    polarisations="VV&VH",
    start=None,
    stop=None,
):
    """A GRDH product; `checksum` replaces the list made of `md5`, e.g. by an empty one."""
    parsed = ProductName.parse(name)
    start, stop = start or parsed.start, stop or parsed.stop
    processed = processed or stop + timedelta(hours=1)
    published = published or stop + LATENCY
    day = f"{start:%Y/%m/%d}"
    attributes = {
        "origin": "ESA",
        "datatakeID": int(name[56:62], 16),
        "timeliness": "Fast-24h",
        "cycleNumber": 324,
        "orbitNumber": parsed.absolute_orbit,
        "sliceNumber": slice_number,
        "totalSlices": 5,
        "productClass": "S",
        "processorName": "Sentinel-1 IPF",
        "orbitDirection": direction,
        "processingDate": processed,
        "operationalMode": "IW",
        "processingLevel": "LEVEL1",
        "swathIdentifier": "IW",
        "processorVersion": ipf,
        "sliceProductFlag": False,
        "platformShortName": "SENTINEL-1",
        "productComposition": "Slice",
        "instrumentShortName": "SAR",
        "relativeOrbitNumber": relative_orbit or parsed.relative_orbit,
        "polarisationChannels": polarisations,
        "platformSerialIdentifier": parsed.platform[2:],
        "instrumentConfigurationID": 7,
        "startTimeFromAscendingNode": 5419578.0,
        "completionTimeFromAscendingNode": 5450173.0,
        "productType": "IW_GRDH_1S",
        "beginningDateTime": start,
        "endingDateTime": stop,
    }
    path = f"/eodata/Sentinel-1/SAR/IW_GRDH_1S/{day}/{name}"
    return _entity(name, start, stop, published, path, attributes, size, md5, checksum, online, footprint)


def grdh_of(path):
    """The entity of a product in a zip: times, orbit, slice, size, MD5 and footprint are its own."""
    product = Product.open(path)
    manifest = product.archive.manifest
    return grdh(
        f"{product.name}.SAFE",
        relative_orbit=manifest.relative_orbit,
        direction=manifest.direction,
        slice_number=manifest.slice_number,
        processed=manifest.processed,
        md5=file_md5(path),
        size=path.stat().st_size,
        footprint=product.footprint,
        ipf="{:03d}.{:02d}".format(*manifest.ipf_version),
        start=manifest.start,
        stop=manifest.stop,
    )


def cog_twin(entity):
    """The cloud-optimised twin that the service itself makes of every product."""
    twin = deepcopy(entity)
    name = entity["Name"].replace(".SAFE", "_COG.SAFE")
    twin["Id"] = _id(name)
    twin["S3Path"] = entity["S3Path"].replace(entity["Name"], name).replace("IW_GRDH_1S/", "IW_GRDH_1S-COG/")
    twin["Name"] = name
    values = {"productType": "IW_GRDH_1S-COG", "origin": "CLOUDFERRO"}
    for attribute in twin["Attributes"]:
        attribute["Value"] = values.get(attribute["Name"], attribute["Value"])
    return twin


def orbit_file(name, *, published=None, md5="", size=4_409_905, online=True):
    """An orbit file by its name, which carries no zip ending."""
    named = OrbitFile.named(Path(name))
    start, stop = (instant.astype(datetime).replace(tzinfo=UTC) for instant in (named.start, named.stop))
    kind = f"AUX_{named.source}"
    attributes = {
        "origin": "ESA",
        "platformShortName": "SENTINEL-1",
        "instrumentShortName": "SAR",
        "platformSerialIdentifier": named.platform[2:],
        "productType": kind,
        "beginningDateTime": start,
        "endingDateTime": stop,
    }
    published = published or stop + timedelta(days=20)
    path = f"/eodata/Sentinel-1/AUX/{kind}/{start:%Y/%m/%d}/{name}"
    return _entity(name, start, stop, published, path, attributes, size, md5, None, online, None)


def orbit_file_of(path):
    """The entity of an orbit file on disk."""
    return orbit_file(path.name, md5=file_md5(path), size=path.stat().st_size)


def deleted(entity, when, cause="Corrupted product"):
    """The same product once it was taken back."""
    return entity | {"DeletionDate": _stamp(when), "DeletionCause": cause, "Online": False}


def file_md5(path):
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _entity(name, start, stop, published, path, attributes, size, md5, checksum, online, footprint):
    geometry = footprint and shapely.geometry.mapping(footprint)
    if checksum is None:
        dated = {"ChecksumDate": _stamp(published + timedelta(seconds=18))}
        checksum = [{"Value": md5, "Algorithm": "MD5", **dated}] if md5 else []
        checksum.append({"Value": "0" * 64, "Algorithm": "BLAKE3", **dated})
    return {
        "@odata.mediaContentType": "application/octet-stream",
        "Id": _id(name),
        "Name": name,
        "ContentType": "application/octet-stream",
        "ContentLength": size,
        "OriginDate": _stamp(published - timedelta(minutes=6)),
        "PublicationDate": _stamp(published),
        "ModificationDate": _stamp(published + timedelta(seconds=22)),
        "Online": online,
        "EvictionDate": "9999-12-31T23:59:59.999999Z",
        "S3Path": path,
        "Checksum": checksum,
        "ContentDate": {"Start": _stamp(start), "End": _stamp(stop)},
        "Footprint": footprint and f"geography'SRID=4326;{footprint.wkt}'",
        "GeoFootprint": geometry and {**geometry, "coordinates": _lists(geometry["coordinates"])},
        "Attributes": [_attribute(name, value) for name, value in attributes.items() if value is not None],
    }


def _attribute(name, value):
    kinds = {bool: "Boolean", int: "Integer", float: "Double", str: "String", datetime: "DateTimeOffset"}
    kind = kinds[type(value)]
    text = value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
    return {
        "@odata.type": f"#OData.CSC.{kind}Attribute",
        "Name": name,
        "Value": text,
        "ValueType": kind,
    }


def _id(name):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _stamp(instant):
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _lists(coordinates):
    """GeoJSON as it comes out of JSON: lists, no tuples."""
    return [_lists(item) if isinstance(item, tuple) else item for item in coordinates]
