# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Processes that end with the one that started them, however that ends."""

import ctypes
import os
import signal
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

#: By it a process tells those that it starts for itself alone who it is.
VARIABLE = 'POSE3D_PARENT'
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def environment_of_child(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that is to end with this one."""
    return {**environment, VARIABLE: str(os.getpid())}


def end_with_parent(environment: MutableMapping[str, str] = os.environ) -> None:
    """End by SIGTERM when the process ends that asked for it; without Linux nothing happens.

    A graph that a benchmark or the demonstration started would otherwise go on for good, without
    anybody to stop it, when that is killed.
    """
    parent = environment.pop(VARIABLE, '')
    if not parent:
        return
    with suppress(AttributeError, OSError, TypeError):  # another system than Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it had ended before
            os.kill(os.getpid(), signal.SIGTERM)
