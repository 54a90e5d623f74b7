"""Patches of the analysis grid around deposit points, as Parquet tables and as samples for detectors."""
