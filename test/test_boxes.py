# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Result files: own boxes, and those of 3DMPPE's detector and RootNet."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets3d import write_json

from pose3d_ros.data import boxes
from pose3d_ros.data.annotations import DataError


def test_the_originals_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / 'bbox_root_mupots_output.json'
    write_json(path, [
        {'image_id': 7, 'root_cam': [100.0, -50.0, 3210.0], 'bbox': [1, 2, 3, 4], 'score': 0.75},
        {'image_id': 8, 'root_cam': [0.0, 0.0, 1000.0], 'bbox': [5.5, 6, 7, 8], 'score': 1},
    ])  # fmt: skip
    found = boxes.read_boxes(path)
    assert found.image_ids.tolist() == [7, 8] and found.scores.tolist() == [0.75, 1]
    np.testing.assert_allclose(found.roots, [[0.1, -0.05, 3.21], [0, 0, 1]])
    np.testing.assert_array_equal(found.boxes, [[1, 2, 3, 4], [5.5, 6, 7, 8]])
    assert found.person_ids is None
    # 3DPW: metres, and people by id
    path = tmp_path / 'rootnet_pw3d_output.json'
    rows = [{'image_id': 1, 'ann_id': 5, 'bbox': [1, 2, 3, 4], 'root_cam': [0.1, 0.2, 3.0]}]
    write_json(path, rows)
    found = boxes.read_boxes(path, units_per_metre=1)
    np.testing.assert_array_equal(found.roots, [[0.1, 0.2, 3.0]])
    assert found.person_ids.tolist() == [5] and found.scores is None


def test_what_is_written_is_the_originals_format_and_reads_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    n = 5
    tight = boxes.Boxes(np.arange(n), rng.random((n, 4)))
    squares = boxes.Boxes(
        np.arange(n), rng.random((n, 4)), rng.random(n), rng.random((n, 3)), np.arange(n) + 9
    )
    for name, found, keys in (
        ('bbox_human36m_output', tight, {'image_id', 'bbox'}),
        ('own', boxes.Boxes(tight.image_ids, tight.boxes, rng.random(n)),
         {'image_id', 'bbox', 'score', 'category_id'}),
        ('bbox_root_human36m_output', boxes.Boxes(np.arange(n), tight.boxes, None, squares.roots),
         {'image_id', 'bbox', 'root_cam'}),
        ('rootnet', squares, {'image_id', 'bbox', 'root_cam', 'score', 'ann_id'}),
    ):  # fmt: skip
        path = tmp_path / 'results' / f'{name}.json'
        boxes.write_boxes(path, found)
        rows = json.loads(path.read_text())
        assert len(rows) == n and all(set(row) == keys for row in rows)
        if found.roots is not None:
            np.testing.assert_allclose(rows[2]['root_cam'], found.roots[2] * 1000)
        back = boxes.read_boxes(path)
        for field in ('image_ids', 'boxes', 'scores', 'roots', 'person_ids'):
            one, other = getattr(found, field), getattr(back, field)
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-12)


def test_other_categories_are_left_out(tmp_path: Path) -> None:
    rows = [
        {'image_id': 3, 'category_id': category, 'bbox': [0, 0, 9, 9], 'score': 0.5}
        for category in (1, 18, 1)
    ]
    write_json(tmp_path / 'own.json', rows)
    assert len(boxes.read_boxes(tmp_path / 'own.json')) == 2


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'annotations': []}, 'holds a dict, not a list'),
        ([[1, 2, 3, 4]], 'is not a list of {image_id, bbox'),  # the course project's own
        ([], 'holds no box of a person'),
        ([{'image_id': 1, 'category_id': 2, 'bbox': [1, 2, 3, 4]}], 'holds no box of a person'),
        ([{'bbox': [1, 2, 3, 4]}], "there is no 'image_id'"),
        ([{'image_id': 1, 'bbox': [1, 2, 3]}], "'bbox' is not 4 number"),
        ([{'image_id': 1, 'bbox': [1, 2, 3, float('nan')]}], "'bbox' holds NaN"),
        ([{'image_id': 1, 'bbox': [1, 2, 3, 4], 'score': 1},
          {'image_id': 1, 'bbox': [1, 2, 3, 4]}], "there is no 'score'"),
    ],
)  # fmt: skip
def test_files_of_another_format_are_refused(tmp_path: Path, content: object, message: str) -> None:
    write_json(tmp_path / 'own.json', content)
    with pytest.raises(DataError, match=rf'own\.json.*{message}'):
        boxes.read_boxes(tmp_path / 'own.json')


def test_missing_and_unwritable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'there is no .*none\.json'):
        boxes.read_boxes(tmp_path / 'none.json')
    (tmp_path / 'taken').write_text('')
    with pytest.raises(DataError, match=r'cannot write .*taken'):
        boxes.write_boxes(
            tmp_path / 'taken' / 'x.json', boxes.Boxes(np.zeros(1, int), np.zeros((1, 4)))
        )
