"""The slices of one acquisition as one image: rows concatenated, so that no seam appears when sampling."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.ground_range import GroundRange
from avalanche_assets.sentinel1.image import RUN_PX, CalibratedImage
from avalanche_assets.sentinel1.orbit import Orbit, merge_orbits
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.sampling import ImageTiming

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

MAX_GAP_LINES = 0.05
"""Slices of one data take follow each other at one line interval, give or take a thousandth."""
MAX_SHIFT_REST = 0.05
"""Near ranges of slices may differ by whole samples, which is made up for; the rest would be a step."""


@dataclass(frozen=True)
class StackedImage:
    """Open measurements of all slices, one polarisation.

    Attributes:
        images: In order of time.
        columns: Column of the stack at which each slice begins.
    """

    images: tuple[CalibratedImage, ...]
    columns: tuple[int, ...]

    def read_into(self, first: int, left: int, out: Float32s, needed: NDArray[np.bool_]) -> None:
        """Writes backscatter from a line and sample of the stack to `out`, shape (lines, samples).

        NaN on both sides of a narrower slice; `needed` as in `CalibratedImage.read_into`.
        """
        top = 0
        for image, column in zip(self.images, self.columns, strict=True):
            lines, samples = image.dataset.shape
            begin, end = max(first, top), min(first + len(out), top + lines)
            if begin < end:
                rows, runs = out[begin - first : end - first], needed[begin - first : end - first]
                start = min(max(column - left, 0), out.shape[1])
                stop = min(max(column + samples - left, start), out.shape[1])
                rows[:, :start] = np.nan
                rows[:, stop:] = np.nan
                if start < stop:
                    own = _runs_from(runs, start)
                    image.read_into(begin - top, left + start - column, rows[:, start:stop], own)
            top += lines


@dataclass(frozen=True)
class SliceStack:
    """Products of one pass that abut, in order of time.

    Attributes:
        products: The slices.
    """

    products: tuple[Product, ...]

    @classmethod
    def of(cls, products: Sequence[Product]) -> "SliceStack":
        """Sorts slices and checks that they belong together and abut.

        Raises:
            SafeError: There is none, they are of different passes, or lines are missing between them.
        """
        if not products:
            raise SafeError("acquisition: no products given; add the products of the date")
        ordered = sorted(products, key=lambda product: product.annotation.image.first_line)
        for earlier, later in pairwise(ordered):
            _require_same_pass(earlier, later)
            _require_abutting(earlier, later)
        return cls(tuple(ordered))

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Column of the stack at which each slice begins: 0 for the one that begins nearest to the radar."""
        shifts = np.cumsum([0, *(round(_shift(*pair)) for pair in pairwise(self.products))])
        return tuple((shifts - shifts.min()).tolist())

    @property
    def shape(self) -> tuple[int, int]:
        """Lines of all slices, and the columns that they span."""
        ends = zip(self.products, self.columns, strict=True)
        return (
            sum(product.shape[0] for product in self.products),
            max(product.shape[1] + column for product, column in ends),
        )

    @property
    def orbit(self) -> Orbit:
        """One orbit through the annotated state vectors of all slices."""
        return merge_orbits(product.orbit for product in self.products)

    @cached_property
    def ground_ranges(self) -> tuple[GroundRange, ...]:
        """Each slice's conversion to columns of the stack, continued by the next slice's.

        It is continued where both are of one processor version.
        """
        slices = zip(self.products, self.columns, strict=True)
        conversions = [product.ground_range.moved(column) for product, column in slices]
        for index, (earlier, later) in enumerate(pairwise(self.products)):
            if earlier.ipf_version == later.ipf_version:
                delay = _delay_s(earlier, later)
                conversions[index] = conversions[index].continued(conversions[index + 1], delay)
        return tuple(conversions)

    @property
    def denoisable(self) -> bool:
        """Whether every slice carries a usable noise annotation."""
        return all(product.denoisable for product in self.products)

    @contextmanager
    def open(self, polarisation: str, denoise: bool) -> Iterator[StackedImage]:
        """Opens one polarisation of all slices; raises as `Product.open_image`."""
        with ExitStack() as stack:
            images = [
                stack.enter_context(product.open_image(polarisation, denoise=denoise))
                for product in self.products
            ]
            yield StackedImage(tuple(images), self.columns)

    def timing(self, orbit: Orbit) -> ImageTiming:
        """Timing and ground-range records of all slices for the compiled kernels."""
        slices = [
            (product.annotation.image, conversion)
            for product, conversion in zip(self.products, self.ground_ranges, strict=True)
        ]
        first = np.array([orbit.seconds(image.first_line) for image, _ in slices])
        records = [conversion for _, conversion in slices]
        terms = max(max(r.to_ground.shape[1], r.to_slant.shape[1]) for r in records)

        def stacked(polynomials: list[Floats]) -> Floats:
            return np.concatenate([np.pad(p, ((0, 0), (0, terms - p.shape[1]))) for p in polynomials])

        return ImageTiming(
            first_time=first,
            line_interval_s=np.array([image.line_interval_s for image, _ in slices]),
            top=np.cumsum([0.0, *(image.lines for image, _ in slices)])[:-1],
            sample_spacing_m=np.array([r.sample_spacing_m for r in records]),
            solve=np.array([r.solve for r in records]),
            record_start=np.cumsum([0, *(r.times.size for r in records)]),
            record_time=np.concatenate([r.times + begin for r, begin in zip(records, first, strict=True)]),
            slant_origin_m=np.concatenate([r.slant_origin_m for r in records]),
            to_ground=stacked([r.to_ground for r in records]),
            ground_origin_m=np.concatenate([r.ground_origin_m for r in records]),
            to_slant=stacked([r.to_slant for r in records]),
        )

    def line_sample(self, azimuth_time: Floats, slant_range: Floats, orbit: Orbit) -> tuple[Floats, Floats]:
        """Line and sample in the stack of azimuth times (seconds since the orbit's epoch) and ranges.

        A point counts to the last slice that has begun; points before the first and after the last slice get
        lines outside the stack.
        """
        top, line, sample = 0, azimuth_time, slant_range
        for index, (product, ground_range) in enumerate(zip(self.products, self.ground_ranges, strict=True)):
            image = product.annotation.image
            time = azimuth_time - orbit.seconds(image.first_line)
            own_line, own_sample = time / image.line_interval_s, ground_range.sample(time, slant_range)
            if index == 0:
                line, sample = own_line, own_sample
            else:
                line = np.where(time >= 0, top + own_line, np.minimum(line, top))
                sample = np.where(time >= 0, own_sample, sample)
            top += image.lines
        return line, sample


def _require_same_pass(earlier: Product, later: Product) -> None:
    for field in ("platform", "absolute_orbit", "datatake_id"):
        values = getattr(earlier, field), getattr(later, field)
        if values[0] != values[1]:
            raise SafeError(
                f"{later.name}: {field} is {values[1]}, that of {earlier.name} is {values[0]}; "
                "an acquisition holds the slices of one data take"
            )


def _require_abutting(earlier: Product, later: Product) -> None:
    image = earlier.annotation.image
    gap = _delay_s(earlier, later) - image.lines * image.line_interval_s
    if abs(gap) > MAX_GAP_LINES * image.line_interval_s:
        word = "missing before" if gap > 0 else "overlapping at"
        raise SafeError(
            f"{later.name}: {abs(gap) / image.line_interval_s:.1f} lines are {word} its first line, "
            f"after {earlier.name}; add the slice between them or remove the duplicate"
        )
    shift = _shift(earlier, later)
    if abs(shift - round(shift)) > MAX_SHIFT_REST:
        raise SafeError(
            f"{later.name}: its first sample lies {shift:.2f} samples from that of {earlier.name}, not a "
            "whole number, so they are not cut from one image; get both slices in one processing"
        )


def _shift(earlier: Product, later: Product) -> float:
    """Samples from the earlier slice's first one to the later one's, at the seam and in near range.

    Conversions of differing terrain height agree there.
    """
    near = later.ground_range.slant_origin_m[:1]
    delay = np.array([_delay_s(earlier, later)])
    own = later.ground_range.sample(np.zeros(1), near)
    return float((earlier.ground_range.sample(delay, near) - own)[0])


def _runs_from(needed: NDArray[np.bool_], start: int) -> NDArray[np.bool_]:
    """Runs of samples counted from sample `start` that meet a needed run counted from sample 0."""
    runs = needed[:, start // RUN_PX :]
    if start % RUN_PX == 0:
        return runs
    return runs | np.pad(runs[:, 1:], ((0, 0), (0, 1)))


def _delay_s(earlier: Product, later: Product) -> float:
    """Time between the first lines of two slices."""
    delay = later.annotation.image.first_line - earlier.annotation.image.first_line
    return float(delay / np.timedelta64(1, "ns")) * 1e-9
