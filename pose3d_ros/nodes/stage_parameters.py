# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parameters that stages share, and what they make of them.

Apart from `parameters`, since player and recorder, which run no network, need not wait for
OpenVINO to be imported.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from rclpy.node import Node

from pose3d_ros.loading import engine_dir
from pose3d_ros.models.session import PRECISIONS, RuntimeOptions
from pose3d_ros.nodes.parameters import Param, value_of
from pose3d_ros.stages import Load, OwnWeights, weights_sha256

Model = TypeVar('Model')

#: What every stage takes.
STAGE = (
    Param(
        'autostart',
        True,
        'true = the node configures and activates itself at the start; false = it waits for a '
        'lifecycle manager to do it',
        at_start=True,
    ),
    Param(
        'device',
        'CPU',
        'where the networks run. CPU, GPU, GPU.1, NPU: OpenVINO (those in PyTorch: CPU, '
        'or an NVIDIA GPU as GPU or cuda:1); cuda, cuda:1, tensorrt, tensorrt:1: ONNX Runtime on '
        'an NVIDIA GPU; onnxruntime: ONNX Runtime on the CPU',
    ),
    Param(
        'cpu_fallback',
        False,
        'a device that is missing, or whose libraries do not load: true = the CPU takes its place, '
        'with a warning; false = the node refuses to start',
    ),
    Param(
        'precision',
        'auto',
        'precision of the networks; auto = what the processor is fastest in of f32, bf16 and 8 '
        'bits, if the network keeps its accuracy in it; i8 = 8 bits also at some cost of accuracy, '
        'and as auto for networks without such a form. Another device or precision is compared '
        'with f32 on the CPU at the start',
        choices=PRECISIONS,
    ),
    Param(
        'threads',
        0,
        'processor threads of each network; 0 = one for each core. Fewer leave cores to others; '
        'images get older, as each network takes longer. In pipeline a call has half of them, or '
        "the share of one of the 'streams', while another is at work: for that, networks are "
        'loaded twice, unless it is 1',
        0,
        256,
    ),
    Param(
        'streams',
        1,
        'images that the stage works on at once, and calls that a network computes at once, each '
        'on its share of the threads (OpenVINO on a CPU; elsewhere one): more images a second, and '
        'each of them later. Results keep the order of images',
        1,
        64,
    ),
    Param(
        'max_batch',
        16,
        'crops computed at once at the most; it halves when memory runs out',
        1,
        256,
    ),
    Param('weights_dir', '', "folder of the weight files; '' = where `pose3d fetch` puts them"),
    Param(
        'image_transport',
        'raw',
        'raw: Image on the image topic; compressed: CompressedImage on its /compressed',
        choices=('raw', 'compressed'),
    ),
    Param(
        'max_age_ms',
        0.0,
        'work on a frame is not begun when more time than this has passed since its stamp, '
        'milliseconds by the clock of the node; 0 = begun however old it is',
        0.0,
        60_000.0,
        fixed=False,
    ),
    Param(
        'buffer',
        16,
        "images that wait for their people, each as large as it is: 8 for each of the 'streams' of "
        'the stages before, however long these take',
        1,
        256,
    ),
    Param(
        'warn_after_s',
        5.0,
        'seconds without an input after which a warning names its topic and publishers',
        1.0,
        3600.0,
        fixed=False,
    ),
    Param(
        'warn_age_ms',
        0.0,
        'diagnostics warn when images are older than this at their result, the median of the last '
        '5 s, milliseconds; 0 = never',
        0.0,
        60_000.0,
        fixed=False,
    ),
    Param(
        'error_age_ms',
        0.0,
        'the same as an error, milliseconds; 0 = never',
        0.0,
        60_000.0,
        fixed=False,
    ),
    Param(
        'warn_rate_hz',
        0.0,
        'diagnostics warn when fewer results a second than this came in the last 5 s; 0 = never',
        0.0,
        1000.0,
        fixed=False,
    ),
    Param('error_rate_hz', 0.0, 'the same as an error; 0 = never', 0.0, 1000.0, fixed=False),
)

#: What the stages that need a camera take besides.
CAMERA = (
    Param(
        'field_of_view_deg',
        0.0,
        'angle that the longer image side of a camera without calibration spans; camera_info is '
        'not used then; 0 = use camera_info',
        0.0,
        179.0,
    ),
    Param(
        'assumed_focal_px',
        0.0,
        'focal length that is assumed for an unknown camera, pixels (1500 by the authors of '
        '3DMPPE); camera_info is not used then; results can be rescaled; 0 = use camera_info',
        0.0,
        1e6,
    ),
    Param(
        'rectified',
        'auto',
        'whether images are rectified (then P of camera_info counts and there is no distortion); '
        "auto = a part of the image topic's name is rect or rectified, or begins with image_rect",
        choices=('auto', 'true', 'false'),
    ),
)

#: What the stages take that can run on weights of the user's own.
OWN_WEIGHTS = (
    Param(
        'weights',
        '',
        'weights for model 3dmppe: a snapshot_EPOCH.pth.tar, a folder of them, or an .onnx file of '
        "`pose3d export`; '' = none",
    ),
    Param('epoch', -1, 'which snapshot of a folder; -1 = the last', -1, 1_000_000),
)


def runtime_options(node: Node, joined: bool) -> RuntimeOptions:
    """Return where and how precisely networks run, from the parameters.

    :param joined: other stages are in the same process.
    """
    return RuntimeOptions(
        value_of(node, 'device'),
        value_of(node, 'precision'),
        value_of(node, 'max_batch'),
        value_of(node, 'threads'),
        value_of(node, 'streams'),
        company=joined,
        cpu_fallback=value_of(node, 'cpu_fallback'),
        engine_dir=engine_dir(),
    )


def load_model(node: Node, models: Mapping[str, Load[Model]], joined: bool) -> Model:
    """Return the model that the parameters name, loaded as they say.

    :param models: those of the stage by name.
    :param joined: other stages are in the same process.
    """
    folder = value_of(node, 'weights_dir')
    return models[value_of(node, 'model')](
        Path(folder).expanduser() if folder else None,
        runtime_options(node, joined),
        own_weights(node),
    )


def own_weights(node: Node) -> OwnWeights:
    """Return the user's own weights, as the parameters name them."""
    path = value_of(node, 'weights')
    epoch = value_of(node, 'epoch') if node.has_parameter('epoch') else -1
    flip_test = node.has_parameter('flip_test') and value_of(node, 'flip_test')
    return OwnWeights(
        Path(path).expanduser() if path else None, None if epoch < 0 else epoch, flip_test
    )


def weights_in_use(node: Node) -> str:
    """Return the beginning of the sha256 of the weights that the parameters name."""
    return weights_sha256(value_of(node, 'model'), own_weights(node))[:12]
