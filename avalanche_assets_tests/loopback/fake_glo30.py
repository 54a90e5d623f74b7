"""The public bucket of GLO-30 tiles and a geoid grid on loopback, small: 36 x 36 pixels a tile."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

POSTS = 36
"""Pixels per degree."""
Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]


def raster(
    west: float, north: float, shape: tuple[int, int], step: float, surface: Surface, **profile
) -> bytes:
    """A GeoTIFF of a surface over longitude and latitude, both of pixel centres."""
    lat, lon = north - step * (np.arange(shape[0]) + 0.5), west + step * (np.arange(shape[1]) + 0.5)
    layout = {"driver": "GTiff", "dtype": "float32", "count": 1, "crs": "EPSG:4326", "compress": "DEFLATE"}
    layout |= {"height": shape[0], "width": shape[1], "transform": from_origin(west, north, step, step)}
    with MemoryFile() as memory:
        with memory.open(**(layout | profile)) as dataset:
            dataset.write(surface(*np.meshgrid(lon, lat)).astype(np.float32), 1)
        return memory.read()


def tile_name(lon: int, lat: int) -> str:
    return f"Copernicus_DSM_COG_10_N{lat:02d}_00_E{lon:03d}_00_DEM"


def tile(lon: int, lat: int, surface: Surface, posts: int = POSTS, **profile) -> bytes:
    """One tile: pixel centres on whole degrees, so it begins half a pixel north and west of its square."""
    step = 1 / posts
    return raster(lon - step / 2, lat + 1 + step / 2, (posts, posts), step, surface, **profile)


@dataclass
class FakeBucket:
    """Files by path, and how often each was asked for.

    `cut` maps a path to the number of bytes after which its first answer breaks off.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    asked: Counter = field(default_factory=Counter)
    ranges: list[str] = field(default_factory=list)
    cut: dict[str, int] = field(default_factory=dict)
    sent_bytes: int = 0

    def add_tile(self, lon: int, lat: int, content: bytes) -> str:
        path = f"/{tile_name(lon, lat)}/{tile_name(lon, lat)}.tif"
        self.files[path] = content
        names = [part.split("/")[1] for part in self.files if part.startswith("/Copernicus")]
        # The real list has Windows line ends.
        self.files["/tileList.txt"] = "".join(f"{name}\r\n" for name in names).encode()
        return path

    def __enter__(self) -> "FakeBucket":
        handler = type("Handler", (_Handler,), {"bucket": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    bucket: FakeBucket
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing is written to the terminal."""

    def do_GET(self) -> None:
        self.bucket.asked[self.path] += 1
        content = self.bucket.files.get(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if asked := self.headers.get("Range"):
            self.bucket.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").split("-")[0])
        body = content[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if cut := self.bucket.cut.pop(self.path, None):
            body, self.close_connection = body[:cut], True
        self.wfile.write(body)
        self.bucket.sent_bytes += len(body)
