"""From sigma0 to VV* and VH*: reference, ratio in dB, scene-wide drift, ready-made rasters."""
