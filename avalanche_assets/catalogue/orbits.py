"""The orbit of a pass: from the best file of a local folder, or from the annotations of its products.

POEORB (good to some 5 cm) goes before RESORB (10 cm), and that before the annotated orbit (decimetres). File
names decide which is best, as they do for products; its content is checked, and what is wrong with it is an
error: a less precise orbit is never taken in silence.

Source: Copernicus POD Service, product accuracies and latencies (RESORB some hours, POEORB 20 days after the
pass); all POEORB of 2014 to 2021 were processed again in 2021, so the newest file counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from avalanche_assets.catalogue.interface import Catalogue
from avalanche_assets.errors import OrbitError
from avalanche_assets.files import writing
from avalanche_assets.sentinel1.orbit import ABSURD_M, Orbit, merge_orbits
from avalanche_assets.sentinel1.orbit_file import OrbitFile, read_orbit_file, utc64
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.services.progress import Progress

POEORB_DAYS = 21
"""Days after a pass until its precise orbit can be expected."""


@dataclass(frozen=True)
class PassOrbit:
    """The orbit chosen for one pass.

    Attributes:
        orbit: It.
        file: The file it comes from; None for the annotated one.
        annotated_source: What the processor used, e.g. ``Downlink``; empty where not annotated.
        from_annotation_m: Largest distance from the annotated orbit along, across and above the path while
            the images were taken, metres; None for the annotated orbit itself.
    """

    orbit: Orbit
    file: OrbitFile | None
    annotated_source: str
    from_annotation_m: tuple[float, float, float] | None


def best_orbit_file(
    folder: Path, platform: str, start: np.datetime64, stop: np.datetime64
) -> OrbitFile | None:
    """The best file by its name for images from `start` to `stop`; None when none covers them.

    Args:
        folder: Orbit files, also in folders below.
        platform: ``S1A`` to ``S1D``.
        start: Time of the first line, UTC.
        stop: Time of the last line, UTC.

    Raises:
        OrbitError: No such folder.
    """
    return max(orbit_files(folder, platform, start, stop), key=_merit, default=None)


def orbit_files(folder: Path, platform: str, start: np.datetime64, stop: np.datetime64) -> list[OrbitFile]:
    """All files of the platform that by their names cover the images; arguments as `best_orbit_file`.

    Raises:
        OrbitError: No such folder.
    """
    if not folder.is_dir():
        raise OrbitError(f"{folder}: folder not found; make it or take source.orbits out of the settings")
    named = (OrbitFile.named(path) for path in folder.rglob("S1*"))
    return [file for file in named if file and file.platform == platform and file.covers(start, stop)]


def fetch_best_orbit_file(
    catalogue: Catalogue, platform: str, start: datetime, stop: datetime, folder: Path, progress: Progress
) -> None:
    """Fetches the best orbit file on offer for images, unless the folder holds one that is as good.

    Args:
        catalogue: The source.
        platform: ``S1A`` to ``S1D``.
        start: Time of the first line, UTC.
        stop: Time of the last line, UTC.
        folder: Receives the file.
        progress: As in `Catalogue.fetch`.

    Raises:
        CatalogueError: The source cannot answer, or not with the file.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    here = best_orbit_file(folder, platform, utc64(start), utc64(stop))
    if here is not None and here.source == "POEORB":
        return
    offered = [
        (named, offer)
        for offer in catalogue.search_orbit_files(platform, start, stop)
        if (named := OrbitFile.named(folder / offer.name)) is not None
    ]
    best = max(offered, key=lambda item: _merit(item[0]), default=None)
    if best is not None and (here is None or _merit(best[0]) > _merit(here)):
        catalogue.fetch_orbit_file(best[1], folder, progress)


def refinable(orbit: Orbit, day: date, today: date) -> bool:
    """Whether a better orbit than the one in use can be expected by now: the precise one."""
    return orbit.source != "POEORB" and today >= day + timedelta(days=POEORB_DAYS)


def pass_orbit(products: Sequence[Product], folder: Path | None) -> PassOrbit:
    """The best orbit for the products of one pass.

    Args:
        products: At least one, of one pass.
        folder: Orbit files; None for the annotated orbit.

    Raises:
        OrbitError: The best file cannot be used, or is absurdly far from the annotated orbit.
    """
    sources = " ".join(sorted({product.annotation.orbit_source for product in products} - {""}))
    ends = [(product.annotation.image.first_line, product.annotation.stop) for product in products]
    start, stop = min(first for first, _ in ends), max(last for _, last in ends)
    file = best_orbit_file(folder, products[0].platform, start, stop) if folder else None
    if file is None:
        return PassOrbit(merge_orbits(product.orbit for product in products), None, sources, None)
    orbit = read_orbit_file(file.path, products[0].platform, start, stop)
    apart = np.zeros(3)
    for product, (first, last) in zip(products, ends, strict=True):
        times = np.linspace(orbit.seconds(first), orbit.seconds(last), 32)
        apart = np.maximum(apart, abs(orbit.displacement(product.orbit, times)).max(axis=0))
    along, across, above = (float(metres) for metres in apart)
    if not apart.max() < ABSURD_M:
        raise OrbitError(
            f"{file.path}: lies {along:.3g} m along, {across:.3g} m across and {above:.3g} m above the orbit "
            f"that {products[0].name} annotates, more than {ABSURD_M:g} m; one of both is damaged: download "
            "the orbit file again, and the product if that does not help"
        )
    return PassOrbit(orbit, file, sources, (along, across, above))


def _merit(file: OrbitFile) -> tuple[bool, np.datetime64, str]:
    return file.source == "POEORB", file.created, str(file.path)
