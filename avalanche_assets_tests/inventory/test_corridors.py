import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from inventory_world import DEM, GRID, NORTH, WEST, rectangle, write
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box
from shapely.ops import substring

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.corridors import read_corridors
from avalanche_assets.inventory.massifs import assign_massifs, read_massifs
from avalanche_assets.settings import GridSettings
from avalanche_assets.tables import CORRIDORS, read_geotable, write_geotable
from avalanche_assets.terrain.dem import prepare_dem


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".parquet"])
def test_polygons_of_every_format_and_system_give_the_same_corridor(suffix, tmp_path):
    columns = {"insee": ["73040"], "site": ["7"], "nom": ["Ravin de l'Arc"]}
    crs = "EPSG:4326" if suffix == ".geojson" else "EPSG:2154"
    source = gpd.GeoSeries([rectangle()], crs="EPSG:32632").to_crs(crs)
    path = write(tmp_path / f"corridors{suffix}", source.to_numpy(), crs, **columns)
    frame, report = read_corridors(path, None, DEM, GRID)
    assert frame.crs.to_epsg() == 32632
    corridor = frame.iloc[0]
    assert corridor["corridor_id"] == "73040007"
    assert corridor["name"] == "Ravin de l'Arc"
    # GeoJSON stores 7 decimals of a degree, about 1 cm
    assert shapely.hausdorff_distance(corridor.geometry, rectangle()) < 0.05
    assert corridor["area_m2"] == pytest.approx(400.0 * 1000.0, rel=1e-3)
    # rows 100..149: top 2000 m; the lowest tenth of the drop is rows 146..149
    assert corridor["top_elevation_m"] == pytest.approx(2000.0, abs=5.0)
    assert corridor["deposit_elevation_m"] == pytest.approx(2500.0 - 5.0 * 147.5, abs=7.5)
    assert corridor["deposit_x"] == pytest.approx(WEST + 1200.0, abs=20.0)
    assert (report.read, report.kept, report.rejected) == (1, 1, ())


def test_frame_is_ordered_by_id_and_can_be_stored(tmp_path):
    path = write(
        tmp_path / "c.gpkg",
        [rectangle(), rectangle(2000.0)],
        corridor_id=["73040009", "73040001"],
        observed=[True, False],
        massif_id=[11, 10],
        massif=["Haute-Maurienne", "Vanoise"],
    )
    frame, _ = read_corridors(path, None, DEM, GRID)
    assert frame["corridor_id"].tolist() == ["73040001", "73040009"]
    assert frame["observed"].tolist() == [False, True]
    assert frame["massif"].tolist() == ["Vanoise", "Haute-Maurienne"]
    write_geotable(tmp_path / "stored.parquet", frame, CORRIDORS)
    stored = read_geotable(tmp_path / "stored.parquet", CORRIDORS)
    pd.testing.assert_frame_equal(
        stored.drop(columns="geometry"), frame.drop(columns="geometry"), check_dtype=False
    )
    assert stored.crs == frame.crs


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 0], [True, False]),
        (["oui", "non"], [True, False]),
        (["True", None], [True, False]),
        ([1.0, float("nan")], [True, False]),
    ],
)
def test_observed_flag_in_many_spellings_and_unknown_is_not_observed(values, expected, tmp_path):
    path = write(
        tmp_path / "c.gpkg", [rectangle(), rectangle(2000.0)], corridor_id=["a1", "b2"], observed=values
    )
    frame, _ = read_corridors(path, None, DEM, GRID)
    assert frame["observed"].tolist() == expected


def test_outline_lines_are_closed_and_other_lines_left_out(tmp_path):
    ring = LineString(rectangle().exterior.coords)
    outline = substring(ring, 0.0, ring.length - 86.0)  # open by 86 m at the end
    halves = list(rectangle(2000.0).exterior.coords)
    path = write(
        tmp_path / "lines.shp",
        [
            outline,
            LineString([(WEST, NORTH), (WEST + 9, NORTH)]),
            LineString(halves[:3]),
            LineString(halves[2:4]),
        ],
        CODE=[1, 2, 1, 1],
        INSEE=[4001, 4001, 38002, 38002],
        SITE=[15, 15, 2, 2],
    )
    frame, report = read_corridors(path, None, DEM, GRID)
    assert frame["corridor_id"].tolist() == ["04001015", "38002002"]
    assert frame["area_m2"].to_numpy() == pytest.approx([400_000.0, 400_000.0], rel=1e-6)
    assert report.mended["closed outlines"] == 2


def test_lines_without_code_are_refused(tmp_path):
    path = write(tmp_path / "l.gpkg", [LineString([(WEST, NORTH), (WEST + 9, NORTH)])], corridor_id=["a"])
    with pytest.raises(InventoryError, match="no column CODE"):
        read_corridors(path, None, DEM, GRID)


def test_points_become_circles_and_are_their_own_deposit_point(tmp_path):
    point = Point(WEST + 2003.0, NORTH - 2011.0)
    path = write(tmp_path / "p.gpkg", [point], corridor_id=["38002002"])
    with_dem, _ = read_corridors(path, None, DEM, GRID)
    without, report = read_corridors(path, None, None, GRID)
    for frame in (with_dem, without):
        assert (frame["deposit_x"][0], frame["deposit_y"][0]) == (point.x, point.y)
        # a circle of 300 m drawn with 8 segments a quadrant lacks 0.64 % of its area
        assert frame["area_m2"][0] == pytest.approx(np.pi * 300.0**2, rel=0.007)
    assert with_dem["deposit_elevation_m"][0] == 2500.0 - 5.0 * 100
    assert with_dem["top_elevation_m"][0] == pytest.approx(2500.0 - 5.0 * 85.5, abs=5.0)
    assert np.isnan(without["deposit_elevation_m"][0])
    assert np.isnan(without["top_elevation_m"][0])
    assert report.mended["points made circles"] == 1


def test_polygons_without_dem_are_refused(tmp_path):
    path = write(tmp_path / "c.gpkg", [rectangle()], corridor_id=["38002002"])
    with pytest.raises(InventoryError, match=r"polygons need an elevation model.*terrain\.dem"):
        read_corridors(path, None, None, GRID)


def test_every_unusable_corridor_is_rejected_with_its_reason(tmp_path):
    bow_tie = Polygon(
        [(WEST + x, NORTH - y) for x, y in [(1000, 2000), (1400, 2400), (1400, 2000), (1000, 2400)]]
    )
    flat = Polygon([(WEST + 1000, NORTH - 1000), (WEST + 1400, NORTH - 1000), (WEST + 1200, NORTH - 1000)])
    path = write(
        tmp_path / "c.parquet",
        [
            rectangle(),
            bow_tie,
            rectangle(2000.0),
            None,
            flat,
            rectangle(3000.0),
            rectangle(100.0),
            rectangle(3000.0, 4900.0),
            rectangle(90_000.0),
            MultiPolygon([rectangle(2000.0), rectangle(2600.0)]),
        ],
        corridor_id=["ok", "tie", "ok", "none", "flat", "", "edge", "half", "far", "multi"],
    )
    frame, report = read_corridors(path, None, DEM, GRID)
    assert frame["corridor_id"].tolist() == ["edge", "multi", "ok", "tie"]
    assert frame["area_m2"].tolist() == pytest.approx([400_000.0, 800_000.0, 400_000.0, 80_000.0])
    assert {item.record: item.reason for item in report.rejected} == {
        "feature 3": "corridor id 'ok' appears before; the first is kept",
        "feature 4": "no geometry",
        "feature 5": "geometry without area",
        "feature 6": "no corridor id",
        "half": "only '22%' of it lies on the elevation model",
        "far": "no height of the elevation model inside it",
    }
    assert (report.read, report.kept, report.mended["repaired geometries"]) == (10, 4, 1)
    assert "10 read, 4 kept, 1 repaired geometries" in report.summary()


def test_no_usable_corridor_is_an_error_with_the_reasons(tmp_path):
    path = write(tmp_path / "c.gpkg", [rectangle(90_000.0)], corridor_id=["far"])
    with pytest.raises(InventoryError, match=r"no corridor can be used .*1 rejected: no height"):
        read_corridors(path, None, DEM, GRID)


def test_missing_id_column_lists_the_columns_found(tmp_path):
    path = write(tmp_path / "c.gpkg", [rectangle()], Libelle=["x"], site=["3"])
    message = r"no column for \['corridor_id or insee'\].*corridor_columns.*found \['Libelle', 'site'\]"
    with pytest.raises(InventoryError, match=message):
        read_corridors(path, None, DEM, GRID)


def test_unknown_coordinate_system_is_refused(tmp_path):
    path = write(tmp_path / "c.gpkg", [rectangle()], crs=None, corridor_id=["a"])
    with pytest.raises(InventoryError, match="unknown coordinate system"):
        read_corridors(path, None, DEM, GRID)


def test_unreadable_and_missing_maps_are_named(tmp_path):
    broken = tmp_path / "broken.gpkg"
    broken.write_text("no map")
    plain = tmp_path / "plain.parquet"
    pd.DataFrame({"corridor_id": ["a"]}).to_parquet(plain)
    for path, message in [
        (broken, "not a readable vector map"),
        (plain, "not a readable vector map"),
        (tmp_path / "none.gpkg", r"file not found; set inventory\.corridors"),
    ]:
        with pytest.raises(InventoryError, match=rf"{path.name}: {message}"):
            read_corridors(path, None, DEM, GRID)


@pytest.mark.parametrize("names", [("massif_id", "massif"), ("code", "title")])
def test_massif_is_the_one_with_the_largest_overlap(names, tmp_path):
    massifs = write(
        tmp_path / "m.gpkg",
        [rectangle(0.0, 0.0, 1300.0, 5000.0), rectangle(1300.0, 0.0, 800.0, 5000.0)],
        **{names[0]: [11, 10], names[1]: ["Haute-Maurienne", "Vanoise"]},
    )
    path = write(
        tmp_path / "c.gpkg",
        [rectangle(1000.0), rectangle(1200.0), rectangle(3000.0)],
        corridor_id=["a", "b", "c"],
    )
    frame, _ = read_corridors(path, read_massifs(massifs, GRID.crs), DEM, GRID)
    assert frame["massif_id"].tolist() == [11, 10, 0]
    assert frame["massif"].tolist() == ["Haute-Maurienne", "Vanoise", ""]


def test_massifs_without_number_are_refused(tmp_path):
    massifs = write(tmp_path / "m.gpkg", [rectangle()], title=["Vanoise"])
    with pytest.raises(InventoryError, match=r"m\.gpkg: no column for \['massif_id'\].*found \['title'\]"):
        read_massifs(massifs, GRID.crs)


def test_real_massif_map_knows_its_peaks_and_villages(real_data):
    massifs = read_massifs(real_data / "massifs_alpes_2154.gpkg", "EPSG:32632")
    assert sorted(massifs["massif_id"]) == list(range(1, 24))
    places = gpd.GeoSeries(
        [Point(7.098, 45.386), Point(6.0, 45.25), Point(6.865, 45.833), Point(2.35, 48.86)], crs="EPSG:4326"
    )  # south of Bonneval-sur-Arc, the Belledonne range, Mont Blanc, Paris
    numbers, names = assign_massifs(places.to_crs("EPSG:32632").buffer(500.0), massifs)
    assert names == ["Haute-Maurienne", "Belledonne", "Mont-Blanc", ""]
    assert numbers == [11, 8, 3, 0]


def test_deposit_point_of_a_corridor_on_real_terrain_lies_low_in_it(real_data, tmp_path):
    grid, heights = prepare_dem(real_data / "dem_davos_20km_utm32_30m.tif", GridSettings(), "ellipsoidal")
    rng = np.random.default_rng(5)
    x = rng.uniform(563_000.0, 577_000.0, 30)
    y = rng.uniform(5_173_000.0, 5_187_000.0, 30)
    shapes = [box(a, b, a + 450.0, b + 1200.0) for a, b in zip(x, y, strict=True)]
    path = write(tmp_path / "c.gpkg", shapes, corridor_id=[f"c{i:02d}" for i in range(30)])
    frame, report = read_corridors(path, None, heights, grid)
    assert report.kept == 30
    with rasterio.open(real_data / "dem_davos_20km_utm32_30m.tif") as dataset:
        source, transform = dataset.read(1), dataset.transform
    for corridor in frame.itertuples():
        inside = rasterio.features.geometry_mask([corridor.geometry], source.shape, transform, invert=True)
        heights_inside = source[inside]
        drop = np.ptp(heights_inside)
        row, col = rasterio.transform.rowcol(transform, corridor.deposit_x, corridor.deposit_y)
        assert corridor.geometry.intersects(Point(corridor.deposit_x, corridor.deposit_y).buffer(15.0))
        # bilinear against nearest post: up to 25 m on a 40 deg slope
        assert corridor.deposit_elevation_m == pytest.approx(source[row, col], abs=25.0)
        # a low part in several pieces may put its centroid higher, but never in the upper half
        assert corridor.deposit_elevation_m < heights_inside.min() + 0.5 * drop
