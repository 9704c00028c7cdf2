# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How a stage is loaded: once for all nodes of a process that want the same, and on the CPU where
its device is missing and that is wanted."""

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from pose3d_ros import weights
from pose3d_ros.models.session import DeviceUnavailable, RuntimeOptions

_LOG = logging.getLogger(__name__)

_Stage = TypeVar('_Stage')

# Stages hold nothing but their networks, whose calls take turns: several nodes may call one. It is
# forgotten when the last of them is gone.
_LOADED: WeakValueDictionary[Hashable, object] = WeakValueDictionary()
_LOADING = threading.Lock()


def engine_dir() -> Path:
    """Return the folder in which TensorRT keeps what it builds."""
    return weights.cache_dir() / 'tensorrt'


def shared(key: Hashable, load: Callable[[], _Stage]) -> _Stage:
    """Return the stage of a key, which one node after another may ask for, from any thread.

    :param key: all on which the stage depends.
    :param load: makes it, where nobody holds it already.
    """
    with _LOADING:
        stage = _LOADED.get(key)
        if stage is None:
            stage = _LOADED[key] = load()
    return stage  # type: ignore[return-value]


def file_state(path: Path | None) -> Hashable:
    """Return what changes when a file, or a file of a folder, is written anew."""
    if path is None or not path.exists():
        return None
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in files]
    return tuple((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats)


def or_on_cpu(
    load: Callable[[RuntimeOptions], _Stage], options: RuntimeOptions
) -> tuple[_Stage, RuntimeOptions]:
    """Return a stage, and where it runs: on the CPU if its device is missing and it may.

    :raises DeviceUnavailable: the device is missing, and the options ask for no replacement.
    """
    try:
        return load(options), options
    except DeviceUnavailable as error:
        if not options.cpu_fallback or options.device == 'CPU':
            raise
        _LOG.warning('%s. Going on with device CPU, precision auto, as cpu_fallback says', error)
    # the precision was chosen for the device that is missing
    on_cpu = replace(options, device='CPU', precision='auto')
    return load(on_cpu), on_cpu
