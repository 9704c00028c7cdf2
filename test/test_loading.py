# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How stages are loaded: shared by the nodes of a process, on the CPU at need, and compared."""

import gc
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from paper import PaperFiles, needed_torch

from pose3d_ros import equality, loading
from pose3d_ros.benchmarks.usage import resident_mib
from pose3d_ros.models.session import DeviceUnavailable, RuntimeOptions, RuntimeUnavailable
from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import BLAZEPOSE
from pose3d_ros.stages import DETECTORS, POSENETS, ROOTNETS, OwnWeights

torch = needed_torch()

F32 = RuntimeOptions(precision='f32')


def test_the_second_camera_has_the_same_detector() -> None:
    first = DETECTORS['yolox'](None, F32)
    gc.collect()
    before = resident_mib()
    second = [DETECTORS['yolox'](None, F32) for _ in range(3)]
    assert all(stage is first for stage in second)
    assert resident_mib() - before < 2  # one alone has 20 MiB of weights


def test_other_options_are_another_network() -> None:
    one = POSENETS['blazepose_lite'](None, F32)
    assert POSENETS['blazepose_lite'](None, RuntimeOptions(precision='f32', threads=1)) is not one
    assert POSENETS['blazepose'](None, F32) is not one


def test_what_nobody_holds_is_let_go() -> None:
    class Stage:
        pass

    loads: list[None] = []

    def load() -> Stage:
        loads.append(None)
        return Stage()

    held = loading.shared('a key of this test', load)
    assert loading.shared('a key of this test', load) is held and len(loads) == 1
    del held
    gc.collect()
    loading.shared('a key of this test', load)
    assert len(loads) == 2


def test_nodes_that_start_at_once_load_once() -> None:
    class Stage:
        pass

    started, loads = threading.Barrier(8), []

    def load() -> Stage:
        loads.append(threading.get_ident())
        return Stage()

    def ask() -> Stage:
        started.wait()
        return loading.shared('another key of this test', load)

    with ThreadPoolExecutor(8) as threads:
        stages = list(threads.map(lambda _: ask(), range(8)))
    assert len(loads) == 1
    assert all(stage is stages[0] for stage in stages)


def test_a_failed_load_is_tried_again() -> None:
    def fails() -> Path:
        raise RuntimeUnavailable('no')

    for _ in range(2):
        with pytest.raises(RuntimeUnavailable):
            loading.shared('a third key', fails)


def test_a_file_that_was_written_anew_is_another(tmp_path: Path) -> None:
    file = tmp_path / 'snapshot_0.pth.tar'
    file.write_bytes(b'1')
    states = [loading.file_state(path) for path in (file, tmp_path)]
    assert states == [loading.file_state(path) for path in (file, tmp_path)]
    file.unlink()
    file.write_bytes(b'22')
    assert loading.file_state(file) != states[0]
    assert loading.file_state(tmp_path) != states[1]
    assert loading.file_state(None) is loading.file_state(tmp_path / 'gone') is None


def test_a_missing_device_is_refused_unless_the_cpu_may_take_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for device in ('cuda', 'NPU', 'tensorrt:1'):
        with pytest.raises(DeviceUnavailable, match=f"'{device}'"):
            POSENETS['blazepose_lite'](None, RuntimeOptions(device))
        assert not caplog.records
        stage = POSENETS['blazepose_lite'](None, RuntimeOptions(device, 'f16', cpu_fallback=True))
        (warning,) = caplog.records
        assert warning.levelno == logging.WARNING
        assert f"device '{device}'" in warning.getMessage()
        assert 'Going on with device CPU, precision auto' in warning.getMessage()
        assert stage.networks[0].precision in ('bf16', 'f32')  # f16 was for the GPU
        caplog.clear()


@pytest.mark.parametrize('device', ['GPU.99', 'cuda:99', 'tensorrt'])
def test_pytorch_too_goes_on_with_the_cpu(
    device: str, paper_files: PaperFiles, caplog: pytest.LogCaptureFixture
) -> None:
    own = OwnWeights(paper_files.snapshots['rootnet'])
    with pytest.raises(DeviceUnavailable, match=f"'{device}' is not there for PyTorch"):
        ROOTNETS['3dmppe'](None, RuntimeOptions(device), own)
    options = RuntimeOptions(device, cpu_fallback=True)
    assert ROOTNETS['3dmppe'](None, options, own).networks[0].precision == 'f32'
    assert 'Going on with device CPU' in caplog.text


def test_what_is_wrong_with_the_precision_is_not_the_device_s(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(RuntimeUnavailable, match='does not compute in bf16'):
        DETECTORS['yolox'](None, RuntimeOptions('onnxruntime', 'bf16', cpu_fallback=True))
    assert not caplog.records


@pytest.mark.parametrize(
    ('options', 'known'),
    [
        (RuntimeOptions(), True),
        (RuntimeOptions(precision='f32', threads=2), True),
        (RuntimeOptions(precision='bf16'), False),
        (RuntimeOptions('GPU'), False),
        (RuntimeOptions('cuda', 'f32'), False),
    ],
)
def test_what_was_measured_is_not_looked_at_again(options: RuntimeOptions, known: bool) -> None:
    assert equality.is_reference(options) == known


@pytest.mark.parametrize(
    ('table', 'name', 'unit'),
    [(DETECTORS, 'yolox', 'px'), (ROOTNETS, 'keypoints', '%'), (POSENETS, 'blazepose_lite', 'mm')],
)
def test_another_runtime_and_f16_are_compared_with_f32(
    table: dict, name: str, unit: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    table[name](None, RuntimeOptions('onnxruntime', 'f16'))
    (record,) = caplog.records
    assert record.levelno == logging.INFO  # well within the bounds
    assert 'on onnxruntime, precision f16, against f32 on the CPU' in record.getMessage()
    assert unit in record.getMessage()
    caplog.clear()
    table[name](None, F32)
    assert not caplog.records


def test_random_weights_are_compared_too(
    paper_files: PaperFiles, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    in_torch = OwnWeights(paper_files.snapshots['posenet'])
    POSENETS['3dmppe'](None, RuntimeOptions(precision='f16'), in_torch)
    exported = OwnWeights(paper_files.exported['rootnet'])
    ROOTNETS['3dmppe'](None, RuntimeOptions('onnxruntime', 'f16'), exported)
    assert len(caplog.records) == 2
    assert all('against f32 on the CPU' in record.getMessage() for record in caplog.records)


class Off:
    """A stage of every kind whose results are those of another, off by some amount."""

    def __init__(self, off: float) -> None:
        self._off = off

    def __call__(self, image: np.ndarray, *given: object) -> Persons | Poses:
        assert image.shape == (448, 796, 3)
        if len(given) == 1:
            return self._detected()
        if len(given) == 3:
            return self._rooted()
        return self._posed()

    def _detected(self) -> Persons:
        return Persons(np.array([[10.0 + self._off, 10, 100, 200]]), np.array([0.9]))

    def _rooted(self) -> Persons:
        roots = np.array([[0.0, 0, 2 + self._off]])
        return self._detected().with_roots(roots, np.zeros(1), None)

    def _posed(self) -> Poses:
        joints = np.zeros((1, 33, 3))
        joints[0, 0, 0] = self._off
        return Poses(
            BLAZEPOSE, joints, np.ones((1, 33)), np.zeros((1, 3)), np.zeros(1), np.ones(1), ('',)
        )


@pytest.mark.parametrize(
    ('compare', 'off', 'text'),
    [
        (equality.detectors, 6.5, 'corners of boxes up to 6.50 px apart, scores 0.000'),
        (equality.rootnets, 0.1, '5.00 % apart (100 mm of 2.00 m)'),
        (equality.posenets, 1.65, 'joints 50.0 mm apart, 1650.0 mm at most'),
    ],
)
def test_a_difference_is_said_in_its_unit_and_warned_of_when_large(
    compare: equality.Compare, off: float, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    options = RuntimeOptions('cuda:1', 'f16')
    for amount in (off, off / 10):
        equality.check(Off(amount), options, lambda _: Off(0.0), compare)
    large, small = caplog.records
    assert text in large.getMessage() and 'Off on cuda:1, precision f16' in large.getMessage()
    assert large.levelno == logging.WARNING and 'too far' in large.getMessage()
    assert small.levelno == logging.INFO


def test_the_reference_is_f32_on_the_cpu() -> None:
    asked: list[RuntimeOptions] = []

    def load(options: RuntimeOptions) -> Off:
        asked.append(options)
        return Off(0.0)

    equality.check(Off(0.0), RuntimeOptions('cuda', 'f16', 3, 2), load, equality.detectors)
    assert asked == [RuntimeOptions('CPU', 'f32', 3, 2)]


class Blind(Off):
    """Sees nobody, no root and no joint."""

    def _detected(self) -> Persons:
        return Persons.none()

    def _rooted(self) -> Persons:
        return Off(0.0)._detected()

    def _posed(self) -> Poses:
        nothing = np.full((1, 33, 3), np.nan)
        return Poses(
            BLAZEPOSE, nothing, np.zeros((1, 33)), np.zeros((1, 3)), np.zeros(1), np.ones(1), ('',)
        )


@pytest.mark.parametrize('compare', [equality.detectors, equality.rootnets, equality.posenets])
def test_seeing_nothing_where_the_other_sees_is_far(compare: equality.Compare) -> None:
    assert compare(Blind(0.0), Off(0.0)).of_bound > 1
    nothing = compare(Blind(0.0), Blind(0.0))
    assert nothing.of_bound == 0 and 'compares nothing' in nothing.text
