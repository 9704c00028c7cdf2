"""The three stages by name: which classes and weight files make a detector, rootnet, posenet."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from pose3d_ros import weights
from pose3d_ros.camera import Camera
from pose3d_ros.models.blazepose import SCALE_STDDEV, BlazePose, BlazePoseNet
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.keypoint_rootnet import KeypointRootNet
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.runtime import Network, RuntimeOptions
from pose3d_ros.models.yolox import YOLOX, DetectorOptions
from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import Skeleton


class Detector(Protocol):
    """DetectNet: an image to the people in it."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """Return the networks it runs."""

    def __call__(self, image: np.ndarray, options: DetectorOptions) -> Persons:
        """Return the people of an image (h, w, 3) uint8 BGR."""


class RootNet(Protocol):
    """RootNet: people to people with a pelvis in metres."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """Return the networks it runs."""

    def __call__(
        self, image: np.ndarray, persons: Persons, camera: Camera, body: BodySize
    ) -> Persons:
        """Return the same people with roots."""


class PoseNet(Protocol):
    """PoseNet: people with roots to joints in metres."""

    skeleton: Skeleton

    @property
    def networks(self) -> tuple[Network, ...]:
        """Return the networks it runs."""

    def __call__(self, image: np.ndarray, persons: Persons, camera: Camera) -> Poses:
        """Return the poses of the people, in their order."""


def _blazepose(variant: str) -> Callable[[Path | None, RuntimeOptions], PoseNet]:
    def load(directory: Path | None, options: RuntimeOptions) -> PoseNet:
        file = weights.path(f'blazepose_{variant}', directory)
        # bf16 costs the full model a seventh of its accuracy on real crops, the others nothing
        network = BlazePose(file, options, bf16_is_accurate=variant != 'full')
        return BlazePoseNet(network, SCALE_STDDEV[variant])

    return load


def _yolox(directory: Path | None, options: RuntimeOptions) -> Detector:
    return YOLOX(weights.path('yolox_tiny', directory), options)


def _keypoints(directory: Path | None, options: RuntimeOptions) -> RootNet:
    return KeypointRootNet(RTMPose(weights.path('rtmpose_s', directory), options))


#: Each takes the folder of the weights (None = the cache) and where to run; raises
#: weights.WeightsError and runtime.RuntimeUnavailable.
DETECTORS: dict[str, Callable[[Path | None, RuntimeOptions], Detector]] = {'yolox': _yolox}
ROOTNETS: dict[str, Callable[[Path | None, RuntimeOptions], RootNet]] = {'keypoints': _keypoints}
POSENETS: dict[str, Callable[[Path | None, RuntimeOptions], PoseNet]] = {
    'blazepose': _blazepose('full'),
    'blazepose_heavy': _blazepose('heavy'),
    'blazepose_lite': _blazepose('lite'),
}
