# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Exported detectors find the same people as transformers does in PyTorch, and run without it."""

import contextlib
import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import detectors
import numpy as np
import onnx
import pytest
from paper import PaperFiles, needed_torch
from rclpy.parameter import Parameter
from real import people_image
from sensor_msgs.msg import Image
from std_msgs.msg import Header

needed_torch()

from transformers import HGNetV2Config, ResNetConfig  # noqa: E402

from pose3d_ros.benchmarks import detectors as benchmark  # noqa: E402
from pose3d_ros.benchmarks import random_detectors  # noqa: E402
from pose3d_ros.benchmarks.detector_process import Job, Measured  # noqa: E402
from pose3d_ros.cli import main  # noqa: E402
from pose3d_ros.models import export, export_detector, onnx_files  # noqa: E402
from pose3d_ros.models.detection import DetectorOptions, OptionsError  # noqa: E402
from pose3d_ros.models.detr import Detr, load_detr  # noqa: E402
from pose3d_ros.models.exported_detector import (  # noqa: E402
    ExportedDetector,
    scale,
    scaled_size,
)
from pose3d_ros.models.onnx_files import OnnxFileError  # noqa: E402
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable  # noqa: E402
from pose3d_ros.msg import PersonArray  # noqa: E402
from pose3d_ros.nodes.detector import DetectorNode  # noqa: E402
from pose3d_ros.nodes.messages import image_to_message  # noqa: E402
from pose3d_ros.stages import DETECTORS, OwnWeights  # noqa: E402
from pose3d_ros.weights import WeightsError  # noqa: E402

F32 = RuntimeOptions(precision='f32')
EVERYBODY = DetectorOptions(score_threshold=0.01, max_people=1000)
IMAGE = np.ascontiguousarray(people_image()[600:1500:2, 100:900:2])
#: Side of the square of the network of one size, pixels: asked for as 100, to the next 32.
SIDE = 96
#: That images are scaled to by the other.
SIZE = {'shortest_edge': 128, 'longest_edge': 213}
#: Family -> what makes its network smaller: PyTorch's exporter takes its time for every layer.
SMALLER: dict[str, dict[str, Any]] = {
    'detr': {
        'backbone_config': ResNetConfig(
            embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], layer_type='basic',
            out_features=['stage2'],
        ),
        'encoder_layers': 1,
        'decoder_layers': 1,
    },
    'd_fine': {
        'backbone_config': HGNetV2Config(
            stem_channels=[3, 8, 8], stage_in_channels=[8, 16, 32, 32],
            stage_mid_channels=[8, 8, 16, 16], stage_out_channels=[16, 32, 32, 64],
            stage_num_blocks=[1] * 4, stage_numb_of_layers=[1] * 4, hidden_sizes=[16, 32, 32, 64],
            use_learnable_affine_block=True, out_features=['stage3', 'stage4'],
        ),
        'encoder_in_channels': [32, 64],
        'feat_strides': [16, 32],
        'num_feature_levels': 2,
        'encode_proj_layers': [1],
        'decoder_in_channels': [32, 32],
        'decoder_n_points': [3, 3],
        # all places are looked at: of random weights many are equally likely
        'num_queries': (SIDE // 16) ** 2 + (SIDE // 32) ** 2,
    },
}  # fmt: skip
#: Family -> arguments of the export.
WORDS = {
    'detr': [],
    'd_fine': ['--input-long-side', '100', '--precision', 'f16'],
}


@pytest.fixture(scope='module')
def files(tmp_path_factory: Any) -> Any:
    """Return family -> its folder, the exported file and what the command said."""
    made = {}
    logging.disable(logging.WARNING)  # the exporter's own steps, which are many
    for family, words in WORDS.items():
        network = detectors.network_of(family, **SMALLER[family])
        folder = detectors.save(tmp_path_factory.mktemp('hub') / family, family, network)
        out, said = folder.parent / f'{family}.onnx', io.StringIO()
        with contextlib.redirect_stdout(said):
            assert (
                main(['export', 'detr', '--weights', str(folder), '--out', str(out), *words]) == 0
            )
        made[family] = folder, out, said.getvalue()
    logging.disable(logging.NOTSET)
    return made


@pytest.mark.parametrize('family', WORDS)
def test_people_are_those_of_pytorch(files: dict[str, tuple[Path, Path, str]], family: str) -> None:
    """Images that need no scaling, of which all is the network's."""
    folder, out, _ = files[family]
    exported, detr = ExportedDetector(out, 'detr', F32), Detr(load_detr(folder), F32)
    options = EVERYBODY if family == 'detr' else DetectorOptions(SIDE, 0.01, 1000)
    box_px, score = (1.0, 0.01) if family == 'd_fine' else (0.02, 1e-4)
    for image in (IMAGE, IMAGE.swapaxes(0, 1)):
        scaled = scale(image, SIZE if family == 'detr' else {'height': SIDE, 'width': SIDE})
        detectors.assert_same(exported(scaled, options), detr(scaled, options), box_px, score)


def test_scaled_images_are_transformers(files: dict[str, tuple[Path, Path, str]]) -> None:
    """In size exactly, in their values to the last step."""
    processor = load_detr(files['detr'][0]).processor
    for height, width in ((450, 400), (301, 997), (100, 77), (128, 170), (640, 480), (333, 200)):
        image = scale(IMAGE, {'height': height, 'width': width})
        given = {'images': image.copy(), 'return_tensors': 'np', 'do_normalize': False}
        wanted = processor(**given)['pixel_values']
        assert scaled_size(SIZE, height, width) == wanted.shape[2:]
        off = np.abs(scale(image, SIZE) - 255 * wanted[0].transpose(1, 2, 0))
        assert off.max() < 1.01 and off.mean() < 0.1


def test_another_size_where_the_network_takes_any(
    files: dict[str, tuple[Path, Path, str]],
) -> None:
    image, options = scale(IMAGE, {'height': 96, 'width': 80}), DetectorOptions(96, 0.01, 1000)
    exported, detr = (make(files) for make in (_exported, _in_pytorch))
    # the image is of 96 x 80 already
    detectors.assert_same(exported(image, options), detr(image, options), 0.02, 1e-4)


def _exported(files: dict[str, tuple[Path, Path, str]]) -> ExportedDetector:
    return ExportedDetector(files['detr'][1], 'detr', F32)


def _in_pytorch(files: dict[str, tuple[Path, Path, str]]) -> Detr:
    return Detr(load_detr(files['detr'][0]), F32)


def test_another_size_where_it_takes_one(files: dict[str, tuple[Path, Path, str]]) -> None:
    exported = ExportedDetector(files['d_fine'][1], 'detr', F32)
    exported(IMAGE, DetectorOptions(input_long_side=SIDE))
    for refuses in (exported.check, lambda options: exported(IMAGE, options)):
        with pytest.raises(OptionsError, match=r'takes 96 x 96 pixels: .* not 640'):
            refuses(DetectorOptions(input_long_side=640))


def test_another_size_is_refused_before_the_first_image(
    graph: Any,
    files: dict[str, tuple[Path, Path, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {'model': 'detr', 'weights': str(files['d_fine'][1])}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    too_large = Parameter('input_long_side', value=640)
    with pytest.raises(OptionsError, match='takes 96 x 96 pixels'):
        graph.add(DetectorNode(parameter_overrides=[*overrides, too_large]))
    node = DetectorNode(parameter_overrides=overrides)
    graph.add(node)
    (refused,) = node.set_parameters([too_large])
    assert not refused.successful and 'takes 96 x 96 pixels' in refused.reason
    (taken,) = node.set_parameters([Parameter('input_long_side', value=SIDE)])
    assert taken.successful and node.get_parameter('input_long_side').value == SIDE
    cv2.imwrite(str(tmp_path / '0.png'), IMAGE)
    out = tmp_path / 'out'
    words = ['--detector', 'detr', '--detector-weights', str(files['d_fine'][1])]
    words += ['--input-long-side', '640', '--out', str(out)]
    assert main(['video', str(tmp_path), *words]) == 2
    assert 'pose3d video: ' in (said := capsys.readouterr().err) and 'takes 96 x 96' in said
    assert not out.exists()


def test_the_files_say_what_they_are(files: dict[str, tuple[Path, Path, str]]) -> None:
    for family, score in (('detr', 'softmax of class 1'), ('d_fine', 'sigmoid of class 0')):
        folder, out, said = files[family]
        metadata = onnx_files.read(out).metadata
        assert score in metadata['score']
        assert metadata['source_sha256'] in said and '(at most' in said
        assert str(folder).encode() not in out.read_bytes()
    assert onnx_files.read(files['detr'][1]).inputs == {'image': (1, 3, 'any', 'any')}
    assert onnx_files.read(files['d_fine'][1]).inputs == {'image': (1, 3, SIDE, SIDE)}


def test_half_precision_is_that_of_the_weights(
    files: dict[str, tuple[Path, Path, str]],
) -> None:
    for family, kind in (('detr', 'FLOAT'), ('d_fine', 'FLOAT16')):
        out = files[family][1]
        tensors = onnx.load(out).graph.initializer
        weights = [t for t in tensors if len(t.dims) == 4 and np.prod(t.dims) > 1024]
        assert {t.data_type for t in weights} == {onnx.TensorProto.DataType.Value(kind)}
        assert onnx_files.read(out).metadata['precision'] == {'FLOAT': 'f32'}.get(kind, 'f16')


def test_running_it_needs_no_torch(files: dict[str, tuple[Path, Path, str]]) -> None:
    code = f"""
import sys
sys.modules['torch'] = sys.modules['transformers'] = sys.modules['torchvision'] = None
from pathlib import Path
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.stages import DETECTORS, OwnWeights
detector = DETECTORS['detr'](None, RuntimeOptions(), OwnWeights(Path({str(files['detr'][1])!r})))
print(detector.networks[0].precision)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == 'f32', done.stderr


def test_bf16_is_refused_at_every_door(
    graph: Any,
    files: dict[str, tuple[Path, Path, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, coarse = files['detr'][1], 'too coarse for the corners of boxes; use precision f32'
    with pytest.raises(RuntimeUnavailable, match=coarse):
        DETECTORS['detr'](None, RuntimeOptions(precision='bf16'), OwnWeights(file))
    values = {'model': 'detr', 'weights': str(file), 'precision': 'bf16'}
    with pytest.raises(RuntimeUnavailable, match=coarse):
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        graph.add(DetectorNode(parameter_overrides=overrides))
    cv2.imwrite(str(tmp_path / '0.png'), IMAGE)
    words = ['--detector', 'detr', '--detector-weights', str(file), '--precision', 'bf16']
    assert main(['video', str(tmp_path), *words, '--out', str(tmp_path / 'out')]) == 2
    assert coarse in capsys.readouterr().err and not (tmp_path / 'out').exists()
    job = Job('detr_r50', 'detr', str(file), 'bf16', False, [[[0, 0, 9, 9]]])
    with pytest.raises(WeightsError, match=coarse):
        benchmark.measure(job)
    assert main(['benchmark', 'detectors', '--exported', '--precision', 'bf16']) == 1
    assert 'exported detectors do not run in bf16; use' in capsys.readouterr().err


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, bool]]:
    """Return what `pose3d benchmark detectors` measures: weights, and whether an exported file."""
    done: list[tuple[str | None, bool]] = []

    def measure(job: Job) -> Measured:
        # it is there as long as it is measured
        out = None if job.weights is None else Path(job.weights)
        done.append((job.weights, out is not None and out.suffix == '.onnx' and out.is_file()))
        return Measured('f32', 1.0, 1.0, 1.0, 3.0, 100.0, 2.0)

    monkeypatch.setattr(benchmark, 'measure', measure)
    monkeypatch.setattr(benchmark, 'people_of_frames', lambda count: [[[0, 0, 9, 9]]] * count)
    return done


BENCHMARK = ['benchmark', 'detectors', '--detectors', 'detr_r50', '--frames', '1']


def test_the_benchmark_exports_what_it_measures(
    jobs: list[tuple[str | None, bool]],
    files: dict[str, tuple[Path, Path, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Random networks, here smaller ones, of which one that was exported before takes the place."""
    config = detectors.network_of('detr', **SMALLER['detr']).config
    monkeypatch.setitem(random_detectors.CONFIGS, 'detr_r50', lambda: config)
    converted = []

    def convert(network: export.Exportable, precision: str) -> onnx.ModelProto:
        converted.append((network.metadata['network'], network.open_axes, precision))
        return onnx.load(files['detr'][1])

    monkeypatch.setattr(export, 'converted', convert)
    assert main([*BENCHMARK, '--exported', '--out', str(tmp_path / 'x.json')]) == 0
    assert converted == [('DetrForObjectDetection', (2, 3), 'f32')]
    (default, _), (pytorch, _), (exported, is_file) = jobs
    assert default is pytorch is None and is_file and not Path(str(exported)).exists()
    rows = json.loads((tmp_path / 'x.json').read_text())['tables'][0]['rows']
    assert [row[2:5] for row in rows] == [
        ['published', 'OpenVINO', 'f32'],
        ['random', 'PyTorch', 'f32'],
        ['random', 'OpenVINO, exported', 'f32'],
    ]
    capsys.readouterr()


def test_the_benchmark_takes_what_was_exported(
    jobs: list[tuple[str | None, bool]],
    files: dict[str, tuple[Path, Path, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = str(files['detr'][1])
    assert main([*BENCHMARK, '--exported', '--weights', f'detr_r50={file}']) == 0
    assert jobs == [(None, False), (file, True)]
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith('DETR'))
    assert 'published  OpenVINO, exported' in line


def test_the_benchmark_says_what_cannot_be_exported(
    jobs: list[tuple[str | None, bool]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = detectors.save(tmp_path / 'yolos', 'yolos')
    assert main([*BENCHMARK, '--exported', '--weights', f'detr_r50={folder}']) == 1
    assert 'detr_r50: YolosForObjectDetection makes' in capsys.readouterr().err
    assert jobs == [(None, False), (str(folder), False)]


def test_the_benchmark_runs_it_without_torch(files: dict[str, tuple[Path, Path, str]]) -> None:
    people = [[[300.0, 200.0, 90.0, 200.0]]]
    job = Job('detr_r50', 'detr', str(files['detr'][1]), 'auto', False, people)
    measured = benchmark.measure(job)
    assert measured.precision == 'f32' and measured.people == 1
    assert min(measured.detect_ms, measured.root_ms) > 1 and 100 < measured.peak_mib < 600


def test_who_antialiases_matters_only_where_images_become_smaller() -> None:
    """A processor that does not is refused for the scaled images of a camera."""
    size = {'height': 700, 'width': 700}

    def scaled(image: np.ndarray) -> np.ndarray:
        other = cv2.resize(image, (700, 700), interpolation=cv2.INTER_LINEAR)
        return other[..., ::-1].astype(np.float64)

    original = export_detector.Original(
        'detr', Path('x'), 'X', 'x', size, [0.0] * 3, [1.0] * 3, 0, scaled,
        lambda image: (np.ones(1), np.ones((1, 4))),
    )  # fmt: skip
    assert np.abs(scaled(IMAGE) - scale(IMAGE, size)[..., ::-1]).max() <= 1
    difference = export_detector._scaling_difference(original)
    assert difference.largest > 10 > difference.allowed


def test_the_node_runs_it(graph: Any, files: dict[str, tuple[Path, Path, str]]) -> None:
    values = {'model': 'detr', 'weights': str(files['detr'][1]), 'score_threshold': 0.01,
              'max_people': 1000}  # fmt: skip
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    graph.add(DetectorNode(parameter_overrides=overrides))
    people = graph.collect(PersonArray, 'detections')
    header = Header(frame_id='camera_optical_frame')
    graph.publisher(Image, 'image_raw').publish(image_to_message(IMAGE, header))
    graph.wait(lambda: people, 'detections')
    wanted = _exported(files)(IMAGE, EVERYBODY)
    assert len(people[0].persons) == len(wanted) > 3
    scores = [person.score for person in people[0].persons]
    np.testing.assert_allclose(sorted(scores), sorted(wanted.scores), atol=1e-6)


def test_other_files_are_refused(
    files: dict[str, tuple[Path, Path, str]], paper_files: PaperFiles, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match='holds RootNet; an exported detector is expected'):
        DETECTORS['detr'](None, F32, OwnWeights(paper_files.exported['rootnet']))
    with pytest.raises(OnnxFileError, match='holds detector; an exported RootNet is expected'):
        onnx_files.load_rootnet(files['detr'][1], F32)
    with pytest.raises(WeightsError, match='holds DETR; an exported Mask R-CNN is expected'):
        DETECTORS['mask_rcnn'](None, F32, OwnWeights(files['detr'][1]))


@pytest.mark.parametrize(
    ('metadata', 'message'),
    [
        ({'size': None}, "no 'size' in its metadata"),
        ({'mean': 'grey'}, "no 'mean' in its metadata"),
        ({'std': '[1, 2]'}, 'not one number a colour'),
        ({'size': '{"height": 9, "width": 9}'}, 'size .* is not that of its input'),
        ({'size': '7'}, 'size 7 of its metadata is not that of its input'),
    ],
)
def test_metadata_that_do_not_fit_are_refused(
    files: dict[str, tuple[Path, Path, str]],
    tmp_path: Path,
    metadata: dict[str, str | None],
    message: str,
) -> None:
    model = onnx.load(files['detr'][1])
    kept = {entry.key: entry.value for entry in model.metadata_props} | metadata
    onnx.helper.set_model_props(model, {k: v for k, v in kept.items() if v is not None})
    onnx.save(model, tmp_path / 'x.onnx')
    with pytest.raises(OnnxFileError, match=message):
        ExportedDetector(tmp_path / 'x.onnx', 'detr', F32)


def test_scores_without_boxes_are_refused(
    files: dict[str, tuple[Path, Path, str]], tmp_path: Path
) -> None:
    model = onnx.load(files['detr'][1])
    kept = [output for output in model.graph.output if output.name != 'boxes']
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, tmp_path / 'x.onnx')
    with pytest.raises(WeightsError, match='expected are the outputs scores and boxes, found sco'):
        DETECTORS['detr'](None, F32, OwnWeights(tmp_path / 'x.onnx'))


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['mask_rcnn', '--epoch', '3'], '--epoch is of snapshots'),
        (['detr', '--epoch', '3'], '--epoch is of snapshots'),
        (['detr', '--input-long-side', '-1'], 'is below 0'),
        (['rootnet', '--input-long-side', '640'], '--input-long-side is for the detectors'),
        (['detr'], 'cannot be loaded'),
    ],
)
def test_what_cannot_be_exported_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    out = tmp_path / 'x.onnx'
    assert main(['export', *words, '--weights', str(tmp_path), '--out', str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_network_whose_images_are_prepared_otherwise_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """YOLOS takes sides of multiples of 16 pixels, which a file cannot say."""
    folder, out = detectors.save(tmp_path / 'yolos', 'yolos'), tmp_path / 'x.onnx'
    assert main(['export', 'detr', '--weights', str(folder), '--out', str(out)]) == 1
    assert 'this network can only run in PyTorch' in capsys.readouterr().err
    assert not out.exists()
