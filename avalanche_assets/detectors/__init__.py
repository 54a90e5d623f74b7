"""Detectors: anything that gives a corridor patch an anomaly score, with their training and evaluation."""
