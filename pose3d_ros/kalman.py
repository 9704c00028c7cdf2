# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A Kalman filter of position and velocity, of many people at once.

The white noise acceleration model of Bar-Shalom, Li and Kirubarajan, "Estimation with Applications
to Tracking and Navigation", Wiley 2001, section 6.2: velocity is constant but for a random walk.
All is in seconds, so the time from one measurement to the next may be any.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Motions:
    """Estimates of t people's motions.

    :param means: (t, 6) x y z vx vy vz, metres and m/s.
    :param covariances: (t, 6, 6) of means.
    """

    means: np.ndarray
    covariances: np.ndarray

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, rows: np.ndarray) -> 'Motions':
        return Motions(self.means[rows], self.covariances[rows])

    def with_rows(self, chosen: np.ndarray, others: 'Motions') -> 'Motions':
        """Return the motions with those of `others` where `chosen` (t,) is true."""
        return Motions(
            np.where(chosen[:, None], others.means, self.means),
            np.where(chosen[:, None, None], others.covariances, self.covariances),
        )

    @classmethod
    def starting(cls, positions: np.ndarray, noises: np.ndarray, speed_stddev: float) -> 'Motions':
        """Return motions of which one position (t, 3) is known, and no velocity.

        :param noises: (t, 3, 3) covariance of each position.
        :param speed_stddev: of each component of the velocity, m/s.
        """
        covariances = np.zeros((len(positions), 6, 6))
        covariances[:, :3, :3] = noises
        covariances[:, 3:, 3:] = speed_stddev**2 * np.eye(3)
        return cls(np.hstack([positions, np.zeros_like(positions)]), covariances)

    def after(self, elapsed_s: float, acceleration_density: float) -> 'Motions':
        """Return the motions some time later, when nothing was measured in between.

        :param acceleration_density: by how much the variance of each component of the velocity
            grows in a second, (m/s)^2 / s.
        """
        t, q, one = elapsed_s, acceleration_density, np.eye(3)
        move = np.kron([[1, t], [0, 1]], one)
        grown = np.kron([[t**3 / 3, t**2 / 2], [t**2 / 2, t]], one)
        return Motions(self.means @ move.T, move @ self.covariances @ move.T + q * grown)

    def misfits(self, positions: np.ndarray, noises: np.ndarray) -> np.ndarray:
        """Return (t,) the squared Mahalanobis distance of measured positions (t, 3)."""
        missed = positions - self.means[:, :3]
        spread = self.covariances[:, :3, :3] + noises
        return np.asarray((missed * _solved(spread, missed[..., None])[..., 0]).sum(axis=1))

    def joined(self, positions: np.ndarray, noises: np.ndarray) -> 'Motions':
        """Return the motions with a measured position (t, 3) each.

        :param noises: (t, 3, 3) covariance of each position.
        """
        seen = self.covariances[:, :3]  # rows of the position: (t, 3, 6)
        gains = np.swapaxes(_solved(seen[..., :3] + noises, seen), 1, 2)
        missed = positions - self.means[:, :3]
        # Joseph's form stays symmetric and positive whatever is rounded off
        kept = np.eye(6) - np.concatenate([gains, np.zeros_like(gains)], axis=2)
        covariances = kept @ self.covariances @ np.swapaxes(kept, 1, 2)
        covariances += gains @ noises @ np.swapaxes(gains, 1, 2)
        return Motions(self.means + (gains @ missed[..., None])[..., 0], covariances)


def _solved(matrices: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.solve(matrices, right))
