# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The models of `pose3d video` and `pose3d bag`: their arguments, what they depend on, loading."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pose3d_ros import stages, weights
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.loading import engine_dir
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import PRECISIONS, RuntimeOptions
from pose3d_ros.offline import Stages
from pose3d_ros.stages import STAGE_WEIGHTS, OwnWeights
from pose3d_ros.weights import WeightsError, files_of, sha256_of


def add_camera(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Add the arguments that give a camera.

    :param otherwise: what is done without any of them.
    """
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        '--camera', type=Path, metavar='YAML', help='intrinsics: a ROS camera_info file'
    )
    camera.add_argument(
        '--field-of-view',
        type=number(float, 1, 179),
        metavar='DEG',
        help='of the longer image side, where the camera is not calibrated; a guess that is '
        f'wrong scales every distance ({otherwise})',
    )
    camera.add_argument(
        '--assumed-focal-px',
        type=number(float, 1, 1e6),
        metavar='PX',
        help='focal length in pixels, where the camera is unknown (1500 by the authors of '
        '3DMPPE); when it is known, `pose3d rescale` corrects results of `pose3d video`, not bags',
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose the models and how they run."""
    add, detector = parser.add_argument, DetectorOptions()
    add('--detector', choices=stages.DETECTORS, default='yolox', help='default: %(default)s')
    add('--rootnet', choices=stages.ROOTNETS, default='keypoints', help='default: %(default)s')
    add('--posenet', choices=stages.POSENETS, default='blazepose', help='default: %(default)s')
    add(
        '--detector-weights',
        type=Path,
        metavar='PATH',
        help='for mask_rcnn: a checkpoint of torchvision; for detr: a folder of transformers, or '
        "DETR's original checkpoint; of either the .onnx file of `pose3d export` (default: what "
        '`pose3d fetch` brought)',
    )
    for stage in ('rootnet', 'posenet'):
        add(
            f'--{stage}-weights',
            type=Path,
            metavar='FILE',
            help=f'for {stage} 3dmppe: a snapshot_EPOCH.pth.tar, or an .onnx file of pose3d export',
        )
    add(
        '--person-height',
        type=number(float, 0.3, 2.5),
        metavar='M',
        help='mean stature of the people, metres, for rootnet keypoints '
        f'(default: {BodySize().height_m:g})',
    )
    add('--flip-test', action='store_true', help='for posenet 3dmppe: crops and mirror images')
    add('--weights', type=Path, metavar='DIR', help='folder of the weights (default: the cache)')
    add(
        '--device',
        default='CPU',
        help='where the networks run: CPU, GPU, NPU, cuda, tensorrt, onnxruntime (default: '
        '%(default)s)',
    )
    add('--precision', choices=PRECISIONS, default='auto', help='default: %(default)s')
    add(
        '--input-long-side',
        type=number(int, 0, 8192),
        default=detector.input_long_side,
        metavar='PIXELS',
        help="longer side of the detector's input: more finds farther people, and is slower "
        '(default: 0, as the network was published; yolox: 736)',
    )
    add(
        '--score-threshold',
        type=number(float, 0.01, 1),
        default=detector.score_threshold,
        metavar='SCORE',
        help='least certainty of a person (default: %(default)s)',
    )
    add(
        '--max-people',
        type=number(int, 1, 10000),
        default=detector.max_people,
        metavar='N',
        help='of a frame, the most certain (default: %(default)s)',
    )


def number(kind: type, low: float, high: float = float('inf')) -> Callable[[str], float]:
    """Return what reads an argument that is a number from `low` to `high`."""

    def read(text: str) -> float:
        value: float = kind(text)
        if not low <= value <= high:
            top = f' to {high:g}' if high < float('inf') else ' or more'
            raise argparse.ArgumentTypeError(f'{text} is not {low:g}{top}')
        return value

    read.__name__ = 'number' if kind is float else 'whole number'  # argparse names it
    return read


def given_camera(
    name: str,
    width: int,
    height: int,
    yaml: Path | None,
    field_of_view_deg: float | None = None,
    focal_px: float | None = None,
) -> Camera | None:
    """Return the camera that the arguments give for images of a size; None = they give none.

    :param name: of what the images are in, for messages.
    :raises CameraError: the file cannot be read, or is of images of another shape.
    """
    if field_of_view_deg is not None:
        return Camera.from_field_of_view(width, height, field_of_view_deg)
    if focal_px is not None:
        return Camera.from_focal_length(width, height, focal_px)
    if yaml is None:
        return None
    camera = Camera.from_yaml(yaml)
    if (camera.width, camera.height) == (width, height):
        return camera
    size = f'{camera.width} x {camera.height}'
    # resized, if the other side comes out right to the pixel; else cropped, padded or turned
    if abs(width * camera.height - height * camera.width) > max(camera.width, camera.height):
        raise CameraError(
            f'{yaml} is of a camera with {size} pixels, which cannot be resized to the '
            f'{width} x {height} of {name}: calibrate at this shape, upright'
        )
    scaled = camera.scaled(width, height)
    return replace(scaled, source=f'{camera.source}, resized from {size}')


def refuse_stature(arguments: argparse.Namespace) -> None:
    """Raise WeightsError where a stature was given to a rootnet that has learned it."""
    if arguments.person_height and arguments.rootnet not in stages.ROOTNETS_OF_STATURE:
        raise WeightsError(
            f'--person-height is for --rootnet {", ".join(stages.ROOTNETS_OF_STATURE)}: '
            f'{arguments.rootnet} has learned how tall people are'
        )


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all of the models that the numbers depend on.

    :raises WeightsError: a file of the weights is absent or corrupt.
    """
    options = (
        'device',
        'precision',
        'input_long_side',
        'score_threshold',
        'max_people',
        'person_height',
        'flip_test',
    )
    used = [
        file
        for name in stages.STAGES
        if name != 'detector' or arguments.detector_weights is None
        for file in STAGE_WEIGHTS.get(getattr(arguments, name), ())
    ]
    for file in used:
        weights.path(file, arguments.weights)
    return {
        **{name: getattr(arguments, name) for name in (*stages.STAGES, *options)},
        'weights': {asset.name: asset.sha256 for asset in weights.select(used)}
        | _own_weights(arguments),
    }


def _own_weights(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the sha256 of the user's own files, of a folder one of all that is in it."""
    digests = {}
    for stage in stages.STAGES:
        path = getattr(arguments, f'{stage}_weights')
        if path is not None:
            try:
                digests[stage] = sha256_of(*files_of(path))
            except OSError as error:
                raise WeightsError(f'--{stage}-weights {path}: {error.strerror}') from error
    return digests


def load(arguments: argparse.Namespace, threads: int = 0, streams: int = 1) -> Stages:
    """Return the stages that the arguments name.

    :param threads: processor threads of a network; 0 = one for each core.
    :param streams: calls that a network computes at once, on a CPU.
    :raises OptionsError: the detector cannot work as they ask.
    """
    runtime = RuntimeOptions(
        arguments.device,
        arguments.precision,
        threads=threads,
        streams=streams,
        engine_dir=engine_dir(),
    )
    options = DetectorOptions(
        arguments.input_long_side, arguments.score_threshold, arguments.max_people
    )
    detector = stages.DETECTORS[arguments.detector](
        arguments.weights, runtime, OwnWeights(arguments.detector_weights)
    )
    detector.check(options)
    return Stages(
        detector,
        stages.ROOTNETS[arguments.rootnet](
            arguments.weights, runtime, OwnWeights(arguments.rootnet_weights)
        ),
        stages.POSENETS[arguments.posenet](
            arguments.weights,
            runtime,
            OwnWeights(arguments.posenet_weights, flip_test=arguments.flip_test),
        ),
        options,
        BodySize(arguments.person_height) if arguments.person_height else BodySize(),
    )
