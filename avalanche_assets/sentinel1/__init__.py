"""Sentinel-1 IW GRDH products: reading, calibration, noise, orbits, geocoding and visibility."""
