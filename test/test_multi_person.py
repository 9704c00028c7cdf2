# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The metrics of MuPoTS-3D: by hand, and against the loops of the scripts that define them."""

import numpy as np
import pytest

from pose3d_ros.evaluation.multi_person import (
    AUC_THRESHOLDS_M,
    JOINT_GROUPS,
    ap_root,
    auc,
    match_all,
    match_people,
    matched_errors,
    pck,
    pck_by_group,
    with_true_bones,
)

#: As the MATLAB script has them, from 1.
ORDER = (16, 2, 1, 17, 3, 4, 5, 6, 7, 8, *range(9, 15))
PARENTS = (2, 16, 2, 3, 4, 2, 6, 7, 15, 9, 10, 15, 12, 13, 15, 15, 2)
SCORED = range(14)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def script_matches(truth: np.ndarray, found: np.ndarray) -> list[int]:
    """mpii_multiperson_get_identity_matching.m, loop by loop."""
    taken = [False] * len(found)
    matches = []
    for person in truth:
        scores = []
        for row, other in enumerate(found):
            score = 0
            for joint in range(1, 14):
                near = all(abs(person[joint][axis] - other[joint][axis]) < 40 for axis in (0, 1))
                there = not (other[joint][0] == 0 and other[joint][1] == 0)
                score += near and there and not taken[row]
            scores.append(score)
        best = int(np.argmax(scores)) if scores else -1
        if scores and scores[best] > 0:
            taken[best] = True
            matches.append(best)
        else:
            matches.append(-1)
    return matches


def script_bones(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """mpii_map_to_gt_bone_lengths.m for one pose."""
    mapped = found.copy()
    for joint in ORDER:
        parent = PARENTS[joint - 1]
        length = np.linalg.norm(truth[joint - 1] - truth[parent - 1])
        bone = found[joint - 1] - found[parent - 1]
        mapped[joint - 1] = mapped[parent - 1] + bone * length / np.linalg.norm(bone)
    return mapped


def crowd(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return image, pixels and joints of true people and of found ones, close enough to confuse."""
    truth_images = rng.integers(0, 40, 100)
    found_images = rng.integers(0, 44, 120)
    truth_px = rng.uniform(0, 150, (100, 1, 2)) + rng.uniform(0, 60, (100, 17, 2))
    found_px = rng.uniform(0, 150, (120, 1, 2)) + rng.uniform(0, 60, (120, 17, 2))
    found_px[rng.random((120, 17)) < 0.1] = 0
    truth = rng.normal(0, 0.3, (100, 17, 3)) + np.array([0, 0, 4])
    found = rng.normal(0, 0.3, (120, 17, 3)) + np.array([0, 0, 4])
    return truth_images, truth_px, truth, found_images, found_px, found


def test_the_first_person_chooses_first() -> None:
    people = np.full((2, 17, 2), 100.0)
    people[1] += 30
    found = people[[1]] + 5  # nearer to the second person, near enough for the first
    assert match_people(people, found).tolist() == [0, -1]
    assert match_people(people[::-1], found).tolist() == [0, -1]
    # the prediction with more joints near is taken, and each only once
    two = np.concatenate([people[[0]] + 45, people[[0]] + 5])
    two[0, 4] = people[0, 4]
    assert match_people(people[:1], two).tolist() == [1]
    assert match_people(people[[0, 0, 0]], two).tolist() == [1, 0, -1]


def test_forty_pixels_are_too_far_in_x_as_in_y() -> None:
    person = np.full((1, 17, 2), 200.0)
    for axis in (0, 1):
        found = person.copy()
        found[..., axis] += 40
        assert match_people(person, found).tolist() == [-1]
        found[..., axis] -= 0.01
        assert match_people(person, found).tolist() == [0]


def test_head_top_pelvis_spine_head_and_joints_at_zero_do_not_match() -> None:
    person = np.full((1, 17, 2), 20.0)
    found = np.full((1, 17, 2), 500.0)
    found[0, [0, 14, 15, 16]] = 20
    assert match_people(person, found).tolist() == [-1]
    found[0, 3] = 0  # within 40 pixels, but not predicted
    assert match_people(person, found).tolist() == [-1]
    found[0, 3] = [0, 1]
    assert match_people(person, found).tolist() == [0]
    assert match_people(person, found[:0]).tolist() == [-1]


def test_matches_are_those_of_the_script(rng: np.random.Generator) -> None:
    truth_images, truth_px, _, found_images, found_px, _ = crowd(rng)
    matches = match_all(truth_images, truth_px, found_images, found_px)
    wanted = np.full(100, -1)
    for image in range(44):
        people, rows = np.flatnonzero(truth_images == image), np.flatnonzero(found_images == image)
        for person, match in zip(
            people, script_matches(truth_px[people], found_px[rows]), strict=True
        ):
            wanted[person] = rows[match] if match >= 0 else -1
    np.testing.assert_array_equal(matches, wanted)
    assert 10 < (matches >= 0).sum() < 100


def test_bones_get_their_true_lengths(rng: np.random.Generator) -> None:
    found, truth = rng.normal(size=(2, 30, 17, 3))
    mapped = with_true_bones(found, truth)
    for one, pose, target in zip(mapped, found, truth, strict=True):
        np.testing.assert_allclose(one, script_bones(pose, target), atol=1e-12)
    np.testing.assert_array_equal(mapped[:, 14], found[:, 14])
    # a pose that is the truth in another size becomes the truth
    pelvis = truth[:, 14:15]
    np.testing.assert_allclose(with_true_bones(pelvis + 3 * (truth - pelvis), truth), truth)


def test_a_bone_without_direction_is_wrong_and_what_hangs_on_it() -> None:
    truth = np.random.default_rng(0).normal(size=(1, 17, 3))
    found = truth.copy()
    found[0, 3] = found[0, 2]  # the right elbow on its shoulder
    errors = matched_errors(truth, found, np.array([0]), relative=True)
    assert np.isnan(errors[0, [3, 4]]).all() and np.isfinite(np.delete(errors[0], [3, 4])).all()
    assert pck(errors) == pytest.approx(100 * 12 / 14)


def test_errors_relative_and_absolute(rng: np.random.Generator) -> None:
    truth = rng.normal(size=(3, 17, 3))
    moved = truth[[2, 0]] + [0.03, 0, 0.04]
    matches = np.array([1, -1, 0])
    absolute = matched_errors(truth, moved, matches, relative=False)
    np.testing.assert_allclose(absolute[[0, 2]], 0.05)
    np.testing.assert_allclose(matched_errors(truth, moved, matches, True)[[0, 2]], 0, atol=1e-12)
    assert np.isinf(absolute[1]).all()


def test_pck_and_auc_by_hand() -> None:
    errors = np.zeros((1, 17))
    # 30 of the 31 thresholds are above 0; joints 14 to 16 are not scored
    errors[0, 14:] = 9
    assert pck(errors) == 100 and auc(errors) == pytest.approx(100 * 30 / 31)
    errors[0, :7] = 0.1499
    errors[0, 7:14] = 0.1501
    assert pck(errors) == 50 and auc(errors) == pytest.approx(100 * 0.5 / 31)
    by_group = pck_by_group(errors)
    assert by_group == {
        'Head': 100, 'Neck': 100, 'Shoulder': 100, 'Elbow': 100, 'Wrist': 50, 'Hip': 0, 'Knee': 0,
        'Ankle': 0,
    }  # fmt: skip
    assert np.isnan(pck(errors[:0]))


def test_pck_and_auc_are_those_of_the_script(rng: np.random.Generator) -> None:
    errors = rng.uniform(0, 0.3, (50, 17))
    errors[7] = np.inf
    curve = [
        sum(errors[i, j] < t / 1000 for i in range(50) for j in SCORED) / (50 * 14)
        for t in range(0, 151, 5)
    ]
    assert len(curve) == len(AUC_THRESHOLDS_M) == 31
    assert pck(errors) == pytest.approx(100 * curve[-1])
    assert auc(errors) == pytest.approx(100 * sum(curve) / 31)
    sizes = {name: len(joints) for name, joints in JOINT_GROUPS.items()}
    weighted = sum(pck_by_group(errors)[name] * n for name, n in sizes.items()) / 14
    assert weighted == pytest.approx(pck(errors)) and sum(sizes.values()) == 14


def script_ap(
    truth_images: np.ndarray, truth: np.ndarray, images: np.ndarray, roots: np.ndarray,
    scores: np.ndarray, threshold: float,
) -> float:  # fmt: skip
    """MuPoTS_eval.py of RootNet, loop by loop."""
    right = wrong = 0
    precision, recall = [], []
    found: set[int] = set()
    for row in sorted(range(len(scores)), key=lambda i: scores[i], reverse=True):
        people = np.flatnonzero(truth_images == images[row])
        if not len(people):
            continue
        nearest, best = -1, 9.999
        for person in people:
            distance = np.sqrt(((roots[row] - truth[person]) ** 2).sum())
            if best > distance:
                nearest, best = person, distance
        if nearest != -1 and best < threshold and nearest not in found:
            found.add(nearest)
            right += 1
        else:
            wrong += 1
        precision.append(right / (right + wrong))
        recall.append(right / len(truth))
    steps = range(len(precision) - 1)
    return 100 * sum(precision[n + 1] * (recall[n + 1] - recall[n]) for n in steps)


@pytest.mark.parametrize('threshold', [0.1, 0.25, 0.6])
def test_ap_root_is_that_of_the_script(rng: np.random.Generator, threshold: float) -> None:
    truth_images, images = rng.integers(0, 50, 80), rng.integers(0, 60, 150)
    truth, roots = rng.normal(0, 0.15, (80, 3)), rng.normal(0, 0.15, (150, 3))
    roots[3] = 50  # farther than 9.999 m from everybody
    scores = np.round(rng.random(150), 1)  # many are equal
    found = ap_root(truth_images, truth, images, roots, scores, threshold)
    wanted = script_ap(truth_images, truth, images, roots, scores, threshold)
    assert found == pytest.approx(wanted) and found > 0.1


def test_ap_root_by_hand() -> None:
    images, truth = np.array([0, 0, 1, 2]), np.array([[0, 0, 3], [1, 0, 3], [0, 0, 4], [0, 0, 5.0]])
    ones = np.ones(4)
    # perfect, but the script's sum begins with the second
    assert ap_root(images, truth, images, truth, ones) == pytest.approx(75)
    # the second sees the same nearest root as the first: false, though a free one is near enough
    twice = truth.copy()
    twice[1] = [0.1, 0, 3]
    scores = np.array([4.0, 3, 2, 1])
    assert ap_root(images, truth, images, twice, scores, 2.0) == pytest.approx(
        100 * (2 / 3 + 3 / 4) / 4
    )
    # what is found where nobody is annotated does not count
    elsewhere = np.array([0, 0, 1, 9])
    assert ap_root(images, truth, elsewhere, truth, ones) == pytest.approx(50)
    assert ap_root(images, truth, images[:0], truth[:0], ones[:0]) == 0
