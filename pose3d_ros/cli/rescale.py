# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Correct the distances of `pose3d video` with a guessed camera when its focal length is known.

The folder stays as it is. A new one gets poses.jsonl, camera.yaml and run.json, all at once.
"""

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pose3d_ros import results
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.results import FrameResult, ResultsError
from pose3d_ros.skeletons import SKELETONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d rescale`."""
    parser.add_argument('folder', type=Path, help='results of `pose3d video`')
    parser.add_argument(
        '--focal-px',
        type=float,
        required=True,
        metavar='PX',
        help='the true focal length, in pixels of the frames',
    )
    parser.add_argument(
        '--out', type=Path, required=True, metavar='DIR', help='new folder for the results'
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d rescale`; return 0, 1 (cannot write) or 2 (bad input)."""
    try:
        print(rescale(arguments.folder, arguments.focal_px, arguments.out))
    except (CameraError, ResultsError) as error:
        print(f'pose3d rescale: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'pose3d rescale: cannot write {arguments.out}: {error}', file=sys.stderr)
        return 1
    return 0


def rescale(folder: Path, focal_px: float, out: Path) -> str:
    """Write the results of a folder, for another focal length, to a new one; return what was done.

    :raises ResultsError: nothing to rescale, a calibrated camera, or `out` is there already.
    :raises CameraError: no camera has such a focal length.
    """
    record = results.read_run(folder)
    old = _guessed_camera(folder, record)
    new = Camera.from_focal_length(old.width, old.height, focal_px)
    new = replace(new, source=f'{old.source}, rescaled to {focal_px:g} px')
    if out.exists():
        raise ResultsError(f'{out} exists already; give the name of a new folder as --out')
    ratio = new.focal_px / old.focal_px
    part = out.with_name(f'.{out.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        frames = _rescale_poses(folder, part, record['skeleton']['name'], ratio)
        new.to_yaml(part / results.CAMERA_FILE)
        results.write_json(part / results.RUN_FILE, _rescaled_record(folder, record, old, new))
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return (
        f'{out}: {frames} frames of {folder}, focal length {old.focal_px:.1f} -> {focal_px:.1f} px:'
        f' depths of roots times {ratio:.4f}, x and y of roots unchanged'
    )


def _guessed_camera(folder: Path, record: dict[str, Any]) -> Camera:
    """Return the camera of a run.

    :raises ResultsError: it was calibrated, or run.json does not tell.
    """
    try:
        calibrated, source = bool(record['camera_calibrated']), str(record['camera_source'])
        camera = Camera(**record['settings']['camera'], source=source, calibrated=calibrated)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        path = folder / results.RUN_FILE
        raise ResultsError(f'{path} does not tell of the camera: {error}') from error
    if calibrated:
        raise ResultsError(
            f'{folder} was made with a calibrated camera ({source}): its distances are no guess. '
            'Another calibration takes another run of `pose3d video`'
        )
    return camera


def _rescale_poses(folder: Path, out: Path, skeleton: str, ratio: float) -> int:
    """Write the poses of a folder, rescaled, into another; return how many frames there are.

    :raises ResultsError: there are none, or a line is damaged.
    """
    path, frames = folder / results.POSES_FILE, 0
    if not path.exists():
        raise ResultsError(f'{folder} holds no {results.POSES_FILE}')
    with (out / results.POSES_FILE).open('w', encoding='utf-8') as lines:
        for frame in results.read_results(path, SKELETONS[skeleton]):
            persons, poses = frame.persons.rescaled(ratio), frame.poses.rescaled(ratio)
            line = FrameResult(frame.index, frame.time_s, persons, poses).to_json()
            lines.write(line + '\n')
            frames += 1
    return frames


def _rescaled_record(
    folder: Path, record: dict[str, Any], old: Camera, new: Camera
) -> dict[str, Any]:
    """Return the run.json of rescaled results, which have no pictures."""
    return {
        **record,
        'settings': {**record['settings'], 'camera': results.camera_record(new)},
        'camera_source': new.source,
        'rescaled': {
            'from': str(folder.absolute()),
            'focal_px': old.focal_px,
            'to_focal_px': new.focal_px,
        },
        'keeps_frames': False,
        'result': {**record['result'], 'overlay_frames': 0},
    }
