# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Results in another frame than the camera's, by TF at the time of the image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose, Quaternion, Vector3
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from pose3d_ros.frames import Transform
from pose3d_ros.msg import Pose3D, Pose3DArray
from pose3d_ros.nodes.inputs import Unusable
from pose3d_ros.nodes.messages import point
from pose3d_ros.nodes.parameters import ParameterError

# Images of a bag that loops; of one camera none is out of order by so much.
_JUMP_NS = 10**9
# TF of an image's time comes a little after it, but a stage that waits lets images drop.
_WAIT = Duration(seconds=0.1)


class TargetFrame:
    """Move messages into a frame.

    :param name: of the frame.
    :raises ParameterError: tf2_ros is not installed.
    """

    def __init__(self, node: Node, name: str) -> None:
        try:
            import tf2_ros
        except ImportError as error:
            raise ParameterError(
                f"parameter 'target_frame' is '{name}', which needs tf2_ros, not installed: sudo "
                "apt install ros-jazzy-tf2-ros-py, or set it to '' to stay in the camera's frame"
            ) from error
        self.name, self._node = name, node
        self._newest_ns = 0  # of the images
        self._error = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer(node=node)
        # the node's executor takes what it brings, while a worker in another thread waits for it
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def close(self) -> None:
        """Listen no more: the node and its clock, which hold on to it all, would go on with it."""
        # first: the clock would go on to call the buffer, also when its memory is free
        if jumps := getattr(self._buffer, 'jump_handle', None):  # tf2_ros of old has none
            jumps.unregister()
        self._listener.unregister()
        self._node.destroy_service(self._buffer.srv)

    def at(self, header: Header) -> 'Mover':
        """Return what moves an image's messages at its time.

        :raises Unusable: TF does not know the way.
        """
        try:
            stamp = Time.from_msg(header.stamp)  # ValueError: below 0
            self._follow(stamp.nanoseconds)
            found = self._buffer.lookup_transform(self.name, header.frame_id, stamp, _WAIT)
            transform = Transform.from_quaternion(
                _floats(found.transform.rotation, 'xyzw'),
                _floats(found.transform.translation, 'xyz'),
            )
        except (self._error, ValueError) as error:
            raise Unusable(
                f"no transform from '{header.frame_id}' to 'target_frame' '{self.name}' at the "
                f"image's time: {error}. Is TF published, and up to date?"
            ) from error
        return Mover(transform, Header(stamp=header.stamp, frame_id=self.name))

    def _follow(self, stamp_ns: int) -> None:
        """Forget what TF said of the time before the clock jumped back, since it takes no older.

        What is mounted firmly stays.
        """
        if stamp_ns < self._newest_ns - _JUMP_NS:
            self._buffer.clear()
            self._newest_ns = stamp_ns
        self._newest_ns = max(self._newest_ns, stamp_ns)


@dataclass(frozen=True)
class Mover:
    """Move the messages of one image.

    :param transform: from the image's frame.
    :param header: of what was moved: the image's stamp, the other frame.
    """

    transform: Transform
    header: Header

    def poses(self, message: Pose3DArray) -> Pose3DArray:
        """Return poses, moved; root_depth_stddev stays along the camera's line of sight."""
        message.header = self.header
        for pose in message.poses:
            _move_pose(pose, self.transform)
        return message

    def markers(self, message: MarkerArray) -> MarkerArray:
        """Return markers, moved: their points are relative to their poses, which is what moves."""
        for marker in message.markers:
            marker.header = self.header
            self._place(marker.pose)
        return message

    def detections(self, message: Any) -> Any:
        """Return a vision_msgs/Detection3DArray, moved: boxes turn with their axes."""
        message.header = self.header
        for detection in message.detections:
            detection.header = self.header
            self._place(detection.bbox.center)
            for result in detection.results:
                self._place(result.pose.pose)
                covariance = np.reshape(result.pose.covariance, (6, 6))
                result.pose.covariance = self.transform.covariances(covariance).ravel()
        return message

    def _place(self, pose: Pose) -> None:
        pose.position = point(self.transform.points(_floats(pose.position, 'xyz')).tolist())
        pose.orientation = _quaternion(self.transform.turned(_floats(pose.orientation, 'xyzw')))


def _move_pose(pose: Pose3D, transform: Transform) -> None:
    joints = np.array([_floats(joint, 'xyz') for joint in pose.joints]).reshape(-1, 3)
    pose.joints = [point(joint) for joint in transform.points(joints).tolist()]
    pose.root = point(transform.points(_floats(pose.root, 'xyz')).tolist())
    if pose.has_velocity:
        pose.tracked_root = point(transform.points(_floats(pose.tracked_root, 'xyz')).tolist())
        pose.velocity = Vector3(**_named(transform.vectors(_floats(pose.velocity, 'xyz')), 'xyz'))
        covariance = np.reshape(pose.track_covariance, (6, 6))
        pose.track_covariance = transform.covariances(covariance).ravel()


def _floats(message: Any, names: str) -> np.ndarray:
    return np.array([getattr(message, name) for name in names])


def _named(values: np.ndarray, names: str) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def _quaternion(xyzw: np.ndarray) -> Quaternion:
    return Quaternion(**_named(xyzw, 'xyzw'))
