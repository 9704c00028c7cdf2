# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN of torchvision as an ONNX file: all from the scaled image to people in one graph.

How many boxes torchvision's parts pass on depends on the image, which PyTorch's exporter does not
take. Here they are always as many as they can be at the most, and those too many are marked: the
same numbers come out, by torchvision's own layers.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnxscript import opset18 as onnx_op
from torch import nn
from torch.nn.functional import pad
from torchvision import ops
from torchvision.models.detection.rpn import permute_and_flatten
from torchvision.ops.poolers import initLevelMapper

from pose3d_ros.models.export import Exportable
from pose3d_ros.models.export_detector import Original, exportable
from pose3d_ros.models.mask_rcnn import LONG_SIDE, PERSON, SHORT_SIDE, load_mask_rcnn
from pose3d_ros.models.torch_network import fold_batch_norms

#: Pixels by which the finest features that boxes are cut from are apart, as power of two. Of every
#: further level it is one more; torchvision infers them from the first image.
_FINEST = 2
#: Of a mark where there is no box: below every probability.
_NONE = -1.0
_SMALLEST_PX = 1e-2  # a person's box, as torchvision has it
#: Which of two boxes gives way may hang on a last digit; the person then gets another box.
_MISSING = 2


class PeopleOfMaskRCNN(nn.Module):
    """A network of torchvision without what is of no person, for one image of any size.

    :param network: ready to predict.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.rpn = network.rpn
        self.heads = network.roi_heads
        pool = self.heads.box_roi_pool
        levels = range(_FINEST, _FINEST + len(pool.featmap_names))
        pool.scales = [2.0**-level for level in levels]
        pool.map_levels = initLevelMapper(
            levels[0], levels[-1], pool.canonical_scale, pool.canonical_level
        )
        self._multiple: int = network.transform.size_divisible

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores (1, n) of being a person, and boxes (1, n, 4) as corners in 0..1.

        Those too many have the score 0.

        :param image: (1, 3, h, w), scaled and normalised.
        """
        height, width = image.shape[-2:]
        padded = pad(image, (0, -width % self._multiple, 0, -height % self._multiple))
        features = self.backbone(padded)
        proposals, scores = self._proposals(padded, list(features.values()), (height, width))
        crops = self.heads.box_roi_pool(features, [proposals], [(height, width)])
        logits, deltas = self.heads.box_predictor(self.heads.box_head(crops))
        of_person = deltas.unflatten(1, (-1, 4))[:, PERSON]
        boxes = self.heads.box_coder.decode_single(of_person, proposals)
        boxes = ops.clip_boxes_to_image(boxes, (height, width))
        is_box = (scores != _NONE) & _larger(boxes, _SMALLEST_PX)
        scores = torch.where(is_box, logits.softmax(-1)[:, PERSON], _NONE)
        scores, boxes = _suppressed(scores, boxes, self.heads.nms_thresh)
        x, y = boxes[:, 0::2] / width, boxes[:, 1::2] / height
        return scores.clamp(min=0.0)[None], torch.stack([x, y], -1).flatten(1)[None]

    def _proposals(
        self, padded: torch.Tensor, features: list[torch.Tensor], size: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what may be something: boxes (n, 4), pixels, and scores (n,), which may be _NONE.

        As torchvision's RegionProposalNetwork.forward and filter_proposals.
        """
        rpn = self.rpn
        cells = [level.shape[-2:] for level in features]
        strides = [[padded.shape[-2] // h, padded.shape[-1] // w] for h, w in cells]
        anchors = rpn.anchor_generator.grid_anchors(cells, strides)
        found = [
            self._of_level(objectness, deltas, places, size)
            for objectness, deltas, places in zip(*rpn.head(features), anchors, strict=True)
        ]
        scores, boxes = (torch.cat(parts) for parts in zip(*found, strict=True))
        scores, best = scores.topk(rpn.post_nms_top_n())
        return boxes[best], scores

    def _of_level(
        self,
        objectness: torch.Tensor,
        deltas: torch.Tensor,
        anchors: torch.Tensor,
        size: tuple[int, int],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores (n,) and boxes (n, 4) of the features of one level."""
        n = self.rpn.pre_nms_top_n()
        height, width = objectness.shape[-2:]
        objectness, deltas = (
            permute_and_flatten(values, 1, -1, columns, height, width)[0]
            for values, columns in ((objectness, 1), (deltas, 4))
        )
        # there may be fewer than n
        logits, best = pad(objectness[:, 0], (0, n), value=-torch.inf).topk(n)
        deltas, anchors = (pad(values, (0, 0, 0, n))[best] for values in (deltas, anchors))
        boxes = self.rpn.box_coder.decode_single(deltas, anchors)
        boxes = ops.clip_boxes_to_image(boxes, size)
        scores = torch.where(_larger(boxes, self.rpn.min_size), logits.sigmoid(), _NONE)
        return _suppressed(scores, boxes, self.rpn.nms_thresh)


def _larger(boxes: torch.Tensor, side_px: float) -> torch.Tensor:
    """Return for each box whether both sides are so long."""
    return (boxes[:, 2:] - boxes[:, :2]).amin(1) >= side_px


def _suppressed(
    scores: torch.Tensor, boxes: torch.Tensor, iou: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return as many scores and boxes, most certain first; doubles give way to _NONE."""
    kept = nms(boxes, scores, iou)
    place = kept.clamp(min=0)
    return torch.where(kept >= 0, scores[place], _NONE), boxes[place]


def _nms(boxes: torch.Tensor, scores: torch.Tensor, iou: float) -> torch.Tensor:
    """Return the places (n,) of those of n boxes that are kept, most certain first, then -1."""
    kept = ops.nms(boxes, scores, iou)
    return pad(kept, (0, len(boxes) - len(kept)), value=-1)


def _shape_of_nms(boxes: torch.Tensor, scores: torch.Tensor, iou: float) -> torch.Tensor:
    return boxes.new_empty(boxes.shape[0], dtype=torch.int64)


def _nms_in_onnx(boxes: Any, scores: Any, iou: float) -> Any:
    n = onnx_op.Shape(scores)
    kept = onnx_op.NonMaxSuppression(
        onnx_op.Unsqueeze(boxes, [0]),
        onnx_op.Unsqueeze(scores, [0, 1]),
        n,
        onnx_op.Constant(value_floats=[iou]),
    )
    places = onnx_op.Reshape(onnx_op.Slice(kept, [2], [3], [1]), [-1])
    missing = onnx_op.Expand(onnx_op.Constant(value_ints=[-1]), n)
    return onnx_op.Slice(onnx_op.Concat(places, missing, axis=0), [0], n, [0])


#: Opaque to the exporter, which asks _nms_in_onnx what to write for it.
nms = torch.library.custom_op('pose3d_ros::nms', _nms, mutates_args=())
nms.register_fake(_shape_of_nms)


def mask_rcnn(path: Path, long_side: int = 0) -> Exportable:
    """Return the network of a checkpoint of torchvision.

    :param long_side: of the images, unless others are asked for, pixels; 0 = as published.
    :raises snapshots.SnapshotError: it is not a whole one.
    """
    return of_network(load_mask_rcnn(path), path, long_side)


def of_network(network: nn.Module, file: Path, long_side: int = 0) -> Exportable:
    """Return a network of torchvision.

    :param network: without masks; it is changed.
    :param file: where its weights come from.
    :param long_side: see `mask_rcnn`.
    """
    size = {'max_size': long_side or LONG_SIDE, 'min_size': long_side or SHORT_SIDE}
    network.transform.min_size, network.transform.max_size = (size['min_size'],), size['max_size']
    # also people who are hardly any, and not only the most certain of all classes together
    network.roi_heads.score_thresh, network.roi_heads.detections_per_img = 0.0, 10**6
    mean, std = (
        [round(255 * value, 6) for value in values]
        for values in (network.transform.image_mean, network.transform.image_std)
    )
    original = Original(
        kind='mask_rcnn',
        file=file,
        network=type(network).__name__,
        score=f'softmax of class {PERSON}, person',
        size=size,
        mean=mean,
        std=std,
        missing=_MISSING,
        scaled=lambda image: _scaled(network, image) * std + mean,
        people=lambda image: _in_pytorch(network, image),
    )
    fold_batch_norms(network)
    return exportable(
        original,
        PeopleOfMaskRCNN(network),
        translations={torch.ops.pose3d_ros.nms.default: _nms_in_onnx},
    )


def _scaled(network: nn.Module, image: np.ndarray) -> np.ndarray:
    """Return what torchvision makes of an image before it is padded, (h, w, 3)."""
    images, _ = network.transform([_unit_rgb(image)])
    height, width = images.image_sizes[0]
    return np.asarray(images.tensors[0, :, :height, :width].permute(1, 2, 0).numpy())


def _in_pytorch(network: nn.Module, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (n,) and boxes (n, 4) of the people, by torchvision alone."""
    with torch.inference_mode():
        (found,) = network([_unit_rgb(image)])
    people = found['labels'] == PERSON
    height, width = image.shape[:2]
    boxes = found['boxes'][people].numpy() / (width, height, width, height)
    return found['scores'][people].numpy(), boxes


def _unit_rgb(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1) / 255
