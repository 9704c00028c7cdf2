# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files of boxes and roots (`data.boxes`) as subjects, and back."""

from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.boxes import Boxes, read_boxes, write_boxes
from pose3d_ros.evaluation.subjects import Subjects

#: Data set -> how the file of its roots is called, and how many of its units are a metre.
FILES = {
    'human36m': ('bbox_root_human36m_output.json', 1000.0),
    'mupots': ('bbox_root_mupots_output.json', 1000.0),
    'pw3d': ('rootnet_pw3d_output.json', 1.0),
}


def write_roots(folder: Path, data: str, annotations: Annotations, subjects: Subjects) -> None:
    """Write what RootNet found as its authors' code does, for PoseNet to go on from.

    :raises DataError: the images have no ids.
    """
    name, per_metre = FILES[data]
    people = None
    if data == 'pw3d' and annotations.person_ids is not None and (subjects.rows >= 0).all():
        people = annotations.person_ids[subjects.rows]
    ids = image_ids(annotations)[subjects.image_indices]
    found = Boxes(ids, subjects.squares, subjects.scores, subjects.roots, people)
    write_boxes(folder / name, found, per_metre)


def read_roots(path: Path, data: str, annotations: Annotations) -> Subjects:
    """Return the subjects of a file that RootNet wrote.

    :raises DataError: the file cannot be read, or is another.
    """
    found = read_boxes(path, FILES[data][1])
    if found.roots is None:
        raise DataError(f"{path} has no roots; RootNet's file is called {FILES[data][0]}")
    rows, images = rows_in(path, annotations, found.image_ids)
    return Subjects.rooted(
        annotations, images, found.boxes[rows], _scores(found)[rows], found.roots[rows], path.name,
        None if found.person_ids is None else found.person_ids[rows],
    )  # fmt: skip


def read_detections(path: Path, annotations: Annotations) -> Subjects:
    """Return the subjects of a detector's file.

    :raises DataError: the file cannot be read, or is another.
    """
    found = read_boxes(path)
    if found.roots is not None:
        raise DataError(
            f'{path} is of RootNet: its boxes are processed already, and would be so twice; '
            'pose3d evaluate posenet takes it as --roots'
        )
    rows, images = rows_in(path, annotations, found.image_ids)
    boxes, scores = found.boxes[rows], _scores(found)[rows]
    return Subjects.detected(annotations, images, boxes, scores, path.name)


def rows_in(path: Path, annotations: Annotations, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which entries of a file are of images of the data set, and of which (both (n,)).

    As with the original, a file may hold more than is scored: other frames and subjects.

    :param ids: `image_id` of each entry.
    :raises DataError: none is of the data set, or its images have no ids.
    """
    known = image_ids(annotations)
    order = np.argsort(known, kind='stable')
    places = order[np.minimum(np.searchsorted(known[order], ids), len(known) - 1)]
    rows = np.flatnonzero(known[places] == ids)
    if not len(rows):
        raise DataError(
            f'{path}: none of its {len(ids)} entries is of an image of {annotations.name}: it is '
            'of another split or protocol'
        )
    return rows, np.asarray(places[rows])


def image_ids(annotations: Annotations) -> np.ndarray:
    """Return by which ids (m,) files go; DataError where there are none."""
    if annotations.image_ids is None:
        raise DataError(f'{annotations.name}: the images have no ids, which result files go by')
    return annotations.image_ids


def _scores(found: Boxes) -> np.ndarray:
    """Return (n,) scores; those of true boxes are 1, and some files leave them out."""
    return np.ones(len(found)) if found.scores is None else found.scores
