"""The analysis grid: one value that carries coordinate system, transform and shape."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from affine import Affine

TILE_PX = 64
"""Grid origins and shapes are multiples of this many pixels, so that grids of different runs nest."""


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels: first row and column, height and width."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices that cut this window out of a full-grid array."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def within(self, shape: tuple[int, int]) -> "Window":
        """The part of this window that lies on an array of `shape`; its corner must."""
        height, width = min(self.height, shape[0] - self.row), min(self.width, shape[1] - self.col)
        return Window(self.row, self.col, height, width)


@dataclass(frozen=True)
class Grid:
    """A north-up raster grid of square pixels.

    Attributes:
        crs: Authority string of a projected coordinate system in metres, e.g. ``EPSG:32632``.
        resolution: Pixel size in metres.
        west: Easting of the left edge of column 0 in metres.
        north: Northing of the upper edge of row 0 in metres.
        height: Rows.
        width: Columns.
    """

    crs: str
    resolution: float
    west: float
    north: float
    height: int
    width: int

    @classmethod
    def covering(cls, bounds: tuple[float, float, float, float], crs: str, resolution: float) -> "Grid":
        """The smallest grid over `bounds` (west, south, east, north, metres) on whole tiles."""
        step = resolution * TILE_PX
        west = math.floor(bounds[0] / step) * step
        south = math.floor(bounds[1] / step) * step
        east = math.ceil(bounds[2] / step) * step
        north = math.ceil(bounds[3] / step) * step
        return cls(
            crs,
            resolution,
            west,
            north,
            round((north - south) / resolution),
            round((east - west) / resolution),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def transform(self) -> Affine:
        """Affine transform from (column, row) to (easting, northing) of pixel corners."""
        return Affine(self.resolution, 0.0, self.west, 0.0, -self.resolution, self.north)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in metres."""
        return (
            self.west,
            self.north - self.height * self.resolution,
            self.west + self.width * self.resolution,
            self.north,
        )

    def row_col(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of the pixel that holds the point; may lie outside the grid."""
        return (
            math.floor((self.north - y) / self.resolution),
            math.floor((x - self.west) / self.resolution),
        )

    def pixel_centre(self, row: float, col: float) -> tuple[float, float]:
        """Easting and northing of a pixel's centre."""
        return (
            self.west + (col + 0.5) * self.resolution,
            self.north - (row + 0.5) * self.resolution,
        )

    def window_around(self, x: float, y: float, size: int = TILE_PX) -> Window:
        """The `size` x `size` window whose pixel (size/2, size/2) holds the point."""
        row, col = self.row_col(x, y)
        return Window(row - size // 2, col - size // 2, size, size)

    def contains(self, window: Window) -> bool:
        """Whether the whole window lies on the grid."""
        return (
            window.row >= 0
            and window.col >= 0
            and window.row + window.height <= self.height
            and window.col + window.width <= self.width
        )

    def tiles(self, size: int) -> Iterator[Window]:
        """Windows of `size` x `size` pixels, less at the lower and right edges, row by row."""
        for row in range(0, self.height, size):
            for col in range(0, self.width, size):
                yield Window(row, col, min(size, self.height - row), min(size, self.width - col))

    def subgrid(self, window: Window) -> "Grid":
        """The grid of one window."""
        return Grid(
            self.crs,
            self.resolution,
            self.west + window.col * self.resolution,
            self.north - window.row * self.resolution,
            window.height,
            window.width,
        )
