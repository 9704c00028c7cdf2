# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Print the page of all parameters of the nodes, in Markdown."""

import argparse


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pose3d parameters`: there are none."""


def run(_arguments: argparse.Namespace) -> int:
    """Print docs/parameters.md; return 0."""
    # needs ROS, which --help does not
    from pose3d_ros.nodes.parameter_page import page

    print(page(), end='')
    return 0
