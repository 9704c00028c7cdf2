# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`pose3d benchmark`: the ground truth, the scoring and what is printed."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import real
from paper import PaperFiles, needed_torch
from test_paper_export import toy

from pose3d_ros import stages, weights
from pose3d_ros.benchmarks import (
    accuracy,
    accuracy_tables,
    detector,
    detectors,
    ground_truth,
    report,
    tracking,
)
from pose3d_ros.benchmarks.accuracy_tables import (
    PLACED,
    RESCALED,
    ROOTNET,
    TRAINED,
    TRUE_FOCAL,
    Estimate,
    K,
    Measurement,
    Setup,
)
from pose3d_ros.benchmarks.detector_process import Job, Measured
from pose3d_ros.benchmarks.ground_truth import LIMBS, GroundTruth, Observations
from pose3d_ros.camera import Camera
from pose3d_ros.cli import benchmark, main
from pose3d_ros.data.pose2sim import Clip, ClipCamera
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable
from pose3d_ros.people import Keypoints, Persons
from pose3d_ros.skeletons import HALPE26, HUMAN36M
from pose3d_ros.tables import Table

TABLE = Table('Title', (('', ''), ('mm', '.1f'), ('n', 'd')), [('a', 1.25, 3), ('bb', np.nan, 40)])


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    return parser.parse_args(words)


def test_tables_as_text_and_markdown() -> None:
    assert TABLE.text().splitlines() == [
        'Title',
        '     mm   n',
        'a   1.2   3',
        'bb    -  40',
    ]
    assert replace(TABLE, note='Note.').markdown().splitlines() == [
        '**Title**',
        '',
        '|  | mm | n |',
        '| --- | ---: | ---: |',
        '| a | 1.2 | 3 |',
        '| bb | - | 40 |',
        '',
        'Note.',
    ]


def test_results_go_to_a_json_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / 'out.json'
    report.give_out('accuracy', [TABLE], parsed('accuracy', '--out', str(file)))
    document = json.loads(file.read_text())
    assert document['tables'][0]['rows'] == [['a', 1.25, 3], ['bb', None, 40]]
    assert document['tables'][0]['columns'] == ['', 'mm', 'n']
    assert {'processor', 'cores', 'bf16', 'openvino'} < document['machine'].keys()
    assert 'bb    -  40' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['accuracy', 'detector', 'detectors', 'motion', 'tracking'])
def test_absent_files_say_what_to_run(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv('POSE3D_HOME', str(tmp_path))
    assert benchmark.run(parsed(name)) == 1
    error = capsys.readouterr().err
    assert f'{tmp_path}/' in error
    assert 'Run: pose3d fetch' in error


def test_an_unwritable_json_file_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / 'gone' / 'out.json'
    assert benchmark.run(parsed('detector', '--out', str(file))) == 1
    assert str(file) in capsys.readouterr().err


def toy_clip() -> Clip:
    """Return four cameras 5 m around the origin, all looking at it."""
    cameras = []
    for angle in (0.0, 1.4, 2.9, 4.4):
        rotation = (
            cv2.Rodrigues(np.array([0.2, 0, 0]))[0] @ cv2.Rodrigues(np.array([0, angle, 0]))[0]
        )
        camera = Camera.from_field_of_view(1080, 1920, 60)
        cameras.append(ClipCamera('', camera, rotation, np.array([0, 0, 5.0]), Path('none')))
    return Clip('toy', tuple(cameras), 20, 60)


def turned(clip: Clip, turns: np.ndarray) -> Clip:
    """Return the clip with each camera turned about its centre."""
    cameras = []
    for camera, turn in zip(clip.cameras, turns, strict=True):
        rotation = cv2.Rodrigues(turn)[0] @ camera.rotation
        cameras.append(replace(camera, rotation=rotation, translation=-rotation @ camera.centre))
    return replace(clip, cameras=tuple(cameras))


def seen(clip: Clip, joints: np.ndarray) -> Observations:
    """Return what the cameras see of joints (f, 26, 3) in the world."""
    xy = np.stack([c.camera.project(c.from_world(joints)) for c in clip.cameras])
    return Observations(xy, np.ones(xy.shape[:-1]))


def test_the_ground_truth_finds_body_and_turned_cameras() -> None:
    rng = np.random.default_rng(3)
    body = rng.uniform(-0.9, 0.9, (26, 3))
    joints = body + np.linspace(0, 0.4, 20)[:, None, None]  # walks
    turns = rng.normal(size=(4, 3)) * 0.01
    clip = toy_clip()
    truth = ground_truth.solve(turned(clip, turns), seen(clip, joints))
    middle = slice(3, -3)  # the median over time pulls the ends of the walk inwards
    np.testing.assert_allclose(truth.joints[middle], joints[middle][:, LIMBS], atol=1e-5)
    np.testing.assert_allclose(truth.turned_deg, np.degrees(np.linalg.norm(turns, axis=1)), 1e-3)
    assert np.median(truth.residual_before_px) > 3
    assert truth.residual_px.max() < 0.01
    assert truth.bone_stddev_m < 1e-5
    np.testing.assert_allclose(
        truth.in_camera(1, 10), clip.cameras[1].from_world(joints[10, LIMBS]), atol=1e-4
    )


def test_the_length_of_bones_shows_noise() -> None:
    rng = np.random.default_rng(3)
    joints = np.tile(rng.uniform(-0.9, 0.9, (26, 3)), (20, 1, 1))
    observations = seen(toy_clip(), joints)
    noise = rng.normal(size=observations.xy.shape) * 20  # pixels
    noisy = Observations(observations.xy + noise, observations.scores)
    assert 0.002 < ground_truth.solve(toy_clip(), noisy).bone_stddev_m < 0.1


def test_the_median_over_time_removes_an_outlier() -> None:
    joints = np.zeros((20, 2, 3))
    joints[7, 1] = 5
    assert not ground_truth.smoothed(joints).any()


class BrightSpot:
    """A keypoint network that puts each joint where the image is brightest."""

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> Keypoints:
        y, x = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
        assert boxes[0, 0] <= x <= boxes[0, 0] + boxes[0, 2]  # the box is mirrored too
        offsets = np.linspace(0, 0.2, 26)
        return Keypoints(HALPE26, np.tile([[x, y]], (26, 1))[None], offsets[None])


def test_keypoints_are_averaged_with_the_mirror_image_s() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    image[11, 30] = 255
    xy, scores = ground_truth.mirrored_mean(BrightSpot(), image, np.array([[25.0, 5, 10, 20]]))  # type: ignore[arg-type]
    np.testing.assert_allclose(xy, np.tile([30, 11], (26, 1)))
    # left and right shoulder (5, 6) have changed places in the mirror
    assert scores[5] == scores[6] == pytest.approx(0.2 * 5.5 / 25)


def test_keypoints_are_kept_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('POSE3D_HOME', str(tmp_path))
    calls = []

    def observe(clip: Clip) -> Observations:
        calls.append(clip.name)
        return Observations(np.full((4, 2, 26, 2), len(calls)), np.ones((4, 2, 26)))

    monkeypatch.setattr(ground_truth, 'observe', observe)
    single = replace(toy_clip(), name='single')
    for _ in range(2):
        assert ground_truth.cached_observations(single).xy.max() == 1
    assert ground_truth.cached_observations(replace(single, name='multi')).xy.max() == 2
    for file in (tmp_path / 'benchmark').iterdir():
        file.write_bytes(file.read_bytes()[:300])  # as if the disk had been full
    assert ground_truth.cached_observations(single).xy.max() == 3
    assert calls == ['single', 'multi', 'single']


def test_k_is_that_of_3dmppe() -> None:
    """The first box of 3DMPPE's demo: k = 9976 mm at a focal length of 1500 pixels.

    Their code makes the box a pixel narrower first.
    """
    camera = Camera(np.diag([1500.0, 1500, 1]), 640, 480)
    box = np.array([[139.41, 102.25, 222.39, 241.57]])
    assert accuracy.k_depths(box, camera) == pytest.approx([9.976], rel=0.005)


def test_scores_by_hand() -> None:
    truth = np.zeros((2, 12, 3)) + np.array([0, 0, 4])
    truth[:, :, 1] = np.linspace(-1, 1, 12)
    joints = truth + np.array([0.03, 0, 0.4])
    joints[1] = np.nan
    roots = np.array([[0.03, truth[0, 6:8, 1].mean(), 4.4], [np.nan] * 3])
    s = accuracy_tables.scores(Estimate(joints, roots, np.array([0.44, 0])), truth)
    assert s.mpjpe[0] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(s.xyz[0], [30, 0, 400], atol=1e-9)
    assert s.mrpe[0] == pytest.approx(np.hypot(30, 400))
    assert s.depth_percent[0] == pytest.approx(10)
    assert s.stddev_percent[0] == pytest.approx(10)
    for values in (s.mpjpe, s.pa_scaled, s.mrpe, s.depth_percent):
        assert np.isnan(values[1])
    # the missed view is not counted and does not spoil the means
    assert accuracy_tables._score_cells(s)[0] == 1
    assert accuracy_tables._score_cells(s)[-1] == pytest.approx(10)


def test_views_without_the_subject_are_missing() -> None:
    setup = Setup('', 'f32', ROOTNET)
    found = {setup: Estimate.of_roots(np.ones((1, 3)), np.ones(1))}
    joined = accuracy._by_setup([{}, found, {}])[setup]
    assert np.isfinite(joined.roots[:, 0]).tolist() == [False, True, False]


@pytest.fixture(scope='module')
def first_frames() -> tuple[Clip, GroundTruth]:
    """Return the single-person clip cut to one frame, and its ground truth, really measured."""
    clip = replace(Clip.load('single'), frame_count=1)
    return clip, ground_truth.solve(clip, ground_truth.observe(clip))


@pytest.fixture(scope='module')
def default_stack() -> accuracy.Stack:
    return accuracy.Stack(['blazepose'], 'f32')


@pytest.fixture(scope='module')
def trained_stack(paper_files: PaperFiles) -> accuracy.TrainedStack:
    return accuracy.TrainedStack(paper_files.exported['rootnet'], paper_files.exported['posenet'])


@pytest.fixture(scope='module')
def measured(
    first_frames: tuple[Clip, GroundTruth],
    default_stack: accuracy.Stack,
    trained_stack: accuracy.TrainedStack,
) -> Measurement:
    return accuracy.measure(*first_frames, [default_stack, trained_stack])


def test_accuracy_on_one_frame(
    first_frames: tuple[Clip, GroundTruth], measured: Measurement
) -> None:
    truth = first_frames[1]
    assert np.median(truth.residual_px) < 10
    assert 1.2 < np.ptp(truth.joints[0, :, 2]) < 1.5  # shoulders to ankles of a standing man
    by_setup = {s: accuracy_tables.scores(e, measured.truth) for s, e in measured.estimates.items()}
    assert {s.method for s in by_setup} == {PLACED, 'least squares only', ROOTNET, K, TRAINED}
    assert len({s.camera for s in by_setup}) == 9
    s = by_setup[Setup('blazepose', 'f32')]
    assert np.isfinite(s.mrpe).all()
    assert s.mpjpe.mean() < 150
    assert np.abs(s.depth_percent).max() < 12
    # a camera taken for one of half the focal length halves the depth
    wide = by_setup[Setup('blazepose', 'f32', PLACED, 'field of view 70 degrees')]
    assert wide.depth_percent.mean() < s.depth_percent.mean() - 10
    # and rescaled, what was found with it is as good as with the true one
    true = by_setup[Setup('blazepose', 'f32', PLACED, TRUE_FOCAL)]
    mended = by_setup[Setup('blazepose', 'f32', PLACED, 'field of view 70 degrees' + RESCALED)]
    np.testing.assert_allclose(mended.depth_percent, true.depth_percent, atol=1)
    titles = [table.title for table in accuracy_tables.tables(measured, truth)]
    assert len(titles) == 6  # there is no bf16 to compare with
    of_default = {s: p for s, p in measured.precisions.items() if s.method != TRAINED}
    assert of_default == {Setup('blazepose', 'f32'): 'f32'}


@pytest.mark.parametrize(
    ('auto', 'told', 'said'),
    [
        ('bf16', ['f32', 'bf16'], ['f32', 'bf16 (auto)']),
        ('f32', ['f32', 'bf16'], ['f32 (auto)', 'bf16']),
        ('mixed', ['f32', 'bf16', 'auto'], ['f32', 'bf16', 'auto (pose in bf16)']),
        ('f32 alone', ['f32'], ['f32 (auto)']),
        (
            'eight',
            ['f32', 'bf16', 'i8', 'auto'],
            ['f32', 'bf16', 'i8', 'auto (pose in f32)'],
        ),
    ],
)
def test_what_auto_comes_to_is_not_run_twice(
    monkeypatch: pytest.MonkeyPatch, auto: str, told: list[str], said: list[str]
) -> None:
    def loader(stage: str) -> Any:
        def load(directory: None, options: RuntimeOptions) -> argparse.Namespace:
            precision = options.precision
            if precision == 'bf16' and auto == 'f32 alone':
                raise RuntimeUnavailable('no bf16')
            if precision == 'i8' and auto != 'eight':
                raise RuntimeUnavailable('no i8')
            if auto == 'eight' and precision == 'auto':
                precision = 'i8' if stage == 'detector' else 'f32'
            if precision == 'auto':
                mixed = 'f32' if stage == 'detector' else 'bf16'
                precision = {'mixed': mixed, 'f32 alone': 'f32'}.get(auto, auto)
            return argparse.Namespace(networks=(argparse.Namespace(precision=precision),))

        return load

    monkeypatch.setitem(stages.DETECTORS, 'yolox', loader('detector'))
    monkeypatch.setitem(stages.ROOTNETS, 'keypoints', loader('rootnet'))
    monkeypatch.setitem(stages.POSENETS, 'blazepose', loader('posenet'))
    stacks = accuracy._stacks(['blazepose'])
    assert [stack.precision for stack in stacks] == told
    assert [name for stack in stacks for name in stack.precisions().values()] == said


def test_a_trained_pair_is_scored_beside_the_default(
    first_frames: tuple[Clip, GroundTruth],
    measured: Measurement,
    trained_stack: accuracy.TrainedStack,
    paper_files: PaperFiles,
) -> None:
    clip, truth = first_frames
    posenet = paper_files.exported['posenet']
    setup = Setup(f'{posenet.parent.name}/posenet.onnx', 'f32', TRAINED)
    # what the stages find of the subject, joint by joint
    view = clip.cameras[0].camera
    image = next(clip.frames(0))
    box = accuracy.box_around(view.project(truth.in_camera(0, 0)))
    person = accuracy.subject(real.yolox()(image, DetectorOptions()), box)
    assert person is not None
    rooted = trained_stack._rootnet(image, person, view, BodySize())
    poses = trained_stack._posenet(image, rooted, view)
    found = measured.estimates[setup]
    np.testing.assert_allclose(found.roots[:1], poses.roots)
    for joint, name in ((0, 'L_Shoulder'), (5, 'R_Wrist'), (10, 'L_Ankle')):
        np.testing.assert_allclose(found.joints[0, joint], poses.joints[0, HUMAN36M.index(name)])
    tables = accuracy_tables.tables(measured, truth)
    names = [row[0] for row in tables[1].rows]
    assert names == ['blazepose', setup.model] and 'The last row' in tables[1].note
    assert tables[2].rows[-1][:2] == (TRAINED, setup.model)


def test_a_pair_is_two_networks_of_known_joints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rootnet, posenet = (tmp_path / f'{name}.onnx' for name in ('rootnet', 'posenet'))
    rootnet.write_bytes(toy('root', ('n', 3)).SerializeToString())
    posenet.write_bytes(toy('joints', ('n', 18, 3)).SerializeToString())
    command = ['benchmark', 'accuracy', '--rootnet-weights', str(rootnet)]
    assert main(command) == 1
    assert 'are scored together: give both' in capsys.readouterr().err
    monkeypatch.setattr(accuracy, 'LIMB_JOINTS', ('left_shoulder', 'left_tail'))
    assert main([*command, '--posenet-weights', str(posenet)]) == 1
    assert "joint set 'human36m', without L_Tail" in capsys.readouterr().err


def test_somebody_else_is_not_the_subject(
    first_frames: tuple[Clip, GroundTruth],
    default_stack: accuracy.Stack,
    trained_stack: accuracy.TrainedStack,
) -> None:
    clip = first_frames[0]
    camera = {'calibration': clip.cameras[0].camera}
    nobody = np.array([900.0, 10, 60, 90])
    for stack in (default_stack, trained_stack):
        assert stack(next(clip.frames(0)), camera, nobody) == {}


def test_models_are_those_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = weights.path('blazepose_full')
    (tmp_path / file.name).symlink_to(file)
    monkeypatch.setenv('POSE3D_HOME', str(tmp_path))
    assert accuracy._present_models() == ['blazepose']
    said = capsys.readouterr().out
    assert 'blazepose_heavy' in said and 'blazepose_lite' in said


def test_labels_belong_to_the_film() -> None:
    frames = detector.labelled_frames()
    assert len(frames) == 24
    assert sum(len(frame.people) for frame in frames) == 141
    assert min(frame.people[:, 3].min() for frame in frames) >= detector.MIN_HEIGHT_PX
    assert {frame.image.shape for frame in frames} == {(576, 768, 3)}
    sha256 = {asset.name: asset.sha256 for asset in weights.ASSETS}['vtest']
    labels = json.loads(
        Path(detector.__file__).parents[1].joinpath('data', 'vtest_labels.json').read_text()
    )
    assert labels['sha256'] == sha256


def frame_with(box: tuple[int, int, int, int]) -> detector.Labelled:
    image = np.zeros((100, 200, 3), np.uint8)
    x, y, w, h = box
    image[y : y + h, x : x + w] = 255
    return detector.Labelled(image, np.array([box], float), np.zeros((0, 4)))


def test_tiles_carry_their_labels_along() -> None:
    frames = [frame_with((20 * i, 8 * i, 20, 40)) for i in range(1, 8)]
    pages = detector.tiled(frames, 0.5, (320, 110))
    # 3 x 2 tiles of 100 x 50 to a page
    assert [len(page.people) for page in pages] == [6, 1]
    for page in pages:
        assert page.image.shape == (110, 320, 3)
        expected = np.zeros((110, 320), bool)
        for x, y, w, h in page.people.astype(int):
            expected[y : y + h, x : x + w] = True
        np.testing.assert_array_equal(page.image[..., 0] == 255, expected)


class Fake:
    """A detector that finds every white patch, moved by some pixels."""

    def __init__(self, shift_px: float) -> None:
        self._shift_px = shift_px
        self.networks = (argparse.Namespace(precision='f32'),)

    def __call__(self, image: np.ndarray, options: DetectorOptions) -> Persons:
        box = np.array(cv2.boundingRect(image[..., 0]), float)
        return Persons((box + np.array([self._shift_px, 0, 0, 0]))[None], np.array([0.5]))


def test_detections_are_scored_against_the_labels() -> None:
    frames = [frame_with((30, 10, 20, 40)), frame_with((60, 20, 30, 70))]
    result = detector.detect(Fake(0), frames, 64, 0)
    assert result.recall_between(30, 50) == result.recall_between(50, 100) == 1
    assert np.isnan(result.recall_between(100, 200))
    result = detector.detect(Fake(8), frames, 64, 0)  # IoU 12 / 28 and 22 / 38
    assert result.recall_between(30, 50) == 0
    assert result.recall_between(50, 100) == 1
    text = detector.table('Fake', [result], (30, 50, 100), '').text()
    assert '30-50 px (1)' in text
    row = text.splitlines()[-1].split()
    assert row == ['64', 'x', '32', 'f32', '0.250', '0.50', '0.50', '0.00', '1.00']


def test_the_detector_finds_pedestrians() -> None:
    result = detector.detect(
        real.yolox(), detector.labelled_frames()[3:6], 736, detector.MIN_HEIGHT_PX
    )
    assert result.input_size == '736 x 544'
    assert result.recall_between(40, 200) > 0.8


def measured_as(detect_ms: float, total_ms: float, precision: str = 'f32') -> Measured:
    return Measured(precision, detect_ms, 10, 20, total_ms, 300, 2.5)


def test_detectors_are_compared_with_the_default_one() -> None:
    rows = [
        detectors.Row('yolox', False, detectors.OPENVINO, measured_as(40, 70, 'bf16')),
        detectors.Row('detr_r50', True, detectors.TORCH, measured_as(2000, 2030)),
    ]
    table = detectors.table(rows, parsed('detectors', '--paper', '--frames', '4'))
    assert (
        "4 frames of 1088 x 1920, 2.5 people each; RootNet and PoseNet: the paper's" in table.title
    )
    assert [row[2:5] for row in table.rows] == [
        ('published', 'OpenVINO', 'bf16'),
        ('random', 'PyTorch', 'f32'),
    ]
    assert table.rows[1][9:] == (50, 29, 300)
    assert 'does not depend on them' in table.note


def test_each_detector_runs_in_a_process_of_its_own() -> None:
    """The default one and the smallest of the others, really, on a frame."""
    ballast = np.ones(100_000_000)  # 800 MB of this process, not to be counted in
    people = detectors.people_of_frames(1)
    assert ballast.all() and len(people) == 1 and len(people[0]) >= 2
    jobs = [
        Job(name, detectors.DETECTORS[name][1], None, 'f32', False, people)
        for name in ('yolox', 'dfine_nano')
    ]
    with ThreadPoolExecutor() as pool:  # beside each other, since their times are not compared
        rows = dict(zip(('yolox', 'dfine_nano'), pool.map(detectors.measure, jobs), strict=True))
    for m in rows.values():
        assert m.precision == 'f32' and m.people == len(people[0])
        assert m.total_ms == pytest.approx(m.detect_ms + m.root_ms + m.pose_ms)
        assert min(m.detect_ms, m.root_ms, m.pose_ms) > 1
    # PyTorch and transformers are in the memory of the process that needs them alone
    assert 100 < rows['yolox'].peak_mib < 600 < rows['dfine_nano'].peak_mib < 1600


def test_what_a_detector_lacks_is_said(tmp_path: Path) -> None:
    file = tmp_path / 'detr.onnx'
    file.write_bytes(b'no network')
    job = Job('detr_r50', 'detr', str(file), 'f32', False, [[[0, 0, 9, 9]]])
    with pytest.raises(weights.WeightsError, match=f'detr_r50: {file} is damaged'):
        detectors.measure(job)
    with pytest.raises(SystemExit):
        parsed('detectors', '--weights', 'yolox=x')


@pytest.mark.parametrize(
    ('name', 'millions'),
    [('detr_r50', 41.5), ('rtdetr_v2_r18', 20.2), ('dfine_small', 10.3), ('dfine_nano', 3.8)],
)
def test_random_networks_are_of_the_published_size(name: str, millions: float) -> None:
    """DETR's paper says 41 M, RT-DETR's 20 M, D-FINE's 10 M and 4 M parameters."""
    from transformers import AutoModelForObjectDetection

    from pose3d_ros.benchmarks import random_detectors

    torch = needed_torch()
    with torch.device('meta'):
        network = AutoModelForObjectDetection.from_config(random_detectors.CONFIGS[name]())
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.1)


# What detection on some of the frames costs.


def walked(count: int, pixels_a_frame: float, gone_from: int = 1000) -> list[tracking.Look]:
    """Return looks at one person of 50 x 100 pixels who walks, and leaves at once."""
    looks = []
    for number in range(count):
        box = [] if number >= gone_from else [(100 + pixels_a_frame * number, 50, 50, 100)]
        persons = Persons(np.reshape(np.array(box, float), (-1, 4)), np.full(len(box), 0.9))
        looks.append(tracking.Look(number / 30, (2000, 200), persons, 40.0))
    return looks


def test_between_detections_a_walker_is_followed_and_one_who_left_is_too_many() -> None:
    outcome = tracking.compare([walked(121, 4.0)], 3)
    assert outcome.people == len(outcome.ious) == 80  # of 121, every third was detected on
    assert (outcome.took_ms >= 40).sum() == 41
    assert np.median(outcome.ious) > 0.97
    # who stays where he was is 4 and 8 pixels off in turn
    standing = np.array([46 / 54, 42 / 58])
    np.testing.assert_allclose(outcome.standing_ious[:2], standing)
    assert outcome.extra == 0
    left = tracking.compare([walked(9, 4.0, gone_from=5)], 3)
    # missed by nobody in 1, 2 and 4; in 5 the box of 3 is still there; 6 is detected on again
    assert (left.people, len(left.ious), left.extra) == (3, 3, 1)


def test_every_frame_detected_on_leaves_nothing_to_compare() -> None:
    outcome = tracking.compare([walked(10, 4.0)], 1)
    assert (len(outcome.ious), outcome.people, outcome.extra) == (0, 0, 0)
    row = tracking._row(30.0, 1, outcome)
    assert row[:2] == (30.0, 1) and np.isnan(np.array(row[3:], float)).all()
