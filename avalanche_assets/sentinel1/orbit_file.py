"""Orbit files: state vectors every 10 s, of a day (POEORB, precise) or of some hours (RESORB, restituted).

A degree-9 polynomial follows real orbits, bent by every unevenness of gravity, to 0.01 mm over 150 s, 0.02
mm over 200 s and 0.1 mm over 300 s; within 40 s of its ends it is worse. Hence only the vectors around the
images are taken, with a margin.

Source: Copernicus POD Service, File Format Specification (GMES-GSEG-EOPG-FS-10-0075); Earth Observation
Ground Segment File Format Standard (PE-TN-ESA-GS-0001).
"""

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from avalanche_assets.errors import OrbitError, SafeError
from avalanche_assets.sentinel1.annotation import ORBIT_RADIUS_M
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.safe import MAX_XML_BYTES, ZIP_ERRORS
from avalanche_assets.sentinel1.xml_fields import XmlNode

Floats = NDArray[np.float64]
Instants = NDArray[np.datetime64]
OrbitFileSource = Literal["POEORB", "RESORB"]

MARGIN_S = 50
"""State vectors are needed this long before and after the images: five on either side."""
STEP_S, STEP_TOLERANCE_S = 10.0, 0.01
CONSISTENT_M, CONSISTENT_M_S = 0.05, 0.05
"""How far state vectors may lie off the polynomial; real ones do by 0.01 mm and 0.03 mm/s."""
_NAME = re.compile(
    r"(S1[A-D])_\w{4}_AUX_(POEORB|RESORB)_\w{4}_(\d{8}T\d{6})_V(\d{8}T\d{6})_(\d{8}T\d{6})\.EOF(\.zip)?",
    re.ASCII,
)


@dataclass(frozen=True)
class OrbitFile:
    """What an orbit file's name says.

    Attributes:
        path: The file, ``.EOF`` or zipped.
        platform: ``S1A`` to ``S1D``.
        source: Precise or restituted.
        created: UTC; reprocessed files are the newer ones.
        start: First instant for which it is valid, UTC.
        stop: Last one.
    """

    path: Path
    platform: str
    source: OrbitFileSource
    created: np.datetime64
    start: np.datetime64
    stop: np.datetime64

    @classmethod
    def named(cls, path: Path) -> "OrbitFile | None":
        """Reads a name; None when it is not that of an orbit file."""
        match = _NAME.fullmatch(path.name)
        if not match:
            return None
        try:
            created, start, stop = (_compact_instant(match[group]) for group in (3, 4, 5))
        except ValueError:
            return None
        return cls(path, match[1], cast(OrbitFileSource, match[2]), created, start, stop)

    def covers(self, start: np.datetime64, stop: np.datetime64) -> bool:
        """Whether it is valid from `MARGIN_S` before `start` until as long after `stop`."""
        return bool(self.start <= start - _margin() and stop + _margin() <= self.stop)


def check_orbit_file(path: Path) -> None:
    """Whether a file is a whole orbit file, of whatever time.

    Raises:
        OrbitError: It is truncated, or something else.
    """
    with _orbit_errors():
        _file_type(XmlNode.parse(_content(path), str(path)))


def read_orbit_file(
    path: Path | str, platform: str, start: datetime | np.datetime64, stop: datetime | np.datetime64
) -> Orbit:
    """The orbit around the images of one pass, from an orbit file.

    Instants are those of the field UTC. A leap second inside the span shows as an uneven step and is refused,
    as a gap is. Vectors that are not of nominal quality are refused when they are needed: without them there
    would be a gap.

    Args:
        path: ``.EOF``, or a zip of one.
        platform: ``S1A`` to ``S1D``, of the acquisition.
        start: Time of the first line, UTC.
        stop: Time of the last line, UTC.

    Raises:
        OrbitError: The file is damaged, of another platform or time, not Earth-fixed, or lacks vectors; the
            message names the file and the field.
    """
    path, start, stop = Path(path), utc64(start), utc64(stop)
    with _orbit_errors():
        # Times carry the name of their scale: UTC=2018-01-05T22:59:42.
        root = XmlNode.parse(_content(path).replace(b">UTC=", b">"), str(path))
        source = _check_header(root, platform, start, stop)
        vectors, times = _around(root, start, stop)
        qualities = sorted({vector.text("Quality") for vector in vectors} - {"NOMINAL"})
        if qualities:
            raise OrbitError(
                f"{path}: field Quality is {', '.join(qualities)[:50]} from {times[0]} to {times[-1]}; "
                "move the file out of the folder, so that the next best orbit counts"
            )
        positions = np.array([[vector.number(axis, -1e7, 1e7) for axis in "XYZ"] for vector in vectors])
        velocities = np.array(
            [[vector.number(f"V{axis}", -1e4, 1e4) for axis in "XYZ"] for vector in vectors]
        )
    seconds = (times - times[0]).astype(np.int64) / 1e9
    orbit = Orbit(times[0], seconds, positions, source, path.name.removesuffix(".zip"))
    _check_consistent(path, orbit, velocities)
    return orbit


def _check_header(root: XmlNode, platform: str, start: np.datetime64, stop: np.datetime64) -> OrbitFileSource:
    mission = root.text("Fixed_Header/Mission")
    if re.sub(r"^SENTINEL[- _]?", "S", mission.upper()) != platform:
        raise OrbitError(
            f"{root.file}: field Mission is {mission[:30]!r}, the acquisition is of {platform}; "
            f"replace it by an orbit file of {platform}"
        )
    source = _file_type(root)
    for field, expected in (("Ref_Frame", "EARTH_FIXED"), ("Time_Reference", "UTC")):
        found = root.text(f"Variable_Header/{field}")
        if found != expected:
            raise OrbitError(
                f"{root.file}: field {field} is {found[:30]!r}, not {expected}; download the original file"
            )
    first, last = (root.time(f"Fixed_Header/Validity_Period/Validity_{end}") for end in ("Start", "Stop"))
    if not (first <= start - _margin() and stop + _margin() <= last):
        raise OrbitError(
            f"{root.file}: field Validity_Period is {first} to {last}, the images are of {start} to {stop} "
            f"and need {MARGIN_S} s more on both sides; replace it by an orbit file of that time"
        )
    return source


def _file_type(root: XmlNode) -> OrbitFileSource:
    sources: dict[str, OrbitFileSource] = {"AUX_POEORB": "POEORB", "AUX_RESORB": "RESORB"}
    file_type = root.text("Fixed_Header/File_Type")
    if file_type not in sources:
        raise OrbitError(
            f"{root.file}: field File_Type is {file_type[:30]!r}; give {' or '.join(sources)} files"
        )
    return sources[file_type]


def _around(root: XmlNode, start: np.datetime64, stop: np.datetime64) -> tuple[list[XmlNode], Instants]:
    """State vectors around the images and their times, without gap."""
    vectors = root.nodes("Data_Block/List_of_OSVs/OSV")
    every = np.array([vector.time("UTC") for vector in vectors], "datetime64[ns]")
    inside = (every >= start - _margin()) & (every <= stop + _margin())
    times, wanted = every[inside], [vectors[index] for index in np.flatnonzero(inside)]
    step = np.timedelta64(round((STEP_S + STEP_TOLERANCE_S) * 1e3), "ms")
    ends = np.concatenate([[start - _margin()], times, [stop + _margin()]])
    steps = np.diff(times) / np.timedelta64(1, "s")
    if (np.diff(ends) > step).any() or (abs(steps - STEP_S) > STEP_TOLERANCE_S).any():
        raise OrbitError(
            f"{root.file}: List_of_OSVs has {len(times)} state vectors from {ends[0]} to {ends[-1]}, not one "
            f"every {STEP_S:g} s: a gap or a leap second; download the orbit file again, or move it out of "
            "the folder, so that the next best orbit counts"
        )
    return wanted, times


def _check_consistent(path: Path, orbit: Orbit, velocities: Floats) -> None:
    """A changed digit puts a state vector off the path of the others, or off its own velocity."""
    radius = np.linalg.norm(orbit.positions, axis=1)
    low, high = ORBIT_RADIUS_M
    off_m = np.linalg.norm(orbit.position(orbit.times) - orbit.positions, axis=1).max()
    off_m_s = np.linalg.norm(orbit.velocity(orbit.times) - velocities, axis=1).max()
    if not (
        (radius > low).all() and (radius < high).all() and off_m < CONSISTENT_M and off_m_s < CONSISTENT_M_S
    ):
        raise OrbitError(
            f"{path}: state vectors around {orbit.epoch} contradict each other by {off_m:.3g} m and "
            f"{off_m_s:.3g} m/s, {radius.min():.4g} to {radius.max():.4g} m from the Earth's centre; "
            "download the orbit file again"
        )


def _content(path: Path) -> bytes:
    """The XML text, out of a zip where there is one; its checksum (CRC) is checked."""
    try:
        if path.suffix != ".zip":
            with path.open("rb") as stream:
                content = stream.read(MAX_XML_BYTES + 1)
        else:
            with zipfile.ZipFile(path) as archive:
                members = [name for name in archive.namelist() if name.endswith(".EOF")]
                if len(members) != 1:
                    raise OrbitError(
                        f"{path}: {len(members)} files .EOF inside, one is needed; download it again"
                    )
                with archive.open(members[0]) as stream:
                    content = stream.read(MAX_XML_BYTES + 1)
    except ZIP_ERRORS as error:
        raise OrbitError(f"{path}: cannot be read ({error}); download the orbit file again") from error
    if len(content) > MAX_XML_BYTES:
        raise OrbitError(f"{path}: more than {MAX_XML_BYTES} bytes; download the orbit file again")
    return content


@contextmanager
def _orbit_errors() -> Iterator[None]:
    """What the XML reader finds wrong, as an error of an orbit file."""
    try:
        yield
    except SafeError as error:
        raise OrbitError(str(error)) from error


def utc64(time: datetime | np.datetime64) -> np.datetime64:
    """An instant as numpy has it; without a time zone it is UTC."""
    if isinstance(time, np.datetime64):
        return time
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time)


def _margin() -> np.timedelta64:
    return np.timedelta64(MARGIN_S, "s")


def _compact_instant(text: str) -> np.datetime64:
    day, time = text[:8], text[9:]
    return np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}", "s")
