# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What every process of ours does so that large images arrive, and arrive fast.

With the defaults of Fast DDS most images of 1080p are lost on the way to a subscriber that takes
them best effort; with the profile in config/fastdds.xml all arrive, up to 4K. And with the default
thresholds of glibc's malloc the memory of each image goes back to the system and is fetched again
page by page for the next one, which doubles the time from publish to callback.
"""

import ctypes
import fcntl
import os
import shutil
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from pose3d_ros.dead_ports import hold_dead_ports
from pose3d_ros.share import share_file

#: The first is read up to Jazzy, the second from Kilted on.
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
#: Any of them set: the user has chosen a transport, and that choice stands.
CHOICE_VARIABLES = (*PROFILE_VARIABLES, 'FASTDDS_BUILTIN_TRANSPORTS')

SHARED_MEMORY = Path('/dev/shm')  # noqa: S108
#: Every process takes a segment of 32 MiB with config/fastdds.xml. Where there is no room for
#: four, as in a container with the usual 64 MB, config/fastdds_small.xml makes do with 8 MiB.
ROOM_FOR_LARGE_SEGMENTS = 4 * 32 * 2**20

#: Age from which on a segment that nobody holds belongs to nobody: it is made before it is held.
_ABANDONED_S = 10.0

#: What Fast DDS takes without a profile.
DEFAULT_SEGMENT = 2**19

#: Blocks up to this size come from the heap: the most that glibc takes, and a 4K image in bgr8.
MMAP_THRESHOLD = 32 * 2**20
#: So much free memory at the top of the heap is kept for the next image.
TRIM_THRESHOLD = 128 * 2**20
#: How often what is free goes back to the system: images of the heap leave gaps between what lives
#: longer, and without that a process grows for hours by an image at a time. It costs the page
#: faults of one image.
_RELEASE_EVERY_S = 60.0
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_MALLOC_VARIABLES = ('MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_')


def prepare_process() -> None:
    """Set up transport and memory for this process and its children; call it before rclpy.init."""
    # glibc has read these when the process started: then all is set, by us or by the user
    if not any(name in os.environ for name in _MALLOC_VARIABLES):
        _keep_large_blocks()
    _release_memory_now_and_then()
    remove_abandoned_segments()
    hold_dead_ports(SHARED_MEMORY)
    os.environ.update(child_environment())


def child_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment with what a process that we start needs; what is set already stays.

    AMENT_PREFIX_PATH is part of it where ROS 2 came from wheels into this Python environment:
    nothing is sourced there that would set it.

    :param base: the environment to start from; None = this process's.
    """
    environment = dict(os.environ if base is None else base)
    if not any(environment.get(name) for name in CHOICE_VARIABLES):
        environment.update(dict.fromkeys(PROFILE_VARIABLES, str(_profile())))
    if not any(name in environment for name in _MALLOC_VARIABLES):
        thresholds = (str(MMAP_THRESHOLD), str(TRIM_THRESHOLD))
        environment.update(zip(_MALLOC_VARIABLES, thresholds, strict=True))
    if not environment.get('AMENT_PREFIX_PATH') and _is_ament_prefix(Path(sys.prefix)):
        environment['AMENT_PREFIX_PATH'] = sys.prefix
    return environment


def segment_bytes(environment: Mapping[str, str]) -> int | None:
    """Return the shared memory for what a process of this environment sends; None = unknown.

    Unknown is what a middleware other than Fast DDS has, or a profile that does not say it.
    """
    rmw = environment.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp')
    if not rmw.startswith('rmw_fastrtps') or environment.get('FASTDDS_BUILTIN_TRANSPORTS'):
        return None
    profile = next(filter(None, map(environment.get, PROFILE_VARIABLES)), None)
    if profile is None:
        return DEFAULT_SEGMENT
    try:
        # the user's own file, which Fast DDS reads too
        elements = ElementTree.parse(profile).iter()  # noqa: S314
        sizes = [int(e.text or '') for e in elements if e.tag.endswith('segment_size')]
    except (OSError, ValueError, ElementTree.ParseError):
        return None
    return max(sizes, default=None)


def _profile() -> Path:
    """Return the Fast DDS profile for which this machine has the shared memory."""
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free < ROOM_FOR_LARGE_SEGMENTS:
        return share_file('config/fastdds_small.xml')
    return share_file('config/fastdds.xml')


def remove_abandoned_segments(directory: Path = SHARED_MEMORY) -> None:
    """Remove what killed processes have left of Fast DDS in shared memory, 35 MB each of ours.

    Otherwise a node that crashes and is started again now and then fills it in the end. The owner
    of a segment holds a lock on the file of its name and '_el' as long as it lives, by which
    `fastdds shm clean` knows, too. Readers that still look at a segment keep it.
    """
    for lock in directory.glob(f'fastrtps_{"[0-9a-f]" * 16}_el'):
        # of another user, or just removed by somebody else
        with suppress(OSError), lock.open('rb') as file:
            if time.time() - os.fstat(file.fileno()).st_mtime > _ABANDONED_S:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock.with_name(lock.name.removesuffix('_el')).unlink(missing_ok=True)
                lock.unlink()


def _is_ament_prefix(prefix: Path) -> bool:
    return (prefix / 'share' / 'ament_index').is_dir()


def release_memory() -> None:
    """Give free memory back to the system, which malloc keeps; without glibc nothing happens."""
    with suppress(AttributeError, OSError, TypeError):  # another libc, or another system
        ctypes.CDLL(None).malloc_trim(0)


@cache
def _release_memory_now_and_then() -> None:
    """Do so from now on, by a thread, until this process ends."""

    def work() -> None:
        while True:
            time.sleep(_RELEASE_EVERY_S)
            release_memory()

    threading.Thread(target=work, name='release memory', daemon=True).start()


def _keep_large_blocks() -> None:
    """Let malloc reuse the memory of large images; without glibc nothing happens."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another libc, or another system
        return
    mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD)
