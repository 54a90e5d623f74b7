"""Noise and calibration tables against hand-computed values."""

import re
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.calibration import backscatter_row, parse_calibration
from avalanche_assets.sentinel1.lookup import between
from avalanche_assets.sentinel1.noise import parse_noise

OLD = b"""<noise><noiseVectorList count="2">
<noiseVector><line>0</line><pixel count="3">0 4 8</pixel><noiseLut>100 200 400</noiseLut></noiseVector>
<noiseVector><line>10</line><pixel count="2">0 8</pixel><noiseLut>300 700</noiseLut></noiseVector>
</noiseVectorList></noise>"""

NEW = b"""<noise><noiseRangeVectorList>
<noiseRangeVector><line>0</line><pixel>0 8</pixel><noiseRangeLut>100 180</noiseRangeLut></noiseRangeVector>
</noiseRangeVectorList><noiseAzimuthVectorList>
<noiseAzimuthVector><swath>IW1</swath><firstAzimuthLine>0</firstAzimuthLine><firstRangeSample>0</firstRangeSample>
<lastAzimuthLine>9</lastAzimuthLine><lastRangeSample>3</lastRangeSample><line>0 10</line>
<noiseAzimuthLut>1 2</noiseAzimuthLut></noiseAzimuthVector>
<noiseAzimuthVector><swath>IW2</swath><firstAzimuthLine>0</firstAzimuthLine><firstRangeSample>4</firstRangeSample>
<lastAzimuthLine>7</lastAzimuthLine><lastRangeSample>8</lastRangeSample><line>3</line>
<noiseAzimuthLut>0.5</noiseAzimuthLut></noiseAzimuthVector>
</noiseAzimuthVectorList></noise>"""


def test_old_format_is_bilinear_between_vectors_of_differing_length():
    rows = parse_noise(OLD, "noise.xml", (2, 84), 9).rows(0, 12)
    assert rows[0, [0, 2, 4, 6, 8]].tolist() == [100, 150, 200, 300, 400]
    assert rows[5, [0, 4, 8]].tolist() == [200, 350, 550]
    assert rows[11, [0, 8]].tolist() == [300, 700]  # beyond the last vector its values hold


def test_new_format_multiplies_range_and_azimuth_by_swath_block():
    noise = parse_noise(NEW, "noise.xml", (3, 31), 9)
    assert len(noise.azimuth_blocks) == 2
    rows = noise.rows(0, 10)
    assert rows[0, 0] == 100
    assert rows[5, 2] == pytest.approx(120 * 1.5)
    assert rows[7, 8] == 180 * 0.5  # a vector of one element is constant


def test_lines_outside_every_block_take_the_nearest_block():
    rows = parse_noise(NEW, "noise.xml", (3, 31), 9).rows(0, 10)
    assert rows[9, 8] == 180 * 0.5
    assert rows[9, 3] == pytest.approx(130 * 1.9)


def test_samples_between_two_blocks_take_the_nearer_one_even_when_listed_first():
    apart = NEW.replace(b"<firstRangeSample>4", b"<firstRangeSample>7")
    row = parse_noise(apart, "noise.xml", (3, 31), 9).rows(2, 1)[0]
    # Samples 4 to 6 are in no block; 4 lies beside sample 3 (factor 1.2), 6 beside sample 7 (factor 0.5).
    assert row[[4, 6]] == pytest.approx([140 * 1.2, 160 * 0.5])


def test_rows_do_not_depend_on_how_they_are_cut():
    noise = parse_noise(NEW, "noise.xml", (3, 31), 9)
    np.testing.assert_array_equal(noise.rows(0, 10)[4:7], noise.rows(4, 3))


@pytest.mark.parametrize(
    ("content", "ipf"),
    [
        (OLD.replace(b"<noiseLut>100 200 400", b"<noiseLut>0 0 0").replace(b"300 700", b"0 0"), (2, 84)),
        (OLD, (2, 36)),
        (NEW.replace(b"100 180", b"0 0"), (3, 31)),
        (NEW.replace(b"<noiseAzimuthLut>1 2", b"<noiseAzimuthLut>0 0"), (3, 31)),
    ],
)
def test_zero_or_unscaled_noise_is_not_denoisable(content, ipf):
    assert not parse_noise(content, "noise.xml", ipf, 9).denoisable


def test_vector_with_too_few_values_is_named():
    with pytest.raises(SafeError, match=r"noise\.xml.*noiseLut has 3 values for 2 pixels"):
        parse_noise(OLD.replace(b"0 4 8", b"0 8"), "noise.xml", (2, 84), 9)


@pytest.mark.parametrize(
    ("content", "there", "instead", "message"),
    [
        (OLD, b"300 700", b"300 1e39", "noiseLut cannot be read: 1e+39 is not from 0 to 1e+09"),
        (OLD, b"300 700", b"-1 700", "noiseLut cannot be read: -1 is not from 0"),
        (NEW, b"100 180", b"100 1e10", "noiseRangeLut cannot be read: 1e+10 is not"),
        (NEW, b">1 2<", b">1 1e308<", "noiseAzimuthLut cannot be read: 1e+308 is not from 0 to 100"),
        (NEW, b">0.5<", b">-1<", "noiseAzimuthLut cannot be read: -1 is not"),
    ],
)
def test_noise_that_cannot_be_true_is_named(content, there, instead, message):
    assert there in content
    with pytest.raises(SafeError, match=rf"noise\.xml: field {re.escape(message)}.*download"):
        parse_noise(content.replace(there, instead), "noise.xml", (3, 31), 9)


@pytest.mark.parametrize(
    ("text", "start", "element"),
    [
        (OLD, b"<noiseVector>", "noiseVectorList/noiseVector"),
        (NEW, b"<noiseRangeVector>", "noiseRangeVectorList/noiseRangeVector"),
        (NEW, b"<noiseAzimuthVector>", "noiseAzimuthVectorList/noiseAzimuthVector"),
    ],
)
def test_more_vectors_than_any_image_has_are_refused_at_once(text, start, element):
    """Some megabytes of them would take minutes or all of the memory."""
    end = start.replace(b"<", b"</")
    first, stop = text.index(start), text.index(end) + len(end)
    content = text[:first] + 1000 * text[first:stop] + text[stop:]
    with pytest.raises(SafeError, match=rf"noise\.xml: 100[01] elements {element}, more than \d+; download"):
        parse_noise(content, "noise.xml", (3, 31), 26_000)


CALIBRATION = b"""<calibration><calibrationVectorList>
<calibrationVector><line>0</line><pixel>0 4</pixel><sigmaNought>400 500</sigmaNought></calibrationVector>
<calibrationVector><line>8</line><pixel>0 4</pixel><sigmaNought>500 600</sigmaNought></calibrationVector>
</calibrationVectorList></calibration>"""


def test_sigma0_by_hand():
    table = parse_calibration(CALIBRATION, "calibration.xml", "sigma0", 5)
    assert table.rows(4, 1).tolist() == [[450, 475, 500, 525, 550]]
    lower, upper, weight = between(table.lines, 4)
    factor = table.values[lower], table.values[upper], weight
    noise = np.full(5, 60, np.float32), np.full(5, 140, np.float32), np.float32(0.5)
    dn = np.array([45, 0, 10, 105, 55], np.uint16)
    sigma0 = np.empty(5, np.float32)
    backscatter_row(dn, factor, noise, np.float32(2), sigma0)
    expected = [(2025 - 200) / 450**2, np.nan, (100 - 200) / 500**2, (11025 - 200) / 525**2, 2825 / 550**2]
    np.testing.assert_allclose(sigma0, expected, rtol=1e-6)


@pytest.mark.parametrize("value", [b"1e308", b"1e25", b"1e-30", b"0", b"-5"])
def test_calibration_that_cannot_be_true_is_named(value):
    with pytest.raises(
        SafeError, match=r"calibration\.xml: field sigmaNought .* is not from 0\.01 to 1e\+06"
    ):
        parse_calibration(CALIBRATION.replace(b"600", value), "calibration.xml", "sigma0", 5)


def test_more_calibration_vectors_than_any_image_has_are_refused():
    start, end = b"<calibrationVector>", b"</calibrationVector>"
    first, stop = CALIBRATION.index(start), CALIBRATION.index(end) + len(end)
    many = CALIBRATION[:first] + 1000 * CALIBRATION[first:stop] + CALIBRATION[stop:]
    with pytest.raises(
        SafeError, match=r"calibration\.xml: 1001 elements .*calibrationVector, more than 200"
    ):
        parse_calibration(many, "calibration.xml", "sigma0", 26_000)


def test_missing_quantity_is_named():
    with pytest.raises(SafeError, match=r"calibration\.xml: field betaNought is missing"):
        parse_calibration(CALIBRATION, "calibration.xml", "beta0", 5)


@pytest.mark.parametrize("polarisation", ["vv", "vh"])
@pytest.mark.parametrize("line", [0, 337, 9000, 16853])
def test_noise_of_real_vectors_follows_the_formula(real_data, polarisation, line):
    """Read anew with the standard library: range vectors bilinear, times the sub-swath's azimuth vector."""
    (source,) = (real_data / "safe").glob("*8255*.zip")
    with zipfile.ZipFile(source) as archive:
        name = next(n for n in archive.namelist() if f"/noise-s1a-iw-grd-{polarisation}" in n)
        content = archive.read(name)
    root = ElementTree.fromstring(content)

    def numbers(node, field):
        return np.array(node.find(field).text.split(), float)

    samples = np.arange(25931)
    vectors = root.findall("noiseRangeVectorList/noiseRangeVector")
    at = np.array([float(vector.find("line").text) for vector in vectors])
    upper = min(max(int(np.searchsorted(at, line)), 1), len(at) - 1)
    along = [np.interp(samples, numbers(v, "pixel"), numbers(v, "noiseRangeLut")) for v in vectors]
    weight = (line - at[upper - 1]) / (at[upper] - at[upper - 1])
    expected = (1 - weight) * along[upper - 1] + weight * along[upper]
    for block in root.findall("noiseAzimuthVectorList/noiseAzimuthVector"):
        first, last = (int(block.find(f"{end}RangeSample").text) for end in ("first", "last"))
        factor = np.interp(line, numbers(block, "line"), numbers(block, "noiseAzimuthLut"))
        expected[first : last + 1] *= factor
    found = parse_noise(content, name, (3, 31), samples.size).rows(line, 1)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert (found == 0).any()  # range vectors are zero at the swath's edges
