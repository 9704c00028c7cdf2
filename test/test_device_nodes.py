# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Devices as a user meets them: parameters, what the log says, two cameras in one process."""

import gc
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Log
from real import people_image
from sensor_msgs.msg import Image
from test_nodes import header, settings

from pose3d_ros.benchmarks.usage import resident_mib
from pose3d_ros.models.batches import OutOfMemory
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import DeviceUnavailable
from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.messages import image_to_message
from pose3d_ros.nodes.stage_parameters import runtime_options
from pose3d_ros.weights import cache_dir


def said(graph: Any) -> list[str]:
    """Return a list that fills with what the nodes log."""
    lines: list[str] = []
    graph.node.create_subscription(Log, '/rosout', lambda m: lines.append(f'{m.level} {m.msg}'), 50)
    return lines


def test_two_cameras_in_a_process_share_one_detector(graph: Any) -> None:
    left = DetectorNode(namespace='left')
    gc.collect()
    before_mib = resident_mib()
    right = DetectorNode(namespace='right')
    assert right._detector is left._detector
    assert resident_mib() - before_mib < 8  # a second network took 20 MiB of weights alone
    graph.add(left, right)
    found = {side: graph.collect(PersonArray, f'/{side}/detections') for side in ('left', 'right')}
    cameras = {side: graph.publisher(Image, f'/{side}/image_raw') for side in found}
    images = {'left': people_image(), 'right': np.ascontiguousarray(people_image()[:, 540:])}
    for number in range(3):
        for side, camera in cameras.items():
            camera.publish(image_to_message(images[side], header(number)))
        for messages in found.values():
            graph.wait(lambda m=messages, n=number: len(m) > n, 'detections')
    wanted = {side: len(left._detector(image, DetectorOptions())) for side, image in images.items()}
    assert wanted['left'] > wanted['right'] > 0
    for side, messages in found.items():
        assert {len(message.persons) for message in messages} == {wanted[side]}
    # each counts the time of its own frames, not what the other spent in the network they share
    for node in (left, right):
        summary = node.accounting.summary()
        assert 0 < summary['network_ms'] <= summary['processing_ms']


def test_a_device_that_is_missing_is_refused(graph: Any) -> None:
    with pytest.raises(DeviceUnavailable, match=r"pip install 'pose3d_ros\[cuda\]'"):
        DetectorNode(**settings(device='cuda'))


def test_or_replaced_with_a_warning_if_the_parameter_says_so(graph: Any) -> None:
    lines = said(graph)
    graph.wait(lambda: graph.node.count_publishers('/rosout'), 'the log')
    node = DetectorNode(**settings(device='cuda:1', cpu_fallback=True))
    graph.add(node)
    warning = "device 'cuda:1' needs ONNX Runtime's CUDAExecutionProvider"
    graph.wait(lambda: any(warning in line for line in lines), 'the warning in the log')
    graph.wait(lambda: any('ready: yolox on CPU' in line for line in lines), 'what it runs on')


def test_the_log_says_how_far_another_device_is_from_the_cpu(graph: Any) -> None:
    lines = said(graph)
    graph.wait(lambda: graph.node.count_publishers('/rosout'), 'the log')
    graph.add(DetectorNode(**settings(device='onnxruntime', precision='f16')))
    text = 'YOLOX on onnxruntime, precision f16, against f32 on the CPU, one picture: corners of'
    graph.wait(lambda: any(text in line for line in lines), 'the comparison in the log')


def test_engines_are_kept_in_the_cache(graph: Any) -> None:
    node = DetectorNode()
    graph.add(node)  # which takes it down: it has found the images of the tests behind this one
    options = runtime_options(node, node.joined)
    assert (options.engine_dir, options.cpu_fallback) == (cache_dir() / 'tensorrt', False)


def test_a_frame_that_memory_does_not_hold_fails_and_the_next_is_taken(graph: Any) -> None:
    node = DetectorNode(namespace='small')
    detect, refused = node._detector, [True]

    def sometimes(*given: Any) -> Any:
        if refused.pop() if refused else False:
            raise OutOfMemory("device 'cuda' has not enough memory for one image: leave it more")
        return detect(*given)

    node._detector = sometimes  # type: ignore[assignment]
    node.networks = lambda: detect.networks  # type: ignore[method-assign]
    lines, diagnostics = said(graph), graph.collect(DiagnosticArray, '/diagnostics')
    graph.add(node)
    found = graph.collect(PersonArray, '/small/detections')
    camera = graph.publisher(Image, '/small/image_raw')
    camera.publish(image_to_message(people_image(), header(1)))
    graph.wait(lambda: node.accounting.summary()['failed'] == 1, 'the frame that failed')
    camera.publish(image_to_message(people_image(), header(2)))
    graph.wait(lambda: found, 'detections of the next frame')
    assert found[0].header == header(2)
    graph.wait(lambda: any('not enough memory for one image' in line for line in lines), 'the log')
    assert not any('Traceback' in line for line in lines)
    graph.wait(lambda: diagnostics, 'diagnostics')
