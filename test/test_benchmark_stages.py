# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`pose3d benchmark stages`: the baseline is the original, and each way is a process of its own."""

from pathlib import Path

import numpy as np
import pytest
from paper import PaperFiles, expected, keys, needed_torch
from test_benchmarks import parsed

from pose3d_ros.benchmarks import report, stages
from pose3d_ros.benchmarks.stages import EXPORTED, ORIGINAL, TORCH, Files, Result, Way

torch = needed_torch()

WANTED = expected('networks')
CROPS_BGR = np.ascontiguousarray(WANTED['crops_rgb'][..., ::-1])


def files_of(paper_files: PaperFiles, name: str) -> Files:
    snapshot = paper_files.snapshots[name] / 'snapshot_18.pth.tar'
    return Files(name, snapshot, paper_files.exported[name])


@pytest.mark.parametrize('name', ['rootnet', 'posenet'])
def test_the_baseline_computes_what_the_original_did(paper_files: PaperFiles, name: str) -> None:
    (found,) = stages.load(files_of(paper_files, name), Way(ORIGINAL, 'f32'))(CROPS_BGR)
    if name == 'rootnet':
        found[:, 2] *= WANTED['rootnet_k_value'][:, 0]
    np.testing.assert_allclose(found, WANTED[f'{name}_coord'], rtol=1e-5, atol=1e-3)


def test_ways_take_turns_in_processes_of_their_own(paper_files: PaperFiles) -> None:
    ways = [Way(TORCH, 'f32'), Way(EXPORTED, 'f32')]
    results = stages.measure(files_of(paper_files, 'rootnet'), ways, CROPS_BGR, 2)
    first, second = (results[way] for way in ways)
    np.testing.assert_allclose(first.output, second.output, rtol=1e-5, atol=1e-3)
    for result in (first, second):
        assert len(result.times_ms) == 2
        assert min(result.times_ms) > 0
    # the weights alone are 130 MiB; without PyTorch in it the second is the smaller process
    assert 130 < second.peak_mib < first.peak_mib


def test_a_process_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    files = Files('rootnet', tmp_path / 'gone', tmp_path / 'gone.onnx')
    with pytest.raises(OSError, match='ended early'):
        stages.measure(files, [Way(EXPORTED, 'f32')], CROPS_BGR, 1)


def test_random_snapshots_are_the_rule_s(tmp_path: Path) -> None:
    from pose3d_ros.benchmarks.original3dmppe import write_random_snapshot

    write_random_snapshot('posenet', 'resnet50', 18, tmp_path / 'x')
    network = torch.load(tmp_path / 'x', weights_only=True)['network']
    assert {k.removeprefix('module.'): list(v.shape) for k, v in network.items()} == keys('posenet')


def test_crops_are_those_of_people_over_and_over() -> None:
    crops = stages.crops_of_people(40)
    assert crops.shape == (40, 256, 256, 3)
    assert not np.array_equal(crops[0], crops[1])
    first = [i for i in range(1, 40) if np.array_equal(crops[i], crops[0])]
    assert first and np.array_equal(crops[first[0] + 1], crops[1])


def test_tables_state_the_largest_differences() -> None:
    wanted = np.array([[10.0, 20, 2], [30, 40, 4]])
    found = wanted + np.array([[0.1, -0.3, 0.02], [0, 0, 0]])
    results = {
        Way(ORIGINAL, 'f32'): Result([100.0, 300, 200], wanted, 900.0),
        Way(EXPORTED, 'bf16'): Result([50.0, 40, 70], found, 500.0),
    }
    rows = stages.table('rootnet', 'random weights', results).rows
    assert rows[0][2:] == (200, 1, 0, 0, 900)
    assert rows[1][:2] == (EXPORTED, 'bf16')
    assert rows[1][2:] == pytest.approx((50, 0.25, 0.3, 0.01, 500))
    rows = stages.table('posenet', 'random weights', results).rows
    assert rows[1][4:6] == pytest.approx((0.3, 0.42 / 6))


def test_ways_in_bf16_are_those_of_processors_that_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for has_bf16, count in ((True, 5), (False, 3)):
        monkeypatch.setattr(report, 'machine', lambda has=has_bf16: {'bf16': has})
        assert stages.ways()[0] == Way(ORIGINAL, 'f32')
        assert len(stages.ways()) == count


def test_the_command_takes_weights_and_a_backbone() -> None:
    arguments = parsed('stages', '--rootnet-weights', 'a', '--backbone', 'resnet152')
    assert (arguments.rootnet_weights, arguments.posenet_weights) == (Path('a'), None)
    assert (arguments.backbone, arguments.people) == ('resnet152', 8)
