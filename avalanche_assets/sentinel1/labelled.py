"""A calibrated window of an image as an xarray array: with coordinates, units and where it comes from."""

import numpy as np
import xarray

from avalanche_assets.grid import Window
from avalanche_assets.sentinel1.calibration import Quantity
from avalanche_assets.sentinel1.product import Product

LONG_NAMES: dict[Quantity, str] = {
    "sigma0": "backscatter per ellipsoid area (sigma nought)",
    "beta0": "backscatter per slant-range area (beta nought)",
    "gamma0": "backscatter per area across the line of sight (gamma nought)",
}


def labelled_window(
    product: Product, polarisation: str, window: Window | None, quantity: Quantity, denoise: bool
) -> xarray.DataArray:
    """Calibrated backscatter with coordinates.

    Args:
        product: Where to read.
        polarisation: ``VV`` or ``VH``.
        window: Part of the image; the whole image when None.
        quantity: ``sigma0``, ``beta0`` or ``gamma0``.
        denoise: Take the thermal noise off, where the product's annotation allows it.

    Returns:
        Linear power with dimensions `line` and `sample`, both numbered as in the whole image, so that windows
        align. Along `line` runs `azimuth_time` (UTC), along `sample` `ground_range` (metres from the first
        sample). The attribute `denoised` is 1 where the noise was taken off, else 0: other types of truth do
        not fit a netCDF file.

    Raises:
        SafeError: As `Product.calibrate`.
    """
    area, image = product.window(window), product.annotation.image
    values = product.calibrate(polarisation, area, quantity, denoise)
    line = np.arange(area.row, area.row + area.height)
    sample = np.arange(area.col, area.col + area.width)
    elapsed = np.round(line * image.line_interval_s * 1e9).astype("timedelta64[ns]")
    return xarray.DataArray(
        values,
        dims=("line", "sample"),
        name=quantity,
        coords={
            "line": ("line", line, {"long_name": "row of the image, from 0", "units": "1"}),
            "sample": ("sample", sample, {"long_name": "column of the image, from 0", "units": "1"}),
            "azimuth_time": (
                "line",
                image.first_line + elapsed,
                {"long_name": "zero-Doppler time, UTC", "standard_name": "time"},
            ),
            "ground_range": (
                "sample",
                sample * image.sample_spacing_m,
                {"long_name": "ground range from the first sample", "units": "m"},
            ),
        },
        attrs={
            "long_name": LONG_NAMES[quantity],
            "units": "1",
            "polarisation": polarisation,
            "product": product.name,
            "platform": product.platform,
            "absolute_orbit": product.absolute_orbit,
            "relative_orbit": product.relative_orbit,
            "orbit_direction": product.direction,
            "orbit_source": f"{product.orbit.source} ({product.annotation.orbit_source})".removesuffix(" ()"),
            "ipf_version": "{}.{:02d}".format(*product.ipf_version),
            "denoised": int(denoise and product.denoisable),
        },
    )
