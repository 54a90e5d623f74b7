"""The slices of a pass against the same image in one piece."""

from dataclasses import replace
from itertools import pairwise

import geopandas as gpd
import numpy as np
import pytest
import tiny_safe
from pyproj import Transformer
from scipy.ndimage import gaussian_filter
from tiny_safe import AMPLITUDE, NOISE, write_tiny_safe

from avalanche_assets.backscatter.coverage import corridors_beyond_image
from avalanche_assets.errors import SafeError
from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.mosaic import Sigma0, terrain_corrected_sigma0
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.simulation.facets import build_facets
from avalanche_assets.simulation.image_geometry import ImageGeometry
from avalanche_assets.simulation.radiometry import Radiometry, synthetic_radiometry
from avalanche_assets.simulation.safe_writer import write_product
from avalanche_assets.simulation.slices import Slice
from avalanche_assets.simulation.track import SyntheticTrack, scene_extent

CRS = "EPSG:32632"
LINES, SAMPLES = 2000, 600
RNG = np.random.default_rng(139)
DN = (300 + 3000 * gaussian_filter(RNG.normal(size=(LINES, SAMPLES)), 3)).clip(50).round()
CUTS = [(1010,), (333, 1666), (500, 1000, 1500)]


def grid_along_the_track() -> Grid:
    """23 km along the track, so that all cuts and both ends lie on it."""
    middle = tiny_safe.ground_point(tiny_safe.START_S + LINES / 2 * 1.5e-3, 901.9e3, 1000.0)
    x, y, _ = Transformer.from_crs("EPSG:4979", CRS, always_xy=True).transform(*middle)
    return Grid(CRS, 20.0, round(x - 1280), round(y + 11520), 1152, 128)


GRID = grid_along_the_track()
DEM = (1000 + 4e3 * gaussian_filter(RNG.normal(size=GRID.shape), 6)).astype(np.float32)


def tiny_slices(folder, cuts, widths=None, ipfs=None):
    """Products of the image cut before the lines `cuts`, in reverse order."""
    bounds = list(pairwise([0, *cuts, LINES]))
    widths, ipfs = widths or [SAMPLES] * len(bounds), ipfs or ["002.84"] * len(bounds)
    paths = [
        write_tiny_safe(folder, DN[first:last, :width], first_line=first, ipf=ipf)
        for (first, last), width, ipf in zip(bounds, widths, ipfs, strict=True)
    ]
    return [Product.open(path) for path in reversed(paths)]


@pytest.fixture(scope="module")
def uncut(tmp_path_factory) -> tuple[Product, Sigma0]:
    product = Product.open(write_tiny_safe(tmp_path_factory.mktemp("uncut"), DN))
    return product, terrain_corrected_sigma0([product], product.orbit, DEM, GRID)


def assert_same(sliced: Sigma0, whole: Sigma0, where=np.s_[:]) -> None:
    """Equal to single precision, without a value exactly where the uncut image has none."""
    for name in ("vv", "vh"):
        np.testing.assert_allclose(
            getattr(sliced, name)[where], getattr(whole, name)[where], rtol=1e-5, atol=1e-8, equal_nan=True
        )
    np.testing.assert_array_equal(sliced.flags[where], whole.flags[where])


def largest_shift_px(parts: SliceStack, whole: SliceStack, orbit: Orbit, slant_range) -> float:
    """Largest difference of line or sample between two stacks over the whole image, seams included."""
    first = orbit.seconds(whole.products[0].annotation.image.first_line)
    interval = whole.products[0].annotation.image.line_interval_s
    line = np.arange(1.0, whole.shape[0] - 1.0, 0.37)
    time, slant_range = np.meshgrid(first + line * interval, slant_range, indexing="ij")
    pairs = zip(
        parts.line_sample(time, slant_range, orbit), whole.line_sample(time, slant_range, orbit), strict=True
    )
    return max(float(np.abs(one - other).max()) for one, other in pairs)


@pytest.mark.parametrize("cuts", CUTS)
def test_cut_image_is_located_and_valued_like_the_uncut_one(tmp_path, uncut, cuts):
    """The records' stamps are wrong by 90 ms, which every slice has to find out for itself."""
    product, whole = uncut
    parts = tiny_slices(tmp_path, cuts)
    sliced = terrain_corrected_sigma0(parts, product.orbit, DEM, GRID)
    assert np.isfinite(whole.vv).mean() > 0.7
    assert_same(sliced, whole)
    shift = largest_shift_px(
        SliceStack.of(parts), SliceStack.of([product]), product.orbit, np.linspace(900.1e3, 903.6e3, 9)
    )
    assert shift <= 1e-3


@pytest.mark.parametrize("widths", [(600, 560, 600), (520, 600, 580)])
def test_slices_of_differing_width_have_values_up_to_their_own_edge(tmp_path, uncut, widths):
    product, whole = uncut
    cuts = CUTS[1]
    sliced = terrain_corrected_sigma0(tiny_slices(tmp_path, cuts, widths), product.orbit, DEM, GRID)
    rows, cols = np.meshgrid(np.arange(GRID.height), np.arange(GRID.width), indexing="ij")
    x, y = GRID.west + (cols + 0.5) * 20, GRID.north - (rows + 0.5) * 20
    lon, lat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(x, y)
    place = product.locate(lon, lat, DEM)
    # Sub-cells lie some lines and, on slopes, up to three samples off the cell's centre.
    reach = np.minimum.reduce([np.interp(place.line + d, *steps(cuts, widths)) for d in (-5, 5)])
    inside = place.sample < reach - 5
    assert_same(sliced, whole, inside)
    farthest = np.maximum.reduce([np.interp(place.line + d, *steps(cuts, widths)) for d in (-5, 5)])
    beyond = place.sample > farthest + 5
    assert beyond.sum() > 1000
    assert np.isnan(sliced.vv[beyond]).all()
    assert (sliced.flags[beyond] > 0).all()


def slice_from(folder, monkeypatch, samples, first, last, ipf="002.84"):
    """A slice of the image whose first sample is another one of the uncut image's, maybe between two."""
    with monkeypatch.context() as patch:
        near = tiny_safe.NEAR_RANGE_M + samples * tiny_safe.SPACING_M / tiny_safe.SCALE
        patch.setattr(tiny_safe, "NEAR_RANGE_M", near)
        dn = DN[first:last, int(samples) :]
        return Product.open(write_tiny_safe(folder, dn, first_line=first, ipf=ipf))


@pytest.mark.parametrize("ipf", ["002.84", "002.60"])
@pytest.mark.parametrize("starts", [(0, 20, 0), (60, 0, 1), (0, 64, 128)])
def test_slices_that_begin_at_another_sample_are_aligned(tmp_path, monkeypatch, uncut, starts, ipf):
    """Ranges are offset by whole samples: columns are moved so that all slices share them."""
    product, whole = uncut
    bounds = zip(starts, pairwise([0, 800, 1300, LINES]), strict=True)
    parts = [slice_from(tmp_path, monkeypatch, start, *ends, ipf) for start, ends in bounds]
    stack = SliceStack.of(parts)
    assert stack.columns == starts
    assert stack.shape == (LINES, SAMPLES)
    sliced = terrain_corrected_sigma0(parts, product.orbit, DEM, GRID)
    known = np.isfinite(sliced.vv)
    assert known.sum() > 0.8 * np.isfinite(whole.vv).sum()
    np.testing.assert_allclose(sliced.vv[known], whole.vv[known], rtol=1e-4)
    rows, cols = np.meshgrid(np.arange(GRID.height), np.arange(GRID.width), indexing="ij")
    x, y = GRID.west + (cols + 0.5) * 20, GRID.north - (rows + 0.5) * 20
    place = product.locate(*Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(x, y), DEM)
    # All that lies right of every slice's first sample is there, the seams included.
    assert known[np.isfinite(whole.vv) & (place.sample > max(starts) + 8)].all()


def test_slices_that_begin_between_two_samples_are_refused(tmp_path, monkeypatch):
    parts = [slice_from(tmp_path, monkeypatch, *part) for part in ((0, 0, 1010), (20.3, 1010, LINES))]
    with pytest.raises(SafeError, match=r"01010: its first sample lies 20\.30 samples from that of .*00000"):
        SliceStack.of(parts)


@pytest.mark.parametrize(("first_line", "word"), [(1010.5, "missing"), (1009.6, "overlapping")])
def test_slices_half_a_line_apart_are_refused(tmp_path, first_line, word):
    parts = [
        Product.open(write_tiny_safe(tmp_path, DN[:1010])),
        Product.open(write_tiny_safe(tmp_path, DN[1010:], first_line=first_line, name="S1B_IW_GRDH_1SDV_B")),
    ]
    with pytest.raises(SafeError, match=rf"0\.[45] lines are {word}"):
        SliceStack.of(parts)


def steps(cuts, widths):
    """Width by line as a polygon with steps at the cuts."""
    edges = [-1e6, *(edge for cut in cuts for edge in (cut - 1e-6, cut)), 1e6]
    return edges, np.repeat(widths, 2)


def test_slices_of_two_processor_versions_are_one_image(tmp_path, uncut):
    """A reprocessed slice beside one of the first edition; the older solves ground range by Newton."""
    product, whole = uncut
    parts = tiny_slices(tmp_path, (1010,), ipfs=["002.60", "003.71"])
    assert_same(terrain_corrected_sigma0(parts, product.orbit, DEM, GRID), whole)


def test_one_slice_without_usable_noise_leaves_noise_in_the_whole_image(tmp_path, uncut):
    """Otherwise the seam would be a step of the noise; the stack says so."""
    product, whole = uncut
    parts = tiny_slices(tmp_path, (1010,), ipfs=["002.36", "002.84"])
    assert [part.denoisable for part in parts] == [True, False]
    assert not SliceStack.of(parts).denoisable
    sliced = terrain_corrected_sigma0(parts, product.orbit, DEM, GRID)
    np.testing.assert_allclose(sliced.vv, whole.vv + NOISE / AMPLITUDE**2, rtol=1e-5)


def test_corridors_beyond_the_image_are_told_by_the_side_they_lie_on(tmp_path, uncut):
    """Three slices of which the first and the last are missing."""
    product, _ = uncut
    stack = SliceStack.of([part for part in tiny_slices(tmp_path, (500, 1500)) if part.shape[0] == 1000])
    points = {
        "early": (300, 902e3),
        "first": (505, 902e3),
        "last": (1495, 902e3),
        "late": (1900, 902e3),
        "near": (1000, 899e3),
        "far": (1000, 905e3),
    }
    lon, lat, height = np.transpose(
        [tiny_safe.ground_point(tiny_safe.START_S + n * 1.5e-3, r, 800.0) for n, r in points.values()]
    )
    x, y = Transformer.from_crs("EPSG:4326", CRS, always_xy=True).transform(lon, lat)
    columns = {"corridor_id": list(points), "deposit_x": x, "deposit_y": y, "deposit_elevation_m": height}
    corridors = gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(x, y), crs=CRS)
    beyond = corridors_beyond_image(corridors, GRID, stack, product.orbit)
    assert beyond.before.tolist() == ["early"]
    assert beyond.after.tolist() == ["late"]
    assert beyond.beside.tolist() == ["near", "far"]
    assert beyond.seconds_before == pytest.approx(200 * 1.5e-3, abs=1e-5)
    assert beyond.seconds_after == pytest.approx(401 * 1.5e-3, abs=1e-5)
    assert "at the north end" in beyond.summary()["missing before the first product"]


# The simulation's products: its orbit, sub-swaths, and conversion records of degree 8 over relief

SCENE = Grid(CRS, 20.0, 332800.0, 5019520.0, 1536, 192)


def relief() -> np.ndarray:
    row, col = np.mgrid[: SCENE.height, : SCENE.width]
    return (1500 + 800 * np.sin(row / 120) + 200 * np.sin(col / 31 + row / 57)).astype(np.float32)


def scene_geometry(elevation: np.ndarray) -> ImageGeometry:
    track = SyntheticTrack.over(6.9, 45.2, float(elevation.mean()), full_swath=False)
    orbit = track.nominal.orbit(np.datetime64("2018-01-03T05:43:30", "ns"))
    extent = scene_extent(orbit, build_facets(SCENE, elevation, orbit), elevation)
    return track.geometry(orbit, extent, np.random.default_rng(1))


def tables(geometry: ImageGeometry, first: int, last: int, old_format: bool) -> Radiometry:
    """Look-up tables that do not change along the image: those of slices have knots at other lines."""
    own = synthetic_radiometry(geometry, first, last, old_format)
    whole = synthetic_radiometry(geometry, 0, geometry.lines, old_format)
    amplitude = {
        name: np.repeat(table[:1], len(own.lines), axis=0) for name, table in whole.amplitude.items()
    }
    return replace(own, amplitude=amplitude, noise=np.repeat(whole.noise[:, :1], len(own.lines), axis=1))


def simulated_slices(folder, geometry, cuts, dn, old_format):
    folder.mkdir()
    bounds = list(pairwise([0, *cuts, geometry.lines]))
    products = []
    for number, (first, last) in enumerate(bounds, start=1):
        item = Slice(
            platform="S1A",
            absolute_orbit=19986,
            relative_orbit=139,
            direction="DESCENDING",
            number=number,
            total=len(bounds),
            geometry=geometry,
            first=first,
            last=last,
            radiometry=tables(geometry, first, last, old_format),
            height_model=lambda lon, lat: 1500.0 + 300.0 * np.sin(lon * 400),
        )
        blocks = iter([(0, np.stack([dn[first:last], dn[first:last] // 2]))])
        products.append(Product.open(write_product(folder, item, blocks, compress=False)))
    return products


@pytest.fixture(scope="module", params=[True, False], ids=["noise before IPF 2.90", "noise of IPF 2.90"])
def simulated(request, tmp_path_factory):
    folder, elevation = tmp_path_factory.mktemp("scene"), relief()
    geometry = scene_geometry(elevation)
    shape = geometry.lines, geometry.samples
    dn = (300 + 3000 * gaussian_filter(np.random.default_rng(7).normal(size=shape), 3)).clip(50)
    dn = dn.round().astype(np.uint16)
    (product,) = simulated_slices(folder / "uncut", geometry, (), dn, request.param)
    whole = terrain_corrected_sigma0([product], product.orbit, elevation, SCENE)
    return folder, elevation, geometry, dn, request.param, product, whole


# Line intervals of multiples of 100 lines are whole microseconds, as annotated times are.
@pytest.mark.parametrize("cuts", [(1600,), (1100, 2200), (700, 1300, 2000)])
def test_simulated_scene_in_slices_equals_the_uncut_one(simulated, cuts):
    folder, elevation, geometry, dn, old_format, product, whole = simulated
    parts = simulated_slices(folder / f"cut{len(cuts)}", geometry, cuts, dn, old_format)
    sliced = terrain_corrected_sigma0(parts, product.orbit, elevation, SCENE)
    assert np.isfinite(whole.vv).all()
    assert_same(sliced, whole)
    slant_range = np.linspace(geometry.slant_range(0, 5), geometry.slant_range(0, geometry.samples - 5), 9)
    assert (
        largest_shift_px(SliceStack.of(parts), SliceStack.of([product]), product.orbit, slant_range) <= 1e-3
    )


def test_rounding_of_annotated_times_moves_lines_by_less_than_a_thousandth(simulated):
    folder, _, geometry, dn, old_format, product, _ = simulated
    parts = simulated_slices(folder / "anywhere", geometry, (1057, 1593, 2201), dn, old_format)
    assert (
        largest_shift_px(SliceStack.of(parts), SliceStack.of([product]), product.orbit, [890e3, 895e3])
        <= 1e-3
    )


def test_seam_of_real_slices_has_no_step_in_any_range(real_data):
    paths = [next((real_data / "safe").glob(f"*{name}*.zip")) for name in ("3768", "CEAB")]
    stack = SliceStack.of([Product.open(path) for path in paths])
    orbit, slant_range = stack.orbit, np.linspace(800e3, 960e3, 81)
    seam = orbit.seconds(stack.products[1].annotation.image.first_line)
    # The last moment of the first slice's conversion and the first of the second's.
    time = np.repeat([[seam - 1e-9], [seam]], slant_range.size, axis=1)
    line, sample = stack.line_sample(time, np.stack([slant_range] * 2), orbit)
    assert np.abs(np.diff(sample, axis=0)).max() < 1e-3
    # The line's step is what the annotated first lines are apart, here 0.0004 of a line interval.
    assert np.abs(np.diff(line, axis=0)).max() < 1e-3
