"""Which acquisition dates train, validate and test.

Patches of one corridor on neighbouring dates share a picture (VV*_old of a date is VV* of the date before),
so the split goes by date, and unused dates separate the roles. Avalanche activity and snow change over the
winter, so validation and test are held out at two places of the season where there are dates enough: two
blocks of `gap, validation, gap, test, gap` with training dates before, between and after. The paper does not
state its split; this is a choice of this project.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from avalanche_assets.errors import DetectorError
from avalanche_assets.settings import LearningSettings
from avalanche_assets.tables import TRAINING_SPLIT


def date_split(dates: Sequence[date], settings: LearningSettings) -> pa.Table:
    """Assigns a role to every date.

    Training keeps at least as many dates as validation and test together. Where the numbers asked for do
    not allow it, the held-out dates first form one block, then become fewer (the larger role gives first,
    down to one date each), and last the single block moves to the end of the season and leaves training
    whatever remains. The same dates and settings always give the same roles.

    Args:
        dates: Every winter acquisition of the season that has a previous one, none twice.
        settings: `test_dates`, `validation_dates` and `gap_dates` are used.

    Returns:
        Table `TRAINING_SPLIT` in order of date.

    Raises:
        DetectorError: Too few dates for one training, one validation and one test date.
    """
    days = sorted(dates)
    gap = settings.gap_dates
    for validation, test in _shrinking(settings.validation_dates, settings.test_dates):
        for held_out in (_two_blocks(validation, test, gap), [_block(validation, test, gap)]):
            train = len(days) - sum(map(len, held_out))
            if train >= validation + test:
                return _table(days, _interleave(held_out, train))
    ending = _block(1, 1, gap)[: 2 * gap + 2]
    train = len(days) - len(ending)
    if train < 1:
        raise DetectorError(
            f"training split: {len(days)} dates with a previous acquisition, at least {len(ending) + 1} are "
            f"needed for one training, validation and test date with learning.gap_dates = {gap}; "
            "add acquisitions or lower learning.gap_dates"
        )
    return _table(days, ["train"] * train + ending)


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


def _interleave(blocks: list[list[str]], train: int) -> list[str]:
    """Training dates in nearly equal parts around the blocks."""
    parts = len(blocks) + 1
    sizes = [train * (part + 1) // parts - train * part // parts for part in range(parts)]
    roles = ["train"] * sizes[0]
    for block, size in zip(blocks, sizes[1:], strict=True):
        roles += block + ["train"] * size
    return roles


def _table(days: list[date], roles: list[str]) -> pa.Table:
    return pa.Table.from_pydict({"acquisition_date": days, "role": roles}, schema=TRAINING_SPLIT)
