"""Orbit files of a simulated season: the orbits that were flown, while annotations know them less exactly.

As in operations most dates have a precise one; the last has only a restituted one yet, and one date has none.
The files are short: they hold the state vectors of one pass, not of a day.

Source: Copernicus POD Service, File Format Specification (GMES-GSEG-EOPG-FS-10-0075).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avalanche_assets.files import write_text
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.orbit_file import OrbitFileSource
from avalanche_assets.simulation.calendar import PredictedPass
from avalanche_assets.simulation.slices import compact, utc
from avalanche_assets.simulation.track import Track, date_orbit, date_random
from avalanche_assets.simulation.xml_text import HEADER, counted, node

LATENCY = {"POEORB": np.timedelta64(20, "D"), "RESORB": np.timedelta64(2, "h")}
"""From the last state vector to the file."""
TAI_MINUS_UTC = np.timedelta64(37, "s")
"""Since 2017."""


def write_orbit_files(
    folder: Path, track: Track, passes: Sequence[PredictedPass], seed: int
) -> list[Path | None]:
    """The orbit file of every pass: precise ones, but restituted for the last and none for the middle one.

    Args:
        folder: Target folder; it must exist.
        track: The track of the season.
        passes: In order of date.
        seed: Of the season.
    """
    files: list[Path | None] = []
    for number, item in enumerate(passes):
        orbit = date_orbit(track, item.date, date_random(seed, item.date))
        source: OrbitFileSource = "RESORB" if number == len(passes) - 1 else "POEORB"
        missing = number == len(passes) // 2
        files.append(None if missing else write_orbit_file(folder, orbit, source, item.platform))
    return files


def write_orbit_file(folder: Path, orbit: Orbit, source: OrbitFileSource, platform: str) -> Path:
    """Writes the state vectors of an orbit as ``.EOF`` into `folder`, atomically.

    Args:
        folder: Target folder; it must exist.
        orbit: State vectors, 10 s apart.
        source: Kind of file.
        platform: ``S1A`` to ``S1D``.

    Returns:
        Path of the file.
    """
    instants = orbit.epoch + np.round(orbit.times * 1e6).astype("timedelta64[us]")
    first, last = instants[0], instants[-1]
    created = last + LATENCY[source]
    name = f"{platform}_OPER_AUX_{source}_OPOD_{compact(created)}_V{compact(first)}_{compact(last)}"
    fixed = node(
        "Fixed_Header",
        node("File_Name", name),
        node("File_Description", "Simulated orbit file"),
        node("Mission", f"Sentinel-{platform[1:]}"),
        node("File_Class", "OPER"),
        node("File_Type", f"AUX_{source}"),
        node(
            "Validity_Period",
            node("Validity_Start", f"UTC={first.astype('datetime64[s]')}"),
            node("Validity_Stop", f"UTC={last.astype('datetime64[s]')}"),
        ),
        node("File_Version", "0001"),
        node("Source", node("Creation_Date", f"UTC={created.astype('datetime64[s]')}")),
    )
    variable = node("Variable_Header", node("Ref_Frame", "EARTH_FIXED"), node("Time_Reference", "UTC"))
    vectors = [
        node(
            "OSV",
            node("TAI", f"TAI={utc(instant + TAI_MINUS_UTC)}"),
            node("UTC", f"UTC={utc(instant)}"),
            *(node(axis, f"{value:.6f}", unit="m") for axis, value in zip("XYZ", position, strict=True)),
            *(node(f"V{axis}", f"{v:.6f}", unit="m/s") for axis, v in zip("XYZ", velocity, strict=True)),
            node("Quality", "NOMINAL"),
        )
        + "\n"
        for instant, position, velocity in zip(
            instants, orbit.positions, orbit.velocity(orbit.times), strict=True
        )
    ]
    path = folder / f"{name}.EOF"
    write_text(
        path,
        HEADER
        + node(
            "Earth_Explorer_File",
            node("Earth_Explorer_Header", fixed, variable),
            node("Data_Block", counted("List_of_OSVs", vectors), type="xml"),
        ),
    )
    return path
