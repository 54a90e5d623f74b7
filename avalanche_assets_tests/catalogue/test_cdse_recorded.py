"""Real answers of the Copernicus Data Space, read by us, and our own entities beside them."""

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from loopback.fake_odata import PATHS, FakeOData
from loopback.odata_entities import grdh, orbit_file
from loopback.odata_filter import matcher
from loopback.server import Request

from avalanche_assets.catalogue.cdse.entities import orbit_offer, page, product_offer
from avalanche_assets.catalogue.cdse.filter import products_filter, withdrawn_filter
from avalanche_assets.catalogue.interface import ProductQuery
from avalanche_assets.catalogue.product_name import ProductName
from avalanche_assets.errors import CatalogueError

NAME = "S1A_IW_GRDH_1SDV_20240604T110100_20240604T110131_054172_069690_E33E.SAFE"
QUERY = ProductQuery(25, "ASCENDING", (114.0, -29.0, 115.0, -28.0))
HOST = "catalogue.dataspace.copernicus.eu"


def recorded(real_data, pattern):
    (path,) = (real_data / "cdse").glob(pattern)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("note", ["23", "24"])
def test_real_product_is_read_with_three_decimals_and_with_six(real_data, note):
    offer = product_offer(recorded(real_data, f"relnotes_{note}_*"), QUERY, HOST)
    assert (offer.name, offer.id) == (NAME, "521bd8f9-48a5-4e1f-9435-58f97cb64d39")
    assert (offer.platform, offer.absolute_orbit, offer.slice_number) == ("S1A", 54172, 5)
    assert abs(offer.start - datetime(2024, 6, 4, 11, 1, 0, 494767, UTC)) < timedelta(milliseconds=1)
    assert abs(offer.published - datetime(2024, 6, 4, 12, 18, 40, 284131, UTC)) < timedelta(milliseconds=1)
    assert offer.processed == datetime(2024, 6, 4, 12, 3, 49, 113620, UTC)
    assert (offer.size_bytes, offer.md5) == (2121095339, "4eec48737ecab7aab2bf590a8dec23b1")
    assert (offer.ipf_version, offer.online, offer.cog, offer.damage) == ((3, 71), True, False, "")
    assert offer.location == f"/eodata/Sentinel-1/SAR/IW_GRDH_1S/2024/06/04/{NAME}"
    assert offer.footprint.startswith("POLYGON ((113.605408 -29.713636,")


def test_relative_orbit_of_the_real_product_follows_the_formula(real_data):
    assert ProductName.parse(NAME).relative_orbit == QUERY.relative_orbit


@pytest.mark.parametrize(
    "asked", [ProductQuery(26, "ASCENDING", QUERY.area), ProductQuery(25, "DESCENDING", QUERY.area)]
)
def test_real_product_that_was_not_asked_for_is_refused(real_data, asked):
    with pytest.raises(CatalogueError, match=rf"^{HOST}: {NAME}: field Attributes\.(relativeO|o)rbit"):
        product_offer(recorded(real_data, "relnotes_24_*"), asked, HOST)


def test_filter_finds_the_real_product_and_only_where_and_when_it_is(real_data):
    entity = recorded(real_data, "relnotes_24_*")

    def finds(area=QUERY.area, track=25, **bounds):
        return matcher(products_filter(ProductQuery(track, "ASCENDING", area, **bounds)))(entity)

    start = datetime(2024, 6, 4, 11, 1, 0, 494767, UTC)
    assert finds(start=start, stop=start + timedelta(microseconds=1))
    assert not finds(start=start + timedelta(microseconds=1))
    assert not finds(stop=start)
    assert not finds(area=(5.0, 44.0, 7.0, 46.0))
    assert not finds(track=139)


def test_attributes_of_the_filter_are_those_that_the_service_lists(real_data):
    listed = {(item["Name"], item["ValueType"]) for item in recorded(real_data, "attributes.json")}
    text = products_filter(QUERY) + withdrawn_filter(QUERY, datetime(2024, 6, 4, tzinfo=UTC))
    used = {
        (name, kind) for kind, name in re.findall(r"CSC\.(\w+)Attribute/any\(att:att/Name eq '(\w+)'", text)
    }
    assert len(used) == 4
    assert used <= listed


@pytest.mark.parametrize("number", [1, 2])
def test_real_pages_of_auxiliary_files_are_read(real_data, number):
    answer = page(recorded(real_data, f"odata_page_{number}.json"), HOST)
    offers = [orbit_offer(entry, HOST) for entry in answer.value]
    assert len(offers) == 10
    assert all(len(offer.md5) == 32 and offer.size_bytes for offer in offers)
    assert urlsplit(answer.next_link).hostname == HOST


def test_next_link_of_the_loopback_catalogue_has_the_options_of_a_real_one(real_data):
    link = urlsplit(recorded(real_data, "odata_page_2.json")["@odata.nextLink"])
    odata = FakeOData([grdh(NAME)] * 11)
    query = (
        "$filter=Collection/Name eq 'SENTINEL-1'&$top=10&$expand=Attributes&$orderby=ContentDate/Start asc"
    )
    answer = odata(Request("GET", PATHS[0], query, {"host": HOST}))
    ours = urlsplit(json.loads(answer.body)["@odata.nextLink"])
    assert (ours.hostname, ours.path) == (link.hostname, link.path)
    assert parse_qs(ours.query).keys() == parse_qs(link.query).keys()
    assert parse_qs(ours.query)["$skip"] == ["10"]


def kinds(entity):
    return {item["Name"]: (item["@odata.type"], item["ValueType"]) for item in entity["Attributes"]}


def test_our_product_has_the_fields_and_attributes_of_the_real_one(real_data):
    real, ours = recorded(real_data, "relnotes_24_*"), grdh(NAME, direction="ASCENDING", md5="0" * 32)
    assert ours.keys() == real.keys() - {"@odata.context"}
    assert kinds(ours).items() <= kinds(real).items()
    assert kinds(real).keys() - kinds(ours).keys() == {"processingCenter", "segmentStartTime"}
    assert [item.keys() for item in ours["Checksum"]] == [item.keys() for item in real["Checksum"]]


def test_our_orbit_file_has_the_fields_and_attributes_of_a_real_auxiliary_file(real_data):
    entries = recorded(real_data, "odata_page_1.json")["value"]
    (real,) = (entry for entry in entries if "AUX_GNSSRD" in entry["Name"])
    ours = orbit_file("S1A_OPER_AUX_POEORB_OPOD_20210309T120000_V20180102T225942_20180104T005942.EOF")
    assert ours.keys() == real.keys()
    assert kinds(ours) == kinds(real)
