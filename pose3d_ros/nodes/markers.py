# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""RViz markers of poses: bones, roots and velocities in the colours of the overlay, with ids.

A marker's number is its person's id, so it stays with the person from image to image.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pose3d_ros.camera import ray_quaternion
from pose3d_ros.drawing import MIN_JOINT_SCORE, distances, person_colour, skeleton_lines
from pose3d_ros.people import Poses

_BONE_WIDTH_M = 0.03
_ROOT_DIAMETER_M = 0.12
_SHAFT_DIAMETER_M, _HEAD_DIAMETER_M = 0.04, 0.1
_TEXT_HEIGHT_M = 0.2
_TEXT_ABOVE_M = 0.25
# Several times the gap between frames at 5 fps, or markers flicker; short enough that nobody stays
# long when the node ends. While frames come, those who left are deleted at once.
_LIFETIME = Duration(seconds=1.0).to_msg()
_ARROW_S = 1.0  # an arrow ends where the person will be after that time
_ROOT_ALPHA = 0.75
NAMESPACES = ('bones', 'root', 'label', 'velocity')
# Of who coasts, at the least: he fades with his score, as nobody is to blink whom one image misses.
_FAINTEST = 0.25


class MarkerMaker:
    """Make the markers of each frame; it remembers what was shown, to delete what has left."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()

    def __call__(self, poses: Poses, header: Header) -> MarkerArray:
        """Return the markers of the poses of the image with this header."""
        message = MarkerArray()
        for person in _people(poses, header):
            message.markers += [person.bones(), person.root(), person.label(), *person.velocity()]
        shown = {(marker.ns, marker.id) for marker in message.markers}
        for namespace, number in sorted(self._shown - shown):
            gone = Marker(header=header, ns=namespace, id=number, action=Marker.DELETE)
            message.markers.append(gone)
        self._shown = shown
        return message


@dataclass(frozen=True)
class _Person:
    """One person to be shown.

    :param number: of the markers.
    :param rgb: colour, 0..1.
    :param alpha: 1 = shown in full.
    :param name: the id.
    :param lines: (m, 2, 3) the bones, metres.
    :param top: (3,) above the head, metres.
    :param place: (3,) the pelvis, metres.
    :param distance_m: of the pelvis from the camera.
    :param stddev_m: of that distance; 0 = unknown.
    :param speed: (3,) m/s; None where it does not stand out of its uncertainty.
    """

    header: Header
    number: int
    rgb: tuple[float, float, float]
    alpha: float
    name: str
    lines: np.ndarray
    top: np.ndarray
    place: np.ndarray
    distance_m: float
    stddev_m: float
    speed: np.ndarray | None

    def _marker(self, namespace: str, kind: int, alpha: float = 1.0) -> Marker:
        red, green, blue = self.rgb
        marker = Marker(header=self.header, ns=namespace, id=self.number, type=kind)
        marker.color = ColorRGBA(r=red, g=green, b=blue, a=alpha * self.alpha)
        marker.action = Marker.ADD
        marker.lifetime = _LIFETIME
        marker.pose.orientation.w = 1.0
        return marker

    def bones(self) -> Marker:
        marker = self._marker('bones', Marker.LINE_LIST)
        marker.scale.x = _BONE_WIDTH_M
        marker.points = _points(self.lines.reshape(-1, 3))
        return marker

    def root(self) -> Marker:
        """Return the pelvis as a ball, drawn out along its ray by the deviation of its distance."""
        marker = self._marker('root', Marker.SPHERE, _ROOT_ALPHA)
        (marker.pose.position,) = _points(self.place[None])
        q = marker.pose.orientation
        q.x, q.y, q.z, q.w = ray_quaternion(self.place)
        marker.scale.x = marker.scale.y = _ROOT_DIAMETER_M
        marker.scale.z = max(_ROOT_DIAMETER_M, 2.0 * self.stddev_m)
        return marker

    def label(self) -> Marker:
        marker = self._marker('label', Marker.TEXT_VIEW_FACING)
        (marker.pose.position,) = _points(self.top[None])
        marker.scale.z = _TEXT_HEIGHT_M
        name = f'#{self.name} ' if self.name else ''
        marker.text = f'{name}{self.distance_m:.1f} m'
        return marker

    def velocity(self) -> Iterator[Marker]:
        """Yield the arrow to where the person will be in a second, if he moves."""
        if self.speed is not None:
            marker = self._marker('velocity', Marker.ARROW)
            marker.scale.x, marker.scale.y = _SHAFT_DIAMETER_M, _HEAD_DIAMETER_M
            end = self.place + _ARROW_S * self.speed
            marker.points = _points(np.stack([self.place, end]))
            yield marker


def _people(poses: Poses, header: Header) -> Iterator[_Person]:
    seen, coasting = skeleton_lines(poses, MIN_JOINT_SCORE), skeleton_lines(poses, 0.0)
    distances_m, stddevs_m = distances(poses.roots, poses.root_depth_stddev_m)
    moving = poses.tracks.moving
    for i, name in enumerate(poses.ids):
        faint, root = poses.coasting[i], poses.roots[i]
        yield _Person(
            header,
            _number(name, i),
            person_colour(name, i),
            max(_FAINTEST, float(poses.scores[i])) if faint else 1.0,
            name,
            coasting[i] if faint else seen[i],
            # y points down
            np.array([root[0], poses.joints[i, :, 1].min() - _TEXT_ABOVE_M, root[2]]),
            root,
            float(distances_m[i]),
            float(stddevs_m[i]),
            poses.tracks.motions[i, 3:] if moving[i] else None,
        )


def _number(person_id: str, index: int) -> int:
    """Return the marker number of a person: that of the id; below 0, the index of the untracked."""
    if person_id.isdecimal():
        return int(person_id) % 2**31
    return zlib.crc32(person_id.encode()) % 2**31 if person_id else -1 - index


def _points(places: np.ndarray) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in places.tolist()]
