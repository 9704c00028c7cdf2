# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The picture on which networks are compared: they must be sure of it, and it must show faults."""

import numpy as np
import pytest
from real import rtmpose, yolox

from pose3d_ros import equality, mannequin, stages
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions

F32 = RuntimeOptions(precision='f32')


def test_it_is_the_same_each_time() -> None:
    picture = mannequin.draw()
    assert picture.shape == (mannequin.HEIGHT, mannequin.WIDTH, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, mannequin.draw())


def test_the_default_networks_are_sure_of_one_person_where_it_is_said_to_be() -> None:
    picture = mannequin.draw()
    found = yolox()(picture, DetectorOptions())
    assert len(found) == 1 and found.scores[0] > 0.85
    # which of two nearly equal boxes wins differs with the processor: by 2 % of the height
    np.testing.assert_allclose(found.boxes[0], equality._BOX, atol=0.02 * mannequin.HEIGHT)
    seen = rtmpose()(picture, equality._person().boxes)
    assert np.median(seen.scores[0]) > 0.7


@pytest.mark.parametrize(
    ('table', 'name', 'compare'),
    [
        (stages.DETECTORS, 'yolox', equality.detectors),
        (stages.ROOTNETS, 'keypoints', equality.rootnets),
        (stages.POSENETS, 'blazepose', equality.posenets),
    ],
)
def test_fewer_digits_are_seen_and_not_warned_of(table: dict, name: str, compare: object) -> None:
    reference = table[name](None, F32)
    assert compare(reference, reference).of_bound == 0  # type: ignore[operator]
    rough = table[name](None, RuntimeOptions('onnxruntime', 'f16'))
    assert 1e-4 < compare(rough, reference).of_bound < 0.3  # type: ignore[operator]
