"""A download from a server on this machine, by ours and by curl: the same file, the same server."""

import atexit
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.scene import Scene

MAX_BYTES = 500_000_000
SERVE = "-u -m http.server --bind 127.0.0.1 --protocol HTTP/1.1"


def download(scene: Scene) -> Callable[[], int]:
    """Ours: the MD5 is checked, and the bytes have reached the disk before the file gets its name."""
    from avalanche_assets.catalogue.http_service import HttpService, Remote
    from avalanche_assets.settings import TransferSettings

    url, md5, folder = _served(scene)
    remote = Remote(url, "file", md5=md5)
    service = HttpService(TransferSettings(keep_free_gb=0))

    def work() -> int:
        return service.download(remote, folder, lambda path: None, lambda transferred: None).stat().st_size

    return work


def curl(scene: Scene) -> Callable[[], int]:
    """The peer: nothing is checked, and the system may write the bytes whenever it likes."""
    return _by_shell(scene, "curl -sSf -o file {url}")


def curl_sync_md5sum(scene: Scene) -> Callable[[], int]:
    """The peer with what makes its file worth as much as ours."""
    return _by_shell(scene, "curl -sSf -o file {url} && sync file && md5sum file")


def _by_shell(scene: Scene, command: str) -> Callable[[], int]:
    if not shutil.which("curl"):
        raise ImportError(name="curl")
    url, _, folder = _served(scene)

    def work() -> int:
        subprocess.run(command.format(url=url), shell=True, check=True, cwd=folder, capture_output=True)
        return (folder / "file").stat().st_size

    return work


def _served(scene: Scene) -> tuple[str, str, Path]:
    """URL and MD5 of a file, served by a process of its own, and an empty folder for it."""
    source, folder = scene.corridors.with_name("served"), scene.corridors.with_name("downloaded")
    source.mkdir(exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    content = source / "file"
    if not content.exists():
        # Small scenes are for seeing that everything runs.
        rasters = sum(raster.stat().st_size for raster in scene.rasters)
        content.write_bytes(os.urandom(min(MAX_BYTES, rasters)))
        # Writing it back must not slow down whoever is measured first.
        os.sync()
    server = subprocess.Popen(
        [sys.executable, *SERVE.split(), "--directory", str(source), "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(server.kill)
    assert server.stdout is not None
    port = re.search(r"port (\d+)", server.stdout.readline())
    assert port is not None
    # Reading it also brings it into the page cache.
    md5 = hashlib.md5(content.read_bytes(), usedforsecurity=False).hexdigest()
    return f"http://127.0.0.1:{port[1]}/file", md5, folder
