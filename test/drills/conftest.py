# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The table that drills fill in, printed at the end of a run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rig import LIMIT_S, Outcome, Rig

from pose3d_ros.domains import own_domain_id

_ROWS = pytest.StashKey[list[str]]()
_HEAD = (
    '| drill | images | with poses | lost in the outage | counted | not seen | unexplained '
    '| back after s | age before s | besides |\n'
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |'
)

Report = Callable[..., None]


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Return what judges an outcome and keeps its row of the table."""

    def take(what: str, outcome: Outcome | None = None, besides: str = '') -> None:
        o = outcome
        cells = ['-'] * 8
        if o is not None:
            numbers = (o.sent, o.posed, o.outage, o.counted, o.unseen, o.unexplained)
            cells = [*map(str, numbers), f'{o.recovery_s:.2f}', f'{o.age_s:.2f}']
        rows = request.config.stash.setdefault(_ROWS, [])
        rows.append(f'| {what} | {" | ".join(cells)} | {besides} |')
        if o is not None:
            assert o.unexplained == 0, o
            assert o.recovery_s <= LIMIT_S + o.age_s, o

    return take


@pytest.fixture(scope='module')
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Yield the graph of three processes, which the drills of a file go through in turn."""
    rig = Rig(tmp_path_factory.mktemp('graph'))
    yield rig
    rig.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of the drill's own."""
    return tmp_path


@pytest.fixture
def make_rig(folder: Path) -> Iterator[Callable[..., Rig]]:
    """Yield what makes graphs of one process that are closed when the drill is over."""
    rigs: list[Rig] = []

    def make(name: str, *arguments: str, domain: str = 'drill', **given: Any) -> Rig:
        domain_id = own_domain_id(domain)
        rigs.append(Rig(folder / name, ['pipeline'], arguments, domain_id, **given))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if rows := config.stash.get(_ROWS, []):
        terminalreporter.write_line('\n'.join(['', _HEAD, *rows]))
