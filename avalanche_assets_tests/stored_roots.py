"""Data roots of both kinds for tests: a folder, and a bucket in moto's S3 on this machine.

moto is an implementation of S3 by others, which runs as a process of its own. What is asked of it is read
from its log.
"""

import re
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest

from avalanche_assets.stored_path import bucket_path

KEYS = {
    "AWS_ACCESS_KEY_ID": "anybody",
    "AWS_SECRET_ACCESS_KEY": "anything",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
REQUEST = re.compile(r'"(?:\x1b\[\d+m)*([A-Z]+) (\S+) HTTP/1.1')


@dataclass(frozen=True)
class StoreProcess:
    """moto's server.

    Attributes:
        url: Its address.
        log: What it was asked.
        owner: A client that may do everything.
    """

    url: str
    log: Path
    owner: object

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it."""
        return {**KEYS, "AWS_ENDPOINT_URL_S3": self.url}

    def asked(self) -> list[tuple[str, str]]:
        """Method and address of every request so far."""
        return REQUEST.findall(self.log.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def store_process(tmp_path_factory):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("store") / "moto.log"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        _wait_for(port)
        url = f"http://127.0.0.1:{port}"
        yield StoreProcess(url, log, _client(url))
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def store(store_process, monkeypatch):
    """The server, as the environment tells of it; other settings of the machine do not count."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    for name, value in store_process.environment.items():
        monkeypatch.setenv(name, value)
    return store_process


@pytest.fixture
def bucket_root(store) -> Path:
    """A prefix in a new bucket."""
    name = f"avalanche-{uuid.uuid4().hex[:12]}"
    store.owner.create_bucket(Bucket=name)
    return bucket_path(f"s3://{name}/winters/pré fix")


@pytest.fixture(
    params=["folder", pytest.param("bucket_root", marks=pytest.mark.integration)], ids=["folder", "bucket"]
)
def root(request) -> Path:
    """An empty data root, once of each kind."""
    if request.param == "bucket_root":
        return request.getfixturevalue("bucket_root")
    folder: Path = request.getfixturevalue("tmp_path") / "data"
    folder.mkdir()
    return folder


def names(root: Path) -> list[str]:
    """Every file below a root."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def _client(url):
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=KEYS["AWS_REGION"],
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("moto's server does not start")


class Meter:
    """Stands before a server and counts the bytes that come from it.

    Attributes:
        url: Its own address.
        received: Bytes so far.
        resets: Connections that are still to be reset before they say anything.
    """

    def __init__(self, url: str, resets: int = 0) -> None:
        self.resets = resets
        self._server = urlsplit(url).hostname, urlsplit(url).port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.received = 0

    def __enter__(self) -> "Meter":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self.resets:
                    self.resets -= 1
                    client.recv(1)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.close()
                    continue
                server = socket.create_connection(self._server)
                for source, target, counted in ((client, server, False), (server, client, True)):
                    threading.Thread(
                        target=self._pass_on, args=(source, target, counted), daemon=True
                    ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                self.received += len(piece) if counted else 0
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
