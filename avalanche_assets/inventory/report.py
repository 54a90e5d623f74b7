"""What a reader did with its file: how much was read, mended and turned away, and why."""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Rejection:
    """One record that was not taken.

    Attributes:
        record: Which one: ``line 17`` of a table, or the id or ``feature 3`` of a map.
        reason: Why, in a few words.
    """

    record: str
    reason: str


@dataclass(frozen=True)
class ReadReport:
    """Counts of one reading.

    Attributes:
        path: The file.
        read: Records found.
        kept: Records taken.
        mended: Records taken after a repair, by the kind of repair.
        rejected: Every record not taken.
    """

    path: Path
    read: int
    kept: int
    mended: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[Rejection, ...] = ()

    def reasons(self) -> dict[str, int]:
        """How many records were rejected, by reason, most frequent first.

        What stands in quotation marks is the value of a single record; without it equal reasons add up.
        """
        return dict(Counter(_general(item.reason) for item in self.rejected).most_common())

    def rejected_csv(self) -> str:
        """Every rejected record with its reason, as a table of two columns."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("record", "reason"))
        writer.writerows((item.record, item.reason) for item in self.rejected)
        return text.getvalue()

    def summary(self) -> str:
        """One line for a log or an error."""
        parts = [f"{self.read} read", f"{self.kept} kept"]
        parts += [f"{count} {what}" for what, count in self.mended.items() if count]
        parts += [f"{count} rejected: {reason}" for reason, count in self.reasons().items()]
        return ", ".join(parts)


def _general(reason: str) -> str:
    """The reason without its value, which stands between the first and the last quotation mark."""
    return " ".join(re.sub("'.*'", "", reason, flags=re.DOTALL).split())
