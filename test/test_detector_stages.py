# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The detectors in PyTorch by name: tables, nodes, command line, and what is said when not."""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import detectors
import numpy as np
import pytest
from paper import needed_torch
from rclpy.parameter import Parameter
from real import people_image
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from pose3d_ros.cli import main, models, video
from pose3d_ros.models.detection import DetectorOptions, OptionsError
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable
from pose3d_ros.models.yolox import LONG_SIDE, YOLOX
from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.messages import image_to_message
from pose3d_ros.share import share_file
from pose3d_ros.stages import DETECTORS, PUBLISHED, OwnWeights
from pose3d_ros.weights import WeightsError

IMAGE = np.ascontiguousarray(people_image()[600:1500:3, 100:900:3])


@pytest.fixture(scope='module')
def folder(tmp_path_factory: Any) -> Path:
    """Return a small DETR that sees people nearly everywhere."""
    network = detectors.network_of('detr')
    torch = needed_torch()
    with torch.no_grad():
        network.class_labels_classifier.bias[1] += 20
    return detectors.save(tmp_path_factory.mktemp('hub') / 'n', network=network)


@pytest.mark.parametrize('name', PUBLISHED)
def test_absent_weights_name_the_command_that_brings_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f'Run: .*pose3d fetch {PUBLISHED[name]}'):
        DETECTORS[name](tmp_path, RuntimeOptions())


@pytest.mark.parametrize('name', PUBLISHED)
def test_wrong_weights_are_an_error_of_the_user(name: str, tmp_path: Path) -> None:
    (tmp_path / 'x.pth').write_bytes(b'no weights')
    for path in (tmp_path / 'gone.pth', tmp_path / 'x.pth', tmp_path):
        with pytest.raises(WeightsError, match=str(path)):
            DETECTORS[name](None, RuntimeOptions(), OwnWeights(path))


def test_own_weights_of_yolox_are_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match='weights for the detectors mask_rcnn and detr'):
        DETECTORS['yolox'](None, RuntimeOptions(), OwnWeights(tmp_path))


def test_by_name_with_device_and_precision(folder: Path) -> None:
    detector = DETECTORS['detr'](None, RuntimeOptions(precision='bf16'), OwnWeights(folder))
    assert [network.precision for network in detector.networks] == ['bf16']
    assert len(detector(IMAGE, DetectorOptions(score_threshold=0.9))) > 3
    with pytest.raises(RuntimeUnavailable, match=r"'GPU\.99' is not there"):
        DETECTORS['detr'](None, RuntimeOptions('GPU.99'), OwnWeights(folder))


@pytest.mark.parametrize(
    ('name', 'library'), [('mask_rcnn', 'torchvision'), ('mask_rcnn', 'torch'),
                          ('detr', 'transformers')],
)  # fmt: skip
def test_a_missing_extra_is_said(name: str, library: str, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
sys.modules[{library!r}] = None
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable
from pose3d_ros.stages import DETECTORS, OwnWeights
try:
    DETECTORS[{name!r}](None, RuntimeOptions(), OwnWeights(Path({str(tmp_path)!r})))
except RuntimeUnavailable as error:
    print(error)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert f'needs {library}, not installed' in done.stdout
    assert "pip install 'pose3d_ros[torch]'" in done.stdout


def test_the_size_0_is_each_network_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    class Network:
        def __call__(self, images: np.ndarray) -> list[np.ndarray]:
            sizes.append(images.shape[1:3])
            return [np.full((1, c, 1, 1), -9.0) for _ in range(3) for c in (1, 4, 1)]

    yolox = YOLOX.__new__(YOLOX)
    yolox.network = Network()  # type: ignore[assignment]
    yolox(np.zeros((1080, 1920, 3), np.uint8), DetectorOptions())
    yolox(np.zeros((1080, 1920, 3), np.uint8), DetectorOptions(input_long_side=960))
    assert sizes == [(416, LONG_SIDE), (544, 960)]


def test_an_input_without_pixels_is_refused_before_the_first_image(
    graph: Any, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_least = 'input_long_side 31: 0 .* or at least 32 pixels'
    values = {'model': 'detr', 'weights': str(folder)}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    too_small = Parameter('input_long_side', value=31)
    with pytest.raises(OptionsError, match=at_least):
        graph.add(DetectorNode(parameter_overrides=[*overrides, too_small]))
    node = DetectorNode(parameter_overrides=overrides)
    graph.add(node)
    (refused,) = node.set_parameters([too_small])
    assert not refused.successful and re.search(at_least, refused.reason)
    (taken,) = node.set_parameters([Parameter('input_long_side', value=32)])
    assert taken.successful
    cv2.imwrite(str(tmp_path / '0.png'), IMAGE)
    words = ['--input-long-side', '31', '--out', str(tmp_path / 'out')]
    assert main(['video', str(tmp_path), *words]) == 2
    assert re.search(at_least, capsys.readouterr().err)


def test_the_course_project_s_preset_starts_the_node(graph: Any, folder: Path) -> None:
    """As the launch file does it: its params_file, then the arguments."""
    preset = str(share_file('config/course_project.yaml'))
    ros_arguments = ['--ros-args', '--params-file', preset, '-p', f'weights:={folder}']
    node = DetectorNode(cli_args=ros_arguments)
    graph.add(node)
    values = {name: node.get_parameter(name).value for name in ('model', 'score_threshold')}
    assert values == {'model': 'detr', 'score_threshold': 0.99}
    detections = graph.collect(PersonArray, 'detections')
    header = Header(frame_id='camera')
    header.stamp.sec = 7
    graph.publisher(Image, 'image_raw').publish(image_to_message(IMAGE, header))
    graph.wait(lambda: detections, 'detections')
    assert detections[0].header == header
    people = detections[0].persons
    assert people and all(person.score > 0.99 and person.id for person in people)
    assert all(person.box_x + person.box_width <= IMAGE.shape[1] + 0.01 for person in people)


def test_video_takes_a_folder_and_records_what_was_in_it(folder: Path, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    video.add_arguments(parser)

    def arguments(path: Path) -> argparse.Namespace:
        words = ['x.mp4', '--out', 'x', '--detector', 'detr', '--detector-weights', str(path)]
        return parser.parse_args(words)

    copy = tmp_path / 'copy'
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    record = models._own_weights(arguments(folder))
    assert set(record) == {'detector'} and record == models._own_weights(arguments(copy))
    (copy / 'config.json').write_text('{}')
    assert record != models._own_weights(arguments(copy))
    with pytest.raises(WeightsError, match=r'--detector-weights .*gone: No such file'):
        models._own_weights(arguments(tmp_path / 'gone'))
    loaded = models.load(arguments(folder))
    assert len(loaded.detector(IMAGE, DetectorOptions(score_threshold=0.9))) > 3
