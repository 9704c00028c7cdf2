# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The rates that diagnostics tell: at any rate, and when nothing comes any more."""

import random

import pytest

from pose3d_ros.nodes.accounting import WINDOW_S, Accounting

START_S = 1000.0


def results(rate_hz: float, seconds: float, accounting: Accounting | None = None) -> Accounting:
    """Return what results at a steady rate are counted by, from `START_S` on."""
    accounting = accounting or Accounting()
    for number in range(int(rate_hz * seconds) + 1):
        accounting.frame_done(START_S + number / rate_hz, 10.0, 7.0, 30.0)
    return accounting


def rate_hz(accounting: Accounting, now_s: float) -> float:
    """Return the rate that is told, and that limits are for."""
    return accounting.recent(now_s, WINDOW_S).rate_hz


@pytest.mark.parametrize('wait', [0.0, 0.5, 0.99])
@pytest.mark.parametrize('steady_hz', [0.25, 1.3, 10.0, 60.0, 1000.0])
def test_the_rate_told_is_exact_where_results_come_steadily(steady_hz: float, wait: float) -> None:
    """Also between two results, and where one comes each four seconds."""
    accounting = results(steady_hz, 60.0)
    now_s = START_S + (int(60 * steady_hz) + wait) / steady_hz
    assert rate_hz(accounting, now_s) == pytest.approx(steady_hz, rel=1e-3)


def test_the_rate_told_falls_to_nothing_when_nothing_comes_any_more() -> None:
    accounting = results(60.0, 20.0)
    rates = [rate_hz(accounting, START_S + 20 + late) for late in (0, 1, 2.5, 4, 5.1)]
    assert rates == pytest.approx([60, 48, 30, 12, 0], abs=0.3)
    assert rate_hz(accounting, START_S + 1e6) == 0


def test_a_stop_counts_at_once_also_soon_after_the_first_result() -> None:
    accounting = results(50.0, 1.0)
    rates = [rate_hz(accounting, START_S + 1 + late) for late in (0.0, 1.0, 3.0)]
    assert rates == pytest.approx([50, 25, 12.5], rel=0.03)


def test_where_work_began_anew_what_was_before_does_not_count() -> None:
    accounting = results(50.0, 10.0)
    for number in range(51):
        accounting.frame_done(START_S + 12 + number / 50, 10.0, 7.0, 30.0)
    assert accounting.recent(START_S + 13, 1.0).rate_hz == pytest.approx(50, rel=0.01)


def test_results_after_a_long_stop_count_by_the_time_that_is_looked_back_on() -> None:
    accounting = results(50.0, 10.0)
    for number in range(51):
        accounting.frame_done(START_S + 100 + number / 50, 10.0, 7.0, 30.0)
    assert rate_hz(accounting, START_S + 101) == pytest.approx(10, abs=0.3)


def test_a_single_result_and_several_at_once_make_no_rate() -> None:
    accounting = Accounting()
    for _ in range(3):
        accounting.frame_done(START_S, 10.0, 7.0, 30.0)
        assert rate_hz(accounting, START_S) == 0


def test_the_rate_told_is_that_of_irregular_results_too() -> None:
    chance, accounting, now_s = random.Random(1), Accounting(), START_S
    rates = []
    for _ in range(6000):
        now_s += chance.expovariate(100.0)
        accounting.frame_done(now_s, 10.0, 7.0, 30.0)
        rates.append(rate_hz(accounting, now_s))
    assert sum(rates[500:]) / 5500 == pytest.approx(100, rel=0.03)
    assert min(rates[500:]) > 75 and max(rates[500:]) < 125


def test_what_is_remembered_is_bounded() -> None:
    accounting = results(2000.0, 20.0)
    kept = sum(len(value) for value in vars(accounting).values() if hasattr(value, '__len__'))
    assert 5000 < kept < 10_000
    assert rate_hz(accounting, START_S + 20) == pytest.approx(2000, rel=1e-3)
    assert accounting.summary()['published'] == 40_001
