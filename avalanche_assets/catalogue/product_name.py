"""What the name of an IW GRDH 1SDV product says, and the relative orbit that follows from it.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), product naming; the Copernicus Data Space adds
``_COG`` to the names of its cloud-optimised twins.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_NAME = re.compile(
    r"(S1[A-D])_IW_GRDH_1SDV_(\d{8}T\d{6})_(\d{8}T\d{6})_(\d{6})_[0-9A-F]{6}_[0-9A-F]{4}(_COG)?"
    r"(\.SAFE|\.zip|\.SAFE\.zip)?",
    re.ASCII,
)


@dataclass(frozen=True)
class ProductName:
    """What the name of one product says.

    Attributes:
        name: The name, with its ending.
        platform: ``S1A`` to ``S1D``.
        start: First azimuth time to the second, UTC.
        stop: Last azimuth time to the second, UTC.
        absolute_orbit: Absolute orbit number.
        cog: Whether it is the cloud-optimised twin of a classic product.
        ending: ``.SAFE``, ``.zip``, ``.SAFE.zip`` or nothing.
    """

    name: str
    platform: str
    start: datetime
    stop: datetime
    absolute_orbit: int
    cog: bool
    ending: str

    @classmethod
    def parse(cls, name: str) -> "ProductName | None":
        """Reads a name; None when it is not that of an IW GRDH 1SDV product."""
        match = _NAME.fullmatch(name)
        if not match:
            return None
        try:
            start, stop = (_instant(match[group]) for group in (2, 3))
        except ValueError:
            return None
        return cls(name, match[1], start, stop, int(match[4]), bool(match[5]), match[6] or "")

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self.name.removesuffix(self.ending)

    @property
    def relative_orbit(self) -> int:
        """Relative orbit number, 1 to 175, by the formula of the platform."""
        return relative_orbit(self.platform, self.absolute_orbit)


def relative_orbit(platform: str, absolute_orbit: int) -> int:
    """Relative orbit of an absolute one.

    Source: repeat cycle of 175 orbits with the offsets of each platform; S1C moved its offset in June 2026.
    """
    offset = {"S1A": 73, "S1B": 27, "S1C": 172 if absolute_orbit <= 8018 else 99, "S1D": 42}[platform]
    return (absolute_orbit - offset) % 175 + 1


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
