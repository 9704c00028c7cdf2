# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""OpenVINO itself: one core for the whole process, which lasts as long.

Its plugin for processors gives the thread that loads it a stack for signal handlers, and takes that
away with itself, which is with its core (2026.4). Where two cores went in another order than they
had come, the thread was left with a stack that was gone, and the next signal, SIGTERM too, ended
the process by a segmentation fault.
"""

from functools import cache

import openvino as ov


@cache
def core() -> ov.Core:
    """Return the core."""
    return ov.Core()
