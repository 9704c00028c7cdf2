# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The command `pose3d`: the offline jobs, one sub-command a file."""

import argparse
import importlib
import re
import sys
from types import ModuleType

DESCRIPTION = """
Absolute 3D poses of people from one camera: weights, films, measurements. None of these needs ROS
but `bag`, `demo`, `parameters`, `train-smoke` and a few benchmarks; the nodes are started by
`ros2 run pose3d_ros NODE`, or pose3d_NODE where ROS 2 came by pip. `pose3d COMMAND --help` says
more.
"""

#: Modules of ROS 2, and of the messages that are built with it.
_ROS = re.compile(r'(rclpy|rosidl_\w+|\w+_msgs|\w+_interfaces|pose3d_ros\.msg)(\.|$)')

#: sub-command -> module, imported only when it is asked for
COMMANDS = {
    'fetch': 'get the weight files and clips that the package uses',
    'video': 'people of a video, image folder or webcam as JSON and pictures',
    'bag': 'people in the images of rosbag2 bags: the same bags with poses',
    'rescale': 'correct the distances of `pose3d video` when the focal length is known at last',
    'demo': 'run the whole graph on a clip and leave a bag, a video and pictures',
    'synth': 'make a data set of synthetic people to train and test on',
    'export': 'write a network of PyTorch as an ONNX file',
    'train': 'train RootNet or PoseNet on data sets',
    'evaluate': 'score RootNet and PoseNet on a data set by the published protocols',
    'train-smoke': 'the whole way once: train small networks, score, export and run them',
    'parameters': 'print the page of all parameters of the nodes, docs/parameters.md',
    'benchmark': 'measure accuracy and speed',
}


def main(arguments: list[str] | None = None) -> int:
    """Run the sub-command that the command line names; return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog='pose3d', description=DESCRIPTION)
    subparsers = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text)
        if name in given[:1]:
            _module(name).add_arguments(subparser)
    parsed = parser.parse_args(given)
    try:
        return int(_module(parsed.command).run(parsed))
    except ModuleNotFoundError as error:
        if not _ROS.match(error.name or ''):
            raise
        why = (
            f'needs ROS 2 and the messages of this package, and there is no {error.name}: source '
            'the workspace that it was built in, or install both by pip (README, "With pip")'
        )
    except (MemoryError, RuntimeError) as error:
        # with numpy, which --help does without
        from pose3d_ros.models.batches import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        why = str(error).split('\n')[0]
    print(f'pose3d {parsed.command}: {why}', file=sys.stderr)
    return 1


def _module(command: str) -> ModuleType:
    return importlib.import_module('pose3d_ros.cli.' + command.replace('-', '_'))


if __name__ == '__main__':
    sys.exit(main())
