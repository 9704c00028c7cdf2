# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The default rootnet: 2D keypoints, the camera and body size give the root."""

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.models.body_size import BodySize, root_depths
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.people import Persons


class KeypointRootNet:
    """Put each person's pelvis on the ray of its hip keypoint, as far away as its bones look.

    :param keypoints: the 2D keypoint network.
    """

    def __init__(self, keypoints: RTMPose) -> None:
        self._keypoints = keypoints
        self.networks = (keypoints.network,)

    def __call__(
        self, image: np.ndarray, persons: Persons, camera: Camera, body: BodySize
    ) -> Persons:
        """Return the same people with roots, standard deviations and keypoints."""
        keypoints = self._keypoints(image, persons.boxes)
        depth_m, stddev_m = root_depths(persons, keypoints, camera, body)
        hips = keypoints.xy[:, keypoints.skeleton.root].mean(axis=1)
        return persons.with_roots(camera.back_project(hips, depth_m), stddev_m, keypoints)
