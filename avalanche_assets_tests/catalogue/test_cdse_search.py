"""What is found in the Copernicus Data Space, and what is not."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from loopback.fake_odata import PATHS, FakeOData
from loopback.odata_entities import FRENCH_ALPS, cog_twin, deleted, grdh, orbit_file
from loopback.odata_filter import matcher
from loopback.server import Answer, Fault, LoopbackServer
from shapely import affinity, box, from_wkt

from avalanche_assets.catalogue.cdse.catalogue import PAGE_SIZE, CdseCatalogue
from avalanche_assets.catalogue.duplicates import resolve_duplicates
from avalanche_assets.catalogue.interface import Catalogue, ProductQuery
from avalanche_assets.errors import CatalogueError, OfflineError, RefusedError
from avalanche_assets.settings import CdseSettings, TransferSettings

QUICK = TransferSettings(attempts=3, first_wait_s=0, longest_wait_s=0, stalled_s=5, keep_free_gb=0)
QUERY = ProductQuery(139, "DESCENDING", (5.4, 43.9, 7.8, 46.5))
S1A = "S1A_IW_GRDH_1SDV_2018{}T{}_2018{}T{}_{:06d}_000001_{}.SAFE"


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def name(day="0103", start="054301", stop="054326", orbit=19986, unique="AAAA"):
    return S1A.format(day, start, day, stop, orbit, unique)


FIRST = name()
SECOND = name(start="054326", stop="054351", unique="BBBB")
LATER = name("0115", orbit=20161, unique="CCCC")


@pytest.fixture
def odata():
    return FakeOData()


@pytest.fixture
def server(odata):
    with LoopbackServer() as running:
        for path in PATHS:
            running.routes[path] = odata
        yield running


@pytest.fixture
def catalogue(server) -> Catalogue:
    return CdseCatalogue(CdseSettings(catalogue_url=f"{server.url}/odata/v1"), QUICK)


def names(offers):
    return [offer.name for offer in offers]


def test_products_come_in_order_of_time_and_their_twins_never(odata, catalogue):
    for entity in (grdh(LATER), grdh(SECOND), grdh(FIRST)):
        odata.products += [entity, cog_twin(entity)]
    assert names(catalogue.search(QUERY)) == [FIRST, SECOND, LATER]


def test_matching_names_would_find_the_twins(odata):
    """The trap that the filter avoids exists in this catalogue too."""
    odata.products = [grdh(FIRST), cog_twin(grdh(FIRST))]
    by_name = matcher("Collection/Name eq 'SENTINEL-1' and contains(Name,'IW_GRDH_1S')")
    assert sum(by_name(entity) for entity in odata.products) == 2


def test_offer_tells_what_the_catalogue_knows(odata, catalogue):
    published = utc(2018, 1, 3, 7, 0, 1) + timedelta(microseconds=5)
    entity = grdh(
        FIRST,
        slice_number=4,
        processed=utc(2018, 1, 3, 6, 50),
        published=published,
        md5="0123456789abcdef0123456789ABCDEF",
        size=1234,
        ipf="002.84",
        start=utc(2018, 1, 3, 5, 43, 1) + timedelta(microseconds=123456),
    )
    odata.products = [entity]
    (offer,) = catalogue.search(QUERY)
    assert (offer.platform, offer.absolute_orbit, offer.slice_number) == ("S1A", 19986, 4)
    assert offer.id == entity["Id"]
    assert offer.start == utc(2018, 1, 3, 5, 43, 1) + timedelta(microseconds=123456)
    assert offer.stop == utc(2018, 1, 3, 5, 43, 26)
    assert offer.processed == utc(2018, 1, 3, 6, 50)
    assert offer.published == published
    assert (offer.ipf_version, offer.online, offer.cog) == ((2, 84), True, False)
    assert (offer.size_bytes, offer.md5) == (1234, "0123456789abcdef0123456789abcdef")
    assert from_wkt(offer.footprint).equals(FRENCH_ALPS)
    assert offer.location == entity["S3Path"]


@pytest.mark.parametrize(
    "other",
    [
        grdh(FIRST, relative_orbit=66),
        grdh(FIRST, direction="ASCENDING"),
        grdh(FIRST, polarisations="VV"),
        grdh(FIRST, footprint=affinity.translate(FRENCH_ALPS, 10)),
        grdh(FIRST, footprint=box(5.4, 46.6, 7.8, 48)),
        cog_twin(grdh(FIRST)),
    ],
    ids=["track", "direction", "polarisation", "east", "north", "twin"],
)
def test_everything_else_is_not_found(odata, catalogue, other):
    odata.products = [other, grdh(LATER)]
    assert names(catalogue.search(QUERY)) == [LATER]


def test_time_bounds_include_the_first_and_exclude_the_last_instant(odata, catalogue):
    odata.products = [grdh(FIRST), grdh(SECOND), grdh(LATER)]
    bounds = (utc(2018, 1, 3, 5, 43, 26), utc(2018, 1, 15, 5, 43, 1))
    query = ProductQuery(139, "DESCENDING", QUERY.area, *bounds)
    assert names(catalogue.search(query)) == [SECOND]
    # The same instants told in another time zone.
    zone = datetime.fromisoformat("2018-01-01T00:00:00+01:00").tzinfo
    query = ProductQuery(139, "DESCENDING", QUERY.area, *(bound.astimezone(zone) for bound in bounds))
    assert names(catalogue.search(query)) == [SECOND]


def test_poll_finds_what_was_published_since_in_one_request(odata, catalogue):
    published = utc(2018, 1, 3, 7)
    late = grdh(FIRST, published=utc(2018, 2, 1))
    odata.products = [grdh(SECOND, published=published), late]
    query = ProductQuery(139, "DESCENDING", QUERY.area, published_after=published)
    assert names(catalogue.search(query)) == [FIRST]
    assert len(odata.asked) == 1
    odata.products.remove(late)
    assert catalogue.search(query) == []
    assert len(odata.asked) == 2


def season():
    """A hundred acquisitions of three slices."""
    day, slices = utc(2015, 1, 1), ("054301_054326", "054326_054351", "054351_054416")
    for number in range(100):
        for order, span in enumerate(slices):
            start, stop = (f"{day + timedelta(12 * number):%Y%m%d}T{end}" for end in span.split("_"))
            orbit = 3886 + 175 * number
            yield grdh(f"S1A_IW_GRDH_1SDV_{start}_{stop}_{orbit:06d}_000001_{number:03X}{order}.SAFE")


@pytest.mark.parametrize("page_limit", [7, 1000])
def test_all_pages_are_read_and_nothing_comes_twice(odata, catalogue, page_limit):
    entities = list(season())
    odata.products = [item for entity in entities for item in (cog_twin(entity), entity)]
    odata.page_limit = page_limit
    assert names(catalogue.search(QUERY)) == [entity["Name"] for entity in entities]
    # A full last page is followed by an empty one.
    assert len(odata.asked) == 300 // min(page_limit, PAGE_SIZE) + 1
    assert all("$orderby" in parameters for _, parameters in odata.asked)


def test_pages_without_an_order_would_repeat_and_miss_entries(odata, catalogue):
    """Without the order, the test above could not pass: it is asked for with reason."""
    odata.products = list(season())
    odata.page_limit = 7
    answer = odata._page
    odata._page = lambda url, entities, parameters: answer(
        url, entities, {key: value for key, value in parameters.items() if key != "$orderby"}
    )
    assert 0 < len(catalogue.search(QUERY)) < 250


def test_entry_that_moves_to_the_next_page_while_the_service_takes_in_another_comes_once(odata, catalogue):
    entities = list(season())
    odata.products, odata.page_limit = entities[1:], 50

    def take_in():
        odata.after_page = lambda: None
        odata.products.append(entities[0])

    odata.after_page = take_in
    assert names(catalogue.search(QUERY)) == [entity["Name"] for entity in entities[1:]]


def test_reprocessed_and_fast_slices_are_offered_and_the_right_one_is_chosen(odata, catalogue):
    fast = grdh(name(start="054304", stop="054329", unique="FA57"), slice_number=0)
    again = grdh(
        name(unique="DDDD"), slice_number=4, processed=utc(2025, 10, 15), published=utc(2025, 10, 16)
    )
    odata.products = [fast, grdh(FIRST, slice_number=4), again]
    offers = catalogue.search(QUERY)
    assert len(offers) == 3
    kept, dropped = resolve_duplicates(offers)
    assert names(kept) == [again["Name"]]
    assert {item.name for item in dropped} == {FIRST, fast["Name"]}


@pytest.mark.parametrize("checksum", [[], [{}], None, [{"Value": "0" * 64, "Algorithm": "BLAKE3"}]])
def test_checksum_may_come_later(odata, catalogue, checksum):
    odata.products = [grdh(FIRST) | {"Checksum": checksum}]
    (offer,) = catalogue.search(QUERY)
    assert offer.md5 == ""


def test_attributes_that_only_prefer_duplicates_may_lack(odata, catalogue):
    entity = grdh(FIRST, size=0)
    optional = ("sliceNumber", "processingDate", "processorVersion")
    entity["Attributes"] = [item for item in entity["Attributes"] if item["Name"] not in optional]
    odata.products = [entity]
    (offer,) = catalogue.search(QUERY)
    assert (offer.slice_number, offer.processed, offer.ipf_version) == (None, None, (0, 0))
    assert offer.size_bytes is None


def test_offline_product_is_offered_and_refused_with_what_to_do(odata, catalogue, tmp_path):
    odata.products = [grdh(FIRST, online=False)]
    (offer,) = catalogue.search(QUERY)
    assert not offer.online
    with pytest.raises(
        OfflineError, match=rf"{FIRST}: field Online is false.*order it in the Data Workspace"
    ):
        catalogue.fetch(offer, tmp_path, lambda _: None)
    assert list(tmp_path.iterdir()) == []


# Withdrawn products


def test_products_taken_back_since_an_instant_are_told_by_id(odata, catalogue):
    gone = deleted(grdh(FIRST, published=utc(2018, 1, 3, 7)), utc(2018, 6, 1, 12))
    odata.deleted = [
        gone,
        deleted(grdh(SECOND), utc(2018, 5, 31)),
        deleted(cog_twin(grdh(LATER)), utc(2018, 6, 2)),
        deleted(grdh(LATER, relative_orbit=66), utc(2018, 6, 2)),
    ]
    # When it was published does not matter for what was taken back.
    query = ProductQuery(139, "DESCENDING", QUERY.area, published_after=utc(2018, 5, 1))
    assert catalogue.withdrawn(query, utc(2018, 6, 1, 12)) == {gone["Id"]}


# Orbit files

PRECISE = "S1A_OPER_AUX_POEORB_OPOD_20210309T120000_V20180102T225942_20180104T005942.EOF"
RESTITUTED = "S1A_OPER_AUX_RESORB_OPOD_20180103T080000_V20180103T035942_20180103T071712.EOF"
PASS = (utc(2018, 1, 3, 5, 43, 1), utc(2018, 1, 3, 5, 44, 16))


def test_orbit_files_that_cover_the_pass_with_its_margin_are_found(odata, catalogue):
    odata.products = [
        orbit_file(PRECISE, md5="0" * 32),
        orbit_file(RESTITUTED),
        orbit_file(PRECISE.replace("S1A", "S1B")),
        # Ends 49 s after the pass; processing needs 50.
        orbit_file(RESTITUTED.replace("20180103T071712", "20180103T054505")),
        orbit_file(PRECISE.replace("V20180102", "V20180103").replace("_20180104T", "_20180105T")),
        orbit_file(PRECISE.replace("20210309", "20210310"), online=False),
        grdh(FIRST),
    ]
    offers = catalogue.search_orbit_files("S1A", *PASS)
    assert {offer.name for offer in offers} == {PRECISE, RESTITUTED}
    (precise,) = (offer for offer in offers if offer.name == PRECISE)
    assert (precise.md5, precise.size_bytes) == ("0" * 32, 4_409_905)
    assert precise.location.endswith(f"/AUX_POEORB/2018/01/02/{PRECISE}")


# Answers that cannot be used


def changed(**fields):
    return grdh(FIRST) | fields


def with_attribute(attribute, value):
    entity = grdh(FIRST)
    for item in entity["Attributes"]:
        if item["Name"] == attribute:
            item["Value"] = value
    return entity


def without(field):
    return {key: value for key, value in grdh(FIRST).items() if key != field}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (without("Id"), rf"{FIRST}: field Id is 'missing'"),
        (without("Attributes"), "field Attributes is 'missing'"),
        (changed(Id="../../etc"), "field Id is '../../etc'"),
        (changed(Name="../" + FIRST), "field Name is '../S1A"),
        (changed(ContentLength="12"), "field ContentLength is '12'"),
        (changed(Online="yes"), "field Online is 'yes'"),
        (changed(PublicationDate="2018-01-03T07:00:00"), "field PublicationDate"),
        (changed(ContentDate={"Start": "soon", "End": "soon"}), "field ContentDate.Start is 'soon'"),
        (changed(Checksum=[{"Algorithm": "MD5", "Value": "no"}]), "field Checksum is .*not an MD5"),
        (changed(Checksum=5), "field Checksum is '5'"),
        (changed(GeoFootprint={"type": "Polygon"}), "field GeoFootprint"),
        (
            changed(GeoFootprint={"type": "Point", "coordinates": [5, 45]}),
            "field GeoFootprint.*not a polygon",
        ),
        (changed(Attributes={"productType": 1}), "field Attributes is"),
        (with_attribute("productType", "IW_GRDH_1S-COG"), "field Attributes.productType is 'IW_GRDH_1S-COG'"),
        (with_attribute("relativeOrbitNumber", 66), "field Attributes.relativeOrbitNumber is '66': 139 was"),
        (with_attribute("orbitDirection", "ASCENDING"), "field Attributes.orbitDirection is 'ASCENDING'"),
        (with_attribute("orbitNumber", 19987), "field Attributes.orbitNumber is '19987': 19986 was expected"),
        (with_attribute("platformSerialIdentifier", "B"), "field Attributes.platformSerialIdentifier"),
        (with_attribute("processorVersion", "x"), "field Attributes.processorVersion is 'x'"),
        ("product", "field the whole is 'product'"),
    ],
)
def test_entry_that_cannot_be_used_is_named_with_its_field(server, catalogue, entry, says):
    body = json.dumps({"value": [entry]}).encode()
    server.routes[PATHS[0]] = lambda request: Answer(body=body)
    with pytest.raises(CatalogueError, match=rf"^127\.0\.0\.1:{server.port}: .*{says}.*report it"):
        catalogue.search(QUERY)


def test_entry_that_cannot_be_used_holds_up_no_other(server, catalogue, caplog):
    body = json.dumps({"value": [changed(Checksum=5), changed()]}).encode()
    server.routes[PATHS[0]] = lambda request: Answer(body=body)
    assert [offer.name for offer in catalogue.search(QUERY)] == [FIRST]
    assert "field Checksum is '5'" in caplog.text
    assert "Left out, the other 1 products count" in caplog.text


@pytest.mark.parametrize("body", [b"[]", b'{"values": []}', b'{"value": 5}', b"null"])
def test_answer_that_is_no_page_is_an_error(server, catalogue, body):
    server.routes[PATHS[0]] = lambda request: Answer(body=body)
    with pytest.raises(CatalogueError, match="the answer: field"):
        catalogue.search(QUERY)


@pytest.mark.parametrize(
    "link",
    [
        "http://elsewhere.example.org/odata/v1/Products?$skip=1",
        "https://127.0.0.1/odata/v1/Products?$skip=1",
        "http://127.0.0.1:1/odata/v1/Products?$skip=1",
        "file:///etc/passwd",
        "//elsewhere.example.org/x",
    ],
)
def test_next_page_on_another_server_is_not_asked_for(server, catalogue, link):
    body = json.dumps({"value": [], "@odata.nextLink": link}).encode()
    server.routes[PATHS[0]] = lambda request: Answer(body=body)
    with pytest.raises(CatalogueError, match=r"field @odata\.nextLink leads to .*another server"):
        catalogue.search(QUERY)
    assert len(server.seen) == 1


def test_pages_without_end_are_given_up(server, catalogue, odata, monkeypatch):
    monkeypatch.setattr("avalanche_assets.catalogue.cdse.catalogue.MAX_PAGES", 5)
    link = f"{server.url}{PATHS[0]}"
    body = json.dumps({"value": [], "@odata.nextLink": link}).encode()
    server.routes[PATHS[0]] = lambda request: Answer(body=body)
    with pytest.raises(CatalogueError, match="pages without end"):
        catalogue.search(QUERY)
    assert len(server.seen) == 5


def test_failures_that_pass_are_tried_again_on_any_page(server, odata, catalogue):
    odata.products = list(season())[:30]
    odata.page_limit = 10
    server.faults[PATHS[0]].extend([Fault("status", status=503), Fault("truncate", at=100)])
    assert len(catalogue.search(QUERY)) == 30
    server.faults[PATHS[0]].append(Fault("status", status=400))
    with pytest.raises(RefusedError, match="answered 400"):
        catalogue.search(QUERY)


def test_search_needs_no_account_and_sends_none(server, odata, catalogue, monkeypatch):
    monkeypatch.delenv("CDSE_USERNAME", raising=False)
    odata.products = [grdh(FIRST)]
    assert len(catalogue.search(QUERY)) == 1
    assert all("authorization" not in request.headers for request in server.seen)
