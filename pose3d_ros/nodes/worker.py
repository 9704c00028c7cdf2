# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Threads that take the newest job and forget the older one that still waited."""

import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Generic, TypeVar

Job = TypeVar('Job')


class Worker(Generic[Job]):
    """Threads for the jobs of a stage, which can be started and stopped again and again.

    As many jobs as threads are in work at once, up to a point from which on they go one by one, in
    the order in which they were taken up.

    :param name: of the threads.
    :param work: does a job; it must not raise. Its second argument waits for the jobs before to be
        done: what follows the call is done in order.
    """

    def __init__(self, name: str, work: Callable[[Job, Callable[[], None]], None]) -> None:
        #: Where results go in the same process: no job is taken up while one waits there.
        self.downstream: Worker[Job] | None = None
        #: Called by a thread when it has nothing to do.
        self.on_idle: Callable[[], None] = lambda: None
        self._name, self._work = name, work
        self._waiting: Job | None = None
        self._running = False
        self._idle = 0  # threads with nothing to do
        #: Since when a job would be begun with at once, where it would be.
        self.idle_since_s = monotonic()
        self._taken = self._done = 0  # jobs
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    @property
    def is_idle(self) -> bool:
        """Return whether a job would be begun with at once."""
        return self._idle > 0 and self._waiting is None

    def start(self, threads: int) -> None:
        """Take jobs from now on, and work on so many at once."""
        self._running, self._taken, self._done = True, 0, 0
        self._threads = [
            threading.Thread(target=self._run, name=self._name, daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Take no more jobs, wait for those in hand, and return whether one that waited is lost.

        :param timeout_s: wait so long at the most; None = until the jobs are done.
        """
        with self._changed:
            lost, self._waiting, self._running = self._waiting is not None, None, False
            self._changed.notify_all()
        end_s = None if timeout_s is None else monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if end_s is None else max(0.0, end_s - monotonic()))
        return lost

    def submit(self, job: Job) -> bool | None:
        """Hand over a job; return whether one that waited is lost by it, None = none are taken."""
        with self._changed:
            if not self._running:
                return None
            lost, self._waiting = self._waiting is not None, job
            self._changed.notify_all()
        return lost

    def wait_for_room_behind(self) -> None:
        """Wait until no job waits downstream: what is handed there now replaces nothing."""
        if self.downstream is not None:
            self.downstream._wait_for_room(self)

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            number, job = taken
            wait_for_turn = partial(self._wait_for_turn, number)
            self._work(job, wait_for_turn)
            wait_for_turn()  # also where it had ended before
            with self._changed:
                self._done += 1
                self._changed.notify_all()

    def _next(self) -> tuple[int, Job] | None:
        """Wait for a job, and for room behind us: work is never begun to be dropped.

        Returns it with its number, None = the end.
        """
        while True:
            self.wait_for_room_behind()
            with self._changed:
                if not self._running:
                    return None
                if self._waiting is not None:
                    return self._take(self._waiting)
                if not self._idle:
                    self.idle_since_s = monotonic()
                self._idle += 1
                self.on_idle()
                self._changed.wait_for(lambda: self._waiting is not None or not self._running)
                self._idle -= 1

    def _take(self, job: Job) -> tuple[int, Job]:
        number, self._waiting, self._taken = self._taken, None, self._taken + 1
        self._changed.notify_all()
        if self._idle:
            self.idle_since_s = monotonic()
            self.on_idle()  # the next may come for another thread
        return number, job

    def _wait_for_turn(self, number: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._done == number)

    def _wait_for_room(self, upstream: 'Worker[Job]') -> None:
        """Wait until no job waits here, or upstream stops."""
        with self._changed:
            while self._waiting is not None and upstream._running:
                self._changed.wait(timeout=0.5)
