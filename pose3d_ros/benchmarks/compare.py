# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compare the files that two runs of a benchmark wrote with --out: ratios, row by row."""

import argparse
import json
from pathlib import Path
from typing import Any

from pose3d_ros.benchmarks import report
from pose3d_ros.tables import Table


class ResultFileError(OSError):
    """A file that no benchmark has written, or of another benchmark; the message names it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d benchmark compare`."""
    parser.add_argument('first', type=Path, metavar='A.json', help='what is 1')
    parser.add_argument('second', type=Path, metavar='B.json', help='what is compared with it')
    report.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Give the ratios out; return the exit status."""
    first, second = _read(arguments.first), _read(arguments.second)
    if first['benchmark'] != second['benchmark']:
        raise ResultFileError(
            f'{arguments.first} is of benchmark {first["benchmark"]}, {arguments.second} of '
            f'{second["benchmark"]}: they have nothing to compare'
        )
    report.give_out('compare', compared(first, second), arguments)
    return 0


def _read(path: Path) -> dict[str, Any]:
    """Return a document of report.give_out."""
    try:
        document = json.loads(path.read_text())
        if {'benchmark', 'machine', 'tables'} <= document.keys():
            return dict(document)
    except (ValueError, AttributeError):
        pass  # no JSON, or none of ours: said below
    raise ResultFileError(f'{path} was not written by `pose3d benchmark ... --out`')


def compared(first: dict[str, Any], second: dict[str, Any]) -> list[Table]:
    """Return what differs of the machines, and of each table that both have, B / A."""
    others = {table['title']: table for table in second['tables']}
    tables = [_machines(first['machine'], second['machine'])]
    for table in first['tables']:
        if table['title'] in others:
            tables.append(_ratios(table, others[table['title']]))
    if len(tables) == 1:
        titles = '; '.join(table['title'] for table in first['tables'])
        raise ResultFileError(f'the files have no table in common: the first has {titles}')
    return tables


def _machines(first: dict[str, Any], second: dict[str, Any]) -> Table:
    names = list(dict.fromkeys((*first, *second)))
    rows = [
        (name, str(first.get(name, '-')), str(second.get(name, '-')))
        for name in names
        if first.get(name) != second.get(name)
    ]
    return Table(
        'what the machines differ in' if rows else 'the same machine and versions',
        (('', ''), ('A', ''), ('B', '')),
        rows,
    )


def _ratios(first: dict[str, Any], second: dict[str, Any]) -> Table:
    """Return B / A of every number; rows belong together by their texts, columns by name."""
    others = {_key(row): dict(zip(second['columns'], row, strict=True)) for row in second['rows']}
    rows: list[tuple[str | float, ...]] = []
    texts = [all(isinstance(row[i], str) for row in first['rows'])
             for i in range(len(first['columns']))]  # fmt: skip
    for row in first['rows']:
        other = others.get(_key(row))
        if other is not None:
            cells = zip(first['columns'], row, strict=True)
            rows.append(tuple(_ratio(value, other.get(name)) for name, value in cells))
    return Table(
        first['title'],
        tuple((name, '' if text else '.3f')
              for name, text in zip(first['columns'], texts, strict=True)),
        rows,
        f'B / A; {len(rows)} of {len(first["rows"])} rows are in both.',
    )  # fmt: skip


def _key(row: list[Any]) -> tuple[str, ...]:
    return tuple(value for value in row if isinstance(value, str))


def _ratio(first: Any, second: Any) -> str | float:
    if isinstance(first, str):
        return first
    if first is None or second is None or not first:
        return float('nan')
    return float(second / first)
