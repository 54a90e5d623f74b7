"""The platform's path: a polynomial through the positions of orbit state vectors.

Only positions are fitted; the velocity is the polynomial's derivative, so both agree exactly, which the
zero-Doppler equation needs. A degree-9 polynomial reproduces the 10 s state vectors of an annotation to well
below a millimetre.

Source: D. Small and A. Schubert, Guide to Sentinel-1 Geocoding (UZH-S1-GC-AD), for the use of
annotated state vectors; orbit files: Sentinel-1 POD product specification (Earth Explorer file format).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.polynomial import chebyshev, polynomial
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
OrbitSource = Literal["annotation", "RESORB", "POEORB"]

MAX_DEGREE = 9
EXTRAPOLATION_S = 10.0
"""The polynomial may be followed so far beyond the state vectors."""
ABSURD_M = 100.0
"""Annotated orbits are within metres of the precise one; the orbital tube is 100 m wide."""


@dataclass(frozen=True, eq=False)
class Orbit:
    """State vectors of one pass and the polynomial through their positions.

    The polynomial is one for the whole span, so the span should stay within some minutes around the images.

    Attributes:
        epoch: Instant (UTC, ns) from which times count.
        times: Increasing seconds since `epoch`, shape (n,), n >= 4.
        positions: Earth-fixed (ITRF) Cartesian positions in metres, shape (n, 3).
        source: Where the state vectors come from.
        file: Name of the orbit file they come from; empty for those of an annotation.
    """

    epoch: np.datetime64
    times: Floats
    positions: Floats
    source: OrbitSource = "annotation"
    file: str = ""

    @cached_property
    def centre(self) -> float:
        """Middle of the span in seconds since `epoch`: scaled time 0."""
        return float(self.times[0] + self.times[-1]) / 2

    @cached_property
    def scale(self) -> float:
        """Half the span in seconds: scaled time 1."""
        return float(self.times[-1] - self.times[0]) / 2

    @cached_property
    def coefficients(self) -> Floats:
        """Positions as powers of scaled time ``(t - centre) / scale``, (degree + 1, 3), constant first."""
        degree = min(MAX_DEGREE, len(self.times) - 1)
        scaled = (self.times - self.centre) / self.scale
        fitted = chebyshev.chebfit(scaled, self.positions, degree)
        powers = [chebyshev.cheb2poly(fitted[:, axis]) for axis in range(3)]  # leaves out zeros at the end
        return np.stack([np.pad(values, (0, degree + 1 - values.size)) for values in powers], axis=1)

    def position(self, t: ArrayLike) -> Floats:
        """Position at `t` seconds since `epoch`: shape of `t` plus (3,), metres."""
        return self._evaluate(t, self.coefficients)

    def velocity(self, t: ArrayLike) -> Floats:
        """Velocity at `t` seconds since `epoch`: shape of `t` plus (3,), m/s in the Earth-fixed frame."""
        derivative = np.asarray(polynomial.polyder(self.coefficients), np.float64)
        return self._evaluate(t, derivative) / self.scale

    def _evaluate(self, t: ArrayLike, coefficients: Floats) -> Floats:
        scaled = (np.asarray(t, np.float64) - self.centre) / self.scale
        return np.moveaxis(np.asarray(polynomial.polyval(scaled, coefficients), np.float64), 0, -1)

    def seconds(self, instant: np.datetime64) -> float:
        """An instant as seconds since `epoch`, exact to the nanosecond."""
        return float((instant - self.epoch) / np.timedelta64(1, "ns")) * 1e-9

    def instants(self, t: ArrayLike) -> NDArray[np.datetime64]:
        """UTC at `t` seconds since `epoch`, to the nanosecond; NaT where `t` is NaN."""
        seconds = np.asarray(t, np.float64)
        known = np.isfinite(seconds)
        elapsed = np.round(np.where(known, seconds, 0.0) * 1e9).astype("timedelta64[ns]")
        return np.where(known, self.epoch + elapsed, np.datetime64("NaT"))

    def covers(self, first: np.datetime64, last: np.datetime64) -> bool:
        """Whether the state vectors reach from one instant to another, give or take `EXTRAPOLATION_S`."""
        begin, end = self.seconds(first), self.seconds(last)
        reach = self.times[0] - EXTRAPOLATION_S, self.times[-1] + EXTRAPOLATION_S
        return bool(reach[0] <= begin <= reach[1] and reach[0] <= end <= reach[1])

    def displacement(self, reference: "Orbit", t: ArrayLike) -> Floats:
        """How far this orbit lies from another one along, across (to the right) and above its path.

        Args:
            reference: The other orbit, whose directions count.
            t: Seconds since this orbit's `epoch`.

        Returns:
            Metres, shape of `t` plus (3,).
        """
        own = np.asarray(t, np.float64)
        other = own + reference.seconds(self.epoch)
        position = reference.position(other)
        along = _unit(reference.velocity(other))
        across = _unit(np.cross(along, position))
        above = np.cross(across, along)
        apart = self.position(own) - position
        return np.stack([np.sum(apart * axis, axis=-1) for axis in (along, across, above)], axis=-1)

    def to_json(self) -> str:
        """The orbit as JSON text; `from_json` restores every bit."""
        return json.dumps(
            {
                "epoch": str(self.epoch.astype("datetime64[ns]")),
                "source": self.source,
                "file": self.file,
                "times": self.times.tolist(),
                "positions": self.positions.tolist(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Orbit":
        """The orbit that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        return cls(
            np.datetime64(fields["epoch"], "ns"),
            np.array(fields["times"], np.float64),
            np.array(fields["positions"], np.float64),
            fields["source"],
            fields["file"],
        )


def merge_orbits(orbits: Iterable[Orbit]) -> Orbit:
    """One orbit over the state vectors of several slices of a pass.

    Where two slices annotate the same instant, the first one given counts; the epoch is the first one's.
    """
    orbits = list(orbits)
    first = orbits[0]
    states: dict[int, Floats] = {}
    for orbit in orbits:
        shift = first.seconds(orbit.epoch)
        for time, position in zip(orbit.times, orbit.positions, strict=True):
            states.setdefault(round((shift + time) * 1e6), position)
    instants = sorted(states)
    return Orbit(
        first.epoch,
        np.array(instants, np.float64) * 1e-6,
        np.stack([states[instant] for instant in instants]),
        first.source,
    )


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
