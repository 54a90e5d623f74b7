"""Partitions built from the acquisition catalogue when the code location loads.

They are static, because only static partitions let the daemon, the UI and automation know that a date
needs its previous acquisition (docs/decisions/0002-static-partitions.md). When the catalogue grows, the
code location is reloaded.
"""

from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.settings import Settings


@dataclass(frozen=True)
class Partitions:
    """Partition definitions of all assets and the mappings between them."""

    catalogue: AcquisitionCatalogue
    settings: Settings

    @cached_property
    def all_dates(self) -> dg.StaticPartitionsDefinition:
        """Every acquisition, winter and reference."""
        return dg.StaticPartitionsDefinition(self.catalogue.dates())

    @cached_property
    def winter_dates(self) -> dg.StaticPartitionsDefinition:
        """The acquisitions that are searched for avalanches."""
        return dg.StaticPartitionsDefinition(self.catalogue.dates("winter"))

    @cached_property
    def seasons(self) -> dg.StaticPartitionsDefinition:
        """Winters, e.g. ``2017-18``."""
        return dg.StaticPartitionsDefinition(self.catalogue.seasons)

    @property
    def same_date(self) -> dg.StaticPartitionMapping:
        """From an asset of every date to one of winter dates."""
        return dg.StaticPartitionMapping({day: day for day in self.catalogue.dates("winter")})

    @property
    def its_products(self) -> dg.AssetDep:
        """What a winter date is made from in the end.

        Dagster looks one step upstream for what has changed: with this dependency a date whose products
        change shows as stale all the way down to its bulletin.
        """
        return dg.AssetDep("acquisition", partition_mapping=self.same_date)

    @property
    def this_and_previous(self) -> dg.StaticPartitionMapping:
        """A winter date needs its own partition and that of its previous acquisition."""
        needed_by: dict[str, list[str]] = {day: [day] for day in self.catalogue.dates("winter")}
        for day in self.catalogue.dates("winter"):
            previous = self.catalogue.previous(day)
            if previous is not None:
                needed_by[str(previous.date)].append(day)
        return dg.StaticPartitionMapping(needed_by)

    @property
    def season_so_far(self) -> dg.StaticPartitionMapping:
        """A winter date needs its own partition and all earlier ones of its season."""
        return dg.StaticPartitionMapping(
            {
                day: [
                    later
                    for later in self.catalogue.dates("winter", self.catalogue.get(day).season)
                    if later >= day
                ]
                for day in self.catalogue.dates("winter")
            }
        )

    @property
    def reference_of_season(self) -> dg.StaticPartitionMapping:
        """A season's reference needs the dates it is the median of."""
        role = "reference" if self.settings.season.reference == "snow_free_median" else "winter"
        return dg.StaticPartitionMapping(
            {day: self.catalogue.get(day).season for day in self.catalogue.dates(role)}
        )

    @property
    def season_of_date(self) -> dg.StaticPartitionMapping:
        """A winter date needs its season's partition."""
        return dg.StaticPartitionMapping(
            {season: self.catalogue.dates("winter", season) for season in self.catalogue.seasons}
        )

    @property
    def date_of_season(self) -> dg.StaticPartitionMapping:
        """A season needs all its winter dates."""
        return dg.StaticPartitionMapping(
            {day: self.catalogue.get(day).season for day in self.catalogue.dates("winter")}
        )

    @property
    def learning_dates(self) -> dg.PartitionMapping:
        """The models need every winter date of the season they learn from."""
        return dg.SpecificPartitionsPartitionMapping(
            self.catalogue.dates("winter", self.settings.learning.season)
        )

    @property
    def geometry_date(self) -> dg.PartitionMapping:
        """The track geometry needs one orbit: that of the first acquisition."""
        return dg.SpecificPartitionsPartitionMapping(self.catalogue.dates()[:1])
