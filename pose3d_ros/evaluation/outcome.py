# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation says: runs side by side, as JSON, Markdown tables and a plot."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose3d_ros.tables import Table


@dataclass(frozen=True)
class Metric:
    """One of the numbers of a table.

    :param name: as the papers call it.
    :param unit: 'mm' or '%'.
    :param higher_is_better: else lower.
    """

    name: str
    unit: str
    higher_is_better: bool = False

    @property
    def label(self) -> str:
        """Return name and unit."""
        return f'{self.name} {self.unit}'


@dataclass(frozen=True)
class Run:
    """What one predictor reached in one way of running it.

    :param name: what predicted: the weights, or the rule of a trivial predictor.
    :param boxes: where the boxes came from.
    :param roots: where the roots came from; '' = boxes alone were given.
    :param values: (groups, metrics), NaN = nobody there.
    :param total: (metrics,) over all, averaged as the protocol has it.
    """

    name: str
    boxes: str
    roots: str
    values: tuple[tuple[float, ...], ...]
    total: tuple[float, ...]


@dataclass(frozen=True)
class Evaluation:
    """The runs of one protocol on one data set.

    :param protocol: what is scored and how, in one line.
    :param data: name of the data set and split.
    :param metrics: the first is the one that the protocol is known by.
    :param groups: the actions or sequences, in the published order; () = the data has none.
    :param people: how many are scored, of each group and in all.
    :param total_name: what the last row of the tables is.
    :param runs: that were scored, of the same people.
    :param notes: what a reader has to know to read the numbers right.
    """

    protocol: str
    data: str
    metrics: tuple[Metric, ...]
    groups: tuple[str, ...]
    people: tuple[int, ...]
    total_name: str
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()

    def joined(self, other: 'Evaluation') -> 'Evaluation':
        """Return the runs of both, of the same protocol on the same people.

        :raises ValueError: they are not of the same.
        """
        mine, theirs = (
            (e.protocol, e.data, e.metrics, e.groups, e.people, e.total_name) for e in (self, other)
        )
        if mine != theirs:
            raise ValueError(f'{self.data}: runs of other people or protocols cannot be compared')
        notes = tuple(dict.fromkeys(self.notes + other.notes))
        return Evaluation(*mine, runs=self.runs + other.runs, notes=notes)

    def tables(self) -> list[Table]:
        """Return the totals, a run a row, and for each run its groups."""
        return [self._totals(), *(self._groups(run) for run in self.runs if self.groups)]

    def _totals(self) -> Table:
        columns = [('predictor', ''), ('boxes', ''), ('roots', ''), ('people', 'd')]
        columns += [(metric.label, '.1f') for metric in self.metrics]
        rows: list[tuple[str | float, ...]] = [
            (run.name, run.boxes, run.roots or '-', self.people[-1], *run.total)
            for run in self.runs
        ]
        title = f'{self.data}: {self.protocol}'
        return Table(title, tuple(columns), rows, '\n'.join(self.notes))

    def _groups(self, run: Run) -> Table:
        columns = (
            ('', ''), ('people', 'd'), *((metric.label, '.1f') for metric in self.metrics),
        )  # fmt: skip
        rows: list[tuple[str | float, ...]] = [
            (group, n, *values)
            for group, n, values in zip(
                (*self.groups, self.total_name), self.people, (*run.values, run.total), strict=True
            )
        ]
        roots = f', roots: {run.roots}' if run.roots else ''
        return Table(f'{run.name} (boxes: {run.boxes}{roots})', columns, rows)

    def markdown(self) -> str:
        """Return all tables as Markdown."""
        return '\n\n'.join(table.markdown() for table in self.tables()) + '\n'

    def to_json(self) -> str:
        """Return everything as JSON; NaN is null."""
        return json.dumps(_without_nan(asdict(self)), indent=1, allow_nan=False) + '\n'

    @classmethod
    def from_json(cls, text: str) -> 'Evaluation':
        """Return what `to_json` wrote."""
        data = json.loads(text)
        runs = (
            Run(
                run['name'],
                run['boxes'],
                run['roots'],
                tuple(_numbers(values) for values in run['values']),
                _numbers(run['total']),
            )
            for run in data['runs']
        )
        return cls(
            data['protocol'],
            data['data'],
            tuple(Metric(**metric) for metric in data['metrics']),
            tuple(data['groups']),
            tuple(data['people']),
            data['total_name'],
            tuple(runs),
            tuple(data['notes']),
        )

    def plot(self, path: Path) -> None:
        """Write bars of the first metric, group by group and in total, as PNG."""
        from matplotlib.figure import Figure

        names = [*self.groups, self.total_name]
        figure = Figure(figsize=(max(6.0, 1.5 + 0.6 * len(names)), 4.5), layout='constrained')
        axes = figure.subplots()
        width = 0.8 / len(self.runs)
        for i, run in enumerate(self.runs):
            heights = [values[0] for values in (*run.values, run.total)]
            roots = f', roots: {run.roots}' if run.roots else ''
            axes.bar(
                np.arange(len(names)) + (i - (len(self.runs) - 1) / 2) * width,
                heights,
                width,
                label=f'{run.name} (boxes: {run.boxes}{roots})',
            )
        axes.set_xticks(range(len(names)), names, rotation=60, ha='right')
        better = 'higher' if self.metrics[0].higher_is_better else 'lower'
        axes.set_ylabel(f'{self.metrics[0].label} ({better} is better)')
        axes.set_title(self.data)
        figure.legend(loc='outside lower center', fontsize='small')
        figure.savefig(path, dpi=120, format='png')


def _numbers(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else value for value in values)


def _without_nan(value: Any) -> Any:
    """Return nested dicts and tuples with None for NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
