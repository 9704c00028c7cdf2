# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The data sets by name, and where they lie: data stays with its owner, paths come from outside."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pose3d_ros.data import coco, human36m, mpii, muco, mupots, pw3d
from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.yaml_files import YamlError, read_yaml


@dataclass(frozen=True)
class Dataset:
    """How a data set is read.

    :param read: (folder of annotations, folder of images, split, options) -> Annotations.
    :param annotations: where the annotations are in the data set's folder: any of these.
    :param images: the same of the images.
    """

    read: Callable[..., Annotations]
    annotations: tuple[str, ...]
    images: tuple[str, ...]


DATASETS = {
    'human36m': Dataset(human36m.read, ('annotations',), ('images', 'videos')),
    'muco': Dataset(muco.read, ('data',), ('data',)),
    'mpii': Dataset(mpii.read, ('annotations',), ('.',)),
    'coco': Dataset(coco.read, ('annotations',), ('images',)),
    'mupots': Dataset(mupots.read, ('data',), ('data/MultiPersonTestSet',)),
    # the original's documentation and its code name different folders of images
    'pw3d': Dataset(pw3d.read, ('data',), ('data/imageFiles', 'imageFiles')),
}


def load(
    name: str,
    root: Path,
    split: str,
    *,
    annotations: Path | None = None,
    images: Path | None = None,
    **options: Any,
) -> Annotations:
    """Return a split of a data set.

    :param name: one of DATASETS.
    :param root: its folder, as docs/training.md draws it.
    :param split: 'train', 'test', 'validation': which there are depends on the data set.
    :param annotations: folder of the annotations, where it is not in `root`.
    :param images: folder of the images, where it is not in `root`.
    :param options: of the data set's reader, such as `protocol` of human36m.
    :raises DataError: there is no such data set or split, or its files are missing or wrong.
    """
    if name not in DATASETS:
        raise DataError(f"there is no data set '{name}'; there are " + ', '.join(DATASETS))
    dataset = DATASETS[name]
    return dataset.read(
        _folder(name, root, annotations, dataset.annotations, 'annotations'),
        _folder(name, root, images, dataset.images, 'images'),
        split,
        **options,
    )


def _folder(name: str, root: Path, given: Path | None, usual: tuple[str, ...], what: str) -> Path:
    """Return the folder of annotations or images; DataError where there is none."""
    candidates = [root / folder for folder in usual] if given is None else [given]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise DataError(
        f"{name}: there is no folder {' or '.join(map(str, candidates))}; correct 'root' or "
        f"'{what}' of {name} (docs/training.md draws the folders)"
    )


def folders_from_yaml(path: Path) -> dict[str, dict[str, Path]]:
    """Return where data sets lie, by name, for `load(name, split=..., **folders[name])`.

    config/datasets.yaml is an example. Paths may begin with ~; relative ones begin at the file.

    :raises DataError: the file is missing, or is not such a table; the message says where.
    """
    try:
        content = read_yaml(path)
    except OSError as error:
        raise DataError(f'cannot read {path}: {error.strerror}') from error
    except YamlError as error:
        raise DataError(f'{path} is not YAML: {error}') from error
    if not isinstance(content, dict) or not content:
        raise DataError(f'{path} names no data set; config/datasets.yaml is an example')
    return {name: _entry(path, name, entry) for name, entry in content.items()}


def _entry(path: Path, name: object, entry: object) -> dict[str, Path]:
    """Return the folders of one data set of a YAML file."""
    if name not in DATASETS:
        raise DataError(f"{path}: there is no data set '{name}'; there are " + ', '.join(DATASETS))
    if not isinstance(entry, dict) or 'root' not in entry:
        raise DataError(f"{path}: {name} needs a 'root': the data set's folder")
    for key, folder in entry.items():
        if key not in ('root', 'annotations', 'images'):
            raise DataError(f"{path}: {name}: '{key}' is none of root, annotations, images")
        if not isinstance(folder, str) or not folder:
            raise DataError(f"{path}: {name}: '{key}' is not a path")
    try:
        return {key: path.parent / Path(folder).expanduser() for key, folder in entry.items()}
    except RuntimeError as error:  # of the home of somebody who is not there
        raise DataError(f'{path}: {name}: {error}') from error
