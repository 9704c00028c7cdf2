# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The stages by name: what can be asked for, and what is said when its weights are missing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real import people, people_image

from pose3d_ros.camera import Camera
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.precision import fastest, native_precisions
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable
from pose3d_ros.stages import DETECTORS, POSENETS, ROOTNETS
from pose3d_ros.weights import WeightsError

EVERY = [
    *(('detector', name) for name in DETECTORS),
    *(('rootnet', name) for name in ROOTNETS),
    *(('posenet', name) for name in POSENETS),
]
FETCHED = [entry for entry in EVERY if entry[1] != '3dmppe']
TABLES: dict[str, dict[str, Any]] = {
    'detector': DETECTORS,
    'rootnet': ROOTNETS,
    'posenet': POSENETS,
}


def test_the_defaults_are_there() -> None:
    assert 'yolox' in DETECTORS
    assert 'keypoints' in ROOTNETS
    assert {'blazepose', 'blazepose_lite', 'blazepose_heavy'} <= set(POSENETS)


@pytest.mark.parametrize(('stage', 'name'), FETCHED)
def test_missing_weights_name_the_command_that_brings_them(
    stage: str, name: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r'Run: .*pose3d fetch') as caught:
        TABLES[stage][name](tmp_path, RuntimeOptions())
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(('stage', 'name'), [e for e in EVERY if e[1] in ('yolox', 'keypoints')])
def test_an_absent_device_is_said_before_the_first_image(stage: str, name: str) -> None:
    with pytest.raises(RuntimeUnavailable, match="device 'NPU'"):
        TABLES[stage][name](None, RuntimeOptions('NPU'))


def test_all_default_networks_run_in_what_is_accurate_and_fastest_here() -> None:
    native = native_precisions(core(), 'CPU')
    every: list[tuple[Any, str, tuple[str, ...]]] = [
        (DETECTORS, 'yolox', ('f32', 'bf16', 'i8')),
        (ROOTNETS, 'keypoints', ('f32', 'bf16')),  # 8 bits cost it accuracy
        (POSENETS, 'blazepose', ('f32', 'bf16')),
    ]
    for table, name, accurate in every:
        (network,) = table[name](None, RuntimeOptions()).networks
        assert network.precision == fastest('CPU', accurate, native)


def test_the_default_chain_by_name() -> None:
    """Image to poses with the defaults as they are chosen here, whatever the processor."""
    image, options = people_image(), RuntimeOptions()
    camera = Camera.fallback(image.shape[1], image.shape[0])
    detector = DETECTORS['yolox'](None, options)
    rootnet = ROOTNETS['keypoints'](None, options)
    posenet = POSENETS['blazepose'](None, options)
    for stage in (detector, rootnet, posenet):
        assert len(stage.networks) == 1
    persons = detector(image, DetectorOptions())
    assert len(persons) == len(people())
    rooted = rootnet(image, persons, camera, BodySize())
    poses = posenet(image, rooted, camera)
    assert len(poses) == len(persons)
    assert np.isfinite(poses.joints).all()
    assert ((poses.roots[:, 2] > 1) & (poses.roots[:, 2] < 15)).all()
    for stage in (detector, rootnet, posenet):
        assert stage.networks[0].busy_s > 0
