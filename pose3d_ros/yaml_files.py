# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""YAML of small files that people write: cameras, recipes, folders.

`yaml.safe_load` runs no code, but some hundred bytes can still name thousands of millions of
values (an alias of a list of aliases), and a thousand brackets end the interpreter's recursion
after seconds. Such files are refused before anything is built from them.
"""

from pathlib import Path
from typing import Any

import yaml

_LONGEST = 1000  # characters of a value; Python writes out no number of more than 4300 digits
_DEEPEST = 20  # levels; the files that are read have three or four
# libyaml where PyYAML was built with it: its time does not grow with the square of brackets
_SCANNER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


class YamlError(ValueError):
    """A file that is not YAML of the kind that is read; the message says why."""


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds, as `yaml.safe_load` does.

    :raises OSError: the file cannot be read.
    :raises YamlError: it is not YAML, has aliases, or is nested deeper or has longer values than
        any file should.
    """
    try:
        text = path.read_text(encoding='utf-8')
        _check(text)
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: of a date or number that is none
        raise YamlError(str(error)) from error


def _check(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_SCANNER):
        if isinstance(event, yaml.AliasEvent):
            raise YamlError(f'the alias *{event.anchor}: write its value out')
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _LONGEST:
            raise YamlError(f'a value of {len(event.value)} characters')
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise YamlError(f'nested more than {_DEEPEST} levels deep')
