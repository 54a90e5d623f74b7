"""One polarisation's measurement as calibrated rows, read in place in blocks of lines."""

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import rasterio
from numba import njit
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from avalanche_assets.errors import SafeError
from avalanche_assets.grid import Window
from avalanche_assets.rasters import CACHE_BYTES, GDAL_ERRORS
from avalanche_assets.sentinel1.annotation import ImageInformation
from avalanche_assets.sentinel1.border import FIRST_CLEAN_IPF, blank_border
from avalanche_assets.sentinel1.calibration import Quantity, RowTable, backscatter_row, parse_calibration
from avalanche_assets.sentinel1.lookup import LineTable, between, interpolate_row
from avalanche_assets.sentinel1.noise import AzimuthSpans, NoiseModel, azimuth_factor, scale_row
from avalanche_assets.sentinel1.safe import SafeArchive
from avalanche_assets.sentinel1.xml_fields import MAX_PIXELS

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Numbers = NDArray[np.uint16]
Bools = NDArray[np.bool_]

RUN_PX = 64
"""Pixels of a line are needed or not by runs of this many."""
BLOCK_LINES = 256
"""Lines read at a time, from multiples of it: 13 MB, half a row of tiles of the tiled twin, whose other half
stays in the cache of GDAL."""

SATURATED = np.iinfo(np.uint16).max
"""Largest number that a pixel can hold; rare in an image."""


@dataclass(frozen=True)
class CalibratedImage:
    """An open measurement with its tables.

    Attributes:
        source: Name of the product, for messages.
        dataset: The open raster.
        factor: Calibration table A.
        noise: Noise model.
        denoise: Whether to take the noise off.
        clean_border: Whether pixels that were not imaged are all 0.
        scratch: Memory for two blocks of numbers, kept from call to call: fresh memory costs as much as
            reading into it.
    """

    source: str
    dataset: DatasetReader
    factor: LineTable
    noise: NoiseModel
    denoise: bool
    clean_border: bool
    scratch: list[Numbers] = field(default_factory=list, repr=False)

    def read(self, window: Window) -> Float32s:
        """Linear backscatter of a window, NaN where there are no data.

        Raises:
            SafeError: The raster is damaged.
        """
        out = np.empty((window.height, window.width), np.float32)
        self.read_into(window.row, window.col, out)
        return out

    def read_into(self, first: int, left: int, out: Float32s, needed: Bools | None = None) -> None:
        """Like `read`, written to `out` of shape (lines, samples), from line `first` and sample `left`.

        Args:
            first: First line.
            left: First sample.
            out: Gets the power.
            needed: On every line of `out`, the runs of `RUN_PX` samples to write, shape (lines, samples /
                `RUN_PX` rounded up); other pixels of `out` stay as they are. All when None.
        """
        for line, dn in self._numbers(first, first + len(out), left, out.shape[1]):
            rows = slice(line - first, line - first + len(dn))
            self._calibrate(dn, line, left, out[rows], None if needed is None else needed[rows])

    def blocks(self) -> Iterator[tuple[int, Float32s]]:
        """The whole image, block by block: first line and linear backscatter; see `read`."""
        for line, dn in self._numbers(0, self.dataset.height, 0, self.dataset.width):
            out = np.empty(dn.shape, np.float32)
            self._calibrate(dn, line, 0, out, None)
            yield line, out

    def _numbers(self, first: int, stop: int, left: int, width: int) -> Iterator[tuple[int, Numbers]]:
        """Digital numbers block by block; the next block is read while the caller works on the last one.

        A block's memory holds another one after the next.
        Where the border has to be cleaned, lines are whole: it is sought from their ends.
        """
        if not self.clean_border:
            left, width = 0, self.dataset.width
        edges = [first, *range((first // BLOCK_LINES + 1) * BLOCK_LINES, stop, BLOCK_LINES), stop]
        windows = [RasterWindow(left, start, width, end - start) for start, end in pairwise(edges)]
        with ThreadPoolExecutor(1) as reader:
            following = reader.submit(self._read, windows[0], 0)
            for index, (window, ahead) in enumerate(pairwise([*windows, None]), start=1):
                dn = following.result()
                if ahead is not None:
                    following = reader.submit(self._read, ahead, index % 2)
                yield window.row_off, dn

    def _read(self, window: RasterWindow, slot: int) -> Numbers:
        if not self.scratch:
            size = BLOCK_LINES * self.dataset.width
            self.scratch.extend(np.empty(size, np.uint16) for _ in range(2))
        dn = self.scratch[slot][: window.height * window.width].reshape(window.height, window.width)
        dn[-1, -1] = SATURATED
        try:
            self.dataset.read(1, window=window, out=dn)
            if dn[-1, -1] == SATURATED and not self._saturated(window):
                raise OSError("the file ends early or its disk fails")
            return dn
        except (*GDAL_ERRORS, OSError) as error:
            raise SafeError(
                f"{self.source}: {window.height} measurement lines from {window.row_off} cannot be read "
                f"({error}); download the product again"
            ) from error

    def _saturated(self, window: RasterWindow) -> bool:
        """Whether the last pixel of a window is `SATURATED` in the file too, or was just not read.

        Where direct reading fails, GDAL stops without an error and leaves the rest of the lines as they were.
        """
        row, col = window.row_off + window.height - 1, window.col_off + window.width - 1
        last = np.zeros((1, 1), np.uint16)
        self.dataset.read(1, window=RasterWindow(col, row, 1, 1), out=last)
        return bool(last[0, 0] == SATURATED)

    def _calibrate(self, dn: Numbers, first: int, left: int, out: Float32s, needed: Bools | None) -> None:
        if needed is None:
            needed = np.ones((len(out), -(-out.shape[1] // RUN_PX)), np.bool_)
        _calibrate(
            dn,
            first,
            left if self.clean_border else 0,
            left,
            self.factor.lines,
            self.factor.values,
            self.noise.range_noise.lines,
            self.noise.range_noise.values,
            self.noise.azimuth_spans,
            self.noise.denoisable,
            self.denoise,
            self.clean_border,
            needed,
            out,
        )


@njit(cache=True, nogil=True, error_model="numpy")
def _calibrate(
    dn: Numbers,
    first: int,
    dn_left: int,
    out_left: int,
    factor_lines: Floats,
    factors: Float32s,
    noise_lines: Floats,
    noises: Float32s,
    spans: AzimuthSpans,
    noise_known: bool,
    denoise: bool,
    clean_border: bool,
    needed: Bools,
    out: Float32s,
) -> None:
    """Line by line, so that the tables on the line's samples stay in the processor's cache."""
    factor, noise = np.empty(dn.shape[1], np.float32), np.zeros(dn.shape[1], np.float32)
    spans_here = np.empty((len(spans.bounds) + 1, 3))
    for row in range(dn.shape[0]):
        line = first + row
        if not clean_border and needed[row].any():
            interpolate_row(factor_lines, factors, line, dn_left, factor)
            if noise_known:
                interpolate_row(noise_lines, noises, line, dn_left, noise)
                scale_row(spans, line, dn_left, noise)
            blank_border(dn[row], factor, noise)
        factor_row, noise_row = between(factor_lines, line), between(noise_lines, line)
        count = _noise_scales(spans, line, noise_known and denoise, spans_here)
        begin = 0
        while begin < needed.shape[1]:
            end = begin + 1
            if needed[row, begin]:
                while end < needed.shape[1] and needed[row, end]:
                    end += 1
                for k in range(count):
                    left = max(out_left + begin * RUN_PX, int(spans_here[k, 0]))
                    right = min(out_left + min(end * RUN_PX, out.shape[1]), int(spans_here[k, 1]))
                    if left < right:
                        backscatter_row(
                            dn[row, left - dn_left : right - dn_left],
                            _on_row(factors, factor_row, left, right),
                            _on_row(noises, noise_row, left, right),
                            np.float32(spans_here[k, 2]),
                            out[row, left - out_left : right - out_left],
                        )
            begin = end


@njit(cache=True, nogil=True, error_model="numpy")
def _noise_scales(spans: AzimuthSpans, line: int, denoise: bool, out: Floats) -> int:
    """First sample, stop sample and factor of the range noise along one line; returns their number."""
    if not denoise or len(spans.bounds) == 0:
        out[0, 0], out[0, 1], out[0, 2] = 0, MAX_PIXELS, 1 if denoise else 0
        return 1
    count = 0
    for span in range(len(spans.bounds)):
        first_line, stop_line, first, stop, block = spans.bounds[span]
        if first_line <= line < stop_line:
            out[count, 0], out[count, 1] = first, stop
            out[count, 2] = azimuth_factor(spans, block, line)
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _on_row(values: Float32s, place: tuple[int, int, np.float32], left: int, right: int) -> RowTable:
    return values[place[0], left:right], values[place[1], left:right], place[2]


@contextmanager
def open_image(
    archive: SafeArchive,
    image: ImageInformation,
    polarisation: str,
    noise: NoiseModel,
    quantity: Quantity = "sigma0",
    denoise: bool = True,
) -> Iterator[CalibratedImage]:
    """Opens a measurement together with its calibration.

    Raises:
        SafeError: A file is missing or damaged, or the raster is not one band of the annotated size.
    """
    calibration = archive.find("calibration", polarisation)
    clean_border = archive.manifest.ipf_version >= FIRST_CLEAN_IPF
    factor = parse_calibration(archive.read(calibration), archive.label(calibration), quantity, image.samples)
    name = archive.raster(polarisation)
    try:
        dataset = _open(name)
    except GDAL_ERRORS as error:
        raise SafeError(f"{name}: measurement cannot be opened ({error}); download it again") from error
    with dataset:
        found = dataset.shape, dataset.dtypes
        if found != ((image.lines, image.samples), ("uint16",)):
            raise SafeError(
                f"{name}: measurement has {found[0]} lines and samples of {', '.join(found[1])}, the "
                f"annotation says {(image.lines, image.samples)}, of uint16; download the product again"
            )
        _require_whole(dataset, archive.size(archive.find("measurement", polarisation)))
        yield CalibratedImage(archive.name, dataset, factor, noise, denoise, clean_border)


def _require_whole(dataset: DatasetReader, size: int) -> None:
    """Checks that a file does not end before its last block: GDAL's direct reading does not notice.

    Raises:
        SafeError: It does.
    """
    (height, width), (lines, samples) = dataset.block_shapes[0], dataset.shape
    place = f"{(samples - 1) // width}_{(lines - 1) // height}"
    start, length = (dataset.get_tag_item(f"BLOCK_{name}_{place}", "TIFF", 1) for name in ("OFFSET", "SIZE"))
    if start and int(start) + int(length) > size:  # blocks without data have no offset
        raise SafeError(
            f"{dataset.name}: measurement has {size} bytes of {int(start) + int(length)}; "
            "download the product again"
        )


def _open(name: str) -> DatasetReader:
    """Opens a raster; a measurement has ground control points and no transform, which is as it should be.

    Where strips are not compressed, GDAL copies them straight from the file: that is twice as fast as through
    its block cache, which would fill up with pixels that are never asked for again.
    """
    with warnings.catch_warnings(), rasterio.Env(GTIFF_DIRECT_IO=True, GDAL_CACHEMAX=CACHE_BYTES):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(name, driver="GTiff")  # not a format that could refer to other files
