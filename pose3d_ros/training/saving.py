# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a training leaves on disk: snapshots in the original's format, and where it stopped."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import torch

STATE, HISTORY, BEST = 'state.pt', 'history.json', 'best.pth.tar'


class TrainingError(RuntimeError):
    """A training that cannot begin or go on; the message says why and what to do."""


@dataclass
class Progress:
    """How far a training is.

    :param epoch: that is being trained, counted from 0; those before are done.
    :param batches: of this epoch that are done, of one process.
    :param loss_sum: of these batches: each batch's mean times its people, of all processes.
    :param people: in them.
    :param best: the lowest error of an epoch so far, millimetres; without validation, its loss.
    :param best_of: what that error is of: only errors of the same are compared.
    :param history: what was found after each epoch that is done.
    """

    epoch: int = 0
    batches: int = 0
    loss_sum: float = 0.0
    people: int = 0
    best: float = float('inf')
    best_of: str = ''
    history: list[dict[str, float]] = field(default_factory=list)


def snapshot_path(folder: Path, epoch: int) -> Path:
    """Return the snapshot of an epoch."""
    return folder / f'snapshot_{epoch}.pth.tar'


def snapshot(
    epoch: int, network: Mapping[str, torch.Tensor], optimizer: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of a snapshot: as the original code writes and reads it."""
    tensors = {f'module.{key}': value for key, value in network.items()}
    return {'epoch': epoch, 'network': tensors, 'optimizer': optimizer}


def save(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors to a file that appears whole or not at all.

    :raises TrainingError: it cannot be written; what was there before still is.
    """
    _replace(path, lambda file: torch.save(dict(content), cast(IO[bytes], file)))


def save_history(history: list[dict[str, float]], folder: Path) -> None:
    """Write what was found after each epoch, as JSON.

    :raises TrainingError: it cannot be written.
    """
    text = json.dumps(history, indent=1)
    _replace(folder / HISTORY, lambda file: file.write(text.encode()))


def load_state(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a training stopped.

    :param identity: what the training is of; all of it has to be the same.
    :raises TrainingError: it cannot be read, or is of another training; both are named.
    """
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
        theirs = state['identity']
    except Exception as error:  # of a damaged file anything may come
        reason = str(error).split('\n')[0][:200]
        raise TrainingError(
            f'cannot resume from {path}: {type(error).__name__}: {reason}. Begin another training '
            f'with --weights and the last snapshot beside it, and another --out'
        ) from error
    if differing := [key for key in identity if theirs.get(key) != identity[key]]:
        listed = '; '.join(
            f'{key} {theirs.get(key)!r}, and this one has {identity[key]!r}' for key in differing
        )
        raise TrainingError(f'{path} is of another training. It has {listed}')
    return dict(state)


def _replace(path: Path, write: Callable[['_Whole'], object]) -> None:
    """Write beside a file, and put it in its place when it is whole and on the disk."""
    part = path.with_name(f'.{path.name}.part')
    try:
        with _removed_on_failure(part), part.open('wb') as file:
            whole = _Whole(file)
            write(whole)
            whole.check()
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        kept = f'; {path.name} as it was before is still there' if path.exists() else ''
        again = 'go on with --resume' if path.with_name(STATE).exists() else 'begin again'
        raise TrainingError(
            f'cannot write {path}: {error.strerror}{kept}. Make room, then {again}'
        ) from error


class _Whole:
    """A file to whose writer nothing ever fails: whether it did is asked afterwards.

    torch.save writes from C++, which the exception of a full disk leaves half way, with a writer
    that fails again, in another way, when it is torn down.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._error: OSError | None = None

    def write(self, content: bytes) -> int:
        """Write, unless that has failed before; return how many bytes the caller is rid of."""
        if self._error is None:
            try:
                self._file.write(content)
            except OSError as error:
                self._error = error
        return memoryview(content).nbytes

    def flush(self) -> None:
        """Do nothing: the file is flushed at the end."""

    def check(self) -> None:
        """Raise the OSError of the write that failed, if one did."""
        if self._error is not None:
            raise self._error


@contextmanager
def _removed_on_failure(part: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # why the writing ended is what is raised
            part.unlink()
        raise
