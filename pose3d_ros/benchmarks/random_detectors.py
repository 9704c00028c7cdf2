# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detectors of the published sizes with random weights: their time is that of the published ones.

The sizes are those of the repositories on the Hugging Face hub that the weights table names.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from transformers import (
    AutoModelForObjectDetection,
    DetrConfig,
    DetrImageProcessor,
    DFineConfig,
    HGNetV2Config,
    ResNetConfig,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
    RTDetrV2Config,
)
from transformers.utils import logging

from pose3d_ros.models import export, export_detr, export_mask_rcnn
from pose3d_ros.models.detr import Detr, Loaded
from pose3d_ros.models.mask_rcnn import MaskRCNN, make_mask_rcnn
from pose3d_ros.models.session import RuntimeOptions

MASK_RCNNS = ('mask_rcnn', 'mask_rcnn_v2')
_COCO_LABELS = 80
_PERSON = 0
_BASIC_RESNET = {
    'hidden_sizes': [64, 128, 256, 512],
    'depths': [2, 2, 2, 2],
    'layer_type': 'basic',
}
#: What D-FINE-S and D-FINE-N have in common.
_HGNET_B0 = {
    'hidden_sizes': [128, 256, 512, 1024],
    'stem_channels': [3, 16, 16],
    'stage_in_channels': [16, 64, 256, 512],
    'stage_mid_channels': [16, 32, 64, 128],
    'stage_out_channels': [64, 256, 512, 1024],
    'stage_num_blocks': [1, 1, 2, 1],
    'stage_numb_of_layers': [3, 3, 3, 3],
    'use_learnable_affine_block': True,
}


def make(name: str, options: RuntimeOptions) -> MaskRCNN | Detr:
    """Return a detector by its name in the weights table, with seeded random weights."""
    network = _network(name)
    if name in MASK_RCNNS:
        return MaskRCNN(network, options)
    return Detr(Loaded(network, _processor(name), _PERSON), options)


def write_onnx(name: str, weights: Path | None, folder: Path) -> Path:
    """Write what `pose3d export` makes of a detector, and return the file.

    Random weights, the same as those of `make`, are not compared: which of thousands of places a
    network looks at, all as likely, hangs on a last digit there.

    :param weights: None = random ones.
    :raises export.ExportError: it differs from PyTorch.
    """
    out = folder / f'{name}.onnx'
    load = export_mask_rcnn.mask_rcnn if name in MASK_RCNNS else export_detr.detr
    if weights is None:
        onnx.save(export.converted(load(_written(name, folder)), 'f32'), out)
    else:
        export.write(load(weights), out, 'f32')
    return out


def _written(name: str, folder: Path) -> Path:
    """Write a network as it is published."""
    network, path = _network(name), folder / name
    if name in MASK_RCNNS:
        torch.save(network.state_dict(), path)
    else:
        logging.disable_progress_bar()
        network.save_pretrained(path)
        _processor(name).save_pretrained(path)
    return path


def _network(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name in MASK_RCNNS:
        network = make_mask_rcnn(v2=name == 'mask_rcnn_v2')
    else:
        config = CONFIGS[name]()
        config.id2label[_PERSON] = 'person'
        network = AutoModelForObjectDetection.from_config(config)
    return network.eval().requires_grad_(False)


def _processor(name: str) -> Any:
    return DetrImageProcessor() if name.startswith('detr') else RTDetrImageProcessor()


def _detr_r50() -> DetrConfig:
    return DetrConfig(backbone_config=ResNetConfig(out_features=['stage4']), num_labels=91)


def _rtdetr_v2_r18() -> RTDetrV2Config:
    return RTDetrV2Config(
        backbone_config=RTDetrResNetConfig(out_indices=[2, 3, 4], **_BASIC_RESNET),
        encoder_in_channels=[128, 256, 512],
        hidden_expansion=0.5,
        decoder_layers=3,
        num_labels=_COCO_LABELS,
    )


def _dfine_small() -> DFineConfig:
    return DFineConfig(
        backbone_config=HGNetV2Config(out_indices=[2, 3, 4], **_HGNET_B0),
        encoder_in_channels=[256, 512, 1024],
        hidden_expansion=0.5,
        depth_mult=0.34,
        decoder_layers=3,
        decoder_n_points=[3, 6, 3],
        num_labels=_COCO_LABELS,
    )


def _dfine_nano() -> DFineConfig:
    return DFineConfig(
        backbone_config=HGNetV2Config(out_indices=[3, 4], **_HGNET_B0),
        encoder_in_channels=[512, 1024],
        encoder_hidden_dim=128,
        encoder_ffn_dim=512,
        encode_proj_layers=[1],
        feat_strides=[16, 32],
        num_feature_levels=2,
        d_model=128,
        decoder_in_channels=[128, 128],
        decoder_ffn_dim=512,
        decoder_layers=3,
        decoder_n_points=[6, 6],
        hidden_expansion=0.34,
        depth_mult=0.5,
        num_labels=_COCO_LABELS,
    )


CONFIGS: dict[str, Callable[[], Any]] = {
    'detr_r50': _detr_r50,
    'rtdetr_v2_r18': _rtdetr_v2_r18,
    'dfine_small': _dfine_small,
    'dfine_nano': _dfine_nano,
}
