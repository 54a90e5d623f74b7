"""Every real annotation of both polarisations against its geolocation grid; only the shift is estimated."""

import numpy as np
import pytest

from avalanche_assets.sentinel1.annotation import parse_annotation
from avalanche_assets.sentinel1.geocoding import (
    ellipsoid_normal,
    geodetic_to_ecef,
    incidence_deg,
    zero_doppler,
)
from avalanche_assets.sentinel1.ground_range import GroundRange
from avalanche_assets.sentinel1.orbit import merge_orbits
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.safe import POLARISATIONS, SafeArchive

ORBIT_SOURCES = {"CEAB": "Auxiliary", "3768": "Auxiliary", "8255": "Auxiliary", "ECC8": "Downlink"}
"""By the end of the name, as the files write it."""


def azimuth_tolerance_s(orbit_source: str, ipf: tuple[int, int]) -> float:
    """What the processor's own use of its orbit leaves."""
    if ipf < (2, 40):
        return 500e-6
    return {"Auxiliary": 5e-6, "Downlink": 100e-6}[orbit_source]


@pytest.fixture(scope="module", params=sorted(ORBIT_SOURCES))
def annotations(request, real_data):
    (path,) = (real_data / "safe").glob(f"*_{request.param}.SAFE.zip")
    archive = SafeArchive.open(path)
    found = [parse_annotation(archive.read(archive.find("annotation", name)), name) for name in POLARISATIONS]
    assert [item.polarisation for item in found] == list(POLARISATIONS)
    return found, archive.manifest.ipf_version, ORBIT_SOURCES[request.param]


def test_orbit_source_is_read(annotations):
    found, _, source = annotations
    assert {item.orbit_source for item in found} == {source}


def test_points_of_the_grid_are_found_where_the_processor_found_them(annotations):
    found, ipf, source = annotations
    for annotation in found:
        grid, orbit = annotation.grid, annotation.orbit
        assert grid.line.size >= 200
        points = geodetic_to_ecef(grid.lon_deg, grid.lat_deg, grid.height_m)
        time, slant_range = zero_doppler(orbit, points)
        expected = np.array([orbit.seconds(instant) for instant in grid.azimuth_time])
        np.testing.assert_allclose(time, expected, atol=azimuth_tolerance_s(source, ipf), rtol=0)
        np.testing.assert_allclose(slant_range, grid.slant_range_m, atol=1e-3, rtol=0)
        incidence = incidence_deg(orbit, time, points, ellipsoid_normal(grid.lon_deg, grid.lat_deg))
        np.testing.assert_allclose(incidence, grid.incidence_deg, atol=0.05, rtol=0)
        if ipf >= (2, 70):
            tau = time - orbit.seconds(annotation.image.first_line)
            sample = GroundRange.from_annotation(annotation, ipf).sample(tau, slant_range)
            np.testing.assert_allclose(sample, grid.sample, atol=0.1, rtol=0)


def test_both_polarisations_share_one_geometry(annotations):
    """`Product` locates both by the annotation of VV."""
    (vv, vh), _, _ = annotations
    assert vv.image == vh.image
    for name in ("lon_deg", "lat_deg", "line", "sample"):
        # Coordinates of the two agree to some centimetres.
        np.testing.assert_allclose(getattr(vv.grid, name), getattr(vh.grid, name), atol=1e-6, rtol=0)
    np.testing.assert_array_equal(vv.orbit.positions, vh.orbit.positions)
    np.testing.assert_array_equal(vv.conversions.to_slant, vh.conversions.to_slant)


def test_products_locate_their_grids(real_data):
    for name, source in ORBIT_SOURCES.items():
        product = Product.open(next((real_data / "safe").glob(f"*_{name}.SAFE.zip")))
        grid = product.annotation.grid
        found = product.locate(grid.lon_deg, grid.lat_deg, grid.height_m)
        late = abs(found.azimuth_time - grid.azimuth_time) / np.timedelta64(1, "s")
        assert late.max() < azimuth_tolerance_s(source, product.ipf_version)
        # Grid times leave line * interval by a ramp of up to 0.2 line along range.
        np.testing.assert_allclose(found.line, grid.line, atol=0.5, rtol=0)
        # Old products lack the record that their last second needs; the next slice has it.
        covered = grid.azimuth_time <= product.annotation.image.first_line + np.timedelta64(
            round((product.ground_range.times[-1] + 0.1) * 1e9), "ns"
        )
        assert covered.mean() >= 0.9
        np.testing.assert_allclose(found.sample[covered], grid.sample[covered], atol=0.1, rtol=0)


def test_merged_orbit_of_old_slices_serves_both(real_data):
    """Before IPF 2.40 two slices of a pass annotate orbits that lie 1.3 m apart along the track.

    One polynomial through both misses their state vectors by up to 0.6 m, so their grids are met less exactly
    than by each slice's own orbit: 3 mm of range instead of 1 mm, a hundredth of a pixel at most.
    """
    slices = [
        Product.open(next((real_data / "safe").glob(f"*_{name}.SAFE.zip"))) for name in ("CEAB", "3768")
    ]
    merged = merge_orbits(product.orbit for product in slices)
    residual = np.linalg.norm(merged.position(merged.times) - merged.positions, axis=1)
    assert 0.1 < residual.max() < 0.7
    for product in slices:
        grid = product.annotation.grid
        found = product.locate(grid.lon_deg, grid.lat_deg, grid.height_m, merged)
        late = abs(found.azimuth_time - grid.azimuth_time) / np.timedelta64(1, "s")
        assert late.max() < azimuth_tolerance_s("Auxiliary", product.ipf_version)
        np.testing.assert_allclose(found.slant_range, grid.slant_range_m, atol=3e-3, rtol=0)
