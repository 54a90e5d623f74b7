"""How far a download is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Transferred:
    """How far a download is.

    Attributes:
        name: What is fetched.
        done_bytes: On disk so far, those of an earlier attempt included.
        total_bytes: None while unknown.
        bytes_per_s: Since this attempt began.
    """

    name: str
    done_bytes: int
    total_bytes: int | None
    bytes_per_s: float

    @property
    def remaining_s(self) -> float | None:
        """Expected time left; None when the size is unknown or nothing moves."""
        if self.total_bytes is None or self.bytes_per_s <= 0:
            return None
        return (self.total_bytes - self.done_bytes) / self.bytes_per_s


Progress = Callable[[Transferred], None]
