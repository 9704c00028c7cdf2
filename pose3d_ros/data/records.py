# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""JSON files of annotations, read by columns: lists of objects in, arrays out.

Most of the data sets of 3DMPPE come as files in the style of MS COCO: one list of images, one of
annotations that refer to them by `image_id`. Whatever is wrong in one is named with data set,
file and record.
"""

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pose3d_ros.data.annotations import DataError

#: Fields that hold a person's joints.
_JOINT_FIELDS = ('keypoints', 'keypoints_cam', 'keypoints_img', 'keypoints_vis', 'joint_cam')

_REMEDY = 'get the file again, or remove the record (docs/training.md says where it comes from)'


def read_json(
    path: Path,
    origin: str,
    hook: Callable[[dict[str, Any]], Any] | None = None,
    kind: type = dict,
) -> Any:
    """Return the object, or the list, that a JSON file holds.

    :param origin: data set, split and subject, for messages.
    :param hook: is given every object of the file as it is parsed, and returns what to keep.
    :param kind: dict or list.
    :raises DataError: the file is missing, unreadable, no JSON, or of another kind.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'), object_hook=hook)
    except FileNotFoundError as error:
        raise DataError(
            f'{origin}: there is no {path}; docs/training.md says where it comes from'
        ) from error
    except OSError as error:
        raise DataError(f'{origin}: cannot read {path}: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f'{origin}: {path} is not complete JSON ({error}); get the file again'
        ) from error
    if not isinstance(content, kind):
        raise DataError(
            f'{origin}: {path} holds a {type(content).__name__}, not a {kind.__name__}: it is a '
            'file of another format'
        )
    return content


def compact(entry: dict[str, Any]) -> dict[str, Any]:
    """Hook of `read_json`: pack joints as they are parsed, drop outlines.

    Lists of floats take 8 times the room of arrays, and files of millions of people are read.
    """
    entry.pop('segmentation', None)
    for field in _JOINT_FIELDS:
        if field in entry:
            # what is no table of numbers stays, to be named with its record
            with contextlib.suppress(TypeError, ValueError, OverflowError):
                entry[field] = np.array(entry[field], np.float32)
    return entry


@dataclass(frozen=True)
class Records:
    """A list of JSON objects of a file.

    :param origin: data set, split and subject, for messages.
    :param path: the file.
    :param kind: what one of them is: 'image', 'annotation'.
    :param rows: the objects.
    """

    origin: str
    path: Path
    kind: str
    rows: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: Iterable[int]) -> 'Records':
        """Return some of the records."""
        return replace(self, rows=[self.rows[i] for i in indices])

    def numbers(self, field: str, *shape: int) -> np.ndarray:
        """Return a field of all records, (n, *shape) float64, finite.

        :raises DataError: a record lacks the field, or has something else there, or NaN.
        """
        try:
            column = np.array([row[field] for row in self.rows], np.float64)
            column = column.reshape(len(self), *shape)
        except (KeyError, TypeError, ValueError, OverflowError):
            self._blame(field, shape)
        if not np.isfinite(column).all():
            self._blame(field, shape)
        return column

    def integers(self, field: str) -> np.ndarray:
        """Return a field of all records, (n,) int64; DataError as `numbers`."""
        return self.numbers(field).astype(np.int64)

    def texts(self, field: str) -> list[str]:
        """Return a field of all records; DataError where a record lacks it, or it is no text."""
        for row in self.rows:
            there = isinstance(row, dict) and field in row
            if not there or not isinstance(row[field], str):
                self.fail(row, f"'{field}' is no text" if there else f"there is no '{field}'")
        return [row[field] for row in self.rows]

    def objects(self, field: str) -> 'Records':
        """Return a field of all records that holds an object, as records of their own.

        :raises DataError: a record lacks it, or it is no object.
        """
        for row in self.rows:
            if not isinstance(row, dict) or not isinstance(row.get(field), dict):
                self.fail(row, f"there is no '{field}', or it is no object")
        kind = f'{field} of {self.kind}'
        return replace(
            self, kind=kind, rows=[{**row[field], 'id': row.get('id')} for row in self.rows]
        )

    def fail(self, row: dict[str, Any], reason: str) -> NoReturn:
        """Raise DataError about a record."""
        name = row.get('id', '?') if isinstance(row, dict) else '?'
        raise DataError(f'{self.origin}: {self.path}: {self.kind} {name}: {reason}; {_REMEDY}')

    def _blame(self, field: str, shape: tuple[int, ...]) -> NoReturn:
        """Raise DataError about the first record whose field cannot be used."""
        for row in self.rows:
            if not isinstance(row, dict) or field not in row:
                self.fail(row, f"there is no '{field}'")
            try:
                numbers = np.array(row[field], np.float64).reshape(shape)
            except (TypeError, ValueError, OverflowError):
                wanted = ' x '.join(map(str, shape)) + ' numbers' if shape else 'a number'
                self.fail(row, f"'{field}' is not {wanted}")
            if not np.isfinite(numbers).all():
                self.fail(row, f"'{field}' holds NaN or infinity")
        raise DataError(f"{self.origin}: {self.path}: '{field}' differs between records; {_REMEDY}")


@dataclass(frozen=True)
class CocoFile:
    """An annotation file in the style of MS COCO.

    :param images: with `id`, `width`, `height` and `file_name`.
    :param annotations: with `image_id` and `bbox`.
    """

    images: Records
    annotations: Records

    @classmethod
    def read(cls, path: Path, origin: str) -> 'CocoFile':
        """Read a file; `origin` as in `read_json`.

        :raises DataError: the file cannot be used, or has no list of images or annotations.
        """
        content = read_json(path, origin, compact)
        lists = []
        for key in ('images', 'annotations'):
            if not isinstance(content.get(key), list):
                raise DataError(f"{origin}: {path} has no list '{key}'; get the file again")
            lists.append(Records(origin, path, key[:-1], content[key]))
        return cls(*lists)

    def image_rows(self) -> np.ndarray:
        """Return which image each annotation is in, (n,), as an index into `images`.

        :raises DataError: two images have the same id, or there is none of an annotation's.
        """
        ids, wanted = self.images.integers('id'), self.annotations.integers('image_id')
        order = np.argsort(ids, kind='stable')
        in_order = ids[order]
        twice = np.flatnonzero(in_order[1:] == in_order[:-1])
        if len(twice):
            self.images.fail(self.images.rows[order[twice[0]]], 'its id is there twice')
        places = np.minimum(np.searchsorted(in_order, wanted), len(ids) - 1)
        unknown = np.flatnonzero(in_order[places] != wanted) if len(ids) else np.arange(len(wanted))
        if len(unknown):
            self.annotations.fail(
                self.annotations.rows[unknown[0]], f'there is no image {wanted[unknown[0]]}'
            )
        return np.asarray(order[places])

    def where(self, chosen: np.ndarray) -> 'CocoFile':
        """Return the file with only the chosen annotations, (n,) bool."""
        return CocoFile(self.images, self.annotations[np.flatnonzero(chosen)])
