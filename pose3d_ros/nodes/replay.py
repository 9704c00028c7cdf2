# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The graph over folders of images, each with its camera: every image's poses."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pose3d_ros.camera import Camera
from pose3d_ros.nodes.demo import DemoError, read_recording, record_graph
from pose3d_ros.people import Poses


def replay(
    folders: Sequence[tuple[Path, Camera]], count: int, parameters: Sequence[str], out: Path
) -> list[Poses]:
    """Play folders into `pipeline`, as fast as it takes them; return the poses seen in each image.

    :param count: how many images are in them.
    :param parameters: of the pipeline, as 'node:name:=value'.
    :param out: for the bag, the cameras and the logs; what an earlier run left there is replaced.
    :raises ProcessError: a process failed; the others are stopped.
    :raises DemoError: images have no poses.
    """
    bag, log_dir = out / 'poses', out / 'log'
    shutil.rmtree(bag, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    films = []
    for number, (folder, camera) in enumerate(folders, start=1):
        films.append((folder, out / f'camera_{number}.yaml'))
        camera.to_yaml(films[-1][1])
    record_graph(films, bag, log_dir, 0.0, {'pipeline': parameters})
    found = read_recording(bag).poses
    if len(found) != count:
        raise DemoError(f'{len(found)} of {count} images have poses; see {log_dir}')
    return [found[stamp].seen for stamp in sorted(found)]
