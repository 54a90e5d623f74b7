"""The shortest settings file of a deployment with products, terrain and inventory."""

AREA = "area = [5.4, 43.9, 7.8, 46.5]\n"
"""Of `source`, where no elevation model tells it."""
ARCHIVE = f'orbits = "orbits"\nkind = "cdse"\n{AREA}'
"""Of `source`: products are fetched."""


def minimal_settings(source: str = "", more: str = "") -> str:
    """TOML text; `source` are further lines of that section, `more` further sections."""
    return f"""
data_root = "data"
[source]
folder = "products"
{source}[terrain]
dem = "dem.tif"
vertical_datum = "ellipsoidal"
[inventory]
corridors = "corridors.gpkg"
events = "events.csv"
{more}"""
