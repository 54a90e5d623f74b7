"""Settings and clients as Dagster resources."""
