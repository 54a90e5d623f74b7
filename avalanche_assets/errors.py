"""The errors a user can meet, one class per package.

A message names the file, the field, the value found and what to do about it. Anything that is not an
`AvalancheError` is a bug of ours.
"""


class AvalancheError(Exception):
    """Base of every error caused by an input, a setting or a service rather than by our code."""


class SettingsError(AvalancheError):
    """A setting is missing, unknown or contradicts another one."""


class SafeError(AvalancheError):
    """A Sentinel-1 product is damaged, incomplete or not of the supported kind."""


class OrbitError(AvalancheError):
    """An orbit file is damaged, or of another platform or time than the acquisition."""


class CatalogueError(AvalancheError):
    """The acquisition catalogue or a product source cannot answer, or not with what was asked for."""


class TransientError(CatalogueError):
    """A service did not answer this time: the same request may succeed later, so it is worth a retry."""


class RefusedError(CatalogueError):
    """A service understood and refused a request: asking for the same again cannot help."""


class AccountError(RefusedError):
    """The account is missing, refused or used up: no other request with it can succeed either."""


class DiskError(CatalogueError):
    """A disk is full or may not be written to: nothing else can be stored there either."""


class OfflineError(CatalogueError):
    """A product exists but has to be ordered from a long-term archive first."""


class TerrainError(AvalancheError):
    """The elevation model cannot be used: coverage, coordinate system or heights."""


class InventoryError(AvalancheError):
    """Corridors, massifs or events cannot be read or contradict each other."""


class TableError(AvalancheError):
    """A stored table or raster does not follow its contract."""


class StorageError(AvalancheError):
    """The object store of the data root cannot be used as it is set up."""


class DetectorError(AvalancheError):
    """A detector cannot be trained, loaded or thresholded on the data given."""


class ReviewError(AvalancheError):
    """A table of reviews cannot be read, or a row of it contradicts the inventory or the dates."""
