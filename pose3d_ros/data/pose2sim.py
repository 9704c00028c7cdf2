# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The two calibrated clips of Pose2Sim: four synchronised, calibrated cameras around 1 to 3 people.

`pose3d fetch clips` brings them (PyPI pose2sim, BSD-3-Clause). The calibration is a Qualisys file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from pose3d_ros import weights
from pose3d_ros.camera import Camera

CLIP_NAMES = ('single', 'multi')
_CAMERA_COUNT = 4
# The file counts focal lengths and centres in 64ths of a pixel.
_UNITS_PER_PIXEL = 64
# Its cameras look along -z with y up, as in computer graphics; the optical frame looks along +z
# with y down: half a turn about x lies between them.
_TO_OPTICAL = np.diag([1.0, -1.0, -1.0])


class ClipError(ValueError):
    """A file of a clip that cannot be read; the message names it."""


@dataclass(frozen=True)
class ClipCamera:
    """One camera of a clip.

    :param name: as the calibration names it.
    :param camera: intrinsics, with the size of the film.
    :param rotation: (3, 3) world to optical frame.
    :param translation: (3,) metres: optical = rotation @ world + translation.
    :param film: the video file.
    """

    name: str
    camera: Camera
    rotation: np.ndarray
    translation: np.ndarray
    film: Path

    @property
    def centre(self) -> np.ndarray:
        """Return where the camera stands in the world (3,), metres."""
        return np.asarray(-self.rotation.T @ self.translation)

    def from_world(self, points: np.ndarray) -> np.ndarray:
        """Return points (..., 3) of the world in the optical frame; both metres."""
        return np.asarray(points @ self.rotation.T + self.translation)


@dataclass(frozen=True)
class Clip:
    """A clip: what its cameras saw at the same moments.

    :param name: 'single' or 'multi'.
    :param cameras: in the order of the calibration file.
    :param frame_count: frames of each film.
    :param frame_rate_hz: of the films.
    """

    name: str
    cameras: tuple[ClipCamera, ...]
    frame_count: int
    frame_rate_hz: float

    @classmethod
    def load(cls, name: str, directory: Path | None = None) -> 'Clip':
        """Return a clip by name, out of `directory` (None = the cache of `pose3d fetch`).

        :raises weights.WeightsError: a file is absent or corrupt; the message says what to run.
        :raises ClipError: a file cannot be read.
        """
        if name not in CLIP_NAMES:
            raise ClipError(f"there is no clip '{name}'; there are " + ', '.join(CLIP_NAMES))
        try:
            calibration = weights.path(f'pose2sim_{name}_calib', directory)
            films = [
                weights.path(f'pose2sim_{name}_cam{i + 1:02}', directory)
                for i in range(_CAMERA_COUNT)
            ]
        except weights.WeightsError as error:
            raise weights.WeightsError(f'{error} (all the clips: pose3d fetch clips)') from error
        headers = [_header(film) for film in films]
        cameras = read_qualisys(calibration, films, [header[:2] for header in headers])
        _, _, frame_count, frame_rate_hz = headers[0]
        return cls(name, cameras, frame_count, frame_rate_hz)

    def frames(self, camera_index: int) -> Iterator[np.ndarray]:
        """Yield the images (h, w, 3) uint8 BGR of one camera, first to last.

        :raises ClipError: the film ends early.
        """
        film = self.cameras[camera_index].film
        capture = cv2.VideoCapture(str(film))
        try:
            for index in range(self.frame_count):
                read, image = capture.read()
                if not read:
                    raise ClipError(f'{film} ends after {index} of {self.frame_count} frames')
                yield image
        finally:
            capture.release()


def _header(film: Path) -> tuple[int, int, int, float]:
    """Return width and height in pixels, number of frames and frames per second of a film."""
    capture = cv2.VideoCapture(str(film))
    try:
        width, height, count = (
            int(capture.get(what))
            for what in (
                cv2.CAP_PROP_FRAME_WIDTH,
                cv2.CAP_PROP_FRAME_HEIGHT,
                cv2.CAP_PROP_FRAME_COUNT,
            )
        )
        if not capture.isOpened() or min(width, height, count) <= 0:
            raise ClipError(f'{film} cannot be decoded as a video')
        return width, height, count, float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()


def read_qualisys(
    path: Path, films: list[Path], sizes: list[tuple[int, int]]
) -> tuple[ClipCamera, ...]:
    """Read the cameras of a Qualisys calibration (.qca.txt), one for each film.

    :param sizes: (width, height) of the films, pixels.
    :raises ClipError: the file is missing, or not such a calibration of as many cameras.
    """
    try:
        # of the clip that was fetched and verified; expat bounds what entities grow to
        entries = list(ElementTree.parse(path).iter('camera'))  # noqa: S314
        if len(entries) != len(films):
            raise ClipError(f'{path} describes {len(entries)} cameras, not {len(films)}')
        return tuple(
            _camera(entry, film, size)
            for entry, film, size in zip(entries, films, sizes, strict=True)
        )
    except OSError as error:
        raise ClipError(f'cannot read the calibration {path}: {error.strerror}') from error
    except ClipError:
        raise
    except (ElementTree.ParseError, KeyError, ValueError, OverflowError) as error:
        raise ClipError(f'{path} is not a Qualisys calibration: {error}') from error


def _camera(entry: ElementTree.Element, film: Path, size: tuple[int, int]) -> ClipCamera:
    """Return the camera that one <camera> element describes."""
    pose, lens = _numbers(entry, 'transform'), _numbers(entry, 'intrinsic')
    K = np.eye(3)
    K[0, 0], K[1, 1] = lens['focalLengthU'], lens['focalLengthV']
    K[0, 2], K[1, 2] = lens['centerPointU'], lens['centerPointV']
    K[:2] /= _UNITS_PER_PIXEL
    distortion = np.array(
        [
            lens['radialDistortion1'],
            lens['radialDistortion2'],
            lens['tangentalDistortion1'],
            lens['tangentalDistortion2'],
            lens['radialDistortion3'],
        ]
    )
    rotation = _TO_OPTICAL @ [[pose[f'r{i}{j}'] for j in (1, 2, 3)] for i in (1, 2, 3)]
    centre = np.array([pose[axis] for axis in 'xyz']) / 1000
    sensor = _numbers(entry, 'fov_video')
    camera = Camera(K, int(sensor['right']) + 1, int(sensor['bottom']) + 1, distortion)
    camera = _filmed(camera, *size)
    return ClipCamera(entry.attrib['serial'], camera, rotation, -rotation @ centre, film)


def _filmed(camera: Camera, width: int, height: int) -> Camera:
    """Return the camera of a film of another size: scaled to its width, between black bars.

    Two films of the clip 'single' are such: 1080 pixels wide instead of 1088, of the same height,
    with 7 black rows above and below.
    """
    inner_height = round(camera.height * width / camera.width)
    bar = (height - inner_height) // 2
    return camera.scaled(width, inner_height).cropped(0, -bar, width, height)


def _numbers(entry: ElementTree.Element, tag: str) -> dict[str, float]:
    """Return the attributes of the child element `tag`; KeyError where there is none."""
    child = entry.find(tag)
    if child is None:
        raise KeyError(tag)
    return {name: float(value) for name, value in child.attrib.items()}
