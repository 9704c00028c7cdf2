# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages to arrays and back."""

from array import array

import cv2
import numpy as np
from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from pose3d_ros.camera import Camera
from pose3d_ros.decoding import ImageDataError, decode_image
from pose3d_ros.msg import Person, PersonArray, Pose3D, Pose3DArray
from pose3d_ros.nodes.cdr import ImageView
from pose3d_ros.people import Keypoints, Persons, Poses, Tracks, TrackState
from pose3d_ros.skeletons import SKELETONS, Skeleton

_STATES = tuple(map(int, TrackState))


class MessageError(ValueError):
    """A message that cannot be used; the text says what is wrong with which field."""


#: encoding -> bytes per channel value, channels, OpenCV's conversion to BGR (None: it is BGR)
_ENCODINGS: dict[str, tuple[str, int, int | None]] = {
    'bgr8': ('u1', 3, None),
    '8UC3': ('u1', 3, None),
    'rgb8': ('u1', 3, cv2.COLOR_RGB2BGR),
    'bgra8': ('u1', 4, cv2.COLOR_BGRA2BGR),
    '8UC4': ('u1', 4, cv2.COLOR_BGRA2BGR),
    'rgba8': ('u1', 4, cv2.COLOR_RGBA2BGR),
    'mono8': ('u1', 1, cv2.COLOR_GRAY2BGR),
    '8UC1': ('u1', 1, cv2.COLOR_GRAY2BGR),
    'mono16': ('u2', 1, cv2.COLOR_GRAY2BGR),
    '16UC1': ('u2', 1, cv2.COLOR_GRAY2BGR),
    'bgr16': ('u2', 3, None),
    'rgb16': ('u2', 3, cv2.COLOR_RGB2BGR),
    # OpenCV names Bayer patterns by the second row's second and third pixel, ROS by the first row
    'bayer_rggb8': ('u1', 1, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr8': ('u1', 1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg8': ('u1', 1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg8': ('u1', 1, cv2.COLOR_BayerGB2BGR),
    'yuv422': ('u1', 2, cv2.COLOR_YUV2BGR_UYVY),
    'uyvy': ('u1', 2, cv2.COLOR_YUV2BGR_UYVY),
    'yuv422_yuy2': ('u1', 2, cv2.COLOR_YUV2BGR_YUY2),
    'yuyv': ('u1', 2, cv2.COLOR_YUV2BGR_YUY2),
}

#: Of which two pixels side by side have their colour together.
_YUV = ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv')


def image_from_message(message: Image | ImageView) -> np.ndarray:
    """Return the image (height, width, 3) uint8 BGR; bgr8 without copying, so do not write to it.

    :raises MessageError: unknown encoding, no pixels, a step or data length that does not fit.
    """
    if message.encoding not in _ENCODINGS:
        raise MessageError(
            f"image encoding '{message.encoding}' is not supported; supported are "
            + ', '.join(_ENCODINGS)
        )
    kind, channels, conversion = _ENCODINGS[message.encoding]
    height, width, step = message.height, message.width, message.step
    dtype = np.dtype(kind).newbyteorder('>' if message.is_bigendian else '<')
    row_bytes = width * channels * dtype.itemsize
    if not height or not width:
        raise MessageError(f'image of {width} x {height} pixels')
    if width % 2 and message.encoding in _YUV:
        raise MessageError(f'image of {message.encoding} with an odd width of {width} pixels')
    if step < row_bytes or step % dtype.itemsize:
        raise MessageError(
            f'image step is {step} bytes, but a row of {width} {message.encoding} pixels '
            f'takes {row_bytes}'
        )
    # the last row may come without its padding
    needed = step * (height - 1) + row_bytes
    if len(message.data) < needed:
        raise MessageError(
            f'image data has {len(message.data)} bytes, but {width} x {height} '
            f'{message.encoding} with step {step} takes {needed}'
        )
    pixels = np.ndarray(
        (height, width, channels),
        dtype,
        buffer=memoryview(message.data),
        strides=(step, channels * dtype.itemsize, dtype.itemsize),
    )
    if dtype.itemsize == 2:
        pixels = (pixels >> 8).astype(np.uint8)
    if conversion is None:
        return np.asarray(pixels)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), conversion))


def image_from_compressed(message: CompressedImage) -> np.ndarray:
    """Return the image (height, width, 3) uint8 BGR of a JPEG, PNG, TIFF or BMP file in memory.

    :raises MessageError: the data is not a whole image, or announces more pixels than it can hold.
    """
    data = np.frombuffer(memoryview(message.data), np.uint8)
    try:
        return decode_image(data)
    except ImageDataError as error:
        raise MessageError(
            f"compressed image of format '{message.format}' cannot be decoded ({data.size} bytes): "
            f'{error}'
        ) from error


def image_to_message(image: np.ndarray, header: Header) -> Image:
    """Return a bgr8 message of an image (height, width, 3) uint8."""
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding='bgr8', step=3 * width)
    message.data = bytes_of(image)
    return message


def bytes_of(values: np.ndarray) -> array:
    """Return uint8 values as the type that rclpy takes without looking at each: 0.2 ms, not 300."""
    data = array('B')
    data.frombytes(np.ascontiguousarray(values).data.cast('B'))
    return data


def floats_of(values: np.ndarray) -> array:
    """Return float32 values as the type that rclpy takes without looking at each."""
    data = array('f')
    data.frombytes(np.ascontiguousarray(values, dtype=np.float32).tobytes())
    return data


def is_rectified(image_topic: str) -> bool:
    """Return whether a topic's images are rectified by its name: image_rect_color, rect/image.

    Not by any `rect` in it: /direct/image_raw has a lens.
    """
    return any(
        part.startswith('image_rect') or part in ('rect', 'rectified')
        for part in image_topic.split('/')
    )


def camera_from_info(info: CameraInfo, rectified: bool) -> Camera:
    """Return the camera of a CameraInfo, as REP-104 and the comments of CameraInfo.msg have it.

    K, D and P are of the full resolution, whatever the binning and the region of interest, whose
    corner and size are in pixels of the full resolution too. As image_geometry does, the region
    moves K and P alike and `roi.do_rectify` changes nothing: a rectified image covers the same
    window of pixels as the raw one. Unlike image_geometry, which scales the principal point by
    1 / binning, a binned pixel lies in the middle of those that it covers: (c + 0.5) / binning -
    0.5, a quarter of a pixel to the left for a binning of 2.

    :param rectified: the images are rectified: P counts and there is no distortion.
    :raises CameraError: not calibrated, or a distortion model that is unknown.
    """
    width, height = int(info.width), int(info.height)
    if rectified:
        P = np.array(info.p).reshape(3, 4)
        camera = Camera(P[:, :3], width, height, source='camera_info')
    else:
        K, D = np.array(info.k).reshape(3, 3), np.array(info.d)
        camera = Camera(K, width, height, D, info.distortion_model, 'camera_info')
    roi = info.roi
    if roi.width and roi.height:
        camera = camera.cropped(roi.x_offset, roi.y_offset, roi.width, roi.height)
    binning = (max(1, info.binning_x), max(1, info.binning_y))
    if binning != (1, 1):
        camera = camera.binned(*binning)
    return camera


def camera_mismatch(
    topic: str, camera: Camera, its_frame: str, image: np.ndarray, frame: str
) -> str:
    """Return why a camera_info is not of the camera that took an image; '' = it may be.

    :param topic: of the camera_info.
    :param its_frame: frame_id of the camera_info; '' = not said.
    :param image: (h, w, 3).
    :param frame: frame_id of the image; '' = not said.
    """
    height, width = image.shape[:2]
    if (camera.width, camera.height) != (width, height):
        return (
            f'camera_info on {topic} is for {camera.width} x {camera.height} pixels, but the '
            f'image has {width} x {height}: are they of the same camera?'
        )
    if frame and its_frame and frame != its_frame:
        return (
            f"camera_info on {topic} is in frame '{its_frame}', but the image in '{frame}': are "
            'they of the same camera?'
        )
    return ''


def camera_to_info(camera: Camera, header: Header) -> CameraInfo:
    """Return the CameraInfo of a camera."""
    P = np.hstack([camera.K, np.zeros((3, 1))])
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model=camera.distortion_model,
        d=(camera.distortion if camera.distortion.size else np.zeros(5)).tolist(),
        k=camera.K.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=P.ravel().tolist(),
    )


def persons_to_message(
    persons: Persons, header: Header, camera: Camera | None = None
) -> PersonArray:
    """Return the message of the people of the image with this header.

    :param camera: that the roots were found with; None = there are none.
    """
    message = PersonArray(header=header)
    if camera is not None:
        message.intrinsics, message.focal_length_px = camera.source, camera.focal_px
    keypoints = persons.keypoints
    if keypoints is not None:
        message.keypoint_names = list(keypoints.skeleton.joint_names)
    known = persons.has_root
    for i, (x, y, width, height) in enumerate(persons.boxes.tolist()):
        person = Person(
            id=persons.ids[i],
            score=float(persons.scores[i]),
            box_x=x,
            box_y=y,
            box_width=width,
            box_height=height,
            has_root=bool(known[i]),
            root_depth_stddev=float(persons.root_depth_stddev_m[i]),
        )
        if known[i]:
            person.root = point(persons.roots[i].tolist())
        if keypoints is not None:
            person.keypoints = floats_of(keypoints.xy[i])
            person.keypoint_scores = floats_of(keypoints.scores[i])
        message.persons.append(person)
    return message


def persons_from_message(message: PersonArray) -> Persons:
    """Return the people of a message; those with a broken box are left out.

    :raises MessageError: keypoints that do not fit the names, or of an unknown joint set.
    """
    people = [p for p in message.persons if _is_box(p)]
    if not people:
        return Persons.none()
    return Persons(
        np.array([(p.box_x, p.box_y, p.box_width, p.box_height) for p in people]),
        np.array([p.score for p in people]),
        tuple(p.id for p in people),
        np.array([_xyz(p.root) if p.has_root else (np.nan,) * 3 for p in people]),
        np.array([p.root_depth_stddev for p in people]),
        _keypoints(message, people),
    )


def _is_box(person: Person) -> bool:
    values = (person.box_x, person.box_y, person.box_width, person.box_height)
    return bool(np.isfinite(values).all() and person.box_width > 0 and person.box_height > 0)


def _keypoints(message: PersonArray, people: list[Person]) -> Keypoints | None:
    if not message.keypoint_names:
        return None
    skeleton = _skeleton_of(tuple(message.keypoint_names))
    k = len(skeleton)
    if any(len(p.keypoints) != 2 * k or len(p.keypoint_scores) != k for p in people):
        raise MessageError(f'persons with another number of keypoints than the {k} names')
    xy = np.array([p.keypoints for p in people], np.float64).reshape(-1, k, 2)
    scores = np.array([p.keypoint_scores for p in people], np.float64)
    finite = np.isfinite(xy).all(axis=2) & np.isfinite(scores)
    return Keypoints(skeleton, np.where(finite[..., None], xy, 0.0), np.where(finite, scores, 0.0))


def _skeleton_of(names: tuple[str, ...]) -> Skeleton:
    for skeleton in SKELETONS.values():
        if skeleton.joint_names == names:
            return skeleton
    raise MessageError(f'keypoint names of an unknown joint set: {", ".join(names[:4])}, ...')


def poses_to_message(poses: Poses, header: Header, camera: Camera) -> Pose3DArray:
    """Return the message of the poses of the image with this header.

    :param camera: that they were found with.
    """
    skeleton = poses.skeleton
    message = Pose3DArray(
        header=header,
        skeleton=skeleton.name,
        joint_names=list(skeleton.joint_names),
        edges=array('H', [index for edge in skeleton.edges for index in edge]),
        intrinsics=camera.source,
        focal_length_px=camera.focal_px,
    )
    for i, joints in enumerate(poses.joints.tolist()):
        pose = Pose3D(
            id=poses.ids[i],
            score=float(poses.scores[i]),
            root=point(poses.roots[i].tolist()),
            root_depth_stddev=float(poses.root_depth_stddev_m[i]),
            joints=[point(joint) for joint in joints],
            joint_scores=floats_of(poses.joint_scores[i]),
        )
        _set_track(pose, poses.tracks, i)
        message.poses.append(pose)
    return message


def _set_track(pose: Pose3D, tracks: Tracks, i: int) -> None:
    """Fill in what is known of the i-th person over time."""
    pose.state, pose.age_frames = int(tracks.states[i]), int(tracks.ages_frames[i])
    pose.has_velocity = bool(tracks.has_velocity[i])
    if pose.has_velocity:
        x, y, z, vx, vy, vz = tracks.motions[i].tolist()
        pose.tracked_root, pose.velocity = Point(x=x, y=y, z=z), Vector3(x=vx, y=vy, z=vz)
        pose.track_covariance = tracks.covariances[i].ravel()


def poses_from_message(message: Pose3DArray) -> Poses:
    """Return the poses of a message; its names and edges, not ours, make the skeleton.

    :raises MessageError: joints or edges that do not fit the names, or an unknown state.
    """
    names, edges = tuple(message.joint_names), np.array(message.edges, int)
    if len(edges) % 2 or (edges >= len(names)).any():
        raise MessageError(f'edges that are no pairs of the {len(names)} joint names')
    if any(p.state not in _STATES for p in message.poses):
        raise MessageError(f'poses of a state that is none of {_STATES}')
    edges = edges.reshape(-1, 2)
    known = SKELETONS.get(message.skeleton)
    skeleton = (
        known
        if known is not None and known.joint_names == names
        else Skeleton(message.skeleton, names, tuple(map(tuple, edges.tolist())), (), (0,))
    )
    if any(len(p.joints) != len(names) or len(p.joint_scores) != len(names) for p in message.poses):
        raise MessageError(f'poses with another number of joints than the {len(names)} names')
    n, j = len(message.poses), len(names)
    return Poses(
        skeleton,
        np.array([[_xyz(q) for q in p.joints] for p in message.poses]).reshape(n, j, 3),
        np.array([p.joint_scores for p in message.poses]).reshape(n, j),
        np.array([_xyz(p.root) for p in message.poses]).reshape(n, 3),
        np.array([p.root_depth_stddev for p in message.poses]),
        np.array([p.score for p in message.poses]),
        tuple(p.id for p in message.poses),
        _tracks(message.poses),
    )


def _tracks(poses: list[Pose3D]) -> Tracks:
    """Return what messages say of people over time."""
    tracks = Tracks.untracked(len(poses))
    for i, pose in enumerate(poses):
        tracks.states[i], tracks.ages_frames[i] = pose.state, pose.age_frames
        if pose.has_velocity:
            tracks.motions[i] = (*_xyz(pose.tracked_root), *_xyz(pose.velocity))
            tracks.covariances[i] = np.reshape(pose.track_covariance, (6, 6))
    return tracks


def point(xyz: list[float]) -> Point:
    """Return x, y and z as a message."""
    return Point(x=xyz[0], y=xyz[1], z=xyz[2])


def _xyz(point: Point | Vector3) -> tuple[float, float, float]:
    return point.x, point.y, point.z
