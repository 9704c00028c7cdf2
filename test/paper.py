# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the original 3DMPPE computed with random weights made by a rule (benchmarks/rule_weights).

fixtures/paper_networks.npz holds two of its inputs and what RootNet, and PoseNet for 18 joints,
made of them, with weights that a rule makes of their names and shapes; paper_crops.npz an image
with boxes, and every fourth pixel of the crops it cut; paper_*_keys.json its state dicts.
"""

import contextlib
import functools
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose3d_ros.benchmarks.rule_weights import array_of

FIXTURES = Path(__file__).parent / 'fixtures'
NETWORKS = ('rootnet', 'posenet')


@functools.cache
def expected(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a fixture."""
    with np.load(FIXTURES / f'paper_{name}.npz') as arrays:
        return dict(arrays)


@functools.cache
def keys(network: str) -> dict[str, list[int]]:
    """Return key -> shape of 'rootnet' or 'posenet', in order, without 'module.'."""
    return json.loads((FIXTURES / f'paper_{network}_keys.json').read_text())  # type: ignore[no-any-return]


@functools.cache
def rule_weights(network: str) -> dict[str, Any]:
    """Return the tensors with which the fixtures were made."""
    torch = needed_torch()
    return {k: torch.from_numpy(array_of(k, s)) for k, s in keys(network).items()}


def by_rule(name: str, make: Callable[[], Any]) -> Any:
    """Return a network with the weights of the rule, ready to predict.

    Random ones, which would take a second, are not made before.
    """
    with needed_torch().device('meta'):
        network = make()
    own = {key: value.clone() for key, value in rule_weights(name).items()}
    network.load_state_dict(own, assign=True)
    return network.eval().requires_grad_(False)


def needed_torch() -> Any:
    """Return PyTorch; without it the tests fail and say so, rather than be passed over."""
    try:
        import torch
    except ImportError as error:
        raise RuntimeError(
            "the paper's networks are tested in PyTorch, which is an extra: "
            "pip install 'pose3d_ros[torch]'"
        ) from error
    torch.set_num_threads(2)
    return torch


@dataclass(frozen=True)
class PaperFiles:
    """Both networks with weights by the rule, as files.

    :param snapshots: network -> folder with the snapshot of epoch 18, and of epoch 9 an empty file.
    :param exported: network -> what `pose3d export` made of it.
    :param said: network -> what the command printed.
    """

    snapshots: dict[str, Path]
    exported: dict[str, Path]
    said: dict[str, str]


def write_files(folder: Path) -> None:
    """Write the snapshots into a new folder, and export them by the command."""
    from pose3d_ros.cli import main

    torch = needed_torch()
    folder.mkdir()
    for name in NETWORKS:
        snapshots = folder / name
        snapshots.mkdir()
        tensors = {f'module.{key}': value for key, value in rule_weights(name).items()}
        content = {'epoch': 18, 'network': tensors, 'optimizer': {}}
        torch.save(content, snapshots / 'snapshot_18.pth.tar')
        (snapshots / 'snapshot_9.pth.tar').touch()
        out = folder / f'{name}.onnx'
        command = ['export', name, '--weights', str(snapshots), '--out', str(out)]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main(command) == 0
        (folder / f'{name}.txt').write_text(printed.getvalue())


def files_in(folder: Path) -> PaperFiles:
    """Return what `write_files` has written."""
    return PaperFiles(
        {name: folder / name for name in NETWORKS},
        {name: folder / f'{name}.onnx' for name in NETWORKS},
        {name: (folder / f'{name}.txt').read_text() for name in NETWORKS},
    )
