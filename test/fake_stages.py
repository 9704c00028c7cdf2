# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Stages without networks for the commands, which load them from the tables of stages."""

from collections.abc import Callable
from typing import Any

import pytest

from pose3d_ros import stages
from pose3d_ros.cli import models
from pose3d_ros.skeletons import BLAZEPOSE


class FakeStage:
    """A stage that is one function."""

    networks = ()
    skeleton = BLAZEPOSE

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *given: Any) -> Any:
        return self._call(*given)

    def check(self, _options: object) -> None: ...


class FakeNetwork:
    """What a fake stage says that it runs.

    :param precision: that it would compute in.
    """

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.busy_s = 0.0


def put_in(monkeypatch: pytest.MonkeyPatch, fakes: Any) -> None:
    """Let commands load the functions `detect`, `root` and `pose` of `fakes` as default stages."""
    for table, name, call in (
        (stages.DETECTORS, 'yolox', fakes.detect),
        (stages.ROOTNETS, 'keypoints', fakes.root),
        (stages.POSENETS, 'blazepose', fakes.pose),
    ):
        monkeypatch.setitem(table, name, lambda *_given, call=call: FakeStage(call))  # type: ignore[arg-type]
    monkeypatch.setattr(models, 'STAGE_WEIGHTS', {})
