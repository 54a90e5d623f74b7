"""The colours of detections, the same on maps, pages and in QGIS.

Source: Okabe & Ito, Color Universal Design (2008): distinguishable with every common colour deficiency.
The classes also differ in lightness, so that a grey print keeps their order.
"""

QUALITY = {"A": "#a8320a", "B": "#e69f00", "C": "#f0e442"}
"""Detection quality: dark vermilion, orange, yellow."""

QUIET = "#0072b2"
"""A corridor that was seen and shows nothing."""

NOT_OBSERVABLE = "#6b6b6b"
"""A corridor that could not be seen; hatched wherever it has an area."""

NEW = "#a8320a"
PERSISTING = "#56b4e9"
RECORDED = "#000000"
"""Bars and lines of the season's activity."""
