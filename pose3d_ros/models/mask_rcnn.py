# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN person detector (He et al., "Mask R-CNN", arXiv 1703.06870), as torchvision has it.

The networks are torchvision's `maskrcnn_resnet50_fpn` and `maskrcnn_resnet50_fpn_v2`, trained on
COCO. Only boxes are wanted here, so masks are never computed, and a file of the same network
without them (Faster R-CNN) serves as well. Images are scaled as torchvision does.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

from pose3d_ros.models.detection import DetectorOptions, select_people
from pose3d_ros.models.image_network import Found, ImageNetwork
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.models.snapshots import SnapshotError, fault_summary, read_tensors
from pose3d_ros.models.torch_network import fold_batch_norms
from pose3d_ros.people import Persons

#: Label of a person, in COCO's numbers.
PERSON = 1
#: Limits of the shorter and the longer side of the input, pixels, as published.
SHORT_SIDE, LONG_SIDE = 800, 1333

_CLASSES = 'roi_heads.box_predictor.cls_score.weight'
#: Keys that the second version alone has, and the first as it was published.
_V2, _OLD_NAME = 'roi_heads.box_head.0.0.weight', 'rpn.head.conv.weight'
_UNUSED = ('roi_heads.mask_head.', 'roi_heads.mask_predictor.')
#: What computes the most, and is followed by a layer in f32.
_WIDE = ('backbone', 'rpn.head.conv', 'roi_heads.box_head')
#: Torchvision's 100 are of all classes together: other things shall not push people out.
_MAX_DETECTIONS = 1000


class MaskRCNN:
    """Detect people.

    :param network: with its weights; it is changed.
    :raises RuntimeUnavailable: no such device.
    """

    def __init__(
        self,
        network: nn.Module,
        options: RuntimeOptions = RuntimeOptions(),  # noqa: B008 (frozen)
    ) -> None:
        fold_batch_norms(network)
        network.roi_heads.detections_per_img = _MAX_DETECTIONS
        self._module = network
        self._network = ImageNetwork(network, self._find, options, _WIDE)
        self.networks = (self._network,)

    def check(self, options: DetectorOptions) -> None:
        """Take any options."""

    def __call__(self, image: np.ndarray, options: DetectorOptions) -> Persons:
        """Return the people of an image (h, w, 3) uint8 BGR, most certain first, no ids."""
        return select_people(*self._network(image, options), image.shape, options)

    def _find(self, rgb: torch.Tensor, options: DetectorOptions) -> Found:
        long_side = options.input_long_side
        self._module.transform.min_size = (long_side or SHORT_SIDE,)
        self._module.transform.max_size = long_side or LONG_SIDE
        self._module.roi_heads.score_thresh = options.score_threshold
        (found,) = self._module([rgb.float() / 255])
        people = found['labels'] == PERSON
        return found['boxes'][people], found['scores'][people]


def load_mask_rcnn(path: Path) -> nn.Module:
    """Return torchvision's network with the weights of a file, ready to predict, on the CPU.

    :raises SnapshotError: it is not a whole state dict of this network.
    """
    tensors = read_tensors(path, 'model', "a checkpoint of torchvision's Mask R-CNN")
    if _CLASSES not in tensors:
        listed = ', '.join(list(tensors)[:3])
        raise SnapshotError(
            f"{path} holds another network (keys {listed}, ...); torchvision's Mask R-CNN "
            f'ResNet-50-FPN, with {_CLASSES}, is expected'
        )
    with torch.device('meta'):  # the weights come from the file: none are drawn before
        network = make_mask_rcnn(_V2 in tensors, len(tensors[_CLASSES]))
    if _OLD_NAME in tensors:
        # published before torchvision counted eps into its frozen norms, and trained without
        for part in network.backbone.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps = 0.0
    _fill(network, path, tensors)
    return network.eval().requires_grad_(False)


def make_mask_rcnn(v2: bool, classes: int = 91) -> nn.Module:
    """Return torchvision's network without its mask branch, with random weights.

    :param v2: the second version, with batch norms in more places.
    :param classes: background is one of them.
    """
    make = maskrcnn_resnet50_fpn_v2 if v2 else maskrcnn_resnet50_fpn
    network = make(weights=None, weights_backbone=None, num_classes=classes)
    heads = network.roi_heads
    heads.mask_roi_pool = heads.mask_head = heads.mask_predictor = None
    return network


def _fill(network: nn.Module, path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Put the tensors into the network, by torchvision's own renaming of older names."""
    used = {
        key: value.float() if value.is_floating_point() else value
        for key, value in tensors.items()
        if not key.startswith(_UNUSED) and not key.endswith('num_batches_tracked')
    }
    try:
        result = network.load_state_dict(used, strict=False, assign=True)
    except RuntimeError as error:  # of tensors in other shapes, one a line
        faults = [line.strip() for line in str(error).splitlines()[1:]]
    else:
        faults = [
            *(
                f'{key} is missing'
                for key in result.missing_keys
                if not key.endswith('num_batches_tracked')  # only training counts batches
            ),
            *(f'{key} does not belong there' for key in result.unexpected_keys),
        ]
    if faults:
        raise SnapshotError(
            f"{path} is not torchvision's Mask R-CNN ResNet-50-FPN: {fault_summary(faults)}"
        )
