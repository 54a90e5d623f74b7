"""From scores to what a forecaster reads: outlines, quality, tracks, the detections table, GeoPackage."""
