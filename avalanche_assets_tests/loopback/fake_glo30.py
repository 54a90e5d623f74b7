"""The public bucket of GLO-30 tiles and a geoid grid on this machine, small: 36 x 36 pixels a tile."""

from collections.abc import Callable

import numpy as np
from loopback.fake_cdse import ranged
from loopback.server import Answer, LoopbackServer, Request
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


class FakeBucket(LoopbackServer):
    """Answers with `files`, by path."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.routes["/"] = self._serve

    def add_tile(self, lon: int, lat: int, content: bytes) -> str:
        """Puts a tile and its name into the bucket; gives its path."""
        path = tile_path(lon, lat)
        self.files[path] = content
        names = [part.split("/")[1] for part in self.files if part.startswith("/Copernicus")]
        # The real list has Windows line ends.
        self.files["/tileList.txt"] = "".join(f"{name}\r\n" for name in names).encode()
        return path

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(request.path == path for request in self.seen)

    def _serve(self, request: Request) -> Answer:
        if request.path not in self.files:
            return Answer(404)
        return ranged(self.files[request.path], request.headers.get("range"))


def tile_path(lon: int, lat: int) -> str:
    return f"/{tile_name(lon, lat)}/{tile_name(lon, lat)}.tif"
