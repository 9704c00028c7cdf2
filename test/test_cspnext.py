# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The backbone of RTMPose-s in RootNet and PoseNet: its weights, its snapshots, its export."""

from pathlib import Path

import numpy as np
import pytest
from paper import needed_torch

torch = needed_torch()
import onnx  # noqa: E402
import openvino as ov  # noqa: E402

from pose3d_ros import weights  # noqa: E402
from pose3d_ros.models import export, onnx_files  # noqa: E402
from pose3d_ros.models.crops3dmppe import MEAN, STD  # noqa: E402
from pose3d_ros.models.cspnext import CspNext  # noqa: E402
from pose3d_ros.models.openvino_core import core  # noqa: E402
from pose3d_ros.models.posenet import PoseNet  # noqa: E402
from pose3d_ros.models.rootnet import RootNet  # noqa: E402
from pose3d_ros.models.rtmpose_backbone import load_rtmpose  # noqa: E402
from pose3d_ros.models.snapshots import SnapshotError, load_posenet, load_rootnet  # noqa: E402
from pose3d_ros.training.saving import snapshot  # noqa: E402
from pose3d_ros.training.tasks import start_from  # noqa: E402


@pytest.fixture(scope='module')
def backbone() -> CspNext:
    """Return the backbone with RTMPose's weights, ready to predict."""
    network = CspNext().eval()
    network.load_state_dict(load_rtmpose(weights.path('rtmpose_s')))
    return network


def test_its_features_are_rtmpose_s(backbone: CspNext) -> None:
    model = core().read_model(str(weights.path('rtmpose_s')))
    last = [op for op in model.get_ordered_ops() if op.get_type_name() == 'Convolution'][-1]
    cut = ov.Model([last.input_value(0)], model.get_parameters())
    theirs = core().compile_model(cut, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    image = np.random.default_rng(0).standard_normal((1, 3, 256, 192)).astype(np.float32)
    wanted = theirs(image)[0]
    # of 3DMPPE's input for the same pixels
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    ours = ((torch.from_numpy(image) * std + mean) * 255 - mean) / std
    with torch.inference_mode():
        found = backbone(ours).numpy()
    assert found.shape == wanted.shape == (1, 512, 8, 6)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_small_crops_are_averaged(backbone: CspNext) -> None:
    small = CspNext(128).eval()
    small.load_state_dict(backbone.state_dict(), strict=False)
    halves = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    whole = halves.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.inference_mode():
        assert torch.allclose(small(whole), backbone(halves), rtol=1e-4, atol=1e-4)


def test_a_network_starts_from_it_and_its_snapshot_is_read(tmp_path: Path) -> None:
    path = tmp_path / 'snapshot_3.pth.tar'
    for network, load in (
        (RootNet('cspnext_s', 128), load_rootnet),
        (PoseNet(18, 'cspnext_s'), lambda p: load_posenet(p)[0]),
    ):
        start_from(network, weights.path('rtmpose_s'))
        torch.save(snapshot(3, network.state_dict(), {}), path)
        loaded = load(path)
        assert isinstance(loaded.backbone, CspNext)
        assert loaded.backbone.crop_px == network.backbone.crop_px
        for key, value in loaded.state_dict().items():
            assert torch.equal(value, network.state_dict()[key]), key


def test_a_network_with_it_is_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PoseNet(18, 'cspnext_s', 128)
    start_from(network, weights.path('rtmpose_s'))
    path, out = tmp_path / 'snapshot_0.pth.tar', tmp_path / 'posenet.onnx'
    torch.save(snapshot(0, network.state_dict(), {}), path)
    differences = export.write(export.posenet(path), out, 'f32')
    assert all(d.largest <= d.allowed for d in differences), differences
    assert onnx_files.read(out).metadata['backbone'] == 'CSPNeXt-s'


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match='is not RTMPose-s, whose backbone of 43 conv'):
        load_rtmpose(weights.path('yolox_tiny'))
    broken = tmp_path / 'rtmpose_s.onnx'
    broken.write_bytes(weights.path('rtmpose_s').read_bytes()[:100_000])
    with pytest.raises(SnapshotError, match=r'is damaged, or no \.onnx file'):
        load_rtmpose(broken)
    with pytest.raises(SnapshotError, match=r'is damaged, or no \.onnx file'):
        load_rtmpose(tmp_path / 'absent.onnx')
    with pytest.raises(SnapshotError, match=r'is not for ResNet-18: CSPNeXt-s begins with'):
        start_from(RootNet('resnet18'), weights.path('rtmpose_s'))


def test_weights_outside_of_the_file_are_not_looked_for(tmp_path: Path) -> None:
    model = onnx.load(str(weights.path('rtmpose_s')))
    first = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(first, str(tmp_path / 'elsewhere'))
    first.ClearField('raw_data')
    path = tmp_path / 'hostile.onnx'
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SnapshotError, match='is not RTMPose-s'):
        load_rtmpose(path)
