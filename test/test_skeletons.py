# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every joint set is consistent in itself, and the paper's are the paper's."""

import re

import numpy as np
import pytest

from pose3d_ros.models.limbs import LIMB_JOINTS
from pose3d_ros.skeletons import (
    BLAZEPOSE,
    HALPE26,
    HUMAN36M,
    MPII,
    MSCOCO,
    MUCO,
    MUPOTS,
    SKELETONS,
    Skeleton,
)

ALL = pytest.mark.parametrize('skeleton', SKELETONS.values(), ids=list(SKELETONS))


@ALL
def test_names_are_unique_and_found(skeleton: Skeleton) -> None:
    assert len(set(skeleton.joint_names)) == len(skeleton.joint_names) == len(skeleton)
    for i, name in enumerate(skeleton.joint_names):
        assert skeleton.index(name) == i
    assert skeleton.indices(*reversed(skeleton.joint_names)) == list(range(len(skeleton)))[::-1]
    with pytest.raises(ValueError, match='third_elbow'):
        skeleton.index('third_elbow')


@ALL
def test_edges_join_two_joints_once(skeleton: Skeleton) -> None:
    edges = [frozenset(edge) for edge in skeleton.edges]
    assert all(len(edge) == 2 for edge in edges)
    assert len(set(edges)) == len(edges)
    assert {i for edge in edges for i in edge} <= set(range(len(skeleton)))
    assert {i for edge in skeleton.flip_pairs for i in edge} <= set(range(len(skeleton)))


@ALL
def test_flip_order_is_an_involution_that_swaps_left_and_right(skeleton: Skeleton) -> None:
    order = skeleton.flip_order
    np.testing.assert_array_equal(order[order], np.arange(len(skeleton)))
    paired = [i for pair in skeleton.flip_pairs for i in pair]
    assert len(set(paired)) == len(paired)
    for i, name in enumerate(skeleton.joint_names):
        assert skeleton.joint_names[order[i]] == mirrored(name)


def mirrored(name: str) -> str:
    swap = {'left': 'right', 'right': 'left', 'L': 'R', 'R': 'L'}
    return re.sub(r'(?<![a-zA-Z])(left|right|L|R)(?![a-zA-Z])', lambda m: swap[m[0]], name)


@ALL
def test_mirrored_bones_are_bones(skeleton: Skeleton) -> None:
    """A bone on the left alone would be a slip of the table."""
    edges = {frozenset(edge) for edge in skeleton.edges}
    order = skeleton.flip_order
    assert {frozenset(int(order[i]) for i in edge) for edge in edges} == edges


@ALL
def test_the_root_is_the_pelvis(skeleton: Skeleton) -> None:
    names = {skeleton.joint_names[i].lower() for i in skeleton.root}
    assert names in ({'pelvis'}, {'hip'}, {'left_hip', 'right_hip'})


@pytest.mark.parametrize(
    ('skeleton', 'joints', 'root'),
    [(HUMAN36M, 18, 0), (MUCO, 21, 14), (MUPOTS, 17, 14), (MPII, 16, 6), (MSCOCO, 19, 18)],
)
def test_the_papers_joint_sets(skeleton: Skeleton, joints: int, root: int) -> None:
    """Moon et al.'s data sets: the weights depend on number and order."""
    assert len(skeleton) == joints
    assert skeleton.root == (root,)
    assert skeleton.joint_names[root] == 'Pelvis'


def test_order_of_the_papers_joint_sets() -> None:
    assert HUMAN36M.indices('Pelvis', 'R_Ankle', 'L_Ankle', 'Head', 'R_Wrist', 'Thorax') == [
        0, 3, 6, 10, 16, 17,
    ]  # fmt: skip
    assert MUCO.indices('Head_top', 'R_Wrist', 'L_Wrist', 'L_Ankle', 'Spine', 'L_Toe') == [
        0, 4, 7, 13, 15, 20,
    ]  # fmt: skip
    assert MUPOTS.joint_names == MUCO.joint_names[:17]
    assert MPII.indices('R_Ankle', 'L_Ankle', 'Head', 'R_Wrist', 'L_Wrist') == [0, 5, 9, 10, 15]
    assert MSCOCO.indices('Nose', 'L_Wrist', 'R_Ankle', 'Thorax') == [0, 9, 16, 17]


def test_default_networks_share_the_joints_that_place_a_body() -> None:
    assert (len(HALPE26), len(BLAZEPOSE)) == (26, 33)
    assert set(LIMB_JOINTS) <= set(HALPE26.joint_names) & set(BLAZEPOSE.joint_names)
    assert HALPE26.root == (19,)
    assert BLAZEPOSE.root == (23, 24)


def test_table_is_keyed_by_name() -> None:
    assert all(name == skeleton.name for name, skeleton in SKELETONS.items())
    assert set(SKELETONS) == {
        'halpe26', 'blazepose', 'human36m', 'human36m_17', 'muco', 'mupots', 'mpii', 'mscoco',
        'pw3d',
    }  # fmt: skip
