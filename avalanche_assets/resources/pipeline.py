"""The one resource of all assets: settings, layout and catalogue of a deployment."""

from functools import cached_property
from pathlib import Path

import dagster as dg

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue, read_catalogue
from avalanche_assets.layout import DataLayout
from avalanche_assets.layout_version import stamp_layout
from avalanche_assets.settings import Settings, load_settings


class Pipeline(dg.ConfigurableResource["Pipeline"]):
    """Gives assets the settings, the layout of the data root and the acquisition catalogue.

    Attributes:
        settings_file: Path of the TOML settings file.
    """

    settings_file: str

    @cached_property
    def settings(self) -> Settings:
        """Settings, read once a run; a data root of another layout stops it."""
        settings = load_settings(Path(self.settings_file))
        stamp_layout(settings.layout)
        return settings

    @property
    def layout(self) -> DataLayout:
        """Paths of every stored asset."""
        return self.settings.layout

    @cached_property
    def catalogue(self) -> AcquisitionCatalogue:
        """The acquisition catalogue as it stands when the run starts."""
        return read_catalogue(self.layout.acquisition_catalogue, self.settings.season.max_gap_days)
