# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Fuzz every reader, guided by coverage: `make fuzz` (docs/fuzzing.md).

    python test/fuzz.py [--cases N] [--seed S] [--out DIR] [TARGET ...]

Every target runs in a child of this process under Atheris (libFuzzer), which keeps each input that
reaches new code and changes it further. An input that breaks a promise of fuzz_targets.py is kept
in DIR, and the command fails.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fuzz_targets import Target

_INSTRUMENTED = ['pose3d_ros', 'rosbags', 'yaml', 'zipfile', 'tarfile', 'gzip']
#: libFuzzer's own watch beside ours: an input that never ends, or all memory.
_LIMITS = ('-timeout=20', '-rss_limit_mb=3000', '-max_len=65536')
_SHARE_OF_SEEDS = 0.3
_SHARE_OF_WHOLE_CHANGES = 0.5  # the others are libFuzzer's, of single bytes


def main() -> int:
    """Fuzz the targets; return 1 where one is at fault."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    os.environ['OPENCV_LOG_LEVEL'] = 'SILENT'
    with tempfile.TemporaryDirectory(prefix='pose3d_fuzz_') as folder:
        return _fuzz_all(arguments, _instrumented_targets(Path(folder)))


def _instrumented_targets(folder: Path) -> dict[str, Callable[[], 'Target']]:
    """Return the makers of targets, imported so that libFuzzer sees which code an input reaches."""
    import atheris

    logging.disable()
    warnings.simplefilter('ignore')
    with (
        contextlib.redirect_stderr(io.StringIO()),  # a line for every module
        atheris.instrument_imports(include=_INSTRUMENTED, enable_loader_override=False),
    ):
        from fuzz_targets import targets

        return targets(folder)


def _fuzz_all(arguments: argparse.Namespace, makers: dict[str, Callable[[], 'Target']]) -> int:
    names = arguments.targets or list(makers)
    if unknown := set(names) - set(makers):
        print(f'no target {", ".join(unknown)}; there are: {", ".join(makers)}', file=sys.stderr)
        return 2
    print(f'{"target":26} {"cases":>7} {"values":>7} {"refused":>7} {"slowest":>9} {"memory":>9}')
    total, faults = 0, []
    for name in names:
        found = _in_child(name, makers[name], arguments)
        if found is None:
            faults.append(name)
            continue
        total += found['cases']
        print(
            f'{name:26} {found["cases"]:7} {found["accepted"]:7} '
            f'{found["cases"] - found["accepted"]:7} {found["slowest_s"] * 1e3:6.0f} ms '
            f'{found["peak_bytes"] / 1e6:6.1f} MB',
            flush=True,
        )
    print(f'{total} cases of {len(names)} targets, {len(faults)} at fault' + ': ' * bool(faults)
          + ', '.join(faults))  # fmt: skip
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('targets', nargs='*', metavar='TARGET', help='default: all')
    parser.add_argument('--cases', type=int, default=4000, help='of each target (%(default)s)')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--out', type=Path, default=Path('out/fuzz'), help='for what is at fault')
    return parser.parse_args()


def _in_child(
    name: str, maker: Callable[[], 'Target'], arguments: argparse.Namespace
) -> dict[str, Any] | None:
    """Return what came of a target; None = it is at fault, which is printed."""
    record = arguments.out / f'{_stem(name)}.json'
    log = arguments.out / f'{_stem(name)}.log'
    record.unlink(missing_ok=True)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        with log.open('wb') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        _fuzz(name, maker(), arguments)
        os._exit(0)  # libFuzzer has ended the process before
    _, status = os.waitpid(child, 0)
    if status == 0 and record.exists():
        return dict(json.loads(record.read_text()))
    print(f'{name}: AT FAULT, see {log}', flush=True)
    return None


def _stem(name: str) -> str:
    return name.replace(' ', '_').replace('.', '_')


def _fuzz(name: str, target: 'Target', arguments: argparse.Namespace) -> None:
    """Fuzz one target in this process, which libFuzzer ends."""
    import atheris
    from fuzz_targets import attempt

    out, cases = arguments.out.absolute(), arguments.cases
    corpus = out / f'{_stem(name)}.corpus'
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir()
    for number, data in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(data)
    found = {'cases': 0, 'accepted': 0, 'slowest_s': 0.0, 'peak_bytes': 0}

    def one_input(data: bytes) -> None:
        outcome = attempt(target, data)
        found['cases'] += 1
        found['accepted'] += outcome.accepted
        found['slowest_s'] = max(found['slowest_s'], outcome.seconds)
        found['peak_bytes'] = max(found['peak_bytes'], outcome.peak_bytes)
        if found['cases'] == cases:  # libFuzzer leaves without a word to Python
            (out / f'{_stem(name)}.json').write_text(json.dumps(found))

    def change(data: bytes, max_size: int, number: int) -> bytes:
        random = Random(number)
        if random.random() < _SHARE_OF_SEEDS:  # of libraries in C nothing is seen, and kept
            data = random.choice(target.seeds)
        if random.random() < _SHARE_OF_WHOLE_CHANGES:
            return target.mutate(bytes(data), random)[:max_size]
        return bytes(atheris.Mutate(data, max_size))

    atheris.Setup(
        [sys.argv[0], f'-runs={cases + 10}', f'-seed={arguments.seed}', *_LIMITS,
         f'-artifact_prefix={out}/{_stem(name)}.', str(corpus)],
        one_input, custom_mutator=change,
    )  # fmt: skip
    atheris.Fuzz()


if __name__ == '__main__':
    sys.exit(main())
