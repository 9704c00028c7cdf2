# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Result files of a detector or a RootNet: boxes, or boxes and roots, for a data set's images.

All are JSON lists in the style of MS COCO's results; `image_id` is the data set's own.

    bbox_human36m_output.json, bbox_mupots_output.json, and your own detector's
        {image_id, bbox, [score], [category_id]}: boxes x, y, w, h, tight around people, pixels.
        Categories other than 1 (person) are left out.
    bbox_root_human36m_output.json, bbox_root_coco_output.json, bbox_root_mupots_output.json
        {image_id, bbox, root_cam, [score]}: root X, Y, Z in the optical frame, mm. The boxes are
        no longer tight: they are the squares that RootNet has cut (crops3dmppe.process_boxes),
        and nothing may process them again.
    rootnet_pw3d_output.json
        the same with ann_id, in metres.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import DataError
from pose3d_ros.data.assembly import MILLIMETRES_PER_METRE
from pose3d_ros.data.records import Records, read_json

_PERSON = 1


@dataclass(frozen=True)
class Boxes:
    """n boxes in images.

    :param image_ids: (n,) as in Annotations.image_ids.
    :param boxes: (n, 4) x, y, w, h, pixels: tight around people; squares already processed where
        there are roots.
    :param scores: (n,), or None.
    :param roots: (n, 3) in the optical frame, metres, or None.
    :param person_ids: (n,) as in Annotations.person_ids, or None.
    """

    image_ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray | None = None
    roots: np.ndarray | None = None
    person_ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.image_ids)


def read_boxes(path: Path, units_per_metre: float = MILLIMETRES_PER_METRE) -> Boxes:
    """Read a result file.

    :param units_per_metre: of the roots: 1 in 3DPW's file.
    :raises DataError: the file is missing, of another format, or holds nothing.
    """
    entries = read_json(path, 'boxes', kind=list)
    if not all(isinstance(entry, dict) for entry in entries):
        raise DataError(
            f'{path} is not a list of {{image_id, bbox, ...}}: bring the boxes into the format of '
            "MS COCO's results"
        )
    rows = [entry for entry in entries if entry.get('category_id', _PERSON) == _PERSON]
    if not rows:
        raise DataError(f'{path} holds no box of a person')
    records = Records('boxes', path, 'entry', rows)

    def optional(field: str, *shape: int) -> np.ndarray | None:
        there = any(field in row for row in rows)
        return records.numbers(field, *shape) if there else None

    roots, persons = optional('root_cam', 3), optional('ann_id')
    return Boxes(
        records.integers('image_id'),
        records.numbers('bbox', 4),
        optional('score'),
        None if roots is None else roots / units_per_metre,
        None if persons is None else persons.astype(np.int64),
    )


def write_boxes(path: Path, found: Boxes, units_per_metre: float = MILLIMETRES_PER_METRE) -> None:
    """Write a result file: of a detector without roots, of a RootNet with them.

    :param units_per_metre: of the roots: 1 in 3DPW's file.
    :raises DataError: the file cannot be written.
    """
    columns = {'image_id': found.image_ids.tolist(), 'bbox': found.boxes.tolist()}
    if found.roots is not None:
        columns['root_cam'] = (found.roots * units_per_metre).tolist()
    elif found.scores is not None:
        columns['category_id'] = [_PERSON] * len(found)  # what readers of COCO's results ask for
    if found.scores is not None:
        columns['score'] = found.scores.tolist()
    if found.person_ids is not None:
        columns['ann_id'] = found.person_ids.tolist()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows), encoding='utf-8')
    except OSError as error:
        raise DataError(f'cannot write {path}: {error.strerror}') from error
