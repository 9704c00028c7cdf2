# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Requests of a lifecycle manager that the state of a node does not have.

rclpy raises where such a one comes, which would end the process:
https://github.com/ros2/rclpy/issues/1209
"""

from collections.abc import Callable

from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode


def refuse_wrong_transitions(node: LifecycleNode, state: Callable[[], str]) -> None:
    """Answer them instead.

    :param state: returns the state of the node, for its log.
    """
    change = node._service_change_state.callback

    def answer(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        try:
            return change(request, response)
        except rclpy_implementation.RCLError:
            wanted = request.transition.label or request.transition.id
            node.get_logger().warning(f'no transition {wanted} from this state ({state()})')
            response.success = False
            return response

    node._service_change_state.callback = answer
