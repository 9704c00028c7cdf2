# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Crops are varied as the original does it, and joints follow their pixels."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pose3d_ros.data.augmentation import (
    NO_AUGMENTATION,
    Augmentation,
    Change,
    crop_affine,
    cut,
    moved,
    occlude,
)
from pose3d_ros.models.crops3dmppe import affines, process_boxes
from pose3d_ros.training.recipe import RECIPES

WIDTH, HEIGHT = 320, 240
SQUARE = np.array([90.0, 40.0, 150.0, 150.0])
CHANGE = Change(1.0, 0.0, False, np.ones(3), 0.0)
CHANGES = [
    Change(scale, turn, mirror, np.ones(3), 0.0)
    for scale, turn, mirror in [(1, 0, True), (0.8, 25, False), (1.25, -60, True), (1, 90, True)]
]


def smooth_image() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def original_crop(image: np.ndarray, change: Change) -> tuple[np.ndarray, np.ndarray]:
    """Return crop and affine made step by step: the whole image is mirrored first."""
    centre = SQUARE[:2] + SQUARE[2:] / 2
    if change.mirror:
        image = np.ascontiguousarray(image[:, ::-1])
        centre = np.array([WIDTH - centre[0] - 1, centre[1]])
    turn = np.pi * change.rotation_deg / 180
    half = SQUARE[2] * change.scale * 0.5
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    source = [centre, centre + rotation @ [0, half], centre + rotation @ [half, 0]]
    target = [[128, 128], [128, 256], [256, 128]]
    affine = cv2.getAffineTransform(np.float32(source), np.float32(target))
    return cv2.warpAffine(image, affine, (256, 256)), affine


@pytest.mark.parametrize('change', CHANGES)
def test_crops_and_points_are_the_original_s(change: Change) -> None:
    image, points = smooth_image(), np.array([[100.0, 60], [200, 150], [0, 0]])
    affine = crop_affine(SQUARE, WIDTH, change)
    wanted, original = original_crop(image, change)
    assert np.abs(cut(image, affine).astype(int) - wanted).max() <= 4
    theirs = points.copy()
    if change.mirror:
        theirs[:, 0] = WIDTH - theirs[:, 0] - 1
    theirs = np.hstack([theirs, np.ones((3, 1))]) @ original.T
    np.testing.assert_allclose(moved(points, affine), theirs, atol=1e-3)


@pytest.mark.parametrize('change', CHANGES)
def test_points_follow_their_pixels(change: Change) -> None:
    points = np.array([[135, 90], [190, 110], [150, 150]])
    affine = crop_affine(SQUARE, WIDTH, change)
    for point, expected in zip(points, moved(points, affine), strict=True):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        cv2.circle(image, point.tolist(), 4, (255, 255, 255), -1)
        y, x = np.nonzero(cut(image, affine)[..., 0] > 127)
        np.testing.assert_allclose([x.mean(), y.mean()], expected, atol=0.6)


def test_the_mirror_of_the_mirror_is_the_crop() -> None:
    mirror = replace(CHANGE, mirror=True)
    straight = crop_affine(SQUARE, WIDTH, CHANGE)
    np.testing.assert_allclose(straight, affines(SQUARE[None])[0])
    points = np.random.default_rng(0).uniform(0, 200, (5, 2))
    turned_over = points * [-1, 1] + [WIDTH - 1, 0]
    square = SQUARE.copy()
    square[0] = WIDTH - 1 - SQUARE[0] - SQUARE[2]
    twice = moved(turned_over, crop_affine(square, WIDTH, mirror))
    np.testing.assert_allclose(twice, moved(points, straight), atol=1e-3)


def test_what_is_drawn_is_as_often_and_as_large_as_published() -> None:
    rng, n = np.random.default_rng(0), 20_000
    drawn = [Augmentation().draw(rng) for _ in range(n)]
    scales, turns = np.array([c.scale for c in drawn]), np.array([c.rotation_deg for c in drawn])
    assert (scales.min(), scales.max()) == (0.75, 1.25)
    # a sixth is beyond one standard deviation, on either side
    np.testing.assert_allclose((scales == 1.25).mean(), 0.1587, atol=0.01)
    assert (turns.min(), turns.max()) == (-60, 60)
    np.testing.assert_allclose((turns != 0).mean(), 0.6, atol=0.01)
    np.testing.assert_allclose(np.mean([c.mirror for c in drawn]), 0.5, atol=0.01)
    np.testing.assert_allclose(np.mean([c.occlusion > 0 for c in drawn]), 0.5, atol=0.01)
    colours = np.array([c.colours for c in drawn])
    assert 0.8 <= colours.min() < 0.801 and 1.199 < colours.max() <= 1.2
    np.testing.assert_allclose(np.corrcoef(colours.T), np.eye(3), atol=0.03)


@pytest.mark.parametrize('name', ['scale', 'rotation_deg', 'mirror', 'colour', 'occlusion'])
def test_each_can_be_switched_off_without_changing_the_others(name: str) -> None:
    off = replace(Augmentation(), **{name: getattr(NO_AUGMENTATION, name)})
    parts = {'rotation_deg': 'rotation_deg', 'colour': 'colours'}
    for seed in range(30):
        full = vars(Augmentation().draw(np.random.default_rng(seed)))
        some = vars(off.draw(np.random.default_rng(seed)))
        neutral = vars(NO_AUGMENTATION.draw(np.random.default_rng(seed)))
        for field in full:
            wanted = neutral if field == parts.get(name, name) else full
            np.testing.assert_array_equal(some[field], wanted[field])


def test_rootnet_learns_distance_from_size_so_that_size_stays() -> None:
    for recipes in RECIPES.values():
        assert recipes['rootnet'].augmentation == Augmentation(scale=0.0, occlusion=0.0)
        assert recipes['posenet'].augmentation == Augmentation()


def test_noise_covers_a_part_of_the_box() -> None:
    rng, areas, aspects = np.random.default_rng(0), [], []
    for _ in range(200):
        image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        assert occlude(image, SQUARE, 0.7, rng)
        y, x = np.nonzero((image != 255).any(axis=2))
        if not len(x):
            continue
        w, h = np.ptp(x) + 1, np.ptp(y) + 1
        assert len(x) > 0.95 * w * h  # one rectangle, full of noise
        areas.append(w * h / (SQUARE[2] * SQUARE[3]))
        if w > 10 and h > 10:
            aspects.append(h / w)
    assert 0.3 / 1.2 < min(aspects) < 0.4 and 2.8 < max(aspects) < 1.2 / 0.3
    assert max(areas) < 0.7
    np.testing.assert_allclose(np.mean(areas), 0.33, atol=0.06)


@pytest.mark.parametrize(
    'square', [[-140.0, 40, 150, 150], [300, 220, 150, 150], [-500, -500, 2000, 2000]]
)
def test_a_box_mostly_outside_the_image_takes_an_end(square: list[float]) -> None:
    """The original would look for a place for ever."""
    for seed in range(20):
        image = smooth_image()
        found = occlude(image, np.array(square), 0.7, np.random.default_rng(seed))
        assert found or (image == smooth_image()).all()
    tiny = np.array([-1000.0, -1000, 900, 900])
    assert not occlude(image, tiny, 0.7, np.random.default_rng(0))


def test_a_box_of_the_original_s_kind_is_cut_whole() -> None:
    (square,), _ = process_boxes(np.array([[10.0, 20, 100, 180]]), WIDTH, HEIGHT)
    corners = np.array([square[:2], square[:2] + square[2:]])
    places = moved(corners, crop_affine(square, WIDTH, CHANGE))
    np.testing.assert_allclose(places, [[0, 0], [256, 256]], atol=1e-3)
