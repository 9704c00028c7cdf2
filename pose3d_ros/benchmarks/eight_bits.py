# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ranges of the networks that run in 8 bits, measured anew, and what 8 bits change in the results.

Two cameras of the clip of three people give the ranges, the other two are looked at. `--write`
puts the ranges where `models/quantization.py` finds them; `pose3d benchmark accuracy` and
`detector` tell what they cost, before `in_auto` is set by hand.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import openvino as ov
from tqdm import tqdm

from pose3d_ros import weights
from pose3d_ros.benchmarks import report
from pose3d_ros.crops import Crops
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.evaluation import box_overlaps
from pose3d_ros.models import rtmpose, yolox
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.openvino_session import read_network, with_uint8_input
from pose3d_ros.models.quantization import EightBits, Ranges, join_swish, shared_ranges
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.session import ImageInput, RuntimeOptions
from pose3d_ros.models.yolox import YOLOX
from pose3d_ros.people import Persons
from pose3d_ros.tables import Table

_MEASURED, _LOOKED_AT = (0, 1), (2, 3)  # cameras
_STEP = 6  # frames
_F32, _I8 = (RuntimeOptions(precision=precision) for precision in ('f32', 'i8'))
_CERTAIN = 0.5  # score of a keypoint
#: Tensors without a range: the convolution behind one stays in f32. That of RTMPose is read by
#: weights of which a few are 30 times as large as most: it alone made keypoints 55 px wrong, and
#: the 37 others together 1 px.
SPARED: Mapping[str, tuple[str, ...]] = {'yolox_tiny': (), 'rtmpose_s': ('320',)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark eight_bits`."""
    parser.add_argument(
        '--write', type=Path, metavar='FILE', help='write the ranges here: eight_bits.json'
    )
    report.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, write and compare; return 0."""
    images = frames(_MEASURED)
    found = {
        'yolox_tiny': measure(
            read_network(open_yolox(), yolox.HEAD_NAMES, False),
            yolox.INPUT,
            [canvas(image)[None] for image in images],
        ),
        'rtmpose_s': measure(
            read_network(weights.path('rtmpose_s'), rtmpose.OUTPUTS, False),
            rtmpose.INPUT,
            [
                crops_of(persons).cut(image)
                for image, persons in zip(images, people(images, _F32), strict=True)
                if len(persons)
            ],
        ),
    }
    if arguments.write is not None:
        arguments.write.write_text(json.dumps(document(found), indent=1) + '\n')
    report.give_out('eight_bits', [ranges_table(found), results_table()], arguments)
    return 0


def open_yolox() -> bytes:
    """Return YOLOX as the detector opens it."""
    return yolox.open_graph(weights.path('yolox_tiny'))


def frames(cameras: Iterable[int]) -> list[np.ndarray]:
    """Return images of the clip, (h, w, 3) uint8 BGR."""
    clip = Clip.load('multi')
    return [f for camera in cameras for f in islice(clip.frames(camera), 0, None, _STEP)]


def canvas(image: np.ndarray) -> np.ndarray:
    """Return the image as YOLOX sees it by default."""
    height, width = yolox.input_size(image.shape[1], image.shape[0], yolox.LONG_SIDE)
    return yolox.letterbox(image, height, width)[0]


def people(images: Sequence[np.ndarray], options: RuntimeOptions) -> list[Persons]:
    """Return the people of each image."""
    detect = YOLOX(weights.path('yolox_tiny'), options)
    return [detect(image, DetectorOptions()) for image in images]


def crops_of(persons: Persons) -> Crops:
    """Return the crops that RTMPose sees of people."""
    size = rtmpose.CROP_WIDTH, rtmpose.CROP_HEIGHT
    return Crops.of_boxes(persons.boxes, size, rtmpose.BOX_PADDING)


def measure(network: ov.Model, image: ImageInput, batches: Sequence[np.ndarray]) -> Ranges:
    """Return the ranges of all tensors that convolutions read.

    The mean over batches of least and greatest value: one odd image hardly moves it. Of the input
    it is what the 256 values of a pixel become, so that none is rounded where one step fits all.

    :param network: with its own input.
    :param batches: (n, h, w, 3) uint8 BGR each.
    """
    join_swish(network)
    groups = shared_ranges(network)
    tensors = {name: tensor for group in groups for name, tensor in group.items()}
    given = {name for name, tensor in tensors.items() if tensor.node.get_type_name() == 'Parameter'}
    inside = [name for name in tensors if name not in given]
    watched = ov.Model([tensors[name] for name in inside], network.get_parameters(), 'ranges')
    request = (
        core()
        .compile_model(with_uint8_input(watched, image), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
        .create_infer_request()
    )
    extremes = []
    for batch in tqdm(batches, desc='ranges', unit='image', disable=None):
        request.infer({0: batch})
        values = [request.get_output_tensor(i).data for i in range(len(inside))]
        extremes.append([(v.min(), v.max()) for v in values])
    means = dict(zip(inside, np.mean(extremes, axis=0).tolist(), strict=True))
    means |= dict.fromkeys(given, _input_range(image))
    return {name: _joint([means[n] for n in group]) for group in groups for name in group}


def _joint(several: Sequence[Sequence[float]]) -> tuple[float, float]:
    return min(low for low, _ in several), max(high for _, high in several)


def _input_range(image: ImageInput) -> tuple[float, float]:
    mean, std = np.array(image.mean), np.array(image.std)
    return float(((0 - mean) / std).min()), float(((255 - mean) / std).max())


def document(found: Mapping[str, Ranges]) -> dict[str, dict[str, object]]:
    """Return what eight_bits.json is to hold: new ranges, and the old word on 'auto'."""
    return {
        weights_name: {
            'in_auto': EightBits.of(weights_name).in_auto,
            'ranges': {
                name: [float(f'{limit:.4g}') for limit in limits]
                for name, limits in ranges.items()
                if name not in SPARED[weights_name]
            },
        }
        for weights_name, ranges in found.items()
    }


def ranges_table(found: Mapping[str, Ranges]) -> Table:
    """Return how far the ranges are from those in use."""
    rows: list[tuple[str | float, ...]] = []
    for name, ranges in found.items():
        used = EightBits.of(name).ranges
        ratios = [
            (ranges[tensor][1] - ranges[tensor][0]) / (high - low)
            for tensor, (low, high) in used.items()
        ]
        rows.append((name, float(len(used)), float(len(ranges) - len(used)), *np.quantile(
            ratios, (0, 0.5, 1)).tolist()))  # fmt: skip
    return Table(
        'Ranges measured now, as a multiple of those in use',
        (('network', ''), ('tensors', '.0f'), ('in f32', '.0f'), ('least', '.2f'),
         ('median', '.2f'), ('largest', '.2f')),
        rows,
        'Of the tensors that convolutions read.',
    )  # fmt: skip


def results_table() -> Table:
    """Return how far results in 8 bits are from those in f32, on images without part in the ranges.

    :raises RuntimeUnavailable: this processor does not compute in 8 bits.
    """
    images = frames(_LOOKED_AT)
    exact, rounded = (people(images, options) for options in (_F32, _I8))
    rows = [*_boxes_rows(exact, rounded), *_keypoint_rows(images, exact)]
    return Table(
        f'8 bits against f32: {len(images)} images of the cameras that gave no ranges',
        (('network', ''), ('what', ''), ('number', '.0f'), ('median', '.2f'), ('p95', '.2f')),
        rows,
        'px: of the input of the network. Overlap (IoU): of each box in f32 with the best in 8 '
        'bits; p95: which 95 % reach.',
    )


def _boxes_rows(
    exact: Sequence[Persons], rounded: Sequence[Persons]
) -> list[tuple[str | float, ...]]:
    overlaps, changes = [], []
    for wanted, found in zip(exact, rounded, strict=True):
        changes.append(abs(len(found) - len(wanted)))
        overlaps += [row.max(initial=0) for row in box_overlaps(wanted.boxes, found.boxes)[0]]
    return [
        ('yolox_tiny', 'overlap of boxes', float(len(overlaps)), float(np.median(overlaps)),
         float(np.quantile(overlaps, 0.05))),
        ('yolox_tiny', 'people more or less in an image', float(len(changes)),
         float(np.median(changes)), float(np.quantile(changes, 0.95))),
    ]  # fmt: skip


def _keypoint_rows(
    images: Sequence[np.ndarray], people_of: Sequence[Persons]
) -> list[tuple[str | float, ...]]:
    exact, rounded = (RTMPose(weights.path('rtmpose_s'), options) for options in (_F32, _I8))
    off_px: list[float] = []
    for image, persons in zip(images, people_of, strict=True):
        wanted, found = (estimate(image, persons.boxes) for estimate in (exact, rounded))
        per_image_px = np.linalg.det(crops_of(persons).affines[:, :, :2]) ** 0.5
        off = np.linalg.norm(found.xy - wanted.xy, axis=2) * per_image_px[:, None]
        off_px += off[wanted.scores > _CERTAIN].tolist()
    return [
        ('rtmpose_s', 'keypoints apart, px', float(len(off_px)), float(np.median(off_px)),
         float(np.quantile(off_px, 0.95)))
    ]  # fmt: skip
