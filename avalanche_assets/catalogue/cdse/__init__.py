"""The Copernicus Data Space."""
