# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The whole graph as separate processes on a clip, recorded; and what the bag of it shows."""

import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from pose3d_ros.bags import messages, open_bag
from pose3d_ros.camera import Camera
from pose3d_ros.drawing import draw_overlay, draw_scene
from pose3d_ros.nodes.diagnosis import frame_values
from pose3d_ros.nodes.messages import camera_from_info, image_from_compressed, poses_from_message
from pose3d_ros.nodes.processes import processes
from pose3d_ros.people import Poses, TrackState

_OVERLAY_FPS = 12.0
_RESULTS = {'detector': 'detections', 'rootnet': 'roots', 'posenet': 'poses'}


class DemoError(RuntimeError):
    """The recording lacks what the demo is to show; the message says what."""


@dataclass
class Recording:
    """What the bag of a run holds.

    :param images: stamp (ns) -> JPEG message.
    :param poses: stamp (ns) -> poses.
    :param ages_ms: result topic -> arrival time minus image stamp of each message.
    :param stages: stage -> its last diagnostic values.
    """

    images: dict[int, object] = field(default_factory=dict)
    poses: dict[int, Poses] = field(default_factory=dict)
    ages_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    stages: dict[str, dict[str, str]] = field(default_factory=dict)


def record_graph(
    films: Sequence[tuple[Path, Path]],
    bag: Path,
    log_dir: Path,
    rate: float,
    nodes: Mapping[str, Sequence[str]],
) -> None:
    """Play films, one after the other, into nodes, and record everything into a bag.

    :param films: clips or folders of images, each with the YAML file of its camera.
    :param nodes: those that take images, with their parameters as 'name:=value'.
    :raises ProcessError: a process failed; the others are stopped.
    """
    with processes(log_dir) as start:
        start('recorder', f'output:={bag}')
        for name, parameters in nodes.items():
            start(name, *parameters)
        for clip, camera in films:
            start(
                'player',
                f'source:={clip}',
                f'camera:={camera}',
                f'rate:={rate}',
                f'subscribers:={len(nodes) + 1}',  # and the recorder
            )
            if not start.wait_for('player'):
                break  # which is told at the end of the context
        time.sleep(1.0)  # the last frame is on its way through the stages


def read_recording(bag: Path) -> Recording:
    """Return what a bag of the graph holds."""
    recording = Recording()
    names = {f'/{topic}': topic for topic in _RESULTS.values()}
    with open_bag(bag) as reader:
        for message in messages(reader):
            content = message.decoded()
            if message.topic == '/diagnostics':
                recording.stages.update(frame_values(content))
                continue
            if not hasattr(content, 'header'):
                continue
            stamp = content.header.stamp.sec * 10**9 + content.header.stamp.nanosec
            if message.topic == '/image_raw/compressed':
                recording.images[stamp] = content
            elif message.topic in names:
                age_ms = (message.at_ns - stamp) / 1e6
                recording.ages_ms[names[message.topic]].append(age_ms)
                if message.topic == '/poses':
                    recording.poses[stamp] = poses_from_message(content)
    return recording


def camera_of(bag: Path) -> Camera:
    """Return the camera of a recorded bag.

    :raises DemoError: no camera_info was recorded.
    """
    with open_bag(bag) as reader:
        for message in messages(reader, ['/camera_info']):
            return camera_from_info(message.decoded(), rectified=False)
    raise DemoError(f'{bag} holds no camera_info')


def draw_recording(recording: Recording, camera: Camera, out: Path) -> None:
    """Write overlay.mp4, overlay.png and scene.png of every frame that has poses."""
    both = sorted(set(recording.images) & set(recording.poses))
    if not both:
        raise DemoError('no image of the recording has poses; see the logs')
    # who was found in one image only may be nobody
    fullest = max(both, key=lambda stamp: (_confirmed(recording.poses[stamp]), stamp))
    with _video(out / 'overlay.mp4', camera) as video:
        for stamp in both:
            image = image_from_compressed(recording.images[stamp])
            picture = draw_overlay(image, camera, recording.poses[stamp])
            video.write(picture)
            if stamp == fullest:
                cv2.imwrite(str(out / 'overlay.png'), picture)
    draw_scene(recording.poses[fullest].seen, camera, out / 'scene.png')


def _confirmed(poses: Poses) -> int:
    return int((poses.tracks.states == TrackState.CONFIRMED).sum())


@contextmanager
def _video(path: Path, camera: Camera) -> Iterator[cv2.VideoWriter]:
    size = (camera.width, camera.height)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), _OVERLAY_FPS, size)
    try:
        yield writer
    finally:
        writer.release()


def table(recording: Recording) -> str:
    """Return what the recording shows, for people to read."""
    lines = ['people          frames   distance m (median, range)    +- m (depth)']
    for person_id, samples in _by_person(recording).items():
        distance, stddev = np.array(samples).T
        lines.append(
            f'  id {person_id:<11} {len(samples):>5}   {np.median(distance):6.2f}  '
            f'({distance.min():.2f} .. {distance.max():.2f})        {np.median(stddev):.2f}'
        )
    counts = [len(poses.seen) for poses in recording.poses.values()]
    lines += [
        f'people per frame: {np.mean(counts):.1f} ({min(counts)} .. {max(counts)})'
        if any(counts)
        else 'nobody was seen',
        '',
        'stage       received  published  dropped  skipped  processing ms   networks ms   age ms',
    ]
    for stage in _RESULTS:
        values = recording.stages.get(stage, {})
        ages = recording.ages_ms.get(_RESULTS[stage], [])
        age = f'{np.median(ages):.0f} (p95 {np.percentile(ages, 95):.0f})' if ages else '-'
        lines.append(
            f'{stage:<10} '
            + ''.join(f'{values.get(k, "-"):>10}' for k in ('received', 'published'))
            + ''.join(f'{values.get(k, "-"):>9}' for k in ('dropped', 'skipped'))
            + ''.join(f'{_ms(values.get(k)):>14}' for k in ('processing_ms', 'network_ms'))
            + f'   {age}'
        )
    return '\n'.join(lines)


def _ms(text: str | None) -> str:
    return '-' if text is None else f'{float(text):.1f}'


def _by_person(recording: Recording) -> dict[str, list[tuple[float, float]]]:
    """Return distance and depth standard deviation of each id, those seen longest first."""
    people: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for poses in (all_poses.seen for all_poses in recording.poses.values()):
        distances_m = np.linalg.norm(poses.roots, axis=1).tolist()
        stddevs_m = poses.root_depth_stddev_m.tolist()
        for person_id, *sample in zip(poses.ids, distances_m, stddevs_m, strict=True):
            people[person_id].append((sample[0], sample[1]))
    return dict(sorted(people.items(), key=lambda item: -len(item[1])))


def run_demo(clip: Path, camera: Camera, out: Path, rate: float, composed: bool) -> str:
    """Record the graph on a clip and leave bag, video and pictures in `out`; return the table.

    What an earlier run left in `out` under the same names is replaced.

    :raises ProcessError: a process failed.
    :raises DemoError: nothing came through.
    """
    out.mkdir(parents=True, exist_ok=True)
    bag = out / 'poses'
    shutil.rmtree(bag, ignore_errors=True)
    camera_file = out / 'camera.yaml'
    camera.to_yaml(camera_file)
    nodes = dict.fromkeys(('pipeline',) if composed else _RESULTS, ())
    record_graph([(clip, camera_file)], bag, out / 'log', rate, nodes)
    recording = read_recording(bag)
    draw_recording(recording, camera_of(bag), out)
    return table(recording)
