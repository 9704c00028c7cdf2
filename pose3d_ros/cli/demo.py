# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Run the whole graph on a calibrated clip and leave a bag, a video and pictures."""

import argparse
import sys
from pathlib import Path

from pose3d_ros.bags import BagError
from pose3d_ros.data.pose2sim import Clip, ClipError
from pose3d_ros.weights import WeightsError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pose3d demo`."""
    parser.add_argument('--out', type=Path, default=Path('out/demo'), help='folder of the results')
    parser.add_argument(
        '--clip', choices=('single', 'multi'), default='multi', help='Pose2Sim clip'
    )
    parser.add_argument('--camera', type=int, choices=(1, 2, 3, 4), default=1, help='which camera')
    parser.add_argument(
        '--rate', type=float, default=0.15, help='speed against the 60 Hz clip; 0 = as it is taken'
    )
    parser.add_argument(
        '--composed', action='store_true', help='one pipeline process instead of three nodes'
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; return 0, 1 (something is missing or failed) or 130 (interrupted)."""
    # needs ROS, which --help does not
    from pose3d_ros.nodes.demo import DemoError, run_demo
    from pose3d_ros.nodes.processes import ProcessError

    out: Path = arguments.out
    try:
        camera = Clip.load(arguments.clip).cameras[arguments.camera - 1]
        print(f'playing {camera.film.name} into the graph, recording into {out / "poses"}')
        print(run_demo(camera.film, camera.camera, out, arguments.rate, arguments.composed))
    except (BagError, ClipError, DemoError, ProcessError, WeightsError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except OSError as error:
        print(f'error: cannot write into {out}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('pose3d demo: interrupted', file=sys.stderr)
        return 130
    print('\nleft in ' + str(out) + ': poses/ (bag), overlay.mp4, overlay.png, scene.png, log/')
    return 0
