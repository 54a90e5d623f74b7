"""The asset `dem` says where its heights come from."""

from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from loopback.fake_glo30 import FakeBucket, raster, tile

from avalanche_assets.assets.terrain import terrain_assets
from avalanche_assets.rasters import read_bands, read_tags
from avalanche_assets.resources.pipeline import Pipeline


def flat(height: float):
    return lambda lon, lat: height + 0.0 * lon


def write_settings(folder: Path, terrain: str) -> Path:
    path = folder / "avalanche.toml"
    path.write_text(
        f'data_root = "data"\n[source]\nfolder = "products"\narea = [6.4, 45.4, 6.5, 45.5]\n'
        f"[source.transfer]\nattempts = 1\nkeep_free_gb = 0.0\n[terrain]\n{terrain}\n"
        '[inventory]\ncorridors = "corridors.gpkg"\nevents = "events.csv"\n'
    )
    return path


def materialised(settings: Path) -> tuple[dg.ExecuteInProcessResult, dict[str, object]]:
    dem = terrain_assets()[0]
    result = dg.materialize([dem], resources={"pipeline": Pipeline(settings_file=str(settings))})
    (done,) = result.asset_materializations_for_node("dem")
    return result, {name: value.value for name, value in done.metadata.items()}


def test_heights_of_tiles_are_ellipsoidal_and_their_origin_is_told(tmp_path, capfd):
    with FakeBucket() as bucket:
        path = bucket.add_tile(6, 45, tile(6, 45, flat(1500.0)))
        bucket.files["/egm08.tif"] = raster(3.0, 48.0, (24, 24), 0.25, flat(51.0))
        addresses = f'glo30_url = "{bucket.url}"\ngeoid_url = "{bucket.url}/egm08.tif"'
        settings = write_settings(tmp_path, f'source = "glo30"\n{addresses}')
        _, metadata = materialised(settings)
        log = capfd.readouterr().err
        _, again = materialised(settings)
    pipeline = Pipeline(settings_file=str(settings))
    # Heights in single precision: 1e-4 m.
    np.testing.assert_allclose(read_bands(pipeline.layout.dem)["elevation"], 1551.0, atol=1e-3)
    assert read_tags(pipeline.layout.dem)["vertical_datum"] == "ellipsoidal"
    assert "provided under COPERNICUS" in read_tags(pipeline.layout.dem)["attribution"]
    assert metadata["source"] == bucket.url
    assert (metadata["tiles"], metadata["tiles fetched now"], metadata["tiles not there"]) == (1, 1, "none")
    assert metadata["bytes of tiles"] == len(bucket.files[path])
    assert str(metadata["retrieved"]).endswith("UTC")
    assert "Copernicus_DSM_COG_10_N45_00_E006_00_DEM.tif: 0 of 0 MB" in log
    assert again["tiles fetched now"] == 0


def test_a_local_elevation_model_is_named(tmp_path):
    (tmp_path / "dem.tif").write_bytes(raster(6.4, 45.5, (100, 100), 0.001, flat(900.0)))
    settings = write_settings(tmp_path, 'dem = "dem.tif"\nvertical_datum = "ellipsoidal"')
    _, metadata = materialised(settings)
    assert metadata["source"] == str(tmp_path / "dem.tif")
    assert metadata["lowest (m)"] == pytest.approx(900.0)
