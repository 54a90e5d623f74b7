"""Every table's schema, in one place, checked when written and when read.

Units and meaning travel as Arrow field metadata, so that a reader of the Parquet file finds them without
this package. Patch columns are Arrow fixed-shape tensors (float16, 64 x 64), NaN where there is no value.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from avalanche_assets.errors import TableError
from avalanche_assets.files import atomic_path
from avalanche_assets.stored_path import arrow_file

if TYPE_CHECKING:
    import geopandas as gpd

PATCH_SIZE = 64
PATCH = pa.fixed_shape_tensor(pa.float16(), (PATCH_SIZE, PATCH_SIZE))
TIME = pa.timestamp("us", tz="UTC")
PATCHES_PER_GROUP = 256
"""Patches of a Parquet row group: 2 MB a channel, what a reader takes at a time."""
CODE_VERSION = b"avalanche_assets.version"
"""Key of the file metadata that says which code wrote a table."""


def column(name: str, kind: pa.DataType, meaning: str, unit: str = "1") -> pa.Field:
    """A schema field that carries its unit and meaning; unit ``1`` for what has none."""
    return pa.field(name, kind, metadata={"unit": unit, "meaning": meaning})


CORRIDOR_ID = column("corridor_id", pa.string(), "INSEE code (5 digits) and site number (3 digits)")
ACQUISITION_DATE = column("acquisition_date", pa.date32(), "UTC date of the acquisition")

OBSERVATION_STATES = ("watched", "hard to observe", "not watched", "ended", "lost")
"""Whether observers watch a site; an ended site was watched until its last day, where that is known."""

CORRIDORS = pa.schema(
    [
        CORRIDOR_ID,
        column("name", pa.string(), "name of the site"),
        column("massif_id", pa.int16(), "official number of the massif, 1 to 23; 0 outside all"),
        column("massif", pa.string(), "name of the massif"),
        column("observed", pa.bool_(), "whether observers watch the site, or watched it until a known day"),
        column("observation", pa.string(), "why: " + ", ".join(OBSERVATION_STATES)),
        column("observed_until", pa.date32(), "last day of an ended site, null without one"),
        column("deposit_x", pa.float64(), "easting of the deposit point on the analysis grid", "m"),
        column("deposit_y", pa.float64(), "northing of the deposit point", "m"),
        column("deposit_elevation_m", pa.float32(), "elevation of the deposit point", "m"),
        column("top_elevation_m", pa.float32(), "highest elevation of the corridor", "m"),
        column("area_m2", pa.float64(), "area of the corridor polygon", "m2"),
    ]
)
"""Without the geometry column (polygon on the analysis grid's coordinate system): GeoParquet adds it."""

AVALANCHE_EVENTS = pa.schema(
    [
        column("event_id", pa.string(), "id of the event in the inventory"),
        CORRIDOR_ID,
        column("date_min", TIME, "earliest possible instant", "UTC"),
        column("date_max", TIME, "latest possible instant", "UTC"),
        column("departure_elevation_m", pa.float32(), "release elevation, null when unknown", "m"),
        column("arrival_elevation_m", pa.float32(), "stop elevation, null when unknown", "m"),
        column("length_m", pa.float32(), "deposit length, null when unknown", "m"),
        column("width_m", pa.float32(), "deposit width, null when unknown", "m"),
    ]
)

TERRAIN_PATCHES = pa.schema(
    [
        CORRIDOR_ID,
        column("elevation", pa.fixed_shape_tensor(pa.float32(), (64, 64)), "DEM height", "m"),
        column("slope", PATCH, "Horn slope, 0 flat", "deg"),
        column("aspect", PATCH, "downhill direction clockwise from north, NaN where flat", "deg"),
        column("local_incidence", PATCH, "angle between look and surface normal", "deg"),
        column("visible", PATCH, "1 visible, 0 layover or shadow"),
        column("inside", PATCH, "1 inside the corridor polygon, else 0"),
        column("pixel_m", pa.float32(), "side of a pixel", "m"),
        column(
            "look_azimuth_deg",
            pa.float32(),
            "direction in which the radar looks at the deposit point, clockwise from north; null unknown",
            "deg",
        ),
        column("top_east_m", pa.float32(), "highest pixel of the corridor, east of the deposit point", "m"),
        column("top_north_m", pa.float32(), "the same, north of it; null without heights", "m"),
    ]
)
"""One row a corridor, ordered by massif and corridor."""

CORRIDOR_PATCHES = pa.schema(
    [
        CORRIDOR_ID,
        ACQUISITION_DATE,
        column("vv_star", PATCH, "VV backscatter over the snow-free reference", "dB"),
        column("vh_star", PATCH, "VH backscatter over the snow-free reference", "dB"),
        column("valid_fraction", pa.float32(), "share of pixels with a VV* value, 0..1"),
        column("visible_fraction", pa.float32(), "share of pixels neither layover nor shadow, 0..1"),
        column(
            "wet_snow_fraction",
            pa.float32(),
            "share of valid pixels with local mean VV* below backscatter.wet_snow_db, 0..1; a drop of the "
            "whole scene is taken out first",
        ),
    ]
)
"""One row a corridor, ordered by massif and corridor."""

SCENE_LEVELS = pa.schema(
    [
        ACQUISITION_DATE,
        column("elevation_m", pa.float32(), "middle of the elevation band, null for all heights", "m"),
        column("vv_star", pa.float32(), "median VV* of the band, null with too few pixels", "dB"),
        column("vh_star", pa.float32(), "median VH* of the band", "dB"),
        column("pixels", pa.int64(), "visible pixels with a value"),
    ]
)
"""The level of a whole scene: what moves all of it is no avalanche."""

LABEL_STATES = ("positive", "ambiguous", "negative", "unobserved")
"""State of one label window, in order of precedence where a corridor has several events."""

CORRIDOR_LABELS = pa.schema(
    [
        CORRIDOR_ID,
        ACQUISITION_DATE,
        column("previous_date", pa.date32(), "date of the previous acquisition, null without one"),
        column("new", pa.string(), "state in (previous, current]: " + ", ".join(LABEL_STATES)),
        column("recent", pa.string(), "state in the 30 days up to current: same words"),
        column("event_ids", pa.list_(pa.string()), "events that make either state positive"),
    ]
)

TRAINING_SPLIT = pa.schema(
    [
        ACQUISITION_DATE,
        CORRIDOR_ID,
        column("role", pa.string(), "train, validation, test, or gap (not used)"),
    ]
)

ANOMALY_SCORES = pa.schema(
    [
        CORRIDOR_ID,
        ACQUISITION_DATE,
        column("previous_date", pa.date32(), "date of the previous acquisition, null without one"),
        column("gap_days", pa.int16(), "days since the previous acquisition, null without one", "d"),
        column("detector", pa.string(), "name of the detector"),
        column("detector_version", pa.string(), "version of the trained detector"),
        column("score", pa.float64(), "anomaly score, higher is more anomalous; null if not observable"),
        column("peak_x", pa.float64(), "easting of the anomaly's peak, null if not observable", "m"),
        column("peak_y", pa.float64(), "northing of the anomaly's peak", "m"),
        column("observable", pa.bool_(), "whether the patch could be scored"),
        column("reason", pa.string(), "why not observable, null when it is"),
    ]
)

PUBLISHED_SCORES = pa.schema(
    [
        field.with_metadata({"unit": "1", "meaning": "score in spreads above the date's median; null if not"})
        if field.name == "score"
        else field
        for field in ANOMALY_SCORES
    ]
    + [
        column("raw_score", pa.float64(), "score as the detector gave it; null if not observable"),
        column("model", pa.string(), "promoted version in the model registry"),
    ]
)
"""The scores of the promoted model, normalised per date: what thresholds act on."""

SCORE_BACKGROUND = pa.schema(
    [
        column("acquisition_date", pa.date32(), "date, null for all training dates together"),
        column("detector", pa.string(), "name of the detector, null for what patches themselves tell"),
        column("statistic", pa.string(), "what is measured, see `drift.STATISTICS`"),
        column("value", pa.float64(), "value of the statistic; null where it could not be measured"),
    ]
)
"""Levels of scores and patches on the training dates: normalisation and drift refer to them."""

OPERATING_POINTS = ("balanced", "mapping", "screening", "budget")
LABEL_WINDOWS = ("new", "recent")

THRESHOLDS = pa.schema(
    [
        column("detector", pa.string(), "name of the detector"),
        column("label_window", pa.string(), "new or recent"),
        column("operating_point", pa.string(), ", ".join(OPERATING_POINTS)),
        column("threshold", pa.float64(), "a normalised score at or above it is a detection; null undefined"),
        column("threshold_low", pa.float64(), "lower end of its 95 % interval; null without one"),
        column("threshold_high", pa.float64(), "upper end of its 95 % interval"),
        column("value", pa.float64(), "the criterion reached on the validation dates"),
        column("positives", pa.int32(), "positive validation samples"),
        column("negatives", pa.int32(), "negative validation samples"),
        column("unscored", pa.int32(), "labelled validation samples without a score, left out"),
        column("reason", pa.string(), "why threshold or interval are undefined; null when both are defined"),
    ]
)

MEASURES = {
    "balanced_accuracy": "mean recall of both classes; null without one",
    "f1": "F1 of the positive class; null without positives",
    "f2": "F2 of the positive class, recall counts twice",
    "recall": "share of the positives detected",
    "specificity": "share of the negatives not detected",
    "precision": "share of the detections that are positive; null without detections",
    "false_alarms_per_hit": "false alarms for every hit; null without a hit",
    "roc_auc": "area under the ROC curve; null without one class",
    "average_precision": "area under precision over recall",
}
"""What is measured of a detector on labelled samples, and its meaning."""


def _with_interval(name: str, meaning: str) -> list[pa.Field]:
    return [
        column(name, pa.float64(), meaning),
        column(f"{name}_low", pa.float64(), "lower end of its 95 % interval; null without one"),
        column(f"{name}_high", pa.float64(), "upper end of its 95 % interval"),
    ]


EVALUATION = pa.schema(
    [
        column("detector", pa.string(), "name of the detector"),
        column("label_window", pa.string(), "new or recent"),
        column("operating_point", pa.string(), "how the threshold was chosen"),
        column("area", pa.string(), "All massifs, or the name of one"),
        column("threshold", pa.float64(), "threshold applied, chosen on the validation dates"),
        *(field for item in MEASURES.items() for field in _with_interval(*item)),
        *_with_interval("gain", "average precision less that of the rival, on the same draws; null for it"),
        column("positives", pa.int32(), "positive test samples"),
        column("negatives", pa.int32(), "negative test samples"),
        column("prevalence", pa.float64(), "share of positives, 0..1"),
        column("f1_all_positive", pa.float64(), "F1 of calling every sample positive"),
        column("clusters", pa.int32(), "massif and date pairs that the intervals resample"),
        column("trainings", pa.int32(), "trainings with different seeds behind the row; 1 without training"),
    ]
)

DETECTIONS = pa.schema(
    [
        column("detection_id", pa.string(), "stable over re-runs: corridor, date and detector"),
        CORRIDOR_ID,
        column("corridor_name", pa.string(), "name of the corridor"),
        column("massif_id", pa.int16(), "official number of the massif"),
        column("massif", pa.string(), "name of the massif"),
        ACQUISITION_DATE,
        column("window_start", TIME, "overpass of the previous acquisition; null without one", "UTC"),
        column("window_end", TIME, "overpass of this acquisition", "UTC"),
        column("detector", pa.string(), "name of the detector"),
        column("detector_version", pa.string(), "version in the model registry"),
        column("operating_point", pa.string(), "how the threshold was chosen"),
        column("score", pa.float64(), "score in spreads above the date's median; null if not observable"),
        column("raw_score", pa.float64(), "score as the detector gave it; null if not observable"),
        column("threshold", pa.float64(), "threshold applied"),
        column(
            "is_detection", pa.bool_(), "score at or above the threshold and not rejected, or added by hand"
        ),
        column("observable", pa.bool_(), "whether the corridor could be judged"),
        column("reason", pa.string(), "why not observable, null when it is"),
        column("track_id", pa.string(), "the anomaly over the dates: detection_id of its first detection"),
        column("new_or_persisting", pa.string(), "new, persisting, or null without detection"),
        column("first_seen", pa.date32(), "date of the first detection of this anomaly"),
        column("last_seen", pa.date32(), "latest date of the season so far with a detection in the corridor"),
        column("times_seen", pa.int16(), "consecutive dates with a detection, this one included"),
        column("quality", pa.string(), "A, B or C; null without detection"),
        column("review", pa.string(), "confirmed, rejected or added by hand; null without review"),
        column("reviewer", pa.string(), "who reviewed it, null without review or name"),
        column("review_comment", pa.string(), "what the reviewer noted"),
        column("longitude", pa.float64(), "of the anomaly, of the deposit point without one; WGS84", "deg"),
        column("latitude", pa.float64(), "the same, north", "deg"),
        column("area_m2", pa.float64(), "area of the anomaly outline", "m2"),
        column("elevation_min_m", pa.float32(), "lowest elevation of the anomaly", "m"),
        column("elevation_max_m", pa.float32(), "highest elevation of the anomaly", "m"),
        column("slope_deg", pa.float32(), "mean slope of the anomaly", "deg"),
        column("aspect_deg", pa.float32(), "mean downhill direction of the anomaly", "deg"),
        column("dvv_mean_db", pa.float32(), "mean VV* change inside the anomaly", "dB"),
        column("dvv_max_db", pa.float32(), "largest VV* change inside the anomaly", "dB"),
        column("dvh_mean_db", pa.float32(), "mean VH* change inside the anomaly", "dB"),
        column("dvh_max_db", pa.float32(), "largest VH* change inside the anomaly", "dB"),
        column("margin", pa.float64(), "score less threshold, in spreads of the date's scores"),
        column("visible_fraction", pa.float32(), "share of pixels neither layover nor shadow, 0..1"),
        column("wet_snow_fraction", pa.float32(), "share of pixels darkened as by wet snow, 0..1"),
        column("previous_wet_snow_fraction", pa.float32(), "the same at the previous acquisition, 0..1"),
    ]
)
"""Without the geometry columns: `geometry` (anomaly outline, empty without detection) is GeoParquet's."""

RESIDUALS = pa.schema(
    [
        column("detection_id", pa.string(), "which detection of the date"),
        CORRIDOR_ID,
        ACQUISITION_DATE,
        column("residual", PATCH, "what the detector did not expect, NaN where no value", "dB"),
    ]
)
"""Why a corridor was detected: the map its score comes from."""

SEASON_SUMMARY = pa.schema(
    [
        ACQUISITION_DATE,
        column("gap_days", pa.int16(), "days since the previous acquisition, null without one", "d"),
        column("massif_id", pa.int16(), "official number of the massif"),
        column("massif", pa.string(), "name of the massif"),
        column("corridors", pa.int32(), "corridors of the massif"),
        column("new", pa.int32(), "new detections"),
        column("persisting", pa.int32(), "detections already seen at earlier dates"),
        column("quality_a", pa.int32(), "detections of quality A"),
        column("quality_b", pa.int32(), "detections of quality B"),
        column("quality_c", pa.int32(), "detections of quality C"),
        column("quiet", pa.int32(), "corridors seen, nothing detected"),
        column("not_observable", pa.int32(), "corridors that could not be judged"),
    ]
)
"""One row a date and massif: the activity of a season."""

SEASON_TRACKS = pa.schema(
    [
        column("track_id", pa.string(), "the anomaly over the dates: detection_id of its first detection"),
        CORRIDOR_ID,
        column("corridor_name", pa.string(), "name of the corridor"),
        column("massif_id", pa.int16(), "official number of the massif"),
        column("massif", pa.string(), "name of the massif"),
        column("window_start", TIME, "overpass before the first detection; null without one", "UTC"),
        column("window_end", TIME, "overpass of the first detection", "UTC"),
        column("first_seen", pa.date32(), "date of the first detection"),
        column("last_seen", pa.date32(), "date of the latest detection"),
        column("times_seen", pa.int16(), "dates with a detection"),
        column("quality", pa.string(), "best quality of its detections"),
        column("review", pa.string(), "confirmed or added by hand; null without review"),
        column("longitude", pa.float64(), "of the anomaly or of the deposit point; WGS84", "deg"),
        column("latitude", pa.float64(), "the same, north", "deg"),
        column("area_m2", pa.float64(), "largest area of its outlines", "m2"),
        column("elevation_min_m", pa.float32(), "lowest elevation when it was first seen", "m"),
        column("elevation_max_m", pa.float32(), "highest elevation when it was first seen", "m"),
        column("aspect_deg", pa.float32(), "mean downhill direction when it was first seen", "deg"),
        column("dvv_mean_db", pa.float32(), "mean VV* change when it was first seen", "dB"),
    ]
)
"""One row an anomaly of the season, with the outline of its first detection as geometry."""


PARTITION = "acquisition_date"


def _partition(path: Path) -> date | None:
    """The date in the name of the table's folder, ``acquisition_date=YYYY-MM-DD``; None without one."""
    name, _, value = path.parent.name.partition("=")
    return date.fromisoformat(value) if name == PARTITION else None


def _stored(schema: pa.Schema, path: Path) -> pa.Schema:
    """What the file itself holds: a partition column lives in the folder's name alone.

    With the column in both, pyarrow and pandas refuse to read the folder as one dataset.
    """
    if _partition(path) is None:
        return schema
    return pa.schema([field for field in schema if field.name != PARTITION], schema.metadata)


def _code_version() -> str:
    try:
        return version("avalanche-assets")
    except PackageNotFoundError:
        return "unknown"


def _writer(found: pa.Schema) -> str:
    """Which version of the code wrote a table with this schema."""
    stored = (found.metadata or {}).get(CODE_VERSION)
    return f"version {stored.decode()}" if stored else "a version before 0.1.0 that left no name"


def _origin(found: pa.Schema) -> str:
    """Who wrote a stored table, where its schema differs from what this code expects."""
    return (
        f"; written by {_writer(found)} of the code, this is {_code_version()}; materialise the asset that "
        "writes it"
    )


def _check(
    found: pa.Schema, expected: pa.Schema, path: Path, *, extra: bool = False, stored: bool = False
) -> None:
    """Compares schemas; `stored` says that `found` is a file's, so that the message names its writer."""
    origin = f"{_origin(found)} again" if stored else ""
    for field in expected:
        index = found.get_field_index(field.name)
        if index < 0:
            raise TableError(f"{path}: column {field.name!r} is missing{origin}")
        if not found.field(index).type.equals(field.type):
            raise TableError(
                f"{path}: column {field.name!r} is {found.field(index).type}, expected {field.type}{origin}"
            )
    unknown = sorted(set(found.names) - set(expected.names))
    if unknown and not extra:
        raise TableError(f"{path}: columns {unknown} are not in the table's schema{origin}")


def _signed(schema: pa.Schema) -> pa.Schema:
    """The schema with the version of this code in its metadata."""
    return schema.with_metadata({**(schema.metadata or {}), CODE_VERSION: _code_version().encode()})


def _parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """How a table is laid out. Patches neither repeat nor have bounds worth knowing: four times faster."""
    plain = [field.name for field in schema if not isinstance(field.type, pa.FixedShapeTensorType)]
    options: dict[str, Any] = {"compression": "zstd", "write_statistics": True}
    if len(plain) == len(schema):
        return options
    return options | {
        "row_group_size": PATCHES_PER_GROUP,
        "use_dictionary": plain,
        "write_statistics": plain,
    }


def _check_partition(days: Collection[date], path: Path) -> None:
    if _partition(path) is not None and set(days) - {_partition(path)}:
        raise TableError(f"{path}: rows of {sorted(set(days))} do not belong into this folder")


def write_table(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Writes `table` (columns in any order) under `schema` as ZSTD Parquet, atomically.

    Below a folder ``acquisition_date=YYYY-MM-DD`` that column is not stored; every row has that date.

    Raises:
        TableError: A column is missing, unknown or of another type, or a row has another date.
    """
    _check(table.schema, schema, path)
    if PARTITION in schema.names:
        _check_partition(table[PARTITION].to_pylist(), path)
    ordered = table.select(_stored(schema, path).names).cast(_signed(_stored(schema, path)))
    with atomic_path(path) as temporary:
        pq.write_table(ordered, temporary, **_parquet_options(ordered.schema))


def read_table(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a table that `write_table` wrote and checks it against `schema`.

    Raises:
        TableError: The file is missing, damaged or does not follow the schema.
    """
    wanted = list(columns) if columns is not None else schema.names
    stored = _stored(schema, path)
    with open_table(path, schema) as file:
        table = file.read(columns=[name for name in wanted if name in stored.names])
        rows = file.metadata.num_rows
    if PARTITION in wanted and len(stored) < len(schema):
        table = table.append_column(schema.field(PARTITION), pa.array([_partition(path)] * rows, pa.date32()))
    # Who wrote the file is its own matter: tables of two versions of the code stay equal.
    return table.select(wanted).replace_schema_metadata(schema.metadata)


@contextmanager
def open_table(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    """Opens a table that `write_table` wrote, checked against `schema`, to be read in row groups.

    Raises:
        TableError: The file is missing, damaged or does not follow the schema.
    """
    try:
        name, filesystem = arrow_file(path)
        with pq.ParquetFile(name, filesystem=filesystem) as file:
            _check(file.schema_arrow, _stored(schema, path), path, stored=True)
            yield file
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(
            f"{path}: not a readable Parquet file ({error}); materialise the asset that writes it again"
        ) from error


def require_schema(path: Path, schema: pa.Schema, *, has_shapes: bool = False) -> str:
    """Which version of the code wrote a stored table, of which only the footer is read.

    Args:
        path: The table.
        schema: What it has to follow.
        has_shapes: Whether it may hold geometry columns besides.

    Raises:
        TableError: It is missing or damaged, or does not follow the schema.
    """
    found = _stored_schema(path)
    _check(found, _stored(schema, path), path, extra=has_shapes, stored=True)
    return _writer(found)


def _stored_schema(path: Path) -> pa.Schema:
    try:
        name, filesystem = arrow_file(path)
        return pq.read_schema(name, filesystem=filesystem)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(
            f"{path}: not a readable Parquet file ({error}); materialise the asset that writes it again"
        ) from error


def _missing(path: Path) -> TableError:
    return TableError(f"{path}: table is missing; materialise the asset that writes it")


def write_geotable(path: Path, frame: "gpd.GeoDataFrame", schema: pa.Schema) -> None:
    """Writes a GeoDataFrame as GeoParquet 1.1, its plain columns under `schema`, atomically.

    Below a folder ``acquisition_date=YYYY-MM-DD`` that column is not stored, as in `write_table`.

    Raises:
        TableError: A column is missing or cannot be converted to its type, or a row has another date.
    """
    missing = [name for name in schema.names if name not in frame.columns]
    if missing:
        raise TableError(f"{path}: columns {missing} are missing")
    if PARTITION in schema.names:
        _check_partition(list(frame[PARTITION]), path)
    geometries = [name for name in frame.columns if frame[name].dtype == "geometry"]
    stored = _stored(schema, path)
    ordered = frame[[*stored.names, *geometries]]
    arrow = pa.table(ordered.to_arrow(index=False, geometry_encoding="WKB"))
    try:
        for field in stored:
            index = arrow.schema.get_field_index(field.name)
            arrow = arrow.set_column(index, field, arrow.column(index).cast(field.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TableError(f"{path}: column {field.name!r} is not {field.type} ({error})") from error
    with atomic_path(path) as temporary:
        ordered.to_parquet(temporary, schema_version="1.1.0", compression="zstd", index=False)
        file_metadata = pq.read_schema(temporary).metadata
        arrow = arrow.replace_schema_metadata(
            {b"geo": file_metadata[b"geo"], CODE_VERSION: _code_version().encode()}
        )
        pq.write_table(arrow, temporary, compression="zstd", write_statistics=True)


def read_geotable(path: Path, schema: pa.Schema) -> "gpd.GeoDataFrame":
    """Reads a GeoParquet file that `write_geotable` wrote and checks it against `schema`.

    Raises:
        TableError: The file is missing, damaged or does not follow the schema.
    """
    # Every run of Dagster starts a process that loads the definitions, and few of them read shapes.
    import geopandas as gpd

    require_schema(path, schema, has_shapes=True)
    stored = _stored(schema, path)
    try:
        # Not by its path: the date in the folder's name would come back as a text column.
        with path.open("rb") as file:
            frame = gpd.read_parquet(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(
            f"{path}: not a readable Parquet file ({error}); materialise the asset that writes it again"
        ) from error
    if len(stored) < len(schema):
        frame.insert(schema.names.index(PARTITION), PARTITION, _partition(path))
    return frame
