# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What reads input that may be damaged or hostile, and what may come of it.

Each target takes bytes. Three things are right: a value that can be used, the exception that the
reader's documentation names, and nothing else; in a set time, and in memory that the size of the
input bounds. test_fuzz.py tries some thousand inputs in every run of the tests, fuzz.py any number.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fuzz_mutations import Mutation, bytes_changed

MIB = 1 << 20
#: Seconds that one input may take; the longest usual ones take some hundredths.
LIMIT_S = 5.0


class Refused(Exception):
    """The reader refused the input as it says it does."""


class FaultFound(AssertionError):
    """A promise was broken; the text says which."""


@dataclass(frozen=True)
class Target:
    """A reader under test.

    :param seeds: whole inputs.
    :param run: reads bytes and uses what came of them; Refused where they are refused as promised.
    :param mutate: changes of a whole input, beside those of single bytes.
    :param base_bytes: of memory that any input may take.
    :param factor: bytes of memory that each byte of the input may take besides.
    """

    seeds: Sequence[bytes]
    run: Callable[[bytes], None]
    mutate: Mutation = bytes_changed
    base_bytes: int = 4 * MIB
    factor: int = 200


@dataclass(frozen=True)
class Outcome:
    """What came of one input.

    :param accepted: it gave a value; else it was refused.
    :param seconds: that it took.
    :param peak_bytes: of memory that the process took at the most at once, whoever asked for it:
        Python, NumPy, OpenCV, ROS.
    """

    accepted: bool
    seconds: float
    peak_bytes: int


@contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """Take these exceptions, and only these, for a refusal as promised."""
    try:
        yield
    except errors as error:
        if not str(error).strip():
            raise FaultFound(f'{type(error).__name__} without a word') from error
        raise Refused from error


def attempt(target: Target, data: bytes) -> Outcome:
    """Give an input to a target.

    Too much memory counts if it takes it again: what a library loads at its first use is no input's
    doing.

    :raises FaultFound: it took too much time or memory.
    :raises Exception: what the reader let through, though it does not say so.
    """
    limit = target.base_bytes + target.factor * len(data)
    outcome = _measured(target, data)
    if outcome.peak_bytes > limit:
        outcome = _measured(target, data)
    if outcome.peak_bytes > limit:
        taken = f'{outcome.peak_bytes} bytes of memory, not {limit}'
        raise FaultFound(f'{len(data)} bytes took {taken}')
    return outcome


def _measured(target: Target, data: bytes) -> Outcome:
    _forget_peak()
    before = _status(b'VmRSS')
    start = time.perf_counter()
    accepted = True
    try:
        target.run(data)
    except Refused:
        accepted = False
    seconds = time.perf_counter() - start
    peak = max(0, _status(b'VmHWM') - before)
    if seconds > LIMIT_S:
        raise FaultFound(f'{len(data)} bytes took {seconds:.1f} s, not {LIMIT_S:g}')
    return Outcome(accepted, seconds, peak)


def _forget_peak() -> None:
    """Let Linux count the most memory that this process had from now on (man 5 proc)."""
    Path('/proc/self/clear_refs').write_text('5')


def _status(field: bytes) -> int:
    """Return a field of /proc/self/status, bytes."""
    found = re.search(field + rb':\s+(\d+) kB', Path('/proc/self/status').read_bytes())
    assert found is not None
    return int(found[1]) * 1024


def targets(folder: Path) -> dict[str, Callable[[], Target]]:
    """Return the makers of all targets by name.

    :param folder: where they may write, each in a folder of its own.
    """
    import fuzz_files
    import fuzz_messages

    found = {}
    for name, maker in {**fuzz_messages.TARGETS, **fuzz_files.TARGETS}.items():
        found[name] = _maker(maker, folder / name)
    return found


def _maker(maker: Callable[[Path], Target], folder: Path) -> Callable[[], Target]:
    def make() -> Target:
        folder.mkdir(parents=True)
        return maker(folder)

    return make
