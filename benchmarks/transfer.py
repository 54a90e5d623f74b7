"""A download from a server on this machine, by ours and by curl: the same file, the same server.

Files are received in memory (/dev/shm), so that the disk is not what is measured.
"""

import atexit
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.scene import Scene

MAX_BYTES = 500_000_000
SERVE = "-u -m http.server --bind 127.0.0.1 --protocol HTTP/1.1"
MEMORY = Path("/dev/shm")


def download(scene: Scene) -> Callable[[], int]:
    """Ours, of a product whose MD5 the catalogue does not have yet."""
    return _ours(scene, checked=False)


def download_md5(scene: Scene) -> Callable[[], int]:
    """Ours, with the MD5 worked out while bytes arrive."""
    return _ours(scene, checked=True)


def curl(scene: Scene) -> Callable[[], int]:
    """The peer, which checks nothing."""
    return _by_shell(scene, "curl -sSf -o file {url}")


def curl_md5sum(scene: Scene) -> Callable[[], int]:
    """The peer with what makes its file worth as much."""
    return _by_shell(scene, "curl -sSf -o file {url} && md5sum file")


def _ours(scene: Scene, checked: bool) -> Callable[[], int]:
    from avalanche_assets.services.http_service import HttpService, Remote
    from avalanche_assets.settings import TransferSettings

    url, md5, folder = _served(scene)
    remote = Remote(url, "file", md5=md5 if checked else "")
    service = HttpService(TransferSettings(keep_free_gb=0))

    def work() -> int:
        return service.download(remote, folder, lambda path: None, lambda transferred: None).stat().st_size

    return work


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
    source = scene.corridors.with_name("served")
    source.mkdir(exist_ok=True)
    content = source / "file"
    if not content.exists():
        # Small scenes are for seeing that everything runs.
        rasters = sum(raster.stat().st_size for raster in scene.rasters)
        content.write_bytes(os.urandom(min(MAX_BYTES, rasters)))
    server = subprocess.Popen(
        [sys.executable, *SERVE.split(), "--directory", str(source), "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(server.kill)
    folder = Path(mkdtemp(dir=MEMORY if MEMORY.is_dir() else source))
    atexit.register(shutil.rmtree, folder)
    assert server.stdout is not None
    port = re.search(r"port (\d+)", server.stdout.readline())
    assert port is not None
    # Reading it also brings it into the page cache.
    with content.open("rb") as stream:
        md5 = hashlib.file_digest(stream, "md5").hexdigest()
    return f"http://127.0.0.1:{port[1]}/file", md5, folder
