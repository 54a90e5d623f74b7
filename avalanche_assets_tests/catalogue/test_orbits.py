"""Which orbit file counts for a pass, and what is refused."""

from types import SimpleNamespace

import numpy as np
import orbit_file_text
import pytest
from orbit_file_text import EPOCH, START, STOP, TIMES, flown

from avalanche_assets.catalogue.orbits import best_orbit_file, pass_orbit
from avalanche_assets.errors import OrbitError
from avalanche_assets.sentinel1.orbit import Orbit

TEXT = orbit_file_text.orbit_file_text()


def seconds(count):
    return np.timedelta64(round(count * 1e9), "ns")


def fill(folder, *names):
    """Empty files: names alone decide."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def best(folder):
    file = best_orbit_file(folder, "S1A", START, STOP)
    return file and file.path.name


def slices(shift_m=0.0):
    """Two products of one pass whose annotated orbit lies `shift_m` further along."""
    position, velocity = flown(TIMES)
    along = velocity / np.linalg.norm(velocity, axis=1, keepdims=True)
    orbit = Orbit(EPOCH, TIMES, position + shift_m * along)
    middle = START + seconds(12)
    return [
        SimpleNamespace(
            platform="S1A",
            name=f"slice {first}",
            orbit=orbit,
            annotation=SimpleNamespace(
                image=SimpleNamespace(first_line=first), stop=last, orbit_source="Downlink"
            ),
        )
        for first, last in ((START, middle), (middle, STOP))
    ]


def test_precise_goes_before_restituted_however_new_that_is(tmp_path):
    precise = orbit_file_text.name(created="20180126T120000")
    restituted = orbit_file_text.name(source="RESORB", created="20250101T000000")
    assert best(fill(tmp_path, restituted)) == restituted
    assert best(fill(tmp_path, precise)) == precise


def test_of_reprocessed_files_the_newest_counts(tmp_path):
    names = [orbit_file_text.name(created=f"{year}0307T053325") for year in (2018, 2021, 2020)]
    assert best(fill(tmp_path, *names)) == names[1]


def test_file_must_be_of_the_platform_and_reach_beyond_the_pass(tmp_path):
    fill(
        tmp_path,
        orbit_file_text.name("S1B"),
        orbit_file_text.name(start=START - seconds(45), stop=STOP + seconds(3600)),
        orbit_file_text.name(start=START - seconds(3600), stop=STOP + seconds(45)),
        orbit_file_text.name(start=EPOCH + seconds(86400)),
        "readme.txt",
    )
    assert best(tmp_path) is None
    enough = orbit_file_text.name(start=START - seconds(51), stop=STOP + seconds(51))
    assert best(fill(tmp_path, enough)) == enough


def test_folders_below_are_searched_and_zips_count(tmp_path):
    name = orbit_file_text.name() + ".zip"
    assert best(fill(tmp_path, f"POEORB/S1A/2018/01/{name}")) == name


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(OrbitError, match=r"nowhere.*source\.orbits"):
        best(tmp_path / "nowhere")


def test_orbit_comes_from_the_file_and_its_distance_is_told(tmp_path):
    (tmp_path / orbit_file_text.name()).write_text(TEXT)
    chosen = pass_orbit(slices(shift_m=0.3), tmp_path)
    assert (chosen.orbit.source, chosen.orbit.file) == ("POEORB", orbit_file_text.name())
    assert chosen.annotated_source == "Downlink"
    np.testing.assert_allclose(chosen.from_annotation_m, (0.3, 0.0, 0.0), atol=1e-3)


@pytest.mark.parametrize("with_folder", [False, True])
def test_without_a_file_the_annotated_orbit_counts(tmp_path, with_folder):
    chosen = pass_orbit(slices(), tmp_path if with_folder else None)
    assert (chosen.orbit.source, chosen.orbit.file) == ("annotation", "")
    assert (chosen.file, chosen.from_annotation_m) == (None, None)
    np.testing.assert_array_equal(chosen.orbit.times, TIMES)


def test_damaged_best_file_is_an_error_though_a_worse_one_is_sound(tmp_path):
    (tmp_path / orbit_file_text.name(source="RESORB")).write_text(
        orbit_file_text.orbit_file_text(source="RESORB")
    )
    assert pass_orbit(slices(), tmp_path).orbit.source == "RESORB"
    damaged = tmp_path / orbit_file_text.name()
    damaged.write_text(TEXT[:5000])
    with pytest.raises(OrbitError, match=rf"{damaged.name}.*download it again"):
        pass_orbit(slices(), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [("Sentinel-1A", "Sentinel-1B", "Mission"), ("2018-01-05", "2018-01-17", "Validity_Period")],
)
def test_renamed_file_of_another_platform_or_time_is_refused(tmp_path, old, new, field):
    (tmp_path / orbit_file_text.name()).write_text(TEXT.replace(old, new))
    with pytest.raises(OrbitError, match=rf"{field}.*replace it"):
        pass_orbit(slices(), tmp_path)


def test_path_absurdly_far_from_the_annotated_one_is_refused(tmp_path):
    (tmp_path / orbit_file_text.name()).write_text(TEXT)
    with pytest.raises(OrbitError, match=r"lies 120 m along.*slice 2018-01-05"):
        pass_orbit(slices(shift_m=120.0), tmp_path)
