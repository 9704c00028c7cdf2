# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The 1 Euro filter: little jitter at rest, little lag in motion.

Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
Interactive Systems", CHI 2012. A low-pass filter of first order, whose cutoff rises with the speed
of what it follows.
"""

from dataclasses import dataclass

import numpy as np

_SPEED_CUTOFF_HZ = 1.0  # of the speed itself, as in the paper


@dataclass(frozen=True)
class OneEuro:
    """What steers the filter.

    :param min_cutoff_hz: of what is at rest: lower, and it shakes less.
    :param beta: by how much the cutoff rises with speed, Hz per m/s: higher, and it lags less.
    """

    min_cutoff_hz: float = 1.5
    beta: float = 3.0

    def cutoffs_hz(self, speeds: np.ndarray) -> np.ndarray:
        """Return the cutoff at speeds in m/s. What moves evenly lags by 1 / (2 pi cutoff) s."""
        return np.asarray(self.min_cutoff_hz + self.beta * speeds)

    def __call__(
        self,
        points: np.ndarray,
        before: np.ndarray,
        velocities: np.ndarray,
        elapsed_s: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return filtered points (n, j, 3) and the velocities to give with the next ones.

        The three coordinates of a point share its cutoff, so that turning the camera changes
        nothing.

        :param before: (n, j, 3) the last filtered points, metres.
        :param velocities: (n, j, 3) those returned with them, m/s; zeros at first.
        :param elapsed_s: (n,) since then; 0 = no time passed, and nothing changes.
        """
        elapsed_s = elapsed_s[:, None, None]
        change = (points - before) / np.where(elapsed_s > 0, elapsed_s, np.inf)
        part = _smoothing(np.array(_SPEED_CUTOFF_HZ), elapsed_s)
        velocities = velocities + part * (change - velocities)
        speeds = np.linalg.norm(velocities, axis=2, keepdims=True)
        part = _smoothing(self.cutoffs_hz(speeds), elapsed_s)
        return before + part * (points - before), velocities


def _smoothing(cutoff_hz: np.ndarray, elapsed_s: np.ndarray) -> np.ndarray:
    """Return how much of a new value is taken over: alpha of the paper."""
    turn = 2 * np.pi * cutoff_hz * elapsed_s
    return np.asarray(turn / (1 + turn))
