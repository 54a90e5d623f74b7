"""A whole Copernicus Data Space on this machine: catalogue, tokens and downloads of the products in a folder.

What is recorded and what is modelled is told by its parts, `fake_odata` and `fake_cdse`.
"""

import mmap
from contextlib import contextmanager

from loopback.fake_cdse import PASSWORD, USERNAME, FakeCdse
from loopback.fake_odata import PATHS, FakeOData
from loopback.odata_entities import cog_twin, deleted, grdh_of, orbit_file_of

from avalanche_assets.settings import CdseSettings

ENVIRONMENT = {"CDSE_USERNAME": USERNAME, "CDSE_PASSWORD": PASSWORD}
"""Of the account that the service knows."""


class DataSpace:
    """The service; `server` and `catalogue` are for tests that look behind the counter.

    Attributes:
        server: Tokens and downloads, with the faults that befall them.
        catalogue: Entities, which tests may change.
    """

    def __init__(self, server):
        self.server, self.catalogue = server, FakeOData()
        for path in PATHS:
            server.routes[path] = self.catalogue

    @property
    def settings(self):
        """Addresses for `source.cdse`."""
        return CdseSettings(
            catalogue_url=f"{self.server.url}/odata/v1",
            token_url=self.server.token_url,
            download_url=self.server.download_url,
        )

    def add_product(self, path, **changes):
        """Offers a zipped product and its cloud-optimised twin; `changes` are fields of its entity."""
        entity = grdh_of(path) | changes
        self.catalogue.products += [entity, cog_twin(entity)]
        self.server.files[entity["Id"]] = _content(path)
        return entity

    def add_orbit_file(self, path, **changes):
        """Offers an orbit file that is not zipped."""
        entity = orbit_file_of(path) | changes
        self.catalogue.products.append(entity)
        self.server.files[entity["Id"]] = _content(path)
        return entity

    def withdraw(self, entity, when):
        """Takes a product back."""
        self.catalogue.products.remove(entity)
        self.catalogue.deleted.append(deleted(entity, when))
        del self.server.files[entity["Id"]]


@contextmanager
def serve_folder(folder, orbits=None):
    """Serves all zipped products of a folder, and the orbit files of another one, until the block ends."""
    with FakeCdse() as server:
        space = DataSpace(server)
        for path in sorted(folder.glob("*.SAFE.zip")):
            space.add_product(path)
        for path in sorted(orbits.rglob("*.EOF")) if orbits else ():
            space.add_orbit_file(path)
        yield space


def _content(path):
    """Bytes that stay on disk until they are sent."""
    with path.open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
