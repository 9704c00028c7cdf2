# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`pose3d benchmark runtimes`: each way of a network once a turn, the first as the baseline."""

import json
from pathlib import Path

import pytest
from test_benchmarks import parsed

from pose3d_ros.benchmarks import report, runtimes
from pose3d_ros.models.session import DeviceUnavailable


def test_the_table_has_each_device_and_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / 'runtimes.json'
    arguments = parsed(
        'runtimes', '--networks', 'BlazePose lite', 'YOLOX-tiny', '--people', '2', '--repeats', '2',
        '--out', str(file),
    )  # fmt: skip
    assert runtimes.run(arguments) == 0
    (table,) = json.loads(file.read_text())['tables']
    rows = table['rows']
    ways = {(name, images, device, precision) for name, images, device, precision, *_ in rows}
    assert len(ways) == len(rows)
    for device in ('CPU', 'onnxruntime'):
        for images in (1, 2):
            assert ('BlazePose lite', images, device, 'f32') in ways
        assert ('YOLOX-tiny', 1, device, 'f32') in ways
    assert ('YOLOX-tiny', 2, 'CPU', 'f32') not in ways  # one image at a time
    has_bf16 = report.machine()['bf16']
    assert (('BlazePose lite', 1, 'CPU', 'bf16') in ways) == has_bf16
    assert not [way for way in ways if way[2:] == ('onnxruntime', 'bf16')]
    for _, _, device, precision, ms, ratio in rows:
        assert ms > 0 and ratio > 0
        assert (device, precision) != ('CPU', 'f32') or ratio == 1
    assert 'rounds the weights only' in capsys.readouterr().out


def test_a_device_that_is_missing_ends_it_with_the_reason() -> None:
    arguments = parsed('runtimes', '--networks', 'RTMPose-s', '--devices', 'CPU', 'cuda')
    with pytest.raises(DeviceUnavailable, match='pip install'):
        runtimes.run(arguments)
