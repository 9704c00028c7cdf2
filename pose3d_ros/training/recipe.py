# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How a network is trained, in numbers: the published recipes, the course project's, your own."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pose3d_ros.data.augmentation import Augmentation
from pose3d_ros.yaml_files import YamlError, read_yaml

#: What a training may compute in; weights stay in f32.
PRECISIONS = ('f32', 'bf16', 'f16')
#: Backbones, as `models.backbones.BACKBONES` has them (which would bring PyTorch).
BACKBONES = ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'cspnext_s')
#: Sides of the crops that a backbone sees, pixels, as `models.backbone.CROPS_PX`.
CROPS_PX = (128, 256)


class RecipeError(ValueError):
    """A recipe that cannot be used; the message names file and field."""


@dataclass(frozen=True)
class Recipe:
    """What decides what a training gives, beside the data, the first weights and the machine.

    :param epochs: how often all people are seen.
    :param learning_rate: of Adam, at first.
    :param decay_epochs: at the beginning of which the learning rate is divided, counted from 0.
    :param decay_factor: by which.
    :param batch: people in a batch of one process; with several processes and accumulated batches
        a step is of batch * processes * accumulate people.
    :param accumulate: batches whose gradients are summed up before a step.
    :param backbone: of BACKBONES.
    :param backbone_rate: by which its learning rate is multiplied; 0 = it stays as it is.
    :param crop_px: of CROPS_PX.
    :param heatmap_weight: of the part of PoseNet's loss that wants each joint's mass in one place;
        0 = the loss as published.
    :param precision: of PRECISIONS, of backbone and upsampling.
    :param augmentation: how crops are changed.
    :param seed: of first weights, order and changes.
    """

    epochs: int
    decay_epochs: tuple[int, ...]
    augmentation: Augmentation
    learning_rate: float = 1e-3
    decay_factor: float = 10.0
    batch: int = 32
    accumulate: int = 1
    backbone: str = 'resnet50'
    backbone_rate: float = 1.0
    crop_px: int = 256
    heatmap_weight: float = 0.0
    precision: str = 'f32'
    seed: int = 0

    def __post_init__(self) -> None:
        at_least_one = {n: getattr(self, n) for n in ('epochs', 'batch', 'accumulate')}
        if wrong := [f'{n}: {v}' for n, v in at_least_one.items() if v < 1]:
            raise RecipeError(f'{wrong[0]} is below 1')
        rates = {n: getattr(self, n) for n in ('learning_rate', 'decay_factor')}
        if wrong := [f'{n}: {v}' for n, v in rates.items() if not 0 < v < math.inf]:
            raise RecipeError(f'{wrong[0]} is not a number above 0')
        at_least_zero = {n: getattr(self, n) for n in ('heatmap_weight', 'backbone_rate', 'seed')}
        at_least_zero['augmentation: rotation_deg'] = self.augmentation.rotation_deg
        if wrong := [f'{n}: {v}' for n, v in at_least_zero.items() if not 0 <= v < math.inf]:
            raise RecipeError(f'{wrong[0]} is not 0 or more')
        amounts = {n: getattr(self.augmentation, n) for n in ('scale', 'colour', 'occlusion')}
        if wrong := [f'{n}: {v}' for n, v in amounts.items() if not 0 <= v < 1]:
            raise RecipeError(f'augmentation: {wrong[0]} is not at least 0 and below 1')
        if self.backbone not in BACKBONES:
            raise RecipeError(f'backbone: {self.backbone} is none of {", ".join(BACKBONES)}')
        if self.crop_px not in CROPS_PX:
            raise RecipeError(f'crop_px: {self.crop_px} is none of {CROPS_PX}')
        if self.precision not in PRECISIONS:
            raise RecipeError(f'precision: {self.precision} is none of {PRECISIONS}')

    def changed(self, values: Mapping[str, Any]) -> 'Recipe':
        """Return the recipe with some fields changed.

        :param values: by name; 'augmentation' is a mapping of the same kind.
        :raises RecipeError: no such field, or another type of value.
        """
        values = dict(values)
        change = values.pop('augmentation', {})
        if not isinstance(change, Mapping):
            raise RecipeError(f'augmentation: {change!r} is not a mapping of its fields')
        augmentation = replace(self.augmentation, **_typed(self.augmentation, change))
        return replace(self, augmentation=augmentation, **_typed(self, values))

    def learning_rate_in(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.learning_rate / self.decay_factor ** sum(epoch >= e for e in self.decay_epochs)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, as a YAML file has them."""
        return asdict(self) | {'decay_epochs': list(self.decay_epochs)}


# RootNet learns how large people are by their distance, and how far a box's size tells it:
# neither may be changed, so there is no scale; occlusion is PoseNet's alone.
_ROOTNET = Recipe(20, (17,), Augmentation(scale=0.0, occlusion=0.0))
_POSENET = Recipe(25, (17, 21), Augmentation())

#: Recipe -> network -> values. 'course_project' stopped before the learning rate ever fell.
RECIPES = {
    'published': {'rootnet': _ROOTNET, 'posenet': _POSENET},
    'course_project': {
        'rootnet': replace(_ROOTNET, epochs=9),
        'posenet': replace(_POSENET, epochs=12),
    },
}


def find_recipe(name: str, network: str) -> Recipe:
    """Return a recipe of RECIPES, or the published one changed by a YAML file.

    :param name: of RECIPES, or a file that ends in .yaml.
    :param network: 'rootnet' or 'posenet'.
    :raises RecipeError: there is none, or the file has other fields.
    """
    if name in RECIPES:
        return RECIPES[name][network]
    path = Path(name).expanduser()
    if path.suffix not in ('.yaml', '.yml'):
        raise RecipeError(f'recipe {name!r} is none of {", ".join(RECIPES)}, and no .yaml file')
    try:
        values = read_yaml(path) or {}
    except (OSError, YamlError) as error:
        raise RecipeError(f'cannot read recipe {path}: {error}') from error
    if not isinstance(values, Mapping):
        raise RecipeError(f"{path} is not a mapping of a recipe's fields")
    try:
        return RECIPES['published'][network].changed(values)
    except RecipeError as error:
        raise RecipeError(f'{path}: {error}') from error


def _typed(target: Recipe | Augmentation, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for the fields of a dataclass, in the types that it has now."""
    known = {field.name for field in fields(target)}
    found: dict[str, Any] = {}
    value: Any
    for name, value in values.items():
        if name not in known:
            raise RecipeError(f'{name!r} is no field; they are {", ".join(sorted(known))}')
        now = getattr(target, name)
        kind: Any = type(now)
        fits = {float: (int, float, str), int: (int,), bool: (bool,), str: (str,), tuple: (list,)}
        is_flag = isinstance(value, bool) and kind is not bool
        is_kind = isinstance(value, fits[kind]) and not is_flag
        try:
            if not is_kind:
                raise TypeError
            found[name] = tuple(map(int, value)) if kind is tuple else kind(value)
        except (TypeError, ValueError, OverflowError) as error:  # YAML 1.1 reads 1e-3 as text
            raise RecipeError(f'{name}: {value!r} is no {_KINDS[kind]}') from error
    return found


_KINDS = {
    float: 'number',
    int: 'whole number',
    bool: 'true or false',
    str: 'text',
    tuple: 'list of whole numbers',
}
