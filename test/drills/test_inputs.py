# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Cameras that go, come back as another, change, jump in time, or send far too much."""

import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from footage import Settings, loop_of
from rclpy.qos import QoSProfile
from rig import LIMIT_S, Posed, Rig
from rosgraph_msgs.msg import Clock

HOUR_NS = 3600 * 10**9


def focal_px(posed: Posed) -> float:
    """Return the focal length that the metres of poses rest on, pixels."""
    return float(posed.message.focal_length_px)


@pytest.mark.parametrize(
    ('what', 'changes'),
    [
        ('size', {'width': 360}),
        ('encoding', {'encoding': 'rgb8'}),
        ('encoding', {'encoding': 'mono8'}),
        ('frame_id', {'frame_id': 'another_camera'}),
        ('rate', {'rate_hz': 1.0}),
    ],
)
def test_a_camera_gone_and_back_as_another(
    rig: Rig, report: Any, what: str, changes: dict[str, Any]
) -> None:
    try:
        with rig.drill(outage=True) as drill:
            rig.camera.vanish()
            time.sleep(2.0)
            rig.camera.settings = replace(rig.camera.settings, **changes)
            drill.over()
            rig.camera.appear()
        outcome = drill.outcome()
        last = rig.posed[-1].message
        assert last.header.frame_id == rig.camera.settings.frame_id
        assert last.poses, 'nobody is seen any more'
    finally:
        rig.camera.settings = Settings()
    (value,) = changes.values()
    report(f'camera away for 2 s, back with another {what} ({value})', outcome)


def test_camera_info_that_changes(rig: Rig, report: Any) -> None:
    """A lens that zooms: with twice the focal length everybody is twice as far."""
    with rig.drill() as drill:
        rig.wait_for_poses(3)
        before = [p for p in rig.posed if p.at_s > drill.began_s]
        rig.camera.settings = replace(rig.camera.settings, focal_scale=2.0)
        drill.over()
        outcome = drill.outcome()
    after = rig.posed[-1]
    rig.camera.settings = Settings()
    assert focal_px(after) == pytest.approx(2 * focal_px(before[0]), rel=1e-4)
    near = [min(p.root.z for p in posed.message.poses) for posed in (before[0], after)]
    assert 1.5 < near[1] / near[0] < 2.6
    report('camera_info with twice the focal length while it runs', outcome,
           f'the nearest person {near[0]:.1f} m away, then {near[1]:.1f} m')  # fmt: skip


def test_camera_info_of_another_camera(rig: Rig, report: Any) -> None:
    """What does not fit the images is counted frame by frame, and no pose comes of it."""
    with rig.drill() as drill:
        rig.camera.settings = replace(rig.camera.settings, info_width=800)
        time.sleep(1.5)
        wrong_s = time.monotonic()
        time.sleep(2.0)
        assert not [p for p in rig.posed if p.at_s > wrong_s]
        rig.camera.settings = Settings()
        drill.over()
    outcome = drill.outcome()
    assert outcome.counted > 5
    report('camera_info of another size for 3.5 s', outcome)


def test_a_clock_that_loops(rig: Rig, report: Any) -> None:
    """The stamps of a bag of 3 s, three times over and more."""
    start_ns = time.time_ns()
    stamps = [start_ns + i * 500_000_000 for i in range(6)]
    with rig.drill() as drill:
        rig.camera.settings = replace(rig.camera.settings, stamp_ns=loop_of(stamps))
        time.sleep(10.0)
        looped = [p for p in rig.posed if p.at_s > drill.began_s + 1]
        rig.camera.settings = Settings()
        drill.over()
    outcome = drill.outcome()
    assert len(looped) > 5
    report('stamps that loop over 3 s, for 10 s', outcome)


def test_a_clock_that_jumps(rig: Rig, report: Any) -> None:
    with rig.drill() as drill:
        for hours in (1, -1, 24, -24):
            rig.camera.settings = replace(
                rig.camera.settings, stamp_ns=lambda h=hours: time.time_ns() + h * HOUR_NS
            )
            rig.wait_for_poses(2)
        rig.camera.settings = Settings()
        drill.over()
    report('stamps that jump by 1 h and by a day, on and back', drill.outcome())


@pytest.mark.parametrize('factor', [5, 20])
def test_overload(rig: Rig, report: Any, factor: int) -> None:
    """Far more images than the graph holds, for 6 s; the oldest of what waits must not get old."""
    held_hz = held(rig)
    with rig.drill(flooded=True) as drill:
        rig.camera.settings = replace(rig.camera.settings, rate_hz=factor * held_hz)
        time.sleep(6.0)
        rig.camera.settings = Settings()
        drill.over()
    outcome = drill.outcome()
    ages_s = [p.at_s - s.at_s for s, p in rig.pairs(drill.first) if p is not None]
    report(f'{factor} times as many images as are held ({held_hz:.1f}/s), for 6 s', outcome,
           f'age of poses {np.median(ages_s):.2f} s, {max(ages_s):.2f} s at most')  # fmt: skip
    assert outcome.counted + outcome.unseen > outcome.posed / 2
    assert max(ages_s) < LIMIT_S + outcome.age_s


def held(rig: Rig) -> float:
    """Return how many poses a second come of as many images as they will."""
    rig.camera.settings = Settings(rate_hz=12.0)
    rig.camera.appear()
    rig.wait_for_poses(3)
    count, start_s = len(rig.posed), time.monotonic()
    rig.wait(lambda: len(rig.posed) >= count + 20, '20 poses')
    rate_hz = 20 / (time.monotonic() - start_s)
    rig.camera.settings = Settings()
    rig.rest()
    return rate_hz


def test_a_camera_whose_time_is_stepped(make_rig: Callable[..., Rig], report: Any) -> None:
    """With `max_age_ms`, all that is an hour old is given up, and each frame is counted."""
    rig = make_rig('graph', '-p', 'max_age_ms:=5000.0')
    with rig.drill() as drill:
        rig.camera.settings = Settings(stamp_ns=lambda: time.time_ns() - HOUR_NS)
        time.sleep(3.0)
        rig.camera.settings = Settings()
        drill.over()
    outcome = drill.outcome()
    assert outcome.counted > 4
    report("the camera's time stepped back by 1 h for 3 s, with max_age_ms", outcome)


def test_simulated_time_that_is_stepped(make_rig: Callable[..., Rig], report: Any) -> None:
    rig = make_rig('graph', '-p', 'max_age_ms:=5000.0', '-p', 'use_sim_time:=true')
    clock = rig.node.create_publisher(Clock, '/clock', QoSProfile(depth=1))
    offset_ns = [-HOUR_NS]

    def now_ns() -> int:
        return time.time_ns() + offset_ns[0]

    def tick() -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now_ns(), 10**9)
        clock.publish(message)

    rig.node.create_timer(0.02, tick)
    rig.camera.settings = Settings(stamp_ns=now_ns)
    with rig.drill() as drill:
        for offset in (HOUR_NS, -24 * HOUR_NS, 0):
            offset_ns[0] = offset
            time.sleep(2.0)
        drill.over()
    report('/clock stepped by 2 h on, 25 h back, a day on, with max_age_ms', drill.outcome())


def test_system_time_that_is_stepped(
    make_rig: Callable[..., Rig], report: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the graph and its camera at once, as a time server does it, and with `max_age_ms`."""
    library, offset = folder / 'stepped_time.so', folder / 'offset'
    source = Path(__file__).with_name('stepped_time.c')
    subprocess.run(['gcc', '-shared', '-fPIC', '-o', library, source, '-ldl'], check=True)
    offset.write_bytes(bytes(8))
    monkeypatch.setenv('LD_PRELOAD', str(library))
    monkeypatch.setenv('STEPPED_TIME', str(offset))
    rig = make_rig('graph', '-p', 'max_age_ms:=5000.0')
    with rig.drill() as drill, offset.open('r+b', buffering=0) as file:
        for hours in (1, -1, 0):
            file.seek(0)
            file.write(struct.pack('q', hours * HOUR_NS))
            rig.camera.settings = Settings(stamp_ns=lambda h=hours: time.time_ns() + h * HOUR_NS)
            rig.wait_for_poses(3)
            told_ns = rig.told_ns
            rig.wait(lambda t=told_ns: rig.told_ns != t, 'diagnostics')
            assert abs(rig.told_ns - time.time_ns() - hours * HOUR_NS) < HOUR_NS / 2
        drill.over()
    report('system time stepped by 1 h on, 2 h back, 1 h on, with max_age_ms', drill.outcome())


def test_two_graphs(make_rig: Callable[..., Rig], report: Any) -> None:
    """In one domain under namespaces; one is killed, and the other has nothing to do with it."""
    left = make_rig('left', namespace='/left')
    right = make_rig('right', namespace='/right')
    neighbours(left, right, report, 'one domain, two namespaces')


def test_two_domains(make_rig: Callable[..., Rig], report: Any) -> None:
    left = make_rig('left', domain='left')
    right = make_rig('right', domain='right')
    neighbours(left, right, report, 'two domains')


def neighbours(left: Rig, right: Rig, report: Any, how: str) -> None:
    left.camera.settings = replace(left.camera.settings, frame_id='left', rate_hz=2.0)
    right.camera.settings = replace(right.camera.settings, frame_id='right', rate_hz=2.0)
    right.camera.appear()
    right.wait_for_poses(1)
    with left.drill() as drill:
        right.processes['pipeline'].kill()
        time.sleep(2.0)
        drill.over()
    report(f'two graphs in {how}, one of them killed', drill.outcome())
    for rig, name in ((left, 'left'), (right, 'right')):
        assert {p.message.header.frame_id for p in rig.posed} == {name}
