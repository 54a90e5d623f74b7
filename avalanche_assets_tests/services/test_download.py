"""One download and each thing that can go wrong with it."""

import hashlib
import random
import shutil
import threading
import time
from collections import namedtuple

import pytest
from loopback.fake_cdse import ranged
from loopback.full_disk import fill_disk_after
from loopback.server import Answer, Fault, LoopbackServer

from avalanche_assets.errors import AccountError, CatalogueError, DiskError, SafeError, TransientError
from avalanche_assets.services import download
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.settings import TransferSettings

QUICK = TransferSettings(attempts=4, first_wait_s=0, longest_wait_s=0, stalled_s=1, keep_free_gb=0)
SIZE = 3_000_000
CONTENT = random.Random(7).randbytes(SIZE)
MD5 = hashlib.md5(CONTENT).hexdigest()
PATH = "/product"
NAME = "product.zip"


@pytest.fixture
def server():
    with LoopbackServer() as running:
        running.routes[PATH] = lambda request: ranged(CONTENT, request.headers.get("range"))
        yield running


def fetch(server, folder, *, settings=QUICK, size=SIZE, md5=MD5, check=lambda path: None, report=None):
    remote = Remote(f"{server.url}{PATH}", NAME, size, md5)
    return HttpService(settings).download(remote, folder, check, report or (lambda transferred: None))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def ranges(server):
    return [request.headers.get("range") for request in server.seen]


def test_the_file_is_whole_and_alone_in_its_folder(server, tmp_path):
    path = fetch(server, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / NAME
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == [NAME]
    assert ranges(server) == [None]


@pytest.mark.parametrize(("size", "md5"), [(None, ""), (None, MD5), (SIZE, ""), (SIZE, MD5.upper())])
def test_what_the_catalogue_does_not_know_is_not_needed(server, tmp_path, size, md5):
    server.faults[PATH].extend([Fault("reset", at=1_000_000), Fault("truncate", at=70_000)])
    assert fetch(server, tmp_path, size=size, md5=md5).read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["reset", "stall", "truncate", "drip"])
def test_a_broken_stream_goes_on_where_it_broke(server, tmp_path, kind):
    server.faults[PATH].extend([Fault(kind, at=1_000_000), Fault(kind, at=0), Fault(kind, at=500_000)])
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    # A reset may overtake bytes that were sent before it; what arrived is never asked for again.
    starts = [int(text.removeprefix("bytes=").rstrip("-")) for text in ranges(server)[1:]]
    assert starts == sorted(starts)
    assert starts[0] > 0
    if kind == "drip":
        assert server.served[PATH] <= SIZE + 100
    elif kind != "reset":
        assert starts == [1_000_000, 1_000_000, 1_500_000]
        assert server.served[PATH] == SIZE


def test_tries_that_advance_are_not_counted(server, tmp_path):
    server.routes[PATH] = lambda request: ranged(CONTENT * 5, request.headers.get("range"))
    step = download.ADVANCE_BYTES
    server.faults[PATH].extend([Fault("truncate", at=step)] * 10)
    assert len(fetch(server, tmp_path, size=None, md5="").read_bytes()) == 5 * SIZE
    assert len(server.seen) == 11


def test_tries_that_hardly_advance_are_counted_and_what_came_is_kept(server, tmp_path):
    server.faults[PATH].extend([Fault("truncate", at=1000)] * 4)
    with pytest.raises(TransientError, match="the answer ended early; given up after 4 tries"):
        fetch(server, tmp_path)
    assert names(tmp_path) == [f".{NAME}.part"]
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server)[-1] == "bytes=4000-"
    assert server.served[PATH] == SIZE


def test_a_server_that_cannot_resume_starts_again(server, tmp_path):
    server.faults[PATH].extend([Fault("truncate", at=1_000_000), Fault("whole")])
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1000000-"]
    assert server.served[PATH] == SIZE + 1_000_000


def test_a_server_that_always_begins_anew_and_breaks_is_given_up(server, tmp_path):
    server.routes[PATH] = lambda request: ranged(CONTENT, None)
    server.faults[PATH].extend([Fault("truncate", at=2_000_000)] * 50)
    with pytest.raises(TransientError, match="the answer ended early; given up after 4 tries"):
        fetch(server, tmp_path)
    assert len(ranges(server)) <= 6


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(server, tmp_path):
    (tmp_path / "products").write_text("a file where the folder should be")
    with pytest.raises(DiskError, match=r"products.*: cannot be .*written.*give this user"):
        fetch(server, tmp_path / "products")


def test_one_wrong_byte_is_found_and_all_is_fetched_again(server, tmp_path, caplog):
    server.faults[PATH].extend([Fault("flip", at=12_345), Fault("flip", at=2_999_999)])
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, None, None]
    assert caplog.text.count(f"the catalogue says {MD5}; fetched again from its first byte") == 2


def test_bytes_that_are_wrong_each_time_are_refused(server, tmp_path):
    server.faults[PATH].extend([Fault("flip", at=7)] * 9)
    with pytest.raises(
        CatalogueError, match=rf"MD5 is \w{{32}}, the catalogue says {MD5}; fetched 3 times, noth"
    ) as raised:
        fetch(server, tmp_path)
    assert not isinstance(raised.value, TransientError)
    assert len(server.seen) == 3
    assert names(tmp_path) == []


def test_a_wrong_beginning_by_an_earlier_process_is_found(server, tmp_path):
    (tmp_path / f".{NAME}.part").write_bytes(b"\1" + CONTENT[1:1_000_000])
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=1000000-", None]


def test_a_whole_file_that_was_never_named_is_not_fetched_again(server, tmp_path):
    (tmp_path / f".{NAME}.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.seen == []


def test_a_part_that_is_too_long_is_thrown_away(server, tmp_path):
    (tmp_path / f".{NAME}.part").write_bytes(CONTENT + b"more")
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={SIZE + 4}-", None]


def test_content_that_the_check_refuses_never_gets_the_final_name(server, tmp_path):
    def check(path):
        assert path.read_bytes() == CONTENT
        assert not (tmp_path / NAME).exists()
        raise SafeError("no product")

    with pytest.raises(CatalogueError, match="/product: no product; fetched 3 times"):
        fetch(server, tmp_path, check=check)
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["shorter", "longer"])
def test_a_length_other_than_the_catalogue_s_is_refused_without_reading(server, tmp_path, kind):
    server.faults[PATH].extend([Fault(kind, at=1000)] * 9)
    with pytest.raises(CatalogueError, match=rf"it has \d+ bytes instead of {SIZE}; fetched 3 times"):
        fetch(server, tmp_path)
    assert names(tmp_path) == []


def test_a_body_longer_than_announced_is_cut_off(server, tmp_path):
    """As a server would that announces a range and sends on; without end it would fill the disk."""
    body = Answer(206, CONTENT, {"Content-Range": f"bytes 1000-{SIZE - 1}/{SIZE}"})
    server.routes[PATH] = lambda request: body if "range" in request.headers else Answer(body=CONTENT)
    (tmp_path / f".{NAME}.part").write_bytes(CONTENT[:1000])
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=1000-", None]


@pytest.mark.parametrize("text", ["bytes 0-9/3000000", "", "bytes x", "bytes 2000-2999999/3000000"])
def test_a_range_that_was_not_asked_for_is_refused(server, tmp_path, text):
    answer = Answer(206, CONTENT[1000:], {"Content-Range": text})
    server.routes[PATH] = lambda request: answer if "range" in request.headers else Answer(body=CONTENT)
    (tmp_path / f".{NAME}.part").write_bytes(CONTENT[:1000])
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=1000-", None]


@pytest.mark.parametrize(("code", "kind"), [(401, AccountError), (403, AccountError)])
def test_a_refusal_in_the_middle_is_an_error_at_once_and_keeps_what_came(server, tmp_path, code, kind):
    server.faults[PATH].extend([Fault("truncate", at=1_000_000), Fault("status", status=code)])
    with pytest.raises(kind, match=f"/product: .*{code}"):
        fetch(server, tmp_path)
    assert (tmp_path / f".{NAME}.part").read_bytes() == CONTENT[:1_000_000]


def test_a_file_that_lasts_to_be_missing_leaves_nothing_under_its_name(server, tmp_path):
    server.faults[PATH].extend([Fault("status", status=404)] * 9)
    with pytest.raises(CatalogueError, match=r"not found \(404\) in 4 tries"):
        fetch(server, tmp_path)
    assert not (tmp_path / NAME).exists()


Usage = namedtuple("Usage", "total used free")


def test_room_on_the_disk_is_checked_before_anything_is_written(server, tmp_path, monkeypatch):
    settings = QUICK.model_copy(update={"keep_free_gb": 2.0})
    free = int(2e9) + SIZE
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, free - 1))
    with pytest.raises(DiskError, match=rf"{tmp_path}: 2\.0 GB are free, .* needs 0\.0 GB.*make room"):
        fetch(server, tmp_path, settings=settings)
    assert names(tmp_path) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, free))
    assert fetch(server, tmp_path, settings=settings).read_bytes() == CONTENT


def test_room_that_others_take_meanwhile_ends_the_download(server, tmp_path, monkeypatch):
    usages = iter([Usage(0, 0, int(9e9))])
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: next(usages, Usage(0, 0, 0)))
    settings = QUICK.model_copy(update={"keep_free_gb": 1.0, "max_mb_per_s": 1.0})
    with pytest.raises(CatalogueError, match=r"0\.0 GB are free"):
        fetch(server, tmp_path, settings=settings)
    assert 0 < (tmp_path / f".{NAME}.part").stat().st_size < SIZE


def test_a_full_disk_is_an_error_at_once_and_keeps_what_fits(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fill_disk_after(patch, 1_234_567)
        with pytest.raises(DiskError, match=rf"{NAME}: .*No space left on device.*make room"):
            fetch(server, tmp_path)
    assert len(server.seen) == 1
    assert (tmp_path / f".{NAME}.part").read_bytes() == CONTENT[:1_234_567]
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=1234567-"]


@pytest.mark.parametrize("name", ["../x.zip", "/x.zip", "a/b.zip", "..", ".", "", "a\\b.zip", ".hidden"])
def test_names_that_lead_out_of_the_folder_are_refused(server, tmp_path, name):
    remote = Remote(f"{server.url}{PATH}", name)
    with pytest.raises(CatalogueError, match="no plain file name"):
        HttpService(QUICK).download(remote, tmp_path / "folder", lambda path: None, lambda transferred: None)
    assert names(tmp_path) == []


def test_progress_tells_bytes_rate_and_time_left(server, tmp_path, monkeypatch):
    times = iter(i * 0.3 for i in range(10_000))
    monkeypatch.setattr(download.time, "monotonic", lambda: next(times))
    told = []
    (tmp_path / f".{NAME}.part").write_bytes(CONTENT[:1_000_000])
    fetch(server, tmp_path, report=told.append)
    assert told[-1].done_bytes == told[-1].total_bytes == SIZE
    assert told[-1].remaining_s == 0
    assert [t.done_bytes for t in told] == sorted(t.done_bytes for t in told)
    first = told[0]
    assert first.name == NAME
    assert first.done_bytes > 1_000_000
    # Bytes of an earlier attempt do not make the rate look better: this one began a second ago or more.
    assert 0 < first.bytes_per_s <= first.done_bytes - 1_000_000


def test_progress_is_told_about_once_a_second(server, tmp_path):
    told = []
    begun = time.monotonic()
    fetch(server, tmp_path, settings=QUICK.model_copy(update={"max_mb_per_s": 1.2}), report=told.append)
    taken = time.monotonic() - begun
    # 3 MB at 1.2 MB/s; the file may be read one quarter of a second ahead.
    assert taken >= 2.2
    assert 2 <= len(told) <= taken + 2
    assert told[0].bytes_per_s <= 1.6e6


def test_others_wait_for_whoever_fetches_the_same_file(server, tmp_path):
    server.pause_s = 0.005
    paths = []
    workers = [threading.Thread(target=lambda: paths.append(fetch(server, tmp_path))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert paths == [tmp_path / NAME] * 3
    assert paths[0].read_bytes() == CONTENT
    assert server.served[PATH] == SIZE
    assert names(tmp_path) == [NAME]


def test_connections_beyond_the_limit_of_the_account_wait_their_turn(server, tmp_path):
    server.limits[PATH], server.pause_s = 2, 0.002
    settings = QUICK.model_copy(update={"attempts": 50, "first_wait_s": 0.05, "longest_wait_s": 0.05})
    service, results = HttpService(settings), []

    def one(number):
        remote = Remote(f"{server.url}{PATH}", f"{number}.zip", SIZE, MD5)
        results.append(service.download(remote, tmp_path, lambda path: None, lambda transferred: None))

    workers = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 6
    assert all(path.read_bytes() == CONTENT for path in results)
    assert server.most_at_once[PATH] > 2
    assert server.served[PATH] == 6 * SIZE


def test_an_earlier_file_of_that_name_stays_until_the_new_one_is_right(server, tmp_path):
    (tmp_path / NAME).write_bytes(b"earlier")
    server.faults[PATH].extend([Fault("flip")] * 3)
    with pytest.raises(CatalogueError, match="fetched 3 times"):
        fetch(server, tmp_path)
    assert (tmp_path / NAME).read_bytes() == b"earlier"
    fetch(server, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT
