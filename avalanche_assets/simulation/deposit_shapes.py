"""Where an avalanche stops on its path, and the outline of what it leaves.

Source: French avalanche survey (62 % of events stop in the lowest tenth of the corridor's drop, 90 % in the
lowest quarter); shapes of mapped Sentinel-1 deposits (elongated down the slope, perimeter^2 / (4 pi area)
of 2.6 in the median).
"""

import numpy as np
import shapely
from shapely import Polygon
from shapely.ops import substring

from avalanche_assets.simulation.corridors import AvalanchePath


def stop_share(rng: np.random.Generator) -> float:
    """Height of the stop above the corridor's lowest point, as a share of the corridor's drop."""
    zone = rng.choice(3, p=(0.62, 0.28, 0.10))
    return float(rng.uniform(*((0.0, 0.10), (0.10, 0.25), (0.25, 0.45))[zone]))


def stop_distance(path: AvalanchePath, share: float) -> float:
    """Distance along the path, in metres from its top, where it first is that low.

    Args:
        path: Talweg and heights.
        share: 0 at the height of the lower end, 1 at the top.
    """
    target = path.heights[-1] + share * path.drop_m
    low = int(np.argmax(path.heights <= max(target, float(path.heights.min()))))
    return float(path.line.project(shapely.Point(path.line.coords[low])))


def deposit_outline(
    path: AvalanchePath, stop_m: float, area_m2: float, rng: np.random.Generator
) -> tuple[Polygon, float, float]:
    """A tongue along the path that ends at `stop_m`, its sides uneven.

    Args:
        path: Talweg the avalanche followed.
        stop_m: Distance of its toe from the path's top, metres.
        area_m2: Area of the outline, met exactly.
        rng: Varies length, width and sides.

    Returns:
        Outline, length and mean width in metres.
    """
    elongation = float(np.clip(rng.lognormal(np.log(5.5), 0.35), 2.0, 12.0))
    length = float(np.clip(np.sqrt(area_m2 * elongation), 20.0, max(0.5 * stop_m, 20.0)))
    toe = min(stop_m, path.line.length)
    tongue = substring(path.line, max(toe - length, 0.0), toe)
    share = np.linspace(0.0, 1.0, 17)
    points = shapely.get_coordinates(shapely.line_interpolate_point(tongue, share, normalized=True))
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    across = np.column_stack([-along[:, 1], along[:, 0]])
    # Wider towards the toe, rounded at both ends.
    profile = (0.45 + 0.55 * share) * np.sqrt(np.clip(1.0 - (2.0 * share - 1.0) ** 4, 0.0, 1.0))
    knots = np.linspace(0.0, 1.0, 6)
    sides = [profile * np.interp(share, knots, rng.uniform(0.4, 1.6, 6)) for _ in range(2)]
    half = 0.5 * area_m2 / length / max(float(profile.mean()), 1e-9)
    ring = np.concatenate(
        [points + half * sides[0][:, None] * across, (points - half * sides[1][:, None] * across)[::-1]]
    )
    outline = shapely.buffer(Polygon(ring), 0.0)
    outline = max(getattr(outline, "geoms", [outline]), key=lambda part: part.area)
    scale = float(np.sqrt(area_m2 / outline.area))
    outline = shapely.affinity.scale(Polygon(outline.exterior), scale, scale, origin=tuple(points[-1]))
    scale = float(np.sqrt(area_m2 / outline.area))
    outline = shapely.affinity.scale(outline, scale, scale, origin=tuple(points[-1]))
    return outline, length, area_m2 / length
