"""Whether observers watch a site: what the inventory says of sites that ended, were lost or are hard to see.

The flags are columns of the official event extract, the same in all rows of a site, or of the corridor map.
Where both have them, the more restrictive counts.

Source: Enquête permanente sur les avalanches (EPA), columns `Site éteint`, `Site perdu`, `Observation
difficile` and `date_fin site`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from avalanche_assets.inventory.columns import CORRIDOR_NAMES, CORRIDOR_REQUIRED, as_text, corridor_ids
from avalanche_assets.inventory.dates import days_and_hours
from avalanche_assets.inventory.event_text import read_event_text
from avalanche_assets.tables import OBSERVATION_STATES

WATCHED, HARD, NOT_WATCHED, ENDED, LOST = OBSERVATION_STATES
STATUS_NAMES: Mapping[str, tuple[str, ...]] = {
    "ended": ("site_eteint", "eteint", "ended"),
    "ended_on": ("date_fin_site", "date_fin", "ended_on"),
    "lost": ("site_perdu", "perdu", "lost"),
    "hard_to_observe": ("observation_difficile", "obs_difficile", "hard_to_observe"),
}
FALSE_WORDS = {"", "0", "0.0", "false", "faux", "f", "no", "n", "non"}


def flags(values: "pd.Series[str]") -> "pd.Series[bool]":
    """Text as true or false; empty is false."""
    return ~values.str.lower().isin(FALSE_WORDS)


def status_of_sites(frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Status by corridor id: ended, lost, hard (bool) and ended_on (day, NaT when unknown or not ended).

    Args:
        frame: One or several rows a site.
        columns: Field of `CORRIDOR_NAMES` and `STATUS_NAMES` to header; what is missing counts as false.
    """
    ended_on = as_text(frame, columns.get("ended_on"))
    rows = pd.DataFrame(
        {
            "corridor_id": corridor_ids(frame, columns),
            "ended": flags(as_text(frame, columns.get("ended"))) | (ended_on != ""),
            "ended_on": days_and_hours(ended_on)[0],
            "lost": flags(as_text(frame, columns.get("lost"))),
            "hard": flags(as_text(frame, columns.get("hard_to_observe"))),
        }
    )
    return _of_each_site(rows[rows["corridor_id"] != ""].set_index("corridor_id"))


def _of_each_site(rows: pd.DataFrame) -> pd.DataFrame:
    """Of several rows of a site what restricts most: any flag, and the earliest end."""
    return rows.groupby(level=0).agg({"ended": "max", "ended_on": "min", "lost": "max", "hard": "max"})


def read_site_status(path: Path, chosen: Mapping[str, str]) -> pd.DataFrame | None:
    """The status that a table of events gives of its sites; None where it has no such column or no row.

    Raises:
        InventoryError: The file is missing or unreadable, or lacks the columns of the corridor id.
    """
    names = {**CORRIDOR_NAMES, **STATUS_NAMES}
    text, _ = read_event_text(path, names, CORRIDOR_REQUIRED, chosen, allow_empty=True)
    fields = {name: name for name in text.columns}
    if text.empty or not set(STATUS_NAMES) & set(fields):
        return None
    return status_of_sites(text, fields)


def observation(
    ids: "pd.Series[str]", watched: "pd.Series[bool]", statuses: list[pd.DataFrame]
) -> pd.DataFrame:
    """Columns observation, observed and observed_until of `tables.CORRIDORS` for every corridor.

    Args:
        ids: Corridor ids.
        watched: False where the map itself says that nobody watches.
        statuses: Frames of `status_of_sites`.
    """
    known = _of_each_site(pd.concat(statuses)) if statuses else pd.DataFrame()
    status = known.reindex(ids.to_numpy())

    def flag(name: str) -> np.ndarray:
        return status[name].eq(True).to_numpy() if name in status else np.zeros(len(ids), bool)

    nothing = pd.Series(pd.NaT, range(len(ids)), dtype="datetime64[us]")
    until = status["ended_on"].reset_index(drop=True) if "ended_on" in status else nothing
    dated = until.notna().to_numpy()
    state = np.select(
        [flag("lost"), flag("ended"), ~watched.to_numpy(bool), flag("hard")],
        [LOST, ENDED, NOT_WATCHED, HARD],
        WATCHED,
    )
    return pd.DataFrame(
        {
            "observation": state,
            "observed": np.isin(state, [WATCHED, HARD]) | ((state == ENDED) & dated),
            "observed_until": until.dt.date.astype(object).where(dated, None).to_numpy(),
        },
        index=ids.index,
    )
