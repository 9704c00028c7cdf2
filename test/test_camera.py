# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The camera: pixels to rays and back, YAML files, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pose3d_ros.camera import Camera, CameraError, ray_quaternion

WIDTH, HEIGHT = 1280, 720
K = np.array([[900.0, 0, 641.5], [0, 910, 355.2], [0, 0, 1]])

#: What lenses do: a little, a lot, both ways, and each model and length of coefficients.
LENSES: dict[str, tuple[str, list[float]]] = {
    'none': ('plumb_bob', []),
    'zeros': ('plumb_bob', [0, 0, 0, 0, 0]),
    'barrel': ('plumb_bob', [-0.3, 0.1, 1e-3, -2e-3, 0]),
    'four': ('plumb_bob', [-0.1, 0.02, 1e-3, -1e-3]),
    'wide barrel': ('plumb_bob', [-0.4, 0.2, 1e-3, -1e-3, -0.05]),
    'pincushion': ('plumb_bob', [0.3, 0.1, 0, 0, 0]),
    'rational': ('rational_polynomial', [5.2, 2.1, 1e-4, 1e-4, 0.1, 5.5, 3.8, 0.6]),
    'thin prism': ('rational_polynomial', [-0.1, 0.05, 0, 0, 0, 0, 0, 0, 1e-3, 0, 1e-3, 0]),
    'tilted': (
        'rational_polynomial',
        [-0.1, 0.05, 1e-3, 1e-3, 0, 0, 0, 0, 1e-3, 0, 1e-3, 0, 0.02, 0.01],
    ),
    'fisheye': ('equidistant', [0.01, -0.02, 0.003, -0.001]),
}


def camera_of(lens: str) -> Camera:
    model, distortion = LENSES[lens]
    return Camera(K, WIDTH, HEIGHT, np.array(distortion), model)


@pytest.mark.parametrize('lens', LENSES)
def test_every_pixel_comes_back(lens: str) -> None:
    """To a thousandth of a pixel up to the corners, where an inexact inverse is off by pixels."""
    camera = camera_of(lens)
    pixels = np.stack(np.meshgrid(np.linspace(0, 1279, 33), np.linspace(0, 719, 19)), axis=-1)
    depths = np.linspace(0.3, 80, pixels[..., 0].size).reshape(pixels.shape[:-1])
    points = camera.back_project(pixels, depths)
    assert points.shape == (19, 33, 3)
    np.testing.assert_allclose(points[..., 2], depths)
    np.testing.assert_allclose(camera.project(points), pixels, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    lens=st.sampled_from([name for name in LENSES if name != 'wide barrel']),
    x=st.floats(-0.6, 0.6),
    y=st.floats(-0.35, 0.35),
    z=st.floats(0.05, 300),
)
def test_every_point_in_view_comes_back(lens: str, x: float, y: float, z: float) -> None:
    camera = camera_of(lens)
    point = np.array([x * z, y * z, z])
    back = camera.back_project(camera.project(point), point[2])
    np.testing.assert_allclose(back, point, atol=1e-4 * z)


@settings(max_examples=40, deadline=None)
@given(
    k1=st.floats(-0.2, 0.2),
    k2=st.floats(-0.05, 0.05),
    p1=st.floats(-5e-3, 5e-3),
    focal=st.floats(900, 3000),
    u=st.floats(0, 1279),
    v=st.floats(0, 719),
)
def test_inverse_for_any_ordinary_lens(
    k1: float, k2: float, p1: float, focal: float, u: float, v: float
) -> None:
    matrix = np.array([[focal, 0, 640], [0, focal, 360], [0, 0, 1]])
    camera = Camera(matrix, WIDTH, HEIGHT, np.array([k1, k2, p1, -p1, 0]))
    pixel = np.array([u, v])
    np.testing.assert_allclose(
        camera.project(camera.back_project(pixel, np.array(2.0))), pixel, atol=1e-3
    )


def test_pinhole_by_hand() -> None:
    camera = Camera(np.array([[100.0, 0, 50], [0, 200, 40], [0, 0, 1]]), 101, 81)
    np.testing.assert_allclose(camera.project(np.array([1.0, -1, 4])), [75, -10])
    np.testing.assert_allclose(camera.rays(np.array([75.0, -10])), [0.25, -0.25])
    np.testing.assert_allclose(
        camera.back_project(np.array([[75.0, -10]]), np.array([4.0])), [[1, -1, 4]]
    )
    assert camera.focal_px == pytest.approx(np.sqrt(20000))


def test_plumb_bob_by_hand() -> None:
    """x' = x (1 + k1 r^2 + k2 r^4), against OpenCV's documentation and not its code."""
    camera = Camera(K, WIDTH, HEIGHT, np.array([-0.2, 0.05, 0, 0, 0]))
    x, y = 0.3, -0.2
    factor = 1 - 0.2 * (x**2 + y**2) + 0.05 * (x**2 + y**2) ** 2
    expected = [900 * x * factor + 641.5, 910 * y * factor + 355.2]
    np.testing.assert_allclose(camera.project(np.array([x, y, 1])), expected)
    np.testing.assert_allclose(camera.rays(np.array(expected)), [x, y], atol=1e-8)


def test_fisheye_by_hand() -> None:
    """The distance from the centre grows with the angle, not with its tangent."""
    camera = Camera(K, WIDTH, HEIGHT, np.array([1e-9, 0, 0, 0]), 'equidistant')
    point = np.array([np.tan(np.radians(30)), 0, 1])
    np.testing.assert_allclose(camera.project(point)[0], 641.5 + 900 * np.radians(30), atol=1e-3)


@pytest.mark.parametrize('k', [[-0.02, 0.003, -1e-3, 1e-4], [0.08, 0.0, 0.0, 0.0], [1e-9, 0, 0, 0]])
def test_a_fisheye_sees_wide_and_never_to_the_other_side(k: list[float]) -> None:
    """Kannala and Brandt's polynomial by hand up to 85 degrees, and beyond it the same side."""
    matrix = np.array([[360.0, 0, 639.5], [0, 360, 479.5], [0, 0, 1]])
    camera = Camera(matrix, WIDTH, 960, np.array(k), 'equidistant')
    angles = np.radians([0.0, 10, 40, 60, 80, 84.9, 89, 95, 105])
    bent = sum(c * angles ** (2 * i + 1) for i, c in enumerate([1.0, *k]))
    pixels = 360 * np.outer(bent, [0.8, -0.6]) + [639.5, 479.5]
    expected = np.outer(np.tan(np.minimum(angles, np.radians(85))), [0.8, -0.6])
    np.testing.assert_allclose(camera.rays(pixels)[:7], expected[:7], rtol=1e-6, atol=1e-9)
    beyond = camera.rays(pixels)[7:]
    assert (beyond[:, 0] > 8).all() and (beyond[:, 1] < -6).all()
    points = camera.project(np.column_stack([expected, np.ones(9)]))
    np.testing.assert_allclose(points[:6], pixels[:6], atol=1e-6)


def test_a_fisheye_that_bends_back_is_taken_up_to_there() -> None:
    """r = t - 0.3 t^3 is largest at t = 1 / sqrt(0.9), 60.4 degrees, and 0 again at 104.6."""
    matrix = np.array([[360.0, 0, 639.5], [0, 360, 479.5], [0, 0, 1]])
    camera = Camera(matrix, WIDTH, 960, np.array([-0.3, 0, 0, 0]), 'equidistant')
    angles = np.radians([0.0, 0.01, 5, 20, 45, 55, 59, 60.3])
    pixels = 360 * np.outer(angles - 0.3 * angles**3, [0.8, -0.6]) + [639.5, 479.5]
    expected = np.outer(np.tan(angles), [0.8, -0.6])
    np.testing.assert_allclose(camera.rays(pixels)[:-1], expected[:-1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(camera.rays(pixels)[-1], expected[-1], rtol=1e-4)
    far = camera.rays(np.array([[639.5 + 255, 479.5], [639.5 + 300, 479.5], [1279, 479.5]]))
    np.testing.assert_allclose(far[:, 0], np.tan(1 / np.sqrt(0.9)), rtol=2e-3)


@pytest.mark.parametrize('lens', LENSES)
def test_the_skew_of_K_moves_pixels_whatever_the_lens(lens: str) -> None:
    model, distortion = LENSES[lens]
    straight = camera_of(lens)
    skew = np.array([[0.0, 20, 0], [0, 0, 0], [0, 0, 0]])
    skewed = Camera(K + skew, WIDTH, HEIGHT, np.array(distortion), model)
    points = np.array([[0.3, 0.2, 1.0], [-0.5, 0.1, 2.0], [0.1, -0.3, 4.0]])
    expected = straight.project(points)
    expected[:, 0] += 20 * (expected[:, 1] - K[1, 2]) / K[1, 1]
    np.testing.assert_allclose(skewed.project(points), expected, atol=1e-9)
    np.testing.assert_allclose(skewed.rays(expected), points[:, :2] / points[:, 2:], atol=1e-6)


@pytest.mark.parametrize('lens', LENSES)
def test_points_behind_the_camera_have_no_pixel(lens: str) -> None:
    points = np.array([[0.1, 0.2, 3.0], [0.1, 0.2, -3.0], [0.1, 0.2, 0.0], [np.nan, 0, 1]])
    pixels = camera_of(lens).project(points)
    assert np.isfinite(pixels[0]).all()
    assert np.isnan(pixels[1:3]).all()
    assert np.isnan(pixels[3]).any()


@pytest.mark.parametrize('lens', LENSES)
def test_rays_beyond_the_border_are_finite_and_in_order(lens: str) -> None:
    """A person cut by the border has keypoints outside, where a lens model may bend back."""
    below = np.array([[640.0, y] for y in (600, 719, 800, 900, 1200, 2000, 20000)])
    rays = camera_of(lens).rays(below)
    assert np.isfinite(rays).all()
    assert (np.diff(rays[:, 1]) > 0).all(), rays[:, 1]


def test_where_no_ray_leads_the_lens_shifts_as_at_the_border() -> None:
    camera = camera_of('wide barrel')
    beyond = np.array([[-4000.0, 300], [5300, 300], [640, -4000], [640, 4700], [-4000, 4700]])
    border = np.array([[0.0, 300], [1279, 300], [640, 0], [640, 719], [0, 719]])
    expected = camera.rays(border) + (beyond - border) / [900, 910]
    np.testing.assert_allclose(camera.rays(beyond), expected, atol=1e-9)


@pytest.mark.parametrize('lens', ['four', 'pincushion', 'fisheye'])
def test_a_little_beyond_the_border_the_lens_is_what_it_is(lens: str) -> None:
    camera = camera_of(lens)
    pixels = np.array([[-50.0, 300], [1320, 300], [640, -40], [640, 760]])
    rays = camera.rays(pixels)
    points = np.column_stack([rays, np.ones(len(rays))])
    np.testing.assert_allclose(camera.project(points), pixels, atol=1e-3)


@pytest.mark.parametrize('lens', ['none', 'barrel', 'rational', 'fisheye'])
def test_shapes_and_nobody(lens: str) -> None:
    camera = camera_of(lens)
    assert camera.rays(np.zeros((0, 26, 2))).shape == (0, 26, 2)
    assert camera.project(np.zeros((0, 33, 3))).shape == (0, 33, 2)
    assert camera.back_project(np.zeros((0, 2)), np.zeros(0)).shape == (0, 3)
    assert camera.rays(np.full((2, 5, 2), 300.0)).shape == (2, 5, 2)
    assert camera.project(np.ones((2, 5, 3))).shape == (2, 5, 2)


@pytest.mark.parametrize('lens', LENSES)
def test_single_precision_is_computed_in_double(lens: str) -> None:
    """Networks give float32: what is made of it is not rounded on the way."""
    camera = camera_of(lens)
    points = np.array([[1.7, -0.3, 9.1]], np.float32)
    np.testing.assert_array_equal(camera.project(points), camera.project(points.astype(float)))
    pixels, depth = np.array([[601.3, 402.7]], np.float32), np.array([9.1], np.float32)
    np.testing.assert_array_equal(
        camera.back_project(pixels, depth),
        camera.back_project(pixels.astype(float), depth.astype(float)),
    )


def test_from_field_of_view_spans_the_longer_side() -> None:
    for width, height in ((640, 480), (480, 640)):
        camera = Camera.from_field_of_view(width, height, 60)
        # the outer edges of the outer pixels of the longer side lie 30 degrees off the axis
        longer = 0 if width > height else 1
        edge = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
        np.testing.assert_allclose(
            camera.rays(edge)[:, longer], [-np.tan(np.pi / 6), np.tan(np.pi / 6)]
        )
        assert camera.K[0, 0] == camera.K[1, 1]
        assert camera.source == 'field of view 60 degrees'


@pytest.mark.parametrize('degrees', [1, 179])
def test_field_of_view_at_the_ends_of_its_range(degrees: float) -> None:
    camera = Camera.from_field_of_view(640, 480, degrees)
    assert camera.K[0, 0] == pytest.approx(320 / np.tan(np.radians(degrees / 2)))


@pytest.mark.parametrize('degrees', [0, 0.99, -60, 179.01, 180, np.nan, np.inf])
def test_field_of_view_out_of_range(degrees: float) -> None:
    with pytest.raises(CameraError, match='field of view'):
        Camera.from_field_of_view(640, 480, degrees)


def test_fallback_says_that_it_is_assumed() -> None:
    camera = Camera.fallback(640, 480)
    assert 'assumed' in camera.source
    np.testing.assert_allclose(camera.K, Camera.from_field_of_view(640, 480, 60).K)


@pytest.mark.parametrize('lens', LENSES)
def test_cropping_and_scaling_the_image_changes_no_ray(lens: str) -> None:
    camera = camera_of(lens)
    pixels = np.array([[300.0, 200], [900, 500], [640, 360]])
    rays = camera.rays(pixels)
    cropped = camera.cropped(100, 50, 900, 600)
    assert (cropped.width, cropped.height) == (900, 600)
    np.testing.assert_allclose(cropped.rays(pixels - [100, 50]), rays, atol=1e-7)
    for size in ((640, 360), (2560, 1440), (427, 241)):
        scaled = camera.scaled(*size)
        assert (scaled.width, scaled.height) == size
        smaller = (pixels + 0.5) * np.array(size) / [WIDTH, HEIGHT] - 0.5
        np.testing.assert_allclose(scaled.rays(smaller), rays, atol=1e-7)
    assert np.array_equal(camera.K, K), 'the camera itself has changed'


def test_binned_pixels_are_the_means_of_what_they_cover() -> None:
    """And what is left over at the right and below is cut: no pixel of it is seen."""
    camera = Camera(K, 643, 485)
    binned = camera.binned(2, 4)
    assert (binned.width, binned.height) == (321, 121)
    for column, row in ((0, 0), (17, 30), (320, 120)):
        columns, rows = np.meshgrid(2 * column + np.arange(2), 4 * row + np.arange(4))
        covered = camera.rays(np.stack([columns, rows], axis=-1))
        np.testing.assert_allclose(
            binned.rays(np.array([column, row])), covered.mean(axis=(0, 1)), atol=1e-12
        )


@settings(max_examples=40, deadline=None)
@given(x=st.floats(-5, 5), y=st.floats(-5, 5), z=st.floats(0.1, 20))
def test_the_z_axis_is_turned_onto_the_ray(x: float, y: float, z: float) -> None:
    """By the shortest way: about an axis that lies across both."""
    point = np.array([x, y, z])
    *vector, scalar = ray_quaternion(point)
    assert np.linalg.norm([*vector, scalar]) == pytest.approx(1)
    assert vector[2] == 0 and scalar > 0
    # p' = p + 2 w (v x p) + 2 v x (v x p)
    across = np.cross(vector, [0, 0, 1])
    turned = np.array([0, 0, 1]) + 2 * scalar * across + 2 * np.cross(vector, across)
    np.testing.assert_allclose(turned, point / np.linalg.norm(point), atol=1e-12)


@pytest.mark.parametrize('lens', LENSES)
def test_yaml_round_trip(lens: str, tmp_path: Path) -> None:
    path = tmp_path / 'camera.yaml'
    camera = camera_of(lens)
    camera.to_yaml(path, name='front')
    back = Camera.from_yaml(path)
    np.testing.assert_array_equal(back.K, camera.K)
    np.testing.assert_array_equal(back.distortion, camera.distortion)
    assert (back.width, back.height) == (WIDTH, HEIGHT)
    assert back.distortion_model == camera.distortion_model
    assert back.source == str(path)


def test_yaml_is_what_ros_tools_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / 'camera.yaml'
    Camera(K, np.int64(WIDTH), np.int64(HEIGHT)).to_yaml(path, name='front')
    data = yaml.safe_load(path.read_text())
    assert data['camera_name'] == 'front'
    assert data['camera_matrix']['rows'] == data['camera_matrix']['cols'] == 3
    assert data['distortion_coefficients'] == {'rows': 1, 'cols': 5, 'data': [0.0] * 5}
    assert data['projection_matrix']['cols'] == 4
    assert len(data['projection_matrix']['data']) == 12
    assert data['rectification_matrix'] == {
        'rows': 3, 'cols': 3, 'data': np.eye(3).ravel().tolist(),
    }  # fmt: skip
    assert all(isinstance(data[f'{name}_matrix']['cols'], int) for name in ('camera', 'projection'))


def test_yaml_is_laid_out_as_ros_tools_do(tmp_path: Path) -> None:
    """Size and name first, a matrix on a line; an ideal fisheye has the 4 zeros of its model."""
    path = tmp_path / 'camera.yaml'
    Camera(K, WIDTH, HEIGHT, distortion_model='equidistant').to_yaml(path)
    text = path.read_text()
    assert text.startswith('image_width: 1280\nimage_height: 720\ncamera_name: camera\n')
    assert '  data: [0.0, 0.0, 0.0, 0.0]\n' in text
    assert Camera.from_yaml(path).distortion_model == 'equidistant'


GOOD: dict[str, Any] = {
    'image_width': 640,
    'image_height': 480,
    'camera_matrix': {'rows': 3, 'cols': 3, 'data': [500.0, 0, 320, 0, 500, 240, 0, 0, 1]},
    'distortion_model': 'plumb_bob',
    'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': [0.1, 0, 0, 0, 0]},
}


def matrix(*data: object) -> dict[str, Any]:
    return {'camera_matrix': {'data': list(data)}}


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    'no width': ({'image_width': None}, 'YAML'),
    'width of letters': ({'image_width': 'wide'}, 'wide'),
    'width 0': ({'image_width': 0}, 'image size 0 x 480 is not above 0'),
    'K of 8': (matrix(1, 2, 3, 4, 5, 6, 7, 8), 'camera_matrix has 8 numbers, not 9'),
    'K of letters': (matrix('a', 0, 0, 0, 1, 0, 0, 0, 1), "'a'"),
    'K of nan': (matrix(float('nan'), 0, 0, 0, 1, 0, 0, 0, 1), '3 x 3 finite'),
    'K of zeros': (matrix(*[0.0] * 9), 'not calibrated'),
    'negative focal length': (matrix(-5, 0, 0, 0, 5, 0, 0, 0, 1), 'not calibrated'),
    'model': ({'distortion_model': 'barrel'}, "'barrel' is unknown; known are plumb_bob"),
    'coefficients': ({'distortion_coefficients': {'data': [0.1, 0.2, 0.3]}}, 'of 3 numbers'),
    'nan coefficients': (
        {'distortion_coefficients': {'data': [float('nan'), 0, 0, 0]}},
        'distortion must be finite',
    ),
    'fisheye of 5': ({'distortion_model': 'equidistant'}, 'equidistant distortion takes 4'),
    'coefficients null': ({'distortion_coefficients': None}, 'YAML'),
}


@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_yaml_is_refused_by_name(name: str, tmp_path: Path) -> None:
    change, message = BROKEN[name]
    path = tmp_path / 'broken.yaml'
    path.write_text(yaml.safe_dump(GOOD))
    Camera.from_yaml(path)  # the rest of it is well
    path.write_text(yaml.safe_dump({**GOOD, **change}))
    with pytest.raises(CameraError) as caught:
        Camera.from_yaml(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize('field', ['image_width', 'image_height', 'camera_matrix'])
def test_a_yaml_that_lacks_a_field_says_which(field: str, tmp_path: Path) -> None:
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump({k: v for k, v in GOOD.items() if k != field}))
    with pytest.raises(CameraError, match=f"lacks '{field}'"):
        Camera.from_yaml(path)


def test_yaml_without_distortion_has_none(tmp_path: Path) -> None:
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump({k: v for k, v in GOOD.items() if 'distortion' not in k}))
    assert not Camera.from_yaml(path).distortion.size


def test_yaml_without_a_distortion_model_means_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump({k: v for k, v in GOOD.items() if k != 'distortion_model'}))
    camera = Camera.from_yaml(path)
    assert (camera.distortion_model, camera.distortion.tolist()) == ('plumb_bob', [0.1, 0, 0, 0, 0])


@pytest.mark.parametrize('text', ['', 'just words', '- 1\n- 2', '{unclosed: [', '\x00'])
def test_what_is_no_camera_yaml(text: str, tmp_path: Path) -> None:
    path = tmp_path / 'camera.yaml'
    path.write_text(text)
    with pytest.raises(CameraError, match='camera_info YAML'):
        Camera.from_yaml(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r'absent\.yaml: No such file'):
        Camera.from_yaml(tmp_path / 'absent.yaml')
    with pytest.raises(CameraError, match='directory'):
        Camera.from_yaml(tmp_path)
    binary = tmp_path / 'picture.jpg'
    binary.write_bytes(b'\xff\xd8\xff\xe0\x00\x10')
    with pytest.raises(CameraError, match=r'picture\.jpg'):
        Camera.from_yaml(binary)


@pytest.mark.parametrize('shape', [(2, 3), (3, 4), (9,)])
def test_k_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(CameraError, match='3 x 3'):
        Camera(np.ones(shape), 640, 480)


def test_an_unknown_model_of_no_distortion_is_none() -> None:
    """Drivers of perfect cameras leave the model empty."""
    assert not Camera(K, WIDTH, HEIGHT, np.zeros(5), '').distortion.size


def test_a_guessed_camera_looks_along_the_middle_and_says_what_it_is() -> None:
    camera = Camera.from_focal_length(641, 480, 1500)
    np.testing.assert_array_equal(camera.K, [[1500, 0, 320], [0, 1500, 239.5], [0, 0, 1]])
    assert (camera.source, camera.calibrated) == ('assumed focal length 1500 px', False)
    by_angle = Camera.from_field_of_view(640, 480, 2 * np.degrees(np.arctan(320 / 1500)))
    np.testing.assert_allclose(by_angle.K, Camera.from_focal_length(640, 480, 1500).K)
    for guess in (by_angle, Camera.fallback(640, 480), camera.cropped(9, 9, 99, 99)):
        assert not guess.calibrated
        assert not guess.scaled(320, 240).calibrated
    calibrated = camera_of('barrel')
    smaller = calibrated.cropped(5, 5, 50, 50).scaled(10, 10)
    assert calibrated.calibrated and smaller.calibrated
    assert smaller.distortion_model == 'plumb_bob' and smaller.distortion.size == 5


@pytest.mark.parametrize('focal_px', [0, -1500, float('nan'), float('inf')])
def test_no_camera_has_such_a_focal_length(focal_px: float) -> None:
    with pytest.raises(CameraError):
        Camera.from_focal_length(640, 480, focal_px)


@pytest.mark.parametrize('axis', [0, 1])
def test_the_least_that_a_camera_can_be(axis: int) -> None:
    """Any focal length above 0, and one pixel; on each axis by itself."""
    size = [640, 480]
    least = K.copy()
    least[axis, axis] = 0.01
    assert Camera(least, 1, 1).K[axis, axis] == 0.01
    least[axis, axis] = 0
    with pytest.raises(CameraError, match=r'K are (0 and 910|900 and 0) pixels'):
        Camera(least, *size)
    size[axis] = 0
    with pytest.raises(CameraError, match='is not above 0'):
        Camera(K, *size)
