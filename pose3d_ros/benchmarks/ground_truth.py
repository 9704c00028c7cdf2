# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the subject of the calibrated clip really is: four cameras at once say so.

The 2D keypoints of all four cameras, each the mean over the image and its mirror image, are
triangulated. They come from the keypoint network that is also part of what is measured, but a
wrong keypoint of one camera is outvoted by three others from other sides.
"""

import hashlib
import logging
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
from tqdm import tqdm

from pose3d_ros import weights
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.evaluation import triangulate
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.limbs import LIMB_JOINTS
from pose3d_ros.models.rtmpose import BOX_PADDING, RTMPose
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.models.yolox import LONG_SIDE, YOLOX
from pose3d_ros.skeletons import HALPE26

LIMBS = HALPE26.indices(*LIMB_JOINTS)
HIPS = (LIMB_JOINTS.index('left_hip'), LIMB_JOINTS.index('right_hip'))
_BONES = (
    ('left_shoulder', 'left_elbow'), ('right_shoulder', 'right_elbow'),
    ('left_elbow', 'left_wrist'), ('right_elbow', 'right_wrist'), ('left_hip', 'left_knee'),
    ('right_hip', 'right_knee'), ('left_knee', 'left_ankle'), ('right_knee', 'right_ankle'),
)  # fmt: skip

_LOG = logging.getLogger(__name__)
_PRECISION = RuntimeOptions(precision='f32')
# Frames before and after over which the median is taken: at 60 Hz a twentieth of a second.
_MEDIAN_REACH = 3
_NEWTON_ROUNDS = 3
_DERIVATIVE_STEP_RAD = 1e-5
_CACHE_VERSION = 1


@dataclass(frozen=True)
class Observations:
    """2D keypoints of the subject in every frame of every camera.

    :param xy: (c, f, 26, 2) pixels, Halpe-26.
    :param scores: (c, f, 26) 0..1.
    """

    xy: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class GroundTruth:
    """The subject in every frame, and how well the cameras agree on it.

    :param joints: (f, 12, 3) the LIMB_JOINTS in the world, metres.
    :param rotations: (c, 3, 3) world to optical frame, corrected.
    :param translations: (c, 3) metres.
    :param turned_deg: (c,) by how much each camera was turned.
    :param residual_before_px: (c, f, 12) between projection and keypoint, as calibrated.
    :param residual_px: (c, f, 12) the same with the corrected rotations.
    """

    joints: np.ndarray
    rotations: np.ndarray
    translations: np.ndarray
    turned_deg: np.ndarray
    residual_before_px: np.ndarray
    residual_px: np.ndarray

    def in_camera(self, camera: int, frame: int) -> np.ndarray:
        """Return the joints (12, 3) of one frame in one camera's optical frame, metres."""
        return np.asarray(self.joints[frame] @ self.rotations[camera].T + self.translations[camera])

    @property
    def bone_stddev_m(self) -> float:
        """Return by how much the length of a bone varies over the frames: the median bone.

        The length is constant in the subject, so this is error of the ground truth alone.
        """
        ends = np.array([[LIMB_JOINTS.index(name) for name in bone] for bone in _BONES])
        lengths = np.linalg.norm(self.joints[:, ends[:, 0]] - self.joints[:, ends[:, 1]], axis=2)
        return float(np.median(lengths.std(axis=0)))


def ground_truth(clip: Clip) -> GroundTruth:
    """Return the ground truth of the single-person clip; the keypoints are cached.

    :raises weights.WeightsError: the networks are not there.
    """
    return solve(clip, cached_observations(clip))


def solve(clip: Clip, observations: Observations) -> GroundTruth:
    """Triangulate, after turning each camera so that its rays meet those of the others best.

    As calibrated the rays miss each other by offsets of 10 to 20 pixels that are constant over a
    clip and differ between the two clips, so cameras or films were shifted after the calibration.
    Only rotations are corrected: the centres keep the scale, and 12 numbers are fitted to 10,000.
    """
    truth = triangulated(clip, observations.xy[:, :, LIMBS], observations.scores[:, :, LIMBS])
    return replace(truth, joints=smoothed(truth.joints))


def triangulated(clip: Clip, xy: np.ndarray, scores: np.ndarray) -> GroundTruth:
    """Return points (f, k, 3) as `solve` does, of any k keypoints, and frame by frame.

    :param xy: (c, f, k, 2) pixels.
    :param scores: (c, f, k) weights; above 0 in two cameras at least.
    """
    rays = np.stack([c.camera.rays(k) for c, k in zip(clip.cameras, xy, strict=True)])
    before = np.stack([c.rotation for c in clip.cameras])
    centres = np.stack([c.centre for c in clip.cameras])
    turns = fitted_turns(rays, scores, before, centres)

    def solved(rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        joints, seen = _triangulated(rays, scores, rotations, centres)
        pixels = np.stack([c.camera.project(p) for c, p in zip(clip.cameras, seen, strict=True)])
        return joints, np.linalg.norm(pixels - xy, axis=-1)

    rotations = _turned(before, turns)
    joints, residual = solved(rotations)
    return GroundTruth(
        joints,
        rotations,
        _translations(rotations, centres),
        np.degrees(np.linalg.norm(turns, axis=1)),
        solved(before)[1],
        residual,
    )


def fitted_turns(
    rays: np.ndarray, scores: np.ndarray, rotations: np.ndarray, centres: np.ndarray
) -> np.ndarray:
    """Return the small turns (c, 3) of the cameras, as rotation vectors, that fit the rays best.

    Gauss-Newton on the weighted squares of the differences between seen rays and those to the
    triangulated points; the centres stay.

    :param rays: (c, f, k, 2).
    :param scores: (c, f, k) weights.
    :param rotations: (c, 3, 3) world to camera, as calibrated.
    :param centres: (c, 3) metres.
    """

    def residuals(turns: np.ndarray) -> np.ndarray:
        seen = _triangulated(rays, scores, _turned(rotations, turns), centres)[1]
        difference = (seen[..., :2] / seen[..., 2:] - rays) * scores[..., None]
        return np.asarray(difference.ravel())

    turns = np.zeros((len(rays), 3))
    steps = _DERIVATIVE_STEP_RAD * np.eye(turns.size).reshape(-1, *turns.shape)
    for _ in range(_NEWTON_ROUNDS):
        here = residuals(turns)
        jacobian = np.stack([residuals(turns + step) - here for step in steps], axis=1)
        solution = np.linalg.lstsq(jacobian / _DERIVATIVE_STEP_RAD, -here, rcond=None)[0]
        turns = turns + solution.reshape(turns.shape)
    return turns


def _turned(rotations: np.ndarray, turns: np.ndarray) -> np.ndarray:
    return np.stack([cv2.Rodrigues(turn)[0] @ r for r, turn in zip(rotations, turns, strict=True)])


def _translations(rotations: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.asarray(-np.einsum('cij,cj->ci', rotations, centres))


def _triangulated(
    rays: np.ndarray, scores: np.ndarray, rotations: np.ndarray, centres: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (f, k, 3) in the world, and (c, f, k, 3) in each camera."""
    translations = _translations(rotations, centres)
    points = triangulate(rays, rotations, translations, scores)
    seen = np.einsum('cij,fkj->cfki', rotations, points) + translations[:, None, None]
    return points, seen


def smoothed(joints: np.ndarray) -> np.ndarray:
    """Return the running median over time of joints (f, k, 3); shorter at both ends."""
    reach = _MEDIAN_REACH
    return np.stack(
        [np.median(joints[max(0, i - reach) : i + reach + 1], axis=0) for i in range(len(joints))]
    )


def observe(clip: Clip) -> Observations:
    """Find the subject's keypoints in every frame of every camera, with a progress bar.

    The subject is the largest person: nobody else in the clip comes nearer to a camera.
    """
    detector = YOLOX(weights.path('yolox_tiny'), _PRECISION)
    network = RTMPose(weights.path('rtmpose_s'), _PRECISION)
    shape = (len(clip.cameras), clip.frame_count, len(HALPE26))
    # a frame in which nobody is found has no weight in the triangulation
    xy, scores = np.zeros((*shape, 2)), np.zeros(shape)
    with tqdm(total=shape[0] * shape[1], desc='ground truth', unit='image', disable=None) as bar:
        for camera in range(len(clip.cameras)):
            for frame, image in enumerate(clip.frames(camera)):
                people = detector(image, DetectorOptions())
                if len(people):
                    largest = people.boxes[:, 2:].prod(axis=1).argmax()
                    found = mirrored_mean(network, image, people.boxes[[largest]])
                    xy[camera, frame], scores[camera, frame] = found
                bar.update()
    return Observations(xy, scores)


def mirrored_mean(
    network: RTMPose, image: np.ndarray, box: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return keypoints (26, 2) and scores (26,) in `box` (1, 4): means with the mirror image's."""
    width = image.shape[1]
    mirrored = np.ascontiguousarray(image[:, ::-1])
    mirrored_box = box.copy()
    mirrored_box[:, 0] = width - box[:, 0] - box[:, 2]
    straight, other = network(image, box), network(mirrored, mirrored_box)
    order = HALPE26.flip_order
    xy = other.xy[0, order]
    xy[:, 0] = width - 1 - xy[:, 0]
    return (straight.xy[0] + xy) / 2, (straight.scores[0] + other.scores[0, order]) / 2


def cached_observations(clip: Clip) -> Observations:
    """Return the observations, from the cache where an earlier run left them."""
    file = weights.cache_dir() / 'benchmark' / f'keypoints_{_key(clip)}.npz'
    try:
        with np.load(file) as stored:
            return Observations(stored['xy'], stored['scores'])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # not there yet, or damaged
    observations = observe(clip)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix='.part', delete=False) as part:
            np.savez_compressed(part, xy=observations.xy, scores=observations.scores)
        Path(part.name).replace(file)
    except OSError as error:
        _LOG.warning('the keypoints are not kept for the next run: %s', error)
    return observations


def _key(clip: Clip) -> str:
    """Return a name for all that the observations depend on."""
    used = [f'pose2sim_{clip.name}_', 'yolox_tiny', 'rtmpose_s']
    files = [asset.sha256 for asset in weights.ASSETS if asset.name.startswith(tuple(used))]
    parts: Sequence[object] = (
        _CACHE_VERSION, ov.__version__, DetectorOptions(LONG_SIDE), BOX_PADDING, _PRECISION, *files,
    )  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
