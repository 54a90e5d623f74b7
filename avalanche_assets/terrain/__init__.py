"""The elevation model on the analysis grid, and what follows from it alone: slope, aspect, deposit points."""
