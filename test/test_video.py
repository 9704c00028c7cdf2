# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""pose3d video and what it reads and writes: real footage, and fakes for all that goes wrong."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bodies import body
from fake_stages import FakeNetwork, FakeStage, put_in
from process import full_disk

from pose3d_ros import cli, going_on, offline, stages, weights
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.cli import models
from pose3d_ros.cli import video as command
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeUnavailable
from pose3d_ros.people import Keypoints, Persons, Poses
from pose3d_ros.results import FrameResult, read_results
from pose3d_ros.skeletons import BLAZEPOSE, HALPE26
from pose3d_ros.video import (
    Frame,
    VideoError,
    VideoWriter,
    natural_key,
    open_source,
    prefetched,
)

WIDTH, HEIGHT, RATE_HZ = 160, 120, 10.0
#: What a run leaves.
FILES = {'run.json', 'poses.jsonl', 'camera.yaml', 'overlay.mp4', 'scene.png'}


def picture(k: int) -> np.ndarray:
    """Frame k: its number can be read from its grey, and from one bright corner what is up."""
    image = np.full((HEIGHT, WIDTH, 3), 8 * k, np.uint8)
    image[:30, :30] = 255
    return image


def number(image: np.ndarray) -> int:
    """Which frame this is."""
    return round(float(np.median(image)) / 8)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Return an MJPEG film of 20 frames."""
    return write_film(tmp_path / 'film.avi', 20)


def write_film(path: Path, count: int, codec: str = 'MJPG') -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), RATE_HZ, (WIDTH, HEIGHT))
    for k in range(count):
        writer.write(picture(k))
    writer.release()
    return path


def write_folder(folder: Path, count: int) -> Path:
    folder.mkdir()
    for k in range(count):
        cv2.imwrite(str(folder / f'{k}.png'), picture(k))
    return folder


class Fakes:
    """Stages without networks: two people, one of whom walks."""

    networks = ()
    skeleton = BLAZEPOSE

    def __init__(self) -> None:
        self.images: list[int] = []
        self.boxes: list[np.ndarray] = []
        self.bodies: list[BodySize] = []
        self.at_image: Callable[[int], None] = lambda k: None

    def detect(self, image: np.ndarray, options: DetectorOptions) -> Persons:
        k = number(image)
        self.images.append(k)
        self.at_image(k)
        boxes = np.array([[20 + k / 3, 30.004, 20, 60], [90, 30, 20, 60]])
        return Persons(boxes, np.array([0.9, 0.8]))[: options.max_people]

    def root(self, image: np.ndarray, persons: Persons, camera: Camera, body: BodySize) -> Persons:
        n = len(persons)
        self.boxes.append(persons.boxes)
        self.bodies.append(body)
        xy = np.tile(persons.boxes[:, None, :2], (1, 26, 1))
        roots = camera.back_project(persons.boxes[:, :2], np.full(n, 3.0))
        keypoints = Keypoints(HALPE26, xy, np.full((n, 26), 0.5))
        return persons.with_roots(roots, np.full(n, 0.2), keypoints)

    def pose(self, image: np.ndarray, persons: Persons, camera: Camera) -> Poses:
        joints = body(BLAZEPOSE) + persons.roots[:, None]
        joints[:, 5] = np.nan
        scores, stddev_m = np.full(joints.shape[:2], 0.9), persons.root_depth_stddev_m
        return Poses(
            BLAZEPOSE, joints, scores, persons.roots, stddev_m, persons.scores, persons.ids
        )


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return fakes that run in the place of the networks."""
    fakes = Fakes()
    put_in(monkeypatch, fakes)
    # half a second each, and test_drawing.py looks at it
    monkeypatch.setattr(offline, 'draw_scene', lambda _poses, _camera, path: path.touch())
    return fakes


def run(*arguments: object) -> int:
    return cli.main(['video', *map(str, arguments)])


def lines(out: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f'{constant} is not JSON')

    text = (out / 'poses.jsonl').read_text()
    assert text == '' or text.endswith('\n')
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def film_length(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def record(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / 'run.json').read_text()))


# Reading


def test_a_film_is_read_frame_by_frame_with_its_times(film: Path) -> None:
    source = open_source(str(film))
    assert (source.width, source.height, source.rate_hz) == (WIDTH, HEIGHT, RATE_HZ)
    frames = list(source.frames())
    assert [number(f.image) for f in frames if f.image is not None] == list(range(20))
    assert [f.time_s for f in frames] == pytest.approx(np.arange(20) / RATE_HZ)
    assert [f.index for f in source.frames(every=7)] == [0, 7, 14]
    assert [f.time_s for f in source.frames(every=7)] == pytest.approx([0, 0.7, 1.4])


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / 'images', 12)
    (folder / 'notes.txt').write_text('not an image')
    source = open_source(str(folder), folder_rate_hz=5)
    frames = list(source.frames(every=3))
    assert [f.name for f in frames] == ['0.png', '3.png', '6.png', '9.png']
    assert [number(f.image) for f in frames if f.image is not None] == [0, 3, 6, 9]
    assert [f.time_s for f in frames] == pytest.approx([0, 0.6, 1.2, 1.8])


def test_natural_order() -> None:
    names = ['b1.png', 'a10.png', 'a9.png', '2.png', '10a2.png', '10a10.png']
    ordered = sorted(map(Path, names), key=natural_key)
    expected = ['2.png', '10a2.png', '10a10.png', 'a9.png', 'a10.png', 'b1.png']
    assert [p.name for p in ordered] == expected


def test_a_frame_that_cannot_be_read_is_a_gap_and_not_the_end(tmp_path: Path) -> None:
    frames = list(open_source(str(damaged_film(tmp_path, [9, 10]))).frames())
    assert [f.index for f in frames] == list(range(20))
    assert [f.name for f in frames if f.image is None] == ['frame 9', 'frame 10']
    assert [number(f.image) for f in frames[11:] if f.image is not None] == list(range(11, 20))
    assert [f.time_s for f in frames] == pytest.approx(np.arange(20) / RATE_HZ)


def damaged_film(tmp_path: Path, gone: list[int]) -> Path:
    """Write the film with frames whose data is zero."""
    path = write_film(tmp_path / 'damaged.avi', 20)
    data = bytearray(path.read_bytes())
    at = data.index(b'movi')
    for k in range(20):
        at = data.index(b'00dc', at) + 4
        size = int.from_bytes(data[at : at + 4], 'little')
        if k in gone:
            data[at + 4 : at + 4 + size] = bytes(size)
        at += 4 + size
    path.write_bytes(data)
    return path


def test_an_image_that_is_damaged_or_of_another_size_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / 'images', 4)
    (folder / '1.png').write_bytes(b'damaged')
    cv2.imwrite(str(folder / '2.png'), np.zeros((50, 60, 3), np.uint8))
    frames = list(open_source(str(folder)).frames())
    assert [f.image is None for f in frames] == [False, True, True, False]
    assert frames[1].name == '1.png'
    assert frames[2].name == '2.png (60 x 50, not 160 x 120)'


def test_a_film_that_is_to_be_turned_is_upright(tmp_path: Path) -> None:
    """A phone held upright stores a film on its side, and the turn in the track's header."""
    film = write_film(tmp_path / 'phone.mp4', 5, 'mp4v')
    data = bytearray(film.read_bytes())
    matrix = data.index(b'tkhd') + 4 + 40
    one, quarter = 1 << 16, [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    assert int.from_bytes(data[matrix : matrix + 4], 'big') == one
    data[matrix : matrix + 36] = b''.join(n.to_bytes(4, 'big', signed=True) for n in quarter)
    film.write_bytes(data)
    source = open_source(str(film))
    assert (source.width, source.height) == (HEIGHT, WIDTH)
    image = next(source.frames()).image
    assert image is not None
    assert image.shape == (WIDTH, HEIGHT, 3)
    assert image[:25, -25:].mean() > 200, 'the bright corner is not where the turn puts it'


@pytest.mark.parametrize(('grab_s', 'grabs'), [(0.0, 60), (10.0, 1)])
def test_a_webcam_is_read_until_it_is_gone(
    grab_s: float, grabs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system waits for each frame that does not come."""
    now_s, start_s = 0.0, time.monotonic()
    monkeypatch.setattr(time, 'monotonic', lambda: start_s + now_s)

    class Webcam:
        left, failed = 5, 0

        def __init__(self, which: object) -> None:
            assert which == 0

        def isOpened(self) -> bool:
            return True

        def set(self, *_: object) -> None: ...

        def get(self, _property: int) -> float:
            return 0.0

        def grab(self) -> bool:
            nonlocal now_s
            self.left -= 1
            Webcam.failed += self.left < 0
            now_s += grab_s * (self.left < 0)
            return self.left >= 0

        def retrieve(self) -> tuple[bool, np.ndarray]:
            return True, picture(self.left)

        def read(self) -> tuple[bool, np.ndarray]:
            return True, picture(0)

        def release(self) -> None: ...

    monkeypatch.setattr(cv2, 'VideoCapture', Webcam)
    source = open_source('0')
    assert (source.webcam, source.frame_count) == (0, 0)
    times_s: list[float] = []
    with pytest.raises(VideoError, match='webcam 0 gives no more images: is it unplugged'):
        times_s.extend(f.time_s for f in source.frames())
    assert len(times_s) == 5
    assert times_s == sorted(times_s)
    assert Webcam.failed == grabs


@pytest.mark.parametrize('depth', [1, 4])
def test_reading_ahead_changes_nothing_and_ends_with_the_reader(depth: int) -> None:
    made: list[int] = []

    def frames() -> Iterator[Frame]:
        for k in range(20):
            made.append(k)
            yield Frame(k, k, '', None)

    assert [f.index for f in prefetched(frames(), depth)] == list(range(20))
    made.clear()
    ahead = prefetched(frames(), depth)
    next(ahead)
    ahead.close()
    assert len(made) <= depth + 2
    assert not [t for t in threading.enumerate() if t.name.startswith('decoder')]


def test_an_error_of_the_reader_is_not_swallowed() -> None:
    def frames() -> Iterator[Frame]:
        yield Frame(0, 0, '', None)
        raise VideoError('the disk is gone')

    with pytest.raises(VideoError, match='the disk is gone'):
        list(prefetched(frames()))


# Writing


def test_a_video_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / 'out.mp4'
    writer = VideoWriter(path, RATE_HZ, WIDTH, HEIGHT)
    for k in range(6):
        writer.write(picture(k), k / RATE_HZ)
    assert not path.exists()
    writer.close()
    assert film_length(path) == 6
    again = VideoWriter(path, RATE_HZ, WIDTH, HEIGHT)
    again.write(picture(0), 0)
    again.discard()
    assert film_length(path) == 6
    assert [p.name for p in tmp_path.iterdir()] == ['out.mp4']


def test_a_video_that_the_disk_does_not_hold_is_told_and_the_one_before_stays(
    tmp_path: Path,
) -> None:
    path, noise = tmp_path / 'out.mp4', np.random.default_rng(0)
    writer = VideoWriter(path, RATE_HZ, WIDTH, HEIGHT)
    writer.write(picture(0), 0)
    writer.close()
    with full_disk():
        again = VideoWriter(path, RATE_HZ, WIDTH, HEIGHT)
        for k in range(20):
            again.write(noise.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), k / RATE_HZ)
        with pytest.raises(OSError, match='the disk may be full'):
            again.close()
    assert film_length(path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ['out.mp4']


def test_gaps_between_frames_keep_their_length_up_to_a_limit(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / 'out.mp4', RATE_HZ, WIDTH, HEIGHT)
    for time_s in (5.0, 5.1, 5.4, 5.5, 99999.0, 99999.1):
        writer.write(picture(0), time_s)
    writer.close()
    assert film_length(tmp_path / 'out.mp4') == 1 + 3 + 1 + 1 + 1 + 1


@pytest.mark.parametrize('rate_hz', [119.8765, 66.667, 240.001, 30000 / 1001, 1 / 3, 999.99])
def test_a_video_of_any_rate_keeps_the_times_of_its_frames(rate_hz: float, tmp_path: Path) -> None:
    """Also where MPEG-4 does not take that rate: to a frame, and behind thousands of them."""
    path, count = tmp_path / 'out.mp4', 5000
    writer = VideoWriter(path, rate_hz, 16, 16)
    for k in range(count):
        writer.write(np.zeros((16, 16, 3), np.uint8), k / rate_hz)
    writer.close()
    capture = cv2.VideoCapture(str(path))
    length, written_hz = (capture.get(p) for p in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))
    assert written_hz == pytest.approx(rate_hz, rel=2.5e-3)
    assert abs(length / written_hz - count / rate_hz) <= 1.5 / rate_hz


def test_a_frame_comes_back_from_its_line(film: Path) -> None:
    fakes, camera = Fakes(), Camera.fallback(WIDTH, HEIGHT)
    persons = fakes.root(
        picture(1), fakes.detect(picture(1), DetectorOptions()), camera, BodySize()
    )
    persons = persons.with_ids(('3', ''))
    result = FrameResult(7, 0.7, persons, fakes.pose(picture(1), persons, camera))
    again = FrameResult.from_json(result.to_json(), BLAZEPOSE)
    assert (again.index, again.time_s, again.persons.ids) == (7, 0.7, ('3', ''))
    assert again.poses.joints == pytest.approx(result.poses.joints, abs=6e-5, nan_ok=True)
    assert again.persons.boxes == pytest.approx(persons.boxes, abs=0.006)
    assert again.to_json() == replace(again).to_json()
    nobody = FrameResult(0, 0.0, Persons.none(), Poses.none(BLAZEPOSE))
    assert len(FrameResult.from_json(nobody.to_json(), BLAZEPOSE).poses) == 0


# The command, with fakes


def test_a_run_leaves_what_the_documentation_says(film: Path, tmp_path: Path, fakes: Fakes) -> None:
    out = tmp_path / 'deep' / 'out'
    assert run(film, '--out', out, '--frames', '--field-of-view', 50) == 0
    assert {p.name for p in out.iterdir()} == FILES | {'frames'}
    found = lines(out)
    assert [line['index'] for line in found] == list(range(20))
    # what the stages saw is what the file holds: the tracker can be fed from it
    saw = [boxes.tolist() for boxes in fakes.boxes]
    assert saw == [[person['box'] for person in line['persons']] for line in found]
    person = found[3]['persons'][0]
    assert {'id': '1', 'score': 0.9, 'box': [21.0, 30.0, 20.0, 60.0]}.items() <= person.items()
    assert person['joints'][5] == [None, None, None]
    assert np.shape(person['joints']) == (33, 3)
    assert np.shape(person['keypoints']['xy']) == (26, 2)
    assert person['keypoints']['skeleton'] == 'halpe26'
    documented = (Path(__file__).parent.parent / 'docs' / 'video.md').read_text()
    for key in (*found[0], *person, *person['keypoints'], *record(out), *record(out)['result']):
        assert f'`{key}`' in documented, f'docs/video.md does not tell of {key}'
    assert film_length(out / 'overlay.mp4') == 20
    expected = Camera.from_field_of_view(WIDTH, HEIGHT, 50)
    np.testing.assert_allclose(Camera.from_yaml(out / 'camera.yaml').K, expected.K)
    assert record(out)['camera_source'] == 'field of view 50 degrees'
    assert record(out)['result'] == {
        'frames': 20,
        'complete': True,
        'people': 2,
        'unreadable': [],
        'overlay_frames': 20,
        'source_frames': 20,
    }
    kept = sorted((out / 'frames').iterdir())
    assert kept[12].name == '000012.jpg'
    assert len(kept) == 20


def test_options_choose_frames_and_files(film: Path, tmp_path: Path, fakes: Fakes) -> None:
    out = tmp_path / 'out'
    assert run(film, '--out', out, '--no-overlay', '--every', 13, '--max-people', 1) == 0
    assert {p.name for p in out.iterdir()} == FILES - {'overlay.mp4'}
    assert [line['index'] for line in lines(out)] == [0, 13]
    assert {len(line['persons']) for line in lines(out)} == {1}
    # a track lives on between images that are 1.3 s apart
    assert {line['persons'][0]['id'] for line in lines(out)} == {'1'}


def test_a_second_run_goes_on_and_gives_what_one_run_gives(
    film: Path, tmp_path: Path, fakes: Fakes
) -> None:
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    assert run(film, '--out', whole) == 0
    assert run(film, '--out', parts, '--limit', 6) == 0
    assert record(parts)['result']['complete'] is False
    with (parts / 'poses.jsonl').open('a') as file:
        file.write('{"index":6,"time_s":0.6,"pers')  # the power failed
    fakes.images.clear()
    assert run(film, '--out', parts, '--limit', 9) == 0
    assert fakes.images == [6, 7, 8]
    assert film_length(parts / 'overlay.mp4') == 9
    assert run(film, '--out', parts, '--limit', 3) == 0, 'a lower limit takes nothing away'
    assert len(lines(parts)) == film_length(parts / 'overlay.mp4') == 9
    assert record(parts)['result']['frames'] == 9
    assert run(film, '--out', parts) == 0
    assert (parts / 'poses.jsonl').read_bytes() == (whole / 'poses.jsonl').read_bytes()
    assert film_length(parts / 'overlay.mp4') == 20
    assert record(parts)['result'] == record(whole)['result']


def test_a_run_that_is_complete_does_nothing_again(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(film, '--out', tmp_path / 'out', '--no-overlay') == 0
    fakes.images.clear()
    before = (tmp_path / 'out' / 'run.json').stat().st_mtime_ns
    assert run(film, '--out', tmp_path / 'out', '--no-overlay') == 0
    assert 'nothing left to do' in capsys.readouterr().out
    assert (tmp_path / 'out' / 'run.json').stat().st_mtime_ns == before
    assert run(film, '--out', tmp_path / 'out') == 0
    assert film_length(tmp_path / 'out' / 'overlay.mp4') == 20, 'the missing overlay is drawn'
    assert fakes.images == [], 'no network is needed for that'


def test_an_interrupt_leaves_whole_files_and_the_next_run_goes_on(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'

    def stop(k: int) -> None:
        # what the signal calls; sent for real, it would also reach whatever else in this process
        # of all tests has installed a handler (a subprocess gets a real one further down)
        handler = signal.getsignal(signal.SIGTERM)
        if k == 4 and callable(handler):
            handler(signal.SIGTERM, None)

    fakes.at_image = stop
    assert run(film, '--out', out) == 130
    assert 'goes on from here' in capsys.readouterr().err
    assert len(lines(out)) == film_length(out / 'overlay.mp4') == 5
    assert {p.name for p in out.iterdir()} == FILES
    fakes.at_image = lambda k: None
    assert run(film, '--out', out) == 0
    assert [line['index'] for line in lines(out)] == list(range(20))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_tracks_are_written_and_go_on_after_an_interrupt_as_if_there_had_been_none(
    film: Path, tmp_path: Path, fakes: Fakes
) -> None:
    assert run(film, '--out', tmp_path / 'once') == 0
    assert run(film, '--out', tmp_path / 'twice', '--limit', 7) == 0
    assert run(film, '--out', tmp_path / 'twice') == 0
    once, twice = ((tmp_path / n / 'poses.jsonl').read_text() for n in ('once', 'twice'))
    assert once == twice
    tracks = [line['persons'][0]['track'] for line in lines(tmp_path / 'once')]
    assert [t['state'] for t in tracks] == ['new'] * 2 + ['confirmed'] * 18
    assert [t['age_frames'] for t in tracks] == list(range(1, 21))
    assert tracks[0]['velocity'] is None and tracks[0]['covariance'] is None
    # a third of a pixel a frame, 10 frames a second, 3 m away
    focal_px = Camera.fallback(WIDTH, HEIGHT).focal_px
    speed = 10 / 3 / focal_px * 3.0
    assert tracks[-1]['velocity'] == pytest.approx([speed, 0, 0], abs=0.02)
    assert np.linalg.eigvalsh(tracks[-1]['covariance']).min() > 0
    back = list(read_results(tmp_path / 'once' / 'poses.jsonl', BLAZEPOSE))
    assert back[-1].poses.tracks.motions[0, 3:] == pytest.approx(tracks[-1]['velocity'])
    assert [frame.to_json() for frame in back] == once.splitlines()


def test_an_interrupt_while_it_draws_again_keeps_the_longer_video(
    film: Path, tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / 'out'
    assert run(film, '--out', out, '--limit', 8) == 0

    @contextmanager
    def at_once() -> Iterator[threading.Event]:
        event = threading.Event()
        event.set()
        yield event

    monkeypatch.setattr(command, 'interrupts', at_once)
    assert run(film, '--out', out) == 130
    assert film_length(out / 'overlay.mp4') == len(lines(out)) == 8


def test_an_error_in_the_middle_leaves_whole_files(
    film: Path, tmp_path: Path, fakes: Fakes
) -> None:
    def fail(k: int) -> None:
        if k == 5:
            raise RuntimeError('out of memory')

    out = tmp_path / 'out'
    fakes.at_image = fail
    assert run(film, '--out', out) == 1
    assert len(lines(out)) == film_length(out / 'overlay.mp4') == 5
    fakes.at_image = lambda k: None
    assert run(film, '--out', out) == 0
    assert len(lines(out)) == film_length(out / 'overlay.mp4') == 20


def test_a_full_disk_costs_the_frame_in_hand_and_the_next_run_goes_on(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert run(film, '--out', tmp_path / 'whole') == 0
    with full_disk():
        assert run(film, '--out', out) == 1
    assert f'cannot write into {out}' in capsys.readouterr().err
    kept = len((out / 'poses.jsonl').read_text().split('\n')) - 1
    assert 0 < kept == film_length(out / 'overlay.mp4') < 20
    fakes.images.clear()
    assert run(film, '--out', out) == 0
    assert len(fakes.images) == 20 - kept
    assert lines(out) == lines(tmp_path / 'whole')
    assert film_length(out / 'overlay.mp4') == 20


def test_frames_that_cannot_be_read_are_named_counted_and_skipped(
    tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    film, out = damaged_film(tmp_path, [9, 10]), tmp_path / 'out'
    assert run(film, '--out', out) == 0
    assert [line['index'] for line in lines(out)] == [*range(9), *range(11, 20)]
    assert record(out)['result']['unreadable'] == ['frame 9', 'frame 10']
    assert '2 frames could not be read' in capsys.readouterr().out
    assert film_length(out / 'overlay.mp4') == 20, 'the gap keeps its length'


def test_a_film_that_is_cut_short_is_told_of(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    assert run(film, '--out', tmp_path / 'out') == 0
    assert 'frames more than it holds' in capsys.readouterr().out


def test_images_of_which_no_overlay_can_be_written_are_analysed(
    tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    images, out = tmp_path / 'images', tmp_path / 'out'
    images.mkdir()
    for k in range(3):
        cv2.imwrite(str(images / f'{k}.png'), picture(k)[:, 80:81])
    assert run(images, '--out', out) == 0
    assert f'no overlay: cannot write {out / "overlay.mp4"}: ' in (said := capsys.readouterr().out)
    assert '1 x 120 pixels' in said and '3 frames at' in said
    assert len(lines(out)) == 3
    assert {p.name for p in out.iterdir()} == FILES - {'overlay.mp4'}


def test_nobody_there_is_a_result(
    film: Path, tmp_path: Path, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = FakeStage(lambda image, options: Persons.none())
    monkeypatch.setitem(stages.DETECTORS, 'yolox', lambda *_given: nobody)
    assert run(film, '--out', tmp_path / 'out') == 0
    assert [line['persons'] for line in lines(tmp_path / 'out')] == [[]] * 20
    assert not (tmp_path / 'out' / 'scene.png').exists()


def test_the_stature_reaches_the_rootnet(film: Path, tmp_path: Path, fakes: Fakes) -> None:
    out = tmp_path / 'out'
    assert run(film, '--out', out, '--limit', 1, '--person-height', 1.25) == 0
    assert record(out)['settings']['person_height'] == 1.25
    assert run(film, '--out', tmp_path / 'default', '--limit', 1) == 0
    assert [body.height_m for body in fakes.bodies] == [1.25, 1.7]


# Bad input


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return what is said where a command line is refused."""
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith('pose3d video: ')
    return said


def test_input_that_cannot_be_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, junk, folder = tmp_path / 'empty.mp4', tmp_path / 'junk.avi', tmp_path / 'folder'
    empty.touch()
    junk.write_bytes(b'not a film' * 100)
    folder.mkdir()
    out = ('--out', tmp_path / 'out')
    assert 'there is no file or folder' in refused(capsys, tmp_path / 'none.mp4', *out)
    assert 'is not a video that can be read' in refused(capsys, empty, *out)
    assert 'is not a video that can be read' in refused(capsys, junk, *out)
    assert 'holds no images' in refused(capsys, folder, *out)
    (folder / 'a.png').write_bytes(b'damaged')
    assert 'none of the 1 images' in refused(capsys, folder, *out)
    assert 'webcam 87' in refused(capsys, 87, *out)
    assert not (tmp_path / 'out').exists()


def test_a_film_of_damaged_frames_only_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = damaged_film(tmp_path, list(range(20)))
    assert 'not' in refused(capsys, film, '--out', tmp_path / 'out')


def test_a_camera_of_another_shape_is_refused_and_of_the_same_is_resized(
    film: Path, tmp_path: Path
) -> None:
    source, yaml = open_source(str(film)), tmp_path / 'camera.yaml'
    full = Camera.from_field_of_view(8 * WIDTH, 8 * HEIGHT, 70)
    full.to_yaml(yaml)
    camera = command.camera_for(source, yaml)
    np.testing.assert_allclose(camera.K, full.scaled(WIDTH, HEIGHT).K)
    assert camera.source.endswith('resized from 1280 x 960')
    for width, height in ((HEIGHT, WIDTH), (8 * WIDTH, 8 * HEIGHT + 40), (1280, 720)):
        Camera.from_field_of_view(width, height, 70).to_yaml(yaml)
        with pytest.raises(CameraError, match=f'{width} x {height} pixels.*160 x 120'):
            command.camera_for(source, yaml)
    assert command.camera_for(source, None).source.startswith('assumed field')
    assert not command.camera_for(source, None).calibrated and camera.calibrated


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--every', '0'], '--every: 0 is not 1 or more'),
        (['--limit', '-1'], '--limit: -1 is not 1 or more'),
        (['--limit', 'x'], "invalid whole number value: 'x'"),
        (['--score-threshold', '2'], '2 is not 0.01 to 1'),
        (['--score-threshold', 'nan'], 'nan is not'),
        (['--field-of-view', '180'], '180 is not 1 to 179'),
        (['--field-of-view', '60', '--camera', 'x.yaml'], 'not allowed with'),
        (['--assumed-focal-px', '0'], '0 is not 1 to'),
        (['--field-of-view', '60', '--assumed-focal-px', '1500'], 'not allowed with'),
        (['--person-height', '17'], '17 is not 0.3 to 2.5'),
        (['--detector', 'none'], 'invalid choice'),
    ],
)
def test_options_out_of_range_are_refused(
    film: Path, tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(film, '--out', tmp_path / 'out', *arguments)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def test_what_the_machine_lacks_is_told(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ('--out', tmp_path / 'out')
    assert 'pose3d fetch' in refused(capsys, film, *out, '--weights', tmp_path)
    assert "device 'NPU7' is not" in refused(capsys, film, *out, '--device', 'NPU7')
    assert 'cannot read the camera' in refused(capsys, film, *out, '--camera', tmp_path / 'no')
    assert not (tmp_path / 'out').exists()
    (tmp_path / 'file').touch()
    assert 'is a file' in refused(capsys, film, '--out', tmp_path / 'file')
    assert run(film, '--out', tmp_path / 'file' / 'out') == 1
    assert 'cannot write' in capsys.readouterr().err


def test_other_settings_are_refused_by_name_until_told_to_overwrite(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert run(film, '--out', out, '--frames') == 0
    own = out / 'notes.txt'
    own.touch()
    other = write_film(tmp_path / 'other.avi', 4)
    said = refused(capsys, other, '--out', out, '--max-people', 1, '--field-of-view', 40)
    assert 'input was' in said
    assert 'max_people was 32, now 1' in said
    assert 'camera was' in said
    assert '--overwrite' in said
    assert len(lines(out)) == 20
    assert run(other, '--out', out, '--max-people', 1, '--overwrite') == 0
    assert [len(line['persons']) for line in lines(out)] == [1] * 4
    assert not list((out / 'frames').iterdir())
    assert own.exists()


def test_a_run_goes_on_in_its_precision_and_version_or_not_at_all(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """'auto' comes to another precision on another machine."""
    out, draw = tmp_path / 'out', tmp_path / 'drawn'
    monkeypatch.setattr(FakeStage, 'networks', (FakeNetwork('bf16'),))
    assert run(film, '--out', out, '--limit', 6) == 0
    shutil.copytree(out, draw)
    before = contents(out)
    monkeypatch.setattr(FakeStage, 'networks', (FakeNetwork('f32'),))
    said = refused(capsys, film, '--out', out)
    assert f'{out} holds a run that was computed otherwise; give --precision bf16, another' in said
    assert 'precision of the detector was ["bf16"], now ["f32"]' in said
    said = refused(capsys, film, '--out', out, '--precision', 'f32')
    assert 'precision was "auto", now "f32"' in said
    assert contents(out) == before
    # no network is needed to draw again
    (draw / 'overlay.mp4').unlink()
    assert run(film, '--out', draw, '--limit', 6) == 0
    # the precision that 'auto' came to is no other one, and the same command goes on then
    monkeypatch.setattr(FakeStage, 'networks', (FakeNetwork('bf16'),))
    assert run(film, '--out', out, '--precision', 'bf16', '--limit', 9) == 0
    monkeypatch.setattr(going_on.ov, '__version__', '2000.1')
    said = refused(capsys, film, '--out', out)
    assert 'version of openvino was' in said and 'now "2000.1"' in said
    assert '--precision' not in said, 'it does not help'


def test_a_folder_may_get_more_images_and_no_others(
    tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    images, out = write_folder(tmp_path / 'images', 4), tmp_path / 'out'
    assert run(images, '--out', out) == 0
    cv2.imwrite(str(images / '4.png'), picture(4))
    assert run(images, '--out', out) == 0
    assert [line['index'] for line in lines(out)] == list(range(5))
    changes: list[Callable[[], object]] = [
        lambda: (images / '2.png').rename(images / '2_5.png'),  # the same image, another name
        lambda: (images / '4.png').unlink(),
        lambda: cv2.imwrite(str(images / '1.png'), np.zeros((HEIGHT, WIDTH, 3), np.uint8)),
        lambda: cv2.imwrite(str(images / '0_5.png'), picture(0)),  # one in between
    ]
    for change in changes:
        change()
        said = refused(capsys, images, '--out', out)
        assert f'a run of other images of {images}: the first 5 have other names or sizes' in said
        assert len(lines(out)) == 5
        assert run(images, '--out', out, '--overwrite') == 0
        for number in range(5):  # as it was
            cv2.imwrite(str(images / f'{number}.png'), picture(number))
        (images / '2_5.png').unlink(missing_ok=True)
        assert run(images, '--out', out, '--overwrite') == 0


@pytest.mark.parametrize('damage', ['line', 'order', 'ids', 'run', 'result', 'no run'])
def test_damaged_results_are_refused(
    film: Path, tmp_path: Path, fakes: Fakes, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert run(film, '--out', out, '--limit', 6) == 0
    poses, settings = out / 'poses.jsonl', out / 'run.json'
    text = poses.read_text().splitlines(keepends=True)
    if damage == 'line':
        poses.write_text(''.join([text[0], 'damaged\n', *text[2:]]))
    elif damage == 'order':
        poses.write_text(''.join(text[1:]))
    elif damage == 'ids':
        poses.write_text(''.join(text).replace('"id":"2"', '"id":"5"'))
    elif damage == 'result':
        data = json.loads(settings.read_text())
        settings.write_text(json.dumps({**data, 'result': {'pages': 3}}))
    else:
        settings.write_text('{') if damage == 'run' else settings.unlink()
    before = poses.read_bytes()
    said = refused(capsys, film, '--out', out)
    names = {'line': 'line 2', 'order': 'frame 1', 'ids': 'other ids'}
    assert names.get(damage, 'run.json') in said
    assert poses.read_bytes() == before


def write_jpegs(folder: Path, count: int) -> Path:
    """Write images with the names that kept frames have."""
    folder.mkdir(parents=True)
    for k in range(count):
        cv2.imwrite(str(folder / f'{k:06d}.jpg'), picture(k))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def test_images_in_the_folder_of_the_results_are_not_taken_for_kept_frames(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'sequence'
    images = write_jpegs(out / 'frames', 4)
    before = contents(images)
    assert 'among the images' in refused(capsys, images, '--out', out, '--frames')
    assert run(images, '--out', out) == 0
    assert 'among the images' in refused(capsys, images, '--out', out, '--frames')
    assert run(images, '--out', out, '--overwrite') == 0
    assert run(film, '--out', out, '--overwrite') == 0
    said = refused(capsys, film, '--out', out, '--frames')
    assert 'no run left them: ' in said and str(images / '000000.jpg') in said
    assert contents(images) == before
    assert len(lines(out)) == 20


def test_what_a_run_would_remove_or_write_is_no_input(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    out, mine = tmp_path / 'out', tmp_path / 'mine'
    assert run(film, '--out', out, '--frames') == 0
    links, before = tmp_path / 'links', contents(out)
    links.mkdir()
    (links / '0.jpg').symlink_to(out / 'frames' / '000000.jpg')
    for source in (out / 'overlay.mp4', out / 'frames', links):
        said = refused(capsys, source, '--out', out, '--overwrite')
        assert 'is an input, and would be replaced; give another --out' in said
    assert contents(out) == before
    mine.mkdir()
    overlay = (out / 'overlay.mp4').rename(mine / 'overlay.mp4')
    assert f'{overlay} is an input' in refused(capsys, overlay, '--out', mine)
    assert f'{out / "frames"} is the folder of the images' in refused(
        capsys, out / 'frames', '--out', out / 'frames'
    )
    assert [p.name for p in mine.iterdir()] == ['overlay.mp4']


@pytest.mark.parametrize('name', ['camera.yaml', 'scene.png', 'run.json', 'frames/000007.jpg'])
@pytest.mark.parametrize('options', [(), ('--overwrite',)], ids=['', 'overwrite'])
def test_files_that_no_run_left_are_not_replaced(
    name: str, options: tuple[str, ...], film: Path, tmp_path: Path, fakes: Fakes,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / 'out'
    own = out / name
    own.parent.mkdir(parents=True)
    own.write_text('{"of": "another program"}')
    said = refused(capsys, film, '--out', out, '--frames', *options)
    assert f'no run left them: {own}; give another --out' in said
    assert contents(out) == {name: b'{"of": "another program"}'}


def test_the_calibration_given_is_not_replaced_by_what_a_run_writes(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    yaml = out / 'camera.yaml'
    out.mkdir()
    Camera.from_field_of_view(WIDTH, HEIGHT, 50).to_yaml(yaml)
    before = contents(out)
    for options in ((), ('--overwrite',)):
        said = refused(capsys, film, '--out', out, '--camera', yaml, *options)
        assert f'{yaml} is an input, and would be replaced' in said
    assert contents(out) == before
    # a run's own may be given to go on with it, and not to replace it
    given = tmp_path / 'given.yaml'
    yaml.rename(given)
    assert run(film, '--out', out, '--camera', given, '--limit', 3) == 0
    assert run(film, '--out', out, '--camera', yaml) == 0
    said = refused(capsys, film, '--out', out, '--camera', yaml, '--overwrite')
    assert f'{yaml} is an input' in said
    assert len(lines(out)) == 20


def test_results_are_replaced_by_a_run_that_can_begin(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / 'out'
    assert run(film, '--out', out, '--frames') == 0
    before = contents(out)

    def absent(*_given: object) -> None:
        raise RuntimeUnavailable('no such device')

    again = (film, '--out', out, '--overwrite')
    for table, name in ((stages.DETECTORS, 'yolox'), (stages.POSENETS, 'blazepose')):
        with monkeypatch.context() as patch:
            patch.setitem(table, name, absent)  # type: ignore[arg-type]
            assert 'no such device' in refused(capsys, *again)
            told = refused(capsys, *again, '--input-long-side', 10)
            assert 'input_long_side 10: ' in told, 'it is known before any network is loaded'
    assert contents(out) == before
    assert run(*again, '--limit', 2) == 0
    assert len(lines(out)) == 2 and not list((out / 'frames').iterdir())


def test_a_webcam_does_not_go_on(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    webcam = replace(open_source(str(film)), webcam=0, name='webcam 0')
    monkeypatch.setattr(command, 'open_source', lambda *_: webcam)
    monkeypatch.setattr('pose3d_ros.video._open_capture', lambda *_: cv2.VideoCapture(str(film)))
    assert run('0', '--out', tmp_path / 'out', '--limit', 3) == 0
    out = tmp_path / 'unplugged'
    assert 'webcam 0 gives no more images' in refused(capsys, '0', '--out', out)
    assert len(lines(out)) == film_length(out / 'overlay.mp4') == record(out)['result']['frames']
    assert record(out)['result']['complete'] is False
    assert 'a webcam starts anew' in refused(capsys, '0', '--out', tmp_path / 'out')


def test_own_weights_that_are_absent_or_of_no_use_are_refused(
    film: Path, tmp_path: Path, fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / 'snapshot_18.pth.tar'
    out = ('--out', tmp_path / 'out', '--rootnet', '3dmppe')
    said = refused(capsys, film, *out, '--person-height', 1.2)
    assert '--person-height is for --rootnet keypoints: 3dmppe has learned' in said
    assert f'{absent}: No such file' in refused(capsys, film, *out, '--rootnet-weights', absent)
    assert '--rootnet-weights' in refused(capsys, film, *out)


# The real thing


def test_every_stage_names_its_weights() -> None:
    """Or run.json would not tell which files a run used: add the stage to STAGE_WEIGHTS."""
    names = {*stages.DETECTORS, *stages.ROOTNETS, *stages.POSENETS}
    assert names == set(models.STAGE_WEIGHTS)
    assert weights.select([f for files in models.STAGE_WEIGHTS.values() for f in files])


def test_real_people_are_found_and_a_real_interrupt_is_survived(tmp_path: Path) -> None:
    """Three people in a laboratory, by eye 3 to 8 m away; SIGINT after the second frame."""
    clip, out = weights.path('pose2sim_multi_cam02'), tmp_path / 'out'
    order = ['video', str(clip), '--out', str(out), '--precision', 'f32', '--every', '3']
    with subprocess.Popen(
        [sys.executable, '-c', 'import pose3d_ros.cli as c; raise SystemExit(c.main())', *order],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        poses = out / 'poses.jsonl'
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            if poses.exists() and poses.read_bytes().count(b'\n') >= 2:
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.01)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert 'Traceback' not in said
    done = len(lines(out))
    assert 2 <= done < 34
    assert film_length(out / 'overlay.mp4') == done
    assert cli.main([*order, '--limit', str(done + 2)]) == 0
    results = list(read_results(out / 'poses.jsonl', BLAZEPOSE))
    assert [r.index for r in results] == [3 * k for k in range(done + 2)]
    assert {r.persons.ids for r in results} <= {('1', '2', '3'), ('1', '3', '2'), ('2', '1', '3')}
    depths_m = np.array([sorted(r.poses.roots[:, 2]) for r in results])
    assert np.median(depths_m, axis=0) == pytest.approx([3.4, 4.0, 7.2], rel=0.25)
    assert film_length(out / 'overlay.mp4') == done + 2
    scene = cv2.imread(str(out / 'scene.png'))
    assert scene is not None
    assert record(out)['precisions']['posenet'] == ['f32']
