# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""BlazePose GHUM 3D landmarks (Bazarevsky et al., arXiv 2006.10204; Grishchenko et al.,
arXiv 2206.11678).

Weights: MediaPipe's pose_landmark_{lite,full,heavy}.tflite (Apache-2.0). The network sees a square
crop that shows the person upright, the hips in its middle, and gives 33 joints in metres around
the hips. MediaPipe gets that crop from a detector of its own or from the frame before; here it
comes from 2D keypoints of the same frame, so that the network runs once per image.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.crops import Crops
from pose3d_ros.models.limbs import LIMB_JOINTS
from pose3d_ros.models.linear_head import FEATURES, split_heads
from pose3d_ros.models.placement import RootPrior, facing_rotation, place
from pose3d_ros.models.runtime import Network
from pose3d_ros.models.session import ImageInput, RuntimeOptions
from pose3d_ros.people import Keypoints, Persons, Poses
from pose3d_ros.skeletons import BLAZEPOSE

CROP_SIZE = 256
# MediaPipe cuts 2.5 times the radius of a circle around the hips that holds the whole body. With
# the circle through the farthest keypoint 2.1 was better on the calibrated clip for the full
# model and as good for the heavy one (`pose3d benchmark accuracy`): the body fills the crop.
_CROP_PER_RADIUS = 2.1
_MIN_KEYPOINT_SCORE = 0.3
_JOINTS = len(BLAZEPOSE)
_NEEDED = {'neck', *LIMB_JOINTS}

# Relative standard deviation of the size of the bodies that each variant gives, measured as the
# error of the least-squares depth on the calibrated clip (`pose3d benchmark accuracy`).
SCALE_STDDEV = {'lite': 0.15, 'full': 0.12, 'heavy': 0.07}


@dataclass(frozen=True)
class Landmarks:
    """What BlazePose sees of n people.

    :param relative: (n, 33, 3) metres from the middle of the hips, along the axes of the optical
        frame (x right, y down, z forward), as seen by a camera that looks straight at the person.
    :param pixels: (n, 33, 2) pixels of the original image.
    :param scores: (n, 33) probability that a joint is in the image and not hidden, 0..1.
    :param presence: (n,) probability that there is a person in the crop, 0..1.
    """

    relative: np.ndarray
    pixels: np.ndarray
    scores: np.ndarray
    presence: np.ndarray


class BlazePose:
    """Estimate the 33 landmarks of every person of an image in one call."""

    def __init__(self, weights: Path, options: RuntimeOptions = RuntimeOptions()) -> None:  # noqa: B008
        body, self._heads = split_heads(weights, ['Identity', 'Identity_1', 'Identity_4'])
        self.network = Network(
            body,
            ImageInput(CROP_SIZE, CROP_SIZE, layout='NHWC', rgb=True, std=(255.0, 255.0, 255.0)),
            [FEATURES],
            options,
        )

    def __call__(self, image: np.ndarray, circles: 'BodyCircles') -> Landmarks:
        """Return the landmarks of n > 0 people of an image (h, w, 3) uint8 BGR."""
        n, angles = len(circles.radii), circles.angles
        widths = _CROP_PER_RADIUS * circles.radii
        crops = Crops.around(circles.centres, widths, (CROP_SIZE, CROP_SIZE), angles)
        (features,) = self.network(crops.cut(image))
        landmarks, presence, world = (
            head(features).astype(np.float64).reshape(n, -1) for head in self._heads
        )
        landmarks = landmarks.reshape(n, -1, 5)[:, :_JOINTS]
        world = world.reshape(n, -1, 3)[:, :_JOINTS]
        return Landmarks(
            _turned(world, angles),
            crops.to_image(landmarks[..., :2]),
            _probability(landmarks[..., 3:5]).prod(axis=2),
            _probability(presence[:, 0]),
        )


def _probability(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))))


@dataclass(frozen=True)
class BodyCircles:
    """The circle around each of n bodies, and how far the body is turned.

    :param centres: (n, 2) the hips, pixels of the original image.
    :param radii: (n,) as far as the farthest keypoint, pixels.
    :param angles: (n,) hips to neck, radians clockwise as seen, 0 = upright.
    """

    centres: np.ndarray
    radii: np.ndarray
    angles: np.ndarray

    @classmethod
    def of_persons(cls, persons: Persons, keypoints: Keypoints | None) -> 'BodyCircles':
        """Return the circles of people by keypoints; by boxes where hips or neck are unknown."""
        by_box = cls.of_boxes(persons.boxes)
        if keypoints is None:
            return by_box
        by_keypoint = cls.of_keypoints(keypoints)
        needed = [*keypoints.skeleton.root, keypoints.skeleton.index('neck')]
        known = (keypoints.scores[:, needed] > 0).all(axis=1) & np.isfinite(by_keypoint.radii)
        return cls(
            np.where(known[:, None], by_keypoint.centres, by_box.centres),
            np.where(known, by_keypoint.radii, by_box.radii),
            np.where(known, by_keypoint.angles, by_box.angles),
        )

    @classmethod
    def of_keypoints(cls, keypoints: Keypoints) -> 'BodyCircles':
        """Return the circles through the farthest keypoint that is certain."""
        skeleton = keypoints.skeleton
        centres = keypoints.xy[:, skeleton.root].mean(axis=1)
        certain = keypoints.scores > _MIN_KEYPOINT_SCORE
        distance = np.linalg.norm(keypoints.xy - centres[:, None], axis=2)
        radii = np.where(certain, distance, 0).max(axis=1)
        # nothing certain: as far as the median keypoint, rather than nothing
        radii = np.where(radii > 1, radii, np.maximum(np.median(distance, axis=1), 1))
        spine = keypoints.xy[:, skeleton.index('neck')] - centres
        return cls(centres, radii, np.arctan2(spine[:, 0], 0.0 - spine[:, 1]))  # 0, 0: upright

    @classmethod
    def of_boxes(cls, boxes: np.ndarray) -> 'BodyCircles':
        """Return the circles around the middle of boxes (n, 4), upright."""
        return cls(
            boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].max(axis=1) / 2, np.zeros(len(boxes))
        )


def _turned(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return points (n, k, 3) turned about the z axis by angles (n,): back to the image's axes."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y, z = np.moveaxis(points, 2, 0)
    return np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=2)


class BlazePoseNet:
    """The default posenet: BlazePose's joints, placed by the camera, keypoints and rootnet.

    :param network: BlazePose.
    :param scale_stddev: relative standard deviation of the size of its bodies.
    """

    skeleton = BLAZEPOSE

    def __init__(self, network: BlazePose, scale_stddev: float) -> None:
        self._network = network
        self._scale_stddev = scale_stddev
        self.networks = (network.network,)

    def __call__(self, image: np.ndarray, persons: Persons, camera: Camera) -> Poses:
        """Return the poses of the people; without keypoints from the network's own landmarks."""
        if not len(persons):
            return Poses.none(BLAZEPOSE)
        keypoints = persons.keypoints
        if keypoints is not None and not _NEEDED.issubset(keypoints.skeleton.joint_names):
            keypoints = None  # of a joint set that cannot place a body
        circles = BodyCircles.of_persons(persons, keypoints)
        seen = self._network(image, circles)
        turn = facing_rotation(camera.rays(circles.centres))
        placed = place(
            np.einsum('nij,nkj->nki', turn, seen.relative),
            BLAZEPOSE,
            Keypoints(BLAZEPOSE, seen.pixels, seen.scores) if keypoints is None else keypoints,
            camera,
            RootPrior(persons.roots[:, 2], persons.root_depth_stddev_m),
            self._scale_stddev,
        )
        return Poses(
            BLAZEPOSE,
            placed.joints,
            # a joint is as certain as that there is somebody: false boxes get few bones
            seen.scores * seen.presence[:, None],
            placed.roots,
            placed.root_depth_stddev_m,
            persons.scores,
            persons.ids,
        )
