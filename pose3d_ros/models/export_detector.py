# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What all exported detectors have in common: what a file says, and how it is compared."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from pose3d_ros.models.export import EXACT, Difference, Exportable, ExportError, made_of
from pose3d_ros.models.exported_detector import FIXED, ExportedDetector, scale
from pose3d_ros.models.onnx_files import BOXES, INPUT, SCORES

#: What the sizes and colours are tried on: people who stand, in a wide and in a high image.
_TEST_SHAPES = ((480, 640), (640, 400))
#: Also one that becomes smaller, as those of most cameras do: then it matters who antialiases.
_SCALED_SHAPES = (*_TEST_SHAPES, (1080, 1920))
#: People that are compared, the most certain: of the least certain it hangs on a last digit which
#: of the places where a person could be a network looks at.
_COMPARED = 10
#: Difference of a score, and of a box in parts of the image.
_ALLOWED = 1e-3

#: Scores (n,) and boxes (n, 4).
_People = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Original:
    """A detector as its library runs it.

    :param kind: of exported_detector.KINDS.
    :param file: its weights.
    :param network: what it is called.
    :param score: how scores are made of its numbers.
    :param size: that it scales images to, as exported_detector.scaled_size takes it.
    :param mean: of RGB values of 0..255, subtracted.
    :param std: by which the difference is divided.
    :param scaled: an image (h, w, 3) uint8 BGR as it scales it: RGB, values of 0..255.
    :param missing: of the most certain people in an image, those who may have no equal.
    :param people: scores (n,) and boxes (n, 4) of the people in an image, (h, w, 3) uint8 BGR and
        of a size that it keeps; corners in parts of the image's width and height.
    """

    kind: str
    file: Path
    network: str
    score: str
    size: Mapping[str, int]
    mean: list[float]
    std: list[float]
    missing: int
    scaled: Callable[[np.ndarray], np.ndarray]
    people: Callable[[np.ndarray], _People]


def exportable(
    original: Original,
    module: nn.Module,
    surroundings: Callable[[], AbstractContextManager[Any]] = nullcontext,
    translations: Mapping[Any, Callable[..., Any]] = MappingProxyType({}),
) -> Exportable:
    """Return a detector to be written.

    :param module: takes an image (1, 3, h, w) and gives scores (1, n) of being a person and boxes
        (1, n, 4), corners in parts of the image's width and height.
    :param surroundings: see Exportable, as translations.
    :raises ExportError: images are prepared in a way that the file could not say.
    """
    scaling = _scaling_difference(original)
    images = [scale(_test_image(*shape), original.size) for shape in _TEST_SHAPES]

    def compare(written: Path, precision: str) -> list[Difference]:
        # in f16 PyTorch has the rounded weights by now
        detector = ExportedDetector(written, original.kind, EXACT)
        pairs = []
        for image in images:
            scores, boxes = (found[0] for found in detector.network(image[None]))
            pairs.append(_differences(original.people(image), (scores, boxes), original.missing))
        score, box = np.max(pairs, axis=0).tolist()
        return [
            Difference('score', score, _ALLOWED),
            Difference("box in parts of the image's size", box, _ALLOWED),
            scaling,
        ]

    return Exportable(
        module.eval(),
        {INPUT: torch.zeros(1, 3, *images[0].shape[:2])},
        (SCORES, BOXES),
        _metadata(original),
        compare,
        open_axes=() if tuple(sorted(original.size)) == FIXED else (2, 3),
        surroundings=surroundings,
        translations=translations,
    )


def _metadata(original: Original) -> dict[str, str]:
    return {
        'detector': original.kind,
        'network': original.network,
        'input': f'{INPUT} (1, 3, height, width): RGB, (value of 0..255 - mean) / std',
        'size': json.dumps(dict(original.size)),
        'mean': json.dumps(original.mean),
        'std': json.dumps(original.std),
        'output': f'{SCORES} (1, n) of being a person; {BOXES} (1, n, 4): left, top, right, bottom '
        "in parts of the image's width and height",
        'score': original.score,
        **made_of(original.file),
    }


def _test_image(height: int, width: int) -> np.ndarray:
    """Return an image (height, width, 3) uint8 with contrast at two scales, always the same."""
    rng = np.random.default_rng(0)
    coarse, fine = (
        rng.integers(0, 128, (height // n, width // n, 3), dtype=np.uint8) for n in (40, 1)
    )
    return coarse.repeat(40, axis=0).repeat(40, axis=1) + fine


def _differences(wanted: _People, found: _People, missing: int) -> tuple[float, float]:
    """Return how far the most certain people are from those in a file's output nearest to them.

    Their order is not compared: equal ones may come in any.
    """
    (scores, boxes), (found_scores, found_boxes) = wanted, found
    best = np.argsort(-scores, kind='stable')[:_COMPARED]
    if not len(best):
        raise ExportError('PyTorch finds nobody at all in the test image: nothing to compare')
    score = np.abs(scores[best, None] - found_scores)
    box = np.abs(boxes[best, None] - found_boxes).max(axis=2)
    nearest = (score + box).argmin(axis=1)
    rows = np.arange(len(best))
    score, box = score[rows, nearest], box[rows, nearest]
    kept = (score + box).argsort()[: max(len(best) - missing, 1)]
    return float(score[kept].max()), float(box[kept].max())


def _scaling_difference(original: Original) -> Difference:
    """Return how far scaled images are from the library's, of all their values at the most.

    :raises ExportError: they are of another size.
    """
    off = []
    for height, width in _SCALED_SHAPES:
        image = _test_image(height, width)
        wanted, ours = original.scaled(image), scale(image, original.size)[..., ::-1]
        if ours.shape != wanted.shape:
            raise ExportError(
                f'{original.network} makes {wanted.shape[1]} x {wanted.shape[0]} pixels of {width} '
                f'x {height}, an exported file would {ours.shape[1]} x {ours.shape[0]}: this '
                'network can only run in PyTorch'
            )
        off.append(np.abs(ours - wanted).max())
    return Difference('scaled image, values of 0..255', float(max(off)), 1.01)
