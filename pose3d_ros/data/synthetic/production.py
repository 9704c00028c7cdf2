# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A data set in Human3.6M's format, as human36m.py reads it, made by many processes.

    OUT/annotations/Human36M_subject<N>_{data,camera,joint_3d}.json, splits.json
    OUT/images/s_01_act_14_subact_01_ca_01/s_01_act_14_subact_01_ca_01_000001.jpg
    OUT/synth.json       what it was made with
    OUT/parts/           while it is made: what is known of each camera that has finished

A subject is not a person but a crowd: subject 1 is for training, subject 2 for testing, and no
body, no camera and no random number is in both. A camera takes PICTURES_PER_CAMERA pictures.
"""

import json
import multiprocessing
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from pose3d_ros.data.annotations import DataError
from pose3d_ros.data.synthetic.motions import ACTIONS
from pose3d_ros.data.synthetic.studio import Reel, Shot, Studio
from pose3d_ros.whole_files import whole

FORMAT = 2  # to be raised when the same settings give other pictures or annotations
SUBJECTS = {'train': 1, 'test': 2}
PICTURES_PER_CAMERA = 8
_JPEG_QUALITY = (70, 96)
_IDS_PER_SUBJECT = 10_000_000
_IDS_PER_IMAGE = 10
_DECIMALS_MM = 2
_LAST_FILE = 'splits.json'  # with which a data set is complete


@dataclass(frozen=True)
class Settings:
    """What a data set depends on, beside the versions of the libraries.

    :param train: number of images to train on.
    :param test: number of images to test on.
    :param facing_deg: the most that people are turned away from the camera; 180 = any way.
    :param backdrops: files of the user's pictures to put behind people.
    """

    train: int
    test: int
    seed: int = 0
    width: int = 512
    height: int = 512
    facing_deg: float = 180.0
    backdrops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """What was made by this run: images, people in them, seconds, and those of starting up."""

    images: int
    people: int
    seconds: float
    start_s: float

    @property
    def images_per_s(self) -> float:
        """Return the rate once the processes had started."""
        return self.images / max(self.seconds - self.start_s, 1e-9)


@dataclass(frozen=True)
class _Job:
    """One camera's pictures: the numbers of camera and of its first frame are from 0."""

    subject: int
    camera: int
    pictures: int

    @property
    def part(self) -> str:
        return f's_{self.subject:02d}_ca_{self.camera + 1:02d}.json'


def make(out: Path, settings: Settings, processes: int, device: str = 'cpu') -> Summary:
    """Make a data set, or go on with one that was interrupted.

    :param processes: how many work at once.
    :param device: 'cpu' or 'cuda', on which pictures are rendered.
    :raises DataError: `out` holds something else, or a backdrop cannot be read.
    :raises WeightsError: motion clips have not been fetched.
    :raises OSError: a file cannot be written.
    """
    _claim(out, settings)
    jobs = _jobs(settings)
    if (out / 'annotations' / _LAST_FILE).is_file():
        shutil.rmtree(out / 'parts', ignore_errors=True)
        return Summary(0, 0, 0.0, 0.0)
    for folder in ('annotations', 'images', 'parts'):
        (out / folder).mkdir(exist_ok=True)
    left = [job for job in jobs if not (out / 'parts' / job.part).is_file()]
    start = time.monotonic()
    first = images = people = 0.0
    total, done = (sum(job.pictures for job in some) for some in (jobs, set(jobs) - set(left)))
    with tqdm(total=total, initial=done, unit='image', disable=None) as bar:
        for started, pictures, persons in _work(out, settings, left, processes, device):
            first = first or started - start
            images, people = images + pictures, people + persons
            bar.update(pictures)
    summary = Summary(int(images), int(people), time.monotonic() - start, first)
    _assemble(out, settings, jobs)
    return summary


def _claim(out: Path, settings: Settings) -> None:
    """Make the folder, or make sure that it is one of the same settings."""
    content = {'format': FORMAT, **asdict(settings), 'backdrops': list(settings.backdrops)}
    path = out / 'synth.json'
    if path.is_file():
        try:
            there = json.loads(path.read_text())
        except ValueError:
            there = None
        if there != content:
            raise DataError(
                f'{out} was made with other settings, see {path}: give the same, or another folder'
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f'{out} is not empty and holds no data set of this command')
    out.mkdir(parents=True, exist_ok=True)
    _write_json(path, content)


def _jobs(settings: Settings) -> list[_Job]:
    return [
        _Job(subject, camera, min(PICTURES_PER_CAMERA, total - camera * PICTURES_PER_CAMERA))
        for total, subject in (
            (settings.train, SUBJECTS['train']),
            (settings.test, SUBJECTS['test']),
        )
        for camera in range(-(-total // PICTURES_PER_CAMERA))
    ]


def _work(
    out: Path, settings: Settings, jobs: list[_Job], processes: int, device: str
) -> Iterator[tuple[float, int, int]]:
    """Run jobs, in processes of their own, and yield (a worker's start, images, people) of each."""
    # spawned: PyTorch and Warp do not survive a fork
    executor = ProcessPoolExecutor(
        min(processes, len(jobs)) or 1,
        multiprocessing.get_context('spawn'),
        _start,
        (settings, device),
    )
    futures: list[Future[tuple[float, int, int]]] = []
    try:
        futures = [executor.submit(_run, out, settings, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            'a process that makes pictures ended (above may be why, else it was killed); is there '
            f'memory enough for {processes} of them, 1.2 GB each? Run the command again to go on'
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


# Of a worker process, by _start.
_studio: Studio
_started = 0.0


def _start(settings: Settings, device: str) -> None:
    """Prepare a worker process."""
    import torch

    global _studio, _started
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it finishes its camera; the parent says stop
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    backdrops = tuple(Path(path) for path in settings.backdrops)
    _studio = Studio(backdrops, settings.facing_deg, device)
    _studio.shoot(np.random.default_rng(0), 64, 64, 1)  # loads the kernels
    _started = time.monotonic()


def _run(out: Path, settings: Settings, job: _Job) -> tuple[float, int, int]:
    """Make one camera's pictures and what is known of them: the part comes last, and whole."""
    rng = np.random.default_rng([settings.seed, job.subject, job.camera])
    reel = _studio.shoot(rng, settings.width, settings.height, job.pictures)
    part = _part(job, reel)
    for image, shot in zip(part['images'], reel.shots, strict=True):
        path = out / 'images' / image['file_name']
        path.parent.mkdir(exist_ok=True)
        quality = int(rng.integers(*_JPEG_QUALITY))
        encoded = cv2.imencode('.jpg', shot.image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        path.write_bytes(encoded.tobytes())
    _write_json(out / 'parts' / job.part, part)
    return _started, len(reel.shots), len(part['annotations'])


def _part(job: _Job, reel: Reel) -> dict[str, Any]:
    """Return what the three files say about one camera."""
    action, subaction, camera = ACTIONS[reel.action][0], job.camera % 2 + 1, job.camera + 1
    stem = f's_{job.subject:02d}_act_{action:02d}_subact_{subaction:02d}_ca_{camera:02d}'
    images, annotations = [], []
    joints: dict[str, Any] = {}
    for index, shot in enumerate(reel.shots):
        frame = job.camera * PICTURES_PER_CAMERA + index
        number = job.subject * _IDS_PER_SUBJECT + frame
        images.append({
            'id': number, 'file_name': f'{stem}/{stem}_{frame + 1:06d}.jpg',
            'width': reel.view.width, 'height': reel.view.height, 'subject': job.subject,
            'action_name': reel.action, 'action_idx': action, 'subaction_idx': subaction,
            'cam_idx': camera, 'frame_idx': frame,
        })  # fmt: skip
        annotations += _annotations(number, shot)
        joints[str(frame)] = (shot.joints_m.astype(np.float64) * 1000).round(_DECIMALS_MM).tolist()
    view = reel.view
    return {
        'images': images,
        'annotations': annotations,
        'camera': {str(camera): {
            'R': view.rotation.tolist(), 't': (view.translation_m * 1000).tolist(),
            'f': view.focal_px.tolist(), 'c': view.centre_px.tolist(),
        }},
        'joints': {str(action): {str(subaction): joints}},
    }  # fmt: skip


def _annotations(image: int, shot: Shot) -> list[dict[str, Any]]:
    return [
        {'id': image * _IDS_PER_IMAGE + person, 'image_id': image, 'person_idx': person,
         'bbox': box.tolist(), 'keypoints_vis': inside.tolist(), 'keypoints_seen': seen.tolist()}
        for person, (box, inside, seen) in enumerate(
            zip(shot.boxes, shot.inside, shot.seen, strict=True)
        )
    ]  # fmt: skip


def _assemble(out: Path, settings: Settings, jobs: list[_Job]) -> None:
    """Write the files of annotations from the parts, which are then gone."""
    splits = {}
    for split, subject in SUBJECTS.items():
        parts = [json.loads((out / 'parts' / job.part).read_text()) for job in jobs
                 if job.subject == subject]  # fmt: skip
        if not parts:
            continue
        data = {
            key: [row for part in parts for row in part[key]] for key in ('images', 'annotations')
        }
        cameras: dict[str, Any] = {}
        joints: dict[str, Any] = {}
        for part in parts:
            cameras.update(part['camera'])
            for action, subactions in part['joints'].items():
                for subaction, frames in subactions.items():
                    joints.setdefault(action, {}).setdefault(subaction, {}).update(frames)
        stem = f'Human36M_subject{subject}'
        for what, content in (('data', data), ('camera', cameras), ('joint_3d', joints)):
            _write_json(out / 'annotations' / f'{stem}_{what}.json', content)
        splits[split] = {'subjects': [subject], 'every': 1}
    _write_json(out / 'annotations' / _LAST_FILE, {'name': 'Synthetic people', 'splits': splits})
    shutil.rmtree(out / 'parts')


def _write_json(path: Path, content: Any) -> None:
    """Write a file at once, or not at all."""
    with whole(path) as part:
        part.write_text(json.dumps(content))
