"""Products and orbit files that lie in local folders, as a catalogue.

Names alone say what there is, so that one damaged file cannot hide the others. Manifests add the
footprint and what tells duplicates apart. The direction is checked when a product is opened.
"""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from avalanche_assets.catalogue.interface import OrbitOffer, ProductOffer, ProductQuery
from avalanche_assets.catalogue.orbits import orbit_files
from avalanche_assets.catalogue.product_name import ProductName
from avalanche_assets.catalogue.products import size_of
from avalanche_assets.errors import CatalogueError, SafeError
from avalanche_assets.sentinel1.orbit_file import utc64
from avalanche_assets.sentinel1.safe import SafeArchive
from avalanche_assets.services.progress import Progress


class LocalCatalogue:
    """A folder of SAFE products (folders or zips) and one of orbit files.

    Args:
        folder: Products; those in folders below do not count.
        orbits: Orbit files, also in folders below; None when there are none.
    """

    def __init__(self, folder: Path, orbits: Path | None = None) -> None:
        self._folder, self._orbits = folder, orbits

    @property
    def address(self) -> None:
        """A folder has none."""

    def try_account(self) -> str:
        """Nobody is asked for one."""
        return "none needed for a folder"

    def search(self, query: ProductQuery) -> list[ProductOffer]:
        """Products of the relative orbit between the bounds, in order of time.

        Publication is unknown here: every product counts as new.

        Raises:
            CatalogueError: No such folder.
        """
        if not self._folder.is_dir():
            raise CatalogueError(f"{self._folder}: folder not found; set source.folder in the settings")
        names = (ProductName.parse(path.name) for path in self._folder.iterdir())
        offers = [
            ProductOffer(
                name=name.name,
                platform=name.platform,
                absolute_orbit=name.absolute_orbit,
                start=name.start,
                stop=name.stop,
                id=name.name,
                cog=name.cog,
                size_bytes=size_of(self._folder / name.name),
            )
            for name in names
            if name
            and name.ending
            and name.relative_orbit == query.relative_orbit
            and (query.start is None or name.start >= query.start)
            and (query.stop is None or name.start < query.stop)
        ]
        return sorted(map(self._with_manifest, offers), key=lambda item: (item.start, item.name))

    def withdrawn(self, query: ProductQuery, since: datetime) -> set[str]:
        """Nothing: what is not in the folder any more is not found any more."""
        return set()

    def fetch(self, offer: ProductOffer, folder: Path, progress: Progress) -> Path:
        """Where the product lies; nothing is copied.

        Raises:
            CatalogueError: It has gone.
        """
        path = self._folder / offer.name
        if not path.exists():
            raise CatalogueError(f"{path}: no such product; put it back or materialise acquisition_catalogue")
        return path

    def search_orbit_files(self, platform: str, start: datetime, stop: datetime) -> list[OrbitOffer]:
        """Orbit files of a platform that cover a span of time, with the margin that processing needs.

        Raises:
            OrbitError: No such folder.
        """
        if self._orbits is None:
            return []
        files = orbit_files(self._orbits, platform, utc64(start), utc64(stop))
        return [OrbitOffer(file.path.name, id=str(file.path), location=str(file.path)) for file in files]

    def fetch_orbit_file(self, offer: OrbitOffer, folder: Path, progress: Progress) -> Path:
        """Where the orbit file lies; nothing is copied.

        Raises:
            CatalogueError: It has gone.
        """
        path = Path(offer.location)
        if not path.exists():
            raise CatalogueError(f"{path}: no such orbit file; put it back or search again")
        return path

    def _with_manifest(self, offer: ProductOffer) -> ProductOffer:
        """An offer with what its manifest says, or why it cannot be read."""
        try:
            manifest = SafeArchive.open(self._folder / offer.name).manifest
        except SafeError as error:
            return replace(offer, damage=str(error))
        return replace(
            offer,
            start=manifest.start,
            stop=manifest.stop,
            slice_number=manifest.slice_number,
            processed=manifest.processed,
            ipf_version=manifest.ipf_version,
            footprint=manifest.footprint,
        )
