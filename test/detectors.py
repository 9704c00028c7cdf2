# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Small detectors with seeded random weights, of the architectures that `detr` takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from paper import needed_torch

#: The number of COCO's classes in DETR's files, and of those that have a name in other networks.
DETR_CLASSES, OTHER_CLASSES = 91, 80


def labels(classes: int, person: int, name: str = 'person') -> dict[str, Any]:
    """Return the names of classes as a configuration takes them."""
    names = {i: name if i == person else f'thing {i}' for i in range(classes)}
    return {'id2label': names, 'label2id': {v: k for k, v in names.items()}}


def detr(**changes: Any) -> Any:
    """Return DETR, with transformers' ResNet."""
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 32, 64, 64], depths=[1, 2, 1, 1],
        out_features=['stage4'],
    )  # fmt: skip
    settings = dict(
        backbone_config=backbone, d_model=32, encoder_layers=2, decoder_layers=2,
        encoder_ffn_dim=48, decoder_ffn_dim=48, num_queries=20, **labels(DETR_CLASSES, 1),
    )  # fmt: skip
    return DetrForObjectDetection(DetrConfig(**settings | changes))


def conditional_detr() -> Any:
    from transformers import ConditionalDetrConfig, ConditionalDetrForObjectDetection

    config = ConditionalDetrConfig(
        backbone_config=detr().config.backbone_config, d_model=32, encoder_layers=1,
        decoder_layers=2, encoder_ffn_dim=48, decoder_ffn_dim=48, num_queries=20,
        **labels(DETR_CLASSES, 1),
    )  # fmt: skip
    return ConditionalDetrForObjectDetection(config)


def rt_detr_v2() -> Any:
    from transformers import RTDetrV2Config, RTDetrV2ForObjectDetection
    from transformers.models.rt_detr.configuration_rt_detr_resnet import RTDetrResNetConfig

    backbone = RTDetrResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], layer_type='basic',
        out_features=['stage2', 'stage3', 'stage4'],
    )  # fmt: skip
    config = RTDetrV2Config(
        backbone_config=backbone, encoder_in_channels=[32, 48, 64], encoder_hidden_dim=32,
        d_model=32, decoder_in_channels=[32, 32, 32], encoder_ffn_dim=48, decoder_ffn_dim=48,
        decoder_layers=2, num_queries=20, **labels(OTHER_CLASSES, 0),
    )  # fmt: skip
    return RTDetrV2ForObjectDetection(config)


def d_fine(**changes: Any) -> Any:
    from transformers import DFineConfig, DFineForObjectDetection, HGNetV2Config

    backbone = HGNetV2Config(
        stem_channels=[3, 8, 8], stage_in_channels=[8, 16, 32, 32],
        stage_mid_channels=[8, 8, 16, 16], stage_out_channels=[16, 32, 32, 64],
        stage_num_blocks=[1, 1, 1, 1], stage_numb_of_layers=[2, 2, 2, 2],
        hidden_sizes=[16, 32, 32, 64], use_learnable_affine_block=True,
        out_features=['stage2', 'stage3', 'stage4'],
    )  # fmt: skip
    settings = dict(
        backbone_config=backbone, encoder_in_channels=[32, 32, 64], encoder_hidden_dim=32,
        d_model=32, decoder_in_channels=[32, 32, 32], encoder_ffn_dim=48, decoder_ffn_dim=48,
        decoder_layers=2, num_queries=20, hidden_expansion=0.5, depth_mult=0.34,
        decoder_n_points=[3, 6, 3], **labels(OTHER_CLASSES, 0, 'Person'),
    )  # fmt: skip
    return DFineForObjectDetection(DFineConfig(**settings | changes))


def yolos() -> Any:
    from transformers import YolosConfig, YolosForObjectDetection

    config = YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        image_size=[128, 96], num_detection_tokens=20, **labels(DETR_CLASSES, 1),
    )  # fmt: skip
    return YolosForObjectDetection(config)


#: Family -> its network.
FAMILIES: dict[str, Callable[..., Any]] = {
    'detr': detr,
    'conditional_detr': conditional_detr,
    'rt_detr_v2': rt_detr_v2,
    'd_fine': d_fine,
    'yolos': yolos,
}


def network_of(family: str, **changes: Any) -> Any:
    """Return a network of random weights, its norms too, that sees people in most places.

    :param changes: of the configuration, for the families that take such.
    """
    torch = needed_torch()
    torch.manual_seed(len(family))
    network = FAMILIES[family](**changes).eval()
    person = next(i for i, n in network.config.id2label.items() if n.lower() == 'person')
    with torch.no_grad():
        randomise_norms(network)
        for name, parameter in network.named_parameters():
            # bright images give such networks large numbers; what decides is the class
            if parameter.dim() == 1 and 'class' in name and len(parameter) > person:
                parameter[person] += 3
    return network


def randomise_norms(network: Any) -> None:
    """Give batch norms, frozen ones too, numbers that make a difference."""
    for part in network.modules():
        if hasattr(part, 'running_var'):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.uniform_(0.5, 1.5)
            part.bias.normal_(0, 0.1)


def processor_of(family: str) -> Any:
    """Return the image processor with which networks of a family are published."""
    from transformers import (
        ConditionalDetrImageProcessor,
        DetrImageProcessor,
        RTDetrImageProcessor,
        YolosImageProcessor,
    )

    if family in ('rt_detr_v2', 'd_fine'):
        return RTDetrImageProcessor(size={'height': 256, 'width': 256})
    processor = {
        'detr': DetrImageProcessor,
        'conditional_detr': ConditionalDetrImageProcessor,
        'yolos': YolosImageProcessor,
    }[family]
    return processor(size={'shortest_edge': 128, 'longest_edge': 213})


def save(folder: Path, family: str = 'detr', network: Any = None) -> Path:
    """Write a folder as the model hub has it."""
    (network or network_of(family)).save_pretrained(folder)
    processor_of(family).save_pretrained(folder)
    return folder


def mask_rcnn() -> Any:
    """Return torchvision's detector on a small backbone, with random weights.

    Without masks, as they are not computed. Of few levels: PyTorch's exporter takes its time.
    """
    torch = needed_torch()
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.ops import MultiScaleRoIAlign

    torch.manual_seed(5)
    backbone = resnet_fpn_backbone(
        backbone_name='resnet18',
        weights=None,
        norm_layer=torch.nn.BatchNorm2d,
        trainable_layers=5,
        returned_layers=[1, 2],
    )
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(((32,), (64,), (128,)), ((0.5, 1.0, 2.0),) * 3),
        box_roi_pool=MultiScaleRoIAlign(['0', '1'], 7, 2),
        box_head=TwoMLPHead(backbone.out_channels * 7**2, 64),
        box_predictor=FastRCNNPredictor(64, 3),
    )


def assert_same(found: Any, wanted: Any, box_px: float, score: float, missing: float = 0.0) -> None:
    """Compare people in any order: equal scores may come in any.

    :param missing: share of them who may have no equal.
    """
    assert abs(len(found) - len(wanted)) <= missing * len(wanted) and len(wanted) > 3
    off_px = np.abs(found.boxes[:, None] - wanted.boxes).max(axis=2)
    off = np.abs(found.scores[:, None] - wanted.scores)
    there = ((off_px < box_px) & (off < score)).any(axis=0)
    assert (~there).mean() <= missing


def torch_image(image: Any) -> Any:
    """Return an image (h, w, 3) uint8 BGR as torchvision takes it."""
    torch = needed_torch()
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1).float() / 255


def calibrated(network: Any, image: Any) -> Any:
    """Return a network of torchvision, its random weights scaled to see people of all kinds.

    :param image: (h, w, 3) uint8 BGR, on which that is tried.
    """
    torch = needed_torch()
    network.eval()
    with torch.no_grad():
        randomise_norms(network)
        network.transform.min_size = (192,)
        images, _ = network.transform([torch_image(image)])
        features = network.backbone(images.tensors)
        for level, block in enumerate(network.backbone.fpn.layer_blocks):
            block[0].weight.div_(features[str(level)].std())
        features = network.backbone(images.tensors)
        head = network.rpn.head
        objectness, deltas = head(list(features.values()))
        head.cls_logits.weight.div_(objectness[0].std())
        head.bbox_pred.weight.mul_(0.3 / deltas[0].std())
        heads = network.roi_heads
        proposals, _ = network.rpn(images, features)
        crops = heads.box_head(heads.box_roi_pool(features, proposals, images.image_sizes))
        logits, deltas = heads.box_predictor(crops)
        heads.box_predictor.cls_score.weight.mul_(2 / logits.std(0).mean())
        heads.box_predictor.bbox_pred.weight.mul_(1 / deltas.std(0).mean())
        logits, _ = heads.box_predictor(crops)
        heads.box_predictor.cls_score.bias.sub_(logits.mean(0))
        network.transform.min_size = (800,)
    return network
