"""From joints around the hips to joints in front of the camera: where the body stands.

Given joints W relative to the root and the rays x, y of the same joints in the image, the
translation t solves, by weighted least squares over the limb joints,

    W_x + t_x - x (W_z + t_z) = 0,    W_y + t_y - y (W_z + t_z) = 0

(Mehta et al., "VNect", SIGGRAPH 2017, section 4.3 solves the same under weak perspective). Its
depth is as good as the scale of W; it is fused with the rootnet's, which does not know W. Last,
each joint whose keypoint is certain is moved sideways onto its ray: networks see better where a
joint is in the image than how far to the side of the hips it is.
"""

from dataclasses import dataclass

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.people import Keypoints
from pose3d_ros.skeletons import Skeleton

LIMB_JOINTS = (
    'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist',
    'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip

# A keypoint below the first is not believed, above the second it is, in between partly.
_UNCERTAIN, _CERTAIN = 0.2, 0.5
_MIN_WEIGHT = 1e-3


@dataclass(frozen=True)
class RootPrior:
    """What is known of the roots before the pose: the rootnet's word.

    :param depth_m: (n,) NaN = unknown.
    :param stddev_m: (n,) 0 = unknown.
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
    limbs = [i for i, joint in enumerate(own) if skeleton.joint_names[joint] in LIMB_JOINTS]
    fitted = least_squares_roots(relative[:, own][:, limbs], rays[:, limbs], scores[:, limbs])
    depth_m, stddev_m = fuse_depths(fitted[:, 2], scale_stddev, prior)
    # the same direction, at the fused depth: the fit's ray is sure, its distance is not
    roots = fitted * (depth_m / fitted[:, 2])[:, None]
    joints = relative + roots[:, None]
    z = np.maximum(joints[:, own, 2:], 0.05)
    on_rays = np.concatenate([rays * z, z], axis=2)
    belief = np.clip((scores - _UNCERTAIN) / (_CERTAIN - _UNCERTAIN), 0, 1)[..., None]
    joints[:, own] = belief * on_rays + (1 - belief) * joints[:, own]
    return Placed(joints, joints[:, skeleton.root].mean(axis=1), stddev_m)


def least_squares_roots(relative: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the translations (n, 3) of the normal equations; depths at least 0.1 m.

    :param relative: (n, j, 3) metres.
    :param rays: (n, j, 2) x/z, y/z.
    :param weights: (n, j) of each joint's residuals, 0 = not used.
    """
    w = np.maximum(weights, _MIN_WEIGHT) ** 2
    x, y = rays[..., 0], rays[..., 1]
    bx = x * relative[..., 2] - relative[..., 0]
    by = y * relative[..., 2] - relative[..., 1]
    total, zero = w.sum(1), np.zeros(len(w))
    wx, wy = (w * x).sum(1), (w * y).sum(1)
    # rows: d/dt_x, d/dt_y, d/dt_z of the sum of w ((t_x - x t_z - bx)^2 + (t_y - y t_z - by)^2)
    normal = np.stack(
        [
            np.stack([total, zero, -wx], -1),
            np.stack([zero, total, -wy], -1),
            np.stack([-wx, -wy, (w * (x**2 + y**2)).sum(1)], -1),
        ],
        axis=1,
    )
    right = np.stack([(w * bx).sum(1), (w * by).sum(1), -(w * (x * bx + y * by)).sum(1)], -1)
    ridge = 1e-9 * total[:, None, None] * np.eye(3)  # all joints on one point: no depth to find
    roots = np.linalg.solve(normal + ridge, right[..., None])[..., 0]
    roots[:, 2] = np.maximum(roots[:, 2], 0.1)
    return roots


def fuse_depths(
    fitted_m: np.ndarray, scale_stddev: float, prior: RootPrior
) -> tuple[np.ndarray, np.ndarray]:
    """Return depths and standard deviations (n,), metres: the mean in log depth by precision.

    Errors of distance are errors of size, and so relative: Gaussian in log depth.
    """
    known = np.isfinite(prior.depth_m) & (prior.depth_m > 0) & (prior.stddev_m > 0)
    prior_m = np.where(known, prior.depth_m, 1.0)
    prior_precision = np.where(known, (prior_m / np.where(known, prior.stddev_m, 1.0)) ** 2, 0.0)
    precision = prior_precision + scale_stddev**-2
    mean = (np.log(prior_m) * prior_precision + np.log(fitted_m) * scale_stddev**-2) / precision
    depth_m = np.exp(mean)
    return depth_m, depth_m / np.sqrt(precision)


def _shared(skeleton: Skeleton, other: Skeleton) -> tuple[list[int], list[int]]:
    """Return the indices of the joints that both sets name alike, in each of the two."""
    names = [name for name in skeleton.joint_names if name in other.joint_names]
    return skeleton.indices(*names), other.indices(*names)
