"""Products that show the same ground twice: which one is kept, and why the others are not.

A data take is offered more than once when it is processed again, when fast slices ("NRT slicing") are
followed by regular ones with other boundaries, when an archive adds a cloud-optimised (COG) twin, and when a
zip is unpacked beside itself.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), slice number; cases met by users of the archives
are collected in issues 101, 112 and 233 of the s1ard project.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from avalanche_assets.catalogue.interface import ProductOffer

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Dropped:
    """A product passed over.

    Attributes:
        name: Its file name.
        kept: File name of the product preferred to it.
        reason: What decided between the two.
    """

    name: str
    kept: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} passed over for {self.kept}: {self.reason}"


def resolve_duplicates(candidates: Iterable[ProductOffer]) -> tuple[list[ProductOffer], list[Dropped]]:
    """The products to use, none of which overlap, and the others with the reason.

    Of products of one orbit that overlap by more than two seconds the readable one is kept, then the regular
    slice, then the one processed last, published last, by the later processor, the classic one, and the first
    by file name.

    Returns:
        Kept products in order of time; dropped ones in order of name. Every candidate is in one of the two.
    """
    preferred: dict[tuple[str, int], list[ProductOffer]] = defaultdict(list)
    dropped: list[Dropped] = []
    by_name = sorted(candidates, key=lambda candidate: candidate.name)
    for candidate in sorted(by_name, key=_merits, reverse=True):
        of_pass = preferred[candidate.orbit]
        better = next((one for one in of_pass if one.overlaps(candidate)), None)
        if better is None:
            of_pass.append(candidate)
        else:
            dropped.append(Dropped(candidate.name, better.name, _reason(candidate, better)))
    kept = sorted(chain.from_iterable(preferred.values()), key=lambda item: (item.start, item.name))
    return kept, sorted(dropped, key=lambda item: item.name)


def _merits(candidate: ProductOffer) -> tuple[bool, bool, datetime, datetime, tuple[int, int], bool]:
    return (
        not candidate.damage,
        bool(candidate.slice_number),
        candidate.processed or _NEVER,
        candidate.published or _NEVER,
        candidate.ipf_version,
        not candidate.cog,
    )


def _reason(candidate: ProductOffer, better: ProductOffer) -> str:
    """The first merit that tells the two apart."""
    reasons = (
        f"cannot be read ({candidate.damage})",
        f"slice number {candidate.slice_number or 0}, not of the regular slicing",
        f"processed {_said(candidate.processed)}, the other {_said(better.processed)}",
        f"published {_said(candidate.published)}, the other {_said(better.published)}",
        f"processor version {candidate.ipf_version}, the other {better.ipf_version}",
        "cloud-optimised twin of a classic product",
    )
    pairs = zip(_merits(candidate), _merits(better), reasons, strict=True)
    return next((reason for own, other, reason in pairs if own != other), "the same product, later by name")


def _said(processed: datetime | None) -> str:
    return f"{processed:%Y-%m-%d %H:%M:%S}" if processed else "at an unknown time"
