"""What the truth of a simulated season says a radar must see, worked out anew from its tables alone."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from affine import Affine
from rasterio.features import rasterize
from scipy import ndimage

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.grid import Grid

FINE = 4
"""Points across a pixel, in each direction, that decide how much of it a deposit covers."""
MELT_DAYS = 2.0
"""A deposit's contrast falls to 1/e in this time once melt around it begins."""


@dataclass(frozen=True)
class Truth:
    """Deposits and weather of the truth folder on an analysis grid with the track's local incidence."""

    folder: Path
    grid: Grid
    local_incidence: np.ndarray
    catalogue: AcquisitionCatalogue

    @cached_property
    def deposits(self) -> gpd.GeoDataFrame:
        return gpd.read_parquet(self.folder / "deposits.parquet").set_index("deposit_id")

    @cached_property
    def weather(self) -> pd.DataFrame:
        table = pd.read_csv(self.folder / "weather.csv", parse_dates=["overpass"])
        return table.set_index(table["overpass"].dt.strftime("%Y-%m-%d"))

    def fell_before(self, deposit: object) -> str | None:
        """The first winter acquisition that can show a deposit; None before the first window or after all."""
        for day in self.catalogue.dates("winter"):
            previous = self.catalogue.previous(day)
            if previous and previous.overpass < deposit.instant <= self.catalogue.get(day).overpass:
                return day
        return None

    def seen_new(self) -> set[tuple[str, str]]:
        """(corridor, date) where a deposit fell that is large and bright enough for the radar."""
        within = self.deposits[self.deposits.visible & (self.deposits.corridor_id != "")]
        return {(item.corridor_id, day) for item in within.itertuples() if (day := self.fell_before(item))}

    @cached_property
    def shares(self) -> dict[str, np.ndarray]:
        """Covered share of every pixel by each deposit, 0..1."""
        fine = self.grid.transform @ Affine.scale(1 / FINE)
        shape = self.grid.height * FINE, self.grid.width * FINE
        return {
            name: rasterize([outline], shape, transform=fine)
            .reshape(self.grid.height, FINE, self.grid.width, FINE)
            .mean((1, 3), dtype=np.float32)
            for name, outline in self.deposits.geometry.items()
        }

    def contrast_db(self, deposit: object, at: datetime) -> float:
        """VV brightening of one deposit at an instant: fading with age, quickly once it melts."""
        age_days = (at - deposit.instant).total_seconds() / 86400
        if age_days < 0:
            return 0.0
        fading = np.exp(-age_days / deposit.decay_days)
        if pd.notna(deposit.melts) and at > deposit.melts:
            fading *= np.exp(-(at - deposit.melts).total_seconds() / 86400 / MELT_DAYS)
        # Steep towards the radar or grazing, a rough surface stands out less.
        angle = self.local_incidence[
            self.grid.row_col(deposit.geometry.centroid.x, deposit.geometry.centroid.y)
        ]
        return deposit.dvv_db * fading * np.interp(angle, [10, 35, 75, 88], [0.2, 1, 1, 0.3])

    def brightening_db(self, day: str) -> np.ndarray:
        """VV brightening of every pixel by all deposits at one acquisition."""
        at = self.catalogue.get(day).overpass
        total = np.zeros(self.grid.shape)
        for item in self.deposits.itertuples():
            power = 10 ** (self.contrast_db(item, at) / 10)
            total = np.maximum(total, 10 * np.log10(1 + self.shares[item.Index] * (power - 1)))
        return total

    def change_db(self, day: str) -> np.ndarray:
        """Change of VV by deposits since the previous acquisition."""
        return self.brightening_db(day) - self.brightening_db(str(self.catalogue.previous(day).date))

    def isolated(self, name: str, day: str, distance_px: int = 9) -> bool:
        """Whether no other deposit that has fallen by a date lies near."""
        at = self.catalogue.get(day).overpass
        fallen = self.deposits.index[(self.deposits.instant <= at) & (self.deposits.index != name)]
        near = ndimage.binary_dilation(self.shares[name] > 0, iterations=distance_px)
        return not any((self.shares[other][near] > 0).any() for other in fallen)
