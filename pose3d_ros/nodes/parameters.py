"""Parameters as plain tables: name, default, description, and what values are taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from pose3d_ros.models.runtime import PRECISIONS, RuntimeOptions
from pose3d_ros.stages import OwnWeights

_TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
}


class ParameterError(ValueError):
    """A parameter with a value that cannot be used; the message names both."""


@dataclass(frozen=True)
class Param:
    """One parameter of a node.

    :param name: its name.
    :param default: its default, which also says its type.
    :param description: what it does, with the unit.
    :param minimum: smallest value taken, or None.
    :param maximum: largest value taken, or None.
    :param choices: the only strings taken, or () for any.
    :param fixed: read once at the start; False = may change while the node runs.
    :param number_too: a string that may look like a number, which ROS would take for one.
    """

    name: str
    default: bool | int | float | str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    fixed: bool = True
    number_too: bool = False

    def descriptor(self) -> ParameterDescriptor:
        """Return the description that `ros2 param describe` shows."""
        descriptor = ParameterDescriptor(
            name=self.name,
            type=_TYPES[type(self.default)],
            description=self.description,
            read_only=self.fixed,
            dynamic_typing=self.number_too,
        )
        if self.choices:
            descriptor.additional_constraints = 'one of: ' + ', '.join(self.choices)
        if self.minimum is not None and self.maximum is not None:
            if isinstance(self.default, int):
                limits = IntegerRange(from_value=int(self.minimum), to_value=int(self.maximum))
                descriptor.integer_range = [limits]
            else:
                limits = FloatingPointRange(
                    from_value=float(self.minimum), to_value=float(self.maximum)
                )
                descriptor.floating_point_range = [limits]
        return descriptor

    def takes(self) -> str:
        """Return what values are taken, in words."""
        limits = '' if self.minimum is None else f' from {self.minimum:g} to {self.maximum:g}'
        example = ', such as 1.0' if isinstance(self.default, float) else ''
        return f'{type(self.default).__name__}{limits}{example}'

    def fault(self, value: object) -> str:
        """Return why a value cannot be used; '' when it can."""
        if self.choices and value not in self.choices:
            return f"parameter '{self.name}' is '{value}'; choose from {', '.join(self.choices)}"
        return ''


def declare(node: Node, table: Sequence[Param]) -> None:
    """Declare the parameters of a table and refuse what does not fit, now and later.

    :raises ParameterError: a value from the command line or a file is not one of the choices.
    """
    for param in table:
        try:
            node.declare_parameter(param.name, param.default, param.descriptor())
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(f"parameter '{param.name}' ({param.takes()}): {error}") from error
        fault = param.fault(value_of(node, param.name))
        if fault:
            raise ParameterError(fault)
    by_name = {param.name: param for param in table}

    def check(changes: list[Parameter]) -> SetParametersResult:
        for change in changes:
            fault = by_name[change.name].fault(change.value) if change.name in by_name else ''
            if fault:
                return SetParametersResult(successful=False, reason=fault)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def value_of(node: Node, name: str) -> Any:
    """Return the value of a declared parameter."""
    return node.get_parameter(name).value


#: What every stage takes.
STAGE = (
    Param('device', 'CPU', 'where the networks run: CPU, GPU, or one of several as GPU.1'),
    Param(
        'precision',
        'auto',
        'precision of the networks; auto = bf16 where the processor computes in it and the '
        'network keeps its accuracy',
        choices=PRECISIONS,
    ),
    Param(
        'threads',
        0,
        'processor threads of each network; 0 = one for each core. Fewer leave cores to others; '
        'images get older, as each network takes longer',
        0,
        256,
    ),
    Param('max_batch', 16, 'crops computed at once at the most', 1, 256),
    Param('weights_dir', '', "folder of the weight files; '' = where `pose3d fetch` puts them"),
    Param(
        'image_transport',
        'raw',
        'raw: Image on the image topic; compressed: CompressedImage on its /compressed',
        choices=('raw', 'compressed'),
    ),
    Param('buffer', 16, 'images that wait for their people, each as large as it is', 1, 256),
    Param(
        'warn_after_s',
        5.0,
        'seconds without an input after which a warning names its topic and publishers',
        1.0,
        3600.0,
    ),
)

#: What the stages that need a camera take besides.
CAMERA = (
    Param(
        'field_of_view_deg',
        0.0,
        'angle that the longer image side of a camera without calibration spans; camera_info is '
        'not used then; 0 = use camera_info',
        0.0,
        179.0,
    ),
    Param(
        'assumed_focal_px',
        0.0,
        'focal length that is assumed for an unknown camera, pixels (1500 by the authors of '
        '3DMPPE); camera_info is not used then; results can be rescaled; 0 = use camera_info',
        0.0,
        1e6,
    ),
    Param(
        'rectified',
        'auto',
        'whether images are rectified (then P of camera_info counts and there is no distortion); '
        "auto = the image topic's name has 'rect' in it",
        choices=('auto', 'true', 'false'),
    ),
)


#: What the stages take that can run on weights of the user's own.
OWN_WEIGHTS = (
    Param(
        'weights',
        '',
        'weights for model 3dmppe: a snapshot_EPOCH.pth.tar, a folder of them, or an .onnx file of '
        "`pose3d export`; '' = none",
    ),
    Param('epoch', -1, 'which snapshot of a folder; -1 = the last', -1, 1_000_000),
)


def runtime_options(node: Node) -> RuntimeOptions:
    """Return device, precision, batch and threads from the parameters."""
    return RuntimeOptions(
        value_of(node, 'device'),
        value_of(node, 'precision'),
        value_of(node, 'max_batch'),
        value_of(node, 'threads'),
    )


def weights_dir(node: Node) -> Path | None:
    """Return the folder of the weights; None = the default one."""
    value = value_of(node, 'weights_dir')
    return Path(value).expanduser() if value else None


def own_weights(node: Node) -> OwnWeights:
    """Return the user's own weights, as the parameters name them."""
    path = value_of(node, 'weights')
    epoch = value_of(node, 'epoch') if node.has_parameter('epoch') else -1
    flip_test = node.has_parameter('flip_test') and value_of(node, 'flip_test')
    return OwnWeights(
        Path(path).expanduser() if path else None, None if epoch < 0 else epoch, flip_test
    )
