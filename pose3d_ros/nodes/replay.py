"""The whole graph over folders of images, each with its camera: every image's poses."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pose3d_ros.camera import Camera
from pose3d_ros.nodes.demo import DemoError, read_recording
from pose3d_ros.nodes.processes import processes
from pose3d_ros.people import Poses

_PLAYER_TIMEOUT_S = 300.0
_LAST_FRAME_S = 1.0  # for what the recorder has not taken yet


@dataclass(frozen=True)
class Footage:
    """A folder of images of one camera.

    :param count: how many images are in it.
    """

    folder: Path
    count: int
    camera: Camera


def replay(footage: Sequence[Footage], parameters: Sequence[str], out: Path) -> list[list[Poses]]:
    """Play folders into `pipeline`, as fast as it takes them; return the poses of each image.

    :param parameters: of the pipeline, as 'node:name:=value'.
    :param out: for the bag, the cameras and the logs; what an earlier run left there is replaced.
    :raises ProcessError: a process failed; the others are stopped.
    :raises DemoError: images have no poses.
    """
    bag = out / 'poses'
    shutil.rmtree(bag, ignore_errors=True)
    with processes(out / 'log') as start:
        start('recorder', f'output:={bag}')
        start('pipeline', *parameters)
        for number, film in enumerate(footage, start=1):
            camera = out / f'camera_{number}.yaml'
            film.camera.to_yaml(camera)
            # the pipeline and the recorder
            words = (f'source:={film.folder}', f'camera:={camera}', 'rate:=0.0', 'subscribers:=2')
            if start('player', *words).wait(_PLAYER_TIMEOUT_S):
                break  # at the end of the context its log is told
        time.sleep(_LAST_FRAME_S)
    found = read_recording(bag).poses
    wanted = sum(film.count for film in footage)
    if len(found) != wanted:
        raise DemoError(f'{len(found)} of {wanted} images have poses; see {out / "log"}')
    in_order = iter([found[stamp] for stamp in sorted(found)])
    return [[next(in_order) for _ in range(film.count)] for film in footage]
