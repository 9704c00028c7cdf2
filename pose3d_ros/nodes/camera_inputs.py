# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where a stage has the camera of an image from: camera_info, or what parameters assume."""

import threading

import numpy as np
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo

from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.nodes.inputs import Frame, Input, Unusable, image_topic
from pose3d_ros.nodes.messages import camera_from_info, camera_mismatch, is_rectified
from pose3d_ros.nodes.parameters import ParameterError, value_of


class CameraInput:
    """The newest camera_info, and whether it is the camera of an image."""

    def __init__(self, node: Node) -> None:
        self._node = node
        choice = value_of(node, 'rectified')
        self._rectified = is_rectified(image_topic(node)) if choice == 'auto' else choice == 'true'
        self._info: CameraInfo | None = None
        self._camera: Camera | None = None
        self._fault = ''
        self._lock = threading.Lock()  # workers want all three of one message
        self._topic = node.resolve_topic_name('camera_info')

    def subscribe(self) -> Input:
        """Return the subscription to a camera that may be another than the one before."""
        self._info = self._camera = None
        qos = qos_profile_sensor_data
        return Input(self._node, 'camera_info', CameraInfo, 'camera_info', qos, self._take)

    def _take(self, info: CameraInfo) -> None:
        if self._info is not None and _same_camera(info, self._info):
            self._info = info
            return
        camera, fault = None, ''
        try:
            camera = camera_from_info(info, self._rectified)
        except CameraError as error:
            fault = str(error)
        else:
            _say_camera(self._node, camera)
        with self._lock:
            self._info, self._camera, self._fault = info, camera, fault

    def camera_of(self, frame: Frame) -> Camera:
        """Return the camera that took an image.

        :raises Unusable: no camera_info yet, not calibrated, or of another size or frame.
        """
        topic = self._topic
        with self._lock:
            info, camera, fault = self._info, self._camera, self._fault
        if info is None:
            raise Unusable(f'no camera_info on {topic} yet')
        if camera is None:
            raise Unusable(f'camera_info on {topic} cannot be used: {fault}')
        ours, theirs = frame.header.frame_id, info.header.frame_id
        if fault := camera_mismatch(topic, camera, theirs, frame.image, ours):
            raise Unusable(fault)
        return camera


class GuessedCamera:
    """The ideal camera that parameters stand for, whatever the size of the image.

    :raises ParameterError: both parameters are given, or a camera cannot have their value.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._degrees = value_of(node, 'field_of_view_deg')
        self._focal_px = value_of(node, 'assumed_focal_px')
        if self._degrees and self._focal_px:
            raise ParameterError(
                f"parameters 'field_of_view_deg' ({self._degrees:g}) and 'assumed_focal_px' "
                f'({self._focal_px:g}) are both given: set one of them to 0.0'
            )
        try:
            self._camera = self._of_size(1, 1)  # now, not at the first image
        except CameraError as error:
            name = 'field_of_view_deg' if self._degrees else 'assumed_focal_px'
            raise ParameterError(f"parameter '{name}': {error}") from error

    def subscribe(self) -> Input:
        """Return a subscription that tells of camera_info which is not used."""
        return Input(
            self._node,
            'camera_info',
            CameraInfo,
            'camera_info',
            qos_profile_sensor_data,
            self._ignore,
            needed=False,
        )

    def _of_size(self, width: int, height: int) -> Camera:
        if self._degrees:
            return Camera.from_field_of_view(width, height, self._degrees)
        return Camera.from_focal_length(width, height, self._focal_px)

    def _ignore(self, _info: CameraInfo) -> None:
        self._node.get_logger().warning(
            f'camera_info on {self._node.resolve_topic_name("camera_info")} is ignored: the '
            f'camera is taken to have '
            f"{self._camera.source}; set 'field_of_view_deg' and 'assumed_focal_px' to 0.0 to use "
            'it',
            once=True,
        )

    def camera_of(self, frame: Frame) -> Camera:
        """Return the camera that is assumed for an image.

        :raises Unusable: the image cannot be decoded.
        """
        height, width = frame.image.shape[:2]
        camera = self._camera
        if (camera.width, camera.height) != (width, height):
            camera = self._camera = self._of_size(width, height)
            _say_camera(self._node, camera)
        return camera


#: Where a stage has its camera from.
Cameras = CameraInput | GuessedCamera


def cameras(node: Node) -> Cameras:
    """Return the cameras of a node's images, as its parameters say."""
    guess = value_of(node, 'field_of_view_deg') or value_of(node, 'assumed_focal_px')
    return GuessedCamera(node) if guess else CameraInput(node)


def _say_camera(node: Node, camera: Camera) -> None:
    """Log what the metres rest on. Not each time: a lens may zoom all the while."""
    guess = '' if camera.calibrated else '; depths scale with the error of this guess'
    node.get_logger().info(
        f'camera: {camera.source}, focal length {camera.focal_px:.1f} px in images of '
        f'{camera.width} x {camera.height}{guess}',
        throttle_duration_sec=5.0,
    )


def _same_camera(a: CameraInfo, b: CameraInfo) -> bool:
    """Return whether two messages differ in nothing but the stamp."""
    return (
        (a.width, a.height, a.distortion_model, a.header.frame_id)
        == (b.width, b.height, b.distortion_model, b.header.frame_id)
        and np.array_equal(a.k, b.k)
        and np.array_equal(a.p, b.p)
        and np.array_equal(a.d, b.d)
        and a.roi == b.roi
        and (a.binning_x, a.binning_y) == (b.binning_x, b.binning_y)
    )
