# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One detector of `pose3d benchmark detectors`, in a process of its own: what it takes is its own.

Reads a job from the standard input and writes what was measured to the standard output, as JSON.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from pose3d_ros import stages
from pose3d_ros.benchmarks import usage
from pose3d_ros.camera import Camera
from pose3d_ros.data.pose2sim import Clip, ClipError
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable
from pose3d_ros.models.stages3dmppe import PoseNet3DMPPE, RootNet3DMPPE
from pose3d_ros.people import Persons
from pose3d_ros.skeletons import MUCO
from pose3d_ros.weights import WeightsError


@dataclass(frozen=True)
class Job:
    """What to measure.

    :param name: of the detector in the weights table.
    :param model: of the node.
    :param weights: published ones; None = random, or those that the default model has.
    :param precision: as RuntimeOptions takes it.
    :param paper: RootNet and PoseNet of the paper instead of the default ones.
    :param people: boxes (n, 4) x, y, width, height for each frame.
    """

    name: str
    model: str
    weights: str | None
    precision: str
    paper: bool
    people: list[list[list[float]]]


@dataclass(frozen=True)
class Measured:
    """Medians over the frames.

    :param precision: what the detector computed in.
    :param total_ms: of a frame through all three stages.
    :param peak_mib: most resident memory of the process up to the last detection.
    :param people: mean of a frame.
    """

    precision: str
    detect_ms: float
    root_ms: float
    pose_ms: float
    total_ms: float
    peak_mib: float
    people: float


def frames(clip: Clip, count: int) -> list[np.ndarray]:
    """Return some frames of a clip's first camera, evenly over its length."""
    chosen = np.linspace(0, clip.frame_count - 1, count).astype(int).tolist()
    # the rest of the film is not decoded
    images = enumerate(islice(clip.frames(0), max(chosen, default=-1) + 1))
    return [image for i, image in images if i in chosen]


def measure(job: Job) -> Measured:
    """Run the detector on every frame, then the other stages on the people that are given."""
    clip = Clip.load('multi')
    camera = clip.cameras[0].camera
    images = frames(clip, len(job.people))
    runtime = RuntimeOptions(precision=job.precision)
    detector = _detector(job, runtime)
    options = DetectorOptions()
    detector(images[0], options)  # warms up
    detect_s = [_seconds(partial(detector, image, options)) for image in images]
    peak_mib = usage.peak_mib()
    rootnet, posenet = _paper(runtime) if job.paper else _default(runtime)
    root_s, pose_s = _behind(rootnet, posenet, images, job.people, camera)
    total_s = np.sum([detect_s, root_s, pose_s], axis=0)
    detect_ms, root_ms, pose_ms, total_ms = (
        1e3 * float(np.median(s)) for s in (detect_s, root_s, pose_s, total_s)
    )
    precision = detector.networks[0].precision
    people = float(np.mean([len(boxes) for boxes in job.people]))
    return Measured(precision, detect_ms, root_ms, pose_ms, total_ms, peak_mib, people)


def _behind(
    rootnet: stages.RootNet,
    posenet: stages.PoseNet,
    images: list[np.ndarray],
    people: list[list[list[float]]],
    camera: Camera,
) -> tuple[list[float], list[float]]:
    """Return the seconds of RootNet and of PoseNet for each frame."""
    root_s, pose_s = [], []
    for image, boxes in zip([images[0], *images], [people[0], *people], strict=True):
        persons = Persons(np.array(boxes).reshape(-1, 4), np.ones(len(boxes)))
        start = perf_counter()
        rooted = rootnet(image, persons, camera, BodySize())
        root_s.append(perf_counter() - start)
        # random weights may put people behind the camera: all are to be posed
        placed = np.where(rooted.has_root[:, None], rooted.roots, [0.0, 0.0, 4.0])
        rooted = rooted.with_roots(placed, rooted.root_depth_stddev_m, rooted.keypoints)
        pose_s.append(_seconds(partial(posenet, image, rooted, camera)))
    return root_s[1:], pose_s[1:]  # the first warms up


def _detector(job: Job, runtime: RuntimeOptions) -> stages.Detector:
    load = stages.DETECTORS[job.model]
    if job.weights is not None:
        return load(None, runtime, stages.OwnWeights(Path(job.weights)))
    if job.model not in stages.PUBLISHED:
        return load(None, runtime)
    from pose3d_ros.benchmarks import random_detectors  # with PyTorch, which is an extra

    return random_detectors.make(job.name, runtime)


def _default(runtime: RuntimeOptions) -> tuple[stages.RootNet, stages.PoseNet]:
    return (
        stages.ROOTNETS['keypoints'](None, runtime),
        stages.POSENETS['blazepose'](None, runtime),
    )


def _paper(runtime: RuntimeOptions) -> tuple[stages.RootNet, stages.PoseNet]:
    """Return the paper's networks with random weights."""
    from pose3d_ros.models.posenet import PoseNet
    from pose3d_ros.models.rootnet import RootNet
    from pose3d_ros.models.torch_network import TorchNetwork

    rootnet = TorchNetwork(RootNet().eval().requires_grad_(False), runtime)
    posenet = TorchNetwork(PoseNet(len(MUCO)).eval().requires_grad_(False), runtime)
    return RootNet3DMPPE(rootnet), PoseNet3DMPPE(posenet, MUCO)


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def main() -> int:
    """Do the job; return 1, with one line that says why, when it cannot be done."""
    try:
        measured = measure(Job(**json.load(sys.stdin)))
    except ImportError as error:
        print(f"{error}: pip install 'pose3d_ros[torch]'", file=sys.stderr)
        return 1
    except (ClipError, RuntimeUnavailable, WeightsError) as error:
        print(' '.join(str(error).split()), file=sys.stderr)
        return 1
    json.dump(asdict(measured), sys.stdout)
    return 0


if __name__ == '__main__':
    sys.exit(main())
