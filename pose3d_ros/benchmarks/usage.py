# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What processes use of the machine: processor time and memory, and what others take of it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf('SC_CLK_TCK')
_MIB_PER_KIB = 1 / 1024


def cpu_s(pid: int | str = 'self') -> float:
    """Return the processor time of a process with all its threads, user and system, seconds."""
    # behind the program's name, which is in brackets and may have anything in it
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def resident_mib(pid: int | str = 'self') -> float:
    """Return the memory that a process holds, with what it shares."""
    return _status_mib(pid, 'VmRSS')


def peak_mib(pid: int | str = 'self') -> float:
    """Return the most memory that a process has held.

    Not by getrusage, which counts in what the process had that started this one.
    """
    return _status_mib(pid, 'VmHWM')


def thread_count(pid: int | str = 'self') -> int:
    """Return how many threads a process has."""
    return _status(pid, 'Threads')


def handle_count(pid: int | str = 'self') -> int:
    """Return how many files, sockets and pipes a process has open."""
    return sum(1 for _ in Path(f'/proc/{pid}/fd').iterdir())


def _status_mib(pid: int | str, name: str) -> float:
    return _status(pid, name) * _MIB_PER_KIB


def _status(pid: int | str, name: str) -> int:
    lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


@dataclass(frozen=True)
class Processors:
    """Processor time of the whole machine so far, in ticks.

    :param stolen: when a virtual machine was ready to work and its host worked for another.
    :param busy: spent on work, whoever's.
    :param all: of every kind.
    :param ours: of the processes that were named, and this one.
    """

    stolen: int
    busy: int
    all: int
    ours: float

    @classmethod
    def now(cls, pids: Iterable[int] = ()) -> 'Processors':
        """Read them."""
        # user nice system idle iowait irq softirq steal; guest time, behind, is part of user
        ticks = [int(n) for n in Path('/proc/stat').read_text().split('\n', 1)[0].split()[1:9]]
        busy = sum(ticks) - ticks[3] - ticks[4] - ticks[7]
        ours = (cpu_s() + sum(cpu_s(pid) for pid in pids)) * _TICKS_PER_S
        return cls(ticks[7], busy, sum(ticks), ours)

    def since(self, before: 'Processors') -> 'Disturbance':
        """Return how much of the time since then was not to be had; NaN of no time."""
        span = self.all - before.all or float('nan')
        others = self.busy - before.busy - (self.ours - before.ours)
        return Disturbance(
            100 * (self.stolen - before.stolen) / span, 100 * max(0.0, others) / span
        )


@dataclass(frozen=True)
class Disturbance:
    """What went to others, percent of the machine's processor time.

    :param stolen: to other virtual machines of the host.
    :param others: to other processes of this machine.
    """

    stolen: float
    others: float
