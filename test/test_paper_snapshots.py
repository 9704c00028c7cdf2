# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Snapshots are read, each tells which network it holds, and whatever else is refused."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paper import keys, needed_torch

torch = needed_torch()

from pose3d_ros.models.posenet import PoseNet  # noqa: E402
from pose3d_ros.models.rootnet import RootNet  # noqa: E402
from pose3d_ros.models.snapshots import (  # noqa: E402
    SnapshotError,
    find_snapshot,
    load_posenet,
    load_rootnet,
)

Save = Callable[..., Path]


def state(network: Callable[[], Any], prefix: str = 'module.') -> dict[str, Any]:
    """Return a state dict of one number everywhere, which takes no space in a file."""
    with torch.device('meta'):
        shapes = network().state_dict()
    return {
        prefix + key: torch.full((), 0.5, dtype=like.dtype).expand(like.shape)
        for key, like in shapes.items()
    }


def rootnet_state(depth: int = 50, prefix: str = 'module.', crop_px: int = 256) -> dict[str, Any]:
    return state(lambda: RootNet(f'resnet{depth}', crop_px), prefix)


def posenet_state(joints: int = 18, depth: int = 50, crop_px: int = 256) -> dict[str, Any]:
    return state(lambda: PoseNet(joints, f'resnet{depth}', crop_px))


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(network: Any, name: str = 'snapshot_18.pth.tar', **options: Any) -> Path:
        optimizer = {'state': {0: {'step': 3}}, 'param_groups': [{'lr': 1e-3, 'params': [0]}]}
        content = {'epoch': 18, 'network': network, 'optimizer': optimizer}
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return write


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'as before 1.6'])
@pytest.mark.parametrize('prefix', ['module.', ''])
def test_a_snapshot_is_read(save: Save, prefix: str, zipped: bool) -> None:
    path = save(rootnet_state(prefix=prefix), _use_new_zipfile_serialization=zipped)
    network = load_rootnet(path)
    assert list(network.state_dict()) == list(keys('rootnet'))
    assert (network.root.xy_layer.weight == 0.5).all()
    assert not network.training
    assert {p.device.type for p in network.parameters()} == {'cpu'}


def test_a_bare_state_dict_is_read(tmp_path: Path) -> None:
    torch.save(posenet_state(), tmp_path / 'weights.pth')
    assert load_posenet(tmp_path / 'weights.pth')[0].joints == 18


def test_half_precision_is_read_into_f32(save: Save) -> None:
    half = {k: v.half() if v.is_floating_point() else v for k, v in rootnet_state().items()}
    assert load_rootnet(save(half)).root.xy_layer.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ('joints', 'name'),
    [(16, 'mpii'), (17, 'human36m_17'), (18, 'human36m'), (19, 'mscoco'), (21, 'muco')],
)
def test_the_joint_set_is_read_from_the_file(save: Save, joints: int, name: str) -> None:
    network, skeleton = load_posenet(save(posenet_state(joints)))
    assert network.joints == len(skeleton) == joints
    assert skeleton.name == name


@pytest.mark.parametrize(('depth', 'blocks'), [(18, 2), (34, 6), (50, 6), (101, 23), (152, 36)])
def test_the_backbone_is_read_from_the_file(save: Save, depth: int, blocks: int) -> None:
    backbone = load_rootnet(save(rootnet_state(depth))).backbone
    assert (backbone.depth, len(backbone.layer3)) == (depth, blocks)


def test_the_crops_that_the_backbone_sees_are_read_from_the_file(save: Save) -> None:
    assert load_rootnet(save(rootnet_state())).backbone.crop_px == 256
    key = 'backbone.seen_px'
    rootnet = rootnet_state(prefix='', crop_px=128) | {key: torch.tensor(128)}
    assert load_rootnet(save(rootnet)).backbone.crop_px == 128
    posenet = posenet_state(17, 18, 128) | {f'module.{key}': torch.tensor(128)}
    assert load_posenet(save(posenet))[0].backbone.crop_px == 128
    with pytest.raises(SnapshotError, match='is for crops of 96 px; known are 128 or 256'):
        load_rootnet(save(rootnet | {key: torch.tensor(96)}))


def test_a_folder_gives_its_last_snapshot_or_the_one_of_an_epoch(tmp_path: Path) -> None:
    for name in ('snapshot_9.pth.tar', 'snapshot_18.pth.tar', 'snapshot_best.pth.tar', 'log.txt'):
        (tmp_path / name).touch()
    assert find_snapshot(tmp_path).name == 'snapshot_18.pth.tar'
    assert find_snapshot(tmp_path, 9).name == 'snapshot_9.pth.tar'
    assert find_snapshot(tmp_path / 'log.txt', 9).name == 'log.txt'
    with pytest.raises(SnapshotError, match='no snapshot of epoch 7; it has 9, 18'):
        find_snapshot(tmp_path, 7)


def test_a_folder_without_snapshots_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match='without a file snapshot_EPOCH'):
        find_snapshot(tmp_path)
    with pytest.raises(SnapshotError, match='does not exist'):
        find_snapshot(tmp_path / 'nothing')
    (tmp_path / 'snapshot_18').mkdir()
    (tmp_path / 'snapshot_18' / 'data.pkl').touch()  # .pth.tar is a zip file, and tempts to unpack
    with pytest.raises(SnapshotError, match='was unpacked'):
        find_snapshot(tmp_path)


def test_the_other_network_is_refused(save: Save) -> None:
    with pytest.raises(SnapshotError, match='holds PoseNet; a snapshot of RootNet is expected'):
        load_rootnet(save(posenet_state()))
    with pytest.raises(SnapshotError, match='holds RootNet; a snapshot of PoseNet is expected'):
        load_posenet(save(rootnet_state()))
    with pytest.raises(SnapshotError, match=r'another network \(keys conv1.weight'):
        load_rootnet(save({'conv1.weight': torch.zeros(1)}))


def test_another_backbone_is_refused(save: Save) -> None:
    shallow = {k: v for k, v in rootnet_state().items() if '.conv3.' not in k and '.5.' not in k}
    with pytest.raises(
        SnapshotError, match=r'\(3, 4, 5, 3\) blocks of 2 conv.* ResNet-34 \(3, 4, 6, 3\) of 2'
    ):
        load_rootnet(save(shallow))


def test_tensors_that_are_missing_too_many_or_of_another_shape_are_named(save: Save) -> None:
    wrong = posenet_state()
    del wrong['module.head.final_layer.bias']
    wrong['module.head.extra'] = torch.zeros(1)
    wrong['module.backbone.conv1.weight'] = torch.zeros(64, 1, 7, 7)
    with pytest.raises(SnapshotError) as caught:
        load_posenet(save(wrong))
    for said in ('final_layer.bias is missing', 'head.extra does not', '(64, 1, 7, 7), expected'):
        assert said in str(caught.value)


def test_an_unknown_number_of_joints_is_refused(save: Save) -> None:
    with pytest.raises(SnapshotError, match=r'1600 rows.* 16 \(mpii\), .* 21 \(muco\)'):
        load_posenet(save(posenet_state(25)))


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('kept', [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(save: Save, kept: float, zipped: bool) -> None:
    path = save(rootnet_state(), _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(SnapshotError, match='damaged'):
        load_rootnet(path)


@pytest.mark.parametrize('content', [b'no snapshot at all', b'\x80\x02.', b'PK\x03\x04'])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'snapshot_1.pth.tar'
    path.write_bytes(content)
    with pytest.raises(SnapshotError, match=str(path)):
        load_rootnet(path)


@pytest.mark.parametrize('content', [[], {}, {'network': {}}, {'network': 3}, {'a': 1}])
def test_other_contents_are_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / 'x')
    with pytest.raises(SnapshotError, match='no s'):
        load_rootnet(tmp_path / 'x')


class Hostile:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._trace,))


@pytest.mark.parametrize('how', ['zip', 'as before 1.6', 'pickle'])
def test_code_in_a_file_does_not_run(tmp_path: Path, how: str) -> None:
    trace, path = tmp_path / 'trace', tmp_path / 'snapshot_1.pth.tar'
    content = {'epoch': 1, 'network': rootnet_state(), 'optimizer': Hostile(trace)}
    if how == 'pickle':
        path.write_bytes(pickle.dumps(Hostile(trace)))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == 'zip')
    with pytest.raises(SnapshotError, match='could run code'):
        load_rootnet(path)
    assert not trace.exists()
    if how == 'pickle':  # and it would have
        pickle.loads(path.read_bytes())
        assert trace.exists()


def test_a_file_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r'cannot read .*directory'):
        load_rootnet(tmp_path)
