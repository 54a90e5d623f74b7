"""Terrain-corrected sigma0 of one acquisition on the analysis grid.

Each cell's four sub-cells are located in the image by range-Doppler with their DEM height; the calibrated,
denoised intensity is sampled bilinearly there and the four powers are averaged. The image is read in chunks
of lines, and only where wanted blocks of the grid lie.

Source: D. Small and A. Schubert, Guide to Sentinel-1 Geocoding (UZH-S1-GC-AD), for range-Doppler geocoding of
ground-range products.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.grid import TILE_PX, Grid
from avalanche_assets.sentinel1.block_model import BlockModel, fit_blocks
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.sentinel1.visibility import Visibility

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Flags = NDArray[np.uint8]

CHUNK_LINES = 1536
"""Image lines held at a time: some 150 MB a polarisation at full width."""

BORDER = int(Visibility.BORDER)
OUTSIDE = int(Visibility.OUTSIDE)
NOISE_LIMITED = int(Visibility.NOISE_LIMITED)


@dataclass(frozen=True)
class Sigma0:
    """Backscatter of one acquisition on the analysis grid; every array has the grid's shape.

    Attributes:
        vv: sigma0 in VV, linear power, NaN without a value; negative where speckle falls below the noise.
        vh: The same in VH.
        flags: `Visibility` bits of either polarisation: BORDER and OUTSIDE are the reason for each NaN,
            OUTSIDE also on blocks that were not wanted; NOISE_LIMITED marks power that is not positive.
        denoised: Whether thermal noise was removed; False when a product's annotation does not hold it.
    """

    vv: Float32s
    vh: Float32s
    flags: Flags
    denoised: bool


@dataclass(frozen=True)
class _Placed:
    """A block and the lines of the image it needs."""

    model: BlockModel
    first_line: int
    stop_line: int


def terrain_corrected_sigma0(
    products: Sequence[Product],
    orbit: Orbit,
    dem: Float32s,
    grid: Grid,
    blocks: NDArray[np.bool_] | None = None,
) -> Sigma0:
    """Geocodes the slices of one acquisition.

    Args:
        products: Slices in any order.
        orbit: Path of the platform, e.g. ``SliceStack.of(products).orbit`` or a restituted orbit.
        dem: Heights on the grid in metres over the ellipsoid, NaN where unknown.
        grid: The analysis grid; its shape is a multiple of 64.
        blocks: Wanted 64-pixel blocks, shape (rows / 64, columns / 64); all when None.

    Raises:
        SafeError: A product is incomplete or damaged, or the slices do not abut.
    """
    stack = SliceStack.of(products)
    for product in stack.products:
        product.require_complete()
    if blocks is None:
        blocks = np.ones((grid.height // TILE_PX, grid.width // TILE_PX), np.bool_)
    vv, vh = (np.full(grid.shape, np.nan, np.float32) for _ in range(2))
    flags = np.full(grid.shape, OUTSIDE, np.uint8)
    denoised = stack.denoisable
    placed = _placed(fit_blocks(orbit, dem, grid, blocks), stack, orbit)
    with stack.open("VV", denoised) as vv_image, stack.open("VH", denoised) as vh_image:
        for chunk in _chunks(placed):
            first = chunk[0].first_line
            count = max(block.stop_line for block in chunk) - first
            vv_rows, vh_rows = vv_image.rows(first, count), vh_image.rows(first, count)
            for block in chunk:
                row, col = block.model.row, block.model.col
                area = slice(row, row + TILE_PX), slice(col, col + TILE_PX)
                line, sample = stack.line_sample(*block.model.locate(dem), orbit)
                flags[area] = 0
                _sample(vv_rows, line - first, sample, vv[area], flags[area])
                _sample(vh_rows, line - first, sample, vh[area], flags[area])
    return Sigma0(vv, vh, flags, denoised)


def _placed(models: list[BlockModel], stack: SliceStack, orbit: Orbit) -> list[_Placed]:
    """Blocks that lie at least partly on the image, sorted by first line."""
    lines, samples = stack.shape
    placed = []
    for model in models:
        line, sample = stack.line_sample(model.node_time, model.node_range, orbit)
        first, stop = np.floor(line.min()) - 1, np.ceil(line.max()) + 2
        # A comparison with NaN is false: blocks the orbit does not see are left out.
        if stop > 0 and first < lines and sample.max() > 0 and sample.min() < samples:
            placed.append(_Placed(model, max(int(first), 0), min(int(stop), lines)))
    return sorted(placed, key=lambda block: (block.first_line, block.model.row, block.model.col))


def _chunks(placed: list[_Placed]) -> Iterator[list[_Placed]]:
    """Groups of blocks whose lines fit into one chunk."""
    chunk: list[_Placed] = []
    for block in placed:
        if chunk and block.stop_line - chunk[0].first_line > CHUNK_LINES:
            yield chunk
            chunk = []
        chunk.append(block)
    if chunk:
        yield chunk


@njit(cache=True, nogil=True)
def _sample(image: Float32s, line: Floats, sample: Floats, out: Float32s, flags: Flags) -> None:
    """Mean of a cell's four bilinear samples; the cell has no value when one of them has none."""
    lines, samples = image.shape
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            total = 0.0
            for sub in range(line.shape[2]):
                y, x = line[row, col, sub], sample[row, col, sub]
                if not (0.0 <= y <= lines - 1 and 0.0 <= x <= samples - 1):
                    flags[row, col] |= OUTSIDE
                    total = np.nan
                    break
                top, left = min(int(y), lines - 2), min(int(x), samples - 2)
                down, right = y - top, x - left
                upper = (1.0 - right) * image[top, left] + right * image[top, left + 1]
                lower = (1.0 - right) * image[top + 1, left] + right * image[top + 1, left + 1]
                total += (1.0 - down) * upper + down * lower
            mean = total / line.shape[2]
            if not np.isnan(mean):
                # Also below the noise: leaving those cells out would brighten the mean of dark ground.
                out[row, col] = mean
                if mean <= 0.0:
                    flags[row, col] |= NOISE_LIMITED
            elif not flags[row, col] & OUTSIDE:
                flags[row, col] |= BORDER
