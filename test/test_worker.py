# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The threads of a stage: what is in work at once, in which order it ends, what is lost."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import waiting

from pose3d_ros.nodes.worker import Worker


class Jobs:
    """Work that notes what begins and ends, and ends a job only when that is let go.

    :param held: jobs that wait for `let_go`.
    """

    def __init__(self, *held: int) -> None:
        self.begun: list[int] = []
        self.done: list[int] = []
        self.gates = {job: threading.Event() for job in held}

    def __call__(self, job: int, wait_for_turn: Callable[[], None]) -> None:
        self.begun.append(job)
        if job in self.gates:
            assert self.gates[job].wait(10)
        wait_for_turn()
        self.done.append(job)

    def let_go(self, job: int) -> None:
        self.gates[job].set()


@pytest.fixture
def started() -> Iterator[Callable[..., Worker[Any]]]:
    """Return what makes running workers; they are stopped."""
    workers: list[Worker[Any]] = []

    def make(work: Any, threads: int = 1, downstream: Worker[Any] | None = None) -> Worker[Any]:
        worker: Worker[Any] = Worker('worker', work)
        worker.downstream = downstream
        worker.start(threads)
        workers.append(worker)
        wait(lambda: worker.is_idle)
        return worker

    yield make
    for worker in workers:
        worker.stop(10.0)


wait = partial(waiting.wait, what='the workers', seconds=10.0)


def test_one_thread_has_one_job_in_work_and_the_newest_that_waits(started: Any) -> None:
    jobs = Jobs(0)
    worker = started(jobs)
    assert worker.submit(0) is False
    wait(lambda: jobs.begun == [0])
    assert not worker.is_idle
    assert [worker.submit(job) for job in (1, 2, 3)] == [False, True, True]
    jobs.let_go(0)
    wait(lambda: jobs.done == [0, 3])
    wait(lambda: worker.is_idle)


def test_two_threads_have_two_jobs_in_work_that_end_in_the_order_of_their_beginning(
    started: Any,
) -> None:
    jobs = Jobs(0, 1)
    worker = started(jobs, 2)
    for job in (0, 1):
        wait(lambda: worker.is_idle)
        assert worker.submit(job) is False
        wait(lambda n=job: jobs.begun == list(range(n + 1)))
    assert not worker.is_idle
    jobs.let_go(1)
    assert worker.submit(2) is False
    time.sleep(0.05)
    assert jobs.done == [] and jobs.begun == [0, 1]  # 1 has its turn behind 0, and 2 its thread
    jobs.let_go(0)
    wait(lambda: jobs.done == [0, 1, 2])


def test_a_job_that_ends_before_its_turn_holds_nobody_up(started: Any) -> None:
    """As one that fails: what comes behind it goes on, and in order."""
    done: list[int] = []
    gate = threading.Event()

    def work(job: int, wait_for_turn: Callable[[], None]) -> None:
        if job == 0:
            assert gate.wait(10)
        if job == 1:
            return
        wait_for_turn()
        done.append(job)

    worker = started(work, 2)
    worker.submit(0)
    wait(lambda: worker.is_idle)
    worker.submit(1)
    time.sleep(0.05)
    worker.submit(2)
    time.sleep(0.05)
    assert done == []
    gate.set()
    wait(lambda: done == [0, 2])


def test_whoever_waits_for_an_idle_thread_is_told_each_time_one_comes_free(started: Any) -> None:
    jobs = Jobs(0, 1)
    worker = started(jobs, 2)
    told: list[bool] = []
    worker.on_idle = lambda: told.append(worker._waiting is None)
    worker.submit(0)
    wait(lambda: told)  # the other thread
    assert worker.is_idle
    worker.submit(1)
    wait(lambda: jobs.begun == [0, 1])
    told.clear()
    jobs.let_go(0)
    wait(lambda: told)
    assert all(told)
    jobs.let_go(1)


def test_results_of_several_threads_replace_none_of_each_other_downstream(started: Any) -> None:
    """Two that end at once: the second waits until the first has been taken up."""
    behind = Jobs(0)
    downstream = started(behind)
    lost: list[bool | None] = []
    both = threading.Barrier(2)

    def work(job: int, wait_for_turn: Callable[[], None]) -> None:
        if job < 2:
            both.wait(10)
        wait_for_turn()
        upstream.wait_for_room_behind()
        lost.append(downstream.submit(job))

    upstream = started(work, 2, downstream)
    upstream.submit(0)
    wait(lambda: upstream.is_idle)
    upstream.submit(1)
    wait(lambda: len(lost) == 2)
    time.sleep(0.05)
    assert lost == [False, False] and behind.begun == [0]
    upstream.submit(2)  # not begun with: 1 waits downstream
    time.sleep(0.05)
    assert len(lost) == 2
    behind.let_go(0)
    wait(lambda: behind.done == [0, 1, 2])
    assert lost == [False] * 3


@pytest.mark.parametrize('threads', [1, 2])
def test_stopping_waits_for_what_is_in_hand_and_says_what_is_lost(
    started: Any, threads: int
) -> None:
    jobs = Jobs(0, 1)
    worker = started(jobs, threads)
    for job in range(threads):
        wait(lambda: worker.is_idle)
        worker.submit(job)
        wait(lambda n=job: len(jobs.begun) == n + 1)
    worker.submit(7)
    assert worker.stop(0.05)  # in hand still
    for job in (1, 0):
        jobs.let_go(job)
    assert not worker.stop()
    assert jobs.done == list(range(threads))
    assert worker.submit(8) is None
    worker.start(2)
    wait(lambda: worker.is_idle)
    assert worker.submit(9) is False
    wait(lambda: jobs.done[-1] == 9)


def test_stopping_ends_the_wait_for_room_downstream(started: Any) -> None:
    behind = Jobs(0)
    downstream = started(behind)
    downstream.submit(0)
    wait(lambda: behind.begun)
    downstream.submit(1)
    begun, go_on, ended = (threading.Event() for _ in range(3))

    def work(_job: int, wait_for_turn: Callable[[], None]) -> None:
        begun.set()
        assert go_on.wait(10)
        wait_for_turn()
        upstream.wait_for_room_behind()
        ended.set()

    upstream = started(work)
    upstream.submit(5)
    assert begun.wait(10)
    upstream.downstream = downstream
    go_on.set()
    time.sleep(0.05)
    assert not ended.is_set()
    upstream.stop(5.0)
    assert ended.is_set()
    behind.let_go(0)
