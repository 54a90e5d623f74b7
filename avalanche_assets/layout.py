"""Where everything lies below the data root. No other module builds a path of its own."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path


def _partition(acquisition_date: date | str) -> str:
    return f"acquisition_date={acquisition_date}"


@dataclass(frozen=True)
class DataLayout:
    """Paths of every stored asset below `root`; dates are `date` objects or ``YYYY-MM-DD`` keys."""

    root: Path

    @property
    def version_file(self) -> Path:
        """Says which layout this is (`layout_version.py`)."""
        return self.root / "layout.json"

    # acquisition
    @property
    def acquisition_catalogue(self) -> Path:
        return self.root / "acquisition" / "acquisition_catalogue.csv"

    @property
    def source_ledger(self) -> Path:
        return self.root / "acquisition" / "source_ledger.json"

    def s1_products(self, acquisition_date: date | str) -> Path:
        folder = self.root / "acquisition" / "s1_products" / _partition(acquisition_date)
        return folder / "products.json"

    def orbit_files(self, acquisition_date: date | str) -> Path:
        folder = self.root / "acquisition" / "orbit_files" / _partition(acquisition_date)
        return folder / "orbit.json"

    # terrain
    @property
    def glo30_tiles(self) -> Path:
        """The folder of fetched elevation tiles."""
        return self.root / "terrain" / "glo30"

    @property
    def geoid_grids(self) -> Path:
        """The folder of fetched geoid grids."""
        return self.root / "terrain" / "geoid"

    @property
    def dem(self) -> Path:
        return self.root / "terrain" / "dem.tif"

    @property
    def slope_aspect(self) -> Path:
        return self.root / "terrain" / "slope_aspect.tif"

    @property
    def track_geometry(self) -> Path:
        return self.root / "terrain" / "track_geometry.tif"

    # inventory
    @property
    def corridors(self) -> Path:
        return self.root / "inventory" / "corridors.parquet"

    @property
    def avalanche_events(self) -> Path:
        return self.root / "inventory" / "avalanche_events.parquet"

    def inventory_layer(self, kind: str) -> Path:
        """What the inventory's public service gave: corridors, events or massifs."""
        return self.root / "inventory" / "wfs" / f"{kind}.parquet"

    def rejected(self, table: str) -> Path:
        """The records that the reading of an inventory table turned away, each with its reason."""
        return self.root / "inventory" / f"{table}_rejected.csv"

    # backscatter
    def sigma0(self, acquisition_date: date | str) -> Path:
        return self.root / "backscatter" / "sigma0" / _partition(acquisition_date) / "sigma0.tif"

    def reference_sigma0(self, season: str) -> Path:
        folder = self.root / "backscatter" / "reference_sigma0" / f"season={season}"
        return folder / "reference_sigma0.tif"

    def vv_vh_star(self, acquisition_date: date | str) -> Path:
        folder = self.root / "backscatter" / "vv_vh_star" / _partition(acquisition_date)
        return folder / "vv_vh_star.tif"

    # patches
    @property
    def terrain_patches(self) -> Path:
        return self.root / "patches" / "terrain_patches.parquet"

    def corridor_patches(self, acquisition_date: date | str) -> Path:
        folder = self.root / "patches" / "corridor_patches" / _partition(acquisition_date)
        return folder / "part.parquet"

    def scene_levels(self, acquisition_date: date | str) -> Path:
        folder = self.root / "patches" / "scene_levels" / _partition(acquisition_date)
        return folder / "part.parquet"

    def corridor_labels(self, acquisition_date: date | str) -> Path:
        folder = self.root / "patches" / "corridor_labels" / _partition(acquisition_date)
        return folder / "part.parquet"

    # learning
    @property
    def training_split(self) -> Path:
        return self.root / "learning" / "training_split.parquet"

    def model(self, detector: str) -> Path:
        """The folder of one trained detector."""
        return self.root / "learning" / "models" / detector

    @property
    def score_background(self) -> Path:
        return self.root / "learning" / "score_background.parquet"

    @property
    def model_registry(self) -> Path:
        """The folder of all registered versions, one folder each."""
        return self.root / "learning" / "registry" / "versions"

    @property
    def latest_model(self) -> Path:
        """Names the version registered last."""
        return self.root / "learning" / "registry" / "latest.json"

    @property
    def promoted_model(self) -> Path:
        """Names the version that detections come from."""
        return self.root / "learning" / "registry" / "promoted.json"

    def variation(self, name: str) -> "DataLayout":
        """What was trained again with another seed or setting, for the evaluation only."""
        return DataLayout(self.root / "learning" / "variations" / name)

    @property
    def thresholds(self) -> Path:
        return self.root / "learning" / "thresholds.parquet"

    @property
    def evaluation(self) -> Path:
        return self.root / "learning" / "evaluation.parquet"

    # detection
    def anomaly_scores(self, acquisition_date: date | str) -> Path:
        folder = self.root / "detection" / "anomaly_scores" / _partition(acquisition_date)
        return folder / "part.parquet"

    def published_scores(self, acquisition_date: date | str) -> Path:
        folder = self.root / "detection" / "published_scores" / _partition(acquisition_date)
        return folder / "part.parquet"

    def residuals(self, acquisition_date: date | str) -> Path:
        """The maps behind one date's detections."""
        return self.root / "detection" / "residuals" / _partition(acquisition_date) / "part.parquet"

    def detections(self, acquisition_date: date | str) -> Path:
        folder = self.root / "detection" / "detections" / _partition(acquisition_date)
        return folder / "detections.parquet"

    @property
    def reviews(self) -> Path:
        """Where people review detections by default; made once on request and never written again."""
        return self.root / "reviews" / "reviews.csv"

    def bulletin(self, acquisition_date: date | str) -> Path:
        """The folder of one date's bulletin: bulletin.html, map.png, detections.gpkg."""
        return self.root / "detection" / "bulletin" / _partition(acquisition_date)

    def season_report(self, season: str) -> Path:
        """The folder of one season's report: season_report.html, activity.png, summary.parquet."""
        return self.root / "detection" / "season_report" / f"season={season}"
