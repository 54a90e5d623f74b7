"""Snow and weather of a simulated winter, as far as radar and avalanches feel it.

Every day has a rain limit, a melting level, new snow and a state of refreezing; every acquisition a Weather
derived from them plus scene-wide drifts. At C band dry snow is nearly transparent, wet snow absorbs (drops
of 3 to 7 dB), a refrozen crust is dry again.

Source: Nagler, T. et al. (2016), Remote Sensing 8(4), 348 (wet-snow drop against a reference); winter
2017-18 in the French Alps: storms from 30 December, rain to 2,300 m on 3-5 January 2018.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Weather:
    """State of the snow at one acquisition.

    Attributes:
        overpass: Time of the acquisition, UTC.
        snow_line_m: Ground below it is snow-free (level ground; sunny slopes higher).
        wet_snow_line_m: Snow below it holds liquid water at the overpass; below `snow_line_m` when none does.
        wet_drop_vv_db: Backscatter change of fully wet snow in VV, negative.
        wet_drop_vh_db: The same in VH.
        refreeze: Share of the drop undone by the night's crust, 0..1.
        drift_vv_db: Scene-wide offset of this acquisition in VV.
        drift_vh_db: The same in VH.
        new_snow_cm: Snowfall at 2,000 m since the day of the previous acquisition.
        rain_limit_m: Highest rain of the last two days, 0 without rain.
    """

    overpass: datetime
    snow_line_m: float
    wet_snow_line_m: float
    wet_drop_vv_db: float
    wet_drop_vh_db: float
    refreeze: float
    drift_vv_db: float
    drift_vh_db: float
    new_snow_cm: float
    rain_limit_m: float


def snow_offset_db(weather: Weather, elevation: Floats, aspect: Floats) -> tuple[Floats, Floats]:
    """Backscatter change by snow against snow-free ground, drifts not included.

    Args:
        weather: State at the acquisition.
        elevation: Metres, any shape.
        aspect: Downhill direction in degrees clockwise from north, same shape.

    Returns:
        VV and VH offsets in dB, float32: 0 for dry snow and bare ground, down to the wet drop.
    """
    # Sunny slopes are as warm as shaded ones some 350 m lower.
    warm = elevation + 175.0 * np.cos(np.radians(aspect - 200.0))
    wet = 1.0 / (1.0 + np.exp(np.clip((warm - weather.wet_snow_line_m) / 60.0, -30.0, 30.0)))
    snow = 1.0 / (1.0 + np.exp(np.clip((weather.snow_line_m - warm) / 40.0, -30.0, 30.0)))
    share = wet * snow * (1.0 - weather.refreeze)
    return (
        (weather.wet_drop_vv_db * share).astype(np.float32),
        (weather.wet_drop_vh_db * share).astype(np.float32),
    )
