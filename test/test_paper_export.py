# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Exported networks compute what the original ones did, and no other file passes for one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from paper import PaperFiles, expected, needed_torch

torch = needed_torch()

from pose3d_ros.cli import export as command  # noqa: E402
from pose3d_ros.cli import main  # noqa: E402
from pose3d_ros.models import export, onnx_files  # noqa: E402
from pose3d_ros.models.crops3dmppe import MEAN, STD  # noqa: E402
from pose3d_ros.models.export import Difference, Exportable, ExportError  # noqa: E402
from pose3d_ros.models.onnx_files import OnnxFileError  # noqa: E402
from pose3d_ros.models.openvino_core import core  # noqa: E402
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable  # noqa: E402
from pose3d_ros.models.stages3dmppe import joint_cells  # noqa: E402
from pose3d_ros.skeletons import HUMAN36M, HUMAN36M_17, MUCO, MUPOTS, Skeleton  # noqa: E402

WANTED = expected('networks')
CROPS_BGR = np.ascontiguousarray(WANTED['crops_rgb'][..., ::-1])
F32 = RuntimeOptions(precision='f32')
both_runtimes = pytest.mark.parametrize('device', ['CPU', 'onnxruntime'])
#: Pixels of the heatmap, relative depth, cells of PoseNet's volume.
ROOT_PX, ROOT_DEPTH, POSE_CELLS = 1e-3, 1e-5, 5e-3


def root_differences(found: np.ndarray) -> tuple[float, float]:
    """Return how far x, y and gamma are from the original's x, y and depth."""
    wanted, depth = WANTED['rootnet_coord'], found[:, 2] * WANTED['rootnet_k_value'][:, 0]
    return np.abs(found[:, :2] - wanted[:, :2]).max(), np.abs(depth / wanted[:, 2] - 1).max()


@both_runtimes
def test_the_exported_rootnet_is_the_original(paper_files: PaperFiles, device: str) -> None:
    options = RuntimeOptions(device, 'f32')
    (found,) = onnx_files.load_rootnet(paper_files.exported['rootnet'], options)(CROPS_BGR)
    pixels, depth = root_differences(found)
    assert pixels < ROOT_PX
    assert depth < ROOT_DEPTH


@both_runtimes
def test_the_exported_posenet_is_the_original(paper_files: PaperFiles, device: str) -> None:
    options = RuntimeOptions(device, 'f32')
    network, skeleton = onnx_files.load_posenet(paper_files.exported['posenet'], options)
    assert skeleton is HUMAN36M
    np.testing.assert_allclose(network(CROPS_BGR)[0], WANTED['posenet_coord'], atol=POSE_CELLS)


def test_the_flip_test_of_the_exported_posenet_is_the_original_s(paper_files: PaperFiles) -> None:
    network, skeleton = onnx_files.load_posenet(paper_files.exported['posenet'], F32)
    mirrored = WANTED['posenet_coord_flipped_input_raw'].copy()
    mirrored[..., 0] = 64 - mirrored[..., 0] - 1
    for pair in HUMAN36M.flip_pairs:
        mirrored[:, pair] = mirrored[:, pair[::-1]]
    found = joint_cells(network, CROPS_BGR, skeleton, flip_test=True)
    np.testing.assert_allclose(found, (WANTED['posenet_coord'] + mirrored) / 2, atol=POSE_CELLS)


def test_what_bf16_costs(paper_files: PaperFiles) -> None:
    """On random weights: why 'auto' is f32. A cell is 31 mm of PoseNet's volume."""
    auto = onnx_files.load_rootnet(paper_files.exported['rootnet'], RuntimeOptions())
    assert auto.precision == 'f32'
    bf16 = RuntimeOptions(precision='bf16')
    try:
        rootnet = onnx_files.load_rootnet(paper_files.exported['rootnet'], bf16)
    except RuntimeUnavailable:
        pytest.skip('this processor has no bf16')
    pixels, depth = root_differences(rootnet(CROPS_BGR)[0])
    assert 0 < pixels < 0.5
    assert 0 < depth < 1e-2
    posenet, _ = onnx_files.load_posenet(paper_files.exported['posenet'], bf16)
    error = np.abs(posenet(CROPS_BGR)[0] - WANTED['posenet_coord'])
    assert 0 < error.mean() < 0.15
    assert error.max() < 1


@pytest.mark.parametrize('name', ['rootnet', 'posenet'])
def test_the_graph_takes_any_batch(paper_files: PaperFiles, name: str) -> None:
    """As it is in the file, with inputs as it says of itself that it takes them."""
    network = core().compile_model(
        str(paper_files.exported[name]), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'}
    )
    images = (WANTED['crops_rgb'] - np.float32(MEAN)) / np.float32(STD)
    pair = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    wanted = network(pair)[0]
    for n in (1, 3, 5):
        rows = np.arange(n) % len(pair)
        found = network(pair[rows])[0]
        assert len(found) == n
        np.testing.assert_allclose(found, wanted[rows], atol=1e-4, rtol=1e-5)


def test_the_files_say_what_they_are(paper_files: PaperFiles) -> None:
    for name in ('rootnet', 'posenet'):
        file = onnx_files.read(paper_files.exported[name])
        assert file.metadata['backbone'] == 'ResNet-50'
        assert (file.metadata['epoch'], file.metadata['precision']) == ('18', 'f32')
        assert file.metadata['source'] == 'snapshot_18.pth.tar'
        assert len(file.metadata['source_sha256']) == 64
        assert 'RGB' in file.metadata['input']
        said = paper_files.said[name]
        assert 'in OpenVINO against PyTorch' in said and '(at most' in said
        assert file.metadata['source_sha256'] in said
        # nor where on somebody's machine it was made
        folder = str(Path(__file__).parents[1]).encode()
        assert folder not in paper_files.exported[name].read_bytes()
    assert file.metadata['joint_set'] == 'human36m'
    assert file.metadata['joint_names'].split() == list(HUMAN36M.joint_names)


def test_half_precision_is_half_as_large(paper_files: PaperFiles, tmp_path: Path) -> None:
    out = tmp_path / 'half.onnx'
    weights = str(paper_files.snapshots['rootnet'])
    assert main(['export', 'rootnet', '--weights', weights, '--out', str(out),
                 '--precision', 'f16']) == 0  # fmt: skip
    assert out.stat().st_size < 0.51 * paper_files.exported['rootnet'].stat().st_size
    pixels, depth = root_differences(onnx_files.load_rootnet(out, F32)(CROPS_BGR)[0])
    assert ROOT_PX < pixels < 0.1
    assert ROOT_DEPTH < depth < 5e-3


def test_running_an_exported_network_needs_no_torch(paper_files: PaperFiles) -> None:
    rootnet, posenet = (paper_files.exported[name] for name in ('rootnet', 'posenet'))
    code = f"""
import sys
sys.modules['torch'] = None
from pathlib import Path
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.stages import POSENETS, ROOTNETS, OwnWeights
ROOTNETS['3dmppe'](None, RuntimeOptions(), OwnWeights(Path({str(rootnet)!r})))
own = OwnWeights(Path({str(posenet)!r}), flip_test=True)
print(POSENETS['3dmppe'](None, RuntimeOptions(), own).skeleton.name)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == 'human36m', done.stderr


def test_an_absent_device_is_said(paper_files: PaperFiles) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"device 'GPU\.9' .* CPU"):
        onnx_files.load_rootnet(paper_files.exported['rootnet'], RuntimeOptions('GPU.9'))


# --- files that are something else


def toy(
    output: str = 'joints',
    shape: tuple[Any, ...] = ('n', 18, 3),
    image: tuple[str, tuple[Any, ...]] = ('image', ('n', 3, 256, 256)),
    **metadata: str,
) -> onnx.ModelProto:
    """Return a graph of the right form that says 7 for everything."""
    name, axes = image
    count = int(np.prod([axis for axis in shape if isinstance(axis, int)]))
    inner = [axis if isinstance(axis, int) else -1 for axis in shape]
    value = numpy_helper.from_array(np.full((1, count), 7, np.float32), 'value')
    graph = helper.make_graph(
        [
            helper.make_node('Flatten', [name], ['flat']),
            helper.make_node('ReduceSum', ['flat', 'axis'], ['sum']),
            helper.make_node('Mul', ['sum', 'zero'], ['nought']),
            helper.make_node('Add', ['nought', 'value'], ['row']),
            helper.make_node('Reshape', ['row', 'form'], [output]),
        ],
        'toy',
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [
            value,
            numpy_helper.from_array(np.array([1]), 'axis'),
            numpy_helper.from_array(np.zeros(1, np.float32), 'zero'),
            numpy_helper.from_array(np.array(inner), 'form'),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    helper.set_model_props(model, metadata)
    return model


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / 'x.onnx'
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(('joints', 'joint_set'), [(17, HUMAN36M_17), (21, MUCO)])
def test_without_metadata_the_output_tells_the_joint_set(
    tmp_path: Path, joints: int, joint_set: Skeleton
) -> None:
    path = saved(tmp_path, toy(shape=('n', joints, 3)))
    network, skeleton = onnx_files.load_posenet(path, F32)
    assert skeleton is joint_set
    (found,) = network(CROPS_BGR)
    assert found.shape == (2, joints, 3) and (found == 7).all()


def test_the_metadata_tell_joint_sets_of_one_size_apart(tmp_path: Path) -> None:
    path = saved(tmp_path, toy(shape=('n', 17, 3), joint_set='mupots'))
    assert onnx_files.load_posenet(path, F32)[1] is MUPOTS


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        (toy('root', ('n', 3)), 'holds RootNet; an exported PoseNet is expected'),
        (toy('dets', ('n', 5)), r'expected is an output joints, found dets \(any x 5\)'),
        (toy(image=('data', ('n', 3, 256, 256))), r'input image .* found data \(any x 3 x 256'),
        (toy(image=('image', ('n', 3, 224, 224))), r'found image \(any x 3 x 224 x 224\)'),
        (toy(image=('image', (1, 3, 256, 256))), r'found image \(1 x 3 x 256 x 256\)'),
        (toy(shape=('n', 25, 3)), r'any x 25 x 3, which is not a known joint set.* 18 \(human36m'),
        (toy(shape=('n', 18, 2)), 'any x 18 x 2, which is not a known joint set'),
        (toy(shape=('n', 18)), 'any x 18, which is not a known joint set'),
        (toy(joint_set='muco'), "is not the joint set 'muco' of its metadata"),
        (toy(joint_set='centaur'), "is not the joint set 'centaur' of its metadata"),
    ],
)  # fmt: skip
def test_another_graph_is_refused(tmp_path: Path, model: onnx.ModelProto, message: str) -> None:
    with pytest.raises(OnnxFileError, match=message):
        onnx_files.load_posenet(saved(tmp_path, model), F32)


def test_another_graph_is_no_rootnet(tmp_path: Path) -> None:
    with pytest.raises(OnnxFileError, match='holds PoseNet; an exported RootNet is expected'):
        onnx_files.load_rootnet(saved(tmp_path, toy()), F32)
    with pytest.raises(OnnxFileError, match="output 'root' is any x 4, expected any x 3"):
        onnx_files.load_rootnet(saved(tmp_path, toy('root', ('n', 4))), F32)


@pytest.mark.parametrize('kept', [0.0, 0.1, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = saved(tmp_path, toy())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(OnnxFileError, match=r'x\.onnx is damaged, or no ONNX file'):
        onnx_files.load_posenet(path, F32)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / 'gone.onnx', tmp_path):
        with pytest.raises(OnnxFileError, match=f'cannot read {path}'):
            onnx_files.load_rootnet(path, F32)


def test_a_graph_that_openvino_cannot_run_is_said(tmp_path: Path) -> None:
    model = toy()
    model.graph.node[0].op_type = 'Cauchy'
    model.graph.node[0].domain = 'elsewhere'
    model.opset_import.append(helper.make_opsetid('elsewhere', 1))
    with pytest.raises(OnnxFileError, match=r'x\.onnx cannot be run: .*Cauchy'):
        onnx_files.load_posenet(saved(tmp_path, model), F32)


@pytest.mark.parametrize('location', ['../secret', '{folder}/secret', 'link', 'gone'])
def test_weights_outside_the_folder_are_not_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / 'model'
    folder.mkdir()
    secret = tmp_path / 'secret'
    secret.write_bytes(bytes(54 * 4))
    (folder / 'link').symlink_to(secret)
    path = saved(folder, external(location.format(folder=tmp_path)))
    with pytest.raises(OnnxFileError, match=r'x\.onnx is damaged, or no ONNX file: .*value'):
        onnx_files.load_posenet(path, F32)
    shutil.copy(secret, folder / 'weights')  # and beside the graph they are
    onnx_files.load_posenet(saved(folder, external('weights')), F32)


def external(location: str) -> onnx.ModelProto:
    """Return a PoseNet whose weights lie in another file."""
    model = toy()
    value = model.graph.initializer[0]
    value.ClearField('raw_data')
    value.data_location = TensorProto.EXTERNAL
    for key, text in (('location', location), ('offset', '0'), ('length', str(54 * 4))):
        entry = value.external_data.add()
        entry.key, entry.value = key, text
    return model


# --- the command


def test_the_command_knows_the_networks_that_can_be_loaded() -> None:
    assert list(command.NETWORKS) == [*export.NETWORKS, 'mask_rcnn', 'detr']
    assert list(command.PRECISIONS) == list(export.PRECISIONS)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--out', '{folder}/x.pt'], 'has to end in .onnx'),
        (['--out', '{folder}/there.onnx'], 'there.onnx exists; .* --overwrite'),
        (['--out', '{folder}/folder.onnx', '--overwrite'], 'folder.onnx exists'),
        (['--out', '{folder}/gone/x.onnx'], 'there is no folder'),
        (['--out', '{folder}/x.onnx', '--epoch', '3'], 'no snapshot of epoch 3; it has 9, 18'),
        (['--out', '{folder}/x.onnx', '--epoch', '9'], 'snapshot_9.pth.tar is damaged'),
    ],
)
def test_bad_arguments_are_said(
    paper_files: PaperFiles,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    (tmp_path / 'there.onnx').write_text('mine')
    (tmp_path / 'folder.onnx').mkdir()
    words = [word.format(folder=tmp_path) for word in words]
    weights = str(paper_files.snapshots['rootnet'])
    assert main(['export', 'rootnet', '--weights', weights, *words]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['folder.onnx', 'there.onnx']
    assert (tmp_path / 'there.onnx').read_text() == 'mine'


def test_the_other_network_is_not_exported(
    paper_files: PaperFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(paper_files.snapshots['posenet'] / 'snapshot_18.pth.tar')
    assert main(['export', 'rootnet', '--weights', file, '--out', str(tmp_path / 'x.onnx')]) == 2
    assert 'holds PoseNet' in capsys.readouterr().err


class Doubles(torch.nn.Module):
    def forward(self, image: Any) -> Any:
        return image * 2


@pytest.mark.parametrize('off', [0.2, float('nan')])
def test_a_file_that_differs_is_not_written(tmp_path: Path, off: float) -> None:
    seen = []

    def compare(path: Path, precision: str) -> list[Difference]:
        seen.append((path, precision, list(onnx_files.read(path).outputs)))
        return [Difference('fine', 0.0, 1.0), Difference('metres', off, 0.1)]

    network = Exportable(Doubles(), {'image': torch.zeros(2, 3)}, ('twice',), {'a': 'b'}, compare)
    out = tmp_path / 'x.onnx'
    out.write_text('before')
    with pytest.raises(ExportError, match=r'differs from PyTorch: fine: 0 .*; metres: (0\.2|nan)'):
        export.write(network, out, 'f32')
    assert seen[0][1:] == ('f32', ['twice'])
    assert seen[0][0].parent.parent == tmp_path
    assert [p.name for p in tmp_path.iterdir()] == ['x.onnx'] and out.read_text() == 'before'


def test_a_file_is_replaced_when_asked_for(tmp_path: Path) -> None:
    out = tmp_path / 'x.onnx'
    out.write_text('before')
    network = Exportable(
        Doubles(), {'image': torch.zeros(2, 3)}, ('twice',), {'a': 'b'}, lambda *_: []
    )
    export.write(network, out, 'f32')
    file = onnx_files.read(out)
    assert file.metadata == {'a': 'b', 'precision': 'f32'}
    assert file.inputs == {'image': ('any', 3)} and file.outputs == {'twice': ('any', 3)}


def test_without_torch_it_is_said_what_to_install(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules['torch'] = None
from pose3d_ros.cli import main
sys.exit(main(['export', 'posenet', '--weights', 'x', '--out', {str(tmp_path / 'x.onnx')!r}]))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'pose3d_ros[torch]'" in done.stderr
