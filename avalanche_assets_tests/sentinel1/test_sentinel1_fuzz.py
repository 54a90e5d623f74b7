"""Mutated XML files of products: whatever is wrong with them, nothing but a `SafeError` escapes."""

import contextlib
import random
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from tiny_safe import write_tiny_safe

from avalanche_assets.errors import SafeError
from avalanche_assets.sentinel1.annotation import parse_annotation
from avalanche_assets.sentinel1.calibration import LUT_NAMES, parse_calibration
from avalanche_assets.sentinel1.ground_range import GroundRange
from avalanche_assets.sentinel1.noise import parse_noise
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import SafeArchive, parse_data_objects, parse_manifest, require_supported
from avalanche_assets.sentinel1.xml_fields import XmlNode

SAMPLES = 300
NEW_NOISE = (
    "<noise><noiseRangeVectorList>"
    + "".join(
        f"<noiseRangeVector><line>{line}</line><pixel>0 100 299</pixel>"
        "<noiseRangeLut>0 400 500</noiseRangeLut></noiseRangeVector>"
        for line in (0, 250)
    )
    + "</noiseRangeVectorList><noiseAzimuthVectorList>"
    + "".join(
        f"<noiseAzimuthVector><firstAzimuthLine>0</firstAzimuthLine><firstRangeSample>{first}"
        f"</firstRangeSample><lastAzimuthLine>299</lastAzimuthLine><lastRangeSample>{first + 99}"
        f"</lastRangeSample><line>{line}</line><noiseAzimuthLut>{factor}</noiseAzimuthLut></noiseAzimuthVector>"
        for first, line, factor in ((0, "0 299", "1 2"), (100, "150", "1.5"), (200, "0 150 299", "1 1 1"))
    )
    + "</noiseAzimuthVectorList></noise>"
).encode()
BAD_TEXTS = [
    "", " ", "nan", "NaN", "inf", "-inf", "1e999", "-1", "0", "1e308", "-1e308", "1e-320", "abc", "None",
    "9" * 400, "9" * 5000, "1 2", "1 nan 3", "0 0 0", "3 2 1", "1,5", "٣", "0x10", "1_0", "now", "today",
    "NaT", "2017", "2017-13-45T99:99:99", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "2017-12-03",
    "2099-12-03T05:36:00.000000Z", "2017-12-03T05:36:60", "2017-12-03T05:36:00+02:00", "1e5 " * 2000,
    "\ud7ff", "999999999999999999999999",
]  # fmt: skip


def read_manifest(content):
    require_supported(parse_manifest(content, "manifest.safe"), Path("product"))
    parse_data_objects(content, "manifest.safe")


def read_annotation(content):
    annotation = parse_annotation(content, "annotation.xml")
    GroundRange.from_annotation(annotation, (2, 36))
    assert np.isfinite(annotation.orbit.coefficients).all()


def read_calibration(content):
    for quantity in LUT_NAMES:
        factor = parse_calibration(content, "calibration.xml", quantity, SAMPLES).rows(0, 3)
        assert np.isfinite(factor**-2).all()


def read_noise(content):
    noise = parse_noise(content, "noise.xml", (3, 31), SAMPLES).rows(0, 3)
    assert (noise >= 0).all()
    assert np.isfinite(noise).all()


READERS = {
    "manifest": read_manifest,
    "annotation": read_annotation,
    "calibration": read_calibration,
    "noise": read_noise,
    "new noise": read_noise,
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A sound file of every kind; the tiny product's are small, so that many mutations are tried."""
    archive = SafeArchive.open(write_tiny_safe(tmp_path_factory.mktemp("tiny"), np.ones((300, SAMPLES))))
    files = {role: archive.read(archive.find(role, "VV")) for role in ("annotation", "calibration", "noise")}
    return {"manifest": archive.read("manifest.safe"), "new noise": NEW_NOISE, **files}


def mutated(content: bytes, seed: int) -> bytes:
    """The document with one to three elements deleted, doubled, emptied, renamed, moved or rewritten."""
    chance = random.Random(seed)
    root = etree.fromstring(content)
    for _ in range(chance.randint(1, 3)):
        elements = [element for element in root.iter() if element.getparent() is not None]
        if not elements:
            break
        element = chance.choice(elements)
        parent = element.getparent()
        action = chance.randrange(7)
        if action == 0:
            parent.remove(element)
        elif action == 1:
            parent.append(etree.fromstring(etree.tostring(element)))
        elif action == 2:
            element.clear()
        elif action == 3:
            element.tag = "renamed"
        elif action == 4:
            chance.choice(elements).append(etree.Element(element.tag))
        elif action == 5 and element.attrib:
            element.set(chance.choice(list(element.attrib)), chance.choice(BAD_TEXTS))
        else:
            # Every element of a kind or one of them: a damaged column and a damaged cell.
            alike = [e for e in elements if e.tag == element.tag]
            text = chance.choice(BAD_TEXTS)
            for one in alike if chance.random() < 0.3 else [element]:
                one.text = text
    return etree.tostring(root)


@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_mutated_files_give_a_named_error_or_values(documents, kind, seed):
    with contextlib.suppress(SafeError):
        READERS[kind](mutated(documents[kind], seed))


@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_a_named_error_or_values(documents, kind, data):
    content = bytearray(documents[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(SafeError):
        READERS[kind](bytes(content[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize("kind", READERS)
def test_each_element_is_missed_or_not_needed(documents, kind):
    """Every element deleted, emptied and doubled in turn; at least one must be missed."""
    errors = 0
    names = {element.tag for element in etree.fromstring(documents[kind]).iter()}
    for name in sorted(names):
        for action in ("delete", "empty"):
            root = etree.fromstring(documents[kind])
            for element in list(root.iter(name)):
                if action == "delete" and element.getparent() is not None:
                    element.getparent().remove(element)
                else:
                    element.clear()
            try:
                READERS[kind](etree.tostring(root))
            except SafeError:
                errors += 1
    assert errors >= 5


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY a "AAAA"><!ENTITY b "&a;&a;&a;&a;">',
        "".join(
            [
                '<!ENTITY l0 "lol">',
                *(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12)),
                '<!ENTITY b "&l11;">',
            ]
        ),
        '<!ENTITY b SYSTEM "file:///etc/hostname">',
        '<!ENTITY b SYSTEM "http://localhost:9/never">',
        '<!ENTITY % p SYSTEM "file:///etc/hostname"> %p; <!ENTITY b "x">',
    ],
    ids=["small", "bomb", "file", "network", "parameter"],
)
@pytest.mark.parametrize("kind", READERS)
def test_entities_are_refused_before_they_expand(documents, kind, declaration):
    body = documents[kind].decode().split("?>")[-1]
    bomb = f"<!DOCTYPE x [{declaration}]>" + body.replace("<line>0<", "<line>&b;<").replace(
        "VV</pol", "&b;</pol"
    )
    for encoding in ("utf-8", "utf-16", "utf-16-le"):
        started = time.process_time()
        with pytest.raises(SafeError, match=r"document type|not well-formed"):
            READERS[kind](bomb.encode(encoding))
        assert time.process_time() - started < 1.0


def test_no_encoding_hides_a_document_type():
    hidden = b'+ADw-!DOCTYPE x [+ADw-!ENTITY b "boom">]+AD4-<x>&b;</x>'
    with pytest.raises(SafeError, match="not well-formed"):
        XmlNode.parse(b'<?xml version="1.0" encoding="UTF-7"?>' + hidden, "file.xml")
    with pytest.raises(SafeError, match="not well-formed"):
        XmlNode.parse('<?xml version="1.0" encoding="ISO-8859-1"?><x>é</x>'.encode("latin-1"), "file.xml")


def test_huge_texts_and_depths_are_refused():
    with pytest.raises(SafeError, match="not well-formed"):
        XmlNode.parse(b"<x>" + b"1 " * 6_000_000 + b"</x>", "file.xml")
    with pytest.raises(SafeError, match="not well-formed"):
        XmlNode.parse(b"<x>" * 10_000 + b"</x>" * 10_000, "file.xml")


def test_a_field_hidden_behind_a_comment_or_instruction_is_read_whole():
    node = XmlNode.parse(b"<x><line>1<!-- c -->2<?pi?>3</line></x>", "file.xml")
    assert node.integer("line") == 123


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("numberOfLines", "99999999999", "numberOfLines cannot be read: 99999999999 is not from 1 to 100000"),
        ("numberOfSamples", "0", "numberOfSamples cannot be read: 0 is not from 1"),
        ("azimuthTimeInterval", "0", "azimuthTimeInterval cannot be read: 0 is not from"),
        ("azimuthTimeInterval", "NaN", "azimuthTimeInterval cannot be read: 'NaN' is not a number"),
        ("productFirstLineUtcTime", "", "productFirstLineUtcTime cannot be read: '' is not a date and time"),
        ("productFirstLineUtcTime", "2018-12-03T05:36:00", "state vectors of orbitList do not cover"),
        ("latitude", "91", "latitude cannot be read"),
        ("numberOfLines", "1_0", "'1_0' is not a number"),
        ("numberOfLines", "٣٠٠", "'٣٠٠' is not a number"),
        ("latitude", "4_5.0", "'4_5.0' is not a number"),
        ("latitude", "٤٥", "'٤٥' is not a number"),
        ("latitude", "45 46", "could not convert string to float: '45 46'"),
        ("srgrCoefficients", "0 1_6", "'0 1_6' is not a number"),
        ("srgrCoefficients", "0 -1.6", "srgrCoefficients does not increase with range"),
        ("grsrCoefficients", "9e5", "grsrCoefficients does not increase with range"),
        ("srgrCoefficients", "0 1 " + "0 " * 50, "srgrCoefficients has 52 terms"),
    ],
)
def test_values_that_cannot_be_true_are_named(documents, field, text, message):
    root = etree.fromstring(documents["annotation"])
    for element in root.iter(field):
        element.text = text
    with pytest.raises(SafeError, match=rf"annotation\.xml: .*{message}.*download"):
        parse_annotation(etree.tostring(root), "annotation.xml")


def test_a_field_that_holds_other_elements_is_refused():
    node = XmlNode.parse(b"<x><line>85<b/>10</line></x>", "file.xml")
    with pytest.raises(SafeError, match=r"file\.xml: field line holds other elements; download"):
        node.integer("line")


@pytest.mark.parametrize("damage", ["order", "repeated", "still", "far"])
def test_orbits_that_cannot_be_flown_are_named(documents, damage):
    root = etree.fromstring(documents["annotation"])
    states = root.findall(".//orbitList/orbit")
    if damage == "order":
        states[3].find("time").text = states[1].find("time").text
    elif damage == "repeated":
        states[1].find("time").text = states[0].find("time").text
    else:
        for axis in "xyz":
            for state in states:
                place = state.find(f"position/{axis}")
                first = states[0].find(f"position/{axis}").text
                place.text = first if damage == "still" else str(2 * float(place.text) / 2**0.25)
    message = "do not increase" if damage in ("order", "repeated") else "not the orbit of Sentinel-1"
    with pytest.raises(SafeError, match=rf"orbitList.*{message}.*download"):
        parse_annotation(etree.tostring(root), "annotation.xml")


def test_records_that_contradict_the_grid_are_named(tmp_path):
    path = write_tiny_safe(tmp_path, np.ones((300, SAMPLES)))
    annotation = path / "annotation/s1b-iw-grd-vv-tiny.xml"
    annotation.write_text(annotation.read_text().replace("<sr0>900000.0</sr0>", "<sr0>890000.0</sr0>"))
    product = Product.open(path)
    with pytest.raises(SafeError, match=r"coordinateConversion misses geolocationGrid by .*download"):
        product.locate(9.0, 46.0, 0.0)


REAL_SEEDS = range(12)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_real_files_mutated_give_a_named_error_or_values(real_data):
    paths = sorted((real_data / "safe").glob("*.zip"))
    assert paths
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                kind = next(
                    (
                        kind
                        for kind, mark in (
                            ("manifest", "manifest.safe"),
                            ("noise", "noise-s1"),
                            ("calibration", "calibration-s1"),
                            ("annotation", "annotation/s1"),
                        )
                        if mark in name
                    ),
                    None,
                )
                if kind is None or "-vh-" in name:
                    continue
                content = archive.read(name)
                READERS[kind](content)  # sound as it is
                for seed in REAL_SEEDS:
                    with contextlib.suppress(SafeError):
                        READERS[kind](mutated(content, seed))
