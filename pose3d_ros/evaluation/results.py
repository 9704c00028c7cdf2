# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The files of poses that the original PoseNet writes, written and read: millimetres there.

For Human3.6M it is `bbox_root_pose_human36m_output.json`, for MuPoTS-3D the two .mat files that the
MATLAB script of its authors reads.
"""

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.records import Records, read_json
from pose3d_ros.evaluation.multi_person import rows_by_image
from pose3d_ros.evaluation.root_files import image_ids, rows_in
from pose3d_ros.evaluation.running import FoundPoses, projected
from pose3d_ros.evaluation.subjects import Subjects, named
from pose3d_ros.models.session import RuntimeUnavailable
from pose3d_ros.skeletons import HUMAN36M, HUMAN36M_17, MUPOTS

HUMAN36M_FILE = 'bbox_root_pose_human36m_output.json'
MUPOTS_PIXELS_FILE, MUPOTS_JOINTS_FILE = 'preds_2d_kpt_mupots.mat', 'preds_3d_kpt_mupots.mat'


def write_human36m(folder: Path, annotations: Annotations, found: FoundPoses) -> None:
    """Write the 17 joints around the pelvis, box and root of everybody.

    Joints are as found, also for protocol 1, where the original writes them after alignment.

    :raises DataError: the images have no ids, or the joint set is another.
    """
    if found.skeleton not in (HUMAN36M, HUMAN36M_17):
        raise DataError(f"{HUMAN36M_FILE} is of Human3.6M's joints, not of {found.skeleton.name}'s")
    joints_mm = 1000 * (found.joints - found.joints[:, list(found.skeleton.root)])
    ids = image_ids(annotations)[found.subjects.image_indices]
    records = [
        {
            'image_id': int(image_id),
            'joint_cam': joints.tolist(),
            'bbox': square.tolist(),
            'root_cam': root.tolist(),
        }
        for image_id, joints, square, root in zip(
            ids,
            joints_mm[:, : len(HUMAN36M_17)],
            found.subjects.squares,
            1000 * found.subjects.roots,
            strict=True,
        )
    ]
    (folder / HUMAN36M_FILE).write_text(json.dumps(records, allow_nan=False))


def read_human36m(path: Path, annotations: Annotations) -> FoundPoses:
    """Return the poses of a `bbox_root_pose_human36m_output.json`, 17 joints.

    :raises DataError: the file cannot be read, or is another.
    """
    entries = read_json(path, 'poses', kind=list)
    records = Records('poses', path, 'entry', entries)
    rows, images = rows_in(path, annotations, records.integers('image_id'))
    records = records[rows]
    joints = records.numbers('joint_cam', len(HUMAN36M_17), 3)
    squares, roots = records.numbers('bbox', 4), records.numbers('root_cam', 3)
    joints = (joints + roots[:, None]) / 1000
    subjects = Subjects.rooted(
        annotations, images, squares, np.ones(len(images)), roots / 1000, path.name
    )
    kept = np.isin(images, subjects.image_indices)
    pixels = projected(joints[kept], subjects.focal_px, subjects.centre_px)
    return FoundPoses(subjects, HUMAN36M_17, joints[kept], pixels)


def write_mupots(folder: Path, annotations: Annotations, found: FoundPoses) -> None:
    """Write the first 17 joints of everybody, by image, as the MATLAB script reads them.

    An image in which nobody was found is there with no rows; the original leaves it out, and the
    script then stops at it.

    :raises DataError: the joint set is another.
    :raises RuntimeUnavailable: SciPy is missing.
    """
    if found.skeleton.joint_names[: len(MUPOTS)] != MUPOTS.joint_names:
        raise DataError(f"{MUPOTS_JOINTS_FILE} is of MuCo's joints, not of {found.skeleton.name}'s")
    save = scipy_io().savemat
    rows = rows_by_image(found.subjects.image_indices)
    for name, values in (
        (MUPOTS_PIXELS_FILE, found.pixels),
        (MUPOTS_JOINTS_FILE, 1000 * found.joints),
    ):
        nobody = np.zeros(0, np.int64)
        content = {
            _key(path): values[rows.get(image, nobody), : len(MUPOTS)]
            for image, path in enumerate(annotations.images)
        }
        save(folder / name, content, do_compression=True)


def read_mupots(folder: Path, annotations: Annotations) -> FoundPoses:
    """Return the poses of the two .mat files in a folder.

    :raises DataError: a file cannot be read, or lacks an image that people are annotated in.
    :raises RuntimeUnavailable: SciPy is missing.
    """
    pixels = _read_mat(folder / MUPOTS_PIXELS_FILE, 2)
    joints = _read_mat(folder / MUPOTS_JOINTS_FILE, 3)
    wanted = np.unique(annotations.image_indices)
    keys = [_key(annotations.images[i]) for i in wanted]
    missing = [i for i, k in zip(wanted, keys, strict=True) if k not in pixels or k not in joints]
    if missing:
        raise DataError(
            f'{folder}: {len(missing)} of {len(wanted)} images have no result in both .mat files '
            f'({named(annotations.images, np.array(missing))}); one without people has no rows'
        )
    counts = [len(joints[key]) for key in keys]
    images = np.repeat(wanted, counts)
    poses = np.concatenate([joints[key] for key in keys]) / 1000
    flat = np.concatenate([pixels[key] for key in keys])
    if len(poses) != len(flat):
        raise DataError(f'{folder}: the two .mat files are not of the same people')
    roots = poses[:, MUPOTS.root[0]]
    unknown = np.full((len(images), 4), np.nan)
    ones = np.ones(len(images))
    subjects = Subjects.rooted(annotations, images, unknown, ones, roots, MUPOTS_JOINTS_FILE)
    return FoundPoses(subjects, MUPOTS, poses, flat)


#: Data set -> what writes its poses; others have no format of the original's.
WRITERS: dict[str, Callable[[Path, Annotations, FoundPoses], None]] = {
    'human36m': write_human36m,
    'mupots': write_mupots,
}
#: Data set -> what reads them again.
READERS: dict[str, Callable[[Path, Annotations], FoundPoses]] = {
    'human36m': read_human36m,
    'mupots': read_mupots,
}


def _key(path: Path) -> str:
    """Return by what name the .mat files have an image: TS1/img_000000.jpg is TS1_img_000000."""
    return f'{path.parent.name}_{path.stem}'


def _read_mat(path: Path, columns: int) -> Mapping[str, np.ndarray]:
    """Return image -> array (n, 17, columns)."""
    load = scipy_io().loadmat
    try:
        content = load(str(path), appendmat=False)
    except OSError as error:
        raise DataError(f'cannot read {path}: {error.strerror or error}') from error
    except Exception as error:  # of a damaged file SciPy raises nearly anything
        raise DataError(f'{path} is damaged, or no .mat file: {error}') from error
    arrays = {key: np.asarray(v) for key, v in content.items() if not key.startswith('__')}
    shape = (len(MUPOTS), columns)
    for key, array in arrays.items():
        if array.shape[1:] != shape:
            raise DataError(f'{path}: {key} is {array.shape}, expected people x 17 x {columns}')
    return {key: array.astype(np.float64) for key, array in arrays.items()}


def scipy_io() -> Any:
    """Return scipy.io, which reads and writes .mat files.

    :raises RuntimeUnavailable: SciPy is missing.
    """
    if importlib.util.find_spec('scipy') is None:
        raise RuntimeUnavailable(
            "results of MuPoTS-3D are .mat files, which needs scipy: pip install 'pose3d_ros[mat]'"
        )
    import scipy.io

    return scipy.io
