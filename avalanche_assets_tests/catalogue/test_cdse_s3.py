"""Products out of the object store: whole and verified, or not at all."""

import logging
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orbit_file_text
import pytest
from loopback.data_space import serve_folder
from loopback.object_store import object_store
from loopback.odata_entities import orbit_file_of
from loopback.server import Answer, Fault
from sentinel1.tiny_safe import write_tiny_safe

from avalanche_assets.catalogue.cdse.catalogue import CdseCatalogue
from avalanche_assets.catalogue.cdse.s3 import S3Archive
from avalanche_assets.catalogue.interface import ProductOffer, ProductQuery
from avalanche_assets.errors import AccountError, CatalogueError, TransientError
from avalanche_assets.sentinel1.safe import SafeArchive
from avalanche_assets.settings import CdseSettings, TransferSettings

TCP = Path("/proc/net/tcp")
QUICK = TransferSettings(attempts=3, first_wait_s=0, longest_wait_s=0, stalled_s=0.5, keep_free_gb=0)
NAME = "S1B_IW_GRDH_1SDV_20171203T053600_20171203T053600_008510_00EE48_AAAA.SAFE"
S3_PATH = f"/eodata/Sentinel-1/SAR/IW_GRDH_1S/2017/12/03/{NAME}"
QUERY = ProductQuery(139, "DESCENDING", (5.0, 46.0, 6.0, 47.0))


def ignore(_):
    pass


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The product as a SAFE folder."""
    dn = np.random.default_rng(139).integers(0, 400, (40, 300))
    return write_tiny_safe(tmp_path_factory.mktemp("original"), dn, name=NAME.removesuffix(".SAFE"))


@pytest.fixture(scope="module")
def running(original):
    """Starting it takes a second."""
    with object_store() as store:
        store.put_product(original, S3_PATH)
        # Some stores have markers for folders.
        store.put(f"{S3_PATH}/annotation/", b"")
        yield store


@pytest.fixture
def store(running, monkeypatch):
    running.forget()
    for variable, value in running.environment.items():
        monkeypatch.setenv(variable, value)
    return running


@pytest.fixture
def settings(store):
    return CdseSettings(transfer="s3", s3_url=store.url)


@pytest.fixture
def archive(settings):
    return S3Archive.open(settings, QUICK)


@pytest.fixture
def offer():
    """The product in the store, on offer."""
    start = datetime(2017, 12, 3, 5, 36, tzinfo=UTC)
    return ProductOffer(NAME, "S1B", 8510, start, start, location=S3_PATH)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def connections_to(port):
    """Open connections of this machine to one of its own ports."""
    rows = [line.split() for line in TCP.read_text().splitlines()[1:]]
    return sum(remote.endswith(f":{port:04X}") and state == "01" for _, _, remote, state, *_ in rows)


def measurement(original):
    (path,) = (original / "measurement").glob("*-vv-*")
    return f"{S3_PATH}/measurement/{path.name}"


def objects_asked_for(store):
    return [request.path for request in store.server.seen if request.path != "/eodata"]


def test_product_is_fetched_whole_into_a_folder_of_its_name(store, archive, offer, original, tmp_path):
    reports = []
    path = archive.fetch(offer, tmp_path, reports.append)
    assert path == tmp_path / NAME
    assert files(path) == files(original)
    SafeArchive.open(path).verify()
    assert [item.name for item in tmp_path.iterdir()] == [NAME]
    done = [report.done_bytes for report in reports]
    assert done == sorted(done)
    assert {(report.name, report.total_bytes) for report in reports} == {
        (NAME, sum(map(len, files(original).values())))
    }
    assert done[-1] == reports[-1].total_bytes
    assert objects_asked_for(store)[0] == f"{S3_PATH}/manifest.safe"


@pytest.mark.skipif(not TCP.exists(), reason="the system does not list its connections there")
def test_objects_leave_no_connection_open(store, archive, offer, tmp_path):
    most = []
    archive.fetch(offer, tmp_path, lambda _: most.append(connections_to(store.server.port)))
    # One for the list of objects, which is kept, and one for the object that comes just now.
    assert max(most) <= 2
    assert len(objects_asked_for(store)) > 4


def test_product_that_is_there_is_not_fetched_again(store, archive, offer, tmp_path):
    archive.fetch(offer, tmp_path, ignore)
    before = len(store.server.seen)
    assert archive.fetch(offer, tmp_path, ignore) == tmp_path / NAME
    assert len(store.server.seen) == before


def test_later_attempt_fetches_only_what_lacks(store, archive, offer, original, settings, tmp_path):
    broken = measurement(original)
    store.server.faults[broken].extend([Fault("truncate", at=100)] + [Fault("status", status=503)] * 9)
    with pytest.raises(TransientError, match="answered 503; given up after 3 tries"):
        archive.fetch(offer, tmp_path, ignore)
    assert not (tmp_path / NAME).exists()
    store.server.faults.clear()
    first = objects_asked_for(store)
    path = S3Archive.open(settings, QUICK).fetch(offer, tmp_path, ignore)
    assert files(path) == files(original)
    again = objects_asked_for(store)[len(first) :]
    assert not set(first) - {broken} & set(again)
    # The first 100 bytes stayed from the first attempt.
    assert store.server.served[broken] == len(files(original)[broken.removeprefix(f"{S3_PATH}/")])


@pytest.mark.parametrize("kind", ["reset", "truncate", "stall", "flip"])
def test_broken_and_wrong_bytes_are_fetched_again(store, archive, offer, original, tmp_path, kind):
    store.server.faults[measurement(original)].append(Fault(kind, at=300))
    assert files(archive.fetch(offer, tmp_path, ignore)) == files(original)


def test_listing_that_fails_is_asked_for_again(store, archive, offer, original, tmp_path):
    store.server.faults["/eodata"].extend([Fault("status", status=503), Fault("truncate", at=50)])
    assert files(archive.fetch(offer, tmp_path, ignore)) == files(original)


def test_bytes_that_stay_wrong_never_get_the_name_of_the_product(store, archive, offer, original, tmp_path):
    store.server.faults[measurement(original)].extend([Fault("flip", at=300)] * 9)
    with pytest.raises(CatalogueError, match=r"MD5 is .*the catalogue says"):
        archive.fetch(offer, tmp_path, ignore)
    assert not (tmp_path / NAME).exists()


def test_product_that_is_not_yet_whole_in_the_store_is_worth_another_try_later(
    store, archive, offer, original, tmp_path
):
    half = NAME.replace("AAAA", "BBBB")
    place = S3_PATH.replace("AAAA", "BBBB")
    store.put_product(original, place, omit="-vh-")
    other = ProductOffer(half, "S1B", 8510, offer.start, offer.stop, location=place)
    with pytest.raises(TransientError, match=r"is missing.*the store does not hold all of it yet"):
        archive.fetch(other, tmp_path, ignore)
    assert list(tmp_path.iterdir()) == []


def test_product_without_objects_is_not_there(archive, store, offer, tmp_path):
    other = ProductOffer("X.SAFE", "S1B", 1, offer.start, offer.stop, location="/eodata/X.SAFE")
    with pytest.raises(CatalogueError, match=r"eodata/X\.SAFE/: no objects in 3 tries"):
        archive.fetch(other, tmp_path, ignore)


def listing(*objects):
    entries = "".join(f"<Contents><Key>{key}</Key><Size>{size}</Size></Contents>" for key, size in objects)
    return f"<ListBucketResult><Name>eodata</Name>{entries}</ListBucketResult>".encode()


PREFIX = S3_PATH.removeprefix("/eodata/")


@pytest.mark.parametrize(
    "member",
    [
        "../evil.xml",
        "annotation/../../evil.xml",
        "/evil",
        "a//b",
        ".hidden",
        "a\\b",
        "C:evil",
        "a/..",
        "a\nb",
    ],
)
def test_object_outside_its_folder_is_refused(store, archive, offer, tmp_path, member):
    body = listing((f"{PREFIX}/manifest.safe", 10), (f"{PREFIX}/{member}", 10))
    store.server.routes["/eodata"] = lambda request: Answer(body=body)
    with pytest.raises(CatalogueError, match=r"does not stay in its folder; refused"):
        archive.fetch(offer, tmp_path / "in", ignore)
    assert [path.name for path in tmp_path.rglob("*") if path.name != "in"] == []


@pytest.mark.parametrize("sizes", [[20_000_000_000], [1] * 1000], ids=["bytes", "objects"])
def test_absurd_product_is_refused(store, archive, offer, tmp_path, sizes):
    objects = [(f"{PREFIX}/f{number}", size) for number, size in enumerate(sizes)]
    body = listing((f"{PREFIX}/manifest.safe", 10), *objects)
    store.server.routes["/eodata"] = lambda request: Answer(body=body)
    with pytest.raises(CatalogueError, match="of absurd size; refused"):
        archive.fetch(offer, tmp_path, ignore)


def test_disk_that_would_fill_is_told_before_anything_is_fetched(store, settings, offer, tmp_path):
    greedy = QUICK.model_copy(update={"keep_free_gb": 1e9})
    with pytest.raises(CatalogueError, match=r"GB are free.*source\.transfer\.keep_free_gb"):
        S3Archive.open(settings, greedy).fetch(offer, tmp_path, ignore)
    assert objects_asked_for(store) == []


@pytest.mark.parametrize("location", ["", "/elsewhere/a.SAFE", "/eodata/other.SAFE", f"/eodata/{NAME}/x"])
def test_path_that_is_none_of_the_bucket_names_field_and_setting(archive, offer, tmp_path, location):
    other = ProductOffer(NAME, "S1B", 8510, offer.start, offer.stop, location=location)
    with pytest.raises(CatalogueError, match=r"field S3Path is .*source\.cdse\.s3_bucket"):
        archive.fetch(other, tmp_path, ignore)


def test_wrong_keys_are_named_by_their_variables_and_never_shown(
    store, settings, offer, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    S3Archive.open(settings, QUICK).fetch(offer, tmp_path / "right", ignore)
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", "S3CRET-wrong")
    with pytest.raises(AccountError, match=r"403 SignatureDoesNotMatch; check CDSE_S3_ACCESS_KEY") as raised:
        S3Archive.open(settings, QUICK).fetch(offer, tmp_path / "wrong", ignore)
    secrets = ["S3CRET-wrong", *store.environment.values()]
    # The store itself runs in this process and logs what it gets.
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("moto")]
    assert ours
    shown = [str(raised.value), *ours, *(request.line for request in store.server.seen)]
    assert not [secret for secret in secrets for text in shown if secret in text]


def test_missing_keys_are_named(settings, monkeypatch):
    monkeypatch.delenv("CDSE_S3_SECRET_KEY")
    with pytest.raises(CatalogueError, match="CDSE_S3_SECRET_KEY not set"):
        S3Archive.open(settings, QUICK)


def test_without_boto3_the_extra_is_named(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(CatalogueError, match=r"pip install 'avalanche-assets\[s3\]'"):
        S3Archive.open(settings, QUICK)


def test_catalogue_fetches_products_and_orbit_files_from_the_store(store, original, tmp_path, monkeypatch):
    monkeypatch.delenv("CDSE_USERNAME", raising=False)
    (tmp_path / "zips").mkdir()
    shutil.make_archive(str(tmp_path / "zips" / NAME), "zip", original.parent, original.name)
    orbit = tmp_path / orbit_file_text.name()
    orbit.write_text(orbit_file_text.orbit_file_text(), encoding="utf-8")
    with serve_folder(tmp_path / "zips") as space:
        settings = space.settings.model_copy(update={"transfer": "s3", "s3_url": store.url})
        catalogue = CdseCatalogue(settings, QUICK)
        space.catalogue.products.append(orbit_file_of(orbit))
        store.put(orbit_file_of(orbit)["S3Path"], orbit.read_bytes())
        (offer,) = catalogue.search(QUERY)
        assert files(catalogue.fetch(offer, tmp_path / "here", ignore)) == files(original)
        during = datetime(2018, 1, 5, 5, 42, 45, tzinfo=UTC)
        (found,) = catalogue.search_orbit_files("S1A", during, during)
        path = catalogue.fetch_orbit_file(found, tmp_path / "here", ignore)
        assert path.read_bytes() == orbit.read_bytes()
