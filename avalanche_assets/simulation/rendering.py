"""From backscatter to digital numbers: noise, speckle, quantisation and border, block of lines by block.

Signal and receiver noise are speckled together, as both are random before detection. Nothing larger than a
block of lines is held, so that full-size slices fit into memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.simulation.facets import Facets
from avalanche_assets.simulation.radiometry import BORDER_LINES, BORDER_SAMPLES, POLARISATIONS
from avalanche_assets.simulation.scene import Placement, Surface, received_power
from avalanche_assets.simulation.slices import Slice
from avalanche_assets.simulation.speckle import HALO, speckled

Floats32 = NDArray[np.float32]
Digital = NDArray[np.uint16]

BLOCK_LINES = 1024
BORDER_NOISE_DN = 12
"""Border noise of the old format lies between 0 and this digital number."""


@dataclass(frozen=True)
class View:
    """One date's ground as placed in the image.

    Attributes:
        facets: Static radar geometry.
        placement: Where the nodes fall.
        surface: Backscatter at the date.
        background: sigma0 of VV and VH beyond the elevation model; None leaves pixels there without data.
        key: Seed of the acquisition's speckle.
    """

    facets: Facets
    placement: Placement
    surface: Surface
    background: tuple[float, float] | None
    key: int


def render(view: View, item: Slice) -> Iterator[tuple[int, Digital]]:
    """Digital numbers of a slice.

    Yields:
        First line of the block in the slice, and VV and VH as uint16 (2, lines, samples); 0 is no data.
    """
    for start in range(0, item.lines, BLOCK_LINES):
        stop = min(start + BLOCK_LINES, item.lines)
        yield start, _block(view, item, start, stop)


def _block(view: View, item: Slice, start: int, stop: int) -> Digital:
    first, last = item.first + start - HALO, item.first + stop + HALO
    power, covered = received_power(view.facets, view.placement, view.surface, item.geometry, first, last)
    samples = item.geometry.samples
    digital = np.zeros((2, stop - start, samples), np.uint16)
    columns = slice(0, samples) if view.background is not None else _span(covered)
    if columns.stop == columns.start:
        return digital
    gain = item.radiometry.amplitude_at(start - HALO, stop + HALO, samples)[:, columns] ** 2
    seen = covered[HALO:-HALO, columns]
    for index in range(len(POLARISATIONS)):
        intensity = power[index][:, columns]
        if view.background is not None:
            intensity[~covered] = view.background[index]
        intensity = intensity * gain
        intensity += item.radiometry.noise_at(index, start - HALO, stop + HALO, samples)[:, columns]
        numbers = np.sqrt(speckled(intensity, 2 * view.key + index, item.first + start))
        numbers = np.clip(np.rint(numbers), 1, 65535)
        digital[index][:, columns] = numbers if view.background is not None else numbers * seen
    _border(digital, view.key, item, start)
    return digital


def _span(covered: NDArray[np.bool_]) -> slice:
    """Columns from the first to the last covered pixel."""
    columns = np.flatnonzero(covered.any(axis=0))
    return slice(int(columns[0]), int(columns[-1]) + 1) if len(columns) else slice(0, 0)


def _border(digital: Digital, key: int, item: Slice, start: int) -> None:
    """Blanks the rim of the acquisition: zeros, or faint numbers in products of the old format."""
    lines, samples = digital.shape[1:]
    line = item.first + start + np.arange(lines)
    rim = np.zeros((lines, samples), np.bool_)
    rim[:, :BORDER_SAMPLES] = rim[:, samples - BORDER_SAMPLES :] = True
    rim[(line < BORDER_LINES) | (line >= item.geometry.lines - BORDER_LINES)] = True
    digital[:, rim] = 0
    if item.radiometry.old_format:
        random = np.random.default_rng([key, 3, item.first + start])
        digital[:, rim] = random.integers(0, BORDER_NOISE_DN, (2, int(rim.sum())), np.uint16, endpoint=True)
