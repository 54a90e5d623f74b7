"""Everything that can be set, read once from one TOML file.

Where the paper is silent (see docs/science.md) the default is our documented choice, not a fact.
Relative paths in the file are relative to the file.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from avalanche_assets.errors import SettingsError
from avalanche_assets.layout import DataLayout
from avalanche_assets.stored_path import DataRoot

SETTINGS_VARIABLE = "AVALANCHE_SETTINGS"
"""Environment variable that names the settings file; ``avalanche.toml`` in the current folder without it."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


SectionT = TypeVar("SectionT", bound=_Section)


class TrackSettings(_Section):
    """Which pass is processed."""

    relative_orbit: int = Field(139, ge=1, le=175)
    direction: Literal["DESCENDING", "ASCENDING"] = "DESCENDING"


def _secure(url: str) -> str:
    """Credentials and products travel encrypted; only a server on the same machine may do without."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.password or parts.query:
        raise ValueError(f"{parts.hostname or url!r} is not a plain URL such as https://host/path")
    if parts.scheme != "https" and not (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    ):
        raise ValueError(f"{parts.hostname}: only https is allowed, so that credentials stay secret")
    return url.rstrip("/")


ServiceUrl = Annotated[str, AfterValidator(_secure)]
"""Base URL of a service, without a slash at the end."""


class CdseSettings(_Section):
    """Addresses of the Copernicus Data Space; `transfer` chooses how products are fetched."""

    catalogue_url: ServiceUrl = "https://catalogue.dataspace.copernicus.eu/odata/v1"
    token_url: ServiceUrl = (
        "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"
    )
    download_url: ServiceUrl = "https://download.dataspace.copernicus.eu/odata/v1"
    transfer: Literal["https", "s3"] = "https"
    s3_url: ServiceUrl = "https://eodata.dataspace.copernicus.eu"
    s3_bucket: str = "eodata"


class DhusSettings(_Section):
    """A DHuS archive: a national mirror or one's own; the public hub closed in 2023."""

    url: ServiceUrl


class TransferSettings(_Section):
    """How requests and downloads behave.

    `max_mb_per_s` bounds each connection; `stalled_s` is how long a connection may say nothing. After a
    failure that may pass, a request waits `first_wait_s`, then twice as long each time up to
    `longest_wait_s`, with jitter, for `attempts` tries without progress. `keep_free_gb` of the disk are never
    filled.
    """

    max_mb_per_s: float | None = Field(None, gt=0)
    stalled_s: float = Field(60.0, gt=0)
    attempts: int = Field(8, ge=1)
    first_wait_s: float = Field(2.0, ge=0)
    longest_wait_s: float = Field(300.0, ge=0)
    keep_free_gb: float = Field(5.0, ge=0)


class SourceSettings(_Section):
    """Where acquisitions come from.

    `safe_folder` holds SAFE products (folders or zips) and stays supported for good. `cdse` (Copernicus Data
    Space) and `dhus` fetch products into `folder`, orbit files into `orbits`. `raster_folder` holds
    ready-made terrain-corrected GeoTIFFs instead, one a date with bands VV, VH and incidence. `orbits` is a
    folder of orbit files (POEORB, RESORB as EOF); without one for a date, its annotated orbit counts.
    `area` (west, south, east, north in degrees) is what an acquisition has to cover; by default the bounds of
    the grid or, without them, of the elevation model.
    """

    kind: Literal["safe_folder", "raster_folder", "cdse", "dhus"] = "safe_folder"
    folder: Path
    orbits: Path | None = None
    area: tuple[float, float, float, float] | None = None
    cdse: CdseSettings = CdseSettings()
    dhus: DhusSettings | None = None
    transfer: TransferSettings = TransferSettings()
    raster_scale: Literal["linear", "db"] = "linear"
    raster_incidence_unit: Literal["deg", "rad"] = "deg"

    @property
    def remote(self) -> bool:
        """Whether products have to be fetched."""
        return self.kind in ("cdse", "dhus")

    @property
    def fetches_orbits(self) -> bool:
        """Whether orbit files can be fetched; other files come into `orbits` by hand."""
        return self.kind == "cdse"

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.kind == "dhus" and self.dhus is None:
            raise ValueError("dhus.url is missing: name the DHuS archive to ask")
        if self.remote and self.orbits is None:
            raise ValueError(f"orbits is missing: the folder that receives orbit files from {self.kind}")
        if self.area is not None:
            west, south, east, north = self.area
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError("area is not west, south, east, north in degrees")
        return self


class SeasonSettings(_Section):
    """Which dates play which role."""

    reference: Literal["snow_free_median", "season_median"] = "snow_free_median"
    reference_months: tuple[int, ...] = (8, 9)
    max_gap_days: int = Field(24, ge=1)


class TerrainSettings(_Section):
    """The elevation model: the raster `dem`, or the Copernicus GLO-30 tiles of the area.

    `vertical_datum` is what the heights refer to: to be said for a file, EGM2008 for GLO-30. `geoid_grid` is
    a file of that geoid; for GLO-30 without one, `geoid_url` is fetched once.
    """

    source: Literal["file", "glo30"] = "file"
    dem: Path | None = None
    vertical_datum: Literal["ellipsoidal", "EGM96", "EGM2008"]
    geoid_grid: Path | None = None
    glo30_url: ServiceUrl = "https://copernicus-dem-30m.s3.amazonaws.com"
    geoid_url: ServiceUrl = "https://cdn.proj.org/us_nga_egm08_25.tif"

    @model_validator(mode="before")
    @classmethod
    def _datum_of_glo30(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("source") == "glo30":
            return {"vertical_datum": "EGM2008", **data}
        return data

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.source == "file" and self.dem is None:
            raise ValueError("dem is missing: name the elevation model, or set source to glo30")
        if self.source == "glo30" and self.dem is not None:
            raise ValueError("dem is set, but source is glo30: remove one of them")
        if self.source == "glo30" and self.vertical_datum != "EGM2008":
            raise ValueError("vertical_datum of glo30 is EGM2008: remove it")
        return self


class GridSettings(_Section):
    """The analysis grid; `bounds` (west, south, east, north in metres) default to the DEM's extent."""

    crs: str = "EPSG:32632"
    resolution_m: Literal[10, 20] = 20
    bounds: tuple[float, float, float, float] | None = None


def _only(*fields: str) -> AfterValidator:
    def check(columns: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(set(columns) - set(fields)):
            raise ValueError(f"{unknown} are not among the fields {sorted(fields)}")
        return columns

    return AfterValidator(check)


_SITE_FIELDS = ("corridor_id", "insee", "site", "ended", "ended_on", "lost", "hard_to_observe")
CorridorColumns = Annotated[
    dict[str, str], _only(*_SITE_FIELDS, "name", "massif_id", "massif", "observed", "code")
]
EventColumns = Annotated[
    dict[str, str],
    _only(
        *(*_SITE_FIELDS, "event_id", "date1", "date2", "hour1", "hour2", "length", "width"),
        *("departure1", "departure2", "departure3", "arrival1", "arrival2", "arrival3"),
    ),
]
MassifColumns = Annotated[dict[str, str], _only("massif_id", "massif")]


class WfsSettings(_Section):
    """The inventory's public Web Feature Service, and which of its layers hold what.

    Without a name, the layer of corridors or events is the one among `epa_*` that has their columns. A filter
    is CQL, such as ``insee LIKE '73%'``; what lies outside the analysis grid is never asked for. What was
    fetched is kept for `keep_days`.
    """

    url: ServiceUrl = "https://carto-service.inrae.fr/geoserver/siavalanches/wfs"
    crs: str = "EPSG:2154"
    corridors_layer: str | None = None
    events_layer: str | None = None
    massifs_layer: str | None = "massifs"
    corridors_filter: str = ""
    events_filter: str = ""
    massifs_filter: str = ""
    page_size: int = Field(2000, ge=1)
    keep_days: float = Field(7.0, ge=0)


class InventorySettings(_Section):
    """Corridors, massifs and events, as files or from the inventory's public service.

    With the source `wfs`, what is not named as a file comes from the service. The tables of columns name the
    headers of maps, tables and layers that are not in an official layout. `corridors_crs` is what the shapes
    of a text table refer to.
    """

    source: Literal["files", "wfs"] = "files"
    wfs: WfsSettings = WfsSettings()
    corridors: Path | None = None
    corridors_crs: str | None = None
    corridor_columns: CorridorColumns = {}
    massifs: Path | None = None
    massif_columns: MassifColumns = {}
    events: Path | None = None
    event_columns: EventColumns = {}
    deposit_point: Literal["lowest_decile", "lowest_pixel"] = "lowest_decile"
    recent_days: int = Field(30, ge=1)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.source == "files" and self.corridors is None:
            raise ValueError("corridors is missing: name the corridor map, or set source to wfs")
        return self


class BackscatterSettings(_Section):
    """How sigma0 becomes VV* and VH*."""

    full_swath: bool = False
    terrain_flattening: bool = False
    wet_snow_db: float = -3.0
    drift_warning_db: float = 2.0
    scene_correction: Literal["none", "elevation_bands"] = "none"


ModelName = Literal[
    "change_threshold",
    "random_forest",
    "gradient_boosting",
    "cnn",
    "autoencoder",
    "vae",
    "vae_all",
    "vae_star",
    "local_contrast",
    "dual_contrast",
    "conditional_vae",
]


VariantName = Literal["vae_kl", "vae_elbo", "vae_local"]
VARIANTS: dict[str, ModelName] = {"vae_kl": "vae", "vae_elbo": "vae", "vae_local": "vae"}
"""Further scores, and the model that gives them."""


class LearningSettings(_Section):
    """Split, training and thresholds; defaults of the VAE are the paper's and Lu & Xu's.

    `detectors` are trained, scored and compared; what detections use has to be among them.
    """

    season: str = "2017-18"
    test_dates: int = Field(3, ge=1)
    validation_dates: int = Field(2, ge=1)
    gap_dates: int = Field(1, ge=0)
    split_by: Literal["date", "massif", "both"] = "date"
    test_massifs: int = Field(4, ge=1)
    validation_massifs: int = Field(3, ge=1)
    detectors: tuple[ModelName, ...] = get_args(ModelName)
    base_channels: int = Field(64, ge=4)
    latent_size: int = Field(300, ge=1)
    kl_weight: float = Field(0.1, ge=0)
    epochs: int = Field(10, ge=1)
    patience: int = Field(3, ge=1)
    batch_size: int = Field(32, ge=2)
    learning_rate: float = Field(1e-4, gt=0)
    angle: Literal["aspect", "local_incidence"] = "aspect"
    seed: int = 139
    threads: int = Field(2, ge=1)


class DetectionSettings(_Section):
    """Which detector and operating point make the published detections.

    `reviews` is the table in which people confirm, reject and add detections (CSV, or GeoPackage edited in
    QGIS); `reviews/reviews.csv` beside the data root's other folders without it.

    A date on which more than `max_detected_share` of the observable corridors are detected is held back: no
    avalanche cycle does that, a wrong input does.

    `alarms_per_date` sets the operating point `budget` by false alarms per date instead of by
    `false_alarm_rate`.
    """

    detector: ModelName | VariantName = "dual_contrast"
    label_window: Literal["new", "recent"] = "new"
    operating_point: Literal["balanced", "mapping", "screening", "budget"] = "budget"
    false_alarm_rate: float = Field(0.05, gt=0, lt=1)
    alarms_per_date: float | None = Field(None, gt=0)
    min_valid_fraction: float = Field(0.5, ge=0, le=1)
    min_visible_fraction: float = Field(0.3, ge=0, le=1)
    max_wet_snow_fraction: float = Field(0.8, ge=0, le=1)
    max_detected_share: float = Field(0.5, gt=0, le=1)
    reviews: Path | None = None


class AlertSettings(_Section):
    """Who is told of a failure, and how.

    `webhook` posts to the address in the environment (AVALANCHE_ALERT_WEBHOOK), `mail` sends through the
    server named here, with the account in the environment if it wants one. `ui_url` is where people reach the
    Dagster UI, for a link to the run.
    """

    by: Literal["none", "webhook", "mail"] = "none"
    name: str = "avalanche detection"
    ui_url: ServiceUrl | None = None
    smtp_host: str = "localhost"
    smtp_port: int = Field(587, ge=1, le=65535)
    starttls: bool = True
    sender: str = ""
    recipients: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.by == "mail" and not (self.sender and self.recipients):
            raise ValueError("sender or recipients is missing: name who sends mail and who receives it")
        return self


class ReportingSettings(_Section):
    """How bulletins and reports are published.

    The first of the `languages` has the plain file names. `publisher` is the service that signs.
    """

    languages: tuple[Literal["en", "fr"], ...] = Field(("en", "fr"), min_length=1)
    publisher: str = ""


class Settings(_Section):
    """All settings of one deployment."""

    data_root: DataRoot
    simulated: bool = False
    track: TrackSettings = TrackSettings()
    source: SourceSettings
    season: SeasonSettings = SeasonSettings()
    terrain: TerrainSettings | None = None
    grid: GridSettings = GridSettings()
    inventory: InventorySettings
    backscatter: BackscatterSettings = BackscatterSettings()
    learning: LearningSettings = LearningSettings()
    detection: DetectionSettings = DetectionSettings()
    alert: AlertSettings = AlertSettings()
    reporting: ReportingSettings = ReportingSettings()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.source.kind != "raster_folder" and self.terrain is None:
            raise ValueError("[terrain] is missing: SAFE products are geocoded on an elevation model")
        has_events = self.inventory.events is not None or self.inventory.source == "wfs"
        if self.terrain is not None and not has_events:
            raise ValueError("inventory.events is missing: thresholds are chosen on reported avalanches")
        used = VARIANTS.get(self.detection.detector, self.detection.detector)
        if self.terrain is not None and used not in self.learning.detectors:
            raise ValueError(
                f"learning.detectors lacks {used}, which detection.detector = {self.detection.detector!r} "
                "needs: add it, or choose another detector"
            )
        return self

    @property
    def layout(self) -> DataLayout:
        """Paths of every stored asset."""
        return DataLayout(self.data_root)


def load_settings(path: Path) -> Settings:
    """Reads a settings file; relative paths in it are relative to it.

    Raises:
        SettingsError: The file is missing, not TOML, or a field is wrong; the message names the field.
    """
    if not path.exists():
        raise SettingsError(
            f"{path}: settings file not found; set {SETTINGS_VARIABLE} to your settings file "
            "(`make demo` writes one, docs/settings.md describes each field)"
        )
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = Settings.model_validate(raw)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        fields = "; ".join(
            ".".join(str(part) for part in item["loc"]) + ": " * bool(item["loc"]) + item["msg"]
            for item in error.errors()
        )
        raise SettingsError(f"{path}: {fields}") from error
    return _absolute(settings, path.resolve().parent)


def _absolute(section: SectionT, folder: Path) -> SectionT:
    updates: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path):
            updates[name] = folder / value
        elif isinstance(value, _Section):
            updates[name] = _absolute(value, folder)
    return section.model_copy(update=updates)
