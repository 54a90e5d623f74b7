"""From a search to verified files, on a Copernicus Data Space that serves a folder."""

import hashlib
import logging
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import orbit_file_text
import pytest
from loopback.data_space import ENVIRONMENT, serve_folder
from loopback.fake_cdse import MARK
from loopback.server import Fault
from sentinel1.tiny_safe import write_tiny_safe

from avalanche_assets.catalogue.cdse.catalogue import CdseCatalogue
from avalanche_assets.catalogue.interface import ProductQuery
from avalanche_assets.catalogue.sources import open_catalogue
from avalanche_assets.catalogue.verification import read_note
from avalanche_assets.errors import AccountError, CatalogueError
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.settings import (
    InventorySettings,
    Settings,
    SourceSettings,
    TerrainSettings,
    TransferSettings,
)

QUICK = TransferSettings(attempts=3, first_wait_s=0, longest_wait_s=0, stalled_s=2, keep_free_gb=0)
NAMES = [
    "S1B_IW_GRDH_1SDV_20171203T053600_20171203T053600_008510_00EE48_AAAA",
    "S1B_IW_GRDH_1SDV_20171203T053600_20171203T053601_008510_00EE48_BBBB",
]
QUERY = ProductQuery(139, "DESCENDING", (5.0, 46.0, 6.0, 47.0))


def ignore(_):
    pass


def test_a_product_that_was_fetched_is_there_also_when_it_goes_offline(space, tmp_path):
    catalogue = CdseCatalogue(space.settings, QUICK)
    offer = catalogue.search(QUERY)[0]
    path = catalogue.fetch(offer, tmp_path, ignore)
    assert catalogue.fetch(replace(offer, online=False), tmp_path, ignore) == path


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two slices and an orbit file of their pass, as they lie in the archive."""
    folder = tmp_path_factory.mktemp("archive")
    dn = np.random.default_rng(139).integers(0, 400, (40, 300))
    for number, name in enumerate(NAMES):
        made = write_tiny_safe(folder, dn, first_line=40 * number, name=name, zipped=True)
        made.rename(folder / f"{name}.SAFE.zip")
    orbits = folder / "orbits"
    orbits.mkdir()
    (orbits / orbit_file_text.name()).write_text(orbit_file_text.orbit_file_text(), encoding="utf-8")
    return folder


@pytest.fixture
def space(archive, monkeypatch):
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    with serve_folder(archive, archive / "orbits") as running:
        yield running


@pytest.fixture
def catalogue(space):
    return CdseCatalogue(space.settings, QUICK)


def path_of(space, offer):
    return space.server.product_path(offer.id)


def test_folder_is_offered_as_it_is_and_fetched_verified(space, catalogue, archive, tmp_path):
    offers = catalogue.search(QUERY)
    assert [offer.name for offer in offers] == [f"{name}.SAFE" for name in NAMES]
    reports = []
    for offer, name in zip(offers, NAMES, strict=True):
        original = archive / f"{name}.SAFE.zip"
        assert offer.start == Product.open(original).start
        assert offer.size_bytes == original.stat().st_size
        path = catalogue.fetch(offer, tmp_path, reports.append)
        assert path == tmp_path / f"{name}.SAFE.zip"
        assert path.read_bytes() == original.read_bytes()
        note = read_note(path)
        assert note
        assert (note.by, note.catalogue_id) == ("md5", offer.id)
    assert {report.done_bytes for report in reports if report.done_bytes == report.total_bytes} == {
        offer.size_bytes for offer in offers
    }
    assert space.server.logins == 1


def test_product_that_is_there_is_not_fetched_again(space, catalogue, tmp_path):
    offer, _ = catalogue.search(QUERY)
    first = catalogue.fetch(offer, tmp_path, ignore)
    written = first.stat().st_mtime_ns
    again = CdseCatalogue(space.settings, QUICK).fetch(offer, tmp_path, ignore)
    assert again.stat().st_mtime_ns == written
    assert space.server.served[path_of(space, offer)] == offer.size_bytes


def test_broken_transfer_goes_on_where_it_ended(space, catalogue, archive, tmp_path):
    offer, _ = catalogue.search(QUERY)
    space.server.faults[path_of(space, offer)].extend([Fault("reset", at=1000), Fault("status", status=429)])
    path = catalogue.fetch(offer, tmp_path, ignore)
    assert path.read_bytes() == (archive / path.name).read_bytes()
    ranges = [request.headers.get("range") for request in space.server.seen if "value" in request.path]
    assert ranges[0] is None
    assert ranges[-1] is not None


def test_wrong_bytes_never_get_the_name_of_the_product(space, catalogue, tmp_path):
    offer, _ = catalogue.search(QUERY)
    space.server.faults[path_of(space, offer)].extend([Fault("flip", at=500)] * 9)
    with pytest.raises(CatalogueError, match=r"MD5 is .*the catalogue says"):
        catalogue.fetch(offer, tmp_path, ignore)
    assert not list(tmp_path.glob("*.zip"))


def test_product_without_a_checksum_is_verified_by_its_manifest(space, catalogue, tmp_path):
    for entity in space.catalogue.products:
        entity["Checksum"] = [{}]
    offer, _ = catalogue.search(QUERY)
    space.server.faults[path_of(space, offer)].append(Fault("flip", at=500))
    path = catalogue.fetch(offer, tmp_path, ignore)
    note = read_note(path)
    assert note
    assert note.by == "manifest"
    with zipfile.ZipFile(path) as zipped:
        assert zipped.testzip() is None


def test_missing_account_is_named_when_the_first_file_is_fetched(space, catalogue, tmp_path, monkeypatch):
    offer, _ = catalogue.search(QUERY)
    monkeypatch.delenv("CDSE_PASSWORD")
    with pytest.raises(CatalogueError, match="CDSE_PASSWORD not set"):
        catalogue.fetch(offer, tmp_path, ignore)


def test_nothing_secret_is_in_errors_logs_and_addresses(space, catalogue, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    offer, _ = catalogue.search(QUERY)
    catalogue.fetch(offer, tmp_path / "right", ignore)
    monkeypatch.setenv("CDSE_PASSWORD", f"{MARK}-wrong")
    with pytest.raises(AccountError, match=r"login refused; check CDSE_USERNAME and CDSE_PASSWORD") as raised:
        CdseCatalogue(space.settings, QUICK).fetch(offer, tmp_path / "wrong", ignore)
    assert MARK not in str(raised.value)
    assert MARK not in caplog.text
    assert not [request.line for request in space.server.seen if MARK in request.line]


def pass_of_orbit_file():
    start, stop = (
        instant.astype("datetime64[us]").item().replace(tzinfo=UTC)
        for instant in (orbit_file_text.START, orbit_file_text.STOP)
    )
    return start, stop


def test_orbit_file_is_found_fetched_once_and_whole(space, catalogue, archive, tmp_path):
    (offer,) = catalogue.search_orbit_files("S1A", *pass_of_orbit_file())
    path = catalogue.fetch_orbit_file(offer, tmp_path, ignore)
    assert path.name == orbit_file_text.name()
    assert path.read_bytes() == (archive / "orbits" / path.name).read_bytes()
    assert catalogue.fetch_orbit_file(offer, tmp_path, ignore) == path
    assert space.server.served[path_of(space, offer)] == path.stat().st_size


def test_orbit_file_that_is_none_is_refused_even_with_the_right_checksum(space, catalogue, tmp_path):
    (offer,) = catalogue.search_orbit_files("S1A", *pass_of_orbit_file())
    page = b"<html>Under maintenance</html>"
    space.server.files[offer.id] = page
    (entity,) = (item for item in space.catalogue.products if item["Id"] == offer.id)
    entity["ContentLength"] = len(page)
    entity["Checksum"] = [{"Algorithm": "MD5", "Value": hashlib.md5(page).hexdigest()}]
    (offer,) = catalogue.search_orbit_files("S1A", *pass_of_orbit_file())
    with pytest.raises(CatalogueError, match="File_Type is missing"):
        catalogue.fetch_orbit_file(offer, tmp_path, ignore)
    assert not list(tmp_path.glob("*.EOF"))


def test_product_published_and_product_withdrawn_later_are_seen(space, catalogue, archive, tmp_path):
    since = datetime(2018, 1, 1, tzinfo=UTC)
    query = ProductQuery(139, "DESCENDING", QUERY.area, published_after=since)
    assert catalogue.search(query) == []
    name = NAMES[0].replace("_AAAA", "_DDDD")
    again = tmp_path / f"{name}.SAFE.zip"
    again.write_bytes((archive / f"{NAMES[0]}.SAFE.zip").read_bytes())
    space.add_product(again, PublicationDate="2018-01-02T00:00:00.000000Z")
    assert [offer.name for offer in catalogue.search(query)] == [f"{name}.SAFE"]
    (old,) = (item for item in space.catalogue.products if item["Name"] == f"{NAMES[0]}.SAFE")
    space.withdraw(old, since + timedelta(days=2))
    assert catalogue.withdrawn(QUERY, since) == {old["Id"]}
    assert old["Id"] not in {offer.id for offer in catalogue.search(QUERY)}


def settings(tmp_path, **source):
    return Settings(
        data_root=tmp_path,
        source=SourceSettings(folder=tmp_path, orbits=tmp_path, **source),
        terrain=TerrainSettings(dem=tmp_path / "dem.tif", vertical_datum="ellipsoidal"),
        inventory=InventorySettings(corridors=tmp_path / "c.gpkg", events=tmp_path / "e.csv"),
    )


def test_settings_choose_the_catalogue(space, archive, tmp_path):
    remote = open_catalogue(settings(tmp_path, kind="cdse", cdse=space.settings))
    assert len(remote.search(QUERY)) == 2
    local = open_catalogue(settings(tmp_path, kind="safe_folder"))
    assert local.search(QUERY) == []
    with pytest.raises(CatalogueError, match="raster_folder has no catalogue"):
        open_catalogue(settings(tmp_path, kind="raster_folder"))


def test_served_folder_offers_each_product_and_its_twin_with_its_bytes(archive):
    with serve_folder(archive) as space:
        assert len(space.catalogue.products) == 4
        assert {len(content) for content in space.server.files.values()} == {
            (archive / f"{name}.SAFE.zip").stat().st_size for name in NAMES
        }


def test_real_products_are_offered_by_what_their_manifests_say(real_data, tmp_path, space):
    folder = real_data / "safe"
    products = [Product.open(path) for path in sorted(folder.glob("*.SAFE.zip"))]
    assert products
    with serve_folder(folder) as served:
        catalogue = CdseCatalogue(served.settings, QUICK)
        for product in products:
            around = product.footprint.centroid.buffer(0.1).bounds
            query = ProductQuery(product.relative_orbit, product.direction, around)
            (offer,) = (item for item in catalogue.search(query) if item.name == f"{product.name}.SAFE")
            assert (offer.start, offer.stop) == (product.start, product.stop)
            assert (offer.ipf_version, offer.absolute_orbit) == (product.ipf_version, product.absolute_orbit)
            east = ProductQuery(product.relative_orbit, product.direction, (170.0, -80.0, 171.0, -79.0))
            assert catalogue.search(east) == []
        path = catalogue.fetch(offer, tmp_path, ignore)
        assert path.read_bytes() == (folder / path.name).read_bytes()
