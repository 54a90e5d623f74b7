"""A calibrated window of an image as an xarray array: with coordinates, units and where it comes from."""

from collections.abc import Mapping

import numpy as np
import xarray
from numpy.typing import NDArray

from avalanche_assets.grid import Window
from avalanche_assets.sentinel1.annotation import ImageInformation
from avalanche_assets.sentinel1.calibration import Quantity

LONG_NAMES: dict[Quantity, str] = {
    "sigma0": "backscatter per ellipsoid area (sigma nought)",
    "beta0": "backscatter per slant-range area (beta nought)",
    "gamma0": "backscatter per area across the line of sight (gamma nought)",
}


def labelled(
    power: NDArray[np.float32],
    area: Window,
    image: ImageInformation,
    quantity: Quantity,
    attributes: Mapping[str, str | int],
) -> xarray.DataArray:
    """Calibrated backscatter with coordinates.

    Args:
        power: Linear power of the window, shape (lines, samples).
        area: The window of the image.
        image: Timing and spacing of the image.
        quantity: What `power` is.
        attributes: Where it comes from; copied to the result beside its name and unit.

    Returns:
        Linear power with dimensions `line` and `sample`, both numbered as in the whole image, so that windows
        align. Along `line` runs `azimuth_time` (UTC), along `sample` `ground_range` (metres from the first
        sample).
    """
    line = np.arange(area.row, area.row + area.height)
    sample = np.arange(area.col, area.col + area.width)
    elapsed = np.round(line * image.line_interval_s * 1e9).astype("timedelta64[ns]")
    return xarray.DataArray(
        power,
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
        attrs={"long_name": LONG_NAMES[quantity], "units": "1", **attributes},
    )
