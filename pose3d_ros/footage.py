"""Frames of a video file, an image folder or a webcam."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
#: Folders of images say nothing of their rate.
FOLDER_RATE_HZ = 30.0
_MAX_BROKEN = 30  # unreadable frames in a row after which a video is at its end


class FootageError(ValueError):
    """Footage that cannot be read; the message names it and says why."""


@dataclass(frozen=True)
class FootageFrame:
    """One frame.

    :param index: its place in the footage, from 0; unreadable frames leave a gap.
    :param time_s: its time from the first frame.
    :param image: (h, w, 3) uint8 BGR, as stored: no rotation by metadata, which calibrations do
        not know of.
    """

    index: int
    time_s: float
    image: np.ndarray


def read_frames(source: str) -> Iterator[FootageFrame]:
    """Yield the frames of a video file, an image folder (in natural order) or a webcam index.

    :raises FootageError: no such file, no video, no images, or a camera that gives none.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _folder_frames(path)
    if source.isdecimal() and not path.exists():
        return _video_frames(int(source), f'webcam {source}')
    if not path.exists():
        raise FootageError(f'there is no file or folder {path}')
    return _video_frames(str(path), str(path))


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Return what sorts frame10 behind frame9."""
    parts = re.split(r'(\d+)', path.name)
    return [(int(part), '') if part.isdecimal() else (0, part) for part in parts]


def _folder_frames(folder: Path) -> Iterator[FootageFrame]:
    files = [f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise FootageError(f'{folder} holds no images ({", ".join(IMAGE_SUFFIXES)})')
    readable = 0
    for index, file in enumerate(sorted(files, key=natural_key)):
        image = cv2.imread(str(file), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is not None:
            readable += 1
            yield FootageFrame(index, index / FOLDER_RATE_HZ, np.asarray(image))
    if not readable:
        raise FootageError(f'none of the {len(files)} images in {folder} can be read')


def _video_frames(source: int | str, name: str) -> Iterator[FootageFrame]:
    capture = cv2.VideoCapture(source)
    try:
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        rate_hz = capture.get(cv2.CAP_PROP_FPS)
        rate_hz = rate_hz if 0.1 < rate_hz < 1000 else FOLDER_RATE_HZ
        index = broken = 0
        while broken <= _MAX_BROKEN:
            ok, image = capture.read()
            if ok:
                yield FootageFrame(index, index / rate_hz, np.asarray(image))
            broken = 0 if ok else broken + 1
            index += 1
        if index == broken:
            raise FootageError(f'{name} cannot be read as a video: no frame in it')
    finally:
        capture.release()
