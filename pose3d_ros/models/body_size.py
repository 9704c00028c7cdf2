# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Distance from apparent size: how far away are bones that look this long?

The default root estimate. Bones of an adult have known lengths, up to stature; a bone seen at
distance z looks as long as it is only when it lies across the view, and shorter by the cosine of
its slant otherwise. With slants taken as isotropic, the apparent lengths of nine bones give a
posterior over log z, whose mean and spread are the depth and its standard deviation. It is
3DMPPE's k value (Moon et al., ICCV 2019, section 4) with bones in the place of the box's area.

Bone lengths as fractions of stature: Drillis and Contini (1966), as given in Winter,
"Biomechanics and Motor Control of Human Movement", figure 4.1.
"""

from dataclasses import dataclass

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.people import Keypoints, Persons

#: Joint, joint, length as a fraction of stature. Each left one is followed by its mirror image.
BONES = (
    ('left_shoulder', 'left_elbow', 0.186),
    ('right_shoulder', 'right_elbow', 0.186),
    ('left_elbow', 'left_wrist', 0.146),
    ('right_elbow', 'right_wrist', 0.146),
    ('left_hip', 'left_knee', 0.245),
    ('right_hip', 'right_knee', 0.245),
    ('left_knee', 'left_ankle', 0.246),
    ('right_knee', 'right_ankle', 0.246),
)
#: Middle of the hips to middle of the shoulders.
TRUNK = 0.288
_MIN_SCORE = 0.3

# Scatter of log(apparent length): proportions differ by some percent between people, keypoints
# lie some percent of a bone off.
_BONE_LOG_STDDEV = 0.12
# The box alone: people also sit and bend, and boxes are cut by borders and by others.
_BOX_LOG_STDDEV = 0.4

_DEPTHS_M = np.geomspace(0.2, 300.0, 360)
_LOG_DEPTHS = np.log(_DEPTHS_M)


@dataclass(frozen=True)
class BodySize:
    """How tall people are taken to be.

    :param height_m: mean stature, metres (1.70: adults of both sexes).
    :param height_stddev_m: its standard deviation, metres.
    """

    height_m: float = 1.70
    height_stddev_m: float = 0.09


def root_depths(
    persons: Persons, keypoints: Keypoints, camera: Camera, body: BodySize
) -> tuple[np.ndarray, np.ndarray]:
    """Return the depth z (n,) of each root and its standard deviation (n,), both in metres."""
    if not len(persons):
        return np.zeros(0), np.zeros(0)
    lengths, true_lengths, weights = _bones(keypoints, camera)
    ratio = lengths[..., None] * _DEPTHS_M / (true_lengths[:, None] * body.height_m)
    log_density = np.interp(np.log(np.maximum(ratio, 1e-9)), *_SLANT_TABLE)
    log_posterior = (weights[..., None] * log_density).sum(axis=1)
    log_posterior += _box_log_density(persons, camera, body)
    posterior = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    mean = posterior @ _LOG_DEPTHS
    variance = (posterior * (_LOG_DEPTHS - mean[:, None]) ** 2).sum(axis=1)
    # one stature scales all bones of a person alike, so it does not average out over bones
    relative = np.sqrt(variance + (body.height_stddev_m / body.height_m) ** 2)
    depth_m = np.exp(mean)
    return depth_m, depth_m * relative


def _bones(keypoints: Keypoints, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return apparent lengths (n, b) at unit depth, fractions of stature (b,), weights (n, b)."""
    rays = camera.rays(keypoints.xy)
    index = keypoints.skeleton.index
    certain = np.where(keypoints.scores >= _MIN_SCORE, keypoints.scores, 0)
    starts = [index(start) for start, _, _ in BONES]
    ends = [index(end) for _, end, _ in BONES]
    lengths = np.linalg.norm(rays[:, starts] - rays[:, ends], axis=2)
    weights = np.minimum(certain[:, starts], certain[:, ends])
    hips = [index('left_hip'), index('right_hip')]
    shoulders = [index('left_shoulder'), index('right_shoulder')]
    trunk = np.linalg.norm(rays[:, hips].mean(axis=1) - rays[:, shoulders].mean(axis=1), axis=1)
    trunk_weight = certain[:, hips + shoulders].min(axis=1)
    weights = np.column_stack([weights, trunk_weight])
    lengths = np.column_stack([lengths, trunk])
    return (
        np.where(weights > 0, lengths, 1.0),  # an unknown keypoint may be NaN, and 0 * NaN is NaN
        np.array([fraction for _, _, fraction in BONES] + [TRUNK]),
        weights,
    )


def _box_log_density(persons: Persons, camera: Camera, body: BodySize) -> np.ndarray:
    """Return the log density (n, depths) of depth from the box's longer side: a weak last word."""
    apparent = np.maximum(persons.boxes[:, 2:].max(axis=1), 1.0) / camera.focal_px
    expected = np.log(body.height_m / apparent)
    return -0.5 * ((_LOG_DEPTHS - expected[:, None]) / _BOX_LOG_STDDEV) ** 2


def _slant_table() -> tuple[np.ndarray, np.ndarray]:
    """Return log(apparent / true length) and its log density for isotropic slants with scatter.

    For directions uniform on the sphere s = sin(angle to the view) has density s / sqrt(1 - s^2),
    and so u = log s has density exp(2u) / sqrt(1 - exp(2u)), u < 0; convolved with the scatter.
    The substitution s = sin(angle) removes the pole: angles are summed with weight sin(angle).
    """
    log_ratio = np.linspace(-3.0, 1.0, 401)
    angles = (np.arange(2000) + 0.5) / 2000 * np.pi / 2
    offsets = (log_ratio[:, None] - np.log(np.sin(angles))) / _BONE_LOG_STDDEV
    density = (np.exp(-0.5 * offsets**2) * np.sin(angles)).sum(axis=1)
    # a floor, so that one false keypoint cannot rule a depth out
    return log_ratio, np.log(density / density.max() + 1e-3)


_SLANT_TABLE = _slant_table()
