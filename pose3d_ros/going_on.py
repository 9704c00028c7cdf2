# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether a run can be gone on with, so that the result is that of one run.

A record of a run is a dictionary that JSON holds, with what its numbers depend on: `settings`, and
what these leave open, `precisions` and `versions`.
"""

import json
import platform
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import openvino as ov

from pose3d_ros import __version__
from pose3d_ros.offline import Stages

# Versions that decide over digits: how an image goes in and what is made of what comes out, and how
# networks are computed.
_DECISIVE = ('pose3d_ros', 'openvino')


def record_of(settings: dict[str, Any], stages: Stages) -> dict[str, Any]:
    """Return the record of a run that begins."""
    return {'settings': settings, 'precisions': stages.precisions, 'versions': _versions()}


def _versions() -> dict[str, str]:
    return {
        'pose3d_ros': __version__,
        'numpy': np.__version__,
        'opencv': cv2.__version__,
        'openvino': ov.__version__,
        'python': platform.python_version(),
    }


def other_settings(record: Mapping[str, Any], settings: Mapping[str, Any], remedy: str) -> str:
    """Return why other settings cannot go on with a run; '' = they can.

    A precision that is named is no other one than 'auto', if that came to it in all networks.
    """
    old = dict(record['settings'])
    if old.get('precision') == 'auto' and settings['precision'] == _precision(record):
        old['precision'] = settings['precision']
    changes = _differences(old, settings)
    return changes and f'holds a run with other settings; give {remedy}:{changes}'


def other_computing(record: Mapping[str, Any], stages: Stages, remedy: str) -> str:
    """Return why stages cannot go on with a run of their settings; '' = they can.

    Precision 'auto' is another one on another machine, and versions differ in digits.
    """
    versions = _versions()
    changes = _differences(
        {f'version of {name}': record['versions'].get(name) for name in _DECISIVE},
        {f'version of {name}': versions[name] for name in _DECISIVE},
    )
    if not changes and (precision := _precision(record)):
        remedy = f'--precision {precision}, {remedy}'
    changes += _differences(
        {f'precision of the {stage}': p for stage, p in record['precisions'].items()},
        {f'precision of the {stage}': p for stage, p in stages.precisions.items()},
    )
    return changes and f'holds a run that was computed otherwise; give {remedy}:{changes}'


def _precision(record: Mapping[str, Any]) -> str:
    """Return the precision that all networks of a run computed in; '' = there are several."""
    found = {precision for stage in record['precisions'].values() for precision in stage}
    return str(found.pop()) if len(found) == 1 else ''


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return what differs, in words, each in a line of its own."""
    keys = [*old, *(key for key in new if key not in old)]
    return ''.join(
        f'\n  {key} was {json.dumps(old.get(key))}, now {json.dumps(new.get(key))}'
        for key in keys
        if old.get(key) != new.get(key)
    )
