# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera with lens distortion: pixels to rays, points to pixels."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import yaml

from pose3d_ros.whole_files import whole
from pose3d_ros.yaml_files import YamlError, read_yaml

# Where nothing is known of the camera. A 60 degree horizontal view (of the longer side) is near
# a phone's main camera; a wrong guess scales every depth by the ratio of the focal lengths.
FALLBACK_FIELD_OF_VIEW_DEG = 60.0

# OpenCV's own 5 rounds leave a pixel or more at the corners of a wide lens.
_ITERATIONS = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 100, 1e-9)
_LOST_PX = 0.5

# Of a fisheye: x/z and y/z of a direction across the axis are infinite, of one behind it they are
# those of the opposite direction. What is farther from the axis is taken to be there.
_WIDEST = np.radians(85.0)
_ANGLES = np.linspace(0.0, _WIDEST, 2000)

_LONGEST_SIDE_PX = 2**31 - 1  # OpenCV's own
DISTORTION_MODELS = ('plumb_bob', 'rational_polynomial', 'equidistant')


class CameraError(ValueError):
    """A camera that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Camera:
    """Intrinsics of one camera at one image size.

    :param K: (3, 3) camera matrix, pixels.
    :param width: image width, pixels.
    :param height: image height, pixels.
    :param distortion: (d,) coefficients in OpenCV's order for `distortion_model`; none = ().
    :param distortion_model: 'plumb_bob', 'rational_polynomial' or 'equidistant' (fisheye), the
        names of sensor_msgs/distortion_models.
    :param source: where the intrinsics come from, for logs, messages and files.
    :param calibrated: False = they are a guess: what it scales can be rescaled (`people.py`).
    :raises CameraError: K not finite or of another form, focal length not above 0, size not above
        0, distortion model unknown.
    """

    K: np.ndarray
    width: int
    height: int
    distortion: np.ndarray = field(default_factory=lambda: np.zeros(0))
    distortion_model: str = 'plumb_bob'
    source: str = 'calibration'
    calibrated: bool = True

    def __post_init__(self) -> None:
        K = np.asarray(self.K, dtype=np.float64)
        distortion = np.asarray(self.distortion, dtype=np.float64).ravel()
        if K.shape != (3, 3) or not np.isfinite(K).all():
            raise CameraError(f'camera matrix K must be 3 x 3 finite numbers, not {K.tolist()}')
        if not np.isfinite(distortion).all():
            raise CameraError(f'distortion must be finite numbers, not {distortion.tolist()}')
        if K[0, 0] <= 0 or K[1, 1] <= 0:
            raise CameraError(
                f'focal lengths of K are {K[0, 0]:g} and {K[1, 1]:g} pixels: the camera is not '
                'calibrated (calibrate it, or give a field of view)'
            )
        if K[1, 0] or K[2].tolist() != [0, 0, 1]:
            raise CameraError(f'K must be [fx s cx; 0 fy cy; 0 0 1], not {K.tolist()}')
        if not 0 < min(self.width, self.height) <= max(self.width, self.height) <= _LONGEST_SIDE_PX:
            raise CameraError(f'image size {self.width} x {self.height} is not above 0, or absurd')
        if not distortion.any():
            distortion = np.zeros(0)
        elif self.distortion_model not in DISTORTION_MODELS:
            raise CameraError(
                f"distortion model '{self.distortion_model}' is unknown; known are "
                + ', '.join(DISTORTION_MODELS)
            )
        elif self.distortion_model == 'equidistant' and len(distortion) != 4:
            raise CameraError(f'equidistant distortion takes 4 numbers, not {len(distortion)}')
        elif len(distortion) not in (4, 5, 8, 12, 14):
            raise CameraError(f'distortion of {len(distortion)} numbers (4, 5, 8, 12 or 14 do)')
        object.__setattr__(self, 'K', K)
        object.__setattr__(self, 'distortion', distortion)

    @classmethod
    def from_field_of_view(
        cls, width: int, height: int, degrees: float, source: str | None = None
    ) -> 'Camera':
        """Return the ideal camera whose longer image side spans `degrees`."""
        if not 1 <= degrees <= 179:
            raise CameraError(f'a field of view of {degrees:g} degrees (1 to 179 do)')
        focal_px = max(width, height) / 2 / float(np.tan(np.radians(degrees) / 2))
        source = source or f'field of view {degrees:g} degrees'
        return cls.from_focal_length(width, height, focal_px, source)

    @classmethod
    def from_focal_length(
        cls, width: int, height: int, focal_px: float, source: str | None = None
    ) -> 'Camera':
        """Return the ideal camera of a focal length in pixels, which is taken for a guess.

        Its optical axis meets the middle of the image. 3DMPPE's authors assume 1500 pixels for
        all cameras that they do not know.
        """
        K = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
        source = source or f'assumed focal length {focal_px:g} px'
        return cls(K, width, height, source=source, calibrated=False)

    @classmethod
    def fallback(cls, width: int, height: int) -> 'Camera':
        """Return the camera assumed where nothing is known."""
        degrees = FALLBACK_FIELD_OF_VIEW_DEG
        return cls.from_field_of_view(
            width, height, degrees, f'assumed field of view {degrees:g} degrees'
        )

    @classmethod
    def from_yaml(cls, path: Path) -> 'Camera':
        """Read a ROS camera_info YAML file (camera_calibration_parsers' format).

        :raises CameraError: the file is missing, not YAML, or lacks a field; the message names it.
        """
        try:
            data = read_yaml(path)
            if not isinstance(data, dict):
                raise CameraError('no ROS camera_info YAML, which is a mapping of names to values')
            K = np.array(data['camera_matrix']['data'], dtype=np.float64)
            if K.size != 9:
                raise CameraError(f'camera_matrix has {K.size} numbers, not 9')
            return cls(
                K.reshape(3, 3),
                int(data['image_width']),
                int(data['image_height']),
                np.array(data.get('distortion_coefficients', {}).get('data', ()), np.float64),
                data.get('distortion_model', 'plumb_bob'),
                source=str(path),
            )
        except OSError as error:
            raise CameraError(f'cannot read the camera file {path}: {error.strerror}') from error
        except CameraError as error:
            raise CameraError(f'{path}: {error}') from error
        except KeyError as error:
            raise CameraError(f'{path} lacks {error} (a ROS camera_info YAML has it)') from error
        except (YamlError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise CameraError(f'{path} is not a ROS camera_info YAML: {error}') from error

    def to_yaml(self, path: Path, name: str = 'camera') -> None:
        """Write a ROS camera_info YAML file."""
        P = np.hstack([self.K, np.zeros((3, 1))])

        def matrix(array: np.ndarray, rows: int) -> dict[str, object]:
            return {'rows': rows, 'cols': array.size // rows, 'data': array.ravel().tolist()}

        none = np.zeros(4 if self.distortion_model == 'equidistant' else 5)
        data = {
            'image_width': int(self.width),
            'image_height': int(self.height),
            'camera_name': name,
            'camera_matrix': matrix(self.K, 3),
            'distortion_model': self.distortion_model,
            'distortion_coefficients': matrix(self.distortion if self.distortion.size else none, 1),
            'rectification_matrix': matrix(np.eye(3), 3),
            'projection_matrix': matrix(P, 3),
        }
        with whole(path) as part:
            part.write_text(yaml.safe_dump(data, sort_keys=False, default_flow_style=None))

    @property
    def focal_px(self) -> float:
        """Return the geometric mean of the two focal lengths, pixels."""
        return float(np.sqrt(self.K[0, 0] * self.K[1, 1]))

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Return the undistorted directions of pixels.

        Where no direction leads to a pixel outside the image (a lens model bends back beyond what
        it was calibrated on), the lens is taken to shift it as much as the border's nearest pixel.
        Directions more than 85 degrees from the axis, which a fisheye sees, are given as of 85.

        :param pixels: (..., 2) pixels of the original image.
        :return: (..., 2) x/z and y/z in the optical frame.
        """
        points = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
        if not len(points):
            return np.zeros(np.shape(pixels))
        rays = self._undistorted(points)
        if self.distortion.size:
            there = self.project(np.column_stack([rays, np.ones(len(rays))]))
            lost = ~(np.abs(there - points).max(axis=1) < _LOST_PX)
            border = np.clip(points[lost], 0, [self.width - 1, self.height - 1])
            beyond = (points[lost] - border) / self.K[[0, 1], [0, 1]]
            rays[lost] = self._undistorted(border) + beyond
        return rays.reshape(np.shape(pixels))

    def _undistorted(self, pixels: np.ndarray) -> np.ndarray:
        """Return x/z and y/z (n, 2) of pixels (n, 2) as the lens model says."""
        if not len(pixels):
            return np.zeros((0, 2))
        if not self.distortion.size:
            return (pixels - self.K[:2, 2]) @ np.linalg.inv(self.K[:2, :2]).T
        if self.distortion_model == 'equidistant':
            return self._fisheye_rays(pixels)
        points = (pixels - self._sheared(pixels))[:, None]
        if hasattr(cv2, 'undistortPointsIter'):  # OpenCV 4
            R = P = np.eye(3)
            rays = cv2.undistortPointsIter(points, self.K, self.distortion, R, P, _ITERATIONS)
        else:
            rays = cv2.undistortPoints(points, self.K, self.distortion, criteria=_ITERATIONS)
        return np.asarray(rays)[:, 0]

    def _fisheye_rays(self, pixels: np.ndarray) -> np.ndarray:
        """Return x/z and y/z (n, 2) of pixels (n, 2) of the lens of Kannala and Brandt (2006).

        OpenCV's own takes whatever lies farther from the middle than a lens without coefficients
        shows 90 degrees for 90 degrees.
        """
        offsets = (pixels - self.K[:2, 2]) @ np.linalg.inv(self.K[:2, :2]).T
        radii = np.linalg.norm(offsets, axis=1)
        k1, k2, k3, k4 = self.distortion
        bend = np.polynomial.Polynomial([0, 1, 0, k1, 0, k2, 0, k3, 0, k4])
        seen = bend(_ANGLES)
        ends = np.flatnonzero(np.diff(seen) <= 0)  # beyond, the lens model bends back
        usable = slice(0, ends[0] + 1 if len(ends) else None)
        angles = np.interp(radii, seen[usable], _ANGLES[usable])
        for _ in range(2):  # Newton's, from the table's fineness to the last digits
            better = angles - (bend(angles) - radii) / np.maximum(bend.deriv()(angles), 1e-3)
            angles = np.clip(better, 0.0, _ANGLES[usable][-1])
        return np.asarray(offsets * (np.tan(angles) / np.maximum(radii, 1e-12))[:, None])

    def _sheared(self, pixels: np.ndarray) -> np.ndarray:
        """Return how far the skew of K moves pixels (n, 2); OpenCV's lenses know no skew."""
        shift = self.K[0, 1] * (pixels[:, 1] - self.K[1, 2]) / self.K[1, 1]
        return np.column_stack([shift, np.zeros(len(pixels))])

    def back_project(self, pixels: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
        """Return the points (..., 3) in metres that pixels (..., 2) show at depth z (...)."""
        depth = np.asarray(depth_m, dtype=np.float64)[..., None]
        return np.concatenate([self.rays(pixels) * depth, depth], axis=-1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return the pixels (..., 2) of points (..., 3), metres; NaN behind the camera."""
        points = np.asarray(points, dtype=np.float64)
        z = np.where(points[..., 2:] > 1e-6, points[..., 2:], np.nan)
        rays = (points[..., :2] / z).reshape(-1, 1, 2)
        if not len(rays):
            return np.zeros((*points.shape[:-1], 2))
        if not self.distortion.size:
            pixels = rays[:, 0] @ self.K[:2, :2].T + self.K[:2, 2]
        elif self.distortion_model == 'equidistant':
            pixels = cv2.fisheye.distortPoints(rays, self.K, self.distortion)[:, 0]
        else:
            corners = np.concatenate([rays[:, 0], np.ones((len(rays), 1))], axis=1)
            zero = np.zeros(3)
            pixels = cv2.projectPoints(corners, zero, zero, self.K, self.distortion)[0][:, 0]
        if self.distortion.size:
            pixels = pixels + self._sheared(pixels)
        return np.asarray(pixels).reshape(*points.shape[:-1], 2)

    def cropped(self, left: int, top: int, width: int, height: int) -> 'Camera':
        """Return the camera of a region of its image."""
        K = self.K.copy()
        K[0, 2] -= left
        K[1, 2] -= top
        return replace(self, K=K, width=width, height=height)

    def binned(self, x: int, y: int) -> 'Camera':
        """Return the camera of its image with x by y pixels made one, and what is left over cut."""
        width, height = self.width // x, self.height // y
        whole = self.cropped(0, 0, width * x, height * y)
        return whole.scaled(width, height)

    def scaled(self, width: int, height: int) -> 'Camera':
        """Return the camera of its image resized to width x height."""
        scale = np.array([width / self.width, height / self.height])
        K = self.K.copy()
        K[0, :2] *= scale[0]
        K[1, :2] *= scale[1]
        # a resize maps pixel centres: x' + 0.5 = (x + 0.5) * scale
        K[:2, 2] = (self.K[:2, 2] + 0.5) * scale - 0.5
        return replace(self, K=K, width=width, height=height)


def ray_quaternion(point: np.ndarray) -> tuple[float, float, float, float]:
    """Return x, y, z, w of the rotation that turns the z axis onto the ray to a point (3,)."""
    x, y, z = point / np.linalg.norm(point)
    half = np.array([-y, x, 0.0, 1.0 + z])
    qx, qy, qz, qw = (half / np.linalg.norm(half)).tolist()
    return qx, qy, qz, qw
