import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from avalanche_assets.backscatter.ready_made import grid_of, read_ready_made
from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid


def write_raster(path, bands, transform, crs="EPSG:32632"):
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "dtype": "float32", "count": count, "height": height, "width": width}
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as dataset:
        dataset.write(bands.astype(np.float32))


@pytest.fixture
def fine(tmp_path):
    """A 10 m checkerboard of 0.1 and 0.3 over 1.28 km, incidence 0.7 rad."""
    rows, cols = np.indices((128, 128))
    vv = np.where((rows + cols) % 2, 0.1, 0.3)
    path = tmp_path / "20190225_rtc.tif"
    write_raster(path, np.stack([vv, vv / 4, np.full_like(vv, 0.7)]), from_origin(320000, 5001280, 10, 10))
    return path


def test_coarser_grid_averages_power(fine):
    grid = Grid("EPSG:32632", 20.0, 320000.0, 5001280.0, 64, 64)
    bands = read_ready_made(fine, grid, "linear", "rad")
    # Each 20 m cell holds two pixels of 0.1 and two of 0.3: mean power 0.2, not the mean of dB (0.173).
    assert bands["vv"] == pytest.approx(np.full((64, 64), 0.2), rel=1e-6)
    assert bands["vh"] == pytest.approx(np.full((64, 64), 0.05), rel=1e-6)
    assert bands["incidence"] == pytest.approx(np.full((64, 64), np.degrees(0.7)), rel=1e-6)


def test_decibel_source_gives_the_same_power(fine, tmp_path):
    grid = Grid("EPSG:32632", 20.0, 320000.0, 5001280.0, 64, 64)
    with rasterio.open(fine) as dataset:
        bands, transform = dataset.read(), dataset.transform
    bands[:2] = 10 * np.log10(bands[:2])
    write_raster(tmp_path / "db.tif", bands, transform)
    assert read_ready_made(tmp_path / "db.tif", grid, "db", "rad")["vv"] == pytest.approx(0.2, rel=1e-5)


def test_zeros_outside_the_scene_become_no_value(tmp_path):
    bands = np.full((3, 64, 64), 0.2)
    bands[:, :, :32] = 0
    write_raster(tmp_path / "edge.tif", bands, from_origin(320000, 5001280, 20, 20))
    grid = Grid("EPSG:32632", 20.0, 320000.0, 5001280.0, 64, 64)
    vv = read_ready_made(tmp_path / "edge.tif", grid, "linear")["vv"]
    assert np.isnan(vv[:, :31]).all()
    assert vv[:, 33:] == pytest.approx(0.2)


def test_two_bands_are_refused_by_name(tmp_path):
    write_raster(tmp_path / "two.tif", np.ones((2, 8, 8)), from_origin(0, 0, 20, 20))
    grid = Grid("EPSG:32632", 20.0, 0.0, 0.0, 64, 64)
    with pytest.raises(TerrainError, match=r"two\.tif: 2 bands; expected VV, VH and incidence"):
        read_ready_made(tmp_path / "two.tif", grid, "linear")


def test_raster_elsewhere_is_refused(fine):
    grid = Grid("EPSG:32632", 20.0, 700000.0, 5001280.0, 64, 64)
    with pytest.raises(TerrainError, match="no pixel with a value on the analysis grid"):
        read_ready_made(fine, grid, "linear")


def test_real_passes_keep_their_measured_jump(real_data):
    folder = real_data / "rtc_idaho"
    paths = sorted(folder.glob("*.tif"))
    if len(paths) != 3:
        pytest.skip(f"no repeat passes in {folder}")
    grid = grid_of(paths[0], "EPSG:32611", 20.0)
    vv = [10 * np.log10(read_ready_made(path, grid, "linear", "rad")["vv"]) for path in paths]
    # Measured on the source pixels: +3.2 dB, then -0.7 dB; warping may move a median by a tenth.
    assert np.nanmedian(vv[1] - vv[0]) == pytest.approx(3.2, abs=0.1)
    assert np.nanmedian(vv[2] - vv[1]) == pytest.approx(-0.7, abs=0.1)
