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
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.assembly import MILLIMETRES_PER_METRE, usable_boxes
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


def match(people: Annotations, found: Boxes) -> np.ndarray:
    """Return which box belongs to each person, (n,) indices into `found`; -1 = none.

    Where the file names people (ann_id), the person's. Else the image's, the one of the highest
    score, or as in the original the last: that can only be said of one person to an image.

    :raises DataError: there are several people in an image, and the file does not name them; or
        the data set has no ids.
    """
    if people.image_ids is None or people.person_ids is None:
        raise DataError(f'{people.name} has no ids by which boxes could refer to it')
    if found.person_ids is not None:
        wanted, keys = people.person_ids, found.person_ids
    else:
        wanted, keys = people.image_ids[people.image_indices], found.image_ids
        if len(np.unique(wanted)) < len(wanted):
            raise DataError(
                f'{people.name} has several people in an image: boxes without ann_id cannot be '
                'told apart; take them as people of their own (as_people), and match the poses'
            )
    scores = np.zeros(len(found)) if found.scores is None else found.scores
    # of equal keys the last in this order wins
    order = np.lexsort((np.arange(len(found)), scores))
    last = dict(zip(keys[order].tolist(), order.tolist(), strict=True))
    return np.array([last.get(key, -1) for key in wanted.tolist()], np.int64)


def with_boxes(people: Annotations, found: Boxes) -> Annotations:
    """Return the people with a detector's boxes instead of the annotated ones.

    Who has no box, or none that can be cut, is left out; how many are, is logged.

    :raises DataError: the boxes are already processed, cannot be matched, or nobody has one.
    """
    if found.roots is not None:
        raise DataError(
            f'{people.name}: these boxes come with roots, so they are the squares of a RootNet and '
            "not tight; take the detector's own file (bbox_..., not bbox_root_...)"
        )
    rows = match(people, found)
    replaced = replace(people, boxes=found.boxes[rows])
    usable = usable_boxes(replaced.boxes, people.image_sizes[people.image_indices])
    return _only(replaced, (rows >= 0) & usable, 'people')


def as_people(people: Annotations, found: Boxes) -> Annotations:
    """Return every box as a person of whom nothing else is known, in the images of `people`.

    What networks predict for them is matched with `people` afterwards, as the scores of MuPoTS-3D
    are defined. Boxes in other images are left out, and those that cannot be cut; how many are,
    is logged. The person_ids are the boxes' places in `found`.

    :raises DataError: the boxes are already processed, or none is in these images.
    """
    if found.roots is not None:
        raise DataError(f'{people.name}: these boxes are squares of a RootNet, not tight ones')
    if people.image_ids is None:
        raise DataError(f'{people.name} has no ids by which boxes could refer to it')
    index_of = {number: index for index, number in enumerate(people.image_ids.tolist())}
    indices = np.array([index_of.get(number, -1) for number in found.image_ids.tolist()], np.int64)
    # every image's camera is that of the people in it
    seen, persons = np.unique(people.image_indices, return_index=True)
    person = np.full(len(people.images), -1)
    person[seen] = persons
    known = (indices >= 0) & (person[indices] >= 0)
    n, j = len(found), len(people.skeleton)
    usable = usable_boxes(found.boxes, people.image_sizes[indices])
    boxed = replace(
        people,
        image_indices=indices,
        boxes=found.boxes,
        pixels=np.full((n, j, 2), np.nan, np.float32),
        joints=np.full((n, j, 3), np.nan, np.float32),
        visible=np.zeros((n, j), bool),
        focal_px=people.focal_px[person[indices]],
        centre_px=people.centre_px[person[indices]],
        groups=tuple(people.groups[row] for row in person[indices]),
        person_ids=np.arange(n),
    )
    return _only(boxed, known & usable, 'boxes')


def _only(people: Annotations, kept: np.ndarray, what: str) -> Annotations:
    """Return those that are kept; log how many are not; DataError where nobody is."""
    lost = int((~kept).sum())
    if lost == len(kept):
        raise DataError(
            f'{people.name}: none of {len(kept)} {what} has a usable box: is this the file of '
            'another data set or split?'
        )
    if lost:
        logging.getLogger(__name__).warning(
            '%s: left out %d of %d %s: no usable box in the images', people.name, lost,
            len(kept), what,
        )  # fmt: skip
    return people[kept]
