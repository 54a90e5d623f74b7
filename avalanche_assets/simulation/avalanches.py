"""Avalanches of a simulated winter: when, where, how large, how visible, and what observers note of them."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from shapely import Polygon


@dataclass(frozen=True)
class Deposit:
    """One avalanche's deposit, as it truly is and as the inventory tells it.

    Attributes:
        deposit_id: Unique, ``A00001``.
        corridor_id: Corridor it came down, empty outside all corridors.
        instant: When it fell, UTC.
        outline: Polygon of the deposit on the grid's coordinate system.
        dvv_db: Brightening in VV just after the fall.
        dvh_db: Brightening in VH just after the fall.
        decay_days: Time for the contrast to fall to 1/e in dry snow.
        wet: Whether it fell as wet snow.
        melts: When melt at the deposit begins, UTC; contrast then fades within days. None: not this winter.
        recorded: Whether the inventory holds it.
        date_min: Earliest instant the inventory gives, UTC; None when not recorded.
        date_max: Latest instant the inventory gives, UTC; None when not recorded.
        departure_elevation_m: Where it released.
        arrival_elevation_m: Where it stopped.
        length_m: Length of the deposit down the slope.
        width_m: Mean width of the deposit.
        size: Destructive size D1 to D4 by area.
    """

    deposit_id: str
    corridor_id: str
    instant: datetime
    outline: Polygon
    dvv_db: float
    dvh_db: float
    decay_days: float
    wet: bool
    melts: datetime | None
    recorded: bool
    date_min: datetime | None
    date_max: datetime | None
    departure_elevation_m: float
    arrival_elevation_m: float
    length_m: float
    width_m: float
    size: str


MELT_DAYS = 2.0
"""Time for the contrast to fall to 1/e once the deposit's surroundings melt."""


def deposit_contrast_db(deposit: Deposit, at: datetime) -> tuple[float, float]:
    """Brightening of the deposit in VV and VH at one instant, dB: 0 before it fell, then fading."""
    age = (at - deposit.instant).total_seconds() / 86400.0
    if age < 0.0:
        return 0.0, 0.0
    fading = np.exp(-age / deposit.decay_days)
    if deposit.melts is not None and at > deposit.melts:
        fading *= np.exp(-(at - deposit.melts).total_seconds() / 86400.0 / MELT_DAYS)
    return float(deposit.dvv_db * fading), float(deposit.dvh_db * fading)
