"""A DHuS archive is searched by attributes, and what it sends is verified before it gets a name."""

import hashlib
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from loopback.fake_cdse import MARK, PASSWORD, USERNAME, ranged
from loopback.fake_dhus import FLOWS, MAINTENANCE, FakeDhus, FakeProduct
from loopback.server import Answer, Fault, LoopbackServer
from pydantic import SecretStr
from sentinel1.tiny_safe import write_tiny_safe

from avalanche_assets.catalogue.dhus.catalogue import DhusCatalogue
from avalanche_assets.catalogue.duplicates import resolve_duplicates
from avalanche_assets.catalogue.interface import OrbitOffer, ProductQuery
from avalanche_assets.catalogue.ledger import Ledger, poll, scope_of
from avalanche_assets.catalogue.verification import read_note
from avalanche_assets.errors import (
    AccountError,
    AvalancheError,
    CatalogueError,
    DiskError,
    OfflineError,
    TransientError,
)
from avalanche_assets.sentinel1.safe import SafeArchive
from avalanche_assets.services.credentials import Account
from avalanche_assets.settings import TransferSettings

QUICK = TransferSettings(attempts=3, first_wait_s=0, longest_wait_s=0, stalled_s=2, keep_free_gb=0)
ACCOUNT = Account(SecretStr(USERNAME), SecretStr(PASSWORD), "DHUS_USERNAME and DHUS_PASSWORD")
QUERY = ProductQuery(139, "DESCENDING", (5.4, 43.9, 7.8, 46.5))
NAME = "S1B_IW_GRDH_1SDV_20171203T053600_20171203T053625_008510_0FFFFF_0001"
PATH = FakeDhus.value_path("u1")
PATH_PATTERN = re.escape(PATH)
START = datetime(2017, 12, 3, 5, 36, 0, 250_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    dn = np.random.default_rng(3).integers(40, 900, (300, 400))
    return write_tiny_safe(tmp_path_factory.mktemp("product"), dn, name=NAME, zipped=True).read_bytes()


@pytest.fixture
def product(content) -> FakeProduct:
    return FakeProduct(
        "u1",
        NAME,
        content,
        START,
        START + timedelta(seconds=25),
        START + timedelta(hours=3, milliseconds=500),
    )


@pytest.fixture
def archive(product):
    with FakeDhus([product]) as running:
        yield running


def open_archive(archive, settings: TransferSettings = QUICK, account: Account = ACCOUNT) -> DhusCatalogue:
    return DhusCatalogue(archive.dhus_url, settings, account)


def ignore(_: object) -> None:
    """Progress nobody looks at."""


def fetch(archive, folder: Path, settings: TransferSettings = QUICK) -> Path:
    catalogue = open_archive(archive, settings)
    (offer,) = catalogue.search(QUERY)
    return catalogue.fetch(offer, folder, ignore)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Search


def test_an_offer_says_what_the_archive_knows(archive, product, content):
    (offer,) = open_archive(archive).search(QUERY)
    assert offer.name == f"{NAME}.SAFE"
    assert (offer.platform, offer.absolute_orbit, offer.slice_number) == ("S1B", 8510, 1)
    assert (offer.start, offer.stop) == (product.start, product.stop)
    assert offer.published == product.ingested
    assert (offer.id, offer.online, offer.size_bytes) == ("u1", True, len(content))
    assert offer.md5 == hashlib.md5(content).hexdigest()
    assert offer.footprint == product.footprint


@pytest.mark.parametrize(
    "other",
    [
        {"relative_orbit": 66},
        {"direction": "ASCENDING"},
        {"mode": "EW"},
        {"kind": "SLC"},
        {"polarisation": "VV"},
        {"footprint": "POLYGON ((8 44, 9 44, 9 46, 8 46, 8 44))"},
        {"title": NAME.replace("GRDH", "GRDM")},
        {"title": NAME.replace("1SDV", "1ADV")},
        {"title": f"../../{NAME}"},
    ],
    ids=lambda other: next(iter(other.items())),
)
def test_products_of_another_kind_are_not_offered(other, archive, product):
    archive.products.append(replace(product, **{"uuid": "u2", **other}))
    assert [offer.id for offer in open_archive(archive).search(QUERY)] == ["u1"]


def test_polarisations_are_known_in_both_orders(archive, product):
    archive.products.append(replace(product, uuid="u2", polarisation="VH VV"))
    assert {offer.id for offer in open_archive(archive).search(QUERY)} == {"u1", "u2"}


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ({"start": START}, True),
        ({"start": START + timedelta(milliseconds=1)}, False),
        ({"stop": START}, False),
        ({"stop": START + timedelta(milliseconds=1)}, True),
        ({"start": START - timedelta(days=1), "stop": START + timedelta(days=1)}, True),
        ({"start": START + timedelta(days=1)}, False),
        ({"published_after": START + timedelta(hours=3)}, True),
        ({"published_after": START + timedelta(hours=3, milliseconds=500)}, False),
        ({"published_after": START + timedelta(hours=4)}, False),
    ],
)
def test_bounds_count_to_the_millisecond_and_the_last_one_is_outside(bounds, found, archive):
    assert bool(open_archive(archive).search(replace(QUERY, **bounds))) == found


def test_a_search_that_finds_nothing_costs_one_request(archive):
    late = replace(QUERY, published_after=START + timedelta(days=1))
    assert open_archive(archive).search(late) == []
    assert len(archive.seen) == 1


def test_a_poll_costs_one_request_while_its_overlap_holds_known_products(archive, product):
    catalogue, now = open_archive(archive), START + timedelta(hours=5)
    ledger = poll(Ledger(scope_of("dhus", QUERY)), catalogue, QUERY, now)
    archive.seen.clear()
    later = poll(ledger, catalogue, QUERY, now + timedelta(hours=1))
    assert later.offers == ledger.offers
    assert len(archive.seen) == 1
    archive.products = [replace(product, ingested=now + timedelta(hours=1))]
    poll(later, catalogue, QUERY, now + timedelta(hours=2))
    assert len(archive.seen) == 3  # replaced: what it is now is asked for


def test_many_products_come_in_pages_in_order_of_time(archive, product):
    starts = [START + timedelta(days=days) for days in np.random.default_rng(0).permutation(230).tolist()]
    archive.products = [
        replace(product, uuid=f"u{k}", title=NAME.replace("0001", f"{k:04X}"), start=at)
        for k, at in enumerate(starts)
    ]
    offers = open_archive(archive).search(QUERY)
    assert [offer.start for offer in offers] == sorted(starts)
    assert len(archive.asked("/search")) == 3


def test_duplicates_are_offered_for_the_common_rule_to_decide(archive, product):
    archive.products.append(replace(product, uuid="u2", title=f"{NAME[:-4]}0002", slice_number=0))
    offers = open_archive(archive).search(QUERY)
    assert len(offers) == 2
    kept, dropped = resolve_duplicates(offers)
    assert [offer.id for offer in kept] == ["u1"]
    assert [item.name for item in dropped] == [f"{NAME[:-4]}0002.SAFE"]


def test_no_orbit_file_is_offered_and_nothing_is_known_to_be_withdrawn(archive):
    catalogue = open_archive(archive)
    assert catalogue.search_orbit_files("S1B", START, START) == []
    assert catalogue.withdrawn(QUERY, START) == set()
    with pytest.raises(CatalogueError, match=r"x\.EOF: DHuS offers no orbit files"):
        catalogue.fetch_orbit_file(OrbitOffer("x.EOF"), Path(), ignore)


def test_wrong_credentials_are_told_as_such_and_not_tried_again(archive):
    wrong = replace(ACCOUNT, password=SecretStr("other"))
    with pytest.raises(AccountError, match=r"127\.0\.0\.1.*401.*check DHUS_USERNAME and DHUS_PASSWORD"):
        open_archive(archive, account=wrong).search(QUERY)
    assert len(archive.seen) == 1


def test_a_password_beyond_latin_1_is_sent(archive, monkeypatch):
    monkeypatch.setattr("loopback.fake_dhus.PASSWORD", "påss€")
    account = replace(ACCOUNT, password=SecretStr("påss€"))
    assert len(open_archive(archive, account=account).search(QUERY)) == 1


@pytest.mark.parametrize(
    "answer",
    [Answer(503), Answer(429), Answer(404), Answer(500, b"{}"), Answer(200, MAINTENANCE)],
    ids=["503", "429", "404", "500", "page"],
)
def test_a_search_goes_on_after_failures_that_pass(answer, archive):
    archive.answers["/dhus/search"] = [answer, answer]
    assert len(open_archive(archive).search(QUERY)) == 1
    archive.answers["/dhus/search"] = [answer] * 3
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:\d+/dhus: search: .*given up after 3 tries"):
        open_archive(archive).search(QUERY)


def test_another_kind_of_service_is_recognised(archive):
    archive.answers["/dhus/odata/v1/Products('u1')"] = [Answer(200, b'{"value": []}')]
    with pytest.raises(CatalogueError, match=rf"{NAME}: not what a DHuS answers; check source\.dhus\.url"):
        open_archive(archive).search(QUERY)


def test_no_request_follows_to_another_host(archive):
    with LoopbackServer() as stranger:
        archive.answers["/dhus/search"] = [Answer(302, b"", {"Location": f"{stranger.url}/search"})]
        with pytest.raises(
            CatalogueError, match=rf"leads to 127\.0\.0\.1:{stranger.port}/search; nothing was"
        ):
            open_archive(archive).search(QUERY)
        assert stranger.seen == []


# Fetching


def test_a_product_is_fetched_once_verified_and_noted(archive, content, tmp_path):
    path = fetch(archive, tmp_path)
    assert path == tmp_path / f"{NAME}.SAFE.zip"
    assert path.read_bytes() == content
    SafeArchive.open(path).verify()
    note = read_note(path)
    assert (note.by, note.md5, note.catalogue_id) == ("md5", hashlib.md5(content).hexdigest(), "u1")
    assert leftovers(tmp_path) == [path.name, f"{path.name}.verified.json"]
    fetch(archive, tmp_path)
    assert len(archive.asked("Products('u1')/$value")) == 1


def test_progress_is_told(archive, content, tmp_path):
    told = []
    catalogue = open_archive(archive)
    (offer,) = catalogue.search(QUERY)
    catalogue.fetch(offer, tmp_path, told.append)
    assert told[-1].done_bytes == told[-1].total_bytes == len(content)
    assert told[-1].bytes_per_s > 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=500),
        Fault("status", status=503),
        Fault("status", status=429),
        Fault("status", status=404),
        Fault("reset", at=0),
        Fault("reset", at=100_000),
        Fault("truncate", at=100_000),
        Fault("stall", at=100_000),
        Fault("flip", at=100_000),
        Fault("shorter", at=100_000),
        Fault("longer", at=50),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status or fault.at}",
)
def test_a_fetch_survives_one_failure(fault, archive, content, tmp_path):
    archive.faults[PATH].append(fault)
    path = fetch(archive, tmp_path)
    assert path.read_bytes() == content
    assert leftovers(tmp_path) == [path.name, f"{path.name}.verified.json"]
    assert len(archive.asked("Products('u1')/$value")) == 2


def test_too_many_connections_are_waited_for(archive, content, tmp_path):
    archive.answers[PATH] = [Answer(403, b"", {"cause-message": FLOWS})]
    assert fetch(archive, tmp_path).read_bytes() == content


def test_an_interrupted_fetch_goes_on_with_the_missing_bytes(archive, content, tmp_path):
    once = QUICK.model_copy(update={"attempts": 1})
    (tmp_path / f".{NAME}.SAFE.zip.part").write_bytes(content[:150_000])
    archive.faults[PATH].append(Fault("status", status=500))
    with pytest.raises(TransientError, match=rf"{PATH_PATTERN}: answered 500"):
        fetch(archive, tmp_path, once)
    path = fetch(archive, tmp_path, once)
    assert path.read_bytes() == content
    assert archive.served[PATH] == len(content) - 150_000


def test_a_range_that_is_ignored_spoils_nothing(archive, content, tmp_path):
    (tmp_path / f".{NAME}.SAFE.zip.part").write_bytes(content[:150_000])
    archive.faults[PATH].append(Fault("whole"))
    assert fetch(archive, tmp_path).read_bytes() == content


def test_bytes_that_are_wrong_each_time_are_not_kept(archive, tmp_path):
    archive.faults[PATH].extend([Fault("flip", at=100_000)] * 3)
    with pytest.raises(
        CatalogueError, match=rf"{PATH_PATTERN}: MD5 is .*, the catalogue says .*fetched 3 times"
    ):
        fetch(archive, tmp_path)
    assert leftovers(tmp_path) == []


def test_a_product_that_is_no_safe_archive_is_not_kept(archive, product, tmp_path):
    product.content = b"no zip at all"
    with pytest.raises(CatalogueError, match=r"not a complete zip.*fetched 3 times"):
        fetch(archive, tmp_path)
    assert leftovers(tmp_path) == []


def test_a_damaged_file_under_the_final_name_is_replaced(archive, content, tmp_path):
    (tmp_path / f"{NAME}.SAFE.zip").write_bytes(content[:-1])
    assert fetch(archive, tmp_path).read_bytes() == content


def test_an_offline_product_is_ordered_and_fetched_when_it_has_come(archive, product, content, tmp_path):
    product.online = False
    catalogue = open_archive(archive)
    (offer,) = catalogue.search(QUERY)
    assert not offer.online
    assert product.orders == 0
    with pytest.raises(OfflineError, match=rf"127\.0\.0\.1.*{NAME}.*ordered.*try again in some hours"):
        catalogue.fetch(offer, tmp_path, ignore)
    assert product.orders == 1
    product.online = True
    assert catalogue.fetch(offer, tmp_path, ignore).read_bytes() == content


def test_an_order_that_is_not_accepted_is_told(archive, product, tmp_path):
    product.online, archive.quota_used_up = False, True
    with pytest.raises(OfflineError, match=r"takes no order now \(quota used up, or busy\)"):
        fetch(archive, tmp_path)
    assert product.orders == 0


def test_a_product_that_has_gone_or_changed_since_the_search_is_not_taken(archive, product, tmp_path):
    catalogue = open_archive(archive)
    (offer,) = catalogue.search(QUERY)
    with pytest.raises(CatalogueError, match="replaced since the search; materialise acquisition_catalogue"):
        catalogue.fetch(replace(offer, md5="0" * 32), tmp_path, ignore)
    archive.products.clear()
    with pytest.raises(CatalogueError, match=rf"{NAME}.*no longer in the archive"):
        catalogue.fetch(offer, tmp_path, ignore)
    assert leftovers(tmp_path) == []


def test_a_stream_that_only_drips_is_left_and_resumed(archive, content, tmp_path):
    archive.faults[PATH].append(Fault("drip", at=100_000))
    quick = QUICK.model_copy(update={"stalled_s": 0.5})
    assert fetch(archive, tmp_path, quick).read_bytes() == content
    assert len(archive.asked("$value")) == 2


def test_an_archive_that_always_begins_anew_and_breaks_is_given_up(archive, product, tmp_path):
    product.content = bytes(3_000_000)
    archive.routes[PATH] = lambda request: ranged(product.content, None)
    archive.faults[PATH].extend([Fault("truncate", at=2_000_000)] * 50)
    with pytest.raises(TransientError, match="the answer ended early; given up after 3 tries"):
        fetch(archive, tmp_path)
    assert len(archive.asked("$value")) <= 5


@pytest.mark.parametrize("path", ["/dhus/search", PATH], ids=["search", "fetch"])
def test_the_archive_may_ask_for_a_pause(path, archive, content, tmp_path):
    archive.answers[path] = [Answer(503, b"{}", {"Retry-After": "1"})]
    begun = time.monotonic()
    assert fetch(archive, tmp_path, QUICK.model_copy(update={"longest_wait_s": 5})).read_bytes() == content
    assert time.monotonic() - begun >= 1


def test_no_download_follows_to_another_host(archive, tmp_path):
    with LoopbackServer() as stranger:
        archive.answers[PATH] = [Answer(302, b"", {"Location": f"{stranger.url}/product"})]
        with pytest.raises(CatalogueError, match=rf"leads to 127\.0\.0\.1:{stranger.port}/product; nothing"):
            fetch(archive, tmp_path)
        assert stranger.seen == []


def test_room_that_others_take_meanwhile_ends_the_download(archive, tmp_path, monkeypatch):
    usages = iter([9e9, 9e9])
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=next(usages, 0.0)))
    slow = QUICK.model_copy(update={"keep_free_gb": 1.0, "max_mb_per_s": 0.05})
    with pytest.raises(DiskError, match=r"0\.0 GB are free"):
        fetch(archive, tmp_path, slow)


def test_the_disk_is_not_filled(archive, tmp_path):
    with pytest.raises(CatalogueError, match=r"stay free; make room, or set source\.transfer\.keep_free_gb"):
        fetch(archive, tmp_path, QUICK.model_copy(update={"keep_free_gb": 1e9}))
    assert leftovers(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(archive, tmp_path):
    (tmp_path / "products").write_text("a file where the folder should be")
    with pytest.raises(DiskError, match=r"products.*give this user the right"):
        fetch(archive, tmp_path / "products")


def test_a_download_keeps_to_its_rate(archive, content, tmp_path):
    begun = time.monotonic()
    fetch(archive, tmp_path, QUICK.model_copy(update={"max_mb_per_s": len(content) / 1e6 / 0.5}))
    assert time.monotonic() - begun > 0.5


def test_secrets_appear_nowhere(archive, product, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    texts = []

    def failing(folder: str) -> None:
        try:
            fetch(archive, tmp_path / folder)
        except AvalancheError as error:
            texts.append("".join(traceback.format_exception(error)))

    fetch(archive, tmp_path / "good")
    archive.answers[PATH] = [Answer(403, b"", {"cause-message": FLOWS})] * 3
    failing("flows")
    archive.answers[PATH] = [Answer(500, MARK.encode())] * 3
    failing("server error")
    archive.answers["/dhus/search"] = [Answer(401, MARK.encode())]
    failing("refused")
    product.online, archive.quota_used_up = False, True
    failing("quota")
    assert len(texts) == 4
    texts += [record.getMessage() for record in caplog.records]
    texts += [f"{request.path}?{request.query}" for request in archive.seen]
    texts += [path.read_text(encoding="latin-1") for path in tmp_path.rglob("*.json")]
    assert len(texts) > 20
    assert not [text for text in texts if MARK in text or PASSWORD in text]


@pytest.mark.integration
def test_a_killed_process_leaves_bytes_for_the_next_one(product, tmp_path):
    dn = np.random.default_rng(4).integers(40, 900, (1500, 1500))
    product.content = write_tiny_safe(tmp_path / "made", dn, name=NAME, zipped=True).read_bytes()
    script = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from catalogue.test_dhus import *\n"
        "catalogue = DhusCatalogue(sys.argv[1], QUICK, ACCOUNT)\n"
        "catalogue.fetch(catalogue.search(QUERY)[0], Path(sys.argv[2]), ignore)\n"
    )
    target, tests = tmp_path / "products", Path(__file__).resolve().parents[1]
    with FakeDhus([product]) as archive:
        archive.pause_s = 0.02
        arguments = [archive.dhus_url, str(target), str(tests), str(tests.parent)]
        process = subprocess.Popen([sys.executable, "-c", script, *arguments])
        part = target / f".{NAME}.SAFE.zip.part"
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size >= 1 << 20):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = part.stat().st_size
        assert 0 < before < len(product.content)
        assert list(target.glob("S1*")) == []
        time.sleep(0.1)  # what was under way to the killed process is counted by then
        archive.pause_s, served = 0.0, archive.served[PATH]
        path = fetch(archive, target)
        assert path.read_bytes() == product.content
        assert archive.served[PATH] - served == len(product.content) - before


# Recorded answers


class Recorded(LoopbackServer):
    """Answers with a status and a body that a real archive once gave, whatever is asked below a path."""

    def replay(self, path: str, file: Path, kind: str) -> None:
        response = next(
            item["response"]
            for item in yaml.safe_load(file.read_text(encoding="utf-8"))["interactions"]
            if kind in item["request"]["uri"]
        )
        body = response["body"]["string"].replace("https://apihub.copernicus.eu/apihub", self.dhus_url)
        headers = {"Content-Type": response["headers"]["content-type"][0]}
        self.routes[path] = lambda request: Answer(response["status"]["code"], body.encode(), headers)

    @property
    def dhus_url(self) -> str:
        return f"{self.url}/apihub"


def test_recorded_answers_become_offers(real_data):
    with Recorded() as archive:
        archive.replay("/apihub/search", real_data / "dhus" / "test_sentinel1_flag.yaml", "/search")
        # Of another mission: what is read from it (size, checksum, state) is of the same form for all.
        archive.replay("/apihub/odata/", real_data / "dhus" / "test_get_product_odata_full.yaml", "/odata/")
        first, second = open_archive(archive).search(QUERY)
    assert first.name == "S1A_IW_GRDH_1SDV_20151219T093202_20151219T093237_009109_00D17D_DA5E.SAFE"
    assert second.name == "S1A_IW_GRDH_1SDV_20151224T094034_20151224T094103_009182_00D395_250C.SAFE"
    assert (second.id, second.absolute_orbit) == ("177d808b-9bbf-4813-8093-71f5fbd42089", 9182)
    assert second.start == datetime(2015, 12, 24, 9, 40, 34, 140_000, tzinfo=UTC)
    assert second.stop == datetime(2015, 12, 24, 9, 41, 3, 150_000, tzinfo=UTC)
    assert second.published == datetime(2015, 12, 24, 13, 8, 54, 264_000, tzinfo=UTC)
    assert (second.slice_number, second.online) == (1, False)
    assert (second.size_bytes, second.md5) == (700011, "098645497fa5ab932ed2df98426e5b58")
    assert second.footprint.startswith("POLYGON ((-59.958183 -10.185800,")


def test_a_recorded_refusal_is_told(real_data):
    with Recorded() as archive:
        file = real_data / "dhus" / "test_SentinelAPI_wrong_credentials.yaml"
        archive.replay("/apihub/search", file, "/search")
        with pytest.raises(AccountError, match=r"credentials refused \(401\)"):
            open_archive(archive).search(QUERY)


def test_of_recorded_products_only_those_of_the_kind_sought_are_offered(real_data):
    with Recorded() as archive:
        archive.replay("/apihub/search", real_data / "dhus" / "test_footprints_s1.yaml", "/search")
        archive.replay("/apihub/odata/", real_data / "dhus" / "test_get_product_odata_full.yaml", "/odata/")
        offers = open_archive(archive).search(QUERY)
    # of 19 products of all modes, resolutions and polarisations
    assert [offer.name[17:32] for offer in offers] == ["20141105T224535", "20141223T224534"]
    assert {offer.slice_number for offer in offers} == {0}
