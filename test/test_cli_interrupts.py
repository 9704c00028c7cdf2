# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM in a command that writes files."""

import signal

import pytest

from pose3d_ros.cli.interrupts import interrupts


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_first_says_what_is_waited_for_and_the_second_stops(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with interrupts() as interrupted:
        assert not interrupted.is_set()
        signal.raise_signal(number)
        assert interrupted.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    said = capfd.readouterr().err
    assert said.count('writing what is in hand; Ctrl-C again stops at once') == 1
    assert signal.getsignal(number) == before
