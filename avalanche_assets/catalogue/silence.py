"""Warning when a track has brought no data for longer than its calendar explains."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.catalogue.calendar import Direction, next_predicted, predicted_dates
from avalanche_assets.catalogue.registration import WAIT

SILENT_AFTER = timedelta(days=7)
"""Six days between passes, and one until products are published."""


def silence_warning(
    acquisitions: Iterable[Acquisition], relative_orbit: int, direction: Direction, now: datetime
) -> str:
    """What to tell an operator when nothing has come for more than a week; otherwise empty.

    Names the first predicted pass that brought nothing and the next one to come.
    """
    last = _last(acquisitions)
    track = f"relative orbit {relative_orbit}"
    # A pass of the last day may still be published.
    settled = now - WAIT
    following = next_predicted(relative_orbit, settled, direction)
    coming = f"next predicted: {following}" if following else "none is predicted any more"
    if last is None:
        return f"no acquisition of {track} is known; {coming}"
    if now - last.overpass <= SILENT_AFTER:
        return ""
    missed = [
        one
        for one in predicted_dates(relative_orbit, last.date, settled.date(), direction)
        if last.date < one.date and one.instant <= settled
    ]
    expected = (
        f"{len(missed)} predicted since brought nothing, the first {missed[0]}"
        if missed
        else "none was predicted since"
    )
    return (
        f"no acquisition of {track} for {(now - last.overpass).days} days, since {last.date}: {expected}; "
        f"{coming}. ESA's acquisition plans and mission status tell whether passes were cancelled"
    )


def _last(acquisitions: Iterable[Acquisition]) -> Acquisition | None:
    present = (item for item in acquisitions if item.state != "withdrawn")
    return max(present, key=lambda item: item.overpass, default=None)
