# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a stage says in /diagnostics: its levels, in the form of diagnostic_updater."""

from collections.abc import Iterator, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from pose3d_ros.nodes.accounting import Accounting, Recent
from pose3d_ros.nodes.inputs import Input
from pose3d_ros.nodes.parameters import value_of

# A node that has just begun has no rate yet.
_SETTLED_S = 2.0

_LEVELS = (
    (DiagnosticStatus.ERROR, 'error_age_ms', 'error_rate_hz'),
    (DiagnosticStatus.WARN, 'warn_age_ms', 'warn_rate_hz'),
)

#: What becomes of a frame that has no result, and is not replaced by a newer one -> its level.
_LOSSES = {
    'failed': DiagnosticStatus.ERROR,
    'lost': DiagnosticStatus.WARN,
    'skipped': DiagnosticStatus.WARN,
    'unmatched': DiagnosticStatus.WARN,
    'stale': DiagnosticStatus.WARN,
}


def status(
    node: Node, task: str, level: bytes, message: str, values: Mapping[str, object], device: str
) -> DiagnosticStatus:
    """Return the status of one task of a node, named as diagnostic_updater does."""
    return DiagnosticStatus(
        level=level,
        name=f'{node.get_fully_qualified_name().lstrip("/")}: {task}',
        message=message,
        hardware_id=device,
        values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
    )


def frame_values(message: DiagnosticArray) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the nodes that tell of their frames, and what they tell."""
    for one in message.status:
        node, _, task = one.name.partition(': ')
        if task == 'frames':
            yield node, {pair.key: pair.value for pair in one.values}


def beyond_limits(node: Node, recent: Recent) -> tuple[bytes, str]:
    """Return the level that rate and age give by the parameters, and which limit is passed."""
    for level, age, rate in _LEVELS:
        limit_ms, limit_hz = value_of(node, age), value_of(node, rate)
        if limit_ms and recent.age_ms > limit_ms:
            return level, f"images are {recent.age_ms:.0f} ms old, '{age}' is {limit_ms:g}"
        if limit_hz and recent.seconds > _SETTLED_S and recent.rate_hz < limit_hz:
            return level, f"{recent.rate_hz:.1f} results a second, '{rate}' is {limit_hz:g}"
    return DiagnosticStatus.OK, ''


class Losses:
    """What became of frames without a result, and whether there are more of them than before."""

    def __init__(self) -> None:
        self._before = dict.fromkeys(_LOSSES, 0)

    def since_last(self, counts: Accounting) -> tuple[bytes, list[str]]:
        """Return the level of what was lost since the last call, and how much is in all."""
        now = {name: int(getattr(counts, name)) for name in _LOSSES}
        levels = [level for name, level in _LOSSES.items() if now[name] > self._before[name]]
        self._before = now
        replaced = f'{counts.dropped - counts.lost} dropped'
        texts = [replaced, *(f'{count} {name}' for name, count in now.items() if count)]
        return max(levels, default=DiagnosticStatus.OK), texts


def inputs_status(node: Node, inputs: Sequence[Input], device: str) -> DiagnosticStatus:
    """Return what comes on each input, and why one that is silent may be; that is logged too.

    What does not fit into the transport is said as well.
    """
    faults = [text for one in inputs for text in (one.watch(), one.squeeze()) if text]
    level = DiagnosticStatus.WARN if faults else DiagnosticStatus.OK
    come = 'all inputs come' if inputs else 'all is handed over in this process'
    values = {one.topic: _came(one) for one in inputs}
    return status(node, 'inputs', level, '; '.join(faults) or come, values, device)


def _came(one: Input) -> str:
    if not one.count:
        return 'no message'
    size = f', {one.last_bytes / 1e6:.1f} MB' if one.last_bytes else ''
    return f'{one.count} messages, the last {one.silent_s():.1f} s ago{size}'


def _text(value: object) -> str:
    # counters to the last frame, also after days
    return f'{value:.6g}' if isinstance(value, float) else str(value)
