# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From joints around the hips to joints in front of the camera: where the body stands.

Given joints W relative to the root and the rays x, y of the same joints in the image, the
translation t solves, by weighted least squares over the limb joints,

    W_x + t_x - x (W_z + t_z) = 0,    W_y + t_y - y (W_z + t_z) = 0

(Mehta et al., "VNect", SIGGRAPH 2017, section 4.3 solves the same under weak perspective). Its
depth is as good as the scale of W, and as the likeness of W and rays: a body that the image does
not show (the network saw another person, or there is none) comes out too near. So it is fused with
the rootnet's depth, which does not know W, and has the less to say the less W and rays agree. Last,
each joint whose keypoint is certain is moved sideways onto its ray: networks see better where a
joint is in the image than how far to the side of the hips it is. At which depth it meets the ray is
settled by the lengths of bones (`limbs`).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.models.limbs import LIMB_JOINTS, natural_depths, natural_lengths
from pose3d_ros.people import UNSTATED_DEVIATION, Keypoints
from pose3d_ros.skeletons import Skeleton

# What moves with the limb joints at its side; all that is not named here is of the head, and moves
# with the shoulders.
_SHOULDERS = ('left_shoulder', 'right_shoulder')
_CARRIERS = {
    'pinky': 'wrist',
    'index': 'wrist',
    'thumb': 'wrist',
    'heel': 'ankle',
    'foot_index': 'ankle',
}

# A keypoint below the first is not believed, above the second it is, in between partly.
_UNCERTAIN, _CERTAIN = 0.2, 0.5
_MIN_WEIGHT = 1e-3
_MIN_DEPTH_M = 0.1
_MIN_RELATIVE_STDDEV = 1e-6
_NEAREST_JOINT_M = 0.05
_TINY = 1e-12  # square of the spread of rays of a body seen as a point: no depth to find


@dataclass(frozen=True)
class RootPrior:
    """What is known of the roots before the pose: the rootnet's word.

    :param depth_m: (n,) NaN = unknown.
    :param stddev_m: (n,) 0 or less, or not finite = not stated.
    """

    depth_m: np.ndarray
    stddev_m: np.ndarray


@dataclass(frozen=True)
class Placed:
    """Bodies in front of the camera.

    :param joints: (n, j, 3) metres, optical frame.
    :param roots: (n, 3) metres, optical frame.
    :param root_depth_stddev_m: (n,) metres.
    """

    joints: np.ndarray
    roots: np.ndarray
    root_depth_stddev_m: np.ndarray


def facing_rotation(rays: np.ndarray) -> np.ndarray:
    """Return the rotations (n, 3, 3) that turn the optical axis onto rays (n, 2) (x/z, y/z).

    A network that sees only a crop takes its middle for the optical axis, so what it calls depth
    lies along the ray to the person.
    """
    d = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    x, y, z = d.T
    zero = np.zeros_like(x)
    cross = np.stack(  # Rodrigues' formula for the axis (0, 0, 1) x d = (-y, x, 0)
        [
            np.stack([zero, zero, x], -1),
            np.stack([zero, zero, y], -1),
            np.stack([-x, -y, zero], -1),
        ],
        axis=1,
    )
    return np.eye(3) + cross + cross @ cross / (1 + z)[:, None, None]


def place(
    relative: np.ndarray,
    skeleton: Skeleton,
    keypoints: Keypoints,
    camera: Camera,
    prior: RootPrior,
    scale_stddev: float,
) -> Placed:
    """Return the bodies where camera and prior say they stand.

    :param relative: (n, j, 3) joints around the root, metres, along the camera's axes.
    :param skeleton: their joint set; joints are matched with keypoints by name.
    :param keypoints: 2D keypoints of the same n people, original pixels.
    :param prior: the rootnet's depths.
    :param scale_stddev: relative standard deviation of the size of `relative`.
    """
    own, seen = _shared(skeleton, keypoints.skeleton)
    rays, scores = camera.rays(keypoints.xy[:, seen]), keypoints.scores[:, seen]
    known = np.isfinite(rays).all(axis=2) & np.isfinite(scores)
    rays, scores = np.where(known[..., None], rays, 0.0), np.where(known, scores, 0.0)
    limbs = skeleton.indices(*LIMB_JOINTS)
    places = [own.index(joint) for joint in limbs]
    fit = Fit.of(relative[:, limbs], rays[:, places], scores[:, places])
    depth_m, stddev_m = fuse_depths(fit, scale_stddev, prior)
    joints = relative + fit.roots_at(depth_m)[:, None]
    belief = np.clip((scores - _UNCERTAIN) / (_CERTAIN - _UNCERTAIN), 0, 1)[..., None]
    joints[:, own] = _on_rays(joints[:, own], rays, belief)
    slopes = (belief * rays)[:, places]
    natural_m = natural_depths(joints[:, limbs], slopes, natural_lengths(relative[:, limbs]))
    further_m = (natural_m - joints[:, limbs, 2])[..., None]
    moves = np.concatenate([further_m * slopes, further_m], axis=2)
    joints += np.einsum('lj,nlx->njx', _carried(skeleton), moves)
    joints[:, own] = _on_rays(joints[:, own], rays, belief)
    return Placed(joints, joints[:, skeleton.root].mean(axis=1), stddev_m)


def _on_rays(joints: np.ndarray, rays: np.ndarray, belief: np.ndarray) -> np.ndarray:
    """Return joints (n, k, 3) moved sideways onto rays (n, k, 2) as far as those are believed."""
    z = np.maximum(joints[..., 2:], _NEAREST_JOINT_M)
    return np.asarray(belief * np.concatenate([rays * z, z], axis=2) + (1 - belief) * joints)


@dataclass(frozen=True)
class Fit:
    """The least squares translation of n bodies, as a line: x and y of the root for each depth.

    :param depth_m: (n,) where the residual is least, at least 0.1 m.
    :param agreement: (n,) the share of the joints' spread that it explains, 0.001..1: the squared
        correlation of rays and bodies.
    :param origin: (n, 2) x and y of the root at depth 0, metres.
    :param direction: (n, 2) their change per metre of depth: the mean ray.
    """

    depth_m: np.ndarray
    agreement: np.ndarray
    origin: np.ndarray
    direction: np.ndarray

    @classmethod
    def of(cls, relative: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> 'Fit':
        """Return the fit.

        :param relative: (n, j, 3) metres.
        :param rays: (n, j, 2) x/z, y/z.
        :param weights: (n, j) of each joint's residuals, 0 = not used.
        """
        w = np.maximum(weights, _MIN_WEIGHT)[..., None] ** 2
        w /= w.sum(axis=1, keepdims=True)
        # t_x - x t_z = x W_z - W_x: what is left of it after the means are taken off gives t_z
        right = rays * relative[..., 2:] - relative[..., :2]
        origin, direction = (w * right).sum(axis=1), (w * rays).sum(axis=1)
        spread, body = rays - direction[:, None], right - origin[:, None]
        both = -(w * spread * body).sum(axis=(1, 2))
        rays_square, body_square = (w * spread**2).sum((1, 2)), (w * body**2).sum((1, 2))
        depth_m = both / np.maximum(rays_square, _TINY)
        agreement = both**2 / np.maximum(rays_square * body_square, _TINY)
        agreement = np.where(depth_m > _MIN_DEPTH_M, agreement, 0)  # else upside down, or behind
        return cls(
            np.maximum(depth_m, _MIN_DEPTH_M), np.clip(agreement, 1e-3, 1), origin, direction
        )

    def roots_at(self, depth_m: np.ndarray) -> np.ndarray:
        """Return the roots (n, 3) at depths (n,), x and y of least residual."""
        return np.column_stack([self.origin + self.direction * depth_m[:, None], depth_m])


def fuse_depths(fit: Fit, scale_stddev: float, prior: RootPrior) -> tuple[np.ndarray, np.ndarray]:
    """Return depths and standard deviations (n,), metres: the mean in log depth by precision.

    Errors of distance are errors of size, and so relative: Gaussian in log depth. Where bodies and
    rays agree by a share a only, noise pulls the fit nearer by as much: log a is its error.
    """
    known = np.isfinite(prior.depth_m) & (prior.depth_m > 0)
    prior_m = np.where(known, prior.depth_m, 1.0)
    stated = np.isfinite(prior.stddev_m) & (prior.stddev_m > 0)
    relative = np.where(stated, prior.stddev_m / prior_m, UNSTATED_DEVIATION)
    relative = np.maximum(np.where(known, relative, np.inf), _MIN_RELATIVE_STDDEV)
    prior_precision, fit_precision = (
        relative**-2,
        1 / (scale_stddev**2 + np.log(fit.agreement) ** 2),
    )
    precision = prior_precision + fit_precision
    logs = np.log(prior_m) * prior_precision + np.log(fit.depth_m) * fit_precision
    depth_m = np.exp(logs / precision)
    return depth_m, depth_m / np.sqrt(precision)


@cache
def _carried(skeleton: Skeleton) -> np.ndarray:
    """Return (12, j) how far each joint goes along with each limb joint: hands, feet and face."""
    weights = np.zeros((len(LIMB_JOINTS), len(skeleton)))
    for joint, name in enumerate(skeleton.joint_names):
        side, _, part = name.partition('_')
        carrier = name if name in LIMB_JOINTS else f'{side}_{_CARRIERS.get(part)}'
        carriers = [carrier] if carrier in LIMB_JOINTS else _SHOULDERS
        weights[[LIMB_JOINTS.index(limb) for limb in carriers], joint] = 1 / len(carriers)
    return weights


def _shared(skeleton: Skeleton, other: Skeleton) -> tuple[list[int], list[int]]:
    """Return the indices of the joints that both sets name alike, in each of the two."""
    names = [name for name in skeleton.joint_names if name in other.joint_names]
    return skeleton.indices(*names), other.indices(*names)
