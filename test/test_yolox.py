# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The detector: the published graph at any size, letterbox, decoding, and what is kept."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real import F32, people, people_image, street_image, yolox

from pose3d_ros import weights
from pose3d_ros.models.detection import DetectorOptions, OptionsError
from pose3d_ros.models.openvino_core import core
from pose3d_ros.models.yolox import (
    NMS_IOU,
    YOLOX,
    _select,
    decode,
    input_size,
    letterbox,
    open_graph,
)
from pose3d_ros.people import Persons


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the overlaps (n, m) of boxes (n, 4) and (m, 4), x, y, w, h."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    far = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    common = np.clip(far - corner, 0, None).prod(axis=2)
    return common / (a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1) - common)


@pytest.mark.parametrize('image', [people_image, street_image])
def test_equals_the_published_graph(image: object) -> None:
    """The file's own boxes, decoded and suppressed inside it, at the one size that it takes."""
    canvas, _ = letterbox(image(), 416, 416)  # type: ignore[operator]
    published = core().compile_model(
        str(weights.path('yolox_tiny')), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'}
    )
    result = published(canvas[None].transpose(0, 3, 1, 2).astype(np.float32))
    dets, labels = result['dets'][0], result['labels'][0]
    threshold = 0.05
    theirs = dets[(labels == 0) & (dets[:, 4] > threshold)]
    theirs = theirs[np.argsort(-theirs[:, 4])]
    boxes, scores = decode(yolox().network(canvas[None]), threshold)
    kept = np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), threshold, NMS_IOU))
    ours = np.column_stack([boxes[kept, :2], boxes[kept, :2] + boxes[kept, 2:], scores[kept]])
    assert len(theirs) >= 3
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_every_size_gives_one_cell_per_stride() -> None:
    for height, width in ((416, 416), (32, 736), (736, 32), (96, 160), (416, 416)):
        heads = yolox().network(np.zeros((1, height, width, 3), np.uint8))
        for i, stride in enumerate((8, 16, 32)):
            cells = (height // stride, width // stride)
            assert [h.shape for h in heads[3 * i : 3 * i + 3]] == [
                (1, channels, *cells) for channels in (1, 4, 1)
            ]


def test_a_shifted_image_shifts_the_boxes() -> None:
    """Rows are rows and columns columns, in an input that is not square."""
    small = cv2.resize(people_image(), (272, 480))
    canvas = np.full((640, 416, 3), 114, np.uint8)
    shifted = canvas.copy()
    canvas[32:512, 32:304] = small
    shifted[128:608, 96:368] = small  # by whole cells of the coarsest stride
    found, moved = (decode(yolox().network(c[None]), 0.6) for c in (canvas, shifted))
    best, best_moved = found[1].argmax(), moved[1].argmax()
    np.testing.assert_allclose(
        moved[0][best_moved], found[0][best] + [64, 96, 0, 0], atol=0.02 * found[0][best][3]
    )


def test_sizes_may_change_with_every_image() -> None:
    """The same people whatever came before, with one network, from two threads."""
    image = people_image()
    images = [image, image[:, :800], cv2.resize(image, (400, 900)), image[:1000]]
    options = DetectorOptions(input_long_side=416)
    alone = [yolox()(i, options) for i in images]
    detector = YOLOX(weights.path('yolox_tiny'), F32)
    network = detector.network

    def work(order: list[int]) -> None:
        for i in order:
            np.testing.assert_allclose(
                detector(images[i], options).boxes, alone[i].boxes, atol=0.05
            )
        assert network.busy_s > 0  # of this thread

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, ([0, 1, 2, 3], [3, 0, 2, 1])))
    assert detector.networks == (network,)
    assert network.busy_s == 0, 'nothing was asked in this thread'


@pytest.mark.parametrize(
    ('width', 'height', 'long_side', 'expected'),
    [
        (1920, 1080, 736, (416, 736)),
        (1080, 1920, 736, (736, 416)),
        (640, 480, 416, (320, 416)),
        (416, 416, 416, (416, 416)),
        (768, 576, 736, (544, 736)),
        (1, 5000, 736, (736, 32)),
        (5000, 1, 736, (32, 736)),
        (1, 1, 64, (64, 64)),
    ],
)
def test_input_size(width: int, height: int, long_side: int, expected: tuple[int, int]) -> None:
    assert input_size(width, height, long_side) == expected


@given(width=st.integers(1, 8000), height=st.integers(1, 8000), long_side=st.integers(128, 4096))
def test_input_size_is_what_the_network_takes(width: int, height: int, long_side: int) -> None:
    size = input_size(width, height, long_side)
    assert all(n % 32 == 0 and n >= 32 for n in size)
    assert abs(max(size) - long_side) <= 16
    scale = long_side / max(width, height)
    assert all(abs(n - m * scale) <= 32 for n, m in zip(size, (height, width), strict=True))


@pytest.mark.parametrize('shape', [(1080, 1920), (576, 768), (40, 30), (7, 700), (700, 1), (1, 1)])
def test_letterbox_maps_pixels_by_one_scale(shape: tuple[int, int]) -> None:
    height, width = input_size(shape[1], shape[0], 416)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.stack([255 * columns / shape[1], 255 * rows / shape[0], 0 * rows], -1)
    canvas, scale = letterbox(image.astype(np.uint8), height, width)
    assert canvas.shape == (height, width, 3)
    inner = max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
    assert inner[0] == height or inner[1] == width
    assert (canvas[inner[0] :] == 114).all()
    assert (canvas[:, inner[1] :] == 114).all()
    middle = canvas[inner[0] // 2, inner[1] // 2]
    assert abs(int(middle[0]) - 128) < 130 / min(shape[1], inner[1]) + 4
    assert abs(int(middle[1]) - 128) < 130 / min(shape[0], inner[0]) + 4
    assert middle[2] == 0


def heads_of(height: int, width: int, logit: float = -10.0) -> list[np.ndarray]:
    """Return heads of an input that sees nobody."""
    heads = []
    for stride in (8, 16, 32):
        cells = (height // stride, width // stride)
        heads += [
            np.full((1, channels, *cells), value, np.float32)
            for channels, value in ((1, logit), (4, 0.0), (1, logit))
        ]
    return heads


@pytest.mark.parametrize(('level', 'stride'), [(0, 8), (1, 16), (2, 32)])
def test_decode_by_hand(level: int, stride: int) -> None:
    heads = heads_of(96, 160)
    classes, box, objectness = heads[3 * level : 3 * level + 3]
    classes[0, 0, 2, 1], objectness[0, 0, 2, 1] = 2.0, 3.0
    box[0, :, 2, 1] = 0.25, 0.5, np.log(3), np.log(2)
    boxes, scores = decode(heads, 0.4)
    assert scores == pytest.approx([1 / (1 + np.exp(-2)) / (1 + np.exp(-3))])
    centre = np.array([1.25, 2.5]) * stride
    size = np.array([3, 2]) * stride
    np.testing.assert_allclose(boxes, [[*(centre - size / 2), *size]], rtol=1e-6)


def test_decode_of_nothing_and_of_extremes_is_finite() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        boxes, scores = decode(heads_of(96, 96, -1000), 0.01)
        assert boxes.shape == (0, 4)
        assert scores.shape == (0,)
        heads = heads_of(32, 32, 1000)
        heads[1][:] = 1000
        boxes, scores = decode(heads, 0.5)
    assert len(boxes) == 16 + 4 + 1
    assert np.isfinite(boxes).all()
    assert (scores == 1).all()


def select(boxes: Sequence[tuple[float, ...]], scores: list[float], **options: float) -> Persons:
    return _select(
        np.array(boxes, float).reshape(-1, 4),
        np.array(scores, np.float32),
        (100, 200, 3),
        DetectorOptions(**options),  # type: ignore[arg-type]
    )


def test_of_two_boxes_on_one_person_the_surer_stays() -> None:
    """Overlap 0.7 is one person, 0.6 are two: NMS at 0.65."""
    one, two = (10, 10, 40, 80), (10 + 40 * 0.3 / 1.7, 10, 40, 80)
    assert iou(np.array([one]), np.array([two]))[0, 0] == pytest.approx(0.7)
    persons = select([one, two], [0.6, 0.9])
    np.testing.assert_allclose(persons.boxes, [two], rtol=1e-6)
    apart = (10 + 40 * 0.4 / 1.6, 10, 40, 80)
    assert len(select([one, apart], [0.6, 0.9])) == 2


def test_the_most_certain_come_first_and_are_kept() -> None:
    boxes = [(x, 10.0, 20, 60) for x in (0, 30, 60, 90)]
    persons = select(boxes, [0.5, 0.9, 0.45, 0.7], max_people=3)
    np.testing.assert_allclose(persons.scores, [0.9, 0.7, 0.5])
    np.testing.assert_allclose(persons.boxes[:, 0], [30, 90, 0])
    assert persons.ids == ('', '', '')


def test_the_nearest_are_kept_where_it_is_asked_for() -> None:
    """The largest boxes by what of them is in the image; the most certain still come first."""
    boxes = [(0, 10, 20, 40), (50, 10, 30, 60), (100, 10, 20, 80), (170, 10, 90, 70)]
    scores = [0.9, 0.5, 0.8, 0.7]
    options = DetectorOptions(max_people=2, keep='nearest')
    shape = (100, 200, 3)
    persons = _select(np.array(boxes, float), np.array(scores, np.float32), shape, options)
    np.testing.assert_allclose(persons.boxes, [[170, 10, 30, 70], [50, 10, 30, 60]])
    everybody = replace(options, max_people=4)
    persons = _select(np.array(boxes, float), np.array(scores, np.float32), shape, everybody)
    np.testing.assert_allclose(persons.scores, [0.9, 0.8, 0.7, 0.5], rtol=1e-6)
    with pytest.raises(OptionsError, match="keep 'tallest': one of certain, nearest"):
        DetectorOptions(keep='tallest')


def test_boxes_end_at_the_border() -> None:
    persons = select([(-10, -20, 50, 60), (180, 50, 100, 300)], [0.9, 0.8])
    np.testing.assert_allclose(persons.boxes, [[0, 0, 40, 40], [180, 50, 20, 50]])


def test_what_lies_outside_or_has_no_size_is_nobody() -> None:
    boxes = [(-50, 10, 40, 60), (250, 10, 40, 60), (10, 120, 40, 60), (50, 50, 0.5, 40)]
    assert len(select(boxes, [0.9] * 4)) == 0
    assert len(select([], [])) == 0


def test_min_height_is_that_of_the_visible_box() -> None:
    boxes = [(10, 10, 20, 39), (50, 10, 20, 41), (100, 70, 20, 60)]
    persons = select(boxes, [0.9, 0.8, 0.7], min_height_px=40)
    np.testing.assert_allclose(persons.boxes, [[50, 10, 20, 41]])


def test_options_on_real_footage() -> None:
    image = people_image()
    everybody = people()
    assert (everybody.scores > 0.4).all()
    assert (np.diff(everybody.scores) <= 0).all()
    surest = yolox()(image, DetectorOptions(max_people=1))
    np.testing.assert_array_equal(surest.boxes, everybody.boxes[:1])
    strict = yolox()(image, DetectorOptions(score_threshold=0.92))
    assert len(strict) == (everybody.scores > 0.92).sum() < len(everybody)
    tall = yolox()(image, DetectorOptions(min_height_px=600))
    np.testing.assert_array_equal(tall.boxes, everybody.boxes[everybody.boxes[:, 3] >= 600])
    assert 0 < len(tall) < len(everybody)


def test_a_larger_input_finds_the_same_people_and_more() -> None:
    street = street_image()
    coarse = yolox()(street, DetectorOptions(input_long_side=416))
    fine = yolox()(street, DetectorOptions(input_long_side=736))
    assert len(fine) > len(coarse) > 3
    assert np.median(iou(coarse.boxes, fine.boxes).max(axis=1)) > 0.7


def test_an_image_smaller_than_the_input() -> None:
    small = cv2.resize(people_image(), (136, 240), interpolation=cv2.INTER_AREA)
    persons = yolox()(small, DetectorOptions())
    assert len(persons) >= 2
    overlap = iou(persons.boxes * 8, people().boxes)
    assert (overlap.max(axis=0)[:2] > 0.7).all()


@pytest.mark.parametrize('shape', [(1, 700), (700, 1), (1, 1), (3, 2000), (480, 640)])
@pytest.mark.parametrize('value', [0, 255])
def test_nobody_is_in_an_image_of_one_colour(shape: tuple[int, int], value: int) -> None:
    image = np.full((*shape, 3), value, np.uint8)
    persons = yolox()(image, DetectorOptions(input_long_side=416))
    assert len(persons) == 0
    assert persons.boxes.shape == (0, 4)


def test_red_and_blue_are_in_their_places() -> None:
    """The network is less certain of people with blue skin."""
    swapped = yolox()(people_image()[..., ::-1], DetectorOptions(score_threshold=0.1))
    assert swapped.scores[:3].sum() < people().scores.sum() - 0.02


def test_views_and_read_only_images() -> None:
    mirrored = people_image()[:, ::-1]
    persons = yolox()(mirrored, DetectorOptions())
    expected = people().boxes.copy()
    expected[:, 0] = mirrored.shape[1] - expected[:, 0] - expected[:, 2]
    assert (iou(expected, persons.boxes).max(axis=1) > 0.75).all()


def test_another_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='is not the YOLOX-tiny of the weights table'):
        open_graph(weights.path('rtmpose_s'))


def test_the_open_graph_is_a_valid_model() -> None:
    model = onnx.load_model_from_string(open_graph(weights.path('yolox_tiny')))
    onnx.checker.check_model(model)
    assert not {'NonMaxSuppression', 'TopK'} & {node.op_type for node in model.graph.node}
