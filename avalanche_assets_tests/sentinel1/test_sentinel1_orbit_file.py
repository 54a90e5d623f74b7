"""Reading orbit files: exact where they are sound, a named error where they are not."""

import io
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from xml.etree import ElementTree

import numpy as np
import orbit_file_text
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orbit_file_text import EPOCH, START, STOP, TIMES, flown

from avalanche_assets.errors import OrbitError
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.orbit_file import OrbitFile, read_orbit_file
from avalanche_assets.sentinel1.product import Product

TEXT = orbit_file_text.orbit_file_text()


def seconds(count):
    return np.timedelta64(round(count * 1e9), "ns")


def write(folder, text=TEXT, name=None):
    path = folder / (name or orbit_file_text.name())
    path.write_text(text, encoding="utf-8")
    return path


def read(path, start=START, stop=STOP, platform="S1A"):
    return read_orbit_file(path, platform, start, stop)


def test_instants_of_a_product_and_a_path_as_text_are_taken(tmp_path):
    path = write(tmp_path)
    utc = [datetime.fromisoformat(str(end.astype("datetime64[us]"))) for end in (START, STOP)]
    away = [end.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=9))) for end in utc]
    for times in (utc, away):
        np.testing.assert_array_equal(read(str(path), *times).positions, read(path).positions)


def test_vectors_are_those_that_the_standard_library_reads(tmp_path):
    path = write(tmp_path)
    orbit = read(path)
    vectors = {
        datetime.fromisoformat(vector.findtext("UTC").removeprefix("UTC=")): [
            float(vector.findtext(axis)) for axis in "XYZ"
        ]
        for vector in ElementTree.parse(path).iter("OSV")
    }
    for time, position in zip(orbit.times, orbit.positions, strict=True):
        instant = (orbit.epoch + seconds(time)).astype("datetime64[us]").item()
        assert vectors[instant] == position.tolist()
    assert (orbit.source, orbit.file) == ("POEORB", path.name)


@pytest.mark.parametrize("length_s", [2, 25, 50, 100])
def test_path_between_the_vectors_is_exact_to_a_tenth_of_a_millimetre(tmp_path, length_s):
    orbit = read(write(tmp_path), START, START + seconds(length_s))
    # Vectors every 10 s, held out ones between them: 5 s from the nearest.
    during = np.arange(150.0, 150.0 + length_s + 1.0, 1.0)
    positions, velocities = flown(np.concatenate([[0.0], during]))
    t = during + orbit.seconds(EPOCH)
    off_m = np.linalg.norm(orbit.position(t) - positions[1:], axis=1)
    off_m_s = np.linalg.norm(orbit.velocity(t) - velocities[1:], axis=1)
    assert off_m.max() < 1e-4
    assert off_m_s.max() < 1e-4


def test_only_vectors_around_the_images_are_taken(tmp_path):
    orbit = read(write(tmp_path))
    first, last = orbit.epoch, orbit.epoch + seconds(orbit.times[-1])
    assert seconds(40) < START - first <= seconds(50)
    assert seconds(40) < last - STOP <= seconds(50)


def test_fractions_of_a_second_are_exact(tmp_path):
    orbit = read(write(tmp_path))
    assert orbit.epoch == EPOCH + seconds(100)
    assert orbit.times.tolist() == np.arange(0.0, 130.0, 10.0).tolist()


def test_zipped_file_gives_the_same_orbit(tmp_path):
    path = write(tmp_path)
    zipped = tmp_path / f"{path.name}.zip"
    zipped.write_bytes(packed())
    assert read(zipped).to_json() == read(path).to_json()


def test_poor_vectors_elsewhere_do_not_matter(tmp_path):
    path = write(tmp_path, TEXT.replace("NOMINAL", "DEGRADED", 1))
    assert read(path).to_json() == read(write(tmp_path)).to_json()


def without_vector(text, number):
    parts = text.split("    <OSV>\n")
    return "    <OSV>\n".join(parts[: number + 1] + parts[number + 2 :])


def changed_digit(text):
    """Adds 1 m to Y of the vector amid the images."""
    head, tail = text.split("    <OSV>\n", 17)[:17], text.split("    <OSV>\n", 17)[17]
    y = tail.split('<Y unit="m">')[1].split("<")[0]
    return "    <OSV>\n".join([*head, tail.replace(y, f"{float(y) + 1:.6f}", 1)])


BOMB = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text.replace("Sentinel-1A", "Sentinel-1B"), ["Mission", "Sentinel-1B", "of S1A"]),
        (
            lambda text: text.replace("2018-01-05", "2018-01-06"),
            ["Validity_Period", "2018-01-06", "that time"],
        ),
        (lambda text: text.replace("EARTH_FIXED", "MEAN_OF_DATE"), ["Ref_Frame", "MEAN_OF_DATE"]),
        (
            lambda text: text.replace("Reference>UTC", "Reference>TAI"),
            ["Time_Reference", "TAI", "original file"],
        ),
        (lambda text: text.replace("AUX_POEORB", "AUX_PREORB"), ["File_Type", "PREORB", "AUX_RESORB"]),
        (lambda text: text[: len(text) // 2], ["not well-formed XML", "download it again"]),
        (lambda text: "404 Not Found", ["not well-formed XML"]),
        (lambda text: "", ["not well-formed XML"]),
        (lambda text: text.replace("<Earth_Explorer_File>", BOMB + "<Earth_Explorer_File>"), ["DTD"]),
        (lambda text: without_vector(text, 16), ["List_of_OSVs", "gap"]),
        (
            lambda text: text.split("<List_of_OSVs")[0] + "</Data_Block></Earth_Explorer_File>",
            ["0 state vec"],
        ),
        (lambda text: text.replace("NOMINAL", "DEGRADED"), ["Quality", "DEGRADED", "next best orbit"]),
        (changed_digit, ["contradict each other", "download the orbit file again"]),
        (lambda text: text.replace('<Y unit="m">', '<Y unit="m">?'), ["field Y cannot be read"]),
        (lambda text: text.replace("UTC=2018-01-05T05:43", "UTC=2018-01-05T05:63"), ["field UTC"]),
        (lambda text: text.replace("<UTC>UTC=", "<UTC>GPS="), ["field UTC", "GPS="]),
        (lambda text: text.replace("<VZ", "<WZ").replace("</VZ", "</WZ"), ["field VZ is missing"]),
    ],
)
def test_unusable_file_is_refused_by_name_and_remedy(tmp_path, damage, words):
    path = write(tmp_path, damage(TEXT))
    with pytest.raises(OrbitError) as caught:
        read(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_leap_second_inside_the_span_is_refused(tmp_path):
    # UTC 2016-12-31 had 86,401 s: after it the vectors read a second less.
    midnight = np.datetime64("2017-01-01T00:00:00", "ns")
    elapsed = midnight - seconds(162) + (TIMES * 1e9).astype("timedelta64[ns]")
    instants = np.where(elapsed < midnight, elapsed, elapsed - seconds(1))
    path = write(tmp_path, orbit_file_text.orbit_file_text(instants))
    with pytest.raises(OrbitError, match="leap second"):
        read(path, midnight - seconds(12), midnight + seconds(13))
    early = read(path, midnight - seconds(90), midnight - seconds(65))
    assert early.times.tolist() == np.arange(0.0, 120.0, 10.0).tolist()


def test_kilometres_and_other_planets_are_refused(tmp_path):
    position, velocity = flown(TIMES)
    path = write(tmp_path, orbit_file_text.orbit_file_text(states=(position / 1e3, velocity / 1e3)))
    with pytest.raises(OrbitError, match="Earth's centre"):
        read(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut off", b""])
def test_damaged_zip_is_named(tmp_path, content):
    path = tmp_path / (orbit_file_text.name() + ".zip")
    path.write_bytes(content)
    with pytest.raises(OrbitError, match=r"EOF\.zip.*download"):
        read(path)


def test_zip_without_orbit_file_is_named(tmp_path):
    path = tmp_path / (orbit_file_text.name() + ".zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(OrbitError, match="0 files"):
        read(path)


def packed(method: int = zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(orbit_file_text.name(), TEXT)
    return buffer.getvalue()


@settings(max_examples=300)
@given(data=st.data())
def test_no_other_error_escapes_from_a_garbled_file(tmp_path_factory, data):
    suffix = data.draw(st.sampled_from(["", ".zip"]))
    method = data.draw(st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    content = bytearray(packed(method) if suffix else TEXT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 2000)))
        content[start:stop] = data.draw(
            st.binary(max_size=20) | st.sampled_from([b"<", b"&x;", b"nan", b"1e999"])
        )
    path = tmp_path_factory.getbasetemp() / (orbit_file_text.name() + suffix)
    path.write_bytes(content)
    refusal = ""
    try:
        orbit = read(path)
    except OrbitError as error:
        refusal = str(error)
    if refusal:
        assert str(path) in refusal
    else:
        # What is still read is the truth: damage lies outside the vectors, or below the tolerance.
        expected = flown(TIMES)[0][10:23]
        np.testing.assert_allclose(orbit.positions, expected, atol=0.2)


def test_names_tell_platform_kind_and_validity(tmp_path):
    name = "S1A_OPER_AUX_POEORB_OPOD_20210307T053325_V20180105T225942_20180107T005942.EOF"
    file = OrbitFile.named(tmp_path / name)
    assert (file.platform, file.source) == ("S1A", "POEORB")
    assert file.created == np.datetime64("2021-03-07T05:33:25")
    assert (file.start, file.stop) == (
        np.datetime64("2018-01-05T22:59:42"),
        np.datetime64("2018-01-07T00:59:42"),
    )
    assert OrbitFile.named(tmp_path / f"{name}.zip").stop == file.stop
    for other in (
        name.replace("20180105", "20181305"),
        name.replace("POEORB", "PREORB"),
        name.replace("S1A", "S2A"),
        name.replace(".EOF", ".EOF.tmp"),
        "readme.txt",
    ):
        assert OrbitFile.named(tmp_path / other) is None


@pytest.mark.parametrize("product", ["8255", "ECC8"])
def test_annotated_vectors_written_as_a_file_geocode_alike(tmp_path, real_data, product):
    opened = Product.open(next((real_data / "safe").glob(f"*{product}.SAFE.zip")))
    annotated, grid = opened.orbit, opened.annotation.grid
    instants = annotated.epoch + np.round(annotated.times * 1e9).astype("timedelta64[ns]")
    states = annotated.positions, annotated.velocity(annotated.times)
    validity = instants[0] - seconds(60), instants[-1] + seconds(60)
    text = orbit_file_text.orbit_file_text(instants, states, platform=opened.platform, validity=validity)
    # Times of images that need all the vectors there are.
    path = write(tmp_path, text)
    orbit = read(path, instants[0] + seconds(50), instants[-1] - seconds(50), opened.platform)
    assert len(orbit.times) == len(annotated.times)
    points = geodetic_to_ecef(grid.lon_deg, grid.lat_deg, grid.height_m)
    time, slant_range = zero_doppler(orbit, points)
    expected_time, expected_range = zero_doppler(annotated, points)
    assert abs(time + annotated.seconds(orbit.epoch) - expected_time).max() < 1e-7
    assert abs(slant_range - expected_range).max() < 1e-3
