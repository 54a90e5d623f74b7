"""Which orbit file counts for a pass, and what is refused."""

from datetime import UTC, date, timedelta
from types import SimpleNamespace

import numpy as np
import orbit_file_text
import pytest
from orbit_file_text import EPOCH, START, STOP, TIMES, flown

from avalanche_assets.catalogue.interface import OrbitOffer
from avalanche_assets.catalogue.orbits import (
    best_orbit_file,
    fetch_best_orbit_file,
    pass_orbit,
    refinable,
)
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


class Offers:
    """A catalogue of orbit files: what was asked and fetched."""

    def __init__(self, *names):
        self.offers = [OrbitOffer(name) for name in names]
        self.asked, self.fetched = 0, []

    def search_orbit_files(self, platform, start, stop):
        self.asked += 1
        return self.offers

    def fetch_orbit_file(self, offer, folder, progress):
        self.fetched.append(offer.name)
        (folder / offer.name).touch()
        return folder / offer.name


RESTITUTED = orbit_file_text.name(source="RESORB")
PRECISE = orbit_file_text.name(created="20180126T120000")
REPROCESSED = orbit_file_text.name(created="20210304T120000")


def fetch(catalogue, folder):
    instants = [time.astype("datetime64[us]").item().replace(tzinfo=UTC) for time in (START, STOP)]
    fetch_best_orbit_file(catalogue, "S1A", *instants, folder, lambda state: None)
    return best(folder)


def test_best_orbit_file_on_offer_is_fetched_into_a_folder_that_may_not_be_there_yet(tmp_path):
    catalogue = Offers(RESTITUTED, PRECISE, REPROCESSED)
    assert fetch(catalogue, tmp_path / "orbits") == REPROCESSED
    assert catalogue.fetched == [REPROCESSED]


def test_restituted_orbit_is_replaced_once_the_precise_one_is_on_offer(tmp_path):
    assert fetch(Offers(RESTITUTED), tmp_path) == RESTITUTED
    idle = Offers(RESTITUTED)
    assert fetch(idle, tmp_path) == RESTITUTED
    assert idle.fetched == []
    assert fetch(Offers(RESTITUTED, PRECISE), tmp_path) == PRECISE


def test_nobody_is_asked_where_the_precise_orbit_is_here(tmp_path):
    catalogue = Offers(REPROCESSED)
    assert fetch(catalogue, fill(tmp_path, PRECISE)) == PRECISE
    assert catalogue.asked == 0


def test_without_any_orbit_file_on_offer_the_annotated_orbit_counts(tmp_path):
    assert fetch(Offers(), tmp_path) is None
    assert pass_orbit(slices(), tmp_path).orbit.source == "annotation"


@pytest.mark.parametrize(
    ("source", "days", "answer"),
    [
        ("RESORB", 20, False),
        ("RESORB", 21, True),
        ("annotation", 400, True),
        ("POEORB", 400, False),
    ],
)
def test_orbit_is_refinable_from_three_weeks_after_the_pass_until_it_is_precise(source, days, answer):
    day = date(2018, 1, 5)
    orbit = Orbit(EPOCH, TIMES, flown(TIMES)[0], source)
    assert refinable(orbit, day, day + timedelta(days=days)) is answer
