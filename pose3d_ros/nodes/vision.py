# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""People as detections of vision_msgs, for stacks that speak it: where that package is installed.

Our own messages say more (joints, roots, tracks); these are what fusion and trackers of other
sensors take. https://github.com/ros-perception/vision_msgs
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose, PoseWithCovariance, Vector3
from rclpy.node import Node
from std_msgs.msg import Header

from pose3d_ros.nodes.inputs import RESULT_QOS
from pose3d_ros.nodes.messages import point
from pose3d_ros.people import Persons, Poses
from pose3d_ros.tracking3d import root_covariances

try:
    import vision_msgs.msg as vision
except ImportError:
    vision = None

#: What all of them are, as COCO calls it.
CLASS_ID = 'person'


class VisionTopic:
    """A topic of vision_msgs, which nobody sees where that is not installed.

    :param kind: of its messages.
    :param topic: its name before remapping.
    """

    def __init__(self, node: Node, kind: str, topic: str) -> None:
        self._publisher = vision and node.create_publisher(getattr(vision, kind), topic, RESULT_QOS)

    def publish(self, make: Callable[[], Any]) -> None:
        """Publish what is made, if anybody listens; otherwise nothing is made."""
        if self._publisher and self._publisher.get_subscription_count():
            self._publisher.publish(make())


def detections_2d(persons: Persons, header: Header) -> Any:
    """Return people as vision_msgs/Detection2DArray: boxes in pixels, with scores and ids."""
    boxes = [
        vision.Detection2D(
            header=header,
            results=[_hypothesis(score)],
            bbox=vision.BoundingBox2D(
                center=vision.Pose2D(position=vision.Point2D(x=x + width / 2, y=y + height / 2)),
                size_x=width,
                size_y=height,
            ),
            id=person_id,
        )
        for (x, y, width, height), score, person_id in zip(
            persons.boxes.tolist(), persons.scores.tolist(), persons.ids, strict=True
        )
    ]
    return vision.Detection2DArray(header=header, detections=boxes)


def detections_3d(poses: Poses, header: Header, focal_px: float) -> Any:
    """Return people who are seen as vision_msgs/Detection3DArray; who coasts is no detection.

    Each box holds all joints, along the axes of the camera's frame, metres; the hypothesis' pose is
    the root, uncertain along the line of sight by its depth, and across it by a pixel or so.

    :param focal_px: of the camera.
    """
    poses, detections = poses.seen, []
    root_m2 = root_covariances(poses.roots, poses.root_depth_stddev_m, focal_px)
    for n, (score, person_id) in enumerate(zip(poses.scores.tolist(), poses.ids, strict=True)):
        low, high = np.nanmin(poses.joints[n], axis=0), np.nanmax(poses.joints[n], axis=0)
        covariance = np.zeros((6, 6))
        covariance[:3, :3] = root_m2[n]
        hypothesis = _hypothesis(score)
        hypothesis.pose = PoseWithCovariance(
            pose=Pose(position=point(poses.roots[n].tolist())), covariance=covariance.ravel()
        )
        box = vision.BoundingBox3D(
            center=Pose(position=point(((low + high) / 2).tolist())), size=_vector(high - low)
        )
        detections.append(
            vision.Detection3D(header=header, results=[hypothesis], bbox=box, id=person_id)
        )
    return vision.Detection3DArray(header=header, detections=detections)


def _hypothesis(score: float) -> Any:
    return vision.ObjectHypothesisWithPose(
        hypothesis=vision.ObjectHypothesis(class_id=CLASS_ID, score=score)
    )


def _vector(xyz: np.ndarray) -> Vector3:
    x, y, z = xyz.tolist()
    return Vector3(x=x, y=y, z=z)
