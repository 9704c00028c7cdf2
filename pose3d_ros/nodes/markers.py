"""RViz markers of poses: bones and roots in the colours of the overlay, labelled with id."""

import numpy as np
from geometry_msgs.msg import Point
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pose3d_ros.drawing import MIN_JOINT_SCORE, person_colour, skeleton_lines
from pose3d_ros.people import Poses

_BONE_WIDTH_M = 0.03
_ROOT_DIAMETER_M = 0.12
_TEXT_HEIGHT_M = 0.15
_TEXT_ABOVE_M = 0.25
# Longer than the gap between frames at 5 fps, or markers flicker; short enough that a person who
# left with the publisher is gone soon. While frames come, those who left are deleted at once.
_LIFETIME = Duration(seconds=0.5).to_msg()
_NAMESPACES = ('bones', 'root', 'label')


class MarkerMaker:
    """Make the markers of each frame; it remembers who was shown, to delete who has left."""

    def __init__(self) -> None:
        self._shown: set[int] = set()

    def __call__(self, poses: Poses, header: Header) -> MarkerArray:
        """Return the markers of the poses of the image with this header."""
        numbers = [_number(person_id, i) for i, person_id in enumerate(poses.ids)]
        message = MarkerArray()
        bones = skeleton_lines(poses, MIN_JOINT_SCORE)
        for i, number in enumerate(numbers):
            colour = ColorRGBA(a=1.0)
            colour.r, colour.g, colour.b = person_colour(poses.ids[i], i)
            message.markers += [
                _bones(header, number, colour, bones[i]),
                _root(header, number, colour, poses.roots[i], poses.root_depth_stddev_m[i]),
                _label(header, number, colour, poses.ids[i], poses.joints[i], poses.roots[i]),
            ]
        for number in self._shown - set(numbers):
            message.markers += [
                Marker(header=header, ns=ns, id=number, action=Marker.DELETE) for ns in _NAMESPACES
            ]
        self._shown = set(numbers)
        return message


def _number(person_id: str, index: int) -> int:
    """Return the marker id of a person: its own number; below 0, the index of the untracked."""
    return int(person_id) % 2**31 if person_id.isdecimal() else -1 - index


def _marker(header: Header, namespace: str, number: int, kind: int, colour: ColorRGBA) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, color=colour)
    marker.action = Marker.ADD
    marker.lifetime = _LIFETIME
    marker.pose.orientation.w = 1.0
    return marker


def _bones(header: Header, number: int, colour: ColorRGBA, lines: np.ndarray) -> Marker:
    marker = _marker(header, 'bones', number, Marker.LINE_LIST, colour)
    marker.scale.x = _BONE_WIDTH_M
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in lines.reshape(-1, 3).tolist()]
    return marker


def _root(
    header: Header, number: int, colour: ColorRGBA, root: np.ndarray, stddev_m: float
) -> Marker:
    """Return the pelvis as a ball, drawn out along z by the standard deviation of its depth."""
    marker = _marker(header, 'root', number, Marker.SPHERE, ColorRGBA(**_faint(colour)))
    _set_position(marker, root)
    marker.scale.x = marker.scale.y = _ROOT_DIAMETER_M
    marker.scale.z = max(_ROOT_DIAMETER_M, 2.0 * float(stddev_m))
    return marker


def _label(
    header: Header,
    number: int,
    colour: ColorRGBA,
    person_id: str,
    joints: np.ndarray,
    root: np.ndarray,
) -> Marker:
    marker = _marker(header, 'label', number, Marker.TEXT_VIEW_FACING, colour)
    top = np.array([root[0], joints[:, 1].min() - _TEXT_ABOVE_M, root[2]])  # y points down
    _set_position(marker, top)
    marker.scale.z = _TEXT_HEIGHT_M
    marker.text = f'{person_id} {np.linalg.norm(root):.1f} m'.strip()
    return marker


def _faint(colour: ColorRGBA) -> dict[str, float]:
    return {'r': colour.r, 'g': colour.g, 'b': colour.b, 'a': 0.5}


def _set_position(marker: Marker, xyz: np.ndarray) -> None:
    position = marker.pose.position
    position.x, position.y, position.z = (float(value) for value in xyz)
