"""DETR and its successors as ONNX files: network, scores and boxes in one graph.

What stays outside is the scaling of the image; the graph takes it as transformers' image processor
would leave it, and a file says in its metadata how.
"""

import json
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
from pose3d_ros.models.export import EXACT, Difference, Exportable, ExportError, made_of
from pose3d_ros.models.exported_detr import ASPECT, FIXED, ExportedDetr, scale, scaled_size
from pose3d_ros.models.onnx_files import BOXES, INPUT, SCORES

SOFTMAX, SIGMOID = 'softmax', 'sigmoid'
_WEIGHTS = ('model.safetensors', 'pytorch_model.bin')
#: What the sizes and colours are tried on: people who stand, in a wide and in a high image.
_TEST_SHAPES = ((480, 640), (640, 400))
#: People that are compared, the most certain: of the least certain it hangs on a last digit which
#: of the places where a person could be a network looks at.
_COMPARED = 10


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
    module = PeopleOfDetr(loaded.network, loaded.person, _activation(loaded))
    fold_into_convolutions(loaded.network)
    mean, std = colours(loaded.processor)
    scaling = _scaling_difference(loaded, size, mean, std)
    images = [_test_image(size, *shape) for shape in _TEST_SHAPES]
    wanted = [_in_pytorch(loaded, size, image) for image in images]

    def compare(written: Path, precision: str) -> list[Difference]:
        detector = ExportedDetr(written, EXACT)
        pairs = [
            _differences(*ours, *detector.network(image[None]))
            for ours, image in zip(wanted, images, strict=True)
        ]
        score, box = np.max(pairs, axis=0).tolist()
        allowed = {'f32': 1e-3, 'f16': 3e-2}[precision]
        return [
            Difference('score', score, allowed),
            Difference("box in parts of the image's size", box, allowed),
            scaling,
        ]

    is_fixed = tuple(sorted(size)) == FIXED
    metadata = {
        'network': type(loaded.network).__name__,
        'input': f'{INPUT} (1, 3, height, width): RGB, (value of 0..255 - mean) / std',
        'size': json.dumps(size),
        'mean': json.dumps(mean),
        'std': json.dumps(std),
        'output': f'{SCORES} (1, queries) of being a person; {BOXES} (1, queries, 4): left, top, '
        "right, bottom in parts of the image's width and height",
        'score': f'{module.activation} of class {loaded.person}, person',
        **made_of(_weights_file(path)),
    }
    return Exportable(
        module.eval(),
        {INPUT: torch.zeros(1, 3, *images[0].shape[:2])},
        (SCORES, BOXES),
        metadata,
        compare,
        open_axes=() if is_fixed else (2, 3),
        surroundings=_without_checks,
    )


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


def _test_image(size: Mapping[str, int], height: int, width: int) -> np.ndarray:
    """Return an image (h, w, 3) uint8 with contrast at two scales, of a size that it keeps."""
    rng = np.random.default_rng(0)
    coarse, fine = (
        rng.integers(0, 128, (height // n, width // n, 3), dtype=np.uint8) for n in (40, 1)
    )
    image = coarse.repeat(40, axis=0).repeat(40, axis=1) + fine
    return scale(image, *scaled_size(size, height, width))


def _in_pytorch(
    loaded: Loaded, size: Mapping[str, int], image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (n,) and boxes (n, 4) of the people, by transformers alone."""
    with torch.inference_mode():
        outputs = loaded.network(**_processed(loaded, size, image))
        (found,) = loaded.processor.post_process_object_detection(outputs, 0.0)
    people = found['labels'] == loaded.person
    return found['scores'][people].numpy(), found['boxes'][people].numpy()


def _processed(loaded: Loaded, size: Mapping[str, int], image: np.ndarray) -> Any:
    rgb = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1)
    return loaded.processor(
        images=rgb, input_data_format='channels_first', size=dict(size), return_tensors='pt'
    )


def _differences(
    scores: np.ndarray, boxes: np.ndarray, found_scores: np.ndarray, found_boxes: np.ndarray
) -> tuple[float, float]:
    """Return how far the most certain people are from those in a file's output nearest to them.

    Their order is not compared: equal ones may come in any.
    """
    best = np.argsort(-scores, kind='stable')[:_COMPARED]
    if not len(best):
        raise ExportError('PyTorch finds nobody at all in the test image: nothing to compare')
    score = np.abs(scores[best, None] - found_scores[0])
    box = np.abs(boxes[best, None] - found_boxes[0]).max(axis=2)
    nearest = (score + box).argmin(axis=1)
    rows = np.arange(len(best))
    return float(score[rows, nearest].max()), float(box[rows, nearest].max())


def _scaling_difference(
    loaded: Loaded, size: Mapping[str, int], mean: list[float], std: list[float]
) -> Difference:
    """Return how far scaled images are from the processor's, of all their values at the most.

    :raises ExportError: they are of another size.
    """
    off = []
    for height, width in _TEST_SHAPES:
        image = _test_image(dict(zip(FIXED, (height, width), strict=True)), height, width)
        wanted = _processed(loaded, size, image)['pixel_values'][0].permute(1, 2, 0).numpy()
        ours = scale(image, *scaled_size(size, height, width))[..., ::-1]
        if ours.shape != wanted.shape:
            raise ExportError(
                f'{type(loaded.processor).__name__} makes {wanted.shape[1]} x {wanted.shape[0]} '
                f'pixels of {width} x {height}, an exported file would {ours.shape[1]} x '
                f'{ours.shape[0]}: this network can only run in PyTorch'
            )
        off.append(np.abs(ours - (wanted * std + mean)).max())
    return Difference('scaled image, values of 0..255', float(max(off)), 1.01)
