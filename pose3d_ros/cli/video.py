# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Find the people of a video, an image folder or a webcam: poses in metres as JSON, pictures."""

import argparse
import hashlib
import sys
import threading
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pose3d_ros import going_on, results
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.cli import models
from pose3d_ros.cli.interrupts import interrupts
from pose3d_ros.cli.video_arguments import add_arguments as add_arguments
from pose3d_ros.models.detection import OptionsError
from pose3d_ros.models.session import RuntimeUnavailable
from pose3d_ros.offline import Job, Stages, Summary, analyse
from pose3d_ros.results import ResultsError
from pose3d_ros.skeletons import SKELETONS
from pose3d_ros.video import Source, VideoError, open_source
from pose3d_ros.weights import WeightsError

_BAD_INPUT = (
    CameraError, OptionsError, ResultsError, RuntimeUnavailable, VideoError, WeightsError,
)  # fmt: skip
_REMEDY = 'another --out, or --overwrite to replace it'


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d video`; return 0, 1 (cannot write), 2 (bad input) or 130 (interrupted)."""
    try:
        with interrupts() as interrupted:
            return _run(arguments, interrupted)
    except _BAD_INPUT as error:
        print(f'pose3d video: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'pose3d video: cannot write into {arguments.out}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('pose3d video: stopped at once; the next run goes on', file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, interrupted: threading.Event) -> int:
    source = open_source(arguments.input, arguments.fps)
    camera = camera_for(
        source, arguments.camera, arguments.field_of_view, arguments.assumed_focal_px
    )
    models.refuse_stature(arguments)
    settings = _settings(arguments, source, camera)
    print(f'{source.name}: {source.width} x {source.height} pixels, camera: {camera.source}')
    folder = Path(arguments.out)
    before = None if arguments.overwrite else _earlier_run(folder, source, settings)
    _refuse_losses(arguments, source, folder, before)
    load = cache(lambda: _load(arguments, folder, before))
    begun = before or _start(folder, camera, settings, load())
    record = begun | _images(source, len(source.files))
    record['keeps_frames'] = arguments.frames or bool(begun.get('keeps_frames'))
    if record != begun:
        results.write_json(folder / results.RUN_FILE, record)
    lines = results.cut_half_line(folder / results.POSES_FILE)
    earlier = Summary(**record['result'])
    job = Job(
        folder,
        source,
        camera,
        SKELETONS[record['skeleton']['name']],
        every=arguments.every,
        limit=None if arguments.limit is None else max(arguments.limit, lines),
        overlay=not arguments.no_overlay,
        frames=arguments.frames,
        overlay_frames=earlier.overlay_frames,
    )
    if _nothing_left(job, earlier, lines):
        print(f'{folder} has all {lines} frames; nothing left to do')
        return 0
    if not _analysed(job, earlier, lines):
        load()  # now, not behind all frames that are only drawn again
    start = time.monotonic()
    summary, fault = analyse(job, load, interrupted)
    results.write_json(folder / results.RUN_FILE, {**record, 'result': asdict(summary)})
    _report(job, summary, summary.frames - lines, time.monotonic() - start)
    if fault is not None:
        raise fault
    if interrupted.is_set() and not summary.complete:
        print('pose3d video: interrupted; the same command goes on from here', file=sys.stderr)
        return 130
    return 0


def camera_for(
    source: Source,
    yaml: Path | None,
    field_of_view_deg: float | None = None,
    focal_px: float | None = None,
) -> Camera:
    """Return the camera of a source: from a file, a field of view, a focal length, or assumed.

    :raises CameraError: the file cannot be read, or is of images of another shape.
    """
    given = models.given_camera(
        source.name, source.width, source.height, yaml, field_of_view_deg, focal_px
    )
    return given or Camera.fallback(source.width, source.height)


def _settings(arguments: argparse.Namespace, source: Source, camera: Camera) -> dict[str, Any]:
    """Return all that the numbers depend on; another run with the same goes on where this ended.

    :raises WeightsError: a file of the weights is absent or corrupt.
    """
    path = Path(source.name).absolute()
    return {
        'input': source.name if source.webcam is not None else str(path),
        'input_bytes': path.stat().st_size if path.is_file() else None,
        'rate_hz': source.rate_hz,
        'every': arguments.every,
        **models.settings(arguments),
        'camera': results.camera_record(camera),
    }


def _images(source: Source, count: int) -> dict[str, Any]:
    """Return by what the first images of a folder are known again; more may follow them.

    Of anything but a folder: nothing.
    """
    if not source.files:
        return {}
    digest = hashlib.sha256()
    for file in source.files[:count]:
        size = file.stat().st_size if file.exists() else None
        digest.update(f'{file.name} {size}\n'.encode())
    return {'images': count, 'images_sha256': digest.hexdigest()}


def _earlier_run(folder: Path, source: Source, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of the run to go on with; None = there is none.

    :raises ResultsError: there is one that cannot be gone on with.
    """
    if not (folder / results.POSES_FILE).exists():
        return None
    if source.webcam is not None:
        raise ResultsError(
            f'{folder} holds an earlier run, and a webcam starts anew; give {_REMEDY}'
        )
    record = results.read_run(folder)
    try:
        Summary(**record['result'])
    except (KeyError, TypeError) as error:
        raise ResultsError(f'{folder / results.RUN_FILE} is damaged: {error}') from error
    if why := going_on.other_settings(record, settings, _REMEDY):
        raise ResultsError(f'{folder} {why}')
    if source.files:
        count = record.get('images', 0)
        same = _images(source, count)
        if count > len(source.files) or any(record.get(key) != same[key] for key in same):
            raise ResultsError(
                f'{folder} holds a run of other images of {source.name}: the first {count} have '
                f'other names or sizes now; give {_REMEDY}'
            )
    return record


def _refuse_losses(
    arguments: argparse.Namespace, source: Source, folder: Path, before: dict[str, Any] | None
) -> None:
    """Refuse to remove or write over an input, or a file that no run left.

    :param before: the record of the run to go on with; None = one starts anew.
    :raises ResultsError: the message names the file.
    """
    if folder.exists() and not folder.is_dir():
        raise ResultsError(f'{folder} is a file; --out takes a folder')
    if source.files and Path(source.name).resolve() == folder.resolve():
        raise ResultsError(f'{folder} is the folder of the images; give another --out')
    inputs = {file.resolve() for file in source.files or (Path(source.name),)}
    frames = folder / results.FRAMES_FOLDER
    if arguments.frames and frames.resolve() in {file.parent for file in inputs}:
        raise ResultsError(f'--frames would write among the images of {frames}; give another --out')
    written = [] if before else [folder / name for name in results.FILES]
    if arguments.frames and not (before or {}).get('keeps_frames'):
        written += results.kept_frames(folder)
    own = results.files_of_run(folder)
    if before is None and arguments.camera is not None:
        inputs.add(arguments.camera.resolve())
    for file in (*written, *own):
        if file.resolve() in inputs:
            raise ResultsError(f'{file} is an input, and would be replaced; give another --out')
    foreign = [str(file) for file in written if file.exists() and file not in own]
    if foreign:
        raise ResultsError(
            f'{folder} holds files that would be replaced, though no run left them: '
            f'{", ".join(foreign[:3])}; give another --out'
        )


def _load(arguments: argparse.Namespace, folder: Path, before: dict[str, Any] | None) -> Stages:
    """Return the stages.

    :param before: the record of the run to go on with; None = one starts anew.
    :raises ResultsError: they would go on with it otherwise than it began.
    """
    stages = models.load(arguments)
    if before and (why := going_on.other_computing(before, stages, _REMEDY)):
        raise ResultsError(f'{folder} {why}')
    return stages


def _start(
    folder: Path, camera: Camera, settings: dict[str, Any], loaded: Stages
) -> dict[str, Any]:
    """Replace the results of an earlier run by what there is before the first frame.

    :return: the record.
    """
    for file in results.files_of_run(folder):
        file.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    skeleton = loaded.posenet.skeleton
    record = {
        **going_on.record_of(settings, loaded),
        'camera_source': camera.source,
        'camera_calibrated': camera.calibrated,
        'keeps_frames': False,
        'skeleton': {
            'name': skeleton.name,
            'joint_names': skeleton.joint_names,
            'edges': skeleton.edges,
        },
        'result': asdict(Summary()),
    }
    results.write_json(folder / results.RUN_FILE, record)
    camera.to_yaml(folder / results.CAMERA_FILE)
    (folder / results.POSES_FILE).touch()
    return record


def _nothing_left(job: Job, earlier: Summary, lines: int) -> bool:
    """Return whether an earlier run has done all that is asked for now."""
    overlay = (job.folder / results.OVERLAY_FILE).exists() and earlier.overlay_frames == lines
    frames = len(results.kept_frames(job.folder)) == lines
    drawn = (overlay or not job.overlay) and (frames or not job.frames)
    return drawn and _analysed(job, earlier, lines)


def _analysed(job: Job, earlier: Summary, lines: int) -> bool:
    """Return whether an earlier run has results of all frames that are asked for now."""
    reached_end = earlier.complete and earlier.source_frames == job.source.frame_count
    return earlier.frames == lines and (reached_end or job.limit == lines)


def _report(job: Job, summary: Summary, new_frames: int, elapsed_s: float) -> None:
    """Say what there is now, and how fast it came."""
    rate = f' at {new_frames / elapsed_s:.1f} frames/s' if new_frames else ''
    print(f'{summary.frames} frames{rate}, {summary.people} people: {job.folder}')
    if summary.unreadable:
        print(f'{len(summary.unreadable)} frames could not be read and were skipped')
    found = summary.frames + len(summary.unreadable)
    missing = -(-summary.source_frames // job.every) - found
    if summary.complete and missing > 0:
        print(f'{job.source.name} announces {missing} frames more than it holds: is it cut short?')
