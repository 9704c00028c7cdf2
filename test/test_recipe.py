# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recipes are the published ones, and files change what they name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pose3d_ros.data.augmentation import Augmentation
from pose3d_ros.training.recipe import BACKBONES, CROPS_PX, RECIPES, RecipeError, find_recipe


def test_the_published_recipes() -> None:
    rootnet, posenet = (find_recipe('published', name) for name in ('rootnet', 'posenet'))
    assert (rootnet.epochs, rootnet.decay_epochs) == (20, (17,))
    assert (posenet.epochs, posenet.decay_epochs) == (25, (17, 21))
    for recipe in (rootnet, posenet):
        assert (recipe.batch, recipe.learning_rate, recipe.backbone) == (32, 1e-3, 'resnet50')
        assert (recipe.precision, recipe.accumulate) == ('f32', 1)


@pytest.mark.parametrize(
    ('epoch', 'rate'), [(0, 1e-3), (16, 1e-3), (17, 1e-4), (20, 1e-4), (21, 1e-5), (24, 1e-5)]
)
def test_the_learning_rate_falls_by_ten_and_by_a_hundred(epoch: int, rate: float) -> None:
    assert find_recipe('published', 'posenet').learning_rate_in(epoch) == pytest.approx(rate)


def test_the_course_project_stopped_before_it_fell() -> None:
    for name, epochs in (('rootnet', 9), ('posenet', 12)):
        recipe = find_recipe('course_project', name)
        assert recipe.epochs == epochs
        assert recipe.learning_rate_in(epochs - 1) == 1e-3
        assert recipe.changed({'epochs': RECIPES['published'][name].epochs}) == find_recipe(
            'published', name
        )


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text(
        'learning_rate: 5e-4\nepochs: 3\ndecay_epochs: [1, 2]\naugmentation: {mirror: false}\n'
    )
    recipe = find_recipe(str(path), 'posenet')
    assert (recipe.learning_rate, recipe.epochs, recipe.decay_epochs) == (5e-4, 3, (1, 2))
    assert recipe.augmentation == Augmentation(mirror=False)
    assert recipe.batch == 32


@pytest.mark.parametrize('network', ['rootnet', 'posenet'])
def test_what_is_written_is_read(tmp_path: Path, network: str) -> None:
    recipe = RECIPES['published'][network].changed({'batch': 5, 'augmentation': {'scale': 0.1}})
    path = tmp_path / 'recipe.yaml'
    path.write_text(yaml.safe_dump(recipe.as_dict()))
    assert find_recipe(str(path), network) == recipe


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('epoch: 3', "'epoch' is no field; they are accumulate, augmentation"),
        ('epochs: many', "epochs: 'many' is no whole number"),
        ('epochs: 1.5', 'epochs: 1.5 is no whole number'),
        ('epochs: true', 'epochs: True is no whole number'),
        ('epochs: 0', 'epochs: 0 is below 1'),
        ('learning_rate: fast', "learning_rate: 'fast' is no number"),
        ('learning_rate: -1', r'learning_rate: -1\.0 is not a number above 0'),
        ('learning_rate: .inf', 'learning_rate: inf is not a number above 0'),
        ('decay_factor: 0', r'decay_factor: 0\.0 is not a number above 0'),
        ('seed: -1', 'seed: -1 is not 0 or more'),
        ('augmentation: {rotation_deg: .nan}', 'rotation_deg: nan is not 0 or more'),
        ('heatmap_weight: -0.1', r'heatmap_weight: -0\.1 is not 0 or more'),
        ('heatmap_weight: .inf', 'heatmap_weight: inf is not 0 or more'),
        ('decay_epochs: 3', 'decay_epochs: 3 is no list of whole numbers'),
        ('decay_epochs: [a]', 'is no list of whole numbers'),
        ('backbone: 50', r'backbone: 50 is no text'),
        ('backbone: resnet20', r'backbone: resnet20 is none of resnet18, '),
        ('backbone_rate: -1', r'backbone_rate: -1\.0 is not 0 or more'),
        ('precision: f8', 'precision: f8 is none of'),
        ('augmentation: none', "augmentation: 'none' is not a mapping"),
        ('augmentation: {flip: true}', "'flip' is no field; they are colour"),
        ('augmentation: {mirror: 1}', 'mirror: 1 is no true or false'),
        ('augmentation: {scale: 1.5}', 'scale: 1.5 is not at least 0 and below 1'),
        ('- 3', 'is not a mapping'),
        ('a: [', 'cannot read recipe'),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    with pytest.raises(RecipeError, match=said) as caught:
        find_recipe(str(path), 'rootnet')
    assert str(path) in str(caught.value)


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(RecipeError, match="'fast' is none of published, course_project"):
        find_recipe('fast', 'rootnet')
    with pytest.raises(RecipeError, match=r'cannot read recipe absent\.yaml'):
        find_recipe('absent.yaml', 'rootnet')


def test_backbones_and_their_crops_are_those_of_the_networks() -> None:
    from paper import needed_torch

    needed_torch()
    from pose3d_ros.models import backbone, backbones

    assert tuple(backbones.BACKBONES) == BACKBONES
    assert backbone.CROPS_PX == CROPS_PX
    assert {r.crop_px for of_network in RECIPES.values() for r in of_network.values()} == {
        backbone.CROP_PX
    }


def test_a_number_of_another_type_is_refused_by_options_too() -> None:
    changes: dict[str, Any] = {'batch': 0}
    with pytest.raises(RecipeError, match='batch: 0 is below 1'):
        RECIPES['published']['rootnet'].changed(changes)
