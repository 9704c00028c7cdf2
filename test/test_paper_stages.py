# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The paper's networks as stages: pixels to metres, whatever the boxes and the camera."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paper import by_rule, expected, needed_torch, rule_weights

torch = needed_torch()

from torch import nn  # noqa: E402

from pose3d_ros.camera import Camera  # noqa: E402
from pose3d_ros.drawing import draw_overlay  # noqa: E402
from pose3d_ros.models.body_size import BodySize  # noqa: E402
from pose3d_ros.models.rootnet import RootNet  # noqa: E402
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable  # noqa: E402
from pose3d_ros.models.stages3dmppe import PoseNet3DMPPE, RootNet3DMPPE  # noqa: E402
from pose3d_ros.models.torch_network import TorchNetwork  # noqa: E402
from pose3d_ros.people import Keypoints, Persons  # noqa: E402
from pose3d_ros.results import FrameResult  # noqa: E402
from pose3d_ros.skeletons import HALPE26, HUMAN36M, MUCO  # noqa: E402
from pose3d_ros.stages import POSENETS, ROOTNETS, OwnWeights  # noqa: E402
from pose3d_ros.weights import WeightsError  # noqa: E402

CROPS = expected('crops')
IMAGE = CROPS['image']
HEIGHT, WIDTH = IMAGE.shape[:2]
K = np.array([[1500.0, 0, 300], [0, 1200, 250], [0, 0, 1]])
CAMERA = Camera(K, WIDTH, HEIGHT)
LENS = Camera(K, WIDTH, HEIGHT, np.array([-0.3, 0.1, 0, 0, 0]))
VALID = np.isfinite(CROPS['squares']).all(axis=1)
SQUARES = CROPS['squares'][VALID]


class Says(nn.Module):
    """Gives the same for every crop."""

    def __init__(self, *output: float, joints: int = 0) -> None:
        super().__init__()
        self.batches: list[int] = []
        self._output = torch.tensor(output)
        self._joints = joints

    def forward(self, images: Any) -> Any:
        self.batches.append(len(images))
        if self._joints:
            return self._output.expand(len(images), self._joints, 3)
        return self._output.expand(len(images), 3)


def people(boxes: np.ndarray = CROPS['boxes'], depth_m: float = math.nan) -> Persons:
    n = len(boxes)
    roots = np.tile([0.0, 0, depth_m], (n, 1))
    return Persons(boxes, np.linspace(0.5, 1, n), tuple(map(str, range(n))), roots)


def rooted(network: nn.Module, camera: Camera = CAMERA, **options: Any) -> Persons:
    stage = RootNet3DMPPE(TorchNetwork(network, RuntimeOptions(**options)))
    return stage(IMAGE, people(), camera, BodySize())


def posed(
    network: nn.Module,
    persons: Persons,
    camera: Camera = CAMERA,
    flip: bool = False,
    **options: Any,
) -> Any:
    runs = TorchNetwork(network, RuntimeOptions(**options))
    return PoseNet3DMPPE(runs, HUMAN36M, flip)(IMAGE, persons, camera)


def test_rootnet_gives_what_the_network_gives_crop_by_crop() -> None:
    """The stage on everybody, against the original's way: one person after the other."""
    network = by_rule('rootnet', RootNet)
    boxes = CROPS['boxes'][[0, 8, 4]]
    square, k = CROPS['squares'][[0, 4]], CROPS['k'][[0, 4]] * np.sqrt(1500 * 1200) / 1500
    crops = [cut[..., ::-1] for cut in cropped(square)]
    wanted = []
    with torch.inference_mode():
        for crop, k_value, (x, y, w, h) in zip(crops, k, square, strict=True):
            values = (crop.astype(np.float32) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
            image = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None]
            hx, hy, z = network(image, torch.tensor([[k_value]]).float())[0].tolist()
            px, py = hx / 64 * w + x, hy / 64 * h + y
            wanted.append([(px - 300) / 1500 * z / 1e3, (py - 250) / 1200 * z / 1e3, z / 1e3])
    persons = RootNet3DMPPE(TorchNetwork(network))(IMAGE, people(boxes), CAMERA, BodySize())
    np.testing.assert_allclose(persons.roots[[0, 2]], wanted, rtol=1e-4)
    assert np.isnan(persons.roots[1]).all()


def cropped(squares: np.ndarray) -> np.ndarray:
    from pose3d_ros.models.crops3dmppe import cut_boxes

    return cut_boxes(squares).cut(IMAGE)


def test_people_are_cut_into_batches_of_the_largest_size() -> None:
    network = Says(32, 32, 1)
    found = rooted(network, max_batch=3)
    assert network.batches == [3, 3, 2]
    np.testing.assert_allclose(found.roots[VALID, 2], CROPS['k'][VALID] * 1.2**0.5 / 1.5**0.5 / 1e3)
    network = Says(32, 32, 32, joints=18)
    posed(network, people(depth_m=5), max_batch=4, flip=True)
    assert network.batches == [4, 4, 4, 4]  # eight crops and their mirror images


def test_roots_lie_on_the_rays_of_their_pixels_through_the_lens() -> None:
    found = rooted(Says(16, 48, 1), LENS).roots[VALID]
    pixels = SQUARES[:, :2] + SQUARES[:, 2:] * [0.25, 0.75]
    np.testing.assert_allclose(found[:, :2] / found[:, 2:], LENS.rays(pixels), atol=1e-6)
    straight = rooted(Says(16, 48, 1), CAMERA).roots[VALID]
    assert np.abs(straight - found).max() > 0.01


@pytest.mark.parametrize('focal_px', [400.0, 1100, 4000])
def test_results_of_an_assumed_focal_length_rescale_exactly(focal_px: float) -> None:
    """gamma does not know the camera and k is linear in f; PoseNet's depths do not know it."""

    class Varied(nn.Module):
        """Says something else of every crop, whatever the camera."""

        def __init__(self, shape: tuple[int, ...], low: float, high: float) -> None:
            super().__init__()
            self._shape, self._limits = shape, (low, high)

        def forward(self, images: Any) -> Any:
            shape = len(images), *self._shape
            return torch.linspace(*self._limits, math.prod(shape)).reshape(shape)

    def run(camera: Camera) -> tuple[Persons, Any]:
        persons = rooted(Varied((3,), 0.5, 2), camera)
        return persons, posed(Varied((18, 3), 8, 56), persons, camera)

    assumed = run(Camera.from_focal_length(WIDTH, HEIGHT, 1500))
    persons, poses = run(Camera.from_focal_length(WIDTH, HEIGHT, focal_px))
    assert np.ptp(persons.roots[VALID, 2]) > 0.5
    ratio = focal_px / 1500
    np.testing.assert_allclose(assumed[0].rescaled(ratio).roots, persons.roots, rtol=1e-5)
    np.testing.assert_allclose(assumed[0].roots[:, :2], persons.roots[:, :2], rtol=1e-5)
    np.testing.assert_allclose(
        assumed[1].rescaled(ratio).joints, poses.joints, rtol=1e-4, atol=1e-5
    )


def test_rootnet_keeps_everything_else_of_the_people() -> None:
    persons = people()
    keypoints = Keypoints(HALPE26, np.ones((10, 26, 2)), np.ones((10, 26)))
    persons = persons.with_roots(persons.roots, np.ones(10), keypoints)
    found = RootNet3DMPPE(TorchNetwork(Says(32, 32, 1)))(IMAGE, persons, CAMERA, BodySize())
    assert found.keypoints is keypoints
    assert found.ids == persons.ids
    np.testing.assert_array_equal(found.scores, persons.scores)
    np.testing.assert_array_equal(found.boxes, persons.boxes)
    np.testing.assert_array_equal(found.has_root, VALID)
    np.testing.assert_array_equal(found.root_depth_stddev_m, np.zeros(10))


def test_nobody_is_behind_the_camera() -> None:
    assert not rooted(Says(32, 32, -0.1)).has_root.any()


def test_joints_are_back_projected_each_at_its_own_depth() -> None:
    found = posed(Says(16, 48, 40, joints=18), people(depth_m=4.0), LENS)
    pixels = SQUARES[:, :2] + SQUARES[:, 2:] * [0.25, 0.75]
    depth_m = 4.0 + (40 / 64 * 2 - 1)
    wanted = LENS.back_project(pixels, np.full(8, depth_m))
    np.testing.assert_allclose(found.joints[VALID, 5], wanted, rtol=1e-6)
    assert np.isnan(found.joints[~VALID]).all()
    assert found.ids == people().ids
    outside = (pixels < 0).any(axis=1) | (pixels > [WIDTH - 1, HEIGHT - 1]).any(axis=1)
    assert outside.any()
    np.testing.assert_array_equal(found.joint_scores[VALID, 0], np.where(outside, 0, 1))


def test_people_without_a_root_keep_their_place_among_the_poses() -> None:
    boxes = CROPS['boxes'][:3]
    persons = people(boxes)
    persons.roots[1] = 0, 0, 4
    found = posed(Says(32, 32, 32, joints=18), persons)
    assert np.isfinite(found.joints).all(axis=(1, 2)).tolist() == [False, True, False]
    assert found.joint_scores.max(axis=1).tolist() == [0, 1, 0]
    picture = draw_overlay(IMAGE, CAMERA, found, persons)
    assert picture.shape == IMAGE.shape
    line = FrameResult(0, 0.0, persons, found).to_json()
    again = FrameResult.from_json(line, HUMAN36M)
    assert np.isfinite(again.poses.joints).all(axis=(1, 2)).tolist() == [False, True, False]


def test_nobody() -> None:
    network = Says(32, 32, 1)
    stage = RootNet3DMPPE(TorchNetwork(network))
    assert len(stage(IMAGE, Persons.none(), CAMERA, BodySize())) == 0
    assert len(posed(network, Persons.none())) == 0
    assert network.batches == []


def snapshot(path: Path, network: str, joints: int = 18) -> Path:
    tensors = {
        f'module.{k}': v.new_full((), 0).expand(v.shape) for k, v in rule_weights(network).items()
    }
    if network == 'posenet':
        shape = (joints * 64, 256, 1, 1)
        tensors['module.head.final_layer.weight'] = torch.zeros(()).expand(shape)
        tensors['module.head.final_layer.bias'] = torch.zeros(()).expand(shape[0])
    file = path / 'snapshot_7.pth.tar'
    torch.save({'epoch': 7, 'network': tensors, 'optimizer': {}}, file)
    return file


def test_the_chain_by_name(tmp_path: Path) -> None:
    """Networks of zeros: everything in the middle, depth as the bias of gamma says."""
    snapshot(tmp_path, 'posenet', 21)
    posenet = POSENETS['3dmppe'](None, RuntimeOptions(), OwnWeights(tmp_path, flip_test=True))
    assert posenet.skeleton is MUCO
    file = snapshot(tmp_path, 'rootnet')
    rootnet = ROOTNETS['3dmppe'](None, RuntimeOptions(), OwnWeights(tmp_path, 7))
    boxes = CROPS['boxes'][:2]
    assert not rootnet(IMAGE, people(boxes), CAMERA, BodySize()).has_root.any()  # gamma is 0
    poses = posenet(IMAGE, people(boxes, 5.0), CAMERA)
    np.testing.assert_allclose(poses.joints[..., 2], 5 - 1 / 64, atol=1e-5)
    for stage in (rootnet, posenet):
        assert stage.networks[0].precision == 'f32'
        assert stage.networks[0].busy_s > 0
    with pytest.raises(WeightsError, match='no snapshot of epoch 8; it has 7'):
        ROOTNETS['3dmppe'](None, RuntimeOptions(), OwnWeights(tmp_path, 8))
    with pytest.raises(WeightsError, match='holds RootNet'):
        POSENETS['3dmppe'](None, RuntimeOptions(), OwnWeights(file))
    with pytest.raises(RuntimeUnavailable, match=r"'GPU\.99' is not there"):
        ROOTNETS['3dmppe'](None, RuntimeOptions('GPU.99'), OwnWeights(file))


@pytest.mark.parametrize('load', [ROOTNETS['3dmppe'], POSENETS['3dmppe']])
def test_without_weights_it_is_said_which_parameter_takes_them(load: Any) -> None:
    with pytest.raises(WeightsError, match=r'--(rootnet|posenet)-weights'):
        load(None, RuntimeOptions())


@pytest.mark.parametrize('load', [ROOTNETS['keypoints'], POSENETS['blazepose']])
def test_own_weights_of_a_default_model_are_not_passed_over(load: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match='are for model 3dmppe'):
        load(None, RuntimeOptions(), OwnWeights(tmp_path))


def in_a_fresh_process(code: str) -> str:
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_tables_import_no_torch_until_3dmppe_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / 'snapshot_7.pth.tar'
    file.write_bytes(b'no snapshot')
    code = f"""
import sys
from pathlib import Path
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.stages import POSENETS, ROOTNETS, OwnWeights
from pose3d_ros.weights import WeightsError
for load in (ROOTNETS['keypoints'], POSENETS['blazepose'], ROOTNETS['3dmppe']):
    try:
        load(None, RuntimeOptions())
    except WeightsError:
        pass  # not fetched on this machine, or none given
print('torch' in sys.modules)
try:
    ROOTNETS['3dmppe'](None, RuntimeOptions(), OwnWeights(Path({str(file)!r})))
except WeightsError as error:
    print('torch' in sys.modules, 'is damaged' in str(error))
"""
    assert in_a_fresh_process(code).split() == ['False', 'True', 'True']


def test_without_torch_it_is_said_what_to_install(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
sys.modules['torch'] = None
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable
from pose3d_ros.stages import ROOTNETS, OwnWeights
try:
    ROOTNETS['3dmppe'](None, RuntimeOptions(), OwnWeights(Path({str(tmp_path)!r})))
except RuntimeUnavailable as error:
    print(error)
"""
    assert "pip install 'pose3d_ros[torch]'" in in_a_fresh_process(code)
