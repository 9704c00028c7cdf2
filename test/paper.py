"""What the original 3DMPPE computed, and the rule for its random weights.

fixtures/paper_networks.npz holds two of its inputs and what RootNet, and PoseNet for 18 joints,
made of them, with weights that a rule makes of their names and shapes; paper_crops.npz an image
with boxes, and every fourth pixel of the crops it cut; paper_*_keys.json its state dicts.
"""

import functools
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

FIXTURES = Path(__file__).parent / 'fixtures'


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
    return {k: torch.from_numpy(_rule_array(k, tuple(s))) for k, s in keys(network).items()}


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


def _rule_array(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the weight of a key: random numbers in a scale that keeps signals in range."""
    rng = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF)
    if key.endswith('num_batches_tracked'):
        return np.array(1000)
    if key.endswith('running_mean'):
        values = rng.standard_normal(shape) * 0.1
    elif key.endswith('running_var'):
        # the input's values go up to 1000
        values = (0.5 + rng.random_sample(shape)) * (1e6 if key.startswith('backbone.bn1') else 1)
    elif len(shape) == 1 and key.endswith('weight'):
        values = (0.5 + rng.random_sample(shape)) * (0.3 if '.bn3.' in key else 1)
    elif len(shape) == 1:
        values = rng.standard_normal(shape) * 0.1 + (1 if key == 'root.depth_layer.bias' else 0)
    else:
        # each output of a deconvolution of 4 x 4 and stride 2 sees 2 x 2 of its input
        fan = shape[0] * 4 if 'deconv_layers' in key else np.prod(shape[1:])
        heads = {'root.xy_layer.weight': 0.5, 'head.final_layer.weight': 0.5}
        scale = {**heads, 'root.depth_layer.weight': 0.2}.get(key, 1)
        values = rng.standard_normal(shape) * np.sqrt(2.0 / fan) * scale
    return np.ascontiguousarray(values, dtype=np.float32)
