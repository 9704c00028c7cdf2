# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Protocols: oracles score 0, known offsets known errors, tables are complete and in order."""

from dataclasses import replace
from pathlib import Path
from time import process_time

import cv2
import made_up
import numpy as np
import pytest

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.evaluation import aligned, joint_errors, mpjpe
from pose3d_ros.evaluation.baselines import Trivial, best_gamma, mean_pose
from pose3d_ros.evaluation.outcome import Evaluation
from pose3d_ros.evaluation.protocols import (
    ACTIONS,
    SEQUENCES,
    human36m,
    mrpe,
    mupots_joint_groups,
    mupots_poses,
    mupots_roots,
    pw3d,
)
from pose3d_ros.evaluation.results import (
    MUPOTS_JOINTS_FILE,
    read_human36m,
    read_mupots,
    write_human36m,
    write_mupots,
)
from pose3d_ros.evaluation.running import FoundPoses
from pose3d_ros.evaluation.subjects import Subjects
from pose3d_ros.models.crops3dmppe import process_boxes
from pose3d_ros.skeletons import HUMAN36M, HUMAN36M_17, MUCO, MUPOTS


def h36m(groups: tuple[str, ...] = ACTIONS * 2) -> Annotations:
    return made_up.people(HUMAN36M, groups)


def mupots() -> Annotations:
    return made_up.people(MUPOTS, [name for name in SEQUENCES for _ in range(4)], in_image=2)


def oracle(truth: Annotations) -> FoundPoses:
    subjects = Subjects.annotated(truth)
    rows = subjects.rows
    return FoundPoses(subjects, truth.skeleton, truth.joints[rows], truth.pixels[rows])


def turned(found: FoundPoses, by: tuple[float, float, float], scale: float = 1) -> FoundPoses:
    """Return the poses turned about their first joints, and larger."""
    root = found.joints[:, :1]
    turn = cv2.Rodrigues(np.array(by, np.float64))[0]
    return replace(found, joints=(found.joints - root) @ turn.T * scale + root)


def test_oracles_score_0_and_100() -> None:
    truth = h36m()
    for protocol in (1, 2):
        assert human36m(truth, oracle(truth), 'x', protocol).runs[0].total == pytest.approx(
            (0, 0, 0), abs=1e-9
        )
    assert mrpe(truth, Subjects.annotated(truth), 'x').runs[0].total == (0, 0, 0, 0)
    many = mupots()
    total = mupots_poses(many, oracle(many), 'x').runs[0].total
    assert total == pytest.approx((100, 100 * 30 / 31) * 4)
    # AP's sum leaves out the first of 80
    roots = mupots_roots(many, Subjects.annotated(many), 'x').runs[0]
    assert roots.total == pytest.approx((98.75,) * 4)
    assert roots.values[0] == pytest.approx((75,) * 4)  # 4 people a sequence


def test_known_offsets_of_roots() -> None:
    truth = h36m()
    moved = truth.roots + np.array([0.03, -0.04, 0.12])
    found = mrpe(truth, Subjects.annotated(truth).with_roots(moved, 'x'), 'x')
    assert [metric.name for metric in found.metrics] == ['MRPE', 'MRPE x', 'MRPE y', 'MRPE z']
    assert found.runs[0].total == pytest.approx((130, 30, 40, 120))


def test_known_offsets_of_poses() -> None:
    truth = h36m()
    exact = oracle(truth)
    shifted = replace(exact, joints=exact.joints + np.array([0.5, 0, 1]))
    assert human36m(truth, shifted, 'x', 2).runs[0].total == pytest.approx((0, 0, 0), abs=1e-9)
    # one joint of 17 off by 34 mm; the root is not moved by it
    wrist = exact.joints.copy()
    wrist[:, HUMAN36M.index('L_Wrist'), 1] += 0.034
    assert human36m(truth, replace(exact, joints=wrist), 'x', 2).runs[0].total[0] == pytest.approx(
        2
    )
    # the thorax is not scored, though it bears on the alignment
    thorax = exact.joints.copy()
    thorax[:, HUMAN36M.index('Thorax'), 1] += 0.1
    total = human36m(truth, replace(exact, joints=thorax), 'x', 2).runs[0].total
    assert total[0] == pytest.approx(0, abs=1e-9) and total[1] > 1


def test_pa_takes_away_rotation_and_only_where_it_says_so_scale() -> None:
    truth = h36m()
    error, rigid, scaled = human36m(truth, turned(oracle(truth), (0, 0.5, 0)), 'x', 2).runs[0].total
    assert error > 50 and rigid == pytest.approx(0, abs=1e-6) == scaled
    error, rigid, scaled = (
        human36m(truth, turned(oracle(truth), (0, 0.5, 0), 1.2), 'x', 2).runs[0].total
    )
    assert error > rigid > 30 and scaled == pytest.approx(0, abs=1e-6)


def originals_pa(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the errors (17,) of one pose as Human36M.py of PoseNet computes them."""
    predicted, truth = predicted - predicted[0], truth - truth[0]
    middle, target = predicted.mean(axis=0), truth.mean(axis=0)
    covariance = sum(
        np.outer(a, b) for a, b in zip(predicted - middle, truth - target, strict=True)
    )
    u, _, vt = np.linalg.svd(covariance)
    rotation = vt.T @ u.T
    if np.linalg.det(rotation) < 0:
        vt[2] = -vt[2]
        rotation = vt.T @ u.T
    moved = np.array([rotation @ (point - middle) + target for point in predicted])
    return np.array([np.sqrt(sum((moved[j] - truth[j]) ** 2)) for j in range(17)])


def test_protocol_1_and_2_are_those_of_the_original() -> None:
    truth = h36m()
    rng = np.random.default_rng(1)
    exact = oracle(truth)
    found = replace(exact, joints=exact.joints + rng.normal(0, 0.2, exact.joints.shape))
    one, two = (human36m(truth, found, 'x', p) for p in (1, 2))
    pa = [originals_pa(a, b) for a, b in zip(found.joints, truth.joints, strict=True)]
    plain = [
        np.linalg.norm((a - a[0]) - (b - b[0]), axis=1)[:17]
        for a, b in zip(found.joints, truth.joints, strict=True)
    ]
    assert one.metrics[0].name == 'PA MPJPE' and two.metrics[0].name == 'MPJPE'
    assert one.runs[0].total[0] == pytest.approx(1000 * np.mean(pa))
    assert two.runs[0].total[0] == pytest.approx(1000 * np.mean(plain))
    for i, action in enumerate(ACTIONS):
        rows = [row for row, group in enumerate(truth.groups) if group == action]
        assert one.runs[0].values[i][0] == pytest.approx(1000 * np.mean([pa[r] for r in rows]))
        assert two.runs[0].values[i][0] == pytest.approx(1000 * np.mean([plain[r] for r in rows]))


def test_mirror_images_are_not_aligned_by_reflection() -> None:
    truth = np.random.default_rng(0).normal(size=(20, 18, 3))
    mirrored = truth * [-1, 1, 1]
    for pose, target, found in zip(
        mirrored, truth, aligned(mirrored, truth, False) - truth, strict=True
    ):
        np.testing.assert_allclose(np.linalg.norm(found, axis=1)[:17], originals_pa(pose, target))
    np.testing.assert_allclose(
        joint_errors(mirrored, truth, (0,)).mean(axis=1), mpjpe(mirrored, truth, (0,))
    )


def test_totals_are_means_over_people_and_of_mupots_over_sequences() -> None:
    truth = h36m(('Walking',) * 3 + ('Directions',))
    moved = truth.roots.copy()
    moved[:3, 2] += 0.1
    found = mrpe(truth, Subjects.annotated(truth).with_roots(moved, 'x'), 'x')
    assert found.runs[0].total[0] == pytest.approx(75)
    many = made_up.people(MUPOTS, ['TS1'] * 6 + ['TS2'] * 2, in_image=2)
    right = oracle(many)
    wrong = right.joints.copy()
    wrong[6:, :14] *= -1
    total = mupots_poses(many, replace(right, joints=wrong), 'x').runs[0].total
    assert total[0] == pytest.approx(50, abs=20) and total[0] < 60  # over people it were 75 or more


def test_tables_are_complete_and_in_the_published_order() -> None:
    truth = h36m(('WalkTogether', 'Eating', 'Directions'))
    found = mrpe(truth, Subjects.annotated(truth), 'x')
    assert found.groups == ACTIONS
    summary, actions = found.tables()
    assert [row[0] for row in actions.rows] == [*ACTIONS, 'mean over people']
    assert actions.rows[2][1:3] == (1, 0.0) and actions.rows[1][1] == 0
    assert np.isnan(actions.rows[1][2])
    assert 'Not in the data, nor in the mean: Discussion, Greeting' in summary.note
    assert actions.cells()[2] == ['Discussion', '0', '-', '-', '-', '-']
    backwards = made_up.people(MUPOTS, [name for name in SEQUENCES[::-1] for _ in range(2)])
    assert mupots_poses(backwards, oracle(backwards), 'x').groups == SEQUENCES
    joints = mupots_joint_groups(backwards, oracle(backwards), 'x')
    assert joints.groups[0] == 'Head' and joints.groups[-1] == 'Ankle'
    assert joints.runs[0].total == pytest.approx((100,) * 4)
    nameless = made_up.people(HUMAN36M, ('', ''))
    assert len(mrpe(nameless, Subjects.annotated(nameless), 'x').tables()) == 1


def test_people_who_are_missing_are_named() -> None:
    truth = h36m()
    some = Subjects.annotated(truth)[np.arange(2, 30)]
    with pytest.raises(DataError, match=r'2 of 30 people have no result.*img_000000.*img_000001'):
        mrpe(truth, some, 'x')
    unknown = Subjects.annotated(truth).with_roots(np.full((30, 3), np.nan), 'x')
    with pytest.raises(DataError, match='30 of 30 people have no position'):
        mrpe(truth, unknown, 'x')
    # nobody can be cut out of nothing: as in the original, that person is left out
    boxes = truth.boxes.copy()
    boxes[4, 2:] = 0
    less = replace(truth, boxes=boxes)
    evaluation = mrpe(less, Subjects.annotated(less), 'x')
    assert evaluation.people[-1] == 29 and '1 people without a box' in evaluation.notes[0]


def test_a_wrong_joint_set_is_named() -> None:
    truth = h36m()
    other = made_up.people(MUCO, ACTIONS * 2)
    with pytest.raises(DataError, match="what was found has the joint set 'muco', without Torso"):
        human36m(truth, oracle(other), 'x', 2)
    with pytest.raises(DataError, match="made up test has the joint set 'muco', without Torso"):
        human36m(other, oracle(truth), 'x', 2)
    with pytest.raises(DataError, match="joint set 'human36m', without Head_top"):
        mupots_poses(mupots(), oracle(truth), 'x')
    # all 21 of MuCo are fine, the first 17 are scored
    people = made_up.people(MUCO, ['TS1'] * 4)
    assert mupots_poses(people, oracle(people), 'x').runs[0].total[0] == 100


def test_3dpw_is_scored_on_the_joints_that_both_have() -> None:
    truth = made_up.people(MUCO, ('downtown',) * 3)
    assert pw3d(truth, oracle(truth), 'x').runs[0].total == pytest.approx((0, 0, 0), abs=1e-9)
    found = oracle(truth)
    toes = found.joints.copy()
    toes[:, MUCO.index('L_Toe')] += 1
    assert pw3d(truth, replace(found, joints=toes), 'x').runs[0].total[0] == pytest.approx(0)
    toes[:, MUCO.index('L_Ankle'), 0] += 0.13
    assert pw3d(truth, replace(found, joints=toes), 'x').runs[0].total[0] == pytest.approx(10)


def test_detected_boxes_are_told_apart_by_overlap() -> None:
    truth = made_up.people(HUMAN36M, ('Walking',) * 6, in_image=2)
    order = np.array([1, 0, 3, 2, 5, 4])
    boxes = truth.boxes[order] + np.array([2, -3, 1, 4])
    extra = np.array([[0, 0, 20, 20.0]])  # found nobody
    subjects = Subjects.detected(
        truth, np.append(truth.image_indices[order], 1), np.concatenate([boxes, extra]),
        np.ones(7), 'detections.json',
    )  # fmt: skip
    assert subjects.rows.tolist() == [*order, -1]
    assert np.isnan(subjects.roots).all() and subjects.boxes_from == 'detections.json'
    squares, _ = process_boxes(boxes, made_up.WIDTH, made_up.HEIGHT)
    np.testing.assert_allclose(subjects.squares[:6], squares)
    moved = np.full((7, 3), 0.1)
    moved[:6] = truth.roots[order]
    assert mrpe(truth, subjects.with_roots(moved, 'x'), 'x').runs[0].total == (0, 0, 0, 0)


def test_an_evaluation_survives_json(tmp_path: Path) -> None:
    truth = h36m(('Eating', 'Walking', 'Walking'))
    one = human36m(truth, oracle(truth), 'oracle', 2)
    both = one.joined(human36m(truth, turned(oracle(truth), (0, 1, 0)), 'turned', 2))
    again = Evaluation.from_json(both.to_json())
    assert [run.name for run in again.runs] == ['oracle', 'turned']
    assert again.to_json() == both.to_json() and again.markdown() == both.markdown()
    assert '| turned | ground truth | ground truth | 3 |' in again.markdown()
    assert 'NaN' not in both.to_json()
    again.plot(tmp_path / 'plot.png')
    picture = cv2.imread(str(tmp_path / 'plot.png'))
    assert picture.shape[0] > 300 and picture.std() > 10
    with pytest.raises(ValueError, match='cannot be compared'):
        one.joined(human36m(truth, oracle(truth), 'oracle', 1))


def test_the_best_gamma_is_the_best() -> None:
    training = h36m()
    people = Subjects.annotated(training)
    fitted = Trivial.fitted(training)
    gamma = fitted.gamma

    def error(value: float) -> float:
        placed = replace(fitted, gamma=value).roots(people)
        return float(np.abs(placed.roots[:, 2] - people.roots[:, 2]).mean())

    grid = gamma * np.linspace(0.5, 1.5, 2001)
    assert error(gamma) <= min(error(value) for value in grid) + 1e-12
    placed = fitted.roots(people)
    assert f'{gamma:.3f} k' in placed.roots_from
    middle = people.squares[:, :2] + people.squares[:, 2:] / 2
    seen = placed.roots[:, :2] / placed.roots[:, 2:] * people.focal_px + people.centre_px
    np.testing.assert_allclose(seen, middle)


def test_the_mean_pose_heeds_only_what_is_known() -> None:
    training = h36m(('Eating',) * 4)
    joints = training.joints.copy()
    joints[1, 5] = np.nan
    training = replace(training, joints=joints)
    pose = mean_pose(training)
    around = joints - training.roots[:, None]
    np.testing.assert_allclose(pose[5], around[[0, 2, 3], 5].mean(axis=0))
    np.testing.assert_allclose(pose[6], around[:, 6].mean(axis=0))
    people = Subjects.annotated(training)
    found = Trivial.fitted(training).poses(people)
    np.testing.assert_allclose(found.joints - people.roots[:, None], np.tile(pose, (4, 1, 1)))
    joints[:, 7] = np.nan
    with pytest.raises(DataError, match='nobody has the joints Torso in 3D'):
        mean_pose(replace(training, joints=joints))
    with pytest.raises(DataError, match='no depths to fit gamma to'):
        best_gamma(replace(training, joints=np.full_like(joints, np.nan)))


def test_human36m_files_make_the_round_trip(tmp_path: Path) -> None:
    truth = h36m()
    exact = oracle(truth)
    found = turned(exact, (0, 0.3, 0))
    found = replace(found, subjects=exact.subjects.with_roots(found.joints[:, 0], 'x'))
    write_human36m(tmp_path, truth, found)
    file = tmp_path / 'bbox_root_pose_human36m_output.json'
    again = read_human36m(file, truth)
    assert again.skeleton == HUMAN36M_17 and again.subjects.roots_from == file.name
    np.testing.assert_allclose(again.joints, found.joints[:, :17], atol=1e-9)
    np.testing.assert_allclose(again.subjects.squares, found.subjects.squares)
    was, now = (human36m(truth, f, 'x', 2) for f in (found, again))
    assert now.runs[0].total[0] == pytest.approx(was.runs[0].total[0])
    assert 'no thorax' in now.notes[1]
    with pytest.raises(DataError, match='none of its 30 entries is of an image of made up test'):
        read_human36m(file, replace(truth, image_ids=np.arange(30)))
    file.write_text('[{"image_id": 1000}]')
    with pytest.raises(DataError, match="there is no 'joint_cam'"):
        read_human36m(file, truth)


def test_mat_files_make_the_round_trip(tmp_path: Path) -> None:
    truth = mupots()
    found = oracle(truth)
    everybody = np.arange(80)
    kept = everybody[everybody // 2 != 3]  # nobody was found in the fourth image
    found = FoundPoses(found.subjects[kept], MUPOTS, found.joints[kept], found.pixels[kept])
    write_mupots(tmp_path, truth, found)
    again = read_mupots(tmp_path, truth)
    np.testing.assert_allclose(again.joints, found.joints)
    np.testing.assert_array_equal(again.subjects.image_indices, found.subjects.image_indices)
    scores = [mupots_poses(truth, f, 'x').runs[0].total for f in (found, again)]
    assert scores[0] == pytest.approx(scores[1]) and scores[0][0] == pytest.approx(97.5)

    import scipy.io

    file = tmp_path / MUPOTS_JOINTS_FILE
    content = scipy.io.loadmat(str(file))
    assert content['TS1_img_000000'].shape == (2, 17, 3)
    assert content['TS2_img_000003'].shape == (0, 17, 3)
    np.testing.assert_allclose(content['TS1_img_000000'], 1000 * truth.joints[:2])
    del content['TS1_img_000000']
    scipy.io.savemat(str(file), {k: v for k, v in content.items() if not k.startswith('__')})
    with pytest.raises(DataError, match=r'1 of 40 images have no result.*TS1/img_000000'):
        read_mupots(tmp_path, truth)
    file.write_bytes(b'no such thing')
    with pytest.raises(DataError, match=r'is damaged, or no \.mat file'):
        read_mupots(tmp_path, truth)


def test_ten_thousand_people_are_scored_in_seconds(capsys: pytest.CaptureFixture) -> None:
    """Prints how long it took, of the processor's time: a busy neighbour changes nothing."""
    truth = made_up.people(HUMAN36M, [ACTIONS[i % 15] for i in range(10000)])
    found = turned(oracle(truth), (0, 0.3, 0))
    many = made_up.people(MUPOTS, [SEQUENCES[i // 500] for i in range(10000)], in_image=4)
    matched = oracle(many)
    start = process_time()
    one = [human36m(truth, found, 'x', 1), mrpe(truth, found.subjects, 'x')]
    middle = process_time()
    two = [mupots_poses(many, matched, 'x'), mupots_roots(many, matched.subjects, 'x')]
    end = process_time()
    assert all(evaluation.people[-1] == 10000 for evaluation in one + two)
    assert end - start < 10
    with capsys.disabled():
        print(f' Human3.6M {middle - start:.2f} s, MuPoTS {end - middle:.2f} s of 10,000', end='')
