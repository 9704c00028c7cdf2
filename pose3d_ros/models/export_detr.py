# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""DETR and its successors as ONNX files: network, scores and boxes in one graph.

What stays outside is the scaling of the image; the graph takes it as transformers' image processor
would leave it, and a file says in its metadata how.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from transformers.image_transforms import center_to_corners_format

from pose3d_ros.models.detr import Loaded, fold_into_convolutions, input_size, load_detr
from pose3d_ros.models.export import Exportable, ExportError
from pose3d_ros.models.export_detector import Original, exportable
from pose3d_ros.models.exported_detector import ASPECT, FIXED

SOFTMAX, SIGMOID = 'softmax', 'sigmoid'
_WEIGHTS = ('model.safetensors', 'pytorch_model.bin')


class PeopleOfDetr(nn.Module):
    """A network with what transformers' post-processing does behind it, for people alone.

    :param network: of transformers.
    :param person: number of the class.
    :param activation: SOFTMAX (with a last class that is nothing) or SIGMOID.
    """

    def __init__(self, network: nn.Module, person: int, activation: str) -> None:
        super().__init__()
        self.network = network
        self.person = person
        self.activation = activation

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores (1, n) of being a person, and boxes (1, n, 4) as corners in 0..1."""
        found = self.network(pixel_values=image)
        if self.activation == SIGMOID:
            scores = found.logits[..., self.person].sigmoid()
        else:  # what is rather something else is no person
            classes = found.logits.softmax(-1)[..., :-1]
            scores = classes[..., self.person]
            scores = torch.where(scores < classes.amax(-1), 0.0, scores)
        return scores, center_to_corners_format(found.pred_boxes)


def detr(path: Path, long_side: int = 0) -> Exportable:
    """Return the network of a folder of transformers, or of an original file of DETR.

    :param long_side: of the images for which the file is, pixels; 0 = as published.
    :raises snapshots.SnapshotError: it is not a whole one, or knows no people.
    :raises ExportError: images are prepared in a way that the file could not say.
    """
    loaded = load_detr(path)
    size = _size(loaded, long_side)
    mean, std = colours(loaded.processor)
    activation = _activation(loaded)
    original = Original(
        kind='detr',
        file=_weights_file(path),
        network=type(loaded.network).__name__,
        score=f'{activation} of class {loaded.person}, person',
        size=size,
        mean=mean,
        std=std,
        missing=0,
        scaled=lambda image: _processed(loaded, size, image) * std + mean,
        people=lambda image: _in_pytorch(loaded, size, image),
    )
    fold_into_convolutions(loaded.network)
    module = PeopleOfDetr(loaded.network, loaded.person, activation)
    return exportable(original, module, surroundings=_without_checks)


@contextmanager
def _without_checks() -> Iterator[None]:
    """Switch off transformers' checks of shapes, which ONNX has no operator for.

    :raises ExportError: the network has parts that PyTorch's exporter does not take.
    """
    with patch.dict(os.environ, {'TRANSFORMERS_DISABLE_TORCH_CHECK': '1'}):
        try:
            yield
        except torch.onnx.OnnxExporterError as error:
            reason = ' '.join(str(error).split('Exception summary')[-1].split())[:300]
            raise ExportError(f'PyTorch cannot export this network: {reason}') from error


def colours(processor: Any) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of RGB values of 0..255 of an image processor."""
    unit = 1 / processor.rescale_factor if processor.do_rescale else 1.0
    if not processor.do_normalize:
        return [0.0] * 3, [unit] * 3
    # as decimal numbers: 0.485 * 255 has some more digits than it means
    mean, std = (
        [round(value * unit, 6) for value in values]
        for values in (processor.image_mean, processor.image_std)
    )
    return mean, std


def _size(loaded: Loaded, long_side: int) -> dict[str, int]:
    size = {key: int(n) for key, n in input_size(loaded.processor.size, long_side).items()}
    if tuple(sorted(size)) not in (ASPECT, FIXED) or not loaded.processor.do_resize:
        raise ExportError(
            f'images of size {size} cannot be asked for by an exported file; known are '
            f'{" with ".join(FIXED)}, and {" with ".join(ASPECT)}'
        )
    return size


def _activation(loaded: Loaded) -> str:
    """Return how the processor makes scores of a network's numbers, by giving it three zeros."""
    zeros = SimpleNamespace(logits=torch.zeros(1, 1, 3), pred_boxes=torch.full((1, 1, 4), 0.5))
    (found,) = loaded.processor.post_process_object_detection(zeros, 0.0)
    score = float(found['scores'].max())
    for name, of_zeros in ((SOFTMAX, 1 / 3), (SIGMOID, 1 / 2)):
        if abs(score - of_zeros) < 1e-6:
            return name
    raise ExportError(
        f'{type(loaded.processor).__name__} makes scores of classes in an unknown way: neither '
        'softmax nor sigmoid'
    )


def _weights_file(path: Path) -> Path:
    """Return the file whose checksum says which weights were exported."""
    if path.is_file():
        return path
    # of several, which make a large network, the one that lists them
    files = [path / name for name in _WEIGHTS] + sorted(path.glob('*.index.json'))
    return next(file for file in files if file.is_file())


def _in_pytorch(
    loaded: Loaded, size: Mapping[str, int], image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (n,) and boxes (n, 4) of the people, by transformers alone."""
    with torch.inference_mode():
        outputs = loaded.network(**_inputs(loaded, size, image))
        (found,) = loaded.processor.post_process_object_detection(outputs, 0.0)
    people = found['labels'] == loaded.person
    return found['scores'][people].numpy(), found['boxes'][people].numpy()


def _processed(loaded: Loaded, size: Mapping[str, int], image: np.ndarray) -> np.ndarray:
    """Return what the processor makes of an image, (h, w, 3)."""
    values = _inputs(loaded, size, image)['pixel_values'][0]
    return np.asarray(values.permute(1, 2, 0).numpy())


def _inputs(loaded: Loaded, size: Mapping[str, int], image: np.ndarray) -> Any:
    rgb = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1)
    return loaded.processor(
        images=rgb, input_data_format='channels_first', size=dict(size), return_tensors='pt'
    )
