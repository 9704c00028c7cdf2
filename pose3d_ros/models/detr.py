# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""DETR person detector (Carion et al., "End-to-End Object Detection with Transformers", ECCV 2020)
and its successors: RT-DETR, D-FINE, Conditional and Deformable DETR, YOLOS and whatever else
transformers loads as AutoModelForObjectDetection.

A folder as `save_pretrained` and the model hub have it (config.json, preprocessor_config.json,
model.safetensors) says itself what network it is, how it wants its images and what its classes
are called. Facebook's original files hold the weights alone; `detr_original` knows the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForObjectDetection,
    DetrForObjectDetection,
    DetrImageProcessor,
)
from transformers.utils import logging

from pose3d_ros.models import detr_original
from pose3d_ros.models.detection import DetectorOptions, select_people
from pose3d_ros.models.image_network import Found, ImageNetwork, fold_norms
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.models.snapshots import SnapshotError, fault_summary
from pose3d_ros.people import Persons

_BACKBONE = 'model.backbone'
#: Networks that take images of one fixed shape take multiples of this, pixels.
_STRIDE = 32


@dataclass(frozen=True)
class Loaded:
    """A network as transformers has it.

    :param network: ready to predict, on the CPU.
    :param processor: transformers' image processor: how it wants its images.
    :param person: number of the class 'person'.
    """

    network: nn.Module
    processor: Any
    person: int


class Detr:
    """Detect people.

    :param loaded: the network is changed.
    :raises RuntimeUnavailable: no such device, or bf16 of a network without a backbone.
    """

    def __init__(
        self,
        loaded: Loaded,
        options: RuntimeOptions = RuntimeOptions(),  # noqa: B008 (frozen)
    ) -> None:
        self._loaded = loaded
        network = loaded.network
        fold_into_convolutions(network)
        has_backbone = any(name == _BACKBONE for name, _ in network.named_modules())
        wide = (_BACKBONE,) if has_backbone else ()
        self._network = ImageNetwork(network, self._find, options, wide)
        self.networks = (self._network,)

    def check(self, options: DetectorOptions) -> None:
        """Take any options."""

    def __call__(self, image: np.ndarray, options: DetectorOptions) -> Persons:
        """Return the people of an image (h, w, 3) uint8 BGR, most certain first, no ids."""
        return select_people(*self._network(image, options), image.shape, options)

    def _find(self, rgb: torch.Tensor, options: DetectorOptions) -> Found:
        processor = self._loaded.processor
        inputs = processor(
            images=rgb,
            input_data_format='channels_first',
            size=input_size(processor.size, options.input_long_side),
            return_tensors='pt',
        )
        outputs = self._loaded.network(**inputs)
        (found,) = processor.post_process_object_detection(
            outputs, options.score_threshold, target_sizes=[tuple(rgb.shape[1:])]
        )
        people = found['labels'] == self._loaded.person
        return found['boxes'][people], found['scores'][people]


def fold_into_convolutions(network: nn.Module) -> None:
    """Multiply the batch norms of a network of transformers into its convolutions, in place."""
    fold_norms(network, 'convolution', 'normalization')
    fold_norms(network, 'conv', 'norm')
    fold_norms(network, '0', '1')  # nn.Sequential


def input_size(published: Any, long_side: int) -> dict[str, int]:
    """Return the size that an image processor shall scale to; `long_side` 0 = as published.

    Where images of one shape are wanted, that is a square of the nearest multiple of 32.
    """
    if not long_side:
        return {key: value for key, value in dict(published).items() if value}
    if dict(published).get('shortest_edge'):
        return {'shortest_edge': long_side, 'longest_edge': long_side}
    side = max(_STRIDE, round(long_side / _STRIDE) * _STRIDE)
    return {'height': side, 'width': side}


def load_detr(path: Path) -> Loaded:
    """Return the network of a folder, or of an original file of DETR, without any network access.

    :raises SnapshotError: it is not a whole one, or knows no people.
    """
    if not path.exists():
        raise SnapshotError(f'{path} does not exist')
    if path.is_dir():
        return _from_folder(path)
    config, tensors = detr_original.read(path)
    network = _complete(
        path,
        lambda: DetrForObjectDetection.from_pretrained(
            None, config=config, state_dict=tensors, output_loading_info=True, dtype=torch.float32
        ),
    )
    return Loaded(network, DetrImageProcessor(), detr_original.PERSON)


def _from_folder(path: Path) -> Loaded:
    """Return the network of a folder, by whatever classes its config.json asks for."""
    local = {'local_files_only': True, 'trust_remote_code': False}
    config = _tried(path, lambda: AutoConfig.from_pretrained(path, **local))
    names = {int(number): str(name) for number, name in (config.id2label or {}).items()}
    people = [number for number, name in names.items() if name.lower() == 'person']
    if not people:
        listed = ', '.join(list(names.values())[:5])
        raise SnapshotError(
            f"{path / 'config.json'} has no class 'person' in id2label, which has {len(names)}: "
            f'{listed}{", ..." if len(names) > 5 else ""}'
        )
    renaming = detr_original.without_timm(config)
    network = _complete(
        path,
        lambda: AutoModelForObjectDetection.from_pretrained(
            path,
            config=config,
            key_mapping=renaming,
            output_loading_info=True,
            dtype=torch.float32,
            weights_only=True,
            **local,
        ),
    )
    processor = _tried(path, lambda: AutoImageProcessor.from_pretrained(path, **local))
    return Loaded(network, processor, people[0])


def _complete(path: Path, load: Callable[[], tuple[nn.Module, dict[str, Any]]]) -> nn.Module:
    """Return what transformers loads, unless it would fill the gaps with random numbers."""
    shown = logging.is_progress_bar_enabled()
    level = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # a table of missing keys, which the message below sums up
    try:
        network, info = _tried(path, load)
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
    faults = [f'{key} is missing' for key in sorted(info['missing_keys'])]
    faults += [f'{key} does not belong there' for key in sorted(info['unexpected_keys'])]
    if info['missing_keys'] or (path.is_file() and faults):
        raise SnapshotError(f'{path} is not a {type(network).__name__}: {fault_summary(faults)}')
    return network.eval().requires_grad_(False)


def _tried(path: Path, load: Callable[[], Any]) -> Any:
    """Return what a function of transformers loads; SnapshotError for all that it may raise."""
    try:
        return load()
    except Exception as error:  # of a wrong or damaged folder anything may come
        reason = ' '.join(str(error).split())[:300]
        raise SnapshotError(
            f'{path} cannot be loaded: a folder with config.json, preprocessor_config.json and '
            "model.safetensors of transformers' object detection is expected, or DETR's original "
            f'file ({type(error).__name__}: {reason})'
        ) from error
