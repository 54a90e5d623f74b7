"""The track geometry is computed once for an orbit and an elevation model, and says what from."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from avalanche_assets.assets.terrain import track_geometry_asset
from avalanche_assets.automation.partitions import Partitions
from avalanche_assets.catalogue.acquisitions import Acquisition, AcquisitionCatalogue, write_catalogue
from avalanche_assets.grid import Grid
from avalanche_assets.rasters import read_bands, read_tags, write_cog
from avalanche_assets.resources.pipeline import Pipeline
from avalanche_assets.sentinel1.orbit import Orbit

DAYS = (date(2017, 12, 3), date(2017, 12, 9))
GRID = Grid("EPSG:32632", 20.0, 300160.0, 5017600.0, 64, 64)


def circular_orbit(file: str, height_m: float = 7.07e6) -> Orbit:
    """A great circle going south-west some 600 km east of the grid."""
    lon, lat, heading = np.radians([13.5, 45.0, 192.0])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    along = np.cos(heading) * np.cross(up, east) + np.sin(heading) * east
    times = np.arange(0.0, 130.0, 10.0)
    angle = (7.5e3 / height_m) * (times - 60.0)[:, None]
    path = height_m * (np.cos(angle) * up + np.sin(angle) * along)
    return Orbit(np.datetime64("2017-12-03T05:35:00", "ns"), times, path, "POEORB", file)


class Deployment:
    """A data root with an elevation model and the orbits of two dates, and the asset."""

    def __init__(self, folder: Path) -> None:
        settings = folder / "avalanche.toml"
        for name in ("dem.tif", "corridors.gpkg", "events.csv"):
            (folder / name).touch()
        (folder / "products").mkdir()
        settings.write_text(
            'data_root = "data"\n[source]\nkind = "safe_folder"\nfolder = "products"\n'
            '[terrain]\ndem = "dem.tif"\nvertical_datum = "ellipsoidal"\n'
            '[inventory]\ncorridors = "corridors.gpkg"\nevents = "events.csv"\n'
        )
        self.pipeline = Pipeline(settings_file=str(settings))
        self.layout = self.pipeline.layout
        passes = [
            Acquisition(day, datetime(day.year, day.month, day.day, 5, 36, tzinfo=UTC), "S1B", 8510, "winter",
                        "2017-18", "complete", ("A",))
            for day in DAYS
        ]  # fmt: skip
        catalogue = AcquisitionCatalogue(tuple(passes))
        write_catalogue(self.layout.acquisition_catalogue, passes)
        partitions = Partitions(catalogue, self.pipeline.settings)
        self.asset = track_geometry_asset(partitions, dg.AssetSpec("dem"), dg.AssetSpec("orbit_files"))
        self.store_dem(0.0)
        for day in DAYS:
            self.store_orbit(day, circular_orbit(f"EOF_{day}"))

    def store_dem(self, lift_m: float) -> None:
        heights = np.add.outer(np.zeros(64), 10.0 * np.arange(64)).astype(np.float32) + lift_m
        write_cog(self.layout.dem, {"elevation": heights}, GRID, {"elevation": "m"})

    def store_orbit(self, day: date, orbit: Orbit) -> None:
        path = self.layout.orbit_files(day)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(orbit.to_json(), encoding="utf-8")

    def materialise(self) -> dict[str, object]:
        return dict(self.asset(pipeline=self.pipeline).metadata)


@pytest.fixture
def deployment(tmp_path):
    return Deployment(tmp_path)


def test_bands_and_tags_of_the_stored_geometry(deployment):
    metadata = deployment.materialise()
    bands = read_bands(deployment.layout.track_geometry)
    assert list(bands) == ["incidence", "local_incidence", "visibility", "flattening"]
    assert all(np.isfinite(values).all() for values in bands.values())
    assert (bands["visibility"] == 0).all()
    tags = read_tags(deployment.layout.track_geometry)
    assert (tags["orbit_date"], tags["orbit_source"], tags["orbit_file"]) == (
        "2017-12-03",
        "POEORB",
        "EOF_2017-12-03",
    )
    assert not metadata["kept as stored"]
    json.dumps({key: str(value) for key, value in metadata.items()})


def test_same_orbit_and_terrain_keep_what_is_stored(deployment):
    deployment.materialise()
    stored = deployment.layout.track_geometry.stat()
    deployment.store_orbit(DAYS[1], circular_orbit("another", 7.071e6))  # a later date is made again
    deployment.store_dem(0.0)
    assert deployment.materialise()["kept as stored"]
    assert deployment.layout.track_geometry.stat().st_mtime_ns == stored.st_mtime_ns


@pytest.mark.parametrize("change", ["elevation model", "orbit", "damaged file"])
def test_other_inputs_are_computed_anew(deployment, change):
    deployment.materialise()
    before = read_bands(deployment.layout.track_geometry)["incidence"]
    if change == "elevation model":
        deployment.store_dem(1000.0)
    elif change == "orbit":
        deployment.store_orbit(DAYS[0], circular_orbit("better", 7.08e6))
    else:
        deployment.layout.track_geometry.write_bytes(b"II*\0")
    assert not deployment.materialise()["kept as stored"]
    after = read_bands(deployment.layout.track_geometry)["incidence"]
    assert np.array_equal(after, before) == (change == "damaged file")
