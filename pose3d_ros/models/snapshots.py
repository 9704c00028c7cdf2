# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Published weights of RootNet and PoseNet: `snapshot_XX.pth.tar`, read without running code.

Such a file is a dict with the state dict under 'network' (keys begin with 'module.' where it was
trained on several GPUs), beside it the epoch and the optimizer's state. What the networks must
look like, backbone and joints, is read from the tensors.
"""

import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from pose3d_ros.models.backbone import CROP_PX, CROPS_PX
from pose3d_ros.models.heatmaps import SIZE
from pose3d_ros.models.posenet import PoseNet
from pose3d_ros.models.resnet import BLOCKS
from pose3d_ros.models.rootnet import RootNet
from pose3d_ros.models.session import WeightFileError
from pose3d_ros.skeletons import JOINT_SETS, Skeleton

_ROOTNET_KEY, _POSENET_KEY = 'root.xy_layer.weight', 'head.final_layer.weight'
_CROP_KEY, _CSPNEXT_KEY = 'backbone.seen_px', 'backbone.stem.0.weight'
_FILE = re.compile(r'snapshot_(\d+)\.pth\.tar')
_EXPECTED = 'a snapshot_EPOCH.pth.tar, not unpacked,'
_NAMED = 3  # keys named in a message

_Net = TypeVar('_Net', bound=nn.Module)


class SnapshotError(WeightFileError):
    """A snapshot that cannot be used."""


def load_rootnet(path: Path) -> RootNet:
    """Return RootNet with the weights of a snapshot, ready to predict, on the CPU.

    :raises SnapshotError: it is not a whole snapshot of RootNet.
    """
    tensors = read_tensors(path, 'network', _EXPECTED)
    _expect('RootNet', path, tensors)
    with torch.device('meta'):  # the weights come from the file: none are drawn before
        network = RootNet(_backbone(path, tensors), _crop_px(path, tensors))
    return _filled(network, path, tensors)


def load_posenet(path: Path) -> tuple[PoseNet, Skeleton]:
    """Return PoseNet with the weights of a snapshot, ready to predict, on the CPU; its joint set.

    :raises SnapshotError: it is not a whole snapshot of PoseNet, or of an unknown joint set.
    """
    tensors = read_tensors(path, 'network', _EXPECTED)
    _expect('PoseNet', path, tensors)
    joints, rest = divmod(len(tensors[_POSENET_KEY]), SIZE)
    if rest or joints not in JOINT_SETS:
        known = ', '.join(f'{n} ({s.name})' for n, s in sorted(JOINT_SETS.items()))
        raise SnapshotError(
            f'{path}: final_layer has {len(tensors[_POSENET_KEY])} rows, which is no known joint '
            f'set; {SIZE} rows are a joint, and known are {known}'
        )
    with torch.device('meta'):
        network = PoseNet(joints, _backbone(path, tensors), _crop_px(path, tensors))
    return _filled(network, path, tensors), JOINT_SETS[joints]


def snapshot_epoch(path: Path) -> int | None:
    """Return the epoch that a snapshot says it is of; None = it says nothing.

    :raises SnapshotError: it cannot be read.
    """
    content = _content(path)
    epoch = content.get('epoch') if isinstance(content, Mapping) else None
    return epoch if isinstance(epoch, int) else None


def find_snapshot(path: Path, epoch: int | None = None) -> Path:
    """Return the file of weights: `path` itself, or one of the snapshots in a folder.

    :param epoch: which of a folder's; None = the last.
    :raises SnapshotError: there is none.
    """
    if not path.is_dir():
        if not path.exists():
            raise SnapshotError(f'{path} does not exist')
        return path
    matches = ((_FILE.fullmatch(file.name), file) for file in path.iterdir())
    found = {int(match[1]): file for match, file in matches if match}
    if not found:
        unpacked = any(path.glob('**/data.pkl'))
        hint = ': it is one that was unpacked, and the file is read as it came' if unpacked else ''
        raise SnapshotError(f'{path} is a folder without a file snapshot_EPOCH.pth.tar{hint}')
    if epoch is None:
        return found[max(found)]
    if epoch not in found:
        listed = ', '.join(map(str, sorted(found)))
        raise SnapshotError(f'{path} has no snapshot of epoch {epoch}; it has {listed}')
    return found[epoch]


def _content(path: Path, expected: str = _EXPECTED) -> object:
    """Return what a file holds, tensors on the CPU."""
    try:
        file = path.open('rb')
    except OSError as error:
        raise SnapshotError(f'cannot read {path}: {error.strerror}') from error
    try:
        # facebookresearch's trainings leave their arguments in the file: plain attributes
        with file, torch.serialization.safe_globals([Namespace]):
            return torch.load(file, map_location='cpu', weights_only=True)
    except Exception as error:  # of a damaged file anything may come, also an OSError
        # torch's own advice goes on to how the file's code could be run after all
        reason = str(error).strip().split('\n')[0][:200]
        raise SnapshotError(
            f'{path} is damaged, or holds more than tensors and numbers, which is not read since '
            f'it could run code; {expected} is expected '
            f'({type(error).__name__}: {reason})'
        ) from error


def read_tensors(path: Path, entry: str, expected: str) -> dict[str, torch.Tensor]:
    """Return a network's tensors by key, without 'module.', on the CPU.

    :param entry: under which the file has the state dict, where that is not the whole file.
    :param expected: what should be in the file, for messages.
    :raises SnapshotError: it cannot be read without running code, or has other things in it.
    """
    content = _content(path, expected)
    if isinstance(content, Mapping) and entry in content:
        content = content[entry]
    if not isinstance(content, Mapping) or not content:
        raise SnapshotError(f"{path} has no state dict, neither under '{entry}' nor as the whole")
    if not all(isinstance(k, str) and torch.is_tensor(v) for k, v in content.items()):
        listed = ', '.join(str(key) for key in list(content)[:_NAMED])
        raise SnapshotError(f'{path} is no snapshot: its entries ({listed}, ...) are not tensors')
    return {key.removeprefix('module.'): value for key, value in content.items()}


def _expect(name: str, path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse tensors that are not of the named network."""
    if _ROOTNET_KEY in tensors:
        found = 'RootNet'
    elif _POSENET_KEY in tensors:
        found = 'PoseNet'
    else:
        listed = ', '.join(list(tensors)[:_NAMED])
        found = f'another network (keys {listed}, ...)'
    if found != name:
        raise SnapshotError(f'{path} holds {found}; a snapshot of {name} is expected')


def _backbone(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the name of the backbone from its keys, as `backbones.BACKBONES` has it."""
    if _CSPNEXT_KEY in tensors:
        return 'cspnext_s'
    blocks = tuple(
        len({key.split('.')[2] for key in tensors if key.startswith(f'backbone.layer{stage}.')})
        for stage in range(1, 5)
    )
    convolutions = 3 if 'backbone.layer1.0.conv3.weight' in tensors else 2
    known = {d: (wanted, 3 if d >= 50 else 2) for d, wanted in BLOCKS.items()}
    for depth, kind in known.items():
        if kind == (blocks, convolutions):
            return f'resnet{depth}'
    raise SnapshotError(
        f'{path} has a backbone of {blocks} blocks of {convolutions} convolutions; expected is a '
        + ' or '.join(f'ResNet-{d} {wanted} of {n}' for d, (wanted, n) in known.items())
    )


def _crop_px(path: Path, tensors: Mapping[str, torch.Tensor]) -> int:
    """Return the side of the crops that the backbone sees: only ours have another than 256."""
    said = tensors.get(_CROP_KEY)
    crop_px = CROP_PX if said is None else int(said.flatten()[0])
    if crop_px not in CROPS_PX:
        listed = ' or '.join(map(str, CROPS_PX))
        raise SnapshotError(f'{path} is for crops of {crop_px} px; known are {listed}')
    return crop_px


def _filled(network: _Net, path: Path, tensors: Mapping[str, torch.Tensor]) -> _Net:
    """Return the network, made on the meta device, with the tensors as its weights."""
    expected = network.state_dict()
    if faults := faults_of(expected, tensors):
        raise SnapshotError(f'{path} is not {type(network).__name__}: {fault_summary(faults)}')
    typed = {key: tensors[key].to(like.dtype) for key, like in expected.items()}
    network.load_state_dict(typed, assign=True)
    return network.eval().requires_grad_(False)


def faults_of(
    expected: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]
) -> list[str]:
    """Return how tensors differ in name and shape from those that are expected."""
    return [
        *(f'{key} is missing' for key in expected if key not in tensors),
        *(f'{key} does not belong there' for key in tensors if key not in expected),
        *(
            f'{key} is {tuple(tensors[key].shape)}, expected {tuple(expected[key].shape)}'
            for key in expected
            if key in tensors and tensors[key].shape != expected[key].shape
        ),
    ]


def fault_summary(faults: list[str]) -> str:
    """Return the first of the faults, and how many more there are."""
    more = f' and {len(faults) - _NAMED} more' if len(faults) > _NAMED else ''
    return '; '.join(faults[:_NAMED]) + more
