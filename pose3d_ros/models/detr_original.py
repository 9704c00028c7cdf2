# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""DETR's original files, as facebookresearch/detr writes them, for transformers' DETR.

The weights are the same, under other names: the transformer's projections of queries, keys and
values are one matrix in PyTorch's own attention and three here, and the backbone is torchvision's
ResNet. What a file does not say is as in all that were published: 8 heads, COCO's 91 classes.
"""

import re
from pathlib import Path
from typing import Any

import torch
from transformers import DetrConfig, ResNetConfig

from pose3d_ros.models.snapshots import SnapshotError, read_tensors

#: Class number of a person, in COCO's numbers.
PERSON = 1
_COCO_CLASSES = 91
_HEADS = 8
#: Where the backbone is in files of transformers, whatever made them.
_BACKBONE = 'model.backbone.conv_encoder.model.'
_DEPTHS = {'resnet50': [3, 4, 6, 3], 'resnet101': [3, 4, 23, 3]}

#: What is called otherwise in transformers, outside the backbone.
_NAMES = {
    r'^backbone\.0\.body\.': _BACKBONE,
    r'^transformer\.': 'model.',
    r'^input_proj\.': 'model.input_projection.',
    r'^query_embed\.': 'model.query_position_embeddings.',
    r'^class_embed\.': 'class_labels_classifier.',
    r'^bbox_embed\.': 'bbox_predictor.',
    r'\.decoder\.norm\.': '.decoder.layernorm.',
    r'\.multihead_attn\.': '.encoder_attn.',
    r'\.linear([12])\.': r'.fc\1.',
    r'\.norm1\.': '.self_attn_layer_norm.',
    r'(\.decoder\.layers\.\d+)\.norm2\.': r'\1.encoder_attn_layer_norm.',
    r'(\.encoder\.layers\.\d+)\.norm2\.': r'\1.final_layer_norm.',
    r'\.norm3\.': '.final_layer_norm.',
}


def read(path: Path) -> tuple[DetrConfig, dict[str, torch.Tensor]]:
    """Return transformers' configuration, and the weights of a file under transformers' names.

    :raises SnapshotError: it is no file of DETR with boxes of COCO's classes.
    """
    tensors = read_tensors(path, 'model', "a checkpoint of facebookresearch's DETR")
    if 'dc5' in path.name.lower():
        raise SnapshotError(
            f'{path} is DETR-DC5 by its name, whose dilated backbone is not supported; take the '
            'one without DC5'
        )
    try:
        config = _config(tensors)
    except (KeyError, ZeroDivisionError) as error:
        listed = ', '.join(list(tensors)[:3])
        raise SnapshotError(
            f'{path} holds another network (keys {listed}, ...); DETR as facebookresearch '
            f'published it is expected, and has {error}'
        ) from error
    classes = len(tensors['class_embed.weight']) - 1
    if classes != _COCO_CLASSES:
        raise SnapshotError(
            f'{path} knows {classes} classes, and not which of them are people; expected are '
            f"COCO's {_COCO_CLASSES}. Save it with transformers, with the names in id2label"
        )
    return config, _renamed(tensors)


def _config(tensors: dict[str, torch.Tensor]) -> DetrConfig:
    """Return what the shapes of the tensors say; KeyError where one is not there."""
    body, stack = 'backbone.0.body.', 'transformer.'
    ffn = len(tensors[f'{stack}encoder.layers.0.linear1.bias'])
    backbone = ResNetConfig(
        embedding_size=len(tensors[f'{body}conv1.weight']),
        hidden_sizes=[len(tensors[f'{body}layer{stage}.0.conv3.weight']) for stage in range(1, 5)],
        depths=[_count(tensors, f'{body}layer{stage}.') for stage in range(1, 5)],
        layer_type='bottleneck',
        out_features=['stage4'],
    )
    return DetrConfig(
        backbone_config=backbone,
        d_model=len(tensors['input_proj.bias']),
        num_queries=len(tensors['query_embed.weight']),
        num_labels=len(tensors['class_embed.bias']) - 1,
        encoder_layers=_count(tensors, f'{stack}encoder.layers.'),
        decoder_layers=_count(tensors, f'{stack}decoder.layers.'),
        encoder_ffn_dim=ffn,
        decoder_ffn_dim=ffn,
        encoder_attention_heads=_HEADS,
        decoder_attention_heads=_HEADS,
    )


def _count(tensors: dict[str, torch.Tensor], prefix: str) -> int:
    """Return how many numbered parts there are below a prefix."""
    return len({key[len(prefix) :].split('.')[0] for key in tensors if key.startswith(prefix)})


def _renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under the names of transformers."""
    renamed = {}
    for key, tensor in tensors.items():
        new = key
        for pattern, replacement in (_NAMES | resnet_names()).items():
            new = re.sub(pattern, replacement, new)
        joint, _, kind = new.rpartition('in_proj_')
        if joint:  # queries, keys and values, in this order
            for name, part in zip('qkv', tensor.float().chunk(3), strict=True):
                renamed[f'{joint}{name}_proj.{kind}'] = part
        else:
            renamed[new] = tensor.float()
    return renamed


def resnet_names() -> dict[str, str]:
    """Return what torchvision, and timm, call otherwise in a ResNet than transformers does.

    As patterns and replacements of whole keys of DETR.
    """
    prefix = re.escape(_BACKBONE)
    stem = f'{_BACKBONE}embedder.embedder.'
    names = {
        f'^{prefix}conv1\\.': f'{stem}convolution.',
        f'^{prefix}bn1\\.': f'{stem}normalization.',
    }
    for stage in range(4):
        old = f'^{prefix}layer{stage + 1}\\.(\\d+)\\.'
        new = f'{_BACKBONE}encoder.stages.{stage}.layers.\\1.'
        names[f'{old}downsample\\.0\\.'] = f'{new}shortcut.convolution.'
        names[f'{old}downsample\\.1\\.'] = f'{new}shortcut.normalization.'
        for i in range(3):
            names[f'{old}conv{i + 1}\\.'] = f'{new}layer.{i}.convolution.'
            names[f'{old}bn{i + 1}\\.'] = f'{new}layer.{i}.normalization.'
    return names


def without_timm(config: Any) -> dict[str, str] | None:
    """Let a configuration that wants a ResNet of timm have the same one of transformers.

    The best-known folders (facebook/detr-resnet-50) want timm, which is not needed for it.

    :returns: how the weights are to be renamed then; None = nothing was to do.
    """
    backbone: Any = getattr(config, 'backbone_config', None)
    name = getattr(backbone, 'backbone', None)
    dilated = getattr(config, 'dilation', False)
    if getattr(backbone, 'model_type', '') != 'timm_backbone' or name not in _DEPTHS or dilated:
        return None
    stages = [f'stage{index}' for index in backbone.out_indices]
    config.backbone_config = ResNetConfig(depths=_DEPTHS[name], out_features=stages)
    return resnet_names()
