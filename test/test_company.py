# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Networks that share the cores with others of their process, and have them when they are alone."""

from typing import Any

import numpy as np
import pytest
from flow import Fakes, FakeStage, Source, put_in, settings
from real import people_image
from test_flow import settled, with_camera

from pose3d_ros import weights
from pose3d_ros.models import openvino_session
from pose3d_ros.models.company import at_work, is_alone
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.models.yolox import YOLOX
from pose3d_ros.msg import Pose3DArray
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.stage_parameters import runtime_options


def test_who_computes_is_alone_until_another_does() -> None:
    assert is_alone()
    with at_work():
        assert is_alone()
        with at_work():
            assert not is_alone()
        assert is_alone()
        with pytest.raises(RuntimeError), at_work():
            raise RuntimeError
        assert is_alone()


class Compiled:
    """Notes how many threads a call has of what is compiled, and of what is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: list[int] = []
        self.called: list[int] = []
        compiled, requests = openvino_session._compiled, openvino_session._requests

        def compile_counted(*given: Any) -> Any:
            *_, threads, streams = given
            self.threads.append(threads // streams)
            return compiled(*given)

        def wrapped(network: Any, number: int) -> Any:
            threads, queue = self.threads[-1], requests(network, number)
            get = queue.get

            class Queue:
                put = queue.put

                @staticmethod
                def get() -> Any:
                    self.called.append(threads)
                    return get()

            return Queue()

        monkeypatch.setattr(openvino_session, '_compiled', compile_counted)
        monkeypatch.setattr(openvino_session, '_requests', wrapped)


@pytest.mark.parametrize(
    ('options', 'alone', 'shared'),
    [
        (RuntimeOptions(threads=2, company=True), 2, 1),
        (RuntimeOptions(threads=1, company=True), 1, 1),
        (RuntimeOptions(threads=2, streams=2, company=True), 2, 1),
        (RuntimeOptions(threads=2), 2, 2),
    ],
)
def test_a_call_takes_all_threads_or_its_share(
    options: RuntimeOptions,
    alone: int,
    shared: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = Compiled(monkeypatch)
    detector = YOLOX(weights.path('yolox_tiny'), options)
    assert sorted(compiled.threads) == sorted({alone, shared})
    image, wanted = people_image(), DetectorOptions()
    with at_work():  # itself
        found = detector(image, wanted)
        with at_work():  # and somebody else
            beside = detector(image, wanted)
    assert compiled.called == [alone, shared]
    assert len(found)
    np.testing.assert_allclose(beside.boxes, found.boxes, atol=0.1)


def test_both_are_warmed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = Compiled(monkeypatch)
    options = RuntimeOptions(threads=2, company=True, max_batch=2)
    RTMPose(weights.path('rtmpose_s'), options).network.warm_up()
    assert compiled.called == [2, 1] * 2


@pytest.mark.parametrize('streams', [1, 2])
def test_the_stages_of_a_pipeline_have_company(streams: int, graph: Any) -> None:
    node = DetectorNode(**settings(streams=streams, autostart=False))
    graph.add(node)
    assert runtime_options(node, joined=True).company
    assert not runtime_options(node, joined=False).company


def test_stages_of_a_pipeline_know_when_others_compute(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes: Fakes = put_in(monkeypatch)
    alone: dict[str, list[bool]] = {'detector': [], 'rootnet': [], 'posenet': []}
    for name, told in alone.items():
        stage: FakeStage = getattr(fakes, name)
        work = stage.work

        def told_work(work: Any = work, told: list[bool] = told) -> None:
            told.append(is_alone())
            work()

        monkeypatch.setattr(stage, 'work', told_work)
    stages = with_camera(graph, tuple(make_pipeline()))
    assert all(stage.joined for stage in stages)
    poses, source = graph.collect(Pose3DArray, 'poses'), Source(graph)
    for number in range(3):  # one after the other
        source.image()
        graph.wait(lambda n=number: len(poses) == n + 1, 'its poses')
    assert all(told == [True] * 3 for told in alone.values())
    fakes.posenet.gate.clear()
    source.image()
    graph.wait(lambda: fakes.posenet.calls == 4, 'work on the poses of the fourth')
    source.image()  # whose roots wait for posenet
    graph.wait(lambda: fakes.rootnet.calls == 5 and not fakes.rootnet.inside, 'its roots')
    assert (alone['detector'][-1], alone['rootnet'][-1]) == (False, False)
    fakes.posenet.gate.set()
    graph.wait(lambda: settled(stages) and len(poses) == 5, 'the rest')
    # rootnet, whose results waited for room behind it, did not count meanwhile
    assert alone['posenet'] == [True] * 5
    assert is_alone()
