# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Changes of whole inputs: the ones that a fuzzer of single bytes seldom finds.

Every function takes bytes and a source of chance, and returns other bytes. Hypothesis and the
coverage-guided fuzzer share them (test_fuzz.py, fuzz.py).
"""

import json
import os
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from rclpy.serialization import deserialize_message, serialize_message

os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'  # or a message takes a value that its field cannot have

Mutation = Callable[[bytes, Random], bytes]

#: JSON in the place of a value: no number, no finite number, none that fits, too deep, too long.
JSON_VALUES = (
    'null', 'true', '0', '-1', '7', '1e300', '-1e300', '1e999', 'NaN', '-Infinity', '1' + '0' * 400,
    '1' * 5000, '99999999999999999999', '0.5', '""', '"x"', '"12"', '"\\ud800"', '"../../x"', '[]',
    '{}', '[[]]', '[1]', '{"id": 1}', '[null]', '[1, [2]]', '[' * 5000 + ']' * 5000,
    '{"a":' * 5000 + '1' + '}' * 5000,
)  # fmt: skip
_BOMB = '[&a [9,9,9,9,9,9,9,9,9,9]' + ''.join(
    f', &{name} [{", ".join([f"*{before}"] * 10)}]'
    for before, name in zip('abcdefgh', 'bcdefghi', strict=True)
)
#: YAML is a superset of JSON. The last one names a list of a thousand million numbers.
YAML_VALUES = (
    *JSON_VALUES, '.inf', '-.inf', '.nan', '2020-13-45', '2020-01-01', '!!binary aGk=', '*none',
    '&a [*a]', '1:59:59', '0x' + 'f' * 5000, '!!python/object/apply:os.getcwd []', '!!set {a, b}',
    _BOMB + ']', _BOMB + ', *i]',
)  # fmt: skip
_NUMBERS = (0, 1, 2, 3, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


def bytes_changed(data: bytes, random: Random) -> bytes:
    """Return the data with a few bytes replaced, put in or taken out, or its end cut off."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(changed))
        kind = random.randint(0, 4)
        if kind == 0:
            changed[at : at + 1] = bytes([random.randint(0, 255)])
        elif kind == 1:
            changed[at : at + 4] = random.choice(_NUMBERS).to_bytes(4, 'little')
        elif kind == 2:
            del changed[at : at + random.randint(1, 16)]
        elif kind == 3:
            changed[at:at] = changed[at : at + random.randint(1, 64)]
        else:
            del changed[at:]
    return bytes(changed)


def document_changed(values: Sequence[str]) -> Mutation:
    """Return what puts one of `values` in a chance place of a JSON document, or takes it out."""

    def change(data: bytes, random: Random) -> bytes:
        try:
            document = json.loads(data)
            places = _places(document)
        except (ValueError, RecursionError):  # of an earlier change
            return bytes_changed(data, random)
        if not places or random.random() < 0.1:
            return bytes_changed(data, random)
        holder, key = random.choice(places)
        if random.random() < 0.2:
            del holder[key]
            return json.dumps(document).encode()
        holder[key] = '@here@'
        value = random.choice(values)
        return json.dumps(document).replace('"@here@"', value, 1).encode()

    return change


def _places(node: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Return (object or list, key or index) of every value, of the shallow ones more often.

    Or nearly all changes of a table of numbers would be of one of its numbers.
    """
    if not isinstance(node, dict | list):
        return []
    keys = list(node) if isinstance(node, dict) else range(len(node))
    found = [(node, key) for key in keys] * max(1, 8 - 3 * depth)
    for key in keys:
        found += _places(node[key], depth + 1)
    return found


_FIELD_VALUES: tuple[Any, ...] = (
    0, 1, 2, 3, 7, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1, -1, 0.0, -0.0, 1e-320, 1e300, -1e300,
    float('inf'), float('nan'), True, '', 'x', 'bgr8', 'yuv422', 'bayer_rggb8', 'mono16', 'rgb16',
    'plumb_bob', 'equidistant', 'jpeg', [], [0.0], [float('nan')] * 9, [1e300] * 12, [0.0] * 9,
    [0.1] * 4, [1e9] * 5, [1e9] * 14, [1], [65535] * 3, ['', ''],
)  # fmt: skip


def message_changed(message_type: type) -> Mutation:
    """Return what sets a chance field of a serialised message, at any depth, to a chance value."""

    def change(data: bytes, random: Random) -> bytes:
        if random.random() < 0.5:
            return bytes_changed(data, random)
        try:
            message = deserialize_message(data, message_type)
        except RuntimeError:  # of an earlier change
            return bytes_changed(data, random)
        _set_some_field(message, random)
        return bytes(serialize_message(message))

    return change


def _set_some_field(message: Any, random: Random) -> None:
    name = random.choice(list(message.get_fields_and_field_types()))
    value = getattr(message, name)
    inner = value if isinstance(value, list) else [value]
    messages = [one for one in inner if hasattr(one, 'get_fields_and_field_types')]
    if messages:
        _set_some_field(random.choice(messages), random)
        if isinstance(value, list) and random.random() < 0.3:
            setattr(message, name, value * random.randint(0, 3))
        return
    for wanted in random.sample(_FIELD_VALUES, len(_FIELD_VALUES)):
        try:
            setattr(message, name, wanted)
        except (AssertionError, TypeError, OverflowError):  # of another type: the next may be of it
            continue
        return
