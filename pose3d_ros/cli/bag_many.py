# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Many bags: a process for each, so many at a time on this machine, or on all of a Ray cluster."""

import argparse
import contextlib
import io
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event

from tqdm import tqdm

from pose3d_ros import stages
from pose3d_ros.bags import BagError
from pose3d_ros.benchmarks.report import positive
from pose3d_ros.cli import bag_one
from pose3d_ros.tables import Table

_POLL_S = 0.2
_RAY_THREADS = 4
_RESULTS = {0: 'done', 130: 'stopped'}


@dataclass(frozen=True)
class Ended:
    """How a bag ended.

    :param source: the bag.
    :param status: what `pose3d bag` returned for it; below 0 = killed by that signal.
    :param said: the last line that it said.
    :param elapsed_s: seconds.
    """

    source: Path
    status: int
    said: str
    elapsed_s: float = math.nan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that are for several bags."""
    add = parser.add_argument
    add('--jobs', type=positive, default=1, metavar='N', help='bags at a time (default: 1)')
    add(
        '--threads',
        type=positive,
        metavar='N',
        help='processor cores for each bag (default: all, shared among the jobs; with --ray '
        f'{_RAY_THREADS})',
    )
    add(
        '--ray',
        nargs='?',
        const='auto',
        metavar='ADDRESS',
        help='run several bags on the Ray cluster at this address (default: the one that this '
        'machine is part of), whose machines see the same files; needs the extra ray',
    )


def run(arguments: argparse.Namespace, sources: list[Path], folder: Path, stop: Event) -> int:
    """Write each bag into the folder; print a table; return 0, 1 (one failed) or 130 (stopped).

    :raises BagError: two bags have one name.
    :raises RuntimeUnavailable: Ray is wanted and not installed.
    """
    single = [_single(arguments, source, folder) for source in sources]
    outputs = [one.bags[1] for one in single]
    if doubles := sorted({str(path) for path in outputs if outputs.count(path) > 1}):
        raise BagError(f'several bags would become {", ".join(doubles)}: run them apart')
    on_engine = _on_ray if arguments.ray else _on_this_machine
    ended: dict[Path, Ended] = {}
    with tqdm(total=len(sources), unit='bag', disable=None) as bar:
        for one in on_engine(arguments, single, stop):
            ended[one.source] = one
            bar.update()
            bar.write(f'{one.source}: {one.said}')
    rows = [ended.get(source, Ended(source, 130, 'not begun')) for source in sources]
    print(_table(rows, folder).text())
    statuses = {row.status for row in rows}
    return 1 if statuses - set(_RESULTS) else max(statuses)


def _single(arguments: argparse.Namespace, source: Path, folder: Path) -> argparse.Namespace:
    """Return the arguments of one bag, alone."""
    name = source.resolve().stem if source.is_file() else source.resolve().name
    cores = len(os.sched_getaffinity(0))
    default = _RAY_THREADS if arguments.ray else max(1, cores // arguments.jobs)
    changes = {'bags': [source, folder / name], 'threads': arguments.threads or default}
    return argparse.Namespace(**{**vars(arguments), **changes})


def captured(arguments: argparse.Namespace) -> Ended:
    """Run `pose3d bag` for one bag and return what it would have said; any error ends only it."""
    start_s, said = time.monotonic(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = bag_one.run(arguments)
        except Exception as error:  # noqa: BLE001 a defect in one run: the others go on
            status = 1
            print(f'{type(error).__name__}: {error}')
    lines = said.getvalue().strip().splitlines() or ['']
    return Ended(arguments.bags[0], status, lines[-1], time.monotonic() - start_s)


def _on_this_machine(
    arguments: argparse.Namespace, single: list[argparse.Namespace], stop: Event
) -> Iterator[Ended]:
    with ThreadPoolExecutor(arguments.jobs, 'bag') as pool:
        futures = [pool.submit(_in_process, one, stop) for one in single]
        for future in as_completed(futures):
            if (ended := future.result()) is not None:
                yield ended


def _in_process(arguments: argparse.Namespace, stop: Event) -> Ended | None:
    """Run one bag in a process of its own, which may be killed without harm to the others."""
    if stop.is_set():
        return None
    context = multiprocessing.get_context('spawn')  # OpenVINO and ROS do not outlive a fork
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, arguments), daemon=True)
    process.start()
    theirs.close()
    told = False
    while process.is_alive() and not ours.poll(_POLL_S):
        if stop.is_set() and not told:
            process.terminate()  # it finishes its part
            told = True
    try:
        ended: Ended = ours.recv()
    except EOFError:
        process.join()
        code = process.exitcode or 1
        return Ended(arguments.bags[0], code, f'its process ended with status {code}')
    process.join()
    return ended


def _work(pipe: Connection, arguments: argparse.Namespace) -> None:
    """Be the process of one bag."""
    os.setpgrp()  # Ctrl-C is for the process that started this one, which passes it on
    pipe.send(captured(arguments))


def _on_ray(
    arguments: argparse.Namespace, single: list[argparse.Namespace], stop: Event
) -> Iterator[Ended]:
    stages.need_extra('--ray', 'ray', extra='ray')
    import ray

    try:
        ray.init(address=arguments.ray)
    except ConnectionError as error:
        raise BagError(f'--ray {arguments.ray}: {error}') from error
    remote = ray.remote(captured)
    try:
        running = {remote.options(num_cpus=one.threads).remote(one): one.bags[0] for one in single}
        while running and not stop.is_set():
            ready, _ = ray.wait(list(running), timeout=_POLL_S)
            for task in ready:
                source = running.pop(task)
                try:
                    yield ray.get(task)
                except ray.exceptions.RayError as error:  # its worker or its machine is gone
                    yield Ended(source, 1, str(error).strip().splitlines()[-1])
        for task in running:
            ray.cancel(task)  # a KeyboardInterrupt there: it goes on from its last part
    finally:
        ray.shutdown()


def _table(rows: list[Ended], folder: Path) -> Table:
    return Table(
        f'{len(rows)} bags into {folder}',
        (('bag', ''), ('result', ''), ('s', '.1f'), ('said', '')),
        [
            (str(row.source), _RESULTS.get(row.status, 'FAILED'), row.elapsed_s, row.said)
            for row in rows
        ],
    )
