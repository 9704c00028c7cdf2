# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The paper's networks compute what the original ones did, with the same weights."""

import copy
from typing import Any

import numpy as np
import pytest
from paper import by_rule, expected, keys, needed_torch

torch = needed_torch()

import torchvision  # noqa: E402
from torch import nn  # noqa: E402

from pose3d_ros.models import heatmaps  # noqa: E402
from pose3d_ros.models.crops3dmppe import MEAN, STD  # noqa: E402
from pose3d_ros.models.heatmaps import marginals_3d, softmax_expectation_3d  # noqa: E402
from pose3d_ros.models.posenet import PoseNet, heatmap_loss, posenet_loss  # noqa: E402
from pose3d_ros.models.resnet import ResNet  # noqa: E402
from pose3d_ros.models.rootnet import RootNet, rootnet_loss  # noqa: E402
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable  # noqa: E402
from pose3d_ros.models.stages3dmppe import joint_cells, unmirrored  # noqa: E402
from pose3d_ros.models.torch_network import TorchNetwork, normalised, torch_device  # noqa: E402
from pose3d_ros.skeletons import HUMAN36M, MUCO  # noqa: E402

WANTED = expected('networks')
CROPS_BGR = np.ascontiguousarray(WANTED['crops_rgb'][..., ::-1])
#: Pixels of the heatmap, relative depth, cells of PoseNet's volume.
ROOT_PX, ROOT_DEPTH, POSE_CELLS = 1e-3, 1e-5, 5e-3


def rootnet() -> Any:
    return by_rule('rootnet', RootNet)


def posenet() -> Any:
    return by_rule('posenet', lambda: PoseNet(18))


def images() -> Any:
    return normalised(torch.from_numpy(CROPS_BGR))


def tensors(*names: str) -> list[Any]:
    return [torch.from_numpy(WANTED[name]) for name in names]


def times_k(found: np.ndarray) -> np.ndarray:
    """Return x, y and depth for x, y and gamma."""
    return np.hstack([found[:, :2], found[:, 2:] * WANTED['rootnet_k_value']])


def assert_roots(found: np.ndarray) -> None:
    wanted = WANTED['rootnet_coord']
    np.testing.assert_allclose(found[:, :2], wanted[:, :2], atol=ROOT_PX)
    np.testing.assert_allclose(found[:, 2], wanted[:, 2], rtol=ROOT_DEPTH)


def test_inputs_are_scaled_as_the_original_scales_them() -> None:
    """By mean and deviation of 0..1, though the values are 0..255."""
    wanted = (WANTED['crops_rgb'] - np.float32(MEAN)) / np.float32(STD)
    np.testing.assert_allclose(images().permute(0, 2, 3, 1), wanted, rtol=1e-6)
    assert images().max() > 1000


@pytest.mark.parametrize(
    ('name', 'network'), [('rootnet', RootNet), ('posenet', lambda: PoseNet(18))]
)
def test_keys_and_shapes_are_the_original_s(name: str, network: Any) -> None:
    with torch.device('meta'):
        state = network().state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == keys(name)
    assert list(state) == list(keys(name))


@pytest.mark.parametrize(
    ('depth', 'millions'), [(50, 23.508032), (101, 42.500160), (152, 58.143808)]
)
def test_backbones_have_the_size_of_the_published_ones(depth: int, millions: float) -> None:
    with torch.device('meta'):
        network = RootNet(f'resnet{depth}')
    assert sum(p.numel() for p in network.backbone.parameters()) == round(millions * 1e6)
    assert sum(p.numel() for p in network.root.parameters()) == 33_997_634 - 23_508_032


@pytest.mark.parametrize('depth', [18, 34, 50])
def test_backbones_are_torchvision_s(depth: int) -> None:
    """The same keys in the same order, and the same features: its weight files fit."""
    theirs = getattr(torchvision.models, f'resnet{depth}')(weights=None).eval()
    theirs.fc = theirs.avgpool = nn.Identity()
    ours = ResNet(depth).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        features = ours(image)
        np.testing.assert_allclose(features.flatten(1), theirs(image), atol=1e-4)
    assert features.shape == (1, ours.features, 2, 3)


@pytest.mark.parametrize(('joints', 'count'), [(18, 34_291_392), (21, 34_340_736)])
def test_posenet_has_the_size_of_the_published_one(joints: int, count: int) -> None:
    with torch.device('meta'):
        assert sum(p.numel() for p in PoseNet(joints).parameters()) == count


def test_rootnet_is_the_original() -> None:
    with torch.inference_mode():
        coord = rootnet()(images(), *tensors('rootnet_k_value'))
    assert_roots(coord.numpy())
    names = ('rootnet_target_coord', 'rootnet_target_vis', 'rootnet_target_have_depth')
    loss = rootnet_loss(coord, *tensors(*names))
    np.testing.assert_allclose(loss, WANTED['rootnet_loss'], rtol=1e-5)


def test_posenet_is_the_original() -> None:
    with torch.inference_mode():
        coord = posenet()(images())
    np.testing.assert_allclose(coord, WANTED['posenet_coord'], atol=POSE_CELLS)
    names = ('posenet_target_coord', 'posenet_target_vis', 'posenet_target_have_depth')
    loss = posenet_loss(coord, *tensors(*names))
    np.testing.assert_allclose(loss, WANTED['posenet_loss'], atol=POSE_CELLS)


def test_as_they_run_they_are_the_original() -> None:
    """With batch norms folded, and crops that do not fit one batch."""
    one = RuntimeOptions(max_batch=1)
    assert_roots(times_k(TorchNetwork(rootnet(), one)(CROPS_BGR)[0]))
    folded = TorchNetwork(posenet(), one)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded._module.modules())
    np.testing.assert_allclose(folded(CROPS_BGR)[0], WANTED['posenet_coord'], atol=POSE_CELLS)
    assert folded.busy_s > 0


def test_crops_that_do_not_fit_into_memory_go_in_smaller_batches(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Small(nn.Module):
        def forward(self, image: Any) -> Any:
            sizes.append(len(image))
            if len(image) > 2:
                raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
            return image.flatten(1).mean(dim=1)

    sizes: list[int] = []
    crops = np.random.default_rng(0).integers(0, 256, (7, 256, 256, 3), dtype=np.uint8)
    network = TorchNetwork(Small())
    (found,) = network(crops)
    assert sizes == [7, 3, 1, *6 * [1]]
    assert len(caplog.records) == 2 and 'Tried to allocate 2.00 GiB' in caplog.text
    one = TorchNetwork(Small(), RuntimeOptions(max_batch=1))
    np.testing.assert_allclose(found, one(crops)[0], rtol=1e-5)


@pytest.mark.parametrize(('precision', 'cells'), [('bf16', 0.5), ('f16', 0.05)])
def test_fewer_digits_stay_near_the_original(precision: str, cells: float) -> None:
    network = TorchNetwork(posenet(), RuntimeOptions(precision=precision))
    (found,) = network(CROPS_BGR)
    assert (network.precision, found.dtype) == (precision, np.float32)
    off = np.abs(found - WANTED['posenet_coord'])
    assert 0 < off.mean() < cells


def test_warming_up_takes_batches_as_people_will_come() -> None:
    class Notes(nn.Module):
        def forward(self, image: Any) -> Any:
            shapes.append((tuple(image.shape), torch.get_num_threads()))
            return image

    shapes: list[Any] = []
    network = TorchNetwork(Notes(), RuntimeOptions(max_batch=2, threads=1))
    network.warm_up()
    torch.set_num_threads(2)
    assert shapes == [((2, 3, 256, 256), 1)]
    assert network.busy_s == 0


def test_the_flip_test_is_the_original_s() -> None:
    found = joint_cells(TorchNetwork(posenet()), CROPS_BGR, HUMAN36M, flip_test=True)
    mirrored = WANTED['posenet_coord_flipped_input_raw'].copy()
    mirrored[..., 0] = 64 - mirrored[..., 0] - 1
    for pair in HUMAN36M.flip_pairs:
        mirrored[:, pair] = mirrored[:, pair[::-1]]
    wanted = (WANTED['posenet_coord'] + mirrored) / 2
    np.testing.assert_allclose(found, wanted, atol=POSE_CELLS)


def test_the_mirror_swaps_all_eight_pairs_of_muco() -> None:
    """Joints that stand at their own number."""
    found = unmirrored(np.tile(np.arange(21.0)[None, :, None], (2, 1, 3)), MUCO)
    assert len(MUCO.flip_pairs) == 8
    for left, right in MUCO.flip_pairs:
        assert (found[0, left, 2], found[0, right, 2]) == (right, left)
        assert found[0, left, 0] == 63 - right
    assert found[0, 14].tolist() == [63 - 14, 14, 14]


def expectation_3d(features: Any, layer: nn.Conv2d) -> Any:
    return marginals_3d(features, layer).expectations()


def marginals(features: Any, layer: nn.Conv2d) -> Any:
    """Return what the original's head computes, in the precision of its arguments.

    Of other than 64 x 64 cells too: places are told in 64ths all the same.
    """
    volume, side = layer(features), features.shape[-1]
    n, joints = len(volume), volume.shape[1] // 64
    volume = volume.view(n, joints, -1).softmax(dim=2).view(n, joints, 64, side, side)
    sums = ((2, 3), (2, 4), (3, 4))
    marginal = [volume.sum(dim=axes) for axes in sums]
    index = [torch.arange(m.shape[2], dtype=volume.dtype) * 64 / m.shape[2] for m in marginal]
    return torch.stack([(m * i).sum(dim=2) for m, i in zip(marginal, index, strict=True)], dim=2)


def head(joints: int, side: int = 64) -> tuple[Any, nn.Conv2d]:
    """Return features and a layer that make peaks as sharp as in a trained network."""
    generator = torch.Generator().manual_seed(joints)
    features = torch.rand(2, 256, side, side, generator=generator).relu()
    layer = nn.Conv2d(256, joints * 64, 1)
    nn.init.normal_(layer.weight, std=0.4, generator=generator)
    nn.init.normal_(layer.bias, generator=generator)
    return features, layer.requires_grad_(False)


@pytest.mark.parametrize('budget_mib', [1, 4, 256])
def test_the_head_gives_the_exact_expectation_in_pieces_of_any_size(
    budget_mib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heatmaps, '_CPU_BYTES', budget_mib << 20)
    features, layer = head(5)
    exact = marginals(features.double(), copy.deepcopy(layer).double())
    np.testing.assert_allclose(expectation_3d(features, layer), exact, atol=1e-4)
    last = features.contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(expectation_3d(last, layer), exact, atol=1e-4)


@pytest.mark.parametrize(('joints', 'side'), [(2, 64), (3, 64), (5, 64), (5, 32)])
def test_the_head_that_is_exported_gives_the_same(joints: int, side: int) -> None:
    features, layer = head(joints, side)
    exact = marginals(features.double(), copy.deepcopy(layer).double())
    np.testing.assert_allclose(softmax_expectation_3d(features, layer), exact, atol=1e-4)


def test_the_head_stands_logits_out_of_the_range_of_exp() -> None:
    features, layer = head(1)
    layer.bias += 1000
    layer.weight *= 100
    found = expectation_3d(features, layer)
    exact = marginals(features.double(), copy.deepcopy(layer).double())
    np.testing.assert_allclose(found, exact, atol=1e-2)


@pytest.mark.parametrize(('budget_mib', 'side'), [(1, 64), (2, 64), (64, 64), (1, 32)])
def test_the_head_can_be_trained(
    budget_mib: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it finds and its gradients are those of softmax and marginals, in pieces of any size."""
    monkeypatch.setattr(heatmaps, '_CPU_BYTES', budget_mib << 20)
    features, layer = head(3, side)
    layer.bias += 50  # out of the range of exp(), together with what follows
    exact = copy.deepcopy(layer).double().requires_grad_(True)
    ours, theirs = features.requires_grad_(True), features.detach().double().requires_grad_(True)
    layer.requires_grad_(True)
    weights = torch.linspace(-1, 1, 18).view(2, 3, 3)
    found, wanted = expectation_3d(ours, layer), marginals(theirs, exact)
    np.testing.assert_allclose(found.detach(), wanted.detach(), atol=1e-4)
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    for found, wanted in ((ours, theirs), (layer.weight, exact.weight), (layer.bias, exact.bias)):
        scale = float(wanted.grad.abs().max())
        np.testing.assert_allclose(found.grad, wanted.grad, atol=1e-3 * scale)


def test_training_the_head_keeps_no_volume() -> None:
    features, layer = head(5)
    layer.requires_grad_(True)
    kept: list[int] = []

    def note(tensor: Any) -> Any:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        expectation_3d(features.requires_grad_(True), layer)
    assert max(kept) == features.numel() < 5 * 64**3 * len(features)


@pytest.mark.parametrize(('budget_mib', 'side'), [(1, 64), (64, 32)])
def test_where_joints_may_be_can_be_learned(
    budget_mib: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heatmaps' loss and its gradients are those of a volume that is kept."""
    monkeypatch.setattr(heatmaps, '_CPU_BYTES', budget_mib << 20)
    features, layer = head(3, side)
    exact = copy.deepcopy(layer).double().requires_grad_(True)
    layer.requires_grad_(True)
    target = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0)) * 63
    visible = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0]).view(2, 3, 1)
    have_depth = torch.tensor([[1.0], [0.0]])
    found = heatmap_loss(marginals_3d(features, layer), target, visible, have_depth)
    volume = exact(features.double()).view(2, 3, -1).log_softmax(2).view(2, 3, 64, side, side)
    logs = volume.logsumexp((2, 3)), volume.logsumexp((2, 4)), volume.logsumexp((3, 4))
    index = [torch.arange(log.shape[2]).double() * 64 / log.shape[2] for log in logs]
    x, y, z = (
        torch.exp(-((i - target[..., [axis]].double()) ** 2) / 8) for axis, i in enumerate(index)
    )
    plane = y[..., None] * x[..., None, :] / (x.sum(2) * y.sum(2))[..., None, None]
    wanted = -(plane * volume.logsumexp(2)).sum((2, 3))
    wanted = wanted - have_depth * (z / z.sum(2, keepdim=True) * logs[2]).sum(2)
    wanted = wanted * visible[..., 0]
    np.testing.assert_allclose(found.detach(), wanted.detach(), rtol=1e-4)
    found.sum().backward()
    wanted.sum().backward()
    for mine, theirs in ((layer.weight, exact.weight), (layer.bias, exact.bias)):
        scale = float(theirs.grad.abs().max())
        np.testing.assert_allclose(mine.grad, theirs.grad, atol=1e-3 * scale)


def test_a_share_of_nothing_is_no_infinite_loss() -> None:
    """Logits 200 apart, whose exponential f32 does not hold."""
    layer = nn.Conv2d(1, 64, 1)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.linspace(0, 200 * 63, 64))
    found = marginals_3d(torch.ones(1, 1, 32, 32), layer)
    loss = heatmap_loss(found, torch.zeros(1, 1, 3), torch.ones(1, 1, 1), torch.ones(1, 1))
    loss.sum().backward()
    assert 10 < float(loss) < 200
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize('name', ['NPU', 'cuda:99', 'GPU.99', 'GPU.x', ''])
def test_an_absent_device_is_said(name: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=f"device '{name}' is not there.* has CPU"):
        torch_device(name)


def test_bf16_is_near_the_original() -> None:
    """On random weights, which let nothing average out: a cell is 31 mm of PoseNet's volume."""
    bf16 = RuntimeOptions(precision='bf16')
    network = TorchNetwork(rootnet(), bf16)
    assert network.precision == 'bf16'
    found, wanted = times_k(network(CROPS_BGR)[0]), WANTED['rootnet_coord']
    np.testing.assert_allclose(found[:, :2], wanted[:, :2], atol=0.5)
    np.testing.assert_allclose(found[:, 2], wanted[:, 2], rtol=5e-3)
    error = np.abs(TorchNetwork(posenet(), bf16)(CROPS_BGR)[0] - WANTED['posenet_coord'])
    assert error.mean() < 0.1
    assert error.max() < 0.5
