"""When a fetched product is trusted, when it is checked again, and when it is fetched again."""

import hashlib
import json
import os

import numpy as np
import pytest
from local_source import list_folder
from loopback.fake_cdse import ranged
from loopback.server import Fault, LoopbackServer
from sentinel1.tiny_safe import write_tiny_safe

from avalanche_assets.catalogue.verification import (
    compare_late_md5,
    copies,
    fetch_product,
    is_verified,
    note_of,
    read_note,
)
from avalanche_assets.errors import CatalogueError, DiskError
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.settings import TransferSettings

QUICK = TransferSettings(attempts=3, first_wait_s=0, longest_wait_s=0, stalled_s=1, keep_free_gb=0)
NAME = "S1B_IW_GRDH_1SDV_20171203T054300_20171203T054325_008565_0FFFFF_0001"
PATH = "/product"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    dn = np.random.default_rng(3).integers(40, 900, (60, 80))
    return write_tiny_safe(tmp_path_factory.mktemp("product"), dn, name=NAME, zipped=True).read_bytes()


@pytest.fixture
def server(content):
    with LoopbackServer() as running:
        running.routes[PATH] = lambda request: ranged(content, request.headers.get("range"))
        yield running


@pytest.fixture
def fetch(server, content, tmp_path):
    def fetched(md5=""):
        remote = Remote(f"{server.url}{PATH}", f"{NAME}.zip", len(content), md5)
        return fetch_product(HttpService(QUICK), remote, tmp_path, lambda transferred: None, "id-1")

    return fetched


@pytest.fixture
def md5(content):
    return hashlib.md5(content).hexdigest()


def damage(path, keep_time):
    """Changes one byte of the image."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[content.index(b"measurement/") + 2000] ^= 1
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_product_with_a_catalogued_md5_is_fetched_once(fetch, server, md5, content):
    path = fetch(md5)
    note = read_note(path)
    assert (note.by, note.md5, note.size_bytes, note.catalogue_id) == ("md5", md5, len(content), "id-1")
    assert fetch(md5.upper()) == path
    assert len(server.seen) == 1


def test_a_note_that_cannot_be_written_is_named_with_the_remedy(fetch, md5, tmp_path):
    note_of(tmp_path / f"{NAME}.zip").mkdir()
    with pytest.raises(DiskError, match=r"cannot be read or written \(Is a directory\); make room there"):
        fetch(md5)


def test_a_product_without_one_is_verified_by_its_manifest_and_again_when_it_appears(fetch, server, md5):
    path = fetch()
    assert read_note(path).by == "manifest"
    assert is_verified(path, None, "")
    assert fetch() == path
    assert not is_verified(path, None, md5)
    assert fetch(md5) == path
    assert (read_note(path).by, read_note(path).md5) == ("md5", md5)
    assert is_verified(path, path.stat().st_size, md5)
    assert len(server.seen) == 1


def test_what_the_later_md5_contradicts_is_fetched_again(fetch, server, md5, content, caplog):
    path = fetch()
    # As if the product had been replaced; time and size are kept, so only the MD5 tells.
    damage(path, keep_time=True)
    assert is_verified(path, len(content), "")
    assert fetch(md5).read_bytes() == content
    assert len(server.seen) == 2
    assert f"the catalogue says {md5}; fetched again" in caplog.text


def test_wrong_bytes_are_found_without_md5_and_refused_in_the_end(fetch, server, tmp_path, content):
    image = content.index(b"measurement/") + 2000
    server.faults[PATH].extend([Fault("flip", at=image)] * 2)
    assert fetch().read_bytes() == content
    for path in list(tmp_path.iterdir()):
        path.unlink()
    server.faults[PATH].extend([Fault("flip", at=image)] * 3)
    with pytest.raises(CatalogueError, match=r"measurement.*(damaged|MD5).*fetched 3 times"):
        fetch()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("known", [True, False])
def test_a_file_changed_since_is_checked_and_fetched_again(fetch, server, md5, content, known):
    path = fetch(md5 if known else "")
    damage(path, keep_time=False)
    assert not is_verified(path, None, "")
    assert fetch(md5 if known else "").read_bytes() == content
    assert len(server.seen) == 2


@pytest.mark.parametrize("note", [None, "", "{}", "no JSON", json.dumps({"size_bytes": -1})])
def test_a_sound_file_without_a_usable_note_is_not_fetched_again(fetch, server, md5, note):
    path = fetch(md5)
    note_of(path).unlink()
    if note is not None:
        note_of(path).write_text(note)
    assert not is_verified(path, None, md5)
    assert fetch(md5) == path
    assert is_verified(path, None, md5)
    assert len(server.seen) == 1


def test_a_file_of_another_size_than_the_catalogue_s_is_not_verified(fetch, content):
    path = fetch()
    assert is_verified(path, len(content), "")
    assert not is_verified(path, len(content) + 1, "")
    path.unlink()
    assert not is_verified(path, len(content), "")


def test_notes_and_parts_do_not_show_in_the_folder_s_listing(fetch, tmp_path):
    path = fetch()
    (tmp_path / f".{path.name}.part").write_bytes(b"x")
    listed = list_folder(tmp_path)
    assert [acquisition.products for acquisition in listed.acquisitions] == [(path.name,)]
    assert listed.dropped == ()


def test_an_md5_that_comes_later_is_compared_once(fetch, server, md5, tmp_path):
    path = fetch()
    assert read_note(path).by == "manifest"
    assert compare_late_md5(NAME, md5.upper(), tmp_path) == []
    assert (read_note(path).by, read_note(path).md5) == ("md5", md5)
    assert is_verified(path, None, md5)
    damage(path, keep_time=True)
    # Noted as compared: not read again.
    assert compare_late_md5(NAME, md5, tmp_path) == []
    assert len(server.seen) == 1


def test_an_md5_that_comes_later_and_differs_is_told_and_leads_to_another_fetch(fetch, server, md5, tmp_path):
    path = fetch()
    damage(path, keep_time=True)
    (problem,) = compare_late_md5(NAME, md5, tmp_path)
    assert path.name in problem
    assert f"the catalogue says {md5} by now" in problem
    assert fetch(md5) == path
    assert len(server.seen) == 2
    assert compare_late_md5(NAME, md5, tmp_path) == []


@pytest.mark.parametrize("name", [f"{NAME}.SAFE", f"{NAME}.SAFE.zip"])
def test_a_product_put_there_by_hand_under_another_name_is_not_fetched(fetch, server, md5, tmp_path, name):
    placed = tmp_path / name
    placed.mkdir()
    assert copies(f"{NAME}.SAFE", tmp_path) == [placed]
    assert fetch(md5) == placed
    assert server.seen == []
    assert compare_late_md5(f"{NAME}.SAFE", md5, tmp_path) == []
