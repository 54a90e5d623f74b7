"""Corridors from text tables with WKT, from maps with other headers, and their observation status."""

from datetime import date

import geopandas as gpd
import pytest
import shapely
from inventory_world import DEM, GRID, rectangle, write
from shapely.geometry import LineString

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.corridors import CorridorReading, read_corridors
from avalanche_assets.inventory.outlines import WIDELY_CLOSED
from avalanche_assets.inventory.site_status import read_site_status


def test_table_with_wkt_gives_corridors_and_names_its_bad_lines(tmp_path):
    path = tmp_path / "corridors.csv"
    good, odd = rectangle(), rectangle(2000.0)
    path.write_text(
        f'insee;site;nom;wkt\n73040;7;Arc;"{good.wkt}"\n73040;8;Col;POLYGON ((1 2\n73040;9;Vide;\n'
        f'38002;2;"deux\nlignes";"{odd.wkt}"\n73040;4\n',
        encoding="utf-8",
    )
    frame, report = read_corridors(path, None, DEM, GRID, CorridorReading(crs=GRID.crs))
    assert frame["corridor_id"].tolist() == ["38002002", "73040007"]
    # WKT has 15 digits
    assert shapely.hausdorff_distance(frame.geometry[1], good) < 1e-6
    assert {item.record: item.reason for item in report.rejected} == {
        "line 3": "shape 'POLYGON ((1 2' is no WKT",
        "line 4": "no geometry",
        "line 7": "wrong number of fields: '2', the header has 4",
    }
    assert (report.read, report.kept) == (5, 2)
    assert report.reasons()["shape is no WKT"] == 1


def test_shapes_may_say_their_own_coordinate_system(tmp_path):
    path = tmp_path / "corridors.tsv"
    path.write_text(f"corridor_id\tgeom\na\tSRID=32632;{rectangle().wkt}\n", encoding="utf-8")
    frame, _ = read_corridors(path, None, DEM, GRID)
    assert frame["area_m2"].tolist() == pytest.approx([400_000.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corridor_id,wkt\na,POINT (1 2)\n", r"unknown coordinate system; set inventory\.corridors_crs"),
        ("corridor_id,shape\na,POINT (1 2)\n", r"no column of shapes; .*found \['corridor_id', 'shape'\]"),
        (
            "corridor_id,wkt\na,SRID=2154;POINT (1 2)\nb,SRID=4326;POINT (1 2)\n",
            r"several coordinate systems \['2154', '4326'\]",
        ),
    ],
)
def test_table_whose_shapes_cannot_be_placed_is_refused(text, message, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InventoryError, match=message):
        read_corridors(path, None, DEM, GRID)


def test_columns_can_be_named(tmp_path):
    path = write(tmp_path / "c.gpkg", [rectangle()], Kennung=["x7"], Bezeichnung=["Graben"], name=["nicht"])
    how = CorridorReading(columns={"corridor_id": "Kennung", "name": "Bezeichnung"})
    frame, _ = read_corridors(path, None, DEM, GRID, how)
    assert frame[["corridor_id", "name"]].iloc[0].tolist() == ["x7", "Graben"]
    with pytest.raises(
        InventoryError,
        match=r"no column for \{'name': 'Titel'\} of inventory\.corridor_columns; found \['Kennung'",
    ):
        read_corridors(
            path, None, DEM, GRID, CorridorReading(columns={"corridor_id": "Kennung", "name": "Titel"})
        )


def test_lines_that_are_no_outlines_are_counted_and_sites_without_one_rejected(tmp_path):
    line = LineString(rectangle().exterior.coords[:4])
    path = write(
        tmp_path / "lines.shp",
        [line, line, line, line],
        CODE=[1, 2, 3, 1],
        INSEE=["4001", "4001", "4001", None],
        SITE=["15", "15", "16", "17"],
    )
    frame, report = read_corridors(path, None, DEM, GRID)
    assert frame["corridor_id"].tolist() == ["04001015"]
    assert report.mended["lines left out that are no outlines"] == 2
    assert {item.record: item.reason for item in report.rejected} == {
        "feature 4": "no corridor id",
        "04001016": "it has no outline (CODE 1)",
    }
    assert (report.read, report.kept) == (3, 1)


def test_shapes_with_heights_lose_them(tmp_path):
    path = write(tmp_path / "c.gpkg", [shapely.force_3d(rectangle(), 1500.0)], corridor_id=["a"])
    frame, _ = read_corridors(path, None, DEM, GRID)
    assert not frame.geometry[0].has_z


STATUS = (
    "INSEE de la commune,Numéro du site,Site éteint,date_fin site,Site perdu,Observation difficile,Date 1"
)


def status_file(tmp_path, *rows: str):
    path = tmp_path / "events.csv"
    path.write_text("\n".join([STATUS, *rows]) + "\n", encoding="utf-8")
    return path


def test_status_of_sites_comes_with_their_events(tmp_path):
    path = status_file(
        tmp_path,
        "4001,1,non,,non,non, 04/01/2018",
        "4001,2,oui, 30/06/2010,non,non, 04/01/2008",
        "4001,2,oui, 30/06/2010,non,non, 05/01/2009",
        "4001,3,oui,,,,",
        "4001,4,non,,oui,oui,",
        "4001,5,non,,non,OUI,",
        "4001,6,,01/09/2012,faux,0,",
    )
    ids = [f"0400100{i}" for i in range(1, 8)]
    shapes = [rectangle(800.0 + 420.0 * i) for i in range(7)]
    corridors = write(tmp_path / "c.gpkg", shapes, corridor_id=ids)
    how = CorridorReading(statuses=(read_site_status(path, {}),))
    frame, _ = read_corridors(corridors, None, DEM, GRID, how)
    assert frame["observation"].tolist() == [
        "watched",
        "ended",
        "ended",
        "lost",
        "hard to observe",
        "ended",
        "watched",
    ]
    assert frame["observed"].tolist() == [True, True, False, False, True, True, True]
    assert frame["observed_until"].tolist() == [
        None,
        date(2010, 6, 30),
        None,
        None,
        None,
        date(2012, 9, 1),
        None,
    ]


def test_of_map_and_events_the_more_restrictive_status_counts(tmp_path):
    events = status_file(tmp_path, "4001,1,non,,non,oui,", "4001,2,non,,non,non,")
    corridors = write(
        tmp_path / "c.gpkg",
        [rectangle(), rectangle(2000.0)],
        corridor_id=["04001001", "04001002"],
        perdu=["non", "oui"],
    )
    how = CorridorReading(statuses=(read_site_status(events, {}),))
    frame, _ = read_corridors(corridors, None, DEM, GRID, how)
    assert frame["observation"].tolist() == ["hard to observe", "lost"]


def test_of_two_last_days_the_earlier_counts(tmp_path):
    events = status_file(tmp_path, "4001,1,oui, 30/06/2012,non,non,", "4001,1,oui, 30/06/2010,non,non,")
    corridors = write(
        tmp_path / "c.gpkg", [rectangle()], corridor_id=["04001001"], eteint=["oui"], date_fin=["01/02/2011"]
    )
    how = CorridorReading(statuses=(read_site_status(events, {}),))
    frame, _ = read_corridors(corridors, None, DEM, GRID, how)
    assert frame["observed_until"].tolist() == [date(2010, 6, 30)]


def test_tables_without_status_or_rows_say_nothing_of_it(tmp_path):
    plain = tmp_path / "plain.csv"
    plain.write_text("insee,site,date1,date2\n4001,1,2018-01-04,2018-01-04\n", encoding="utf-8")
    assert read_site_status(plain, {}) is None
    assert read_site_status(status_file(tmp_path), {}) is None


def corners(shape, *indices: int) -> LineString:
    return LineString([shape.exterior.coords[i] for i in indices])


def lines(tmp_path, *shapes):
    count = len(shapes)
    return write(tmp_path / "l.shp", list(shapes), CODE=[1] * count, INSEE=[38002] * count, SITE=[2] * count)


def test_strokes_of_one_outline_are_joined_over_the_gaps_between_them(tmp_path):
    # two sides each, their ends 30 m apart and level with each other; each alone would be a triangle
    shape = rectangle()
    shifted = shapely.affinity.translate(corners(shape, 4, 3, 2), -30.0, 0.0)
    frame, report = read_corridors(lines(tmp_path, corners(shape, 0, 1, 2), shifted), None, DEM, GRID)
    assert frame["area_m2"].tolist() == pytest.approx([430_000.0])
    assert report.mended["repaired geometries"] == 0
    assert report.mended[WIDELY_CLOSED] == 0


def test_outlines_of_two_parts_stay_two_parts(tmp_path):
    both = corners(rectangle(), 0, 1, 2, 3), corners(rectangle(2000.0), 0, 1, 2, 3)
    frame, _ = read_corridors(lines(tmp_path, *both), None, DEM, GRID)
    assert frame["area_m2"].tolist() == pytest.approx([800_000.0])


def test_outline_that_is_half_open_or_crosses_itself_is_counted(tmp_path):
    frame, report = read_corridors(lines(tmp_path, corners(rectangle(), 0, 1, 3, 2)), None, DEM, GRID)
    assert frame["area_m2"].tolist() == pytest.approx([200_000.0])
    assert report.mended["repaired geometries"] == 1
    _, report = read_corridors(lines(tmp_path, corners(rectangle(), 1, 2, 3)), None, DEM, GRID)
    assert report.mended[WIDELY_CLOSED] == 1


def test_file_of_several_layers_is_not_guessed(tmp_path):
    path = tmp_path / "many.gpkg"
    for name in ("sites", "sectors"):
        gpd.GeoDataFrame({"corridor_id": ["a"]}, geometry=[rectangle()], crs=GRID.crs).to_file(
            path, layer=name
        )
    with pytest.raises(InventoryError, match=r"holds the layers \['sites', 'sectors'\]; give inventory"):
        read_corridors(path, None, DEM, GRID)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("told", [True, False])
def test_names_in_shapefiles_that_say_their_encoding_or_do_not(encoding, told, tmp_path):
    name = "For\u00eat d'\u00e0 c\u00f4t\u00e9"
    frame = gpd.GeoDataFrame({"corridor_i": ["a"], "nom": [name]}, geometry=[rectangle()], crs=GRID.crs)
    frame.to_file(tmp_path / "c.shp", encoding=encoding)
    if not told:
        (tmp_path / "c.cpg").unlink()
    assert read_corridors(tmp_path / "c.shp", None, DEM, GRID)[0]["name"].tolist() == [name]


def test_ids_that_are_not_made_of_eight_digits_are_rejected_and_own_ids_are_free(tmp_path):
    insee, site = ["38002", "2A004", "38 002", "38002", "abc"], ["2", "3", "5", "1234", "-5"]
    shapes = [rectangle(900.0 + 420.0 * i) for i in range(5)]
    path = write(tmp_path / "c.gpkg", shapes, insee=insee, site=site)
    frame, report = read_corridors(path, None, DEM, GRID)
    assert frame["corridor_id"].tolist() == ["2A004003", "38002002"]
    assert report.reasons() == {"is not an INSEE code of 5 and a site number of 3 digits": 3}
    assert report.rejected[1].reason.startswith("'380021234' is not")
    own = write(tmp_path / "own.gpkg", shapes[:2], corridor_id=["Graben 7", "x-9"])
    assert read_corridors(own, None, DEM, GRID)[0]["corridor_id"].tolist() == ["Graben 7", "x-9"]


def test_lines_inside_a_collection_are_left_out_and_counted(tmp_path):
    mixed = shapely.GeometryCollection([rectangle(), corners(rectangle(2000.0), 0, 1)])
    frame, report = read_corridors(write(tmp_path / "c.parquet", [mixed], corridor_id=["a"]), None, DEM, GRID)
    assert frame.geometry[0].geom_type == "Polygon"
    assert report.mended["repaired geometries"] == 1
