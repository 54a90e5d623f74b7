import itertools
import json
import time
from datetime import timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from rasterio.features import rasterize

from avalanche_assets.catalogue.orbits import pass_orbit
from avalanche_assets.errors import SafeError, SettingsError, TerrainError
from avalanche_assets.rasters import read_bands, read_grid
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.mosaic import terrain_corrected_sigma0
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.sentinel1.track_geometry import track_geometry
from avalanche_assets.settings import load_settings
from avalanche_assets.simulation.season import simulate_season
from avalanche_assets.simulation.sizes import SIZES


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """The tiny season and what it said while it was made."""
    out = tmp_path_factory.mktemp("season")
    lines = []
    simulate_season(out, "tiny", progress=lines.append)
    return out, lines


def acquisitions(out):
    return json.loads((out / "simulation.json").read_text())["acquisitions"]


def test_season_has_everything_a_service_delivers(season):
    out, lines = season
    for name in ("dem.tif", "inventory/corridors.gpkg", "inventory/massifs.gpkg", "inventory/epa_events.csv"):
        assert (out / name).stat().st_size > 0
    assert (out / "truth" / "deposits.parquet").exists()
    names = sorted(path.name for path in (out / "products").iterdir())
    assert names == sorted(name for item in acquisitions(out) for name in item["products"])
    assert len(names) == 2 * 10
    # One line an acquisition, and some about terrain, avalanches and the end.
    assert len(lines) >= 13


def test_settings_load_and_point_to_the_files(season):
    out, _ = season
    settings = load_settings(out / "avalanche.toml")
    assert settings.simulated
    assert settings.track.relative_orbit == 139
    for path in (
        settings.source.folder,
        settings.source.orbits,
        settings.terrain.dem,
        settings.inventory.corridors,
        settings.inventory.events,
    ):
        assert path.exists()
    assert settings.data_root == out.resolve() / "data"


def test_orbit_files_are_precise_but_for_the_last_date_and_one_without(season):
    out, _ = season
    kinds, grid_errors_us = [], {}
    for item in acquisitions(out):
        products = [Product.open(out / "products" / name) for name in item["products"]]
        chosen = pass_orbit(products, out / "orbits")
        kinds.append(chosen.orbit.source)
        assert chosen.orbit.file == (item["orbit_file"] or "")
        for name, orbit in (("chosen", chosen.orbit), ("annotated", products[0].orbit)):
            errors = [grid_error_us(product, orbit) for product in products]
            grid_errors_us.setdefault((name, chosen.orbit.source), []).append(max(errors))
    assert kinds == ["POEORB"] * 5 + ["annotation"] + ["POEORB"] * 3 + ["RESORB"]
    # The grid is of the orbit that was flown, in whole microseconds; decimetres are tens of them.
    assert max(grid_errors_us["chosen", "POEORB"] + grid_errors_us["chosen", "RESORB"]) < 2.0
    assert 10.0 < max(grid_errors_us["annotated", "POEORB"]) < 100.0


def grid_error_us(product, orbit):
    grid = product.annotation.grid
    time, _ = zero_doppler(orbit, geodetic_to_ecef(grid.lon_deg, grid.lat_deg, grid.height_m))
    annotated = np.array([orbit.seconds(instant) for instant in grid.azimuth_time])
    return 1e6 * abs(time - annotated).max()


@pytest.mark.parametrize("name", sorted(SIZES))
def test_every_size_has_a_gap_references_and_both_noise_formats(name):
    size = SIZES[name]
    days = [item.date for item in size.winter()]
    steps = [later - earlier for earlier, later in itertools.pairwise(days)]
    assert timedelta(days=12) in steps
    assert timedelta(days=6) in steps
    assert days[0].toordinal() < 736766 <= days[-1].toordinal()  # 13 March 2018
    assert len(size.reference()) >= 2
    assert size.learning.get("test_dates", 3) + size.learning.get("validation_dates", 2) + 3 <= len(days)


def test_products_open_and_cover_the_elevation_model(season):
    out, _ = season
    grid = read_grid(out / "dem.tif")
    dem = read_bands(out / "dem.tif")["elevation"]
    for item in (acquisitions(out)[0], acquisitions(out)[-1]):
        products = [Product.open(out / "products" / name) for name in item["products"]]
        stack = SliceStack.of(products)
        sigma0 = terrain_corrected_sigma0(products, stack.orbit, dem, grid)
        geometry = track_geometry(stack.orbit, dem, grid)
        seen = geometry.visibility == 0
        assert seen.mean() > 0.8
        assert np.isfinite(sigma0.vv[seen]).mean() > 0.999
        level_db = 10 * np.log10(np.nanmedian(sigma0.vv[seen]))
        assert -20.0 < level_db < -7.0


def test_visible_deposits_are_brighter_than_their_surroundings(season):
    out, _ = season
    grid = read_grid(out / "dem.tif")
    dem = read_bands(out / "dem.tif")["elevation"]
    deposits = gpd.read_parquet(out / "truth" / "deposits.parquet")
    images = {}
    for item in acquisitions(out):
        products = [Product.open(out / "products" / name) for name in item["products"]]
        orbit = SliceStack.of(products).orbit
        images[item["date"]] = terrain_corrected_sigma0(products, orbit, dem, grid).vv
    geometry = track_geometry(orbit, dem, grid)
    clear = (geometry.visibility == 0) & (geometry.local_incidence_deg > 30.0)
    gains = []
    days = [item["date"] for item in acquisitions(out) if item["role"] == "winter"]
    for earlier, later in itertools.pairwise(days):
        between = (deposits.instant > pd.Timestamp(f"{earlier}T05:43:30Z")) & (
            deposits.instant <= pd.Timestamp(f"{later}T05:43:30Z")
        )
        change = images[later] / images[earlier]
        for row in deposits[between & (deposits.dvv_db > 4.0) & (deposits.area_m2 > 8000.0)].itertuples():
            inside = rasterize([row.geometry], grid.shape, transform=grid.transform).astype(bool)
            around = rasterize([row.geometry.buffer(200.0)], grid.shape, transform=grid.transform) > inside
            if (inside & clear).sum() >= 12:
                gains.append(
                    10 * np.log10(np.median(change[inside & clear]) / np.median(change[around & clear]))
                )
    assert len(gains) >= 3
    # True contrasts are 4 dB and more at the fall; speckle, decay and neighbours take their share.
    assert np.median(gains) > 2.0
    assert np.mean(np.array(gains) > 0.5) > 0.8


def test_complete_season_is_kept(season):
    out, _ = season
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    begin = time.perf_counter()
    lines = []
    simulate_season(out, "tiny", progress=lines.append)
    assert time.perf_counter() - begin < 1.0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    assert len(lines) == 1


def test_interrupted_season_goes_on_with_the_same_bytes(season):
    out, _ = season
    lost = out / "products" / acquisitions(out)[3]["products"][1]
    kept = out / "products" / acquisitions(out)[4]["products"][0]
    content, kept_time = lost.read_bytes(), kept.stat().st_mtime_ns
    orbit = out / "orbits" / acquisitions(out)[2]["orbit_file"]
    orbit_text = orbit.read_text()
    lost.unlink()
    orbit.unlink()
    simulate_season(out, "tiny", progress=lambda line: None)
    assert lost.read_bytes() == content
    assert orbit.read_text() == orbit_text
    assert kept.stat().st_mtime_ns == kept_time


def test_results_of_another_simulation_are_not_mixed(season):
    out, _ = season
    (out / "data").mkdir()
    try:
        with pytest.raises(SettingsError, match="another simulation"):
            simulate_season(out, "tiny", seed=1, progress=lambda line: None)
        assert len(list((out / "products").iterdir())) == 20
    finally:
        (out / "data").rmdir()


def test_foreign_folder_is_refused(tmp_path):
    (tmp_path / "products").mkdir()
    with pytest.raises(SettingsError, match="no simulation wrote"):
        simulate_season(tmp_path, "tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["products"]


def test_missing_dem_and_template_outside_are_named(tmp_path, real_data):
    with pytest.raises(SettingsError, match=r"nowhere\.tif"):
        simulate_season(tmp_path / "a", "tiny", dem=tmp_path / "nowhere.tif")
    template = next((real_data / "safe").glob("S1A*8255*.zip"))
    with pytest.raises((SafeError, TerrainError), match="8255"):
        simulate_season(
            tmp_path / "b",
            "tiny",
            dem=real_data / "dem_davos_20km_utm32_30m.tif",
            template=template,
            progress=lambda line: None,
        )
