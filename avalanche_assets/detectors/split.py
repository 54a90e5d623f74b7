"""Which (corridor, acquisition) pairs train, validate and test.

Patches of one corridor on neighbouring dates share a picture (VV*_old of a date is VV* of the date before)
and an event may lie in the label windows of several dates. So a split by date leaves unused dates between the
roles, as many as the label windows need. Avalanche activity and snow change over the winter, so validation
and test are held out at two places of the season where there are dates enough: two blocks of `gap,
validation, gap, test, gap` with training dates before, between and after. A split by massif holds out whole
massifs at all dates and leaves out corridors whose patches reach over the border; a split by both holds out
the held-out massifs on the held-out dates. The paper does not state its split; this is a choice of this
project.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from avalanche_assets.errors import DetectorError
from avalanche_assets.settings import LearningSettings
from avalanche_assets.tables import TRAINING_SPLIT

ROLES = ("train", "validation", "test")
CANDIDATES = 300
"""Splits tried, by the seed, until validation and test hold positives."""

Roles = Mapping[Any, str] | None
"""Role of every date or every massif; None where they play none of their own."""


def split_samples(
    dates: Sequence[date],
    corridors: pd.DataFrame,
    positives: pd.DataFrame,
    settings: LearningSettings,
    gap_dates: int,
    patch_m: float,
) -> pa.Table:
    """Assigns a role to every pair of a date and a corridor.

    The first split is tried as documented, then others by the seed, until training, validation and test hold
    positives; where none does, the first one counts. The same arguments always give the same roles.

    Args:
        dates: Every winter acquisition of the season that has a previous one, none twice.
        corridors: Columns corridor_id, massif_id, deposit_x and deposit_y.
        positives: Columns acquisition_date and corridor_id of the positive pairs.
        settings: Numbers of held-out dates and massifs, `split_by` and `seed` are used.
        gap_dates: Unused dates between the roles, see `separating_gap`.
        patch_m: Side of a patch in metres: corridors of two roles lie farther apart, in a split by massif.

    Returns:
        Table `TRAINING_SPLIT` in order of date and corridor.

    Raises:
        DetectorError: Too few dates or massifs for one of each role.
    """
    days, massifs = sorted(dates), sorted(set(corridors["massif_id"]))
    by_dates = settings.split_by in ("date", "both")
    by_massifs = settings.split_by in ("massif", "both")
    random = np.random.default_rng(settings.seed)
    day_roles = _date_candidates(days, settings, gap_dates, random) if by_dates else _always(None)
    massif_roles = _massif_candidates(massifs, settings, random) if by_massifs else _always(None)
    counts = _count_positives(positives, corridors, days, massifs)
    tried = list(islice(zip(day_roles, massif_roles, strict=False), CANDIDATES))
    chosen = next((pair for pair in tried if _all_hold_positives(counts, *pair)), tried[0])
    return _table(days, corridors, *chosen, patch_m)


def separating_gap(dates: Sequence[date], least: int, window: str, recent_days: int) -> int:
    """Unused dates that keep label windows of two roles apart.

    The window ``new`` ends where the next one begins; ``recent`` reaches back over several dates.

    Args:
        dates: Dates of the season.
        least: Dates asked for.
        window: ``new`` or ``recent``.
        recent_days: Length of ``recent``.
    """
    if window == "new":
        return least
    days = np.array(sorted(dates), "datetime64[D]")
    reach = np.timedelta64(recent_days, "D")
    overlapping = np.searchsorted(days, days + reach) - np.arange(len(days)) - 1
    return max(least, int(overlapping.max(initial=0)))


def shared_windows(split: pa.Table, previous: Mapping[date, date], window: str, recent_days: int) -> int:
    """How many pairs of one corridor share a picture or a piece of a label window across roles.

    Args:
        split: `TRAINING_SPLIT`.
        previous: Date of the previous acquisition, for every date of the split.
        window: ``new`` or ``recent``.
        recent_days: Length of ``recent``.
    """
    roles = split.to_pandas().set_index(["corridor_id", "acquisition_date"])["role"].unstack()  # noqa: PD010
    begin = {
        day: previous[day] if window == "new" else day - timedelta(days=recent_days) for day in roles.columns
    }
    shared = 0
    for index, first in enumerate(roles.columns):
        for second in roles.columns[index + 1 :]:
            if begin[second] < first or previous[second] == first:
                used = roles[first].isin(ROLES) & roles[second].isin(ROLES)
                shared += int((used & (roles[first] != roles[second])).sum())
    return shared


def sample_roles(split: pa.Table, dates: Sequence[date], corridor_ids: Sequence[str]) -> NDArray[np.object_]:
    """The role (N,) of every sample; ``gap`` for one the split does not know."""
    frame = split.to_pandas().set_index(["acquisition_date", "corridor_id"])["role"]
    wanted = pd.MultiIndex.from_arrays([list(dates), list(corridor_ids)])
    return np.asarray(frame.reindex(wanted).fillna("gap").to_numpy(object))


def dates_of(split: pa.Table, *roles: str) -> list[date]:
    """Dates on which some corridor plays one of the roles, in order."""
    rows = split.to_pandas()
    return sorted(set(rows.loc[rows["role"].isin(roles), "acquisition_date"]))


def date_roles(days: Sequence[date], settings: LearningSettings, gap: int) -> dict[date, str]:
    """The documented split by date.

    Training keeps at least as many dates as validation and test together. Where the numbers asked for do
    not allow it, the held-out dates first form one block, then become fewer (the larger role gives first,
    down to one date each), and last the single block moves to the end of the season and leaves training
    whatever remains.

    Raises:
        DetectorError: Too few dates for one training, one validation and one test date.
    """
    blocks, train, at_end = _held_out(days, settings, gap)
    parts = len(blocks) + 1
    sizes = [train * (part + 1) // parts - train * part // parts for part in range(parts)]
    return dict(zip(sorted(days), _interleave(blocks, [train, 0] if at_end else sizes), strict=True))


def _held_out(
    days: Sequence[date], settings: LearningSettings, gap: int
) -> tuple[list[list[str]], int, bool]:
    """Blocks of held-out dates, the number of training dates, and whether all of these come before."""
    for validation, test in _shrinking(settings.validation_dates, settings.test_dates):
        for held_out in (_two_blocks(validation, test, gap), [_block(validation, test, gap)]):
            train = len(days) - sum(map(len, held_out))
            if train >= validation + test:
                return held_out, train, False
    ending = _block(1, 1, gap)[: 2 * gap + 2]
    if (train := len(days) - len(ending)) < 1:
        raise DetectorError(
            f"training split: {len(days)} dates with a previous acquisition, at least {len(ending) + 1} are "
            f"needed for one training, validation and test date with {gap} unused dates between them "
            "(learning.gap_dates; detection.label_window = 'recent' needs more); add acquisitions or lower "
            "learning.gap_dates"
        )
    return [ending], train, True


def _date_candidates(
    days: list[date], settings: LearningSettings, gap: int, random: np.random.Generator
) -> Iterator[dict[date, str]]:
    """The documented split, then the same blocks at other places of the season."""
    yield date_roles(days, settings, gap)
    blocks, train, at_end = _held_out(days, settings, gap)
    while not at_end:
        cuts = np.sort(random.integers(0, train + 1, len(blocks)))
        sizes = np.diff([0, *cuts, train]).tolist()
        shuffled = [blocks[index] for index in random.permutation(len(blocks))]
        mirrored = [block[::-1] if random.random() < 0.5 else block for block in shuffled]
        yield dict(zip(days, _interleave(mirrored, sizes), strict=True))


def _massif_candidates(
    massifs: list[int], settings: LearningSettings, random: np.random.Generator
) -> Iterator[dict[int, str]]:
    if len(massifs) < len(ROLES):
        raise DetectorError(
            f"training split: corridors lie in {len(massifs)} massifs, learning.split_by = "
            f"{settings.split_by!r} needs {len(ROLES)}; set it to 'date', or inventory.massifs"
        )
    sizes = (settings.validation_massifs, settings.test_massifs)
    validation, test = next(pair for pair in _shrinking(*sizes) if sum(pair) < len(massifs))
    roles = ["validation"] * validation + ["test"] * test
    roles += ["train"] * (len(massifs) - len(roles))
    while True:
        yield dict(zip(random.permutation(massifs).tolist(), roles, strict=True))


def _always(value: None) -> Iterator[None]:
    while True:
        yield value


def _count_positives(
    positives: pd.DataFrame, corridors: pd.DataFrame, days: list[date], massifs: list[int]
) -> pd.DataFrame:
    """Positives of every date (rows) and massif (columns)."""
    massif = corridors.set_index("corridor_id")["massif_id"].reindex(positives["corridor_id"]).to_numpy()
    counts = pd.crosstab(positives["acquisition_date"].to_numpy(), massif)
    return counts.reindex(index=days, columns=massifs, fill_value=0)


def _all_hold_positives(counts: pd.DataFrame, days: Roles, massifs: Roles) -> bool:
    def chosen(index: pd.Index, roles: Roles, role: str) -> list[bool]:
        return [roles is None or roles[key] == role for key in index]

    return all(
        counts.loc[chosen(counts.index, days, role), chosen(counts.columns, massifs, role)].to_numpy().any()
        for role in ROLES
    )


def _table(
    days: list[date], corridors: pd.DataFrame, day_roles: Roles, massif_roles: Roles, patch_m: float
) -> pa.Table:
    ordered = corridors.sort_values("corridor_id", kind="stable")
    ids = ordered["corridor_id"].tolist()
    of_corridor = None
    if massif_roles is not None:
        of_corridor = np.array([massif_roles[massif] for massif in ordered["massif_id"]], object)
        of_corridor[_over_the_border(ordered, of_corridor, patch_m)] = "gap"
    roles: list[str] = []
    for day in days:
        if of_corridor is None:
            assert day_roles is not None  # one of the two splits
            roles += [day_roles[day]] * len(ids)
        elif day_roles is None:
            roles += of_corridor.tolist()
        else:
            roles += np.where(of_corridor == day_roles[day], of_corridor, "gap").tolist()
    columns = {
        "acquisition_date": np.repeat(np.array(days, object), len(ids)).tolist(),
        "corridor_id": ids * len(days),
        "role": roles,
    }
    return pa.Table.from_pydict(columns, schema=TRAINING_SPLIT)


def _over_the_border(
    corridors: pd.DataFrame, roles: NDArray[np.object_], patch_m: float
) -> NDArray[np.int64]:
    """Corridors whose patch shares pixels with one of another role: training gives way, then validation."""
    pairs = cKDTree(corridors[["deposit_x", "deposit_y"]].to_numpy()).query_pairs(
        patch_m, p=np.inf, output_type="ndarray"
    )
    rank = np.array([ROLES.index(role) for role in roles], np.int64)
    first, second = rank[pairs[:, 0]], rank[pairs[:, 1]]
    return np.unique(np.concatenate([pairs[first < second, 0], pairs[second < first, 1]]))


def _shrinking(validation: int, test: int) -> Iterator[tuple[int, int]]:
    yield validation, test
    while validation > 1 or test > 1:
        if test > validation:
            test -= 1
        else:
            validation -= 1
        yield validation, test


def _block(validation: int, test: int, gap: int) -> list[str]:
    """Roles of one held-out block between training dates; a role without a date has no gap either."""
    roles = ["gap"] * gap
    for role, count in (("validation", validation), ("test", test)):
        if count:
            roles += [role] * count + ["gap"] * gap
    return roles


def _two_blocks(validation: int, test: int, gap: int) -> list[list[str]]:
    """The held-out dates in two blocks; the later one takes the smaller halves."""
    late_validation, late_test = validation // 2, test // 2
    blocks = [
        _block(validation - late_validation, test - late_test, gap),
        _block(late_validation, late_test, gap),
    ]
    return [block for block in blocks if len(block) > gap]


def _interleave(blocks: list[list[str]], sizes: list[int]) -> list[str]:
    """As many training dates as `sizes` says before, between and after the blocks."""
    roles = ["train"] * sizes[0]
    for block, size in zip(blocks, sizes[1:], strict=True):
        roles += block + ["train"] * size
    return roles
