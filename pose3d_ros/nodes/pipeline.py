"""pipeline: detector, rootnet and posenet in one process that decodes each image once."""

from collections.abc import Sequence
from contextlib import ExitStack

from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.parameters import ParameterError, value_of
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode
from pose3d_ros.nodes.stage import Stage, run
from pose3d_ros.nodes.stage_parameters import CAMERA


def make_pipeline() -> Sequence[Stage]:
    """Return the three nodes, each handing its frames and results to the next.

    :raises ParameterError: posenet is given another camera than rootnet, which has it for both.
    """
    with ExitStack() as undo:
        rootnet = RootNetNode(joined=True)
        undo.callback(rootnet.destroy_node)
        posenet = PoseNetNode(joined=True, camera=rootnet.camera)
        undo.callback(posenet.destroy_node)
        for param in CAMERA:
            ours, others = value_of(rootnet, param.name), value_of(posenet, param.name)
            if others not in (ours, param.default):
                raise ParameterError(
                    f"parameter '{param.name}' is {others} for posenet and {ours} for rootnet, "
                    'whose camera counts for both in one process: set it for rootnet'
                )
        rootnet.downstream = posenet
        detector = DetectorNode()  # last: images come in only once all is ready
        detector.downstream = rootnet
        undo.pop_all()
    return detector, rootnet, posenet


def main(args: list[str] | None = None) -> None:
    """Run the three nodes in one process."""
    run(make_pipeline, args)


if __name__ == '__main__':
    main()
