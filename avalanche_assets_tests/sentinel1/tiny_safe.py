"""A product of a few hundred lines with a geometry that has closed-form answers.

The platform flies a great circle, so the zero-Doppler time of a point follows from an arctangent; slant range
and ground range are linear in each other, with a constant that differs from record to record.
"""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from pyproj import Transformer
from scipy.optimize import brentq

EPOCH = np.datetime64("2017-12-03T05:35:00", "ns")
START_S = 60.0
LINE_INTERVAL_S = 1.5e-3
SPACING_M = 10.0
NEAR_RANGE_M = 900e3
SCALE = 1.6
RECORD_OFFSETS_M = np.array([0.0, 40.0, 20.0, 70.0, 10.0, 60.0])
STAMP_ERROR_S = 0.09
RADIUS_M, RATE = 7.07e6, 7.5e3 / 7.07e6
AMPLITUDE = 500.0
NOISE = 400.0
TO_GEODETIC = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True)


def _frame() -> np.ndarray:
    """Unit vectors of the path at time 0: up, along, and right of it; about 11 E, 49 N, going south."""
    lon, lat, heading = np.radians([13.0, 49.0, 192.0])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.cross(up, east)
    along = np.cos(heading) * north + np.sin(heading) * east
    return np.stack([up, along, np.cross(along, up)])


FRAME = _frame()


def position(t):
    angle = RATE * np.asarray(t)
    return RADIUS_M * (np.cos(angle)[..., None] * FRAME[0] + np.sin(angle)[..., None] * FRAME[1])


def zero_doppler_time(point):
    """Closed form: the position is at right angles to the velocity, so only the point's direction counts."""
    return np.arctan2(point @ FRAME[1], point @ FRAME[0]) / RATE


def ground_point(t, slant_range, height=0.0):
    """Longitude, latitude and height of the point at right angles to the path, by bisection."""
    angle = RATE * t
    up = np.cos(angle) * FRAME[0] + np.sin(angle) * FRAME[1]

    def at(look):
        return RADIUS_M * up + slant_range * (np.sin(look) * FRAME[2] - np.cos(look) * up)

    look = brentq(lambda angle: TO_GEODETIC.transform(*at(angle))[2] - height, 0.1, 1.0, xtol=1e-14)
    return TO_GEODETIC.transform(*at(look))


def sample_of(tau, slant_range):
    """Sample at `tau` seconds after the first line of the first slice."""
    offset = np.interp(tau, np.arange(len(RECORD_OFFSETS_M)) - 1.0, RECORD_OFFSETS_M)
    return (SCALE * (slant_range - NEAR_RANGE_M) + offset) / SPACING_M


def _stamp(seconds):
    return str((EPOCH + np.timedelta64(round(seconds * 1e9), "ns")).astype("datetime64[us]"))


def _annotation(first_line, lines, samples, polarisation, datatake):
    tau = first_line * LINE_INTERVAL_S
    start = START_S + tau
    states = "".join(
        f"<orbit><time>{_stamp(t)}</time><position><x>{x!r}</x><y>{y!r}</y><z>{z!r}</z></position></orbit>"
        for t, (x, y, z) in ((t, position(t).tolist()) for t in np.arange(0.0, 130.0, 10.0))
    )
    points = ""
    for line in np.linspace(0, lines - 1, 4):
        for sample in np.linspace(0, samples - 1, 4):
            time = start + line * LINE_INTERVAL_S
            slant = brentq(
                lambda r, time=time, sample=sample: sample_of(time - START_S, r) - sample, 8e5, 1.2e6
            )
            lon, lat, height = ground_point(time, slant)
            points += (
                f"<geolocationGridPoint><azimuthTime>{_stamp(time)}</azimuthTime>"
                f"<slantRangeTime>{2 * slant / 299792458.0!r}</slantRangeTime><line>{line}</line>"
                f"<pixel>{sample}</pixel><latitude>{lat!r}</latitude><longitude>{lon!r}</longitude>"
                f"<height>{height!r}</height><incidenceAngle>40</incidenceAngle></geolocationGridPoint>"
            )
    records = "".join(
        f"<coordinateConversion><azimuthTime>{_stamp(START_S + k - 1 + STAMP_ERROR_S)}</azimuthTime>"
        f"<sr0>{NEAR_RANGE_M}</sr0><srgrCoefficients>{offset} {SCALE}</srgrCoefficients>"
        f"<gr0>{offset}</gr0><grsrCoefficients>{NEAR_RANGE_M} {1 / SCALE!r}</grsrCoefficients>"
        "</coordinateConversion>"
        for k, offset in enumerate(RECORD_OFFSETS_M)
    )
    return (
        f"<product><adsHeader><polarisation>{polarisation}</polarisation>"
        "<absoluteOrbitNumber>8510</absoluteOrbitNumber>"
        f"<missionDataTakeId>{datatake}</missionDataTakeId></adsHeader>"
        f"<generalAnnotation><orbitList>{states}</orbitList></generalAnnotation>"
        "<imageAnnotation><imageInformation>"
        f"<productFirstLineUtcTime>{_stamp(start)}</productFirstLineUtcTime>"
        f"<productLastLineUtcTime>{_stamp(start + (lines - 1) * LINE_INTERVAL_S)}</productLastLineUtcTime>"
        f"<slantRangeTime>{2 * NEAR_RANGE_M / 299792458.0!r}</slantRangeTime>"
        f"<rangePixelSpacing>{SPACING_M}</rangePixelSpacing>"
        f"<azimuthTimeInterval>{LINE_INTERVAL_S}</azimuthTimeInterval>"
        f"<numberOfSamples>{samples}</numberOfSamples><numberOfLines>{lines}</numberOfLines>"
        "</imageInformation></imageAnnotation>"
        f"<coordinateConversion><coordinateConversionList>{records}</coordinateConversionList></coordinateConversion>"
        f"<geolocationGrid><geolocationGridPointList>{points}</geolocationGridPointList></geolocationGrid>"
        "</product>"
    )


def _manifest(first_line, lines, ipf, mode, product_type, platform, polarisations, datatake, cog, files):
    start = START_S + first_line * LINE_INTERVAL_S
    channels = "".join(
        f"<transmitterReceiverPolarisation>{name}</transmitterReceiverPolarisation>" for name in polarisations
    )
    processing = (
        '<processing name="GRD Post Processing" stop="2017-12-03T07:00:00"><facility>'
        f'<software name="Sentinel-1 IPF" version="{ipf}"/></facility></processing>'
    )
    if cog:
        # As the real twins: the conversion comes first and holds the chain of the original product.
        processing = (
            '<processing name="COG Conversion" stop="2024-05-01T00:00:00"><facility>'
            '<software name="Sentinel-1 COGifier" version="001.00"/></facility>'
            f"<resource>{processing}</resource></processing>"
        )
    objects = "".join(
        f'<dataObject><byteStream size="{len(content)}"><fileLocation href="./{member}"/><checksum '
        f'checksumName="MD5">{hashlib.md5(content).hexdigest()}</checksum></byteStream></dataObject>'
        for member, content in files.items()
    )
    return (
        f"<XFDU>{processing}"
        f"<platform><number>{platform[2:]}</number><instrumentMode><mode>{mode}</mode></instrumentMode></platform>"
        "<orbitReference><orbitNumber>8510</orbitNumber><relativeOrbitNumber>139</relativeOrbitNumber>"
        "<pass>DESCENDING</pass></orbitReference>"
        f"<standAloneProductInformation><missionDataTakeID>{datatake}</missionDataTakeID>{channels}"
        f"<productType>{product_type}</productType></standAloneProductInformation>"
        f"<acquisitionPeriod><startTime>{_stamp(start)}</startTime>"
        f"<stopTime>{_stamp(start + (lines - 1) * LINE_INTERVAL_S)}</stopTime></acquisitionPeriod>"
        f"<dataObjectSection>{objects}</dataObjectSection></XFDU>"
    )


def _vectors(name, lists, samples, lines):
    pixels = f"0 {samples - 1}"
    vectors = "".join(
        f"<{name}><line>{line}</line><pixel>{pixels}</pixel>"
        + "".join(f"<{field}>{value} {value}</{field}>" for field, value in lists.items())
        + f"</{name}>"
        for line in (0, lines + 50)
    )
    return f"<root><{name}List>{vectors}</{name}List></root>"


def write_tiny_safe(
    folder: Path,
    dn: np.ndarray,
    *,
    first_line: int = 0,
    ipf: str = "002.84",
    mode: str = "IW",
    product_type: str = "GRD",
    platform: str = "S1B",
    polarisations: tuple[str, ...] = ("VV", "VH"),
    datatake: int = 61000,
    name: str | None = None,
    cog: bool = False,
    zipped: bool = False,
    compression: int = zipfile.ZIP_DEFLATED,
    omit: str = "nothing",
) -> Path:
    """Writes a product whose both polarisations hold `dn`; sigma0 is (dn^2 - NOISE) / AMPLITUDE^2.

    With `cog` it is the twin that the Copernicus Data Space makes: tiled ZSTD rasters with 0 as nodata.
    """
    lines, samples = dn.shape
    name = name or f"{platform}_IW_GRDH_1SDV_TINY_{first_line:05d}{'_COG' if cog else ''}"
    root = folder / f"{name}.SAFE"
    (root / "annotation/calibration").mkdir(parents=True)
    (root / "measurement").mkdir()
    layout = {"driver": "COG", "compress": "ZSTD", "nodata": 0} if cog else {"driver": "GTiff"}
    for channel in polarisations:
        stem = f"{platform.lower()}-iw-grd-{channel.lower()}-tiny"
        calibration = root / "annotation/calibration"
        (root / f"annotation/{stem}.xml").write_text(
            _annotation(first_line, lines, samples, channel, datatake)
        )
        gains = {"sigmaNought": AMPLITUDE, "betaNought": AMPLITUDE / 2, "gamma": AMPLITUDE * 0.9}
        tables = _vectors("calibrationVector", gains, samples, lines)
        (calibration / f"calibration-{stem}.xml").write_text(tables)
        noise = _vectors("noiseVector", {"noiseLut": NOISE}, samples, lines)
        (calibration / f"noise-{stem}.xml").write_text(noise)
        with rasterio.open(
            root / f"measurement/{stem}{'-cog' if cog else ''}.tiff",
            "w",
            **layout,
            dtype="uint16",
            count=1,
            height=lines,
            width=samples,
            transform=rasterio.Affine.translation(0, 1),
        ) as dataset:
            dataset.write(dn.astype(np.uint16), 1)
    members = {m.relative_to(root).as_posix(): m.read_bytes() for m in root.rglob("*") if m.is_file()}
    text = _manifest(
        first_line, lines, ipf, mode, product_type, platform, polarisations, datatake, cog, members
    )
    (root / "manifest.safe").write_text(text)
    for member in list(root.rglob("*")):
        if member.is_file() and omit in member.name:
            member.unlink()
    if not zipped:
        return root
    target = folder / f"{name}.zip"
    with zipfile.ZipFile(target, "w", compression) as archive:
        for member in sorted(root.rglob("*")):
            archive.write(member, member.relative_to(folder))
    return target
