# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages to arrays and back."""

from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.msg import Pose3D
from pose3d_ros.nodes.messages import (
    MessageError,
    bytes_of,
    camera_from_info,
    camera_to_info,
    image_from_message,
    image_to_message,
    is_rectified,
    persons_from_message,
    persons_to_message,
    poses_from_message,
    poses_to_message,
)
from pose3d_ros.people import Keypoints, Persons, Poses, Tracks, TrackState
from pose3d_ros.skeletons import BLAZEPOSE, HALPE26, Skeleton

HEADER = Header(frame_id='camera')
CAMERA = Camera.from_field_of_view(640, 480, 60)


@pytest.fixture
def picture() -> np.ndarray:
    """Return a small BGR image with three different channels."""
    rng = np.random.default_rng(3)
    return np.ascontiguousarray(rng.integers(0, 256, (6, 10, 3), dtype=np.uint8))


def as_message(pixels: np.ndarray, encoding: str, padding: int = 0, **fields: Any) -> Image:
    """Return an image message with `padding` bytes behind each row."""
    rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, padding)))
    message = Image(
        height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=padded.shape[1]
    )
    message.data = bytes_of(padded)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize('padding', [0, 7])
def test_bgr8_is_a_view_that_respects_the_step(picture: np.ndarray, padding: int) -> None:
    assert np.array_equal(image_from_message(as_message(picture, 'bgr8', padding)), picture)
    assert np.array_equal(image_from_message(image_to_message(picture, HEADER)), picture)


def test_other_encodings_become_bgr(picture: np.ndarray) -> None:
    grey = np.ascontiguousarray(picture[..., 0])
    as_grey = np.repeat(grey[..., None], 3, axis=2)
    alpha = np.dstack([picture, grey])
    cases: dict[str, tuple[np.ndarray, np.ndarray]] = {
        'rgb8': (picture[..., ::-1], picture),
        'bgra8': (alpha, picture),
        'rgba8': (alpha[..., [2, 1, 0, 3]], picture),
        'mono8': (grey, as_grey),
        'mono16': (grey.astype('<u2') * 257, as_grey),
        'rgb16': (picture[..., ::-1].astype('<u2') * 257, picture),
    }
    for encoding, (sent, expected) in cases.items():
        message = as_message(np.ascontiguousarray(sent), encoding, padding=4)
        assert np.array_equal(image_from_message(message), expected), encoding


def test_big_endian_16_bit(picture: np.ndarray) -> None:
    sent = (picture.astype(np.uint16) * 256).astype('>u2')
    assert np.array_equal(image_from_message(as_message(sent, 'bgr16', is_bigendian=1)), picture)


@pytest.mark.parametrize(
    ('encoding', 'first_row'), [('bayer_rggb8', 'rg'), ('bayer_bggr8', 'bg'),
                                ('bayer_gbrg8', 'gb'), ('bayer_grbg8', 'gr')],
)  # fmt: skip
def test_bayer_patterns_give_the_colour_they_name(encoding: str, first_row: str) -> None:
    """A scene that is all red lights only the pixels that the name puts under the red filter."""
    second_row = {'rg': 'gb', 'bg': 'gr', 'gb': 'rg', 'gr': 'bg'}[first_row]
    cell = np.array([[c == 'r' for c in row] for row in (first_row, second_row)], np.uint8) * 255
    image = image_from_message(as_message(np.tile(cell, (8, 8)), encoding))
    blue, green, red = image[4:-4, 4:-4].reshape(-1, 3).mean(axis=0)
    assert red > 200 and blue < 60 and green < 60


def test_yuv422_is_grey_where_the_chroma_is() -> None:
    luma = np.full((4, 8), 120, np.uint8)
    uyvy = np.dstack([np.full_like(luma, 128), luma])
    yuyv = np.dstack([luma, np.full_like(luma, 128)])
    for encoding, sent in (('yuv422', uyvy), ('yuv422_yuy2', yuyv)):
        image = image_from_message(as_message(np.ascontiguousarray(sent), encoding))
        assert np.ptp(image) <= 2 and abs(float(image.mean()) - 121) < 6


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'encoding': '32FC1'}, "'32FC1' is not supported"),
        ({'step': 29}, 'step is 29 bytes'),
        ({'height': 7}, 'data has 180 bytes'),
        ({'height': 2**31, 'step': 2**31}, 'data has 180 bytes'),
        ({'width': 0}, '0 x 6'),
    ],
)
def test_a_broken_image_is_refused_by_name(
    picture: np.ndarray, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(MessageError, match=said.replace('(', r'\(')):
        image_from_message(as_message(picture, **{'encoding': 'bgr8', **change}))


def test_camera_info_round_trip() -> None:
    K = np.array([[900.0, 0, 640], [0, 910, 360], [0, 0, 1]])
    camera = Camera(K, 1280, 720, np.array([-0.1, 0.02, 0.001, 0.002, 0.0]))
    back = camera_from_info(camera_to_info(camera, HEADER), rectified=False)
    assert np.array_equal(back.K, K) and np.array_equal(back.distortion, camera.distortion)
    assert (back.width, back.height) == (1280, 720)


@pytest.mark.parametrize(
    ('topic', 'rectified'),
    [
        ('/front/image_rect', True),
        ('/front/image_rect_color/compressed', True),
        ('/zed/rgb/color/rect/image', True),
        ('/front/rectified/image/compressed', True),
        ('image_rect', True),
        ('/image_raw', False),
        ('/direct/image_raw', False),
        ('/director_cam/image_raw', False),
        ('/camera/correct', False),
    ],
)
def test_images_are_rectified_by_a_name_that_says_so(topic: str, rectified: bool) -> None:
    assert is_rectified(topic) == rectified


def test_rectified_images_use_p_and_no_distortion() -> None:
    info = camera_to_info(Camera(np.diag([900.0, 900, 1]), 64, 48, np.full(5, 0.1)), HEADER)
    info.p = np.hstack([np.diag([700.0, 701, 1]), np.zeros((3, 1))]).ravel()
    camera = camera_from_info(info, rectified=True)
    assert camera.K[0, 0] == 700 and not camera.distortion.size


def test_region_of_interest_and_binning_move_the_camera() -> None:
    K = np.array([[900.0, 0, 639.5], [0, 900, 359.5], [0, 0, 1]])
    info = camera_to_info(Camera(K, 1280, 720), HEADER)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 200, 100, 640, 480
    info.binning_x = info.binning_y = 2
    camera = camera_from_info(info, rectified=False)
    assert (camera.width, camera.height) == (320, 240)
    point = np.array([0.3, -0.2, 5.0])
    full = Camera(K, 1280, 720).project(point)
    # a binned pixel covers two: its centre lies between theirs
    assert np.allclose(camera.project(point), (full - (200, 100) + 0.5) / 2 - 0.5)


LENSES = {
    'plumb_bob': [-0.3, 0.1, 1e-3, -2e-3, 0.01],
    'rational_polynomial': [0.2, -0.1, 1e-3, 1e-3, 0.02, 0.3, -0.05, 0.01],
    'equidistant': [0.02, -0.01, 0.003, -0.001],
}
FULL_K = np.array([[700.0, 0, 641.3], [0, 710, 355.8], [0, 0, 1]])
POINTS = np.array([[0.3, -0.2, 5.0], [-0.5, 0.1, 4.0], [0.05, 0.25, 2.0], [0.0, 0.0, 1.0]])


def seen_by_opencv(model: str, points: np.ndarray) -> np.ndarray:
    """Return the pixels (n, 2) of points in the full-resolution image, by OpenCV alone."""
    zero, D = np.zeros(3), np.array(LENSES[model])
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    return project(points[:, None], zero, zero, FULL_K, D)[0].reshape(-1, 2)


def info_of(model: str, binning: int, roi: bool, do_rectify: bool = False) -> CameraInfo:
    """Return the camera_info of a 1281x721 camera; K, D and P are of the full resolution."""
    info = camera_to_info(Camera(FULL_K, 1281, 721, np.array(LENSES[model]), model), HEADER)
    info.p = np.array([650.0, 0, 600, -70, 0, 655, 340, 0, 0, 0, 1, 0])
    info.binning_x = info.binning_y = binning
    if roi:
        info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 201, 101, 641, 481
    info.roi.do_rectify = do_rectify
    return info


@pytest.mark.parametrize('roi', [False, True], ids=['whole', 'roi'])
@pytest.mark.parametrize('binning', [0, 1, 2, 3])
@pytest.mark.parametrize('model', LENSES)
def test_raw_images_are_as_opencv_projects_them(model: str, binning: int, roi: bool) -> None:
    """And back: binned, cut out, of odd sizes, with every distortion model."""
    camera = camera_from_info(info_of(model, binning, roi), rectified=False)
    b = max(1, binning)
    width, height = (641, 481) if roi else (1281, 721)
    assert (camera.width, camera.height) == (width // b, height // b)
    offset = (201, 101) if roi else (0, 0)
    wanted = (seen_by_opencv(model, POINTS) - offset + 0.5) / b - 0.5
    np.testing.assert_allclose(camera.project(POINTS), wanted, atol=1e-6)
    np.testing.assert_allclose(camera.back_project(wanted, POINTS[:, 2]), POINTS, atol=1e-4)


@pytest.mark.parametrize('do_rectify', [False, True])
@pytest.mark.parametrize('model', LENSES)
def test_rectified_images_are_as_opencv_rectifies_them(model: str, do_rectify: bool) -> None:
    """By P, of the full resolution too; the fourth column is another camera's, and not ours."""
    info = info_of(model, 2, True, do_rectify)
    camera = camera_from_info(info, rectified=True)
    P, D = np.array(info.p).reshape(3, 4)[:, :3], np.array(LENSES[model])
    undistort = cv2.fisheye.undistortPoints if model == 'equidistant' else cv2.undistortPoints
    raw = seen_by_opencv(model, POINTS)[:, None]
    rectified = undistort(raw, FULL_K, D, R=np.eye(3), P=P).reshape(-1, 2)
    wanted = (rectified - (201, 101) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(camera.project(POINTS), wanted, atol=0.02)
    np.testing.assert_allclose(camera.back_project(wanted, POINTS[:, 2]), POINTS, atol=1e-3)


@pytest.mark.parametrize('binning', [2, 3])
def test_a_binned_picture_shows_a_point_where_the_camera_says(binning: int) -> None:
    """In pixels, not formulas: a dot is drawn, cut out and binned, and its centre is measured."""
    info = info_of('plumb_bob', binning, True)
    camera = camera_from_info(info, rectified=False)
    ((x, y),) = seen_by_opencv('plumb_bob', POINTS[:1])
    rows, columns = np.mgrid[:721, :1281]
    dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 50)[101 : 101 + 481, 201 : 201 + 641]
    height, width = 481 // binning, 641 // binning
    blocks = dot[: height * binning, : width * binning].reshape(height, binning, width, binning)
    small = blocks.mean(axis=(1, 3))
    rows, columns = np.mgrid[:height, :width]
    centre = np.array([(small * columns).sum(), (small * rows).sum()]) / small.sum()
    np.testing.assert_allclose(camera.project(POINTS[0]), centre, atol=1e-3)


def test_an_unknown_lens_is_refused_with_those_that_are_known() -> None:
    info = info_of('plumb_bob', 1, False)
    info.distortion_model = 'double_sphere'
    with pytest.raises(CameraError, match="'double_sphere' is unknown; known are plumb_bob, rati"):
        camera_from_info(info, rectified=False)
    assert camera_from_info(info, rectified=True).focal_px  # P knows no lens


@pytest.mark.parametrize('k', [np.zeros(9), np.full(9, np.inf)])
def test_an_uncalibrated_camera_is_refused(k: np.ndarray) -> None:
    info = CameraInfo(width=64, height=48)
    info.k = k
    with pytest.raises(CameraError):
        camera_from_info(info, rectified=False)


def test_persons_round_trip() -> None:
    rng = np.random.default_rng(0)
    keypoints = Keypoints(HALPE26, rng.uniform(0, 1e3, (3, 26, 2)), rng.uniform(0, 1, (3, 26)))
    roots = np.array([[1.0, 2, 3], [np.nan] * 3, [4, 5, 6]])
    persons = Persons(
        rng.uniform(1, 500, (3, 4)), np.array([0.9, 0.5, 0.4]), ('4', '', '17'), roots,
        np.array([0.1, 0, 0.3]), keypoints,
    )  # fmt: skip
    message = persons_to_message(persons, HEADER)
    assert [p.has_root for p in message.persons] == [True, False, True]
    back = persons_from_message(message)
    assert back.ids == persons.ids and back.keypoints is not None
    assert np.allclose(back.boxes, persons.boxes) and np.allclose(back.scores, persons.scores)
    assert np.array_equal(back.roots, roots, equal_nan=True)
    assert np.allclose(back.keypoints.xy, keypoints.xy, atol=1e-3)
    assert np.allclose(back.root_depth_stddev_m, persons.root_depth_stddev_m)


def test_messages_say_which_camera_their_metres_rest_on() -> None:
    info = camera_to_info(Camera(np.diag([800.0, 450, 1]), 64, 48), HEADER)
    camera = camera_from_info(info, rectified=False)
    for message in (
        persons_to_message(Persons.none(), HEADER, camera),
        poses_to_message(Poses.none(BLAZEPOSE), HEADER, camera),
    ):
        assert (message.intrinsics, message.focal_length_px) == ('camera_info', 600.0)
    rectified = camera_from_info(info, rectified=True)
    assert rectified.source == 'camera_info' and rectified.calibrated
    detections = persons_to_message(Persons.none(), HEADER)
    assert (detections.intrinsics, detections.focal_length_px) == ('', 0.0)


def test_broken_persons_are_left_out_and_broken_keypoints_refused() -> None:
    persons = Persons(np.array([[0.0, 0, 5, 5]] * 4), np.ones(4), ('1', '2', '3', '4'))
    message = persons_to_message(persons, HEADER)
    message.persons[1].box_width = float('nan')
    message.persons[2].box_height = 0.0
    assert persons_from_message(message).ids == ('1', '4')
    message.keypoint_names = list(HALPE26.joint_names)
    with pytest.raises(MessageError, match='26 names'):
        persons_from_message(message)
    message.keypoint_names = ['tail']
    with pytest.raises(MessageError, match='unknown joint set: tail'):
        persons_from_message(message)


def test_keypoints_that_are_not_numbers_count_as_unseen() -> None:
    keypoints = Keypoints(HALPE26, np.full((1, 26, 2), 7.0), np.ones((1, 26)))
    message = persons_to_message(
        Persons(np.array([[0, 0, 9, 9]]), np.ones(1), keypoints=keypoints), HEADER
    )
    message.persons[0].keypoints[3] = float('nan')
    back = persons_from_message(message).keypoints
    assert back is not None and back.scores[0, 1] == 0 and np.isfinite(back.xy).all()
    assert back.scores[0].sum() == 25


def test_poses_round_trip_also_of_a_joint_set_that_is_not_ours() -> None:
    rng = np.random.default_rng(0)
    stick = Skeleton('stick', ('low', 'high'), ((0, 1),), (), (0,))
    for skeleton in (BLAZEPOSE, stick):
        j = len(skeleton)
        poses = Poses(
            skeleton, rng.normal(size=(2, j, 3)), rng.uniform(size=(2, j)),
            rng.normal(size=(2, 3)), np.array([0.2, 0.0]), np.array([0.8, 0.7]), ('1', ''),
        )  # fmt: skip
        back = poses_from_message(poses_to_message(poses, HEADER, CAMERA))
        assert back.skeleton == skeleton and back.ids == poses.ids
        assert np.array_equal(back.joints, poses.joints)  # float64 all the way
        assert np.allclose(back.joint_scores, poses.joint_scores)
        assert np.array_equal(back.roots, poses.roots)
        assert not back.tracks.states.any() and not back.tracks.has_velocity.any()


def test_what_is_known_over_time_round_trips_to_the_last_bit() -> None:
    rng = np.random.default_rng(1)
    states = [TrackState.NEW, TrackState.CONFIRMED, TrackState.COASTING, TrackState.UNTRACKED]
    motions, covariances = rng.normal(size=(4, 6)), rng.normal(size=(4, 6, 6))
    motions[[0, 3]], covariances[[0, 3]] = np.nan, np.nan  # too new, and not tracked
    tracks = Tracks(np.array(states), np.array([1, 70, 2**31, 0]), motions, covariances)
    joints = np.zeros((4, len(BLAZEPOSE), 3))
    poses = Poses(
        BLAZEPOSE, joints, joints[..., 0], joints[:, 0], np.zeros(4), np.ones(4),
        ('1', '2', '3', ''), tracks,
    )  # fmt: skip
    message = poses_to_message(poses, HEADER, CAMERA)
    one = message.poses[1]
    assert (one.state, one.age_frames, one.has_velocity) == (Pose3D.CONFIRMED, 70, True)
    assert (one.tracked_root.z, one.velocity.x) == (motions[1, 2], motions[1, 3])
    assert one.track_covariance[6 * 2 + 5] == covariances[1, 2, 5]  # z with vz
    assert not message.poses[0].has_velocity and message.poses[0].velocity.x == 0
    back = poses_from_message(message).tracks
    for name, values in vars(tracks).items():
        assert np.array_equal(getattr(back, name), values, equal_nan=True), name


def test_the_numbers_of_states_are_those_of_the_message() -> None:
    for state in TrackState:
        assert getattr(Pose3D, state.name) == state


def test_nobody_round_trips() -> None:
    assert len(persons_from_message(persons_to_message(Persons.none(), HEADER))) == 0
    message = poses_to_message(Poses.none(BLAZEPOSE), HEADER, CAMERA)
    assert message.joint_names and len(poses_from_message(message)) == 0


def test_jpeg_orientation_is_not_applied(picture: np.ndarray) -> None:
    """camera_info describes the stored pixels, so an EXIF rotation must not turn them."""
    from sensor_msgs.msg import CompressedImage

    from pose3d_ros.nodes.messages import image_from_compressed

    jpeg = cv2.imencode('.jpg', picture)[1].tobytes()
    exif = (
        b'\xff\xe1\x00\x22Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01'
        b'\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00'
    )
    message = CompressedImage(format='jpeg')
    message.data = bytes_of(np.frombuffer(jpeg[:2] + exif + jpeg[2:], np.uint8))
    assert image_from_compressed(message).shape == picture.shape
