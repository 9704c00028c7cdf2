# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The folder of results that `pose3d video` writes, and reading it again (docs/video.md)."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.people import Keypoints, Persons, Poses, Tracks, TrackState
from pose3d_ros.skeletons import SKELETONS, Skeleton
from pose3d_ros.whole_files import whole

RUN_FILE = 'run.json'
POSES_FILE = 'poses.jsonl'
CAMERA_FILE = 'camera.yaml'
OVERLAY_FILE = 'overlay.mp4'
SCENE_FILE = 'scene.png'
FRAMES_FOLDER = 'frames'
#: What a run writes besides frames. run.json tells whose they are, so it is removed last.
FILES = (POSES_FILE, CAMERA_FILE, OVERLAY_FILE, SCENE_FILE, RUN_FILE)

# What is kept: a tenth of a millimetre, a hundredth of a pixel, a ten thousandth of certainty.
_METRES_DIGITS, _PIXEL_DIGITS, _SCORE_DIGITS = 4, 2, 4
_COVARIANCE_DIGITS = 8  # the squares of tenths of a millimetre

_INDEX = re.compile(rb'\{"index":(\d+),')  # as `FrameResult.to_json` begins

_TABLES = ('settings', 'precisions', 'versions', 'result')  # of run.json

# What comes of JSON with other values in it: of other types, too large, too deep.
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


class ResultsError(ValueError):
    """A folder of results that cannot be read or gone on with; the message says why."""


@dataclass(frozen=True)
class FrameResult:
    """The people of one frame.

    :param index: the frame's place in its source, from 0.
    :param time_s: its time from the source's start, seconds.
    :param persons: boxes, scores, ids, and 2D keypoints if the rootnet found any.
    :param poses: of the same people, in the same order.
    """

    index: int
    time_s: float
    persons: Persons
    poses: Poses

    def to_json(self) -> str:
        """Return one line of poses.jsonl, without its end. Unknown numbers are null."""
        persons = [self._person(i) for i in range(len(self.persons))]
        data = {'index': self.index, 'time_s': round(self.time_s, 6), 'persons': persons}
        return json.dumps(data, allow_nan=False, separators=(',', ':'))

    def _person(self, i: int) -> dict[str, object]:
        persons, poses, keypoints = self.persons, self.poses, self.persons.keypoints
        person: dict[str, object] = {
            'id': persons.ids[i],
            'score': _rounded(persons.scores[i], _SCORE_DIGITS),
            'box': _rounded(persons.boxes[i], _PIXEL_DIGITS),
            'root': _rounded(poses.roots[i], _METRES_DIGITS),
            'root_depth_stddev_m': _rounded(poses.root_depth_stddev_m[i], _METRES_DIGITS),
            'joints': _rounded(poses.joints[i], _METRES_DIGITS),
            'joint_scores': _rounded(poses.joint_scores[i], _SCORE_DIGITS),
            'track': _track(poses.tracks, i),
        }
        if keypoints is not None:
            person['keypoints'] = {
                'skeleton': keypoints.skeleton.name,
                'xy': _rounded(keypoints.xy[i], _PIXEL_DIGITS),
                'scores': _rounded(keypoints.scores[i], _SCORE_DIGITS),
            }
        return person

    @classmethod
    def from_json(cls, line: str, skeleton: Skeleton) -> 'FrameResult':
        """Return what a line holds.

        :raises ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError: it
            is not such a line.
        """
        data = json.loads(line)
        people = data['persons']
        ids = tuple(str(person['id']) for person in people)

        def column(key: str, *shape: int) -> np.ndarray:
            values = np.array([person[key] for person in people], dtype=np.float64)
            return values.reshape(len(people), *shape)

        roots, stddev_m = column('root', 3), column('root_depth_stddev_m')
        keypoints = _keypoints(people)
        persons = Persons(column('box', 4), column('score'), ids, roots, stddev_m, keypoints)
        joints, scores = column('joints', len(skeleton), 3), column('joint_scores', len(skeleton))
        tracks = _tracks(people)
        poses = Poses(skeleton, joints, scores, roots, stddev_m, persons.scores, ids, tracks)
        time_s = float(data['time_s'])
        if not math.isfinite(time_s):
            raise ValueError(f'time_s is {time_s}')
        return cls(int(data['index']), time_s, persons, poses)


def _keypoints(people: list[dict[str, Any]]) -> Keypoints | None:
    """Return the keypoints of the people of a line; None where it has none."""
    seen = [person['keypoints'] for person in people if 'keypoints' in person]
    if not seen:
        return None
    skeleton = SKELETONS[seen[0]['skeleton']]
    k = len(skeleton)
    xy = np.array([one['xy'] for one in seen], dtype=np.float64).reshape(-1, k, 2)
    return Keypoints(skeleton, xy, np.array([one['scores'] for one in seen], dtype=np.float64))


def _track(tracks: Tracks, i: int) -> dict[str, Any] | None:
    """Return what is known of the i-th person over time; None where he is untracked."""
    state = TrackState(tracks.states[i])
    if state == TrackState.UNTRACKED:
        return None
    known = tracks.has_velocity[i]
    return {
        'state': state.name.lower(),
        'age_frames': int(tracks.ages_frames[i]),
        'root': _rounded(tracks.motions[i, :3], _METRES_DIGITS) if known else None,
        'velocity': _rounded(tracks.motions[i, 3:], _METRES_DIGITS) if known else None,
        'covariance': _rounded(tracks.covariances[i], _COVARIANCE_DIGITS) if known else None,
    }


def _tracks(people: list[dict[str, Any]]) -> Tracks:
    """Return what a line says of its people over time."""
    tracks = Tracks.untracked(len(people))
    for i, track in enumerate(person['track'] for person in people):
        if track is not None:
            tracks.states[i] = TrackState[track['state'].upper()]
            tracks.ages_frames[i] = track['age_frames']
            if track['velocity'] is not None:
                tracks.motions[i] = track['root'] + track['velocity']
                tracks.covariances[i] = track['covariance']
    return tracks


def as_written(persons: Persons) -> Persons:
    """Return detected people with the numbers that the file will hold.

    A tracker that is fed with these can be fed again from the file, and gives the same ids.
    """
    return Persons(
        persons.boxes.round(_PIXEL_DIGITS), persons.scores.round(_SCORE_DIGITS), persons.ids
    )


def poses_as_written(poses: Poses) -> Poses:
    """Return poses with roots as the file will hold them, for the tracker in space."""
    return replace(
        poses,
        roots=poses.roots.round(_METRES_DIGITS),
        root_depth_stddev_m=poses.root_depth_stddev_m.round(_METRES_DIGITS),
    )


def _rounded(values: np.ndarray, digits: int) -> Any:
    """Return a number or nested lists, None for what is not finite."""
    numbers = (np.round(values, digits) + 0.0).astype(object)  # the sum makes 0.0 of -0.0
    return np.where(np.isfinite(values), numbers, np.array(None)).tolist()


def read_results(path: Path, skeleton: Skeleton) -> Iterator[FrameResult]:
    """Yield the frames of a poses.jsonl.

    :raises ResultsError: a line is damaged; the message says which.
    """
    with path.open('rb') as file:
        for number, line in enumerate(file, start=1):
            try:
                yield FrameResult.from_json(line.decode(), skeleton)
            except _DAMAGED as error:
                raise ResultsError(f'line {number} of {path} is damaged: {error}') from error


def cut_half_line(path: Path) -> int:
    """Cut off a last line that was not written to its end; return how many lines there are."""
    with path.open('r+b') as file:
        lines = end = 0
        for line in file:
            if not line.endswith(b'\n'):
                break
            lines, end = lines + 1, end + len(line)
        file.truncate(end)
    return lines


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with whole(path) as part:
        part.write_text(json.dumps(data, indent=2, allow_nan=False) + '\n', encoding='utf-8')


def camera_record(camera: Camera) -> dict[str, Any]:
    """Return the intrinsics as run.json has them."""
    return {
        'width': camera.width,
        'height': camera.height,
        'K': camera.K.tolist(),
        'distortion': camera.distortion.tolist(),
        'distortion_model': camera.distortion_model,
    }


def read_run(folder: Path) -> dict[str, Any]:
    """Return the run.json of a folder of results.

    :raises ResultsError: there is none, or it is damaged.
    """
    path = folder / RUN_FILE
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
        whole = all(isinstance(data[key], dict) for key in _TABLES) and all(
            isinstance(precision, str)
            for stage in data['precisions'].values()
            for precision in stage
        )
        if not whole or data['skeleton']['name'] not in SKELETONS:
            raise KeyError(f'{", ".join(_TABLES)}, skeleton')
        json.dumps(data, allow_nan=False)  # as it will be written again
    except (OSError, *_DAMAGED) as error:
        raise ResultsError(f'{path} cannot be read: {error}') from error
    return dict(data)


def files_of_run(folder: Path) -> list[Path]:
    """Return what the run in a folder left: nothing, where no run.json tells of one.

    Frames are a run's if it kept them, and only those that its poses.jsonl has.
    """
    try:
        record = read_run(folder)
    except ResultsError:
        return []
    indices = _indices(folder / POSES_FILE) if record.get('keeps_frames') else []
    files = [*(frame_file(folder, index) for index in indices), *(folder / name for name in FILES)]
    return [file for file in files if file.exists()]


def _indices(path: Path) -> list[int]:
    """Return which frames a poses.jsonl has; lines that are damaged have none."""
    try:
        found = [_INDEX.match(line) for line in path.read_bytes().splitlines()]
    except OSError:
        return []
    return [int(index[1]) for index in found if index]


def frame_file(folder: Path, index: int) -> Path:
    """Return where a frame is kept as JPEG."""
    return folder / FRAMES_FOLDER / f'{index:06d}.jpg'


def kept_frames(folder: Path) -> list[Path]:
    """Return the frames that were kept as JPEG."""
    return sorted((folder / FRAMES_FOLDER).glob('[0-9]*.jpg'))
