"""Gradient noise for synthetic landscapes: smooth, seeded, evaluated anywhere in constant time.

Source: Perlin, K. (2002), Improving noise, SIGGRAPH (fade polynomial); ridged and warped sums after
Musgrave in Ebert et al. (2003), Texturing and Modeling, chapters 14 and 16.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Floats = NDArray[np.float32]


_ANGLES = np.arange(256) * (2.0 * np.pi / 256.0)
_COSINE, _SINE = np.cos(_ANGLES), np.sin(_ANGLES)


@njit(cache=True)
def _corner(ix: int, iy: int, dx: float, dy: float, seed: int) -> float:
    """Height that the random slope of one lattice point gives at the offset (dx, dy) from it."""
    key = np.uint32(ix) * np.uint32(0x9E3779B1) ^ np.uint32(iy) * np.uint32(0x85EBCA77)
    key ^= np.uint32(seed) * np.uint32(0xC2B2AE3D)
    key = (key ^ (key >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    key = (key ^ (key >> np.uint32(12))) * np.uint32(0x297A2D39)
    angle = (key >> np.uint32(15)) & np.uint32(255)
    height: float = _COSINE[angle] * dx + _SINE[angle] * dy
    return height


@njit(cache=True)
def gradient_noise(x: float, y: float, seed: int) -> float:
    """Perlin noise at one point; about -1..1, mean 0, features one unit wide."""
    ix, iy = int(np.floor(x)), int(np.floor(y))
    dx, dy = x - ix, y - iy
    u = dx * dx * dx * (dx * (dx * 6.0 - 15.0) + 10.0)
    v = dy * dy * dy * (dy * (dy * 6.0 - 15.0) + 10.0)
    south = (1.0 - u) * _corner(ix, iy, dx, dy, seed) + u * _corner(ix + 1, iy, dx - 1.0, dy, seed)
    north = (1.0 - u) * _corner(ix, iy + 1, dx, dy - 1.0, seed) + u * _corner(
        ix + 1, iy + 1, dx - 1.0, dy - 1.0, seed
    )
    height: float = 1.4142 * ((1.0 - v) * south + v * north)
    return height


@njit(cache=True, parallel=True)
def fractal_noise(
    shape: tuple[int, int], cell: float, wavelength: float, octaves: int, seed: int, ridged: bool
) -> Floats:
    """A field of summed octaves, each half as wide and half as high as the one before.

    Args:
        shape: Rows and columns.
        cell: Cell size in metres.
        wavelength: Width of the largest features in metres.
        octaves: Number of octaves.
        seed: Another seed gives an independent field.
        ridged: Sharp crests (values 0..1) instead of smooth waves (about -1..1).

    Returns:
        float32 (rows, columns).
    """
    out = np.empty(shape, np.float32)
    for row in prange(shape[0]):
        for col in range(shape[1]):
            x, y = col * cell / wavelength, row * cell / wavelength
            # The warp bends the lattice directions that plain gradient noise shows.
            wx = x + 0.35 * gradient_noise(0.7 * x + 3.1, 0.7 * y + 7.7, seed + 101)
            wy = y + 0.35 * gradient_noise(0.7 * x + 9.2, 0.7 * y + 1.3, seed + 202)
            total, height, norm = 0.0, 1.0, 0.0
            for octave in range(octaves):
                value = gradient_noise(wx + 17.3 * octave, wy - 11.9 * octave, seed + octave)
                if ridged:
                    value = 1.0 - abs(value)
                    value *= value
                total += height * value
                norm += height
                height *= 0.5
                wx *= 2.0
                wy *= 2.0
            out[row, col] = total / norm
    return out
