# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""pipeline: detector, rootnet and posenet in one process that decodes each image once."""

from collections.abc import Sequence
from contextlib import ExitStack

from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode
from pose3d_ros.nodes.running import run
from pose3d_ros.nodes.stage import Stage


def make_pipeline() -> Sequence[Stage]:
    """Return the three nodes, each handing its frames and results to the next."""
    with ExitStack() as undo:
        rootnet = RootNetNode(joined=True)
        undo.callback(rootnet.destroy_node)
        posenet = PoseNetNode(joined=True, lender=rootnet)
        undo.callback(posenet.destroy_node)
        rootnet.hand_to(posenet)
        detector = DetectorNode(joined=True)  # last: images come in only once all is ready
        detector.hand_to(rootnet)
        undo.pop_all()
    return detector, rootnet, posenet


def main(args: list[str] | None = None) -> None:
    """Run the three nodes in one process."""
    run(make_pipeline, args)
