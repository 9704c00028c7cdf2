"""Where the programs begin: they answer SIGINT and SIGTERM from here on.

To import ROS, OpenCV and OpenVINO takes a second, in which Python would end by a traceback.
"""

import importlib
import sys

from pose3d_ros.nodes.interrupts import leave_at_once


def detector() -> None:
    """Run the detector."""
    _run('detector')


def rootnet() -> None:
    """Run the rootnet."""
    _run('rootnet')


def posenet() -> None:
    """Run the posenet."""
    _run('posenet')


def pipeline() -> None:
    """Run the three in one process."""
    _run('pipeline')


def player() -> None:
    """Run the player."""
    _run('player')


def recorder() -> None:
    """Run the recorder."""
    _run('recorder')


def _run(name: str) -> None:
    leave_at_once()
    importlib.import_module(f'pose3d_ros.nodes.{name}').main()


if __name__ == '__main__':
    _run(sys.argv.pop(1))
