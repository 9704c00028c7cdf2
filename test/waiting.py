# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Waiting for what a test has set going."""

import time
from collections.abc import Callable

_POLL_S = 0.01


def wait(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail with `what` when it does not in time."""
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, f'waited {seconds} s in vain for {what}'
        time.sleep(_POLL_S)
