# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The examples for planners: what they say of hand-made people, alike in Python and C++."""

import importlib.util
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cpp import build
from test_package import installed

EXAMPLES = Path(__file__).parent.parent / 'examples'

# Reads messages as numbers, and writes what the example says of each.
HARNESS = """
#include <cstdio>
#include <iostream>
#include "nearest_person.hpp"

int main() {
  double age_s;
  std::size_t count;
  while (std::cin >> age_s >> count) {
    pose3d_ros::msg::Pose3DArray message;
    message.poses.resize(count);
    for (auto & pose : message.poses) {
      int state, has_velocity;
      std::cin >> pose.id >> state >> has_velocity;
      if (pose.id == "-") {pose.id = "";}
      pose.state = static_cast<unsigned char>(state);
      pose.has_velocity = has_velocity != 0;
      std::cin >> pose.root.x >> pose.root.y >> pose.root.z;
      std::cin >> pose.tracked_root.x >> pose.tracked_root.y >> pose.tracked_root.z;
      std::cin >> pose.velocity.x >> pose.velocity.y >> pose.velocity.z;
      for (auto & value : pose.track_covariance) {std::cin >> value;}
    }
    std::puts(nearest_person::describe(message, age_s).c_str());
  }
}
"""


def example() -> Any:
    """Return the Python example as a module."""
    pytest.importorskip('rclpy')
    spec = importlib.util.spec_from_file_location('nearest_person', EXAMPLES / 'nearest_person.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def person(
    person_id: str,
    at: tuple[float, float, float],
    velocity: tuple[float, float, float] | None = None,
    stddevs: tuple[float, ...] = (0.1, 0.1, 0.3, 0.05, 0.05, 0.2),
    state: int = 2,
) -> Any:
    """Return a person with independent errors."""
    from pose3d_ros.msg import Pose3D

    pose = Pose3D(id=person_id, state=state, has_velocity=velocity is not None)
    pose.root.x, pose.root.y, pose.root.z = at
    if velocity is not None:
        pose.tracked_root.x, pose.tracked_root.y, pose.tracked_root.z = at
        pose.velocity.x, pose.velocity.y, pose.velocity.z = velocity
        covariance = [0.0] * 36
        covariance[::7] = [s * s for s in stddevs]
        pose.track_covariance = covariance
    return pose


def crowd(*people: Any) -> Any:
    """Return the message of some people."""
    from pose3d_ros.msg import Pose3DArray

    return Pose3DArray(poses=list(people))


def cases() -> list[tuple[float, Any, str]]:
    """Return (age, message, what is to be said)."""
    comes = person('7', (0.8, 0.0, 4.0), (0.0, 0.0, -2.0))
    correlated = person('3', (0.0, 0.0, 5.0), (0.0, 0.0, 1.0), (0.1, 0.1, 0.3, 0.1, 0.1, 0.4))
    # z and vz: 0.09 + 2 * 0.5 * 0.1 + 0.25 * 0.16 = 0.23
    correlated.track_covariance[2 * 6 + 5] = correlated.track_covariance[5 * 6 + 2] = 0.1
    return [
        (0.0, crowd(), 'nobody'),
        (0.0, crowd(comes),
         '7 (confirmed): 4.08 m +- 0.29 m, 2.00 m/s, nearest in 2.0 s at 0.80 m'),
        # half a second later it is a metre nearer: (0.8, 0, 3), and its depth less sure
        (0.5, crowd(comes),
         '7 (confirmed): 3.10 m +- 0.31 m, 2.00 m/s, nearest in 1.5 s at 0.80 m'),
        (0.5, crowd(correlated), '3 (confirmed): 5.50 m +- 0.48 m, 1.00 m/s, leaves'),
        # the nearest by where they are now, not where they were
        (1.0, crowd(person('1', (0.0, 0.0, 3.0)), comes),
         '7 (confirmed): 2.15 m +- 0.34 m, 2.00 m/s, nearest in 1.0 s at 0.80 m'),
        (0.0, crowd(person('9', (3.0, 0.0, 4.0), state=1)), '9 (new): 5.00 m, velocity not known'),
        (0.0, crowd(person('', (0.0, 0.0, 2.0), state=0)),
         '? (untracked): 2.00 m, velocity not known'),
        (0.0, crowd(person('4', (0.0, 0.0, 2.0), (0.0, 0.0, -0.19), state=3)),
         '4 (coasting): 2.00 m +- 0.30 m, stands as far as can be told'),
        (0.0, crowd(person('4', (0.0, 0.0, 2.0), (0.0, 0.0, 0.0))),
         '4 (confirmed): 2.00 m +- 0.30 m, stands as far as can be told'),
        (1.5, crowd(comes), 'poses are 1.5 s old: not used'),
        (-0.2, crowd(comes), 'poses are -0.2 s old: not used'),
    ]  # fmt: skip


def test_the_python_example_says_what_is_so() -> None:
    describe = example().describe
    assert [describe(message, age_s) for age_s, message, _ in cases()] == [c[2] for c in cases()]


def as_numbers(age_s: float, message: Any) -> str:
    """Return a message in the form that the harness reads."""
    words: list[Any] = [age_s, len(message.poses)]
    for pose in message.poses:
        words += [pose.id or '-', pose.state, int(pose.has_velocity)]
        for vector in (pose.root, pose.tracked_root, pose.velocity):
            words += [vector.x, vector.y, vector.z]
        words += list(pose.track_covariance)
    return ' '.join(map(str, words))


def test_the_cpp_example_says_the_same(tmp_path: Path) -> None:
    pytest.importorskip('pose3d_ros.msg')
    program: Callable[[str], str] = build(tmp_path, HARNESS, EXAMPLES)
    given = '\n'.join(as_numbers(age_s, message) for age_s, message, _ in cases())
    assert program(given).splitlines() == [said for _, _, said in cases()]


@pytest.mark.parametrize('language', ['python', 'cpp'])
def test_it_prints_what_comes_on_the_topic(graph: Any, language: str) -> None:
    """By the clock of the node, in the namespace that it is given."""
    from pose3d_ros.msg import Pose3DArray

    command = [sys.executable, str(EXAMPLES / 'nearest_person.py')]
    if language == 'cpp':
        command = [str(installed('lib/pose3d_ros/nearest_person'))]  # where rclcpp is
    command += ['--ros-args', '-r', 'poses:=/front/poses']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda out: lines.extend(out), args=(process.stdout,))
    reader.start()
    try:
        publisher = graph.publisher(Pose3DArray, '/front/poses')
        message = crowd(person('7', (0.8, 0.0, 4.0), (0.0, 0.0, -2.0)))

        def answered(ago_s: int, said: str) -> bool:
            """Publish, again and again: the other side may not have found us yet."""
            message.header.stamp = graph.node.get_clock().now().to_msg()
            message.header.stamp.sec -= ago_s
            publisher.publish(message)
            time.sleep(0.1)
            return any(line.startswith(said) for line in lines)

        for ago_s, said in ((0, '7 (confirmed): '), (5, 'poses are 5.')):
            graph.wait(lambda a=ago_s, s=said: answered(a, s), said)
        process.send_signal(2)  # as Ctrl-C does
        start = time.monotonic()
        assert process.wait(10) == 0
        assert time.monotonic() - start < 5
    finally:
        process.kill()
        process.wait()
        reader.join()
