# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Noise that repeats without a seam, and how it looks from ever further away."""

from functools import cache

import numpy as np

SIDE = 256  # texels; a power of two
LEVELS = 8
_ROUGHNESS = 1.1  # the exponent of its spectrum: 0 = white noise, 2 = clouds


@cache
def noise_pyramid() -> np.ndarray:
    """Return the noise (LEVELS, SIDE, SIDE) float32 in 0..1, each level blurred twice as wide.

    All levels have the same number of texels: a look-up is the same at every distance.
    """
    spectrum = np.fft.rfft2(np.random.default_rng(0).standard_normal((SIDE, SIDE)))
    waves = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]) * SIDE
    spectrum /= np.maximum(waves, 1.0) ** _ROUGHNESS
    spectrum[0, 0] = 0
    sharp = np.fft.irfft2(spectrum, s=(SIDE, SIDE))
    scale = 0.18 / sharp.std()
    levels = []
    for level in range(LEVELS):
        blur = 0.0 if level == 0 else 2.0 ** (level - 1)  # texels
        softened = spectrum * np.exp(-2 * (np.pi * blur * waves / SIDE) ** 2)
        levels.append(np.fft.irfft2(softened, s=(SIDE, SIDE)) * scale + 0.5)
    return np.clip(np.stack(levels), 0, 1).astype(np.float32)
