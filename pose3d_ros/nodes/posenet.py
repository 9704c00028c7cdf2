# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""posenet: pelvises of people to all their joints in metres, and pictures of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from pose3d_ros.camera import Camera
from pose3d_ros.drawing import draw_overlay
from pose3d_ros.msg import PersonArray, Pose3DArray
from pose3d_ros.nodes.ages import tracking_time_s
from pose3d_ros.nodes.inputs import RESULT_QOS, SENSOR_QOS, Frame, Input, Unusable
from pose3d_ros.nodes.joining import JoiningStage
from pose3d_ros.nodes.markers import MarkerMaker
from pose3d_ros.nodes.messages import image_to_message, persons_from_message, poses_to_message
from pose3d_ros.nodes.parameters import Param, value_of
from pose3d_ros.nodes.running import run
from pose3d_ros.nodes.stage_parameters import CAMERA, OWN_WEIGHTS, load_model
from pose3d_ros.nodes.target_frame import Mover, TargetFrame
from pose3d_ros.nodes.vision import VisionTopic, detections_3d
from pose3d_ros.one_euro import OneEuro
from pose3d_ros.people import Persons, Poses
from pose3d_ros.stages import POSENETS, PoseNet, Runs
from pose3d_ros.tracking3d import MotionOptions, Tracker3D

_SMOOTHING = {'none': None, 'one_euro': OneEuro()}

PARAMETERS = (
    *CAMERA,
    Param('model', 'blazepose', 'the pose network', choices=tuple(POSENETS)),
    *OWN_WEIGHTS,
    Param('flip_test', False, 'model 3dmppe: the mean of each crop and its mirror image'),
    Param(
        'overlay',
        True,
        'publish `overlay`, the image with the skeletons drawn in, while somebody subscribes',
        fixed=False,
    ),
    Param(
        'coast_s',
        0.5,
        'a confirmed person who is not seen is published as COASTING for so long, seconds, moved '
        'along at the last velocity; 0 = not at all. The id of who is hidden for longer than 1 is '
        'forgotten',
        0.0,
        1.0,
        fixed=False,
    ),
    Param(
        'smoothing',
        'none',
        'one_euro: roots from the Kalman filter, joints around them from the 1 Euro filter, which '
        'lag behind the image (docs/tracking.md says by how much); none: as the network saw them',
        choices=tuple(_SMOOTHING),
        fixed=False,
    ),
    Param(
        'target_frame',
        '',
        "frame that `poses`, `markers` and `detections_3d` are moved into, by TF at the image's "
        "time; '' = the camera's own, for which no TF is needed",
    ),
)

_FOCAL_TOLERANCE = 0.02


@dataclass(frozen=True)
class _Found:
    """The people of an image, in the order of the poses."""

    camera: Camera
    persons: Persons
    poses: Poses


class PoseNetNode(JoiningStage):
    """Image, camera_info, roots -> Pose3DArray on `poses`, `markers`, `overlay`.

    By `detections` it knows which images are to wait for their roots.

    :param joined: people are handed over by the rootnet in the same process.
    :param lender: the rootnet in the same process, which has the camera; None = subscribe.
    """

    _posenet: PoseNet
    _tracker: Tracker3D
    _target: TargetFrame | None

    def __init__(
        self, joined: bool = False, lender: JoiningStage | None = None, **options: Any
    ) -> None:
        super().__init__('posenet', PARAMETERS, 'roots', 'detections', joined, lender, **options)
        self._poses = self.create_publisher(Pose3DArray, 'poses', RESULT_QOS)
        self._vision = VisionTopic(self, 'Detection3DArray', 'detections_3d')
        self._markers = self.create_publisher(MarkerArray, 'markers', RESULT_QOS)
        self._overlay = self.create_publisher(Image, 'overlay', SENSOR_QOS)
        self._make_markers = MarkerMaker()
        self.start()

    def load(self) -> None:
        """Load the posenet."""
        super().load()
        frame = value_of(self, 'target_frame')
        target = TargetFrame(self, frame) if frame else None
        try:
            self._posenet = load_model(self, POSENETS, self.joined)
        except BaseException:
            if target:
                target.close()
            raise
        self._target = target

    def unload(self) -> None:
        """Forget the posenet."""
        del self._posenet
        if self._target:
            self._target.close()

    def subscribe(self) -> Iterator[Input]:
        """Subscribe; ids may be others' by now, and who was there before has gone on unseen."""
        self._tracker = Tracker3D(self._posenet.skeleton)
        yield from super().subscribe()

    def compute(self, frame: Frame, given: Persons | PersonArray) -> _Found:
        """Estimate the poses of an image's people."""
        camera = self.camera_of(frame)
        if isinstance(given, Persons):
            persons = given
        else:
            _check_camera(camera, given)
            persons = persons_from_message(given)
        poses = self._posenet(frame.image, persons, camera)
        # whom the network could not place has no pose: subscribers never see NaN
        return _Found(camera, persons[poses.has_joints], poses[poses.has_joints])

    def finish(self, frame: Frame, computed: _Found) -> Poses:
        """Follow and publish the people, and those who coast."""
        camera, persons = computed.camera, computed.persons
        # who is seen comes first, in the order of persons; who coasts behind
        options = MotionOptions(value_of(self, 'coast_s'), _SMOOTHING[value_of(self, 'smoothing')])
        time_s = tracking_time_s(self, frame.header)
        poses = self._tracker.update(computed.poses, time_s, camera.focal_px, options)
        moved = self._target.at(frame.header) if self._target else None
        message = poses_to_message(poses, frame.header, camera)
        self._poses.publish(moved.poses(message) if moved else message)
        self._vision.publish(lambda: self._detections(poses, frame, camera, moved))
        self._draw(frame, camera, persons, poses, moved)
        return poses

    def networks(self) -> Sequence[Runs]:
        """Return the posenet's networks."""
        return self._posenet.networks

    def _detections(self, poses: Poses, frame: Frame, camera: Camera, moved: Mover | None) -> Any:
        """Return the message for `detections_3d`."""
        message = detections_3d(poses, frame.header, camera.focal_px)
        return moved.detections(message) if moved else message

    def _draw(
        self, frame: Frame, camera: Camera, persons: Persons, poses: Poses, moved: Mover | None
    ) -> None:
        """Publish markers and overlay, each only while somebody looks."""
        if self._markers.get_subscription_count():
            markers = self._make_markers(poses, frame.header)
            self._markers.publish(moved.markers(markers) if moved else markers)
        if value_of(self, 'overlay') and self._overlay.get_subscription_count():
            picture = draw_overlay(frame.image, camera, poses, persons)
            self._overlay.publish(image_to_message(picture, frame.header))


def _check_camera(camera: Camera, roots: PersonArray) -> None:
    """Refuse roots that were found with another focal length than the joints would be.

    :raises Unusable: the two differ by more than a zoom between two camera_info may.
    """
    focal_px = roots.focal_length_px
    if focal_px > 0 and abs(camera.focal_px / focal_px - 1) > _FOCAL_TOLERANCE:
        raise Unusable(
            f'roots were found with a focal length of {focal_px:.1f} px ({roots.intrinsics}), but '
            f'the camera here has {camera.focal_px:.1f} px ({camera.source}): give rootnet and '
            "posenet the same 'field_of_view_deg', 'assumed_focal_px' and camera_info"
        )


def main(args: list[str] | None = None) -> None:
    """Run the posenet node."""
    run(lambda: [PoseNetNode()], args)
