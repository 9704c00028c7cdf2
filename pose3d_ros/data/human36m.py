# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Human3.6M as 3DMPPE has it, and any other folder of the same format (`pose3d synth` writes one).

Annotations, one set of three files for each subject N (a number):

    Human36M_subjectN_data.json
        {"images": [{"id", "file_name", "width", "height", "action_name", "action_idx",
                     "subaction_idx", "cam_idx", "frame_idx"}, ...],
         "annotations": [{"id", "image_id", "bbox": [x, y, w, h], "keypoints_vis": [17 x bool]},
                         ...]}
        Ids are unique in a file (for result files, in the whole set); pixels; `bbox` is tight;
        `keypoints_vis` is whether a joint lies in the image.
    Human36M_subjectN_camera.json
        {"<cam_idx>": {"R": 3 x 3, "t": [3], "f": [fx, fy], "c": [cx, cy]}, ...}
        World (mm) to optical frame (mm) is R X + t, or R (X - t): the published files have changed
        from the second to the first, so the joints are tried against the boxes.
    Human36M_subjectN_joint_3d.json
        {"<action_idx>": {"<subaction_idx>": {"<frame_idx>": 17 x 3, ...}}}, world, mm

Images, in either of two layouts, with frame = frame_idx + 1:

    <file_name>, in the published files
        s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_<frame, 6 digits>.jpg
    S<N>/outputVideos/<action name and number>.<camera name>.mp4/<frame, 4 digits>.jpg
        as the course project had it

A folder of somebody's own may have any numbers of subjects, actions, cameras and frames and any
names of actions and images. It differs from Human3.6M in two things:

    splits.json beside the annotations says which subjects a split has, and every which frame:
        {"name": "Synthetic people",
         "splits": {"train": {"subjects": [1, 2], "every": 1}, "test": {"subjects": [3], ...}}}
    Several people in an image: an annotation may have "person_idx", a number from 0, and the joint
        file then has people x 17 x 3 for this frame.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.assembly import MILLIMETRES_PER_METRE, assemble, join, project
from pose3d_ros.data.human36m_videos import video_name
from pose3d_ros.data.records import CocoFile, Records, read_json
from pose3d_ros.skeletons import HUMAN36M, HUMAN36M_17

TITLE = 'Human3.6M'
#: By protocol, by split.
SUBJECTS = {
    1: {'train': (1, 5, 6, 7, 8, 9), 'test': (11,)},
    2: {'train': (1, 5, 6, 7, 8), 'test': (9, 11)},
}
#: Of all frames, those whose index divides by it are used.
EVERY = {'train': 5, 'test': 64}
_SPLITS_FILE = 'splits.json'


def read(annotations: Path, images: Path, split: str, protocol: int = 2) -> Annotations:
    """Return a split, with the joint set HUMAN36M.

    :param annotations: folder of the JSON files.
    :param images: folder of the images, in either layout.
    :param split: 'train' or 'test', or one that splits.json has.
    :param protocol: of Human3.6M: 1 or 2; means nothing where there is a splits.json.
    :raises DataError: files are missing or wrong; the message says which.
    """
    title, subjects, every = _split(annotations, split, protocol)
    name = f'{title} {split}'
    parts = [_subject(name, annotations, images, number, every) for number in subjects]
    return join(name, parts)


def _split(annotations: Path, split: str, protocol: int) -> tuple[str, Sequence[int], int]:
    """Return name of the data set, subjects, and every which frame counts."""
    path = annotations / _SPLITS_FILE
    if not path.is_file():
        if protocol not in SUBJECTS or split not in SUBJECTS[protocol]:
            raise DataError(
                f"{TITLE}: there is no split '{split}' of protocol {protocol}; there are train and "
                f'test, of 1 and 2 ({path} could define others)'
            )
        return TITLE, SUBJECTS[protocol][split], EVERY[split]
    content = read_json(path, TITLE)
    splits = content.get('splits')
    if not isinstance(splits, dict) or split not in splits:
        there = ', '.join(splits) if isinstance(splits, dict) else 'none'
        raise DataError(f"{path}: there is no split '{split}'; there is {there}")
    try:
        title, every = str(content.get('name', TITLE)), int(splits[split].get('every', 1))
        subjects = [int(number) for number in splits[split]['subjects']]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: split '{split}' needs a list 'subjects' of numbers") from error
    if every < 1 or not subjects:
        raise DataError(f"{path}: split '{split}' has no subjects, or 'every' below 1")
    return title, subjects, every


def _subject(name: str, folder: Path, images: Path, number: int, every: int) -> Annotations:
    """Return the people of one subject's files."""
    origin, stem = f'{name}, subject {number}', f'Human36M_subject{number}'
    whole = CocoFile.read(folder / f'{stem}_data.json', origin)
    file = _every(whole, every)
    if not len(file.annotations):
        raise DataError(
            f'{origin}: {file.annotations.path} has no annotation of every {every}. frame: the '
            'split is empty; get the file again, or choose another split'
        )
    del whole  # hundreds of MB
    world = _world(folder / f'{stem}_joint_3d.json', file, every)
    rotation, translation, focal, centre = _cameras(folder / f'{stem}_camera.json', file)
    joints = _optical(world, rotation, translation, focal, centre, file)
    pixels = project(joints, focal, centre)
    visible = np.isfinite(pixels).all(axis=2)
    # RootNet's original leaves out a root outside of the image; PoseNet's counts every joint, as
    # long as it is in the crop
    root = HUMAN36M.root[0]
    visible[:, root] &= _in_view(file)[:, root]
    in_image = file.image_rows()
    actions = file.images.texts('action_name')
    return assemble(
        name, HUMAN36M, images, _names(file.images, images, number, actions), file,
        pixels=pixels, visible=visible, joints=joints / MILLIMETRES_PER_METRE,
        focal_px=focal, centre_px=centre, groups=[actions[i] for i in in_image],
    )  # fmt: skip


def _every(file: CocoFile, every: int) -> CocoFile:
    """Return the annotations of every so-many frames, and their images."""
    rows = file.image_rows()
    chosen = file.images.integers('frame_idx') % every == 0
    return CocoFile(
        file.images[np.flatnonzero(chosen)], file.annotations[np.flatnonzero(chosen[rows])]
    )


def _names(images: Records, folder: Path, number: int, actions: Sequence[str]) -> list[str]:
    """Return the files of the images, in the layout in which the subject is there."""
    names = images.texts('file_name')
    if not (folder / f'S{number}' / 'outputVideos').is_dir():
        return names
    columns = [images.integers(f'{what}_idx').tolist() for what in ('subaction', 'cam', 'frame')]
    return [
        video_name(number, action, *indices)
        for action, *indices in zip(actions, *columns, strict=True)
    ]


def _thinned(every: int) -> Callable[[dict[str, Any]], Any]:
    """Return a hook that keeps every so-many frames: the file is large."""

    def hook(entry: dict[str, Any]) -> dict[str, Any]:
        if not entry or isinstance(next(iter(entry.values())), dict):
            return entry
        return {frame: joints for frame, joints in entry.items() if int(frame) % every == 0}

    return hook


def _world(path: Path, file: CocoFile, every: int) -> np.ndarray:
    """Return the joints of each annotation with the thorax (n, 18, 3), world, mm."""
    origin = file.annotations.origin
    actions = read_json(path, origin, _thinned(every))
    rows = file.image_rows()
    fields = ('action_idx', 'subaction_idx', 'frame_idx')
    keys = np.stack([file.images.integers(field) for field in fields], axis=1)[rows].astype(str)
    joints = []
    for (action, subaction, frame), row in zip(keys.tolist(), file.annotations.rows, strict=True):
        try:
            found = actions[action][subaction][frame]
            joints.append(found[row['person_idx']] if 'person_idx' in row else found)
        except (KeyError, IndexError, TypeError) as error:
            raise DataError(
                f'{origin}: {path} has no joints of action {action}, subaction {subaction}, frame '
                f'{frame} (annotation {row.get("id")}); get the files again, all three together'
            ) from error
    table = Records(origin, path, 'joints of annotation', [
        {'id': row.get('id'), 'joints': found}
        for row, found in zip(file.annotations.rows, joints, strict=True)
    ])  # fmt: skip
    world = table.numbers('joints', len(HUMAN36M_17), 3)
    shoulders = world[:, HUMAN36M.indices('L_Shoulder', 'R_Shoulder')]
    return np.concatenate([world, shoulders.mean(axis=1, keepdims=True)], axis=1)


def _cameras(path: Path, file: CocoFile) -> tuple[np.ndarray, ...]:
    """Return R (n, 3, 3), t (n, 3), f (n, 2) and c (n, 2) of each annotation's camera."""
    origin = file.annotations.origin
    cameras = read_json(path, origin)
    numbers = file.images.integers('cam_idx')[file.image_rows()]
    there, rows = np.unique(numbers, return_inverse=True)
    for camera in there.tolist():
        if str(camera) not in cameras:
            raise DataError(f'{origin}: {path} has no camera {camera}; get the file again')
    entries = Records(origin, path, 'entry', [
        {'id': camera, 'camera': cameras[str(camera)]} for camera in there.tolist()
    ]).objects('camera')  # fmt: skip
    shapes = {'R': (3, 3), 't': (3,), 'f': (2,), 'c': (2,)}
    return tuple(entries.numbers(key, *shape)[rows] for key, shape in shapes.items())


def _in_view(file: CocoFile) -> np.ndarray:
    """Return which joints lie in the image (n, 17)."""
    return file.annotations.numbers('keypoints_vis', len(HUMAN36M_17)) > 0


def _optical(
    world: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    focal: np.ndarray,
    centre: np.ndarray,
    file: CocoFile,
) -> np.ndarray:
    """Return joints in the optical frame (n, 18, 3), mm, by whichever convention of t fits.

    The published boxes are drawn around all joints; in other folders they may be cut at the image's
    edge. Half of the joints in view have to lie in theirs.
    """
    in_view = _in_view(file)
    boxes = file.annotations.numbers('bbox', 4)[:, None]
    turned = rotation @ world.transpose(0, 2, 1)
    shifted = turned.transpose(0, 2, 1) + translation[:, None]
    centred = turned.transpose(0, 2, 1) - (rotation @ translation[..., None])[:, None, :, 0]
    shares = []
    for joints in (shifted, centred):
        pixels = project(joints[:, : in_view.shape[1]], focal, centre)
        inside = (pixels >= boxes[..., :2]) & (pixels <= boxes[..., :2] + boxes[..., 2:])
        hits = (inside.all(axis=2) & in_view).sum()
        shares.append(float(hits / max(in_view.sum(), 1)))
    if max(shares) < 0.5:
        raise DataError(
            f'{file.annotations.origin}: the joints do not project into the boxes, neither by '
            f'R X + t ({shares[0]:.0%} of them) nor by R (X - t) ({shares[1]:.0%}): the files do '
            f'not belong together; get all three again into {file.annotations.path.parent}'
        )
    return shifted if shares[0] >= shares[1] else centred
