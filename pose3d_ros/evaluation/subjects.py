# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whom the networks look at: people of a data set, with boxes and roots from one source or another.

Where boxes and roots come from decides what a figure means, so it is kept with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.evaluation.metrics import best_pairs, box_overlaps
from pose3d_ros.evaluation.multi_person import rows_by_image
from pose3d_ros.models import crops3dmppe

GROUND_TRUTH = 'ground truth'
_NAMED = 3  # images named in a message
_MIN_IOU = 0.5  # of a box with the true one, to be of that person


@dataclass(frozen=True)
class Subjects:
    """n people to look at, in images of a data set.

    :param image_indices: (n,) which of the data set's images.
    :param rows: (n,) which of its people each one is; -1 = not known.
    :param squares: (n, 4) processed boxes (`crops3dmppe.process_boxes`), pixels.
    :param scores: (n,) of the boxes; 1 where nobody gave any.
    :param roots: (n, 3) in the optical frame, metres; NaN = not known yet.
    :param focal_px: (n, 2) fx and fy.
    :param centre_px: (n, 2) cx and cy.
    :param boxes_from: what gave the boxes, for tables.
    :param roots_from: what gave the roots, for tables; '' = nothing did.
    """

    image_indices: np.ndarray
    rows: np.ndarray
    squares: np.ndarray
    scores: np.ndarray
    roots: np.ndarray
    focal_px: np.ndarray
    centre_px: np.ndarray
    boxes_from: str
    roots_from: str

    def __len__(self) -> int:
        return len(self.image_indices)

    def __getitem__(self, rows: np.ndarray) -> 'Subjects':
        """Return some of them, by indices or mask."""
        arrays = (
            'image_indices', 'rows', 'squares', 'scores', 'roots', 'focal_px', 'centre_px',
        )  # fmt: skip
        return replace(self, **{name: getattr(self, name)[rows] for name in arrays})

    def with_roots(self, roots: np.ndarray, roots_from: str) -> 'Subjects':
        """Return the same people with roots (n, 3), metres."""
        return replace(self, roots=roots, roots_from=roots_from)

    @classmethod
    def annotated(cls, annotations: Annotations) -> 'Subjects':
        """Return the annotated people with their true boxes and roots.

        People without a box that can be cut are left out.
        """
        images = annotations.image_indices
        squares, valid = processed(annotations, images, annotations.boxes)
        rows = np.flatnonzero(valid)
        return cls(
            images[rows], rows, squares[rows], np.ones(len(rows)), annotations.roots[rows],
            annotations.focal_px[rows], annotations.centre_px[rows], GROUND_TRUTH, GROUND_TRUTH,
        )  # fmt: skip

    @classmethod
    def detected(
        cls,
        annotations: Annotations,
        image_indices: np.ndarray,
        boxes: np.ndarray,
        scores: np.ndarray,
        boxes_from: str,
    ) -> 'Subjects':
        """Return those in the boxes of a detector; boxes that cannot be cut are left out.

        :param image_indices: (n,) which of the data set's images.
        :param boxes: (n, 4) x, y, width, height, tight, pixels.
        :param scores: (n,).
        :raises DataError: there is none in an image where somebody is annotated alone.
        """
        squares, valid = processed(annotations, image_indices, boxes)
        roots = np.full((len(boxes), 3), np.nan)
        return cls._in_images(
            annotations, image_indices[valid], squares[valid], scores[valid], roots[valid],
            boxes_from, '',
        )  # fmt: skip

    @classmethod
    def rooted(
        cls,
        annotations: Annotations,
        image_indices: np.ndarray,
        squares: np.ndarray,
        scores: np.ndarray,
        roots: np.ndarray,
        source: str,
        person_ids: np.ndarray | None = None,
    ) -> 'Subjects':
        """Return those of a results file of RootNet: boxes that are processed already, and roots.

        :param squares: (n, 4) pixels.
        :param roots: (n, 3) metres.
        :param person_ids: (n,) whose they are, where the file says so (`ann_id`); None = it is
            told from the boxes.
        """
        return cls._in_images(
            annotations, image_indices, squares, scores, roots, source, source, person_ids
        )

    @classmethod
    def _in_images(
        cls,
        annotations: Annotations,
        image_indices: np.ndarray,
        squares: np.ndarray,
        scores: np.ndarray,
        roots: np.ndarray,
        boxes_from: str,
        roots_from: str,
        person_ids: np.ndarray | None = None,
    ) -> 'Subjects':
        """Return subjects with the camera of their image.

        An image that nobody is annotated in has no camera: nothing there is scored, so that what
        was found there is left out.
        """
        first = np.full(len(annotations.images), -1)
        first[annotations.image_indices[::-1]] = np.arange(len(annotations))[::-1]
        kept = first[image_indices] >= 0
        images, person = image_indices[kept], first[image_indices[kept]]
        if person_ids is None:
            rows = _meant(annotations, images, squares[kept])
        else:
            rows = _known(annotations, person_ids[kept])
        return cls(
            images, rows, squares[kept], scores[kept],
            roots[kept], annotations.focal_px[person], annotations.centre_px[person],
            boxes_from, roots_from,
        )  # fmt: skip


def _meant(annotations: Annotations, images: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Return which of the people each box is of (n,); -1 = of none.

    An image's only box is of its only person. Elsewhere pairs are made from the one that overlaps
    most down to an intersection over union of 0.5. People without a box that can be cut count as
    not there.
    """
    truth, valid = processed(annotations, annotations.image_indices, annotations.boxes)
    known = np.flatnonzero(valid)
    people = rows_by_image(annotations.image_indices[known])
    found = np.full(len(images), -1)
    for image, rows in rows_by_image(images).items():
        there = known[people.get(image, known[:0])]
        if len(rows) == len(there) == 1:
            found[rows] = there
            continue
        overlaps = box_overlaps(squares[rows], truth[there])[0]
        for box, person in best_pairs(overlaps, overlaps >= _MIN_IOU):
            found[rows[box]] = there[person]
    return found


def _known(annotations: Annotations, ids: np.ndarray) -> np.ndarray:
    """Return which of the people have these ids (n,); -1 = none."""
    known = [] if annotations.person_ids is None else annotations.person_ids.tolist()
    rows = {number: row for row, number in enumerate(known)}
    return np.array([rows.get(number, -1) for number in ids.tolist()], np.int64)


def processed(
    annotations: Annotations, image_indices: np.ndarray, boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the processed boxes (n, 4) of tight ones, and which there are (n,).

    :param image_indices: (n,) which of the data set's images; their sizes differ.
    """
    return crops3dmppe.usable_squares(boxes, annotations.image_sizes[image_indices])


def each_once(annotations: Annotations, subjects: Subjects) -> np.ndarray:
    """Return for each of the annotated people the row of the one subject that is it; -1 = no box.

    For protocols that compare person by person. Who has no box that can be cut is not compared.

    :raises DataError: somebody else is missing: the figure would be of other people.
    """
    found = np.full(len(annotations), -1)
    known = np.flatnonzero(subjects.rows >= 0)
    found[subjects.rows[known]] = known
    valid = processed(annotations, annotations.image_indices, annotations.boxes)[1]
    found[~valid] = -1
    missing = annotations.image_indices[valid & (found < 0)]
    if len(missing):
        raise DataError(
            f'{annotations.name}: {len(missing)} of {int(valid.sum())} people have no result '
            f'({named(annotations.images, missing)}), and figures over the others would be of '
            'another data set; boxes from the ground truth leave nobody out'
        )
    return found


def named(images: Sequence[Path], indices: np.ndarray) -> str:
    """Return the first of some images by name, and how many more there are."""
    unique = np.unique(indices)
    listed = ', '.join(str(images[i]) for i in unique[:_NAMED])
    return listed + (f' and {len(unique) - _NAMED} more' if len(unique) > _NAMED else '')
