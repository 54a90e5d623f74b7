"""How far downloads are: lines in Dagster's log, and a bar where a person watches a terminal."""

import time
from dataclasses import dataclass, field
from logging import Logger
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

    from avalanche_assets.services.progress import Transferred

LOG_EVERY_S = 30.0


@dataclass
class TransferLog:
    """A `Progress` of one asset run.

    Attributes:
        log: Dagster's logger.
    """

    log: Logger
    _logged: dict[str, float] = field(default_factory=dict)
    _bars: "dict[str, tqdm[None]]" = field(default_factory=dict)

    def __call__(self, state: "Transferred") -> None:
        """Shows where a download stands."""
        self._draw(state)
        ended, now = state.done_bytes == state.total_bytes, time.monotonic()
        if ended or now - self._logged.get(state.name, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged[state.name] = now
            self.log.info(sentence(state))

    def _draw(self, state: "Transferred") -> None:
        from tqdm import tqdm

        bar = self._bars.get(state.name)
        if bar is None:
            # disable=None: no bar where standard error is no terminal.
            bar = tqdm(desc=state.name[:40], unit="B", unit_scale=True, leave=False, disable=None)
            self._bars[state.name] = bar
        bar.total = state.total_bytes
        bar.update(state.done_bytes - bar.n)
        if state.done_bytes == state.total_bytes:
            bar.close()


def sentence(state: "Transferred") -> str:
    """Bytes, rate and time left of a download in words."""
    total = f" of {state.total_bytes / 1e6:,.0f}" if state.total_bytes is not None else ""
    left = f", {state.remaining_s:,.0f} s left" if state.remaining_s is not None else ""
    return f"{state.name}: {state.done_bytes / 1e6:,.0f}{total} MB, {state.bytes_per_s / 1e6:.1f} MB/s{left}"
