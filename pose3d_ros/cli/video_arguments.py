"""What `pose3d video` takes on the command line."""

import argparse
from collections.abc import Callable
from pathlib import Path

from pose3d_ros import stages
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.runtime import PRECISIONS
from pose3d_ros.video import FOLDER_RATE_HZ


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d video`."""
    add, detector = parser.add_argument, DetectorOptions()
    add('input', help='video file, folder of images, or number of a webcam')
    add('--out', type=Path, required=True, metavar='DIR', help='folder for the results')
    add('--overwrite', action='store_true', help='replace the results of an earlier run in DIR')
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        '--camera', type=Path, metavar='YAML', help='intrinsics: a ROS camera_info file'
    )
    camera.add_argument(
        '--field-of-view',
        type=_number(float, 1, 179),
        metavar='DEG',
        help='of the longer image side, where the camera is not calibrated; a guess that is '
        'wrong scales every distance (without any of these: 60 degrees are assumed)',
    )
    camera.add_argument(
        '--assumed-focal-px',
        type=_number(float, 1, 1e6),
        metavar='PX',
        help='focal length in pixels, where the camera is unknown (1500 by the authors of '
        '3DMPPE); `pose3d rescale` corrects the results when it is known',
    )
    _add_models(parser)
    add(
        '--input-long-side',
        type=_number(int, 0, 8192),
        default=detector.input_long_side,
        metavar='PIXELS',
        help="longer side of the detector's input: more finds farther people, and is slower "
        '(default: 0, as the network was published; yolox: 736)',
    )
    add(
        '--score-threshold',
        type=_number(float, 0.01, 1),
        default=detector.score_threshold,
        metavar='SCORE',
        help='least certainty of a person (default: %(default)s)',
    )
    add(
        '--max-people',
        type=_number(int, 1, 10000),
        default=detector.max_people,
        metavar='N',
        help='of a frame, the most certain (default: %(default)s)',
    )
    add(
        '--fps',
        type=_number(float, 0.1, 1000),
        default=FOLDER_RATE_HZ,
        help='frames per second of a folder of images (default: %(default)s)',
    )
    add('--every', type=_number(int, 1), default=1, metavar='N', help='take every Nth frame only')
    add('--limit', type=_number(int, 1), metavar='N', help='stop after N frames')
    add('--frames', action='store_true', help='keep the frames as JPEG in DIR/frames')
    add('--no-overlay', action='store_true', help='write no overlay.mp4')


def _add_models(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
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
        type=_number(float, 0.3, 2.5),
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


def _number(kind: type, low: float, high: float = float('inf')) -> Callable[[str], float]:
    """Return what reads an argument that is a number from `low` to `high`."""

    def read(text: str) -> float:
        value: float = kind(text)
        if not low <= value <= high:
            top = f' to {high:g}' if high < float('inf') else ' or more'
            raise argparse.ArgumentTypeError(f'{text} is not {low:g}{top}')
        return value

    read.__name__ = 'number' if kind is float else 'whole number'  # argparse names it
    return read
