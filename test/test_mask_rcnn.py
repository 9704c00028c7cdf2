# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN: what torchvision's own network gives, from its own files, without masks."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import detectors
import numpy as np
import pytest
from paper import needed_torch
from real import people_image

torch = needed_torch()

from torch import nn  # noqa: E402
from torchvision.models.detection import (  # noqa: E402
    fasterrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)
from torchvision.models.detection._utils import overwrite_eps  # noqa: E402
from torchvision.ops import FrozenBatchNorm2d, box_convert  # noqa: E402

from pose3d_ros.models.detection import DetectorOptions, select_people  # noqa: E402
from pose3d_ros.models.mask_rcnn import MaskRCNN, load_mask_rcnn  # noqa: E402
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable  # noqa: E402
from pose3d_ros.models.snapshots import SnapshotError  # noqa: E402

IMAGE = np.ascontiguousarray(people_image()[600:1500:3, 100:900:3])
#: Small, for the time of the tests; the published size is tried once.
OPTIONS = DetectorOptions(input_long_side=192, score_threshold=0.3)
MAKERS = {'v1': maskrcnn_resnet50_fpn, 'v2': maskrcnn_resnet50_fpn_v2}


@cache
def seeded(version: str) -> Any:
    """Return torchvision's network with random weights that see people of all kinds, as it is."""
    torch.manual_seed(5)
    network = MAKERS[version](weights=None, weights_backbone=None, num_classes=3)
    return detectors.calibrated(network, IMAGE)


@pytest.fixture(scope='module', params=list(MAKERS))
def saved(request: pytest.FixtureRequest, tmp_path_factory: Any) -> tuple[Any, Path]:
    """Return a network of torchvision and a file of its weights."""
    network = seeded(request.param)
    file = tmp_path_factory.mktemp('torchvision') / f'{request.param}.pth'
    torch.save(network.state_dict(), file)
    return network, file


@pytest.fixture(scope='module')
def first(tmp_path_factory: Any) -> Path:
    """Return a file of the first version."""
    file = tmp_path_factory.mktemp('torchvision') / 'first.pth'
    torch.save(seeded('v1').state_dict(), file)
    return file


@pytest.fixture(scope='module')
def loaded(first: Path) -> Any:
    """Return the network of the first version as `detector` has it."""
    return load_mask_rcnn(first)


@pytest.fixture(scope='module')
def detector(loaded: Any) -> MaskRCNN:
    """Return the detector of the first version."""
    return MaskRCNN(loaded)


def upstream(network: Any, image: np.ndarray, options: DetectorOptions) -> Any:
    """Return the people that torchvision finds, by its own way from image to boxes."""
    network = copy.deepcopy(network)
    if options.input_long_side:
        network.transform.min_size = (options.input_long_side,)
        network.transform.max_size = options.input_long_side
    network.roi_heads.detections_per_img = 1000
    network.roi_heads.mask_roi_pool = None  # after the boxes, which do not depend on it
    with torch.no_grad():
        (found,) = network([detectors.torch_image(image)])
    people = found['labels'] == 1
    boxes = box_convert(found['boxes'][people], 'xyxy', 'xywh').numpy()
    return select_people(boxes.astype(float), found['scores'][people].numpy(), image.shape, options)


def test_finds_what_torchvision_finds(saved: tuple[Any, Path]) -> None:
    network, file = saved
    wanted = upstream(network, IMAGE, OPTIONS)
    assert len(wanted) >= 5 and np.ptp(wanted.scores) > 0.01
    persons = MaskRCNN(load_mask_rcnn(file))(IMAGE, OPTIONS)
    np.testing.assert_allclose(persons.scores, wanted.scores, atol=2e-4)
    np.testing.assert_allclose(persons.boxes, wanted.boxes, atol=0.2)


def test_masks_are_not_needed_and_not_computed(tmp_path: Path) -> None:
    """Wrapped as trainings leave it, and without the mask branch, as only boxes are needed."""
    network = seeded('v1')
    tensors = {k: v for k, v in network.state_dict().items() if '.mask_' not in k}
    torch.save({'model': tensors, 'epoch': 3}, tmp_path / 'boxes.pth')
    loaded = load_mask_rcnn(tmp_path / 'boxes.pth')
    assert not [name for name, _ in loaded.named_modules() if 'mask' in name]
    persons = MaskRCNN(loaded)(IMAGE, OPTIONS)
    np.testing.assert_allclose(persons.boxes, upstream(network, IMAGE, OPTIONS).boxes, atol=0.2)


class Seen(Exception):
    """Raised where the input has been seen, and the rest would only take time."""


def test_the_published_size_of_the_input(loaded: Any, detector: MaskRCNN) -> None:
    def see(_: Any, given: Any) -> None:
        raise Seen(*given[0].shape[2:])

    hook = loaded.backbone.register_forward_pre_hook(see)
    wide = np.ascontiguousarray(IMAGE[:100])  # 267 x 100: to 1333 x 499, the limit
    for image, options, size in (
        (IMAGE, DetectorOptions(), (928, 800)),  # 800 x 899, padded to multiples of 32
        (wide, DetectorOptions(), (512, 1344)),
        (wide, DetectorOptions(input_long_side=640), (256, 640)),
    ):
        with pytest.raises(Seen) as seen:
            detector(image, options)
        assert seen.value.args == size
    hook.remove()


def test_faster_rcnn_serves_as_well(tmp_path: Path) -> None:
    network = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    torch.save(network.state_dict(), tmp_path / 'faster.pth')
    assert len(MaskRCNN(load_mask_rcnn(tmp_path / 'faster.pth'))(IMAGE, OPTIONS)) == 0


def old_names(key: str) -> str:
    """Return what a tensor is called in maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth."""
    for part in ('inner_blocks', 'layer_blocks'):
        for i in range(4):
            key = key.replace(f'{part}.{i}.0.', f'{part}.{i}.')
    return key.replace('rpn.head.conv.0.0.', 'rpn.head.conv.')


def test_the_published_file_has_older_names_and_norms_without_eps(tmp_path: Path) -> None:
    network = copy.deepcopy(seeded('v1'))
    for part in list(network.backbone.modules()):
        for name, norm in list(part.named_children()):
            if isinstance(norm, nn.BatchNorm2d):
                frozen = FrozenBatchNorm2d(norm.num_features)
                frozen.load_state_dict(norm.state_dict())
                frozen.running_var.mul_(1e-3)  # where eps does make a difference
                frozen.weight.mul_(0.03)
                setattr(part, name, frozen)
    tensors = {old_names(key): value for key, value in network.state_dict().items()}
    assert 'rpn.head.conv.weight' in tensors and len(tensors) == len(network.state_dict())
    torch.save(tensors, tmp_path / 'maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth')
    loaded = load_mask_rcnn(tmp_path / 'maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth')
    torch.manual_seed(1)
    pixels = torch.randn(1, 3, 96, 128)
    MaskRCNN(loaded)  # folds the norms
    with torch.inference_mode():
        with_eps = network.backbone(pixels)['0']
        overwrite_eps(network, 0.0)
        wanted = network.backbone(pixels)['0']
        found = loaded.backbone(pixels)['0']
    assert (with_eps - wanted).abs().max() > 1e-2 * wanted.abs().max()
    torch.testing.assert_close(found, wanted, atol=1e-3 * float(wanted.abs().max()), rtol=1e-3)


def test_options_and_border(detector: MaskRCNN) -> None:
    everybody = detector(IMAGE, DetectorOptions(192, 0.05, 1000))
    assert (everybody.scores > 0.05).all() and (np.diff(everybody.scores) <= 0).all()
    height, width = IMAGE.shape[:2]
    assert (everybody.boxes[:, :2] >= 0).all()
    assert (everybody.boxes[:, :2] + everybody.boxes[:, 2:] <= [width, height]).all()
    few = detector(IMAGE, DetectorOptions(192, 0.05, 2))
    np.testing.assert_array_equal(few.boxes, everybody.boxes[:2])
    tall_px = float(np.median(everybody.boxes[:, 3]))
    tall = detector(IMAGE, DetectorOptions(192, 0.05, 1000, tall_px))
    assert len(tall) == (everybody.boxes[:, 3] >= tall_px).sum() < len(everybody)
    network = detector.networks[0]
    assert (network.precision, network.busy_s > 0) == ('f32', True)


def test_any_image_goes_in(detector: MaskRCNN) -> None:
    for shape in ((1, 1, 3), (300, 2, 3), (2, 300, 3)):
        persons = detector(np.full(shape, 9, np.uint8), OPTIONS)
        assert (persons.boxes[:, 2:] <= [shape[1], shape[0]]).all()


def test_bf16_is_close(saved: tuple[Any, Path]) -> None:
    coarse = MaskRCNN(load_mask_rcnn(saved[1]), RuntimeOptions(precision='bf16'))
    assert coarse.networks[0].precision == 'bf16'
    found = coarse(IMAGE, OPTIONS)
    wanted = upstream(saved[0], IMAGE, OPTIONS)
    assert found.scores.max() == pytest.approx(wanted.scores.max(), abs=0.05)


def test_a_gpu_that_is_not_there_is_said(first: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"device 'GPU\.99' is not there"):
        MaskRCNN(load_mask_rcnn(first), RuntimeOptions('GPU.99'))


class Hostile:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def test_other_files_are_refused(first: Path, tmp_path: Path) -> None:
    tensors = torch.load(first, weights_only=True)
    file = tmp_path / 'x.pth'
    with pytest.raises(SnapshotError, match=r'cannot read .*No such file'):
        load_mask_rcnn(file)
    with pytest.raises(SnapshotError, match='Is a directory'):
        load_mask_rcnn(tmp_path)
    torch.save({'backbone.conv1.weight': torch.zeros(1)}, file)
    with pytest.raises(SnapshotError, match=r"another network .*torchvision's Mask R-CNN"):
        load_mask_rcnn(file)
    lacking = {k: v for k, v in tensors.items() if k != 'backbone.body.layer3.2.conv2.weight'}
    torch.save(lacking, file)
    with pytest.raises(SnapshotError, match=r'layer3\.2\.conv2\.weight is missing'):
        load_mask_rcnn(file)
    torch.save({**tensors, 'roi_heads.keypoint_head.0.weight': torch.zeros(1)}, file)
    with pytest.raises(SnapshotError, match=r'keypoint_head\.0\.weight does not belong there'):
        load_mask_rcnn(file)
    torch.save({**tensors, 'rpn.head.bbox_pred.bias': torch.zeros(7)}, file)
    with pytest.raises(SnapshotError, match=r'rpn\.head\.bbox_pred\.bias'):
        load_mask_rcnn(file)
    trace = tmp_path / 'ran'
    torch.save({'model': tensors, 'extra': Hostile(trace)}, file)
    with pytest.raises(SnapshotError, match='could run code'):
        load_mask_rcnn(file)
    assert not trace.exists()
