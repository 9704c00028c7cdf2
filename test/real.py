# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Real footage and real networks, in f32, each loaded once per run of the tests."""

from functools import cache

import cv2
import numpy as np

from pose3d_ros import weights
from pose3d_ros.models.blazepose import BlazePose
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.models.yolox import YOLOX
from pose3d_ros.people import Keypoints, Persons

F32 = RuntimeOptions(precision='f32')


@cache
def frame(clip: str, index: int) -> np.ndarray:
    """Return one frame of a clip of the weights table, not to be written to."""
    video = cv2.VideoCapture(str(weights.path(clip)))
    for _ in range(index):
        video.grab()
    ok, image = video.read()
    assert ok, f'{clip} has no frame {index}'
    image.setflags(write=False)
    return image


def people_image() -> np.ndarray:
    """Return a frame (1920, 1088, 3) of three people, whole, one far behind."""
    return frame('pose2sim_multi_cam01', 30)


def street_image() -> np.ndarray:
    """Return a frame (576, 768, 3) of a dozen small pedestrians from above."""
    return frame('vtest', 132)


@cache
def yolox() -> YOLOX:
    """Return the detector."""
    return YOLOX(weights.path('yolox_tiny'), F32)


@cache
def rtmpose() -> RTMPose:
    """Return the 2D keypoint network."""
    return RTMPose(weights.path('rtmpose_s'), F32)


@cache
def blazepose() -> BlazePose:
    """Return the 3D pose network."""
    return BlazePose(weights.path('blazepose_full'), F32)


@cache
def people() -> Persons:
    """Return the three people of `people_image`."""
    persons = yolox()(people_image(), DetectorOptions())
    assert len(persons) == 3
    return persons


@cache
def keypoints() -> Keypoints:
    """Return their keypoints."""
    return rtmpose()(people_image(), people().boxes)
