import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin
from rio_cogeo import cog_validate
from stored_roots import names

from avalanche_assets.errors import TableError
from avalanche_assets.files import atomic_path
from avalanche_assets.grid import Grid, Window
from avalanche_assets.rasters import cog_writer, common_tag, read_bands, read_grid, read_tags, write_cog
from avalanche_assets.stored_path import local_file

GRID = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 320, 576)
UNITS = {"vv": "1", "vh": "1"}


@pytest.fixture
def bands() -> dict[str, np.ndarray]:
    vv = np.random.default_rng(0).gamma(4.4, 0.02, GRID.shape).astype(np.float32)
    vv[:64, :64] = np.nan
    return {"vv": vv, "vh": vv / 5.0}


@pytest.fixture
def raster(root, bands):
    path = root / "sigma0" / "sigma0.tif"
    write_cog(path, bands, GRID, UNITS, {"products": "S1A_X", "processor": "1"})
    return path


def test_bands_come_back_bit_for_bit(raster, bands):
    back = read_bands(raster)
    assert list(back) == ["vv", "vh"]
    for name, values in bands.items():
        np.testing.assert_array_equal(back[name], values)
        assert back[name].dtype == np.float32


def test_grid_and_tags_come_back(raster):
    assert read_grid(raster) == GRID
    assert read_tags(raster)["products"] == "S1A_X"


def test_file_is_a_tiled_cog_with_units_and_nan_nodata(raster):
    with local_file(raster) as file, rasterio.open(file) as dataset:
        assert dataset.profile["tiled"]
        assert dataset.block_shapes == [(128, 128)] * 2
        assert dataset.compression.value == "ZSTD"
        assert dataset.units == ("1", "1")
        assert np.isnan(dataset.nodata)


def test_independent_validator_calls_it_cloud_optimized(raster):
    with local_file(raster) as file:
        valid, errors, _ = cog_validate(file)
    assert valid, errors


def test_tiles_come_back_in_any_order_of_writing(root, bands):
    with cog_writer(root / "tiles.tif", UNITS, GRID, {"products": "S1A_X"}) as write:
        for window in reversed(list(GRID.tiles(256))):
            write(window, {name: values[window.slices] for name, values in bands.items()})
    back = read_bands(root / "tiles.tif")
    for name, values in bands.items():
        np.testing.assert_array_equal(back[name], values)
    with local_file(root / "tiles.tif") as file:
        assert cog_validate(file)[0]


def test_nothing_appears_when_writing_breaks_off(root):
    with pytest.raises(RuntimeError), cog_writer(root / "half.tif", UNITS, GRID):
        raise RuntimeError
    assert names(root) == []


def test_window_and_choice_of_bands(raster, bands):
    window = Window(60, 50, 64, 64)
    back = read_bands(raster, ["vh"], window)
    assert list(back) == ["vh"]
    np.testing.assert_array_equal(back["vh"], bands["vh"][window.slices])


def test_empty_blocks_take_no_space(root):
    grid = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 2048, 2048)
    noise = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    sparse = np.full(grid.shape, np.nan, np.float32)
    sparse[256:512, 256:512] = noise
    write_cog(root / "sparse.tif", {"vv": sparse}, grid, UNITS)
    assert (root / "sparse.tif").stat().st_size < 1.2 * noise.nbytes
    np.testing.assert_array_equal(read_bands(root / "sparse.tif")["vv"], sparse)


def test_missing_raster_and_band_are_named(root, raster):
    for read in (read_bands, read_grid):
        with pytest.raises(TableError, match=r"none\.tif: raster is missing; materialise"):
            read(root / "none.tif")
    with pytest.raises(TableError, match=r"no band \['hh'\].*vv"):
        read_bands(raster, ["vv", "hh"])


@pytest.mark.parametrize(
    ("crs", "transform", "message"),
    [
        (None, from_origin(0, 0, 20, 20), "no coordinate system"),
        ("EPSG:32632", Affine(20, 1, 0, 0, -20, 0), "not a north-up raster"),
        ("EPSG:32632", from_origin(0, 0, 20, 30), "square pixels"),
    ],
)
def test_raster_that_is_no_grid_is_refused(crs, transform, message, root):
    path = root / "odd.tif"
    with (
        atomic_path(path) as temporary,
        rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            dtype="float32",
            count=1,
            height=4,
            width=4,
            crs=crs,
            transform=transform,
        ) as dataset,
    ):
        dataset.write(np.zeros((1, 4, 4), np.float32))
    with pytest.raises(TableError, match=message):
        read_grid(path)


def test_failed_write_leaves_the_old_raster(raster, bands):
    with pytest.raises(KeyError):
        write_cog(raster, bands, GRID, {"vv": "1"})
    np.testing.assert_array_equal(read_bands(raster)["vv"], bands["vv"])
    assert names(raster.parent) == [raster.name]


def test_rasters_that_disagree_on_a_tag_are_named_with_the_remedy(root, raster, bands):
    same, other = root / "same.tif", root / "other.tif"
    write_cog(same, bands, GRID, UNITS, {"products": "S1A_X"})
    write_cog(other, bands, GRID, UNITS, {"products": "S1B_Y"})
    assert common_tag([raster, same], "products", "keep one") == "S1A_X"
    with pytest.raises(
        TableError, match=r"other\.tif: products is 'S1B_Y', that of .*sigma0\.tif is 'S1A_X'; keep"
    ):
        common_tag([raster, same, other], "products", "keep one")
