# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether a stage computes the same on another device or in fewer digits: one look at a picture.

The picture is drawn (`mannequin`): the default networks differ between f32 and fewer digits on it
about as they do on a photograph.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from pose3d_ros import mannequin
from pose3d_ros.camera import Camera
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.people import Persons

_LOG = logging.getLogger(__name__)
_Stage = TypeVar('_Stage')

# From where on a warning is given. Each is a fraction of what the network itself errs by, and
# several times what bf16 costs the default networks.
_CORNER_OF_HEIGHT = 0.03
_DEPTH = 0.03
_JOINT_M = 0.03

#: Around the person in the picture, x, y, width, height in pixels, as YOLOX finds it.
_BOX = (318.9, 26.5, 171.9, 413.8)
#: Where the person is taken to be, for a posenet.
_ROOT_M = (0.0, 0.0, 3.0)


@dataclass(frozen=True)
class Difference:
    """How far a stage is from another.

    :param text: in words, with units.
    :param of_bound: as a fraction of what is expected at the most.
    """

    text: str
    of_bound: float


#: Stage, the same stage elsewhere -> how far apart they are.
Compare = Callable[[Any, Any], Difference]


def is_reference(options: RuntimeOptions) -> bool:
    """Return whether the accuracy of a choice is known: what was measured ran so."""
    return options.device == 'CPU' and options.precision in ('auto', 'f32')


def check(
    stage: _Stage, options: RuntimeOptions, load: Callable[[RuntimeOptions], _Stage], by: Compare
) -> None:
    """Say how far a stage is from itself in f32 on the CPU; warn if that is far.

    :param options: where and how precisely it runs.
    :param load: makes it with other options.
    :param by: compares two.
    """
    start = perf_counter()
    reference = load(replace(options, device='CPU', precision='f32'))
    difference = by(stage, reference)
    text = (
        f'{type(stage).__name__} on {options.device}, precision {options.precision}, against f32 '
        f'on the CPU, one picture: {difference.text}'
    )
    if difference.of_bound > 1:
        _LOG.warning('%s. That is too far: use precision f32, or another device', text)
    else:
        _LOG.info('%s (looked at in %.1f s)', text, perf_counter() - start)


def detectors(stage: Any, reference: Any) -> Difference:
    """Return how far the boxes of two detectors are apart."""
    found, wanted = (detect(_picture(), DetectorOptions()) for detect in (stage, reference))
    if not len(wanted):
        return Difference('nobody is found there, which compares nothing', 0.0)
    if not len(found):
        return Difference(f'nobody is found instead of {len(wanted)}', np.inf)
    corners = [_corners(persons.boxes) for persons in (found, wanted)]
    off_px = np.abs(corners[0][:, None] - corners[1]).max(axis=2)  # (found, wanted)
    nearest = off_px.argmin(axis=0)
    off_px = off_px.min(axis=0)
    scores = np.abs(found.scores[nearest] - wanted.scores).max()
    text = f'corners of boxes up to {off_px.max():.2f} px apart, scores {scores:.3f}'
    if len(found) != len(wanted):
        text += f', {len(found)} people instead of {len(wanted)}'
    return Difference(text, float((off_px / wanted.boxes[:, 3]).max()) / _CORNER_OF_HEIGHT)


def rootnets(stage: Any, reference: Any) -> Difference:
    """Return how far the distances of two rootnets are apart."""
    found_m, wanted_m = (
        rootnet(_picture(), _person(), _camera(), BodySize()).roots[0, 2]
        for rootnet in (stage, reference)
    )
    if not np.isfinite([found_m, wanted_m]).any():
        return Difference('neither sees a root there, which compares nothing', 0.0)
    if not np.isfinite([found_m, wanted_m]).all():
        return Difference('only one of them sees a root', np.inf)
    off = abs(found_m / wanted_m - 1)
    text = f'distance {100 * off:.2f} % apart ({abs(found_m - wanted_m) * 1e3:.0f} mm'
    return Difference(f'{text} of {wanted_m:.2f} m)', off / _DEPTH)


def posenets(stage: Any, reference: Any) -> Difference:
    """Return how far the joints of two posenets are apart, each seen from its root."""
    person = _person().with_roots(np.array([_ROOT_M]), np.array([0.3]), None)
    found, wanted = (
        poses.joints[0] - poses.roots[0]
        for poses in (posenet(_picture(), person, _camera()) for posenet in (stage, reference))
    )
    if not np.isfinite(wanted).any():
        return Difference('no joint is seen there, which compares nothing', 0.0)
    off_m = np.linalg.norm(found - wanted, axis=1)
    text = f'joints {off_m.mean() * 1e3:.1f} mm apart, {off_m.max() * 1e3:.1f} mm at most'
    return Difference(text, float(np.nan_to_num(off_m.mean(), nan=np.inf)) / _JOINT_M)


def _corners(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@cache
def _picture() -> np.ndarray:
    return mannequin.draw()


def _camera() -> Camera:
    return Camera.fallback(mannequin.WIDTH, mannequin.HEIGHT)


def _person() -> Persons:
    return Persons(np.array([_BOX]), np.ones(1))
