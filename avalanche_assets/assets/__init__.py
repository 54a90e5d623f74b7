"""The pipeline as one reads it: one module a stage, in flow order, each thin."""
