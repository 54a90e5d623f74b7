"""One polarisation's measurement as calibrated rows, read in place in blocks of lines."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.annotation import ImageInformation
from avalanche_assets.sentinel1.border import FIRST_CLEAN_IPF, blank_border
from avalanche_assets.sentinel1.calibration import Quantity, backscatter, parse_calibration
from avalanche_assets.sentinel1.lookup import LineTable
from avalanche_assets.sentinel1.noise import NoiseModel, parse_noise
from avalanche_assets.sentinel1.safe import SafeArchive

Float32s = NDArray[np.float32]

BLOCK_LINES = 256
"""Lines calibrated at a time: the tables on these pixels take some ten megabytes."""


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
    """

    source: str
    dataset: DatasetReader
    factor: LineTable
    noise: NoiseModel
    denoise: bool
    clean_border: bool

    def rows(self, first: int, count: int) -> Float32s:
        """Linear backscatter of whole lines, shape (count, samples), NaN where there are no data.

        Raises:
            SafeError: The raster is damaged.
        """
        out = np.empty((count, self.dataset.width), np.float32)
        for start in range(0, count, BLOCK_LINES):
            size = min(BLOCK_LINES, count - start)
            out[start : start + size] = self._block(first + start, size)
        return out

    def _block(self, first: int, count: int) -> Float32s:
        try:
            dn = self.dataset.read(1, window=RasterWindow(0, first, self.dataset.width, count))
        except RasterioIOError as error:
            raise SafeError(
                f"{self.source}: measurement lines {first}-{first + count - 1} cannot be read ({error}); "
                "download the product again"
            ) from error
        factor = self.factor.rows(first, count)
        noise = self.noise.rows(first, count) if self.noise.denoisable else np.zeros_like(factor)
        if not self.clean_border:
            blank_border(dn, factor, noise)
        if not self.denoise:
            noise = np.zeros_like(factor)
        return np.asarray(backscatter(dn, factor, noise))


@contextmanager
def open_image(
    archive: SafeArchive,
    image: ImageInformation,
    polarisation: str,
    quantity: Quantity = "sigma0",
    denoise: bool = True,
) -> Iterator[CalibratedImage]:
    """Opens a measurement together with its calibration and noise.

    Raises:
        SafeError: A file is missing or damaged, or the raster's size is not the annotated one.
    """
    calibration, noise = archive.find("calibration", polarisation), archive.find("noise", polarisation)
    ipf = archive.manifest.ipf_version
    factor = parse_calibration(archive.read(calibration), calibration, quantity, image.samples)
    model = parse_noise(archive.read(noise), noise, ipf, image.samples)
    name = archive.raster(polarisation)
    try:
        dataset = _open(name)
    except RasterioIOError as error:
        raise SafeError(f"{name}: measurement cannot be opened ({error}); download it again") from error
    with dataset:
        if dataset.shape != (image.lines, image.samples):
            raise SafeError(
                f"{name}: measurement has {dataset.shape} lines and samples, the annotation says "
                f"{(image.lines, image.samples)}; download the product again"
            )
        yield CalibratedImage(archive.name, dataset, factor, model, denoise, ipf >= FIRST_CLEAN_IPF)


def _open(name: str) -> DatasetReader:
    """Opens a raster; a measurement has ground control points and no transform, which is as it should be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(name)
