# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ports in shared memory whose reader was killed: nobody rescues them, nobody takes them."""

import errno
import fcntl
import mmap
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pose3d_ros import dead_ports
from pose3d_ros.dead_ports import DeadPorts, hold_dead_ports, mapped_ports

PORT = 'fastrtps_port7411'


@pytest.fixture
def port(tmp_path: Path) -> Path:
    """Return a port of somebody who was killed."""
    return made(tmp_path / PORT)


def made(port: Path) -> Path:
    """Make a port whose lock nobody has."""
    port.write_bytes(dead_ports._MADE + bytes(4092))
    lock_of(port).touch()
    return port


def lock_of(port: Path) -> Path:
    return port.with_name(f'{port.name}_el')


def is_free(lock: Path) -> bool:
    """Return whether Fast DDS would find the lock free: its file is there, and it can be had."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def alive(lock: Path) -> Iterator[None]:
    """Hold a lock as a reader that lives."""
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_a_lock_that_is_free_is_taken(port: Path) -> None:
    dead = DeadPorts(port.parent)
    assert is_free(lock_of(port))
    for _ in range(2):
        dead.look()
        assert not is_free(lock_of(port)) and port.exists()


def test_a_port_that_only_senders_have_gets_a_lock(port: Path) -> None:
    lock_of(port).unlink()
    dead = DeadPorts(port.parent)
    dead.look()
    assert not is_free(lock_of(port))


def test_a_reader_that_lives_keeps_its_own(port: Path) -> None:
    dead = DeadPorts(port.parent)
    with alive(lock_of(port)):
        dead.look()
    assert is_free(lock_of(port))
    dead.look()
    assert not is_free(lock_of(port))


def test_a_port_whose_making_was_cut_short_is_removed(port: Path) -> None:
    """Whoever opens it would wait for its maker."""
    port.write_bytes(bytes(4096))
    dead = DeadPorts(port.parent)
    dead.look()
    assert port.exists(), 'it is being made'
    assert is_free(lock_of(port))
    os.utime(port, (0, 0))
    dead.look()
    assert not port.exists() and is_free(lock_of(port))


def test_a_port_of_several_readers_is_left_alone(port: Path) -> None:
    port.with_name(f'{PORT}_sl').touch()
    dead = DeadPorts(port.parent)
    dead.look()
    assert is_free(lock_of(port))


def test_a_port_of_another_user_is_left_alone(port: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.getuid()
    monkeypatch.setattr(os, 'getuid', lambda: uid + 1)
    dead = DeadPorts(port.parent)
    dead.look()
    assert is_free(lock_of(port))


def test_a_lock_that_loses_its_name_meanwhile_is_not_taken_for_one(
    port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast DDS removes the file of a lock that it has looked at."""
    flock = fcntl.flock

    def removed_before(file: Any, how: int) -> None:
        lock_of(port).unlink()
        lock_of(port).touch()
        flock(file, how)

    dead = DeadPorts(port.parent)
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, 'flock', removed_before)
        dead.look()
    assert is_free(lock_of(port))
    dead.look()
    assert not is_free(lock_of(port))


def test_it_is_removed_when_nobody_sends_to_it_any_more(
    port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = DeadPorts(port.parent)
    dead.look()
    with port.open('r+b') as file, mmap.mmap(file.fileno(), 4096):
        dead.look()
        assert port.exists(), 'not before the time'
        monkeypatch.setattr(dead_ports, '_SENT_TO_S', 0.0)
        dead.look()
        assert port.exists() and not is_free(lock_of(port)), 'while somebody has it open'
    dead.look()
    assert not list(port.parent.iterdir())
    dead.look()


def test_what_its_senders_have_removed_is_free(port: Path) -> None:
    dead = DeadPorts(port.parent)
    dead.look()
    with port.open('r+b') as file, mmap.mmap(file.fileno(), 4096):
        port.unlink()
        dead.look()
        assert not is_free(lock_of(port)), 'one of them has it open'
    dead.look()
    assert not list(port.parent.iterdir())


def test_a_port_is_open_also_without_its_name(port: Path) -> None:
    with port.open('r+b') as file, mmap.mmap(file.fileno(), 4096):
        port.unlink()
        assert PORT in mapped_ports()
    assert PORT not in mapped_ports()


def forbid_removal(of: Path, patch: pytest.MonkeyPatch) -> None:
    """Let a file be another user's: whoever removes it is refused, as root is not."""
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == of:
            raise PermissionError(path)
        unlink(path, missing_ok)

    patch.setattr(Path, 'unlink', refuse)


def test_a_port_that_cannot_be_removed_stays_held_and_keeps_no_other_from_it(
    port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_ports, '_SENT_TO_S', 0.0)
    others = [made(port.with_name(f'fastrtps_port{number}')) for number in range(7500, 7504)]
    dead = DeadPorts(port.parent)
    with monkeypatch.context() as patch:
        forbid_removal(port, patch)
        for _ in range(2):
            dead.look()
        assert port.exists() and not is_free(lock_of(port))
        assert not any(other.exists() for other in others)
    dead.look()
    assert not list(port.parent.iterdir())


def test_the_lock_of_another_user_is_let_go_with_its_port(
    port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_ports, '_SENT_TO_S', 0.0)
    dead = DeadPorts(port.parent)
    forbid_removal(lock_of(port), monkeypatch)
    for _ in range(2):
        dead.look()
    assert not port.exists() and is_free(lock_of(port))


def test_a_path_that_is_no_text_hides_no_port(port: Path) -> None:
    """A path is any bytes; another user's program may have mapped one that is no UTF-8."""
    odd = os.fsencode(port.parent) + b'/\xff\xfe'
    Path(os.fsdecode(odd)).write_bytes(bytes(4096))
    with (
        Path(os.fsdecode(odd)).open('r+b') as other,
        mmap.mmap(other.fileno(), 4096),
        port.open('r+b') as file,
        mmap.mmap(file.fileno(), 4096),
    ):
        assert PORT in mapped_ports()


class ThreadHere:
    """A thread that runs in the one that starts it."""

    def __init__(self, target: Callable[[], None], **_given: Any) -> None:
        self.start = target


def test_looking_goes_on_when_it_fails_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, too: no program is kept from starting by it."""
    ends = iter([OSError(errno.EMFILE, ''), OSError(errno.EMFILE, ''), EOFError()])

    def look(_dead: DeadPorts) -> None:
        raise next(ends)

    monkeypatch.setattr(DeadPorts, 'look', look)
    monkeypatch.setattr(dead_ports, '_EVERY_S', 0.0)
    monkeypatch.setattr(dead_ports, 'threading', SimpleNamespace(Thread=ThreadHere))
    with pytest.raises(EOFError):
        hold_dead_ports(tmp_path)


READER = """
import sys, time
from pose3d_ros.transport import prepare_process
prepare_process()
import rclpy
rclpy.init()
node = rclpy.create_node('reader')
print('there', flush=True)
time.sleep(1000)
"""


@contextmanager
def reader() -> Iterator[subprocess.Popen[str]]:
    """Start a participant; kill it."""
    command = [sys.executable, '-c', READER]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert 'there\n' in process.stdout  # Fast DDS may tell of a port that it could not have
        yield process
    finally:
        process.kill()
        process.wait()


def receives_at(process: subprocess.Popen[str]) -> set[str]:
    """Return the ports at which a participant receives: whose locks it has, and has open."""
    folder = Path(f'/proc/{process.pid}')
    locks = ' '.join(str(fd.readlink()) for fd in (folder / 'fd').iterdir())
    mapped = re.findall(r'fastrtps_port\d+', (folder / 'maps').read_text())
    return {port for port in mapped if f'{port}_el' in locks}


def test_who_is_started_behind_a_kill_takes_other_ports() -> None:
    pytest.importorskip('rclpy')
    with reader() as first:
        before = receives_at(first)
    assert before
    with reader() as second:
        after = receives_at(second)
    assert after and not after & before
