"""Downloads in processes that are killed, that meet, and whose disk is full."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from loopback.fake_cdse import MARK, PASSWORD, USERNAME, FakeCdse

from avalanche_assets.services.download import CHUNK_BYTES

pytestmark = pytest.mark.integration

SIZE = 8_000_000
CONTENT = random.Random(11).randbytes(SIZE)
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "product.zip"
FETCH = """
import logging, resource, sys
from pathlib import Path
from avalanche_assets.catalogue.cdse.token import CdseToken
from avalanche_assets.services.credentials import cdse_account
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.settings import TransferSettings

token_url, url, name, size, md5, folder, limit = sys.argv[1:]
logging.basicConfig(level=logging.DEBUG)
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
settings = TransferSettings(attempts=3, first_wait_s=0, longest_wait_s=0, stalled_s=20, keep_free_gb=0)
token = CdseToken(HttpService(settings), token_url, cdse_account())
service = HttpService(settings, token, "CDSE_USERNAME and CDSE_PASSWORD")
service.download(Remote(url, name, int(size), md5), Path(folder), lambda path: None, print)
"""


@pytest.fixture
def cdse():
    with FakeCdse({"one": CONTENT}) as running:
        yield running


@pytest.fixture
def start(cdse, tmp_path):
    """Starts a process that downloads; what is left of them is killed at the end."""
    environment = {**os.environ, "CDSE_USERNAME": USERNAME, "CDSE_PASSWORD": PASSWORD}
    processes = []

    def started(limit=0):
        arguments = [cdse.token_url, cdse.product_url("one"), NAME, str(SIZE), MD5, str(tmp_path), str(limit)]
        process = subprocess.Popen(
            [sys.executable, "-c", FETCH, *arguments],
            env=environment,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(condition):
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.005)


def size_of(path):
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("kills", [1, 3])
def test_a_killed_download_goes_on_where_it_was(cdse, start, tmp_path, kills):
    part, final, path = tmp_path / f".{NAME}.part", tmp_path / NAME, cdse.product_path("one")
    cdse.pause_s = 0.01
    rng, reached = random.Random(kills), 0
    for _ in range(kills):
        wanted = rng.randint(reached + 300_000, reached + 2_000_000)
        process = start()
        wait_for(lambda wanted=wanted: size_of(part) >= wanted)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not final.exists()
        reached = size_of(part)
        assert wanted <= reached < SIZE
    process = start()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert final.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME]
    # Of each killed request, what was still on its way is sent again: less than one chunk.
    again = cdse.served[path] - SIZE
    print(f"{kills} kills: {again} of {SIZE} bytes were sent twice")
    assert 0 <= again <= kills * CHUNK_BYTES
    assert MARK not in output


def test_two_processes_fetch_one_file_once(cdse, start, tmp_path):
    cdse.pause_s = 0.01
    processes = [start(), start()]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert cdse.served[cdse.product_path("one")] == SIZE
    assert sum("another process fetches it" in output for output in outputs) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME]


def test_the_second_process_takes_over_when_the_first_is_killed(cdse, start, tmp_path):
    cdse.pause_s = 0.01
    part, first = tmp_path / f".{NAME}.part", start()
    wait_for(lambda: size_of(part) > 1_000_000)
    second = start()
    wait_for(lambda: "another process" in second.stdout.readline())
    first.kill()
    first.wait()
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0, output
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert cdse.served[cdse.product_path("one")] <= SIZE + CHUNK_BYTES


def test_a_file_that_the_system_does_not_let_grow_is_a_clear_error_and_resumed(cdse, start, tmp_path):
    """The limit is the operating system's own; a full disk fails in the same call."""
    process = start(limit=3_000_000)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"DiskError: {tmp_path / NAME}: cannot be read or written (File too large); make room" in output
    assert MARK not in output
    assert (tmp_path / f".{NAME}.part").read_bytes() == CONTENT[:3_000_000]
    process = start()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert (tmp_path / NAME).read_bytes() == CONTENT
    ranges = [request.headers.get("range") for request in cdse.seen if request.method == "GET"]
    assert ranges == [None, "bytes=3000000-"]
