# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Annotations keep their arrays in step, and change joint sets by name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose3d_ros.data.annotations import Annotations
from pose3d_ros.skeletons import HUMAN36M, MPII


def three_people() -> Annotations:
    """Return people in two images, every number another one."""
    rng = np.random.default_rng(0)
    n, j = 3, len(MPII)
    return Annotations(
        'made up train', MPII, (Path('a.jpg'), Path('b.jpg')), np.array([[640, 480]] * 2),
        np.array([0, 0, 1]), rng.random((n, 4)), rng.random((n, j, 2)), rng.random((n, j, 3)),
        np.ones((n, j), bool), np.full((n, 2), 1500.0), np.full((n, 2), 300.0), ('walk', '', 'sit'),
    )  # fmt: skip


def test_rows_stay_together() -> None:
    people = three_people()
    last = people[[2]]
    assert len(last) == 1 and last.groups == ('sit',) and last.images == people.images
    np.testing.assert_array_equal(last.joints[0], people.joints[2])
    assert len(people[np.array([True, False, True])]) == 2
    assert len(people[:0]) == 0


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r'made up train: boxes is \(2, 4\), not \(3, 4\)'):
        replace(three_people(), boxes=np.zeros((2, 4)))
    with pytest.raises(ValueError, match='1 groups of 3 people'):
        replace(three_people(), groups=('',))


def test_another_joint_set_is_matched_by_name() -> None:
    people = three_people()
    other = people.in_skeleton(HUMAN36M)
    for name in ('R_Ankle', 'Pelvis', 'L_Wrist'):
        np.testing.assert_array_equal(
            other.joints[:, HUMAN36M.index(name)], people.joints[:, MPII.index(name)]
        )
    torso = HUMAN36M.index('Torso')
    assert not other.visible[:, torso].any() and np.isnan(other.pixels[:, torso]).all()
    assert other.visible.sum() == 3 * len(set(HUMAN36M.joint_names) & set(MPII.joint_names))
    np.testing.assert_array_equal(other.roots, people.roots)
    assert people.in_skeleton(MPII) is people


def test_depth_is_known_where_the_root_is_finite() -> None:
    people = three_people()
    people.joints[1, MPII.root[0], 2] = np.nan
    assert people.have_depth.tolist() == [True, False, True]
