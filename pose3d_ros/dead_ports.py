# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What Fast DDS makes of a reader that was killed (SIGKILL, a crash), and how it is kept from it.

A participant receives at a port in shared memory: a file, fastrtps_port and a number, and a lock
on the file of that name and '_el' for as long as it lives. Fast DDS 2.14, of whoever still sends to
a reader that is dead, finds out after one to three seconds that its port is stuck. If it then finds
the lock free, two things may happen to it:

- The reader was killed while it held an image: the sender loops for ever, and with it all that its
  process sends (`get_and_remove_blocked_processing` waits for a mutex that it holds itself).
- It makes the port anew and removes it by its name, with every message. A process that is started
  in that moment and takes the same number, as the number is free, makes its port at the same time:
  one of the two files loses its name, and nothing arrives from then on.

So neither may find the lock free. Every process of ours takes what it finds free as long as
somebody may still send there: then a sender does not try to rescue, and who is started takes
another number.
"""

import fcntl
import os
import re
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

#: How often is looked: a sender takes at least a second to find out.
_EVERY_S = 0.4
#: How long a sender believes in a reader that is silent is 20 s, if nobody has set it otherwise.
_SENT_TO_S = 30.0
_PORT = re.compile(r'fastrtps_port\d+')
#: How boost::interprocess marks a file that is made; who opens another one waits for that.
_MADE = (2).to_bytes(4, 'little')
#: Making one takes less than a millisecond.
_MAKING_S = 1.0


class DeadPorts:
    """The locks of ports without a reader, as far as this process has them.

    :param directory: of shared memory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        #: Port -> the file of its lock, and since when we have it by the monotonic clock, seconds.
        self._held: dict[str, tuple[BinaryIO, float]] = {}

    def look(self) -> None:
        """Take the locks that are free; remove ports that nobody sends to any more.

        :raises OSError: it cannot look at all, as when this process has too many files open.
        """
        for port in self._ports() - self._held.keys():
            # of another user, or just gone
            with suppress(OSError):
                self._take(port)
        over = {port for port, (_, since_s) in self._held.items() if self._is_over(port, since_s)}
        for port in over - mapped_ports() if over else ():
            # another user's by now: its lock stays with us
            with suppress(OSError):
                self._remove(port)

    def _is_over(self, port: str, since_s: float) -> bool:
        """Return whether nobody sends there any more, unless somebody has it open."""
        gone = not (self._directory / port).exists()
        return gone or time.monotonic() - since_s > _SENT_TO_S

    def _ports(self) -> set[str]:
        names = {file.name for file in self._directory.glob('fastrtps_port*')}
        ports = {match[0] for match in map(_PORT.match, names) if match}
        # several may read from one with this lock, and it stays when one of them is killed
        return {port for port in ports if f'{port}_sl' not in names}

    def _take(self, port: str) -> None:
        path, content = self._directory / f'{port}_el', self._directory / port
        if content.stat().st_uid != os.getuid():
            return
        if not _is_made(content):
            if time.time() - content.stat().st_mtime > _MAKING_S:  # who made it was killed
                content.unlink()
            return
        # as Fast DDS opens it, which may just have removed the one that we saw
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666), 'rb')
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                raise FileNotFoundError(path)
        except OSError:  # it lives; or somebody looks at it, and it is for the next time
            file.close()
            raise
        self._held[port] = file, time.monotonic()

    def _remove(self, port: str) -> None:
        (self._directory / port).unlink(missing_ok=True)
        file, _ = self._held.pop(port)
        # another user's, to whom it is of use again
        with file, suppress(OSError):
            (self._directory / f'{port}_el').unlink(missing_ok=True)


def _is_made(port: Path) -> bool:
    with port.open('rb') as file:
        return file.read(len(_MADE)) == _MADE


def mapped_ports() -> set[str]:
    """Return the ports that a process of ours has open, to read or to send; also removed ones."""
    ports: set[str] = set()
    for maps in Path('/proc').glob('[0-9]*/maps'):
        with suppress(OSError):  # of another user, or just ended
            # a path may be any bytes
            ports.update(_PORT.findall(maps.read_text(errors='replace')))
    return ports


@cache
def hold_dead_ports(directory: Path) -> None:
    """Hold them from now on, at once and then by a thread, until this process ends."""
    dead = DeadPorts(directory)

    def look() -> None:
        # the next time it may work, and nobody else depends on it
        with suppress(OSError):
            dead.look()

    def work() -> None:
        while True:
            time.sleep(_EVERY_S)
            look()

    look()
    threading.Thread(target=work, name='dead ports', daemon=True).start()
