# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters as plain tables: name, default, description, and what values are taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    :param fixed: read once, at the start or, by a managed node, when it is configured; False = may
        change at any time.
    :param at_start: read at the start by a managed node too.
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
    at_start: bool = False

    def descriptor(self, managed: bool = False) -> ParameterDescriptor:
        """Return the description that `ros2 param describe` shows.

        :param managed: of a node that reads fixed ones each time it is configured.
        """
        descriptor = ParameterDescriptor(
            name=self.name,
            type=_TYPES[type(self.default)],
            description=self.description,
            read_only=self.at_start or (self.fixed and not managed),
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
        return f'{type(self.default).__name__}{limits}'

    def typed(self, value: Any) -> Any:
        """Return a value in the parameter's type, where it can only be meant so; else as it is.

        ROS reads 5 as an integer and true as a bool, whatever type is asked for.
        """
        if isinstance(value, bool):
            word = str(value).lower()
            return word if word in self.choices else value
        if isinstance(value, int) and isinstance(self.default, float):
            return float(value)
        return str(value) if self.number_too and isinstance(value, int | float) else value

    def fault(self, value: object) -> str:
        """Return why a value cannot be used; '' when it can."""
        if self.choices and value not in self.choices:
            return f"parameter '{self.name}' is '{value}'; choose from {', '.join(self.choices)}"
        return ''


def declare(
    node: Node, table: Sequence[Param], configured: Callable[[], bool] | None = None
) -> None:
    """Declare the parameters of a table and refuse what does not fit, now and later.

    :param configured: of a managed node, whether it has read the fixed ones; None = another node.
    :raises ParameterError: a value from the command line or a file is not one of the choices.
    """
    for param in table:
        descriptor = param.descriptor(managed=configured is not None)
        try:
            _declare(node, param, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(f"parameter '{param.name}' ({param.takes()}): {error}") from error
        fault = param.fault(value_of(node, param.name))
        if fault:
            raise ParameterError(fault)
    by_name = {param.name: param for param in table}

    def typed(change: Parameter) -> Parameter:
        param = by_name.get(change.name)
        return Parameter(change.name, value=param.typed(change.value)) if param else change

    def fault_of(change: Parameter) -> str:
        param = by_name.get(change.name)
        if param is None:
            return ''
        # the same value again is no change: `ros2 param load` sets all of a file
        locked = param.fixed and configured is not None and configured()
        if locked and change.value != value_of(node, param.name):
            return _locked(node, param.name)
        return param.fault(change.value)

    def check(changes: list[Parameter]) -> SetParametersResult:
        fault = next(filter(None, map(fault_of, changes)), '')
        return SetParametersResult(successful=not fault, reason=fault)

    node.add_pre_set_parameters_callback(lambda changes: [typed(change) for change in changes])
    node.add_on_set_parameters_callback(check)


def _declare(node: Node, param: Param, descriptor: ParameterDescriptor) -> None:
    """Declare a parameter, and read what is given for it as its type where that is meant.

    :raises InvalidParameterTypeException: it is of another type.
    :raises InvalidParameterValueException: it is out of range.
    """
    try:
        node.declare_parameter(param.name, param.default, descriptor)
    except InvalidParameterTypeException:
        # rclpy tells what was given only as a parameter of any type
        any_type = ParameterDescriptor(dynamic_typing=True)
        given = node.declare_parameter(param.name, param.default, any_type).value
        node.undeclare_parameter(param.name)
        value = param.typed(given)
        if type(value) is not type(param.default):
            raise
        node.declare_parameter(param.name, value, descriptor, ignore_override=True)


def _locked(node: Node, name: str) -> str:
    """Return why a fixed parameter of a configured node cannot change, and how it can."""
    path = node.get_fully_qualified_name()
    return (
        f"parameter '{name}' is read when the node is configured: take it back first (ros2 "
        f'lifecycle set {path} deactivate, then cleanup), set it, and configure and activate'
    )


def value_of(node: Node, name: str) -> Any:
    """Return the value of a declared parameter."""
    return node.get_parameter(name).value
