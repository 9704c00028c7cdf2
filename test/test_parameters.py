# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters: described, ranged, changed where that makes sense, and refused with a reason."""

from pathlib import Path
from typing import Any

import pytest
from flow import Fakes, put_in, settings
from managing import Manager
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter

from pose3d_ros.cli import main
from pose3d_ros.nodes import detector, player, posenet, recorder, rootnet
from pose3d_ros.nodes.detector import DetectorNode
from pose3d_ros.nodes.parameters import Param, ParameterError, value_of
from pose3d_ros.nodes.posenet import PoseNetNode
from pose3d_ros.nodes.rootnet import RootNetNode
from pose3d_ros.nodes.stage_parameters import STAGE
from pose3d_ros.stages import DETECTORS

TABLES = {
    'stage': STAGE,
    **{
        module.__name__: module.PARAMETERS
        for module in (detector, player, posenet, recorder, rootnet)
    },
}
NODES = {'detector': DetectorNode, 'rootnet': RootNetNode, 'posenet': PoseNetNode}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return the stages that the nodes load instead of networks."""
    return put_in(monkeypatch)


@pytest.mark.parametrize(
    'param',
    [pytest.param(p, id=f'{name}.{p.name}') for name, table in TABLES.items() for p in table],
)
def test_each_is_described_and_its_numbers_have_a_range(param: Param) -> None:
    assert len(param.description) > 10
    is_number = isinstance(param.default, int | float) and not isinstance(param.default, bool)
    assert (param.minimum is not None) == (param.maximum is not None) == is_number
    if param.minimum is not None and param.maximum is not None:
        assert param.minimum <= param.default <= param.maximum  # type: ignore[operator]
    if param.choices:
        assert param.default in param.choices


def test_the_page_of_parameters_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    """Mend it by `pose3d parameters > docs/parameters.md`."""
    assert main(['parameters']) == 0
    page = Path(__file__).parent.parent / 'docs' / 'parameters.md'
    assert capsys.readouterr().out == page.read_text()


@pytest.mark.parametrize('name', NODES)
def test_a_node_tells_others_what_each_is(graph: Any, fakes: Fakes, name: str) -> None:
    node = NODES[name]()
    graph.add(node)
    table = (*STAGE, *TABLES[f'pose3d_ros.nodes.{name}'])
    client = graph.node.create_client(DescribeParameters, f'/{name}/describe_parameters')
    graph.wait(client.service_is_ready, 'the service')
    answer = client.call_async(DescribeParameters.Request(names=[param.name for param in table]))
    graph.wait(answer.done, 'the descriptions')
    for param, told in zip(table, answer.result().descriptors, strict=True):
        assert told.description == param.description
        # the others may change once the node is cleaned up
        assert told.read_only == (param.name == 'autostart')
        ranges = [*told.floating_point_range, *told.integer_range]
        assert [(r.from_value, r.to_value) for r in ranges] == (
            [] if param.minimum is None else [(param.minimum, param.maximum)]
        )
        assert ('one of: ' in told.additional_constraints) == bool(param.choices)


def test_what_the_networks_rest_on_changes_only_while_they_are_not_loaded(
    graph: Any, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    for model in ('yolox', 'detr'):
        monkeypatch.setitem(
            DETECTORS, model, lambda *_, m=model: loaded.append(m) or fakes.detector
        )
    node = DetectorNode(**settings(autostart=False))
    graph.add(node)
    manager = Manager(graph, 'detector')
    client = graph.node.create_client(SetParameters, '/detector/set_parameters')
    graph.wait(client.service_is_ready, 'the service')

    def set_to(name: str, value: Any) -> str:
        """Set a parameter as `ros2 param set` does; return why it was refused."""
        given = Parameter(name, value=value).to_parameter_msg()
        answer = client.call_async(SetParameters.Request(parameters=[given]))
        graph.wait(answer.done, 'the answer')
        (result,) = answer.result().results
        assert result.successful == (not result.reason)
        return str(result.reason)

    assert set_to('model', 'detr') == '' == set_to('device', 'GPU')
    assert set_to('device', 'CPU') == ''
    assert "'model' is 'nonsense'; choose from yolox" in set_to('model', 'nonsense')
    assert manager.change('configure')
    for name, value in (('model', 'yolox'), ('device', 'GPU'), ('track', False), ('threads', 2)):
        refusal = set_to(name, value)
        assert f"'{name}' is read when the node is configured" in refusal
        assert 'ros2 lifecycle set /detector deactivate, then cleanup' in refusal
    assert set_to('model', 'detr') == ''  # what it is already, as from a file of all
    assert manager.change('cleanup') and set_to('model', 'yolox') == ''
    assert manager.change('configure') and loaded == ['detr', 'yolox']
    assert 'read_only' in set_to('autostart', True) or 'read-only' in set_to('autostart', True)


@pytest.mark.parametrize('state', ['unconfigured', 'active'])
def test_what_may_change_at_any_time_counts_from_the_next_frame_on(
    graph: Any, fakes: Fakes, state: str
) -> None:
    node = DetectorNode(**settings(autostart=state == 'active'))
    graph.add(node)
    good = {'score_threshold': 0.7, 'max_people': 3, 'keep': 'nearest', 'detect_every': 5}
    for name, value in good.items():
        (result,) = node.set_parameters([Parameter(name, value=value)])
        assert result.successful, name
    options = node._options()
    assert (options.score_threshold, options.max_people, options.keep) == (0.7, 3, 'nearest')
    bad = {'score_threshold': 1.5, 'max_people': 0, 'keep': 'some', 'warn_age_ms': -1.0}
    for name, value in bad.items():
        (result,) = node.set_parameters([Parameter(name, value=value)])
        assert not result.successful and result.reason, name
    assert node._options() == options


def test_a_double_may_be_written_without_a_point(graph: Any, fakes: Fakes) -> None:
    node = DetectorNode(**settings(autostart=False, max_age_ms=500, score_threshold=1))
    graph.add(node)
    assert repr(value_of(node, 'max_age_ms')) == '500.0'
    assert repr(value_of(node, 'score_threshold')) == '1.0'
    assert node.describe_parameter('max_age_ms').type == ParameterType.PARAMETER_DOUBLE
    (result,) = node.set_parameters([Parameter('max_age_ms', value=60)])
    assert result.successful and repr(value_of(node, 'max_age_ms')) == '60.0'
    for value in (-1, 60001, True, '60', [60]):
        (result,) = node.set_parameters([Parameter('max_age_ms', value=value)])
        assert not result.successful, value
    assert repr(value_of(node, 'max_age_ms')) == '60.0'


def test_a_choice_of_true_and_false_may_be_a_bool(graph: Any, fakes: Fakes) -> None:
    node = RootNetNode(**settings(autostart=False, rectified=True))
    graph.add(node)
    assert value_of(node, 'rectified') == 'true'
    (result,) = node.set_parameters([Parameter('rectified', value=False)])
    assert result.successful and value_of(node, 'rectified') == 'false'
    (result,) = node.set_parameters([Parameter('device', value=True)])
    assert not result.successful


@pytest.mark.parametrize(
    ('given', 'reason'),
    [
        ({'max_age_ms': True}, r"'max_age_ms' \(float from 0 to 60000\).*'DOUBLE'"),
        ({'max_age_ms': 60001}, r"'max_age_ms' \(float from 0 to 60000\).*out of range"),
        ({'max_people': 3.0}, r"'max_people' \(int from 1 to 1000\).*'INTEGER'"),
        ({'max_people': True}, r"'max_people' \(int from 1 to 1000\).*'INTEGER'"),
        ({'weights_dir': 5}, r"'weights_dir' \(str\).*'STRING'"),
        ({'model': True}, r"'model' \(str\).*'STRING'"),
    ],
)
def test_another_type_is_refused_at_the_start(
    graph: Any, fakes: Fakes, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ParameterError, match=reason):
        DetectorNode(**settings(**given))


def test_the_number_of_a_webcam_is_a_source() -> None:
    (source,) = (param for param in player.PARAMETERS if param.name == 'source')
    assert source.typed(0) == '0' and source.typed('0') == '0'
    assert source.typed(True) is True


def test_parameters_that_need_each_other_are_looked_at_together(graph: Any, fakes: Fakes) -> None:
    node = DetectorNode(**settings(autostart=False, detect_every=5))
    graph.add(node)
    (refused,) = node.set_parameters([Parameter('track', value=False)])
    assert not refused.successful and "'detect_every' is 5, but 'track' is false" in refused.reason
    both = [Parameter('track', value=False), Parameter('detect_every', value=1)]
    assert node.set_parameters_atomically(both).successful
