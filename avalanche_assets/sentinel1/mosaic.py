"""Terrain-corrected sigma0 of one acquisition on the analysis grid.

Each cell's four sub-cells are located in the image by range-Doppler with their DEM height; the calibrated,
denoised intensity is sampled bilinearly there and the four powers are averaged. The image is streamed in
chunks of lines: while the tiles of one chunk are filled, the next is read and calibrated. Only lines on which
wanted tiles lie are read.

Source: D. Small and A. Schubert, Guide to Sentinel-1 Geocoding (UZH-S1-GC-AD), for range-Doppler geocoding of
ground-range products.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.grid import TILE_PX, Grid, Window
from avalanche_assets.machine import usable_cores
from avalanche_assets.rasters import COG_TILE_PX
from avalanche_assets.sentinel1.block_model import PART_PX, BlockModels, fit_blocks, part_corners
from avalanche_assets.sentinel1.image import BLOCK_LINES, RUN_PX
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import POLARISATIONS
from avalanche_assets.sentinel1.sampling import sample_blocks
from avalanche_assets.sentinel1.slices import SliceStack, StackedImage
from avalanche_assets.sentinel1.visibility import Visibility

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Flags = NDArray[np.uint8]

RING_LINES = 2048
"""Image lines held at a time, a power of two and many blocks: some 210 MB a polarisation at full width.

Coarse grids, whose tiles are longer than half, get more.
"""
CHUNKS_HELD = 2
"""Chunks of lines, each read at a time, that are held: one is read while tiles need the other."""
BATCH_TILES = 16
"""Tiles that a thread fills at a time: taking turns between threads costs as much as the work on one tile."""


@dataclass(frozen=True)
class Sigma0:
    """Backscatter of one acquisition on the analysis grid or a tile of it; arrays have its shape.

    Attributes:
        window: Where it lies on the grid.
        vv: sigma0 in VV, linear power, NaN without a value; negative where speckle falls below the noise.
        vh: The same in VH.
        flags: `Visibility` bits of either polarisation: every NaN has BORDER or OUTSIDE as its reason,
            OUTSIDE also where nothing was wanted; NOISE_LIMITED marks power that is not positive. A bit may
            be set for one polarisation while the other has a sound value.
    """

    window: Window
    vv: Float32s
    vh: Float32s
    flags: Flags

    @classmethod
    def empty(cls, window: Window) -> "Sigma0":
        """Without any value."""
        shape = window.height, window.width
        vv, vh = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
        return cls(window, vv, vh, np.full(shape, int(Visibility.OUTSIDE), np.uint8))


@dataclass(frozen=True)
class _Tile:
    """A tile of the grid, its blocks and the lines of the image they need."""

    window: Window
    blocks: NDArray[np.int64]
    first_line: int
    stop_line: int


@dataclass(frozen=True)
class _Parts:
    """Parts of blocks that lie at least partly on the image.

    Attributes:
        block: Index of the block that each belongs to, shape (n,).
        extents: First and stop line, first and stop sample of each, shape (n, 4).
    """

    block: NDArray[np.int64]
    extents: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        models: BlockModels,
        dem: Float32s,
        wanted: NDArray[np.bool_] | None,
        stack: SliceStack,
        orbit: Orbit,
    ) -> "_Parts":
        """The wanted squares of 16 cells; where all are, blocks in one piece leave little less out."""
        size = PART_PX
        if wanted is None:
            size = TILE_PX
            wanted = np.ones((dem.shape[0] // TILE_PX, dem.shape[1] // TILE_PX), np.bool_)
        block, time, slant_range = part_corners(models, dem, wanted, size)
        if not block.size:
            return cls(block, np.zeros((0, 4), np.int64))
        line, sample = stack.line_sample(time, slant_range, orbit)
        lines, samples = stack.shape
        extents = np.stack(
            [
                np.clip(np.floor(line.min(axis=1)) - 1, 0, lines),
                np.clip(np.ceil(line.max(axis=1)) + 2, 0, lines),
                np.clip(np.floor(sample.min(axis=1)) - 1, 0, samples),
                np.clip(np.ceil(sample.max(axis=1)) + 2, 0, samples),
            ],
            axis=1,
        )
        # A comparison with NaN is false: parts the orbit does not see are left out.
        seen = (extents[:, 0] < extents[:, 1]) & (extents[:, 2] < extents[:, 3])
        return cls(block[seen], extents[seen].astype(np.int64))


@dataclass(frozen=True)
class _Needed:
    """The part of the image that tiles need: `width` samples from `left`, of which on each line some runs.

    `runs` has the shape (lines, runs of `RUN_PX` samples).
    """

    left: int
    width: int
    runs: NDArray[np.bool_]


@dataclass(frozen=True)
class _Ring:
    """Calibrated lines of either polarisation: line n of the stack lies in row n modulo the rows."""

    powers: tuple[Float32s, Float32s]

    @classmethod
    def of(cls, tiles: list[_Tile], needed: _Needed) -> "_Ring":
        """Long enough for any tile; what is not needed is never looked at.

        Its memory is first touched, which costs as much as reading into it, where and when lines are read.
        """
        longest = max(tile.stop_line - tile.first_line for tile in tiles)
        shape = max(RING_LINES, 2 ** math.ceil(math.log2(2 * longest))), needed.width
        return cls((np.zeros(shape, np.float32), np.zeros(shape, np.float32)))

    @property
    def lines(self) -> int:
        """Number of lines held."""
        return len(self.powers[0])


def terrain_corrected_sigma0(
    products: Sequence[Product],
    orbit: Orbit,
    dem: Float32s,
    grid: Grid,
    wanted: NDArray[np.bool_] | None = None,
) -> Sigma0:
    """Geocodes the slices of one acquisition; see `sigma0_tiles`, whose tiles this puts together."""
    whole = Sigma0.empty(Window(0, 0, grid.height, grid.width))
    for tile in sigma0_tiles(SliceStack.of(products), orbit, dem, grid, wanted):
        area = tile.window.slices
        whole.vv[area], whole.vh[area], whole.flags[area] = tile.vv, tile.vh, tile.flags
    return whole


def sigma0_tiles(
    stack: SliceStack,
    orbit: Orbit,
    dem: Float32s,
    grid: Grid,
    wanted: NDArray[np.bool_] | None = None,
) -> Iterator[Sigma0]:
    """Geocodes an acquisition tile by tile, in the order of the image.

    Args:
        stack: The slices.
        orbit: Path of the platform, e.g. ``stack.orbit`` or a precise orbit.
        dem: Heights on the grid in metres over the ellipsoid, NaN where unknown.
        grid: The analysis grid; its shape is a multiple of 64.
        wanted: Squares of 16 cells to fill, shape (rows / 16, columns / 16); all when None.

    Yields:
        Every tile of 128 x 128 cells (less at the grid's edge) that holds wanted cells on the image.

    Raises:
        SafeError: A product is incomplete or damaged.
    """
    for product in stack.products:
        product.require_complete()
    squares = np.ones((grid.height // PART_PX, grid.width // PART_PX), np.bool_) if wanted is None else wanted
    across = TILE_PX // PART_PX
    blocks = np.asarray(squares.reshape(squares.shape[0] // across, across, -1, across).any(axis=(1, 3)))
    with ExitStack() as opened, ThreadPoolExecutor(usable_cores()) as threads:
        # Tables are read while polynomials are fitted.
        fitted = threads.submit(fit_blocks, orbit, dem, grid, blocks)
        images = [opened.enter_context(stack.open(name, stack.denoisable)) for name in POLARISATIONS]
        models, timing = fitted.result(), stack.timing(orbit)
        parts = _Parts.of(models, dem, wanted, stack, orbit)
        tiles = _tiles(models, parts, grid)
        if not tiles:
            return
        needed = _needed(parts, stack)

        ring = _Ring.of(tiles, needed)

        def fill(batch: Sequence[_Tile]) -> list[Sigma0]:
            shape = len(batch), COG_TILE_PX, COG_TILE_PX
            vv, vh = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
            flags = np.full(shape, int(Visibility.OUTSIDE), np.uint8)
            sample_blocks(
                models,
                np.concatenate([tile.blocks for tile in batch]),
                np.repeat(np.arange(len(batch)), [tile.blocks.size for tile in batch]),
                timing,
                dem,
                squares,
                ring.powers,
                (batch[0].first_line, max(tile.stop_line for tile in batch), needed.left),
                np.array([(tile.window.row, tile.window.col) for tile in batch]),
                (vv, vh),
                flags,
            )
            return [
                Sigma0(window, vv[own][area], vh[own][area], flags[own][area])
                for own, window in enumerate(tile.window for tile in batch)
                for area in [(slice(window.height), slice(window.width))]
            ]

        def read(first: int, stop: int) -> None:
            list(readers.map(_read_round, images, ring.powers, repeat(first), repeat(stop), repeat(needed)))

        readers = opened.enter_context(ThreadPoolExecutor(len(images)))
        yield from _streamed(tiles, ring.lines, read, fill, threads)


def _tiles(models: BlockModels, parts: _Parts, grid: Grid) -> list[_Tile]:
    """Tiles with parts that lie on the image, sorted by first line."""
    row, col = models.corners[parts.block].T // COG_TILE_PX
    across = -(-grid.width // COG_TILE_PX)
    order = np.argsort(row * across + col, kind="stable")
    numbers, starts = np.unique((row * across + col)[order], return_index=True)
    if not numbers.size:
        return []
    extents, blocks = parts.extents[order], np.split(parts.block[order], starts[1:])
    firsts = np.minimum.reduceat(extents[:, 0], starts)
    stops = np.maximum.reduceat(extents[:, 1], starts)
    tiles = []
    for number, own, first, stop in zip(
        numbers.tolist(), blocks, firsts.tolist(), stops.tolist(), strict=True
    ):
        row, col = number // across * COG_TILE_PX, number % across * COG_TILE_PX
        height, width = min(COG_TILE_PX, grid.height - row), min(COG_TILE_PX, grid.width - col)
        # A block's parts follow each other.
        once = own[np.flatnonzero(np.diff(own, prepend=-1))]
        tiles.append(_Tile(Window(row, col, height, width), once, first, stop))
    return sorted(tiles, key=lambda tile: (tile.first_line, tile.window.row, tile.window.col))


def _needed(parts: _Parts, stack: SliceStack) -> _Needed:
    """What to read."""
    left, right = int(parts.extents[:, 2].min()), int(parts.extents[:, 3].max())
    runs = np.zeros((stack.shape[0], -(-(right - left) // RUN_PX)), np.bool_)
    _mark_runs(parts.extents, left, runs)
    return _Needed(left, right - left, runs)


@njit(cache=True, nogil=True)
def _mark_runs(extents: NDArray[np.int64], left: int, runs: NDArray[np.bool_]) -> None:
    for first, stop, begin, end in extents:
        runs[first:stop, (begin - left) // RUN_PX : -(-(end - left) // RUN_PX)] = True


def _chunks(tiles: list[_Tile], most_lines: int) -> Iterator[list[_Tile]]:
    """Groups of tiles that span at most so many lines."""
    chunk: list[_Tile] = []
    for tile in tiles:
        if chunk and tile.stop_line - chunk[0].first_line > most_lines:
            yield chunk
            chunk = []
        chunk.append(tile)
    if chunk:
        yield chunk


def _streamed(
    tiles: list[_Tile],
    lines: int,
    read: Callable[[int, int], None],
    fill: Callable[[Sequence[_Tile]], list[Sigma0]],
    threads: ThreadPoolExecutor,
) -> Iterator[Sigma0]:
    """Tiles in their order: while some are filled and the caller stores others, lines ahead are read.

    Lines are read over others only when every tile that needs those was handed on.

    Args:
        tiles: Sorted by first line.
        lines: Lines held at a time.
        read: Reads lines from a first to a stop line.
        fill: Fills tiles whose lines were read.
        threads: Fill tiles, `BATCH_TILES` at a time.
    """
    chunks, filling = deque(_chunks(tiles, lines // CHUNKS_HELD)), deque[tuple[int, Future[list[Sigma0]]]]()
    chunk: list[_Tile] = []
    reading: Future[None] | None = None
    known = 0
    with ThreadPoolExecutor(1) as ahead:
        while chunks or reading or filling:
            if reading and (reading.done() or not filling):
                reading.result()
                for start in range(0, len(chunk), BATCH_TILES):
                    batch = chunk[start : start + BATCH_TILES]
                    filling.append((batch[0].first_line, threads.submit(fill, batch)))
                reading = None
            if chunks and not reading:
                # Whole blocks are read at once.
                stop = -(-max(tile.stop_line for tile in chunks[0]) // BLOCK_LINES) * BLOCK_LINES
                if not filling or filling[0][0] >= stop - lines:
                    chunk = chunks.popleft()
                    reading = ahead.submit(read, max(chunk[0].first_line, known), stop)
                    known = max(stop, known)
            if filling:
                yield from filling.popleft()[1].result()


def _read_round(image: StackedImage, ring: Float32s, first: int, stop: int, needed: _Needed) -> None:
    """Reads lines of the stack into their rows of the ring."""
    stop = min(stop, len(needed.runs))
    while first < stop:
        row = first % len(ring)
        count = min(stop - first, len(ring) - row)
        runs = needed.runs[first : first + count]
        image.read_into(first, needed.left, ring[row : row + count], runs)
        first += count
