# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recording messages as they come: from a thread, in whole parts, and with a count of what is lost.

Whoever hands messages over waits for no disk. What a slow one cannot take waits in bounded memory;
beyond that the newest is lost, and counted. A disk that is full, or a crash, costs the part that
was being written, not the bag.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

from pose3d_ros.bag_parts import PartedBag, Topic
from pose3d_ros.bags import BagError

#: Under this key the bag's custom data say what was lost.
NOTES = 'pose3d_recorder'
_MOST_WAITING_BYTES = 64 * 2**20
_POLL_S = 0.5  # how late a part may end when nothing comes
_END_S = 10.0  # for the write in hand, before the thread is left behind


class Recording:
    """A bag that is being recorded.

    :param path: the bag's folder, which must not exist.
    :param topics: all that may be recorded.
    :param part_s: after so many seconds what was written is made whole.
    :raises BagError: the folder exists, or cannot be made.
    """

    def __init__(self, path: Path, topics: Sequence[Topic], part_s: float) -> None:
        if path.exists():
            raise BagError(f'{path} exists already; remove it or choose another folder')
        #: Topic -> messages that came and are not in the bag.
        self.lost: Counter[str] = Counter()
        self._bag = PartedBag(path, NOTES)
        self._topics = {topic.name: topic for topic in topics}
        self._part_s = part_s
        self._in_part: Counter[str] = Counter()
        self._waiting: deque[tuple[str, int, bytes]] = deque()
        self._waiting_bytes = 0
        self._give_up_s = float('inf')  # when what waits is lost, since the recording ends
        self._error: OSError | None = None
        self._changed = threading.Condition()
        try:
            self._bag.begin_part(topics)
        except OSError as error:
            raise BagError(f'{path} cannot be written: {error.strerror}') from error
        self._thread = threading.Thread(target=self._work, name='recording', daemon=True)
        self._thread.start()

    def add(self, topic: str, at_ns: int, data: bytes) -> bool:
        """Take a serialised message; return False where it is lost, since too much waits."""
        with self._changed:
            room = self._waiting_bytes + len(data) <= _MOST_WAITING_BYTES
            if not room or self._is_ending or self._error is not None:
                self.lost[topic] += 1
                return False
            self._waiting.append((topic, at_ns, data))
            self._waiting_bytes += len(data)
            self._changed.notify_all()
        return True

    def check(self) -> None:
        """Look whether all is well.

        :raises BagError: nothing more can be written; the message says what is lost.
        """
        error = self._error
        if error is not None:
            raise BagError(
                f'{self._bag.path} ends here: {error.strerror}. {sum(self.lost.values())} messages '
                'are lost; the parts written before are whole'
            )

    def close(self, patience_s: float) -> None:
        """Write what waits and complete the bag.

        :param patience_s: what is not written by then is lost, and counted.
        :raises BagError: it could not be completed.
        """
        with self._changed:
            self._give_up_s = min(self._give_up_s, time.monotonic() + patience_s)
            self._changed.notify_all()
        self._thread.join(patience_s + _END_S)
        if self._thread.is_alive():
            raise BagError(
                f'{self._bag.path} is not complete: its disk has taken nothing for {_END_S:g} s'
            )
        self.check()

    def _work(self) -> None:
        try:
            while not self._over():
                self._write_next()
                if time.monotonic() - self._bag.part_started_s > self._part_s and self._in_part:
                    self._end_part()
                    self._bag.begin_part(list(self._topics.values()))
            self._end_part()
        except OSError as error:
            self._fail(error)

    @property
    def _is_ending(self) -> bool:
        return self._give_up_s < float('inf')

    def _over(self) -> bool:
        """Wait for work; return whether there is none any more."""
        with self._changed:
            if not self._waiting and not self._is_ending:
                self._changed.wait(_POLL_S)
            if time.monotonic() > self._give_up_s:
                self._lose_waiting()
            return self._is_ending and not self._waiting

    def _write_next(self) -> None:
        with self._changed:
            if not self._waiting:
                return
            topic, at_ns, data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
        self._in_part[topic] += 1
        self._bag.write(self._topics[topic], at_ns, data)

    def _end_part(self) -> None:
        self._bag.end_part({'lost': dict(self.lost)})
        self._in_part.clear()

    def _fail(self, error: OSError) -> None:
        self._bag.drop_part()
        with self._changed:
            self._error = error
            self._lose_waiting()
            self.lost += self._in_part

    def _lose_waiting(self) -> None:
        self.lost.update(topic for topic, _, _ in self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
