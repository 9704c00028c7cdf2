# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Large images arrive, in two processes over real topics; and what the user has set stays."""

import ctypes
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from std_msgs.msg import UInt32
from waiting import wait

from pose3d_ros import transport
from pose3d_ros.share import share_file

NAMESPACE = '{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}'
BYTES_4K_BGR8 = 3840 * 2160 * 3
DiskUsage = namedtuple('DiskUsage', 'total used free')

# Publishes image after image, best effort, each once the one before was answered or given up: so
# a slow machine loses nothing, and a transport without room does.
PUBLISHER = """
import array, sys, time
from pose3d_ros.transport import prepare_process
prepare_process()
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import UInt32
width, height, count = (int(value) for value in sys.argv[1:])
rclpy.init()
node = rclpy.create_node('camera')
answered = set()
node.create_subscription(UInt32, 'seen', lambda message: answered.add(message.data), 10)
publisher = node.create_publisher(Image, 'image_raw', qos_profile_sensor_data)
end = time.monotonic() + 30
while publisher.get_subscription_count() == 0 or node.count_publishers('seen') == 0:
    assert time.monotonic() < end, 'nobody subscribed'
    time.sleep(0.05)
time.sleep(0.5)  # the other side has to find us too
image = Image(width=width, height=height, step=3 * width, encoding='bgr8')
image.data = array.array('B', bytes(3 * width * height))
for number in range(count):
    image.header.stamp.nanosec = number
    publisher.publish(image)
    end = time.monotonic() + 2
    while number not in answered and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)
print(len(answered))
"""

NUMBERS = """
import rclpy, time
from std_msgs.msg import UInt32
rclpy.init()
publisher = rclpy.create_node('numbers').create_publisher(UInt32, 'numbers', 10)
while True:
    publisher.publish(UInt32())
    time.sleep(0.1)
"""

SUBSCRIBER = """
from pose3d_ros.transport import prepare_process
prepare_process()
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import UInt32
rclpy.init()
node = rclpy.create_node('reader')
publisher = node.create_publisher(UInt32, 'seen', 10)

def answer(image):
    assert len(image.data) == image.height * image.step
    publisher.publish(UInt32(data=image.header.stamp.nanosec))

node.create_subscription(Image, 'image_raw', answer, qos_profile_sensor_data)
while rclpy.ok():  # rclpy.spin now and then misses that it is told to stop
    rclpy.spin_once(node, timeout_sec=0.2)
"""


def arrived(width: int, height: int, count: int) -> int:
    """Return how many of `count` images got from one process to another."""
    pytest.importorskip('rclpy')
    command = [sys.executable, '-c']
    sizes = [str(value) for value in (width, height, count)]
    reader = subprocess.Popen([*command, SUBSCRIBER], stderr=subprocess.DEVNULL)
    try:
        camera = subprocess.run(
            [*command, PUBLISHER, *sizes], check=True, capture_output=True, text=True, timeout=150
        )
    finally:
        reader.terminate()  # killed, it would leave its segment of shared memory behind
        reader.wait(timeout=10)
    return int(camera.stdout.split()[-1])  # Fast DDS may say something before


def test_images_of_1080p_arrive() -> None:
    assert arrived(1920, 1080, 50) == 50


def test_images_of_4k_arrive_where_there_is_shared_memory() -> None:
    if Path(os.environ.get(transport.PROFILE_VARIABLES[0], '')).name == 'fastdds_small.xml' or (
        shutil.disk_usage('/dev/shm').free < transport.ROOM_FOR_LARGE_SEGMENTS
    ):
        pytest.skip('/dev/shm is too small for 4K images: run with --shm-size=1g')
    assert arrived(3840, 2160, 20) == 20


@pytest.mark.parametrize('variable', transport.CHOICE_VARIABLES)
def test_a_transport_that_the_user_chose_stays(variable: str) -> None:
    environment = transport.child_environment({variable: 'mine'})
    chosen = {name: environment.get(name) for name in transport.CHOICE_VARIABLES}
    assert chosen == dict.fromkeys(transport.CHOICE_VARIABLES) | {variable: 'mine'}


def test_malloc_settings_of_the_user_stay() -> None:
    environment = transport.child_environment({'MALLOC_TRIM_THRESHOLD_': '0'})
    assert environment['MALLOC_TRIM_THRESHOLD_'] == '0'
    assert 'MALLOC_MMAP_THRESHOLD_' not in environment


def test_the_base_is_kept_and_not_written_to() -> None:
    base = {'ROS_DOMAIN_ID': '7'}
    environment = transport.child_environment(base)
    assert environment['ROS_DOMAIN_ID'] == '7'
    assert base == {'ROS_DOMAIN_ID': '7'}
    assert 'HOME' not in environment


def test_a_second_time_changes_nothing() -> None:
    once = transport.child_environment({})
    assert transport.child_environment(once) == once


@pytest.mark.parametrize(
    ('free', 'name'),
    [(2**27, 'fastdds.xml'), (2**27 - 1, 'fastdds_small.xml'), (0, 'fastdds_small.xml')],
)
def test_the_profile_fits_the_shared_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, name: str
) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: DiskUsage(2**40, 0, free))
    environment = transport.child_environment({})
    for variable in transport.PROFILE_VARIABLES:
        assert Path(environment[variable]).name == name
        assert Path(environment[variable]).is_file()


def test_without_shared_memory_nothing_breaks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transport, 'SHARED_MEMORY', tmp_path / 'none')
    assert transport.PROFILE_VARIABLES[0] in transport.child_environment({})


@pytest.mark.parametrize(
    ('name', 'needed'), [('fastdds.xml', BYTES_4K_BGR8), ('fastdds_small.xml', 1920 * 1080 * 3)]
)
def test_a_segment_holds_an_image_and_udp_is_beside_it(name: str, needed: int) -> None:
    root = ElementTree.parse(share_file(f'config/{name}')).getroot()
    kinds = [element.text for element in root.iter(f'{NAMESPACE}type')]
    segment = int(root.findtext(f'.//{NAMESPACE}segment_size', ''))
    assert sorted(map(str, kinds)) == ['SHM', 'UDPv4']
    assert segment >= needed
    if name == 'fastdds.xml':
        assert 4 * segment == transport.ROOM_FOR_LARGE_SEGMENTS


@pytest.mark.parametrize('name', ['fastdds.xml', 'fastdds_small.xml'])
def test_who_is_not_answered_does_not_wait_three_seconds_to_be_found(name: str) -> None:
    root = ElementTree.parse(share_file(f'config/{name}')).getroot()
    (period,) = root.iter(f'{NAMESPACE}leaseAnnouncement')
    assert [(part.tag, part.text) for part in period] == [(f'{NAMESPACE}nanosec', '500000000')]


@pytest.mark.parametrize(
    ('environment', 'expected'),
    [
        ({}, 2**19),
        ({'RMW_IMPLEMENTATION': 'rmw_fastrtps_dynamic_cpp'}, 2**19),
        ({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, None),
        ({'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}, None),
        ({transport.PROFILE_VARIABLES[0]: str(share_file('config/fastdds.xml'))}, 2**25),
        ({transport.PROFILE_VARIABLES[1]: str(share_file('config/fastdds_small.xml'))}, 2**23),
        ({transport.PROFILE_VARIABLES[0]: '/absent.xml'}, None),
    ],
)
def test_how_much_shared_memory_holds(environment: dict[str, str], expected: int | None) -> None:
    assert transport.segment_bytes(environment) == expected


@pytest.mark.parametrize('text', ['', '<profiles/>', '<a><segment_size>much</segment_size></a>'])
def test_a_profile_that_says_nothing_of_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / 'profile.xml'
    path.write_text(text)
    assert transport.segment_bytes({transport.PROFILE_VARIABLES[0]: str(path)}) is None


def test_the_ament_prefix_is_the_environment_where_ros_came_from_wheels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))
    assert 'AMENT_PREFIX_PATH' not in transport.child_environment({})
    (tmp_path / 'share' / 'ament_index').mkdir(parents=True)
    assert transport.child_environment({})['AMENT_PREFIX_PATH'] == str(tmp_path)
    sourced = {'AMENT_PREFIX_PATH': '/opt/ros/jazzy'}
    assert transport.child_environment(sourced)['AMENT_PREFIX_PATH'] == '/opt/ros/jazzy'


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the test an environment of its own, in which nothing is set but where we are."""
    kept = {k: v for k, v in os.environ.items() if k == 'AMENT_PREFIX_PATH'}
    monkeypatch.setattr(os, 'environ', kept)


@pytest.fixture
def mallopt_calls(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Return what is asked of malloc, by the number of the option."""
    calls: dict[int, int] = {}
    libc = SimpleNamespace(mallopt=calls.__setitem__)
    monkeypatch.setattr(ctypes, 'CDLL', lambda name: libc)
    return calls


@pytest.mark.usefixtures('own_environment')
def test_prepare_process_sets_environment_and_malloc(mallopt_calls: dict[int, int]) -> None:
    transport.prepare_process()
    assert transport.child_environment(os.environ) == os.environ
    assert transport.PROFILE_VARIABLES[0] in os.environ
    assert mallopt_calls == {-1: transport.TRIM_THRESHOLD, -3: transport.MMAP_THRESHOLD}


@pytest.mark.usefixtures('own_environment')
def test_prepare_process_leaves_malloc_to_the_user(mallopt_calls: dict[int, int]) -> None:
    os.environ['MALLOC_TRIM_THRESHOLD_'] = '0'
    transport.prepare_process()
    assert mallopt_calls == {}


@pytest.mark.usefixtures('own_environment')
def test_prepare_process_does_without_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, 'CDLL', lambda name: object())
    transport.prepare_process()
    assert transport.PROFILE_VARIABLES[0] in os.environ


def test_gaps_in_the_heap_go_back_to_the_system_while_a_process_runs() -> None:
    code = (
        'import time; from pose3d_ros import transport\n'
        'from pose3d_ros.benchmarks.usage import resident_mib\n'
        'transport._RELEASE_EVERY_S = 1.0\n'
        'transport.prepare_process()\n'
        'images, between = [], []\n'
        'for _ in range(20):\n'
        '    images.append(b"x" * 5_000_000)\n'
        '    between.append(b"x" * 5_000)\n'
        'full = resident_mib()\n'
        'del images\n'
        'freed = resident_mib()\n'
        'end = time.monotonic() + 20\n'
        'while resident_mib() > full - 90 and time.monotonic() < end: time.sleep(0.05)\n'
        'print(full - freed, full - resident_mib())\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=60
    )
    at_once_mib, later_mib = map(float, done.stdout.split())
    assert at_once_mib < 10, 'they were to be gaps'
    assert later_mib > 90


def test_this_malloc_takes_the_thresholds() -> None:
    """A threshold above glibc's limit would be refused in silence."""
    if not hasattr(ctypes.CDLL(None), 'mallopt'):
        pytest.skip('this libc has no mallopt')
    code = (
        'import ctypes, json; from pose3d_ros import transport as t; m = ctypes.CDLL(None).mallopt;'
        'print(json.dumps([m(-3, t.MMAP_THRESHOLD), m(-1, t.TRIM_THRESHOLD)]))'
    )
    output = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)
    assert json.loads(output.stdout) == [1, 1]


def segment(directory: Path, name: str, age_s: float) -> tuple[Path, Path]:
    """Return a segment as Fast DDS makes it, and its lock."""
    made, lock = directory / f'fastrtps_{name}', directory / f'fastrtps_{name}_el'
    for file in (made, lock):
        file.touch()
        os.utime(file, (time.time() - age_s,) * 2)
    return made, lock


def test_segments_of_the_dead_are_removed_and_no_others(tmp_path: Path) -> None:
    dead = segment(tmp_path, 'a' * 16, 60)
    young = segment(tmp_path, 'b' * 16, 1)
    alive = segment(tmp_path, 'c' * 16, 60)
    port = segment(tmp_path, 'port7411', 60)
    with alive[1].open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        transport.remove_abandoned_segments(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted((*young, *alive, *port))
    transport.remove_abandoned_segments(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted((*young, *port))
    assert not dead[0].exists()
    transport.remove_abandoned_segments(tmp_path / 'none')


def test_what_fast_dds_holds_is_known_as_held(graph: Any) -> None:
    """A publisher keeps its segment while it lives, and loses it when it was killed."""
    heard = graph.collect(UInt32, 'numbers')
    before = set(transport.SHARED_MEMORY.iterdir())
    command = [sys.executable, '-c', NUMBERS]
    with subprocess.Popen(command, env=transport.child_environment()) as running:
        try:
            wait(lambda: heard, 'a number')
            # of what has come since, some may be of processes of other tests
            maps = Path(f'/proc/{running.pid}/maps').read_text()
            made = set(transport.SHARED_MEMORY.iterdir()) - before
            held = [f for f in made if str(f) in maps and f.stat().st_size > 8e6]
            assert held
            for file in held:
                os.utime(file.with_name(f'{file.name}_el'), (time.time() - 60,) * 2)
            transport.remove_abandoned_segments()
            assert all(file.exists() for file in held)
        finally:
            running.kill()
    transport.remove_abandoned_segments()
    assert not any(file.exists() for file in held)
