# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A subscriber that is killed and started again, again and again, while its publisher goes on.

Without networks, and in several domains at a time: what goes wrong then is rare, and in Fast DDS
(pose3d_ros/dead_ports.py).
"""

import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import Any

from pose3d_ros.domains import own_domain_id

GRAPHS, RESTARTS = 7, 20
#: Many small images, as what goes wrong does so around the sending of one.
RATE_HZ, ROWS = 30, 180
#: Until a subscriber is started again: publishers find out between one and three seconds.
GAP_S = (1.0, 2.6)
#: A subscriber has nothing for so long after it was made.
SILENT_S = 5.0

BEGIN = """
import array, time
from pose3d_ros.transport import prepare_process
prepare_process()
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('node')
"""
PUBLISHER = f"""{BEGIN}
publisher = node.create_publisher(Image, 'image_raw', qos_profile_sensor_data)
image = Image(height={ROWS}, width=1920, step=5760, encoding='bgr8')
image.data = array.array('B', bytes({ROWS} * 5760))
while True:
    publisher.publish(image)
    time.sleep({1 / RATE_HZ})
"""
SUBSCRIBER = f"""{BEGIN}
got = lambda image: print('got', flush=True)
subscription = node.create_subscription(Image, 'image_raw', got, qos_profile_sensor_data)
print('made', flush=True)
rclpy.spin(node)
"""


@contextmanager
def killed(code: str, domain_id: int) -> Iterator[subprocess.Popen[str]]:
    """Start a process; kill it."""
    process = subprocess.Popen(
        [sys.executable, '-c', code],
        env=os.environ | {'ROS_DOMAIN_ID': str(domain_id)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_image_s(domain_id: int, chance: random.Random) -> float:
    """Return how long a new subscriber waits for its first image; kill it among the next ones."""
    with killed(SUBSCRIBER, domain_id) as process:
        lines: queue.Queue[str] = queue.Queue()
        assert process.stdout is not None
        reading = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout])
        reading.start()
        while lines.get(timeout=60) != 'made\n':
            pass
        start_s = time.monotonic()
        try:
            lines.get(timeout=SILENT_S)
            waited_s = time.monotonic() - start_s
            time.sleep(chance.uniform(0.2, 1.0))
        except queue.Empty:
            waited_s = float('inf')
        process.kill()
        reading.join()
    return waited_s


def restarts(number: int) -> list[float]:
    """Return what subscribers of a graph waited; the publisher is another one behind a silence."""
    domain_id, chance = own_domain_id(f'restarts {number}'), random.Random(number)
    waited_s: list[float] = []
    while len(waited_s) < RESTARTS:
        with killed(PUBLISHER, domain_id):
            first_image_s(domain_id, chance)
            while len(waited_s) < RESTARTS:
                time.sleep(chance.uniform(*GAP_S))
                waited_s.append(first_image_s(domain_id, chance))
                if waited_s[-1] > SILENT_S:
                    break
    return waited_s


def test_a_subscriber_that_is_killed_again_and_again(report: Any) -> None:
    with ThreadPoolExecutor(GRAPHS) as pool:
        waited_s = sorted(chain.from_iterable(pool.map(restarts, range(GRAPHS))))
    silent = sum(seconds > SILENT_S for seconds in waited_s)
    longest_s = max(seconds for seconds in waited_s if seconds <= SILENT_S)
    report(
        f'kill -9 of a subscriber of {RATE_HZ} images/s of 1 MB, started again {GAP_S[0]:g} to '
        f'{GAP_S[1]:g} s later, {len(waited_s)} times',
        besides=f'{silent} of them had no image for {SILENT_S:g} s; the first image of the others '
        f'came after {waited_s[len(waited_s) // 2]:.1f} s (median), {longest_s:.1f} s at most',
    )
    assert not silent
