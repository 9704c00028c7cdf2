# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The stages and the tracker over the frames of a source, into a folder of results."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from pose3d_ros import results
from pose3d_ros.camera import Camera
from pose3d_ros.drawing import draw_overlay, draw_scene
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.people import Persons, Poses
from pose3d_ros.results import FrameResult, ResultsError
from pose3d_ros.skeletons import Skeleton
from pose3d_ros.stages import DETECTORS, POSENETS, ROOTNETS, Detector, PoseNet, RootNet
from pose3d_ros.tracking import Tracker
from pose3d_ros.tracking3d import MotionOptions, Tracker3D
from pose3d_ros.video import Frame, Source, VideoError, VideoWriter, prefetched
from pose3d_ros.whole_files import whole

_PATH_S = 2.0  # how much of each person's path the scene shows
_JPEG_QUALITY = 95
_MOTION = MotionOptions(coast_s=0.0)  # who is not in a frame has no box, and no place in its line
_NAMED_UNREADABLE = 10  # more are only counted on the screen
# Pictures that may wait to be drawn; a frame of full HD is 6 MB.
_MAX_WAITING = 4


@dataclass(frozen=True)
class Job:
    """What is to be done.

    :param folder: where the results go; it exists.
    :param source: where the frames come from.
    :param camera: what they were taken with.
    :param skeleton: the posenet's joint set.
    :param every: take every n-th frame only.
    :param limit: stop after so many frames; None = at the end.
    :param overlay: write the video with skeletons.
    :param frames: keep the frames as JPEG.
    :param overlay_frames: how many frames the overlay of an earlier run shows.
    """

    folder: Path
    source: Source
    camera: Camera
    skeleton: Skeleton
    every: int
    limit: int | None
    overlay: bool
    frames: bool
    overlay_frames: int


@dataclass(frozen=True)
class Summary:
    """What there is after a run, this one's and the earlier ones' together.

    :param frames: frames with results.
    :param complete: the source is at its end.
    :param people: ids that were given.
    :param unreadable: names of the frames that could not be read.
    :param overlay_frames: frames that overlay.mp4 shows.
    :param source_frames: frames that the source announces; 0 = unknown.
    """

    frames: int = 0
    complete: bool = False
    people: int = 0
    unreadable: tuple[str, ...] = ()
    overlay_frames: int = 0
    source_frames: int = 0


@dataclass(frozen=True)
class Stages:
    """The three networks' stages: an image to the poses of its people."""

    detector: Detector
    rootnet: RootNet
    posenet: PoseNet
    options: DetectorOptions
    body: BodySize

    @classmethod
    def default(cls, runtime: RuntimeOptions) -> 'Stages':
        """Return those that run unless others are named.

        :raises weights.WeightsError: a file is absent or corrupt.
        """
        return cls(
            DETECTORS['yolox'](None, runtime),
            ROOTNETS['keypoints'](None, runtime),
            POSENETS['blazepose'](None, runtime),
            DetectorOptions(),
            BodySize(),
        )

    @property
    def precisions(self) -> dict[str, list[str]]:
        """Return what each stage's networks compute in."""
        return {
            'detector': [network.precision for network in self.detector.networks],
            'rootnet': [network.precision for network in self.rootnet.networks],
            'posenet': [network.precision for network in self.posenet.networks],
        }

    @property
    def busy_s(self) -> float:
        """Return the seconds that the calling thread has spent in the networks."""
        stages = (self.detector, self.rootnet, self.posenet)
        return sum(network.busy_s for stage in stages for network in stage.networks)

    def detect(self, image: np.ndarray) -> Persons:
        """Return the people of an image, without ids."""
        return self.detector(image, self.options)

    def place(self, image: np.ndarray, persons: Persons, camera: Camera) -> tuple[Persons, Poses]:
        """Return the people of an image with roots, and their poses."""
        persons = self.rootnet(image, persons, camera, self.body)
        return persons, self.posenet(image, persons, camera)

    def find(
        self, image: np.ndarray, camera: Camera, trackers: 'Trackers', time_s: float
    ) -> tuple[Persons, Poses]:
        """Return the people of an image, with ids, and their poses."""
        # the trackers get what the file will hold, so that they can be fed again from the file
        persons = trackers.boxes.update(results.as_written(self.detect(image)), time_s)
        persons, poses = self.place(image, persons, camera)
        poses = results.poses_as_written(poses)
        return persons, trackers.space.update(poses, time_s, camera.focal_px, _MOTION)


@dataclass(frozen=True)
class Trackers:
    """Who is who, by boxes, and how they move, in space."""

    boxes: Tracker
    space: Tracker3D


def analyse(
    job: Job, stages: Callable[[], Stages], interrupted: threading.Event
) -> tuple[Summary, VideoError | None]:
    """Go through the frames: those that have results already are only drawn again.

    :param stages: called at the first frame without results.
    :return: what there is, and why the source gave no more, where that was not its end.
    :raises ResultsError: the results that are there are of another source, or damaged.
    """
    poses_path = job.folder / results.POSES_FILE
    known = _Known(poses_path, job)
    ids: set[str] = set()
    unreadable: list[str] = []
    faults: list[VideoError] = []
    count, complete = 0, True
    with (
        poses_path.open('a', encoding='utf-8') as lines,
        _Pictures(job) as pictures,
        closing(prefetched(job.source.frames(job.every))) as frames,
        _progress(job) as bar,
    ):
        for frame in _until_lost(frames, faults):
            if interrupted.is_set() or count == job.limit:
                complete = False
                break
            if frame.image is None:
                unreadable.append(frame.name)
                _tell_unreadable(bar, unreadable)
                continue
            result = known.result(frame)
            if result is None:
                time_s = round(frame.time_s, 6)  # as the file will have it
                found = stages().find(frame.image, job.camera, known.trackers, time_s)
                result = FrameResult(frame.index, time_s, *found)
                lines.write(result.to_json() + '\n')
                lines.flush()
            pictures.add(frame.image, result)
            ids.update(result.persons.ids)
            count += 1
            bar.update()
    people = len(ids - {''})
    shown, announced = pictures.overlay_frames, job.source.frame_count
    complete = complete and not faults
    summary = Summary(count, complete, people, tuple(unreadable), shown, announced)
    return summary, faults[0] if faults else None


def _until_lost(frames: Iterator[Frame], faults: list[VideoError]) -> Iterator[Frame]:
    """Yield frames until their source is lost, and note why: what there is, is finished then."""
    try:
        yield from frames
    except VideoError as error:
        faults.append(error)


class _Known:
    """The results of earlier runs, frame by frame, and the trackers as they left them."""

    def __init__(self, path: Path, job: Job) -> None:
        self.trackers = Trackers(Tracker(), Tracker3D(job.skeleton))
        self._focal_px = job.camera.focal_px
        self._path = path
        self._results = results.read_results(path, job.skeleton) if path.exists() else iter(())

    def result(self, frame: Frame) -> FrameResult | None:
        """Return the result of a frame; None from the first one on that has none."""
        result = next(self._results, None)
        if result is None:
            return None
        persons = self.trackers.boxes.update(result.persons, result.time_s)
        self.trackers.space.update(result.poses, result.time_s, self._focal_px, _MOTION)
        if result.index != frame.index or persons.ids != result.persons.ids:
            raise ResultsError(
                f'{self._path} holds frame {result.index} where {frame.name} comes next, or other '
                'ids than this version gives: it cannot be gone on with; --overwrite starts anew'
            )
        return result


def _progress(job: Job) -> 'tqdm[Any]':
    counts = [-(-job.source.frame_count // job.every)] if job.source.frame_count else []
    counts += [job.limit] if job.limit else []
    return tqdm(total=min(counts, default=None), unit='frame', disable=None, smoothing=0.1)


def _tell_unreadable(bar: 'tqdm[Any]', names: list[str]) -> None:
    if len(names) <= _NAMED_UNREADABLE:
        bar.write(f'skipped, cannot be read: {names[-1]}')
    elif len(names) == _NAMED_UNREADABLE + 1:
        bar.write('more frames cannot be read; run.json will name them')


def _overlay_video(job: Job) -> VideoWriter | None:
    """Return what writes the overlay; None = it cannot be written, which is told."""
    path, source = job.folder / results.OVERLAY_FILE, job.source
    try:
        return VideoWriter(path, source.rate_hz / job.every, source.width, source.height)
    except VideoError as error:
        tqdm.write(f'no overlay: {error}')
        return None


class _Pictures:
    """The overlay video, the frames and the scene, drawn by a thread beside the networks."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pool = ThreadPoolExecutor(1, 'drawing')
        self._waiting: deque[Future[None]] = deque()
        self._video: VideoWriter | None = None
        self._recent: deque[FrameResult] = deque()
        self._best: tuple[int, float] = (0, 0.0)
        self._scene: list[Poses] = []
        self.overlay_frames = job.overlay_frames
        if job.overlay:
            self._video = _overlay_video(job)
        if job.frames:
            (job.folder / results.FRAMES_FOLDER).mkdir(exist_ok=True)

    def __enter__(self) -> '_Pictures':
        return self

    def add(self, image: np.ndarray, result: FrameResult) -> None:
        """Draw a frame, soon."""
        self._consider(result)
        self._waiting.append(self._pool.submit(self._draw, image, result))
        while len(self._waiting) > _MAX_WAITING:
            self._waiting.popleft().result()

    def _consider(self, result: FrameResult) -> None:
        """Keep the frame for the scene if it has the most people, the most certain."""
        self._recent.append(result)
        while result.time_s - self._recent[0].time_s > _PATH_S:
            self._recent.popleft()
        worth = (len(result.poses), float(result.poses.joint_scores.sum()))
        if worth > self._best:
            self._best, self._scene = worth, [recent.poses for recent in self._recent]

    def _draw(self, image: np.ndarray, result: FrameResult) -> None:
        if self._video is not None:
            picture = draw_overlay(image, self._job.camera, result.poses, result.persons)
            self._video.write(picture, result.time_s)
        if self._job.frames:
            path = results.frame_file(self._job.folder, result.index)
            if not path.exists():
                jpeg = cv2.imencode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1]
                with whole(path) as part:
                    part.write_bytes(jpeg.tobytes())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the files, also after an error: they show what there are results for."""
        try:
            for waiting in self._waiting:
                waiting.result()
        finally:
            self._pool.shutdown()
            if self._video is not None:
                self._close_video(self._video)
        if self._scene:
            with whole(self._job.folder / results.SCENE_FILE) as part:
                draw_scene(self._scene, self._job.camera, part)

    def _close_video(self, video: VideoWriter) -> None:
        # interrupted while it drew again: the earlier run's video shows more
        if video.frames == 0 or video.frames < self.overlay_frames:
            video.discard()
        else:
            video.close()
            self.overlay_frames = video.frames
