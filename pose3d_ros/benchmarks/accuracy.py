# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of roots and poses on the calibrated clip of one person (pose3d fetch clips)."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pose3d_ros import stages, weights
from pose3d_ros.benchmarks import report
from pose3d_ros.benchmarks.accuracy_tables import (
    CALIBRATED,
    FITTED,
    PLACED,
    RESCALED,
    ROOTNET,
    TRAINED,
    TRUE_FOCAL,
    Estimate,
    K,
    Measurement,
    Setup,
    tables,
)
from pose3d_ros.benchmarks.ground_truth import GroundTruth, ground_truth
from pose3d_ros.camera import Camera
from pose3d_ros.data.pose2sim import Clip, ClipError
from pose3d_ros.evaluation import box_overlaps
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.limbs import LIMB_JOINTS
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable
from pose3d_ros.people import Persons

#: Those whose joints bear the names of the ground truth.
MODELS = tuple(name for name in stages.POSENETS if name.startswith('blazepose'))
#: The last may be one of the others, and is then not run again.
PRECISIONS = ('f32', 'bf16', 'i8', 'auto')
VIEW_STEP = 10  # of the 100 frames of a camera every tenth is scored
_MIN_IOU = 0.3  # of a detection with the ground truth's box, to be the subject
_PERSON_SIDE_M = 2.0  # 3DMPPE: the square box of a person is taken for 2 m x 2 m
_BOX_PADDING = 1.25
_FIELDS_OF_VIEW_DEG = (50.0, 70.0)
_FOCAL_PX = 1500.0  # that 3DMPPE's authors assume
_ASSUMED = 'none (fallback)'


class Stack:
    """The networks at one precision, on one person of one image after another."""

    #: A node that is told 'auto' computes in the same.
    is_auto = False

    def __init__(self, models: Sequence[str], precision: str) -> None:
        options = RuntimeOptions(precision=precision)
        self.precision = precision
        self._detector = stages.DETECTORS['yolox'](None, options)
        self._rootnet = stages.ROOTNETS['keypoints'](None, options)
        self._posenets = {name: stages.POSENETS[name](None, options) for name in models}

    def computes_in(self) -> list[str]:
        """Return the precision of every network."""
        networks = [*self._detector.networks, *self._rootnet.networks]
        for posenet in self._posenets.values():
            networks += posenet.networks
        return [network.precision for network in networks]

    def precisions(self) -> dict[Setup, str]:
        """Return what tables call the precision of each posenet with all before it."""
        return {
            Setup(name, self.precision): self._said(net.networks[0].precision)
            for name, net in self._posenets.items()
        }

    def _said(self, of_posenet: str) -> str:
        if self.precision == 'auto':
            return f'auto (pose in {of_posenet})'
        return f'{self.precision} (auto)' if self.is_auto else self.precision

    def __call__(
        self, image: np.ndarray, cameras: Mapping[str, Camera], box: np.ndarray
    ) -> dict[Setup, Estimate]:
        """Return the estimates of the person in `box` (4,): with each camera if f32, else one."""
        person = subject(self._detector(image, DetectorOptions()), box)
        if person is None:
            return {}
        used = cameras if self.precision == 'f32' else {CALIBRATED: cameras[CALIBRATED]}
        estimates: dict[Setup, Estimate] = {}
        for name, camera in used.items():
            estimates |= self._with_camera(image, person, name, camera)
        return estimates

    def _with_camera(
        self, image: np.ndarray, person: Persons, name: str, camera: Camera
    ) -> dict[Setup, Estimate]:
        setup = partial(Setup, precision=self.precision, camera=name)
        rooted = self._rootnet(image, person, camera, BodySize())
        unknown = rooted.with_roots(np.full((1, 3), np.nan), np.zeros(1), rooted.keypoints)
        estimates = {
            setup('', method=ROOTNET): Estimate.of_roots(rooted.roots, rooted.root_depth_stddev_m),
            setup('', method=K): Estimate.of_roots(
                rooted.roots / rooted.roots[:, 2:] * k_depths(person.boxes, camera)[:, None],
                np.zeros(1),
            ),
        }
        for model, net in self._posenets.items():
            limbs = net.skeleton.indices(*LIMB_JOINTS)
            for method, persons in ((PLACED, rooted), (FITTED, unknown)):
                poses = net(image, persons, camera)
                estimates[setup(model, method=method)] = Estimate(
                    poses.joints[:, limbs], poses.roots, poses.root_depth_stddev_m
                )
        return estimates


class TrainedStack:
    """The default detector, and RootNet and PoseNet of 3DMPPE with weights of the user's own.

    :param rootnet: a snapshot, a folder of them, or an exported .onnx file.
    :param posenet: likewise; without flip test, as nodes run it.
    :raises ClipError: PoseNet's joint set lacks a joint of the ground truth.
    """

    precision = 'f32'

    def __init__(self, rootnet: Path, posenet: Path) -> None:
        options, own = RuntimeOptions(precision=self.precision), stages.OwnWeights
        self._detector = stages.DETECTORS['yolox'](None, options)
        self._rootnet = stages.ROOTNETS['3dmppe'](None, options, own(rootnet))
        self._posenet = stages.POSENETS['3dmppe'](None, options, own(posenet))
        skeleton = self._posenet.skeleton
        names = [_paper_name(joint) for joint in LIMB_JOINTS]
        if missing := [name for name in names if name not in skeleton.joint_names]:
            raise ClipError(
                f"{posenet} gives the joint set '{skeleton.name}', without {', '.join(missing)}, "
                'which the clip is scored on'
            )
        self._limbs = skeleton.indices(*names)
        self._setup = Setup(f'{posenet.parent.name}/{posenet.name}', self.precision, TRAINED)

    def precisions(self) -> dict[Setup, str]:
        """Return what tables call the precision."""
        return {self._setup: self.precision}

    def __call__(
        self, image: np.ndarray, cameras: Mapping[str, Camera], box: np.ndarray
    ) -> dict[Setup, Estimate]:
        """Return the estimate of the person in `box` (4,) with the calibrated camera."""
        person = subject(self._detector(image, DetectorOptions()), box)
        if person is None:
            return {}
        camera = cameras[CALIBRATED]
        poses = self._posenet(image, self._rootnet(image, person, camera, BodySize()), camera)
        joints = poses.joints[:, self._limbs]
        return {self._setup: Estimate(joints, poses.roots, poses.root_depth_stddev_m)}


def _paper_name(joint: str) -> str:
    """Return what 3DMPPE's joint sets call a joint: left_shoulder is L_Shoulder."""
    side, _, part = joint.partition('_')
    return f'{side[0].upper()}_{part.title()}'


def subject(persons: Persons, box: np.ndarray) -> Persons | None:
    """Return the one whose box overlaps most with `box` (4,); None = nobody's does enough."""
    overlap = box_overlaps(box[None], persons.boxes)[0][0]
    return None if overlap.max(initial=0) < _MIN_IOU else persons[[int(overlap.argmax())]]


def k_depths(boxes: np.ndarray, camera: Camera) -> np.ndarray:
    """Return 3DMPPE's k (n,), metres: the depth that RootNet's gamma = 1 stands for.

    sqrt(fx fy A_real / A_image), A_image the area of the box made square and padded
    (Moon et al., ICCV 2019, section 4 and their code).
    """
    side_px = _BOX_PADDING * boxes[:, 2:].max(axis=1)
    return np.asarray(_PERSON_SIDE_M * camera.focal_px / side_px)


def measure(clip: Clip, truth: GroundTruth, stacks: Sequence[Stack | TrainedStack]) -> Measurement:
    """Run all stacks on the views, with a progress bar."""
    views: list[dict[Setup, Estimate]] = []
    joints = []
    count = len(clip.cameras) * len(range(0, clip.frame_count, VIEW_STEP))
    with tqdm(total=count, desc='accuracy', unit='view', disable=None) as bar:
        for index, view in enumerate(clip.cameras):
            width, height = view.camera.width, view.camera.height
            guesses = {guess.source: guess for guess in _guesses(width, height)}
            true_focal = Camera.from_focal_length(width, height, view.camera.focal_px)
            cameras = {
                CALIBRATED: view.camera,
                TRUE_FOCAL: true_focal,
                _ASSUMED: Camera.fallback(width, height),
                **guesses,
            }
            for frame, image in enumerate(clip.frames(index)):
                if frame % VIEW_STEP:
                    continue
                joints.append(truth.in_camera(index, frame))
                box = box_around(view.camera.project(joints[-1]))
                views.append({})
                for stack in stacks:
                    found = stack(image, cameras, box)
                    views[-1] |= found | _rescaled(found, guesses, true_focal.focal_px)
                bar.update()
    precisions: dict[Setup, str] = {}
    for stack in stacks:
        precisions |= stack.precisions()
    return Measurement(np.stack(joints), _by_setup(views), precisions)


def _guesses(width: int, height: int) -> list[Camera]:
    """Return what may be assumed of an unknown camera."""
    by_angle = [Camera.from_field_of_view(width, height, d) for d in _FIELDS_OF_VIEW_DEG]
    return [*by_angle, Camera.from_focal_length(width, height, _FOCAL_PX)]


def _rescaled(
    found: Mapping[Setup, Estimate], guesses: Mapping[str, Camera], focal_px: float
) -> dict[Setup, Estimate]:
    """Return the estimates that guesses gave, for the focal length that is true."""
    return {
        replace(setup, camera=setup.camera + RESCALED): estimate.rescaled(
            focal_px / guesses[setup.camera].focal_px
        )
        for setup, estimate in found.items()
        if setup.camera in guesses
    }


def box_around(points: np.ndarray) -> np.ndarray:
    """Return the box (4,) x, y, width, height around points (k, 2)."""
    low = points.min(axis=0)
    return np.concatenate([low, points.max(axis=0) - low])


def _by_setup(views: Sequence[Mapping[Setup, Estimate]]) -> dict[Setup, Estimate]:
    """Return for each setup the estimates of all views, NaN for those where it has none."""
    missed = Estimate.of_roots(np.full((1, 3), np.nan), np.zeros(1))
    setups = dict.fromkeys(setup for view in views for setup in view)
    return {s: Estimate.joined([view.get(s, missed) for view in views]) for s in setups}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark accuracy`."""
    parser.add_argument(
        '--models',
        nargs='+',
        choices=MODELS,
        metavar='POSENET',
        help=f'posenets: {", ".join(MODELS)} (default: those whose weights are there)',
    )
    for network in ('rootnet', 'posenet'):
        parser.add_argument(
            f'--{network}-weights',
            type=Path,
            metavar='PATH',
            help=f'{network} of 3dmppe, scored beside the default: a snapshot_EPOCH.pth.tar, a '
            'folder of them, or an exported .onnx file; both networks or none',
        )
    report.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; return 0."""
    rootnet, posenet = arguments.rootnet_weights, arguments.posenet_weights
    if (rootnet is None) != (posenet is None):
        raise ClipError('--rootnet-weights and --posenet-weights are scored together: give both')
    trained = [] if rootnet is None else [TrainedStack(rootnet, posenet)]
    clip = Clip.load('single')
    default = _stacks(arguments.models or _present_models())
    stacks: list[Stack | TrainedStack] = [*default, *trained]
    truth = ground_truth(clip)
    report.give_out('accuracy', tables(measure(clip, truth, stacks), truth), arguments)
    return 0


def _present_models() -> list[str]:
    """Return the posenets that can be loaded; the default one must be."""
    present = list(MODELS[:1])
    for name in MODELS[1:]:
        try:
            stages.POSENETS[name](None, RuntimeOptions(precision='f32'))
        except weights.WeightsError as error:
            print(f'left out: {error}')
        else:
            present.append(name)
    return present


def _stacks(models: Sequence[str]) -> list[Stack]:
    """Return the networks at each precision that the processor has; 'auto' mostly is another."""
    stacks: list[Stack] = []
    for precision in PRECISIONS:
        try:
            stack = Stack(models, precision)
        except RuntimeUnavailable as error:
            print(f'left out: {error}')
            continue
        same = [other for other in stacks if other.computes_in() == stack.computes_in()]
        if same:
            same[0].is_auto = True
        else:
            stacks.append(stack)
    return stacks
