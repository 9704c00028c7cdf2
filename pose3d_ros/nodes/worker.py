"""One thread that takes the newest job and forgets the older one that still waited."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar('Job')


class Worker(Generic[Job]):
    """A thread for the jobs of a stage, which can be started and stopped again and again.

    :param name: of the thread.
    :param work: does a job; it must not raise.
    """

    def __init__(self, name: str, work: Callable[[Job], None]) -> None:
        #: Where results go in the same process: no job is taken up while one waits there.
        self.downstream: Worker[Job] | None = None
        #: Called by the thread when it has nothing to do.
        self.on_idle: Callable[[], None] = lambda: None
        self._name, self._work = name, work
        self._waiting: Job | None = None
        self._running = self._idle = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def is_idle(self) -> bool:
        """Return whether a job would be begun with at once."""
        return self._idle

    def start(self) -> None:
        """Take jobs from now on."""
        self._running = True
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Take no more jobs, wait for the one in hand, and return whether one that waited is lost.

        :param timeout_s: wait so long at the most; None = until the job is done.
        """
        with self._changed:
            lost, self._waiting, self._running = self._waiting is not None, None, False
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return lost

    def submit(self, job: Job) -> bool | None:
        """Hand over a job; return whether one that waited is lost by it, None = none are taken."""
        with self._changed:
            if not self._running:
                return None
            lost, self._waiting, self._idle = self._waiting is not None, job, False
            self._changed.notify_all()
        return lost

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._work(job)

    def _next(self) -> Job | None:
        """Wait for a job, and for room behind us: work is never begun to be dropped."""
        while True:
            if self.downstream is not None:
                self.downstream.wait_for_room(self)
            with self._changed:
                if not self._running:
                    return None
                if self._waiting is not None:
                    job, self._waiting = self._waiting, None
                    self._changed.notify_all()
                    return job
                self._idle = True
                self.on_idle()
                self._changed.wait()
                self._idle = False

    def wait_for_room(self, upstream: 'Worker[Job]') -> None:
        """Wait until no job waits here, or upstream stops."""
        with self._changed:
            while self._waiting is not None and upstream._running:
                self._changed.wait(timeout=0.5)
