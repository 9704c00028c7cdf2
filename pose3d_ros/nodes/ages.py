# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How old a frame is by the node's clock, and what it means when that cannot be."""

from rclpy.node import Node
from std_msgs.msg import Header

from pose3d_ros.nodes.inputs import stamp_ns
from pose3d_ros.nodes.parameters import value_of

# Nothing queues up here, so no load makes a frame as old as that: its stamp is of another time.
_ANOTHER_TIME_MS = 60_000.0
# Clocks of a camera and a computer that are meant to agree differ by less.
_AHEAD_MS = 100.0

_LIFT = "set 'max_age_ms' to 0.0"


def age_ms(node: Node, header: Header) -> float:
    """Return the time since a stamp by the node's clock, ms; negative = still to come."""
    return float(node.get_clock().now().nanoseconds - stamp_ns(header)) / 1e6


def tracking_time_s(node: Node, header: Header) -> float:
    """Return the time of an image for those who follow people, seconds.

    It is the stamp; of a driver that sets none the node's clock, or tracks would never end.
    """
    return float(stamp_ns(header) or node.get_clock().now().nanoseconds) / 1e9


def why_stale(node: Node, header: Header, bound_ms: float) -> str:
    """Return why a frame is older than `max_age_ms`, and what to do; '' = it is not."""
    age = age_ms(node, header)
    if age <= bound_ms:
        return ''
    said = f"older than 'max_age_ms' ({bound_ms:g} ms)"
    if stamp_ns(header) == 0:
        return f'{said}, as its stamp is zero: the publisher must stamp its images, or {_LIFT}'
    if age < _ANOTHER_TIME_MS:
        return (
            f'{age:.0f} ms old, {said}: send fewer images, make the stages faster, or raise '
            "'max_age_ms'; /diagnostics tells where the time goes"
        )
    if value_of(node, 'use_sim_time'):
        return (
            f'{age / 1e3:.0f} s old by /clock, {said}: image and /clock are not of the same time. '
            f"Set 'use_sim_time' to false if the camera is real, or {_LIFT}"
        )
    return (
        f'{age / 1e3:.0f} s old, {said}: its stamp is of another time than this clock. For a bag '
        "or a simulator set 'use_sim_time' to true and have /clock published (ros2 bag play "
        f'--clock); a camera must stamp in the time of day. Otherwise {_LIFT}'
    )


def why_ageless(node: Node, header: Header) -> str:
    """Return why `max_age_ms` cannot bound a frame's age, and what to do; '' = it can."""
    ahead_ms = -age_ms(node, header)
    if ahead_ms < _AHEAD_MS:
        return ''
    if node.get_clock().now().nanoseconds == 0:
        cause = "this clock stands at zero: 'use_sim_time' is true, and nobody publishes /clock"
    elif value_of(node, 'use_sim_time'):
        cause = (
            f'its stamp lies {ahead_ms:.0f} ms ahead of /clock. Where a bag starts again that is '
            'of no matter; else image and /clock are not of the same time'
        )
    else:
        cause = (
            f'its stamp lies {ahead_ms:.0f} ms ahead of this clock: synchronise the clocks, or see '
            "whether 'use_sim_time' should be set"
        )
    return f"'max_age_ms' cannot bound the age of an image: {cause}"
