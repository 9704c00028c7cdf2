"""Small detectors with seeded random weights, of the architectures that `detr` takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
