# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Train RootNet or PoseNet on data sets, in one process or many."""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pose3d_ros import weights
from pose3d_ros.data import datasets, muco
from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.data.augmentation import NO_AUGMENTATION
from pose3d_ros.models.batches import is_out_of_memory
from pose3d_ros.models.session import RuntimeUnavailable, WeightFileError
from pose3d_ros.stages import need_extra
from pose3d_ros.training.recipe import (
    BACKBONES,
    CROPS_PX,
    PRECISIONS,
    RECIPES,
    Recipe,
    RecipeError,
    find_recipe,
)
from pose3d_ros.weights import WeightsError
from pose3d_ros.weights_table import ASSETS
from pose3d_ros.whole_files import whole

if TYPE_CHECKING:
    from pose3d_ros.training.loop import Trainer
    from pose3d_ros.training.tasks import Task

_RECIPE = 'recipe.yaml'
_SOURCE = re.compile(r'(?P<name>\w+)(:(?P<split>\w+))?(=(?P<folder>.+))?')
#: First weights that `pose3d fetch` knows.
_FETCHED = (*(a.name for a in ASSETS if a.group == 'backbones'), 'rtmpose_s')
_CHANGES = ('scale', 'rotation_deg', 'mirror', 'colour', 'occlusion')
#: Options that replace a recipe's field of the same name: type, help.
_FIELDS: dict[str, tuple[type, str]] = {
    'epochs': (int, 'how often all people are seen'),
    'learning_rate': (float, 'of Adam, at first'),
    'batch': (int, 'people in a batch of one process'),
    'accumulate': (int, 'batches whose gradients make a step'),
    'backbone_rate': (float, "of the backbone's learning rate to the others'; 0 = it stays"),
    'heatmap_weight': (float, "of the heatmaps' part of PoseNet's loss"),
    'seed': (int, 'of first weights, order and augmentation'),
}


@dataclass(frozen=True)
class Source:
    """A split of a data set, as the command line names it: NAME[:SPLIT][=FOLDER].

    :param folder: None = where the YAML file of folders says.
    """

    name: str
    split: str
    folder: Path | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d train`."""
    add = parser.add_argument
    add('network', choices=('rootnet', 'posenet'))
    add(
        '--data',
        nargs='+',
        required=True,
        metavar='NAME[:SPLIT][=FOLDER]',
        help="what is learned from (split: train); the first with depth sets PoseNet's joints",
    )
    add(
        '--validate',
        nargs='+',
        default=[],
        metavar='NAME[:SPLIT][=FOLDER]',
        help='what is scored after each epoch (split: test); best.pth.tar is the best of it',
    )
    add('--datasets', type=Path, metavar='FILE', help='YAML file that says where data sets lie')
    add('--protocol', type=int, choices=(1, 2), default=2, help='of human36m (default: 2)')
    add('--out', type=Path, required=True, metavar='DIR', help='folder for all that is written')
    add('--resume', action='store_true', help="go on where DIR's training stopped")
    add(
        '--weights',
        type=Path,
        metavar='PATH|NAME',
        help='what it begins with: a ResNet of ImageNet, RTMPose-s for the backbone cspnext_s, or '
        'a snapshot (default: random weights); '
        f'{" or ".join(_FETCHED)} is what `pose3d fetch` brought under this name',
    )
    _add_recipe(parser)
    _add_machine(parser)


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        '--recipe',
        metavar='NAME|FILE',
        help=f'{" or ".join(RECIPES)}, or a YAML file of changes (default: published)',
    )
    for name, (kind, text) in _FIELDS.items():
        add(f'--{name.replace("_", "-")}', type=kind, metavar='N', help=text)
    add('--decay-epochs', type=int, nargs='*', metavar='N', help='when the learning rate falls')
    add('--backbone', choices=BACKBONES, help='what sees the crops (default: resnet50)')
    add('--crop-px', type=int, choices=CROPS_PX, help='side of the crops that it sees')
    add('--precision', choices=PRECISIONS, help='of backbone and upsampling')
    add('--without', nargs='+', choices=_CHANGES, default=[], help='augmentation that is left out')


def _add_machine(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--workers', type=int, default=4, metavar='N', help='that load images (default: 4)')
    add('--cpu', action='store_true', help='do not use a GPU')
    add(
        '--save-minutes',
        type=float,
        default=10.0,
        metavar='N',
        help='between two saved states within an epoch (default: 10)',
    )
    add(
        '--validation-people',
        type=int,
        default=4096,
        metavar='N',
        help='at most, evenly spread (default: 4096)',
    )
    add(
        '--dry-run', action='store_true', help='load all, time the loader and a step, write nothing'
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d train`; return 0, 1 (cannot go on), 2 (bad input) or 130 (interrupted)."""
    try:
        need_extra('pose3d train', 'torch', 'accelerate', 'tensorboard', extra='train')
        return _run(arguments)
    except (DataError, RecipeError, WeightFileError, WeightsError, RuntimeUnavailable) as error:
        print(f'pose3d train: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'pose3d train: cannot write to {arguments.out}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('pose3d train: stopped; --resume goes on from the last saved state', file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace) -> int:
    from pose3d_ros.training.loop import Interrupted, leave_group
    from pose3d_ros.training.saving import TrainingError

    _check_folder(arguments)
    recipe = _recipe(arguments)
    try:
        trainer = _trainer(arguments, recipe)
        if arguments.dry_run:
            return _dry_run(trainer)
        _train(trainer, recipe)
    except TrainingError as error:
        print(f'pose3d train: {error}', file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(
            f'pose3d train: memory does not hold a step of {recipe.batch} people: a smaller '
            '--batch, and --accumulate so many times as large, train the same',
            file=sys.stderr,
        )
        return 1
    except Interrupted:
        print(f'stopped, and saved: --resume goes on with {arguments.out}', file=sys.stderr)
        return 130
    finally:
        leave_group()
    return 0


def _check_folder(arguments: argparse.Namespace) -> None:
    """Refuse to write over another training, and to go on with one that is not there."""
    out: Path = arguments.out
    state = out / 'state.pt'
    if state.is_file():
        if not arguments.resume:
            raise RecipeError(
                f'{out} has a training; --resume goes on with it, or give another --out'
            )
    elif any(out.glob('*.pth.tar')):
        raise RecipeError(
            f'{out} has snapshots, but no {state.name} to go on from; another --out with --weights '
            f'{out} begins with the last of them'
        )
    elif arguments.resume:
        raise RecipeError(f'--resume: there is no {state}; without --resume a training begins')
    for name in ('workers', 'save_minutes', 'validation_people'):
        if getattr(arguments, name) < (1 if name == 'validation_people' else 0):
            raise RecipeError(f'--{name.replace("_", "-")} {getattr(arguments, name)} is too small')


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe that was named, changed by the options; of a resumed training, its own."""
    saved = arguments.out / _RECIPE
    name = arguments.recipe
    if name is None:
        name = str(saved) if arguments.resume and saved.is_file() else 'published'
    recipe = find_recipe(name, arguments.network)
    fields = (*_FIELDS, 'decay_epochs', 'backbone', 'crop_px', 'precision')
    given = {field: getattr(arguments, field) for field in fields}
    changes: dict[str, Any] = {field: v for field, v in given.items() if v is not None}
    off = {change: getattr(NO_AUGMENTATION, change) for change in arguments.without}
    return recipe.changed(changes | {'augmentation': off})


def _trainer(arguments: argparse.Namespace, recipe: Recipe) -> 'Trainer':
    """Return a training, ready to begin or to go on."""
    import torch

    from pose3d_ros.training.loop import Machine, Trainer
    from pose3d_ros.training.tasks import start_from

    folders = datasets.folders_from_yaml(arguments.datasets) if arguments.datasets else {}
    learned = [_load(_source(text, 'train'), folders, arguments) for text in arguments.data]
    held_out = [_load(_source(text, 'test'), folders, arguments) for text in arguments.validate]
    task = _task(arguments.network, learned, recipe)
    people = task.table(learned)
    validation = task.table(held_out) if held_out else None
    if validation is not None and not validation.have_depth.any():
        raise DataError(f'--validate {" ".join(validation.names)}: nobody there has a depth')
    torch.manual_seed(recipe.seed)
    network = task.network(recipe.backbone, recipe.crop_px)
    if arguments.weights is not None and not arguments.resume:
        start_from(network, _first_weights(arguments.weights))
    machine = Machine(
        arguments.workers, arguments.cpu, arguments.save_minutes, arguments.validation_people
    )
    trainer = Trainer(task, network, recipe, people, validation, arguments.out, machine)
    if arguments.resume:
        trainer.resume()
    if trainer.accelerator.is_main_process:
        _describe(trainer)
    return trainer


def _first_weights(given: Path) -> Path:
    """Return the file or folder that --weights means.

    :raises weights.WeightsError: a name of `pose3d fetch`, and the file is absent or corrupt.
    """
    if str(given) in _FETCHED and not given.exists():
        return weights.path(str(given))
    return given.expanduser()


def _task(network: str, learned: Sequence[Annotations], recipe: Recipe) -> 'Task':
    """Return what is trained; PoseNet's joints are those of the first data set with depth."""
    from pose3d_ros.training.tasks import PoseTask, RootTask

    first = next((people for people in learned if people.have_depth.any()), None)
    if first is None:
        listed = ', '.join(people.name for people in learned)
        raise DataError(f'--data {listed}: nobody there has a depth to learn')
    if network == 'posenet':
        return PoseTask(first.skeleton, recipe.heatmap_weight)
    if recipe.heatmap_weight:
        raise RecipeError("heatmap_weight is of PoseNet's loss: leave it out for rootnet")
    return RootTask()


def _source(text: str, split: str) -> Source:
    """Return what a data argument says.

    :param split: where it names none.
    """
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise DataError(f'{text!r} is not NAME, NAME:SPLIT, NAME=FOLDER or NAME:SPLIT=FOLDER')
    folder = match['folder']
    return Source(
        match['name'], match['split'] or split, Path(folder).expanduser() if folder else None
    )


def _load(
    source: Source, folders: dict[str, dict[str, Path]], arguments: argparse.Namespace
) -> Annotations:
    """Return a split of a data set."""
    where = {'root': source.folder} if source.folder else folders.get(source.name)
    if where is None:
        raise DataError(
            f'where is {source.name}? Say {source.name}:{source.split}=FOLDER, or name it in the '
            f'YAML file of --datasets'
        )
    options: dict[str, Any] = {}
    if source.name == 'human36m':
        options['protocol'] = arguments.protocol
    elif source.name == 'muco' and arguments.network == 'rootnet':
        options['depths_m'] = muco.ROOTNET_DEPTHS_M  # as published
    people = datasets.load(source.name, split=source.split, **where, **options)
    if not len(people):
        raise DataError(f'{people.name} is empty: there is nobody in it')
    return people


def _describe(trainer: 'Trainer') -> None:
    """Say what will be trained on what."""
    people, recipe, accelerator = trainer.people, trainer.recipe, trainer.accelerator
    step = recipe.batch * recipe.accumulate * accelerator.num_processes
    print(
        f'{trainer.task.name}, {recipe.backbone}, crops of {recipe.crop_px} px, '
        f'{recipe.precision}, '
        f'{accelerator.num_processes} x {accelerator.device.type}, steps of {step} people',
        flush=True,
    )
    held_out = trainer.held_out
    for title, table in (('learned from', people), ('held out', held_out)):
        if table is not None:
            depth = int(table.have_depth.sum())
            print(
                f'{title}: {", ".join(table.names)}: {len(table)} people, {depth} with depth; '
                f'{table.dropped} more cannot be used',
                flush=True,
            )


def _dry_run(trainer: 'Trainer') -> int:
    """Time the loader and a step."""
    from pose3d_ros.training.dry_run import dry_run

    rates = dry_run(trainer)
    if trainer.accelerator.is_main_process:
        print(rates)
        images = trainer.batches.people / trainer.accelerator.num_processes
        slowest = max(min(rates.loader, rates.step), 1e-9)
        print(f'an epoch takes about {images / slowest / 60:.1f} minutes, and its validation')
    return 0


def _train(trainer: 'Trainer', recipe: Recipe) -> None:
    """Train, with the recipe beside what comes of it."""
    if trainer.is_done:
        print(f'all {recipe.epochs} epochs are trained; --epochs N adds more')
        return
    trainer.folder.mkdir(parents=True, exist_ok=True)
    if trainer.accelerator.is_main_process:
        with whole(trainer.folder / _RECIPE) as part:
            part.write_text(yaml.safe_dump(recipe.as_dict(), sort_keys=False))
    trainer.run()
