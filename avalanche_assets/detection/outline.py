"""The outline of an anomaly: which pixels of a patch belong to a detection, and what lies inside.

The rule is the half-maximum contour, as the width of a peak is usually measured. The background is the
median of the patch. The peak is the pixel with the largest excess over the background, weighted by nearness
to the deposit point as the detectors look for deposits there. The anomaly is every pixel connected to the
peak that rises at least half as far above the background as the peak does. A scene-wide drift moves
background and peak alike and leaves the outline where it is, and no absolute decibel value has to fit every
detector.
"""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry import Polygon, shape

from avalanche_assets.detectors.locality import centre_weight

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating]

HALF_MAXIMUM = 0.5
"""Share of the peak's excess over the background that a pixel of the anomaly reaches at least."""


@dataclass(frozen=True)
class Outline:
    """One anomaly in one patch.

    Attributes:
        mask: Pixels of the anomaly, same shape as the patch, 4-connected, without holes.
        polygon: The same pixels as a polygon in the coordinate system of the patch's transform.
    """

    mask: Mask
    polygon: Polygon


@dataclass(frozen=True)
class OutlineStatistics:
    """What lies inside an outline; NaN where no pixel of the anomaly has a value.

    Attributes:
        area_m2: Area of the outline in square metres.
        elevation_min_m: Lowest elevation in metres.
        elevation_max_m: Highest elevation in metres.
        slope_deg: Mean slope in degrees.
        aspect_deg: Circular mean of the downhill direction, degrees clockwise from north, 0 to 360.
        dvv_mean_db: Mean VV* change in dB.
        dvv_max_db: Largest VV* change in dB.
        dvh_mean_db: Mean VH* change in dB.
        dvh_max_db: Largest VH* change in dB.
    """

    area_m2: float
    elevation_min_m: float
    elevation_max_m: float
    slope_deg: float
    aspect_deg: float
    dvv_mean_db: float
    dvv_max_db: float
    dvh_mean_db: float
    dvh_max_db: float


def peak_pixel(anomaly: Floats) -> tuple[int, int]:
    """Row and column of the anomaly's peak in a patch (64, 64) that has at least one value.

    A neighbour's deposit at the edge of the patch does not draw the peak away from this corridor's own,
    because the excess counts less with the distance to the deposit point.
    """
    weighted = np.where(np.isfinite(anomaly), _excess(anomaly) * centre_weight(), -np.inf)
    row, col = np.unravel_index(np.argmax(weighted), anomaly.shape)
    return int(row), int(col)


def outline_anomaly(anomaly: Floats, transform: Affine) -> Outline | None:
    """Outlines the anomaly that peaks at `peak_pixel`.

    Args:
        anomaly: Anomaly map (64, 64), larger is more anomalous, in dB or any linear scale; NaN where no
            value.
        transform: Affine transform of the patch, in metres.

    Returns:
        The outline, or None where nothing in the map rises above its own median.
    """
    if not np.isfinite(anomaly).any():
        return None
    excess, peak = _excess(anomaly), peak_pixel(anomaly)
    if excess[peak] <= 0:
        return None
    regions, _ = ndimage.label(excess >= HALF_MAXIMUM * excess[peak])
    mask: Mask = ndimage.binary_fill_holes(regions == regions[peak])
    return Outline(mask, _polygon(mask, transform))


def _excess(anomaly: Floats) -> Floats:
    return np.where(np.isfinite(anomaly), anomaly - np.nanmedian(anomaly), -np.inf)


def _polygon(mask: Mask, transform: Affine) -> Polygon:
    # 4-connectivity: with 8 the rings touch themselves at corners, which is no valid polygon.
    ((geometry, _),) = shapes(mask.astype(np.uint8), mask=mask, connectivity=4, transform=transform)
    return shape(geometry)


def outline_statistics(
    outline: Outline, *, elevation: Floats, slope: Floats, aspect: Floats, dvv: Floats, dvh: Floats
) -> OutlineStatistics:
    """Statistics of the pixels inside an outline.

    Args:
        outline: The anomaly.
        elevation: DEM heights of the patch in metres.
        slope: Slope in degrees.
        aspect: Downhill direction in degrees clockwise from north, NaN where flat.
        dvv: VV* minus the previous VV* in dB, NaN where no value.
        dvh: VH* minus the previous VH* in dB, NaN where no value.
    """
    heights = _inside(elevation, outline.mask)
    changes = _inside(dvv, outline.mask)
    cross_changes = _inside(dvh, outline.mask)
    return OutlineStatistics(
        area_m2=float(outline.polygon.area),
        elevation_min_m=float(heights.min()) if heights.size else float("nan"),
        elevation_max_m=_max(heights),
        slope_deg=_mean(_inside(slope, outline.mask)),
        aspect_deg=circular_mean_deg(_inside(aspect, outline.mask)),
        dvv_mean_db=_mean(changes),
        dvv_max_db=_max(changes),
        dvh_mean_db=_mean(cross_changes),
        dvh_max_db=_max(cross_changes),
    )


def circular_mean_deg(angles_deg: Floats) -> float:
    """Mean direction in degrees, 0 <= direction < 360; NaN for no angle or angles that cancel.

    Source: Mardia & Jupp, Directional Statistics, section 2.2.1: the direction of the mean unit vector.
    """
    if angles_deg.size == 0:
        return float("nan")
    radians = np.radians(angles_deg.astype(np.float64))
    north, east = np.cos(radians).mean(), np.sin(radians).mean()
    if np.hypot(north, east) < 1e-6:
        return float("nan")
    # Rounded first: a mean of -1e-14 degrees would otherwise become 360.
    return float(np.round(np.degrees(np.arctan2(east, north)), 3) % 360)


def _inside(values: Floats, mask: Mask) -> Floats:
    chosen = values[mask]
    return chosen[np.isfinite(chosen)]


def _mean(values: Floats) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else float("nan")


def _max(values: Floats) -> float:
    return float(values.max()) if values.size else float("nan")
