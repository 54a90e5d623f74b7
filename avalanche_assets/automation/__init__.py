"""Partitions, jobs and schedules: when things run, never what they compute."""
