"""Files of boxes and roots of 3DMPPE, as subjects: what detectors give, what RootNet writes.

`bbox_root_human36m_output.json` and `bbox_root_mupots_output.json` are in millimetres,
`rootnet_pw3d_output.json` in metres. Their boxes are processed already.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pose3d_ros.data.annotations import Annotations, DataError
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
    ids = image_ids(annotations)[subjects.image_indices]
    people = annotations.person_ids if data == 'pw3d' else None
    records: list[dict[str, object]] = [
        {
            'image_id': int(image_id),
            'bbox': square.tolist(),
            'root_cam': (per_metre * root).tolist(),
            'score': float(score),
        }
        for image_id, square, root, score in zip(
            ids, subjects.squares, subjects.roots, subjects.scores, strict=True
        )
    ]
    if people is not None:
        for record, row in zip(records, subjects.rows, strict=True):
            record['ann_id'] = int(people[row]) if row >= 0 else -1
    (folder / name).write_text(json.dumps(records, allow_nan=False))


def read_roots(path: Path, data: str, annotations: Annotations) -> Subjects:
    """Return the subjects of a file that RootNet wrote.

    :raises DataError: the file cannot be read, or is another.
    """
    records, images = read_records(path, annotations, 'image_id, bbox and root_cam')
    squares, roots = numbers(path, records, 'bbox', 4), numbers(path, records, 'root_cam', 3)
    return Subjects.rooted(
        annotations, images, squares, _scores(path, records), roots / FILES[data][1], path.name,
    )  # fmt: skip


def read_boxes(path: Path, annotations: Annotations) -> Subjects:
    """Return the subjects of a detector's file: image_id, tight bbox and, if there is one, score.

    :raises DataError: the file cannot be read, or is another.
    """
    records, images = read_records(path, annotations, 'image_id and bbox')
    if any('root_cam' in record for record in records[:1]):
        raise DataError(
            f'{path} is of RootNet: its boxes are processed already, and would be so twice; '
            'pose3d evaluate posenet takes it as --roots'
        )
    return Subjects.detected(
        annotations, images, numbers(path, records, 'bbox', 4), _scores(path, records), path.name,
    )  # fmt: skip


def read_records(
    path: Path, annotations: Annotations, expected: str
) -> tuple[list[dict[str, object]], np.ndarray]:
    """Return the objects of a JSON file that are of the data set, and in which image each is (n,).

    As with the original, a file may hold more images than are scored: other frames and subjects.

    :param expected: what each has to have, for messages.
    :raises DataError: there is none.
    """
    try:
        records = json.loads(path.read_text())
    except OSError as error:
        raise DataError(f'cannot read {path}: {error.strerror}') from error
    except ValueError as error:
        raise DataError(f'{path} is not complete JSON ({error}); get the file again') from error
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise DataError(f'{path} is no list of objects with {expected}')
    ids, known = numbers(path, records, 'image_id').astype(np.int64), image_ids(annotations)
    order = np.argsort(known, kind='stable')
    places = order[np.minimum(np.searchsorted(known[order], ids), len(known) - 1)]
    ours = known[places] == ids
    if not ours.any():
        raise DataError(
            f'{path}: none of its {len(records)} records is of an image of {annotations.name}: it '
            'is of another split or protocol'
        )
    return [record for record, our in zip(records, ours, strict=True) if our], places[ours]


def numbers(path: Path, records: Sequence[dict[str, object]], key: str, *shape: int) -> np.ndarray:
    """Return (n, *shape) finite numbers of all records; DataError naming the first without."""
    found = np.empty((len(records), *shape))
    for i, record in enumerate(records):
        try:
            found[i] = np.array(record[key], np.float64).reshape(shape)
        except (KeyError, TypeError, ValueError) as error:
            wanted = ' x '.join(map(str, shape)) or 'one'
            raise DataError(
                f"{path}: record {i} has no '{key}' of {wanted} number(s); it is another file"
            ) from error
    if not np.isfinite(found).all():
        bad = int(np.flatnonzero(~np.isfinite(found).reshape(len(found), -1).all(axis=1))[0])
        raise DataError(f"{path}: record {bad} has a '{key}' that is not finite")
    return found


def image_ids(annotations: Annotations) -> np.ndarray:
    """Return by which ids (m,) files go; DataError where there are none."""
    if annotations.image_ids is None:
        raise DataError(f'{annotations.name}: the images have no ids, which result files go by')
    return annotations.image_ids


def _scores(path: Path, records: Sequence[dict[str, object]]) -> np.ndarray:
    """Return (n,) scores; those of true boxes are 1, and some files leave them out."""
    if any('score' in record for record in records):
        return numbers(path, records, 'score')
    return np.ones(len(records))
