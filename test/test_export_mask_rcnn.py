# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""An exported Mask R-CNN finds the same people as torchvision does, and runs without it."""

import contextlib
import copy
import io
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import detectors
import numpy as np
import onnx
import pytest
from paper import needed_torch
from real import people_image, street_image

torch = needed_torch()

from torchvision import ops  # noqa: E402

from pose3d_ros.cli import main  # noqa: E402
from pose3d_ros.models import export_mask_rcnn, onnx_files  # noqa: E402
from pose3d_ros.models.detection import DetectorOptions  # noqa: E402
from pose3d_ros.models.exported_detector import ExportedDetector, scale  # noqa: E402
from pose3d_ros.models.mask_rcnn import MaskRCNN  # noqa: E402
from pose3d_ros.models.session import RuntimeOptions  # noqa: E402
from pose3d_ros.models.torch_network import fold_batch_norms  # noqa: E402
from pose3d_ros.people import Persons  # noqa: E402
from pose3d_ros.stages import DETECTORS, OwnWeights  # noqa: E402
from pose3d_ros.weights import WeightsError  # noqa: E402

F32 = RuntimeOptions(precision='f32')
IMAGE = np.ascontiguousarray(people_image()[600:1500:3, 100:900:3])
#: Of the images for which the file is, pixels.
SIDE = 192
OPTIONS = DetectorOptions(score_threshold=0.3, max_people=1000)


@pytest.fixture(scope='module')
def made(tmp_path_factory: Any) -> Any:
    """Return a network, the file that the command made of it, and what the command said."""
    network = detectors.calibrated(detectors.mask_rcnn(), IMAGE).requires_grad_(False)
    folder, said = tmp_path_factory.mktemp('torchvision'), io.StringIO()
    (folder / 'x.pth').touch()
    words = ['--weights', str(folder / 'x.pth'), '--out', str(folder / 'x.onnx'),
             '--input-long-side', str(SIDE), '--precision', 'f16']  # fmt: skip
    logging.disable(logging.WARNING)  # the exporter's own steps, which are many
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        # a backbone smaller than any that is published
        patch.setattr(export_mask_rcnn, 'load_mask_rcnn', lambda path: copy.deepcopy(network))
        assert main(['export', 'mask_rcnn', *words]) == 0
    logging.disable(logging.NOTSET)
    return network, folder / 'x.onnx', said.getvalue()


@pytest.fixture(scope='module')
def exported(made: tuple[Any, Path, str]) -> ExportedDetector:
    return ExportedDetector(made[1], 'mask_rcnn', F32)


def in_f16(network: Any) -> Any:
    """Return a network with the weights that a file in f16 holds."""
    lower = copy.deepcopy(network)
    fold_batch_norms(lower)
    for weights in lower.parameters():
        if weights.dim() > 1 and weights.numel() > 1024:
            weights.copy_(weights.half().float())
    return lower


def test_people_are_those_of_torchvision(
    made: tuple[Any, Path, str], exported: ExportedDetector
) -> None:
    """Where the suppression of doubles hangs on a last digit, one may come out otherwise."""
    torchvision = MaskRCNN(in_f16(made[0]), F32)
    size = {'max_size': SIDE, 'min_size': SIDE}
    for image in (IMAGE, IMAGE.swapaxes(0, 1), street_image()):
        scaled = np.ascontiguousarray(scale(image, size))  # of a size that both keep
        options = DetectorOptions(SIDE, OPTIONS.score_threshold, OPTIONS.max_people)
        detectors.assert_same(
            exported(scaled, options), torchvision(scaled, options), 0.02, 1e-4, 0.02
        )


def test_another_size_and_images_that_are_scaled(
    made: tuple[Any, Path, str], exported: ExportedDetector
) -> None:
    """Interpolation rounds to one of 255 steps, which the boxes at the border feel."""
    torchvision = MaskRCNN(in_f16(made[0]), F32)
    options = DetectorOptions(256, 0.5, 1000)
    found, wanted = exported(IMAGE, options), torchvision(IMAGE, options)
    overlaps = ops.box_iou(corners(wanted), corners(found))
    assert len(wanted) > 5 and (overlaps.amax(1) > 0.95).float().mean() > 0.8


def corners(persons: Persons) -> Any:
    return ops.box_convert(torch.from_numpy(persons.boxes), 'xywh', 'xyxy')


@pytest.mark.parametrize('shape', [(192, 128), (64, 64), (97, 190)])
def test_the_graph_is_torchvision_s_in_pytorch(
    made: tuple[Any, Path, str], shape: tuple[int, int]
) -> None:
    """Also of images so small that there are fewer places than are looked at."""
    network = copy.deepcopy(made[0])
    network.transform.min_size, network.transform.max_size = (min(shape),), max(shape)
    network.roi_heads.score_thresh, network.roi_heads.detections_per_img = 0.05, 10**6
    unit = detectors.torch_image(cv2.resize(IMAGE, shape[::-1]))
    images, _ = network.transform([unit])
    (wanted,) = network([unit])
    people = wanted['labels'] == 1
    scores, boxes = export_mask_rcnn.PeopleOfMaskRCNN(network)(
        images.tensors[:, :, : shape[0], : shape[1]]
    )
    found = scores[0] > 0.05
    pixels = boxes[0, found] * torch.tensor([shape[1], shape[0]] * 2)
    detectors.assert_same(
        Persons(pixels.numpy(), scores[0, found].numpy()),
        Persons(wanted['boxes'][people].numpy(), wanted['scores'][people].numpy()),
        1e-2,
        1e-5,
    )


def test_scaled_images_are_torchvision_s(made: tuple[Any, Path, str]) -> None:
    """In size exactly, in their values to the last step."""
    transform = copy.deepcopy(made[0]).transform
    size = {'max_size': 213, 'min_size': 128}
    transform.min_size, transform.max_size = (size['min_size'],), size['max_size']
    mean, std = (np.array(values) * 255 for values in (transform.image_mean, transform.image_std))
    for height, width in ((450, 400), (301, 997), (100, 77), (128, 170), (640, 480), (333, 200)):
        image = cv2.resize(IMAGE, (width, height))
        images, _ = transform([detectors.torch_image(image)])
        found = scale(image, size)[..., ::-1]
        assert found.shape[:2] == images.image_sizes[0]
        values = images.tensors[0, :, : found.shape[0], : found.shape[1]].permute(1, 2, 0).numpy()
        assert np.abs(found - (values * std + mean)).max() < 1.01


def test_nobody_there(exported: ExportedDetector) -> None:
    assert not len(exported(IMAGE, DetectorOptions(SIDE, 1.0)))
    everybody = exported(IMAGE, DetectorOptions(SIDE, 0.01, 10**6))
    assert 5 < len(everybody) < 1000 and everybody.scores.min() > 0.01


def test_the_file_says_what_it_is(made: tuple[Any, Path, str]) -> None:
    _, out, said = made
    file = onnx_files.read(out)
    assert file.inputs == {'image': (1, 3, 'any', 'any')}
    assert file.metadata['detector'] == 'mask_rcnn' and file.metadata['precision'] == 'f16'
    assert 'softmax of class 1' in file.metadata['score'] and '(at most' in said
    tensors = [t for t in onnx.load(out).graph.initializer if len(t.dims) == 4]
    tensors = [t for t in tensors if np.prod(t.dims) > 1024]
    assert {t.data_type for t in tensors} == {onnx.TensorProto.FLOAT16}
    with pytest.raises(WeightsError, match='holds Mask R-CNN; an exported DETR is expected'):
        DETECTORS['detr'](None, F32, OwnWeights(out))


def test_running_it_needs_no_torch(made: tuple[Any, Path, str]) -> None:
    code = f"""
import sys
sys.modules['torch'] = sys.modules['torchvision'] = None
from pathlib import Path
import numpy as np
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.stages import DETECTORS, OwnWeights
detector = DETECTORS['mask_rcnn'](None, RuntimeOptions(), OwnWeights(Path({str(made[1])!r})))
detector(np.zeros((64, 64, 3), np.uint8), DetectorOptions(64))
print(detector.networks[0].precision)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == 'f32', done.stderr
