# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the programs begin: they answer SIGINT and SIGTERM from here on.

To import ROS, OpenCV and OpenVINO takes a second, in which Python would end by a traceback.
"""

import importlib
import sys
from functools import partial

from pose3d_ros.nodes.interrupts import leave_at_once
from pose3d_ros.parent import end_with_parent


def _run(name: str) -> None:
    leave_at_once()
    end_with_parent()
    importlib.import_module(f'pose3d_ros.nodes.{name}').main()


# By name, as setup.cfg wants them.
detector = partial(_run, 'detector')
rootnet = partial(_run, 'rootnet')
posenet = partial(_run, 'posenet')
pipeline = partial(_run, 'pipeline')
player = partial(_run, 'player')
recorder = partial(_run, 'recorder')


if __name__ == '__main__':
    _run(sys.argv.pop(1))
