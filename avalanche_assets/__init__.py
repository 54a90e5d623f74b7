"""Avalanche-deposit detection from Sentinel-1, as Dagster software-defined assets."""
