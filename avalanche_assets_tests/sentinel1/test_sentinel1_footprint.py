"""The corners that a manifest tells."""

import pytest
import shapely

from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import SafeArchive, parse_manifest

MANIFEST = (
    '<XFDU><processing><facility><software name="Sentinel-1 IPF" version="002.84"/></facility></processing>'
    "<platform><number>A</number><instrumentMode><mode>IW</mode></instrumentMode></platform>"
    "<orbitReference><orbitNumber>19986</orbitNumber><relativeOrbitNumber>139</relativeOrbitNumber>"
    "<pass>DESCENDING</pass></orbitReference><standAloneProductInformation>"
    "<missionDataTakeID>5300000</missionDataTakeID><productType>GRD</productType>"
    "</standAloneProductInformation><acquisitionPeriod><startTime>2018-01-03T05:43:01</startTime>"
    "<stopTime>2018-01-03T05:43:26</stopTime></acquisitionPeriod>{}</XFDU>"
)
FRAMES = (
    "<frameSet><frame><number>1</number></frame><frame><footPrint><coordinates>{}</coordinates>"
    "</footPrint></frame></frameSet>"
)


def footprint(frames: str) -> str:
    return parse_manifest(MANIFEST.format(frames).encode(), "manifest.safe").footprint


def test_corners_become_a_closed_ring_of_longitude_and_latitude():
    found = footprint(FRAMES.format("45.5,12.25 46.0,8.75 47.5,9.0 47.0,12.5"))
    assert found == "POLYGON ((12.25 45.5, 8.75 46.0, 9.0 47.5, 12.5 47.0, 12.25 45.5))"
    assert shapely.from_wkt(found).is_valid


@pytest.mark.parametrize(
    "coordinates",
    ["", "45.5,12.25 46.0,8.75", "a,b c,d e,f", "45.5 12.25 46 8", "nan,1 2,3 4,5", "95,1 2,3 4,5"],
)
def test_footprint_that_cannot_be_read_is_unknown_and_no_error(coordinates):
    assert footprint(FRAMES.format(coordinates)) == ""
    assert footprint("") == ""


def test_footprints_of_real_products_surround_their_tie_points(real_data):
    paths = sorted((real_data / "safe").glob("S1*.zip"))
    if not paths:
        pytest.skip(f"no products in {real_data / 'safe'}")
    for path in paths:
        corners = shapely.from_wkt(SafeArchive.open(path).manifest.footprint)
        tie_points = Product.open(path).footprint
        common = corners.intersection(tie_points).area / corners.union(tie_points).area
        # The same ground: edges straight between corners here, between tie points there.
        assert common > 0.98, path.name
