# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Frames of a video file, an image folder or a webcam; and the video that is written of them."""

import math
import re
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
#: Folders of images say nothing of their rate.
FOLDER_RATE_HZ = 30.0
# Unreadable frames in a row after which a video is at its end, whatever its header announces.
_MAX_UNREADABLE = 60
# A webcam that was waited for so long in vain is gone. For one frame that does not come, the system
# takes ten seconds.
_PATIENCE_S = 5.0
_Thing = TypeVar('_Thing')
#: A longer gap between frames is cut, in what is written and in what is played.
MAX_STILL_S = 10.0
# MPEG-4 counts at most so many ticks a second; OpenCV takes rates to the thousandth.
_MAX_TICKS_HZ, _RATE_DENOMINATORS = 65535, (1000, 100, 10, 1)


class VideoError(ValueError):
    """A video, folder or webcam that cannot be read; the message names it and says why."""


@dataclass(frozen=True)
class Frame:
    """One frame.

    :param index: its place in the source, from 0.
    :param time_s: its time from the source's start, seconds; never less than the frame's before.
    :param name: what messages call it.
    :param image: (h, w, 3) uint8 BGR, upright: turned as the file says, as every player does it.
        None = cannot be read.
    """

    index: int
    time_s: float
    name: str
    image: np.ndarray | None


@dataclass(frozen=True)
class Source:
    """Where frames come from.

    :param name: the path, or 'webcam 0'.
    :param files: the images of a folder, in natural order; () = a video or webcam.
    :param webcam: its number; None = a file or folder.
    :param rate_hz: frames per second.
    :param frame_count: frames that there are, or that the file announces; 0 = unknown.
    :param width: of the upright frame, pixels.
    :param height: of the upright frame, pixels.
    """

    name: str
    files: tuple[Path, ...]
    webcam: int | None
    rate_hz: float
    frame_count: int
    width: int
    height: int

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Yield every n-th frame, from the first; those in between are not decoded.

        :raises VideoError: a webcam gives no more.
        """
        frames = _folder_frames(self, every) if self.files else _video_frames(self, every)
        size = (self.height, self.width)
        for frame in frames:
            image = frame.image
            if image is not None and image.shape[:2] != size:
                h, w = image.shape[:2]
                wrong = f'{frame.name} ({w} x {h}, not {self.width} x {self.height})'
                frame = Frame(frame.index, frame.time_s, wrong, None)
            yield frame


def open_source(source: str, folder_rate_hz: float = FOLDER_RATE_HZ) -> Source:
    """Return the video file, image folder or webcam (a number) of that name, its size known.

    :raises VideoError: there is no such thing, or not one frame of it can be read.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _open_folder(path, folder_rate_hz)
    webcam = int(source) if source.isdecimal() and not path.exists() else None
    if webcam is None and not path.exists():
        raise VideoError(f'there is no file or folder {path}')
    name = str(path) if webcam is None else f'webcam {webcam}'
    capture = _open_capture(name, webcam)
    try:
        image = next((i for ok, i in (capture.read() for _ in range(_MAX_UNREADABLE)) if ok), None)
        if image is None:
            raise VideoError(f'{name}: not one frame can be read')
        rate_hz, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    finally:
        capture.release()
    rate_hz = rate_hz if 0.1 <= rate_hz <= 1000 else FOLDER_RATE_HZ
    count = max(0, int(count)) if webcam is None and math.isfinite(count) else 0
    return Source(name, (), webcam, rate_hz, count, image.shape[1], image.shape[0])


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Return what sorts frame10 behind frame9."""
    parts = re.split(r'(\d+)', path.name)
    return [(int(part), '') if part.isdecimal() else (-1, part) for part in parts]


def prefetched(frames: Iterator[_Thing], depth: int = 4) -> Generator[_Thing, None, None]:
    """Yield the same frames, while a thread already reads the next ones, `depth` at the most."""
    with ThreadPoolExecutor(1, 'decoder') as pool:
        pending = deque(pool.submit(next, frames, None) for _ in range(depth))
        while (frame := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, frames, None))
            yield frame


def _open_folder(folder: Path, rate_hz: float) -> Source:
    files = [f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES]
    files.sort(key=natural_key)
    if not files:
        raise VideoError(f'{folder} holds no images ({", ".join(IMAGE_SUFFIXES)})')
    image = next((i for i in map(_read_image, files) if i is not None), None)
    if image is None:
        raise VideoError(f'none of the {len(files)} images in {folder} can be read')
    height, width = image.shape[:2]
    return Source(str(folder), tuple(files), None, rate_hz, len(files), width, height)


def _read_image(path: Path) -> np.ndarray | None:
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:  # a header that announces more pixels than OpenCV takes
        return None
    return None if image is None else np.asarray(image)


def _folder_frames(source: Source, every: int) -> Iterator[Frame]:
    for index in range(0, len(source.files), every):
        file = source.files[index]
        yield Frame(index, index / source.rate_hz, file.name, _read_image(file))


def _open_capture(name: str, webcam: int | None) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(name if webcam is None else webcam)
    if not capture.isOpened():
        what = 'there is no such webcam, or another program holds it'
        raise VideoError(
            f'{name}: {what}' if webcam is not None else f'{name} is not a video that can be read'
        )
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # of a webcam: old frames are of no use
    return capture


def _video_frames(source: Source, every: int) -> Iterator[Frame]:
    """Yield frames by the file's own time stamps, which hold where the rate does not."""
    capture = _open_capture(source.name, source.webcam)
    start_s, last_s = time.monotonic(), -1 / source.rate_hz
    index = unreadable = 0
    in_vain_s, patience_s = 0.0, math.inf if source.webcam is None else _PATIENCE_S
    lost: list[Frame] = []  # unreadable ones: gaps if others follow, else the end
    try:
        while unreadable < _MAX_UNREADABLE and in_vain_s < patience_s:
            asked_s = time.monotonic()
            grabbed = capture.grab()
            wanted = index % every == 0
            ok, image = capture.retrieve() if grabbed and wanted else (False, None)
            time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if source.webcam is not None:
                time_s = time.monotonic() - start_s
            elif not grabbed or not last_s < time_s < math.inf:
                time_s = last_s + 1 / source.rate_hz
            unreadable = 0 if grabbed else unreadable + 1
            in_vain_s = 0.0 if grabbed else in_vain_s + time.monotonic() - asked_s
            frame = Frame(index, time_s, f'frame {index}', np.asarray(image) if ok else None)
            if not grabbed:
                lost.append(frame)
            else:
                yield from (gap for gap in lost if gap.index % every == 0)
                lost = []
                if wanted:
                    yield frame
            last_s, index = time_s, index + 1
    finally:
        capture.release()
    if source.webcam is not None:
        raise VideoError(f'{source.name} gives no more images: is it unplugged?')


def _writable_rate_hz(rate_hz: float) -> float:
    """Return the next rate that can be written.

    Not one below, unless by next to nothing: each frame is shown once at least, so a video at a
    lower rate would fall behind the times of its frames. At a higher one some are shown twice.
    """
    denominator = next((d for d in _RATE_DENOMINATORS if rate_hz * d <= _MAX_TICKS_HZ), 1)
    return math.ceil(rate_hz * denominator - 0.1) / denominator


class VideoWriter:
    """An mp4 video that appears under its name when it is whole, not before.

    :param path: where; its folder exists.
    :param rate_hz: frames per second; one that MPEG-4 does not take becomes the next that it does.
    :param width: pixels.
    :param height: pixels.
    :raises VideoError: no such video can be written here.
    """

    def __init__(self, path: Path, rate_hz: float, width: int, height: int) -> None:
        self.path = path
        self._part = path.with_name(f'.{path.name}.part.mp4')
        self._rate_hz = _writable_rate_hz(rate_hz)
        # mp4v: what every build of OpenCV can write, and every player but browsers plays
        codec = cv2.VideoWriter.fourcc(*'mp4v')
        self._writer = cv2.VideoWriter(str(self._part), codec, self._rate_hz, (width, height))
        if not self._writer.isOpened():
            self._part.unlink(missing_ok=True)
            raise VideoError(
                f'cannot write {path}: no encoder takes images of {width} x {height} pixels for '
                f'MPEG-4 at {self._rate_hz:g} Hz'
            )
        self._held: tuple[np.ndarray, float] | None = None
        self._due_s = 0.0
        self.frames = 0

    def write(self, image: np.ndarray, time_s: float) -> None:
        """Add a frame. It is shown until the next one's time, so that gaps keep their length."""
        self._show_held(time_s)
        if self._held is None:
            self._due_s = time_s
        self._held = (image, time_s)
        self.frames += 1

    def _show_held(self, until_s: float) -> None:
        if self._held is not None:
            copies = max(1, round((until_s - self._due_s) * self._rate_hz))
            if copies > MAX_STILL_S * self._rate_hz:  # a webcam asleep, or a broken time stamp
                copies, self._due_s = 1, until_s - 1 / self._rate_hz
            for _ in range(copies):
                self._writer.write(self._held[0])
            self._due_s += copies / self._rate_hz

    def close(self) -> None:
        """Complete the video and give it its name.

        :raises OSError: it is not whole, and gone: the disk is full.
        """
        self._show_held(0)
        self._writer.release()
        if not cv2.VideoCapture(str(self._part)).isOpened():  # the writer itself says nothing
            self._part.unlink(missing_ok=True)
            raise OSError(f'{self.path} cannot be read back: the disk may be full')
        self._part.replace(self.path)

    def discard(self) -> None:
        """Leave no video; what was there under the name before stays."""
        self._writer.release()
        self._part.unlink(missing_ok=True)
