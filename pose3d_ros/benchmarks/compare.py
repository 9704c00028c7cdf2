# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compare the files that two runs of a benchmark wrote with --out: ratios, row by row."""

import argparse
import json
from collections import Counter
from collections.abc import Hashable, Iterable
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
    mine, others = (
        dict(zip(_counted(table['title'] for table in run['tables']), run['tables'], strict=True))
        for run in (first, second)
    )
    tables = [_machines(first['machine'], second['machine'])]
    tables += [_ratios(table, others[title]) for title, table in mine.items() if title in others]
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
    """Return B / A of every number; rows belong together by their keys, columns by name."""
    keys = _keys(first)
    others = dict(zip(_counted(_row_keys(second, keys)), second['rows'], strict=True))
    places = {name: i for i, name in enumerate(_counted(second['columns']))}
    columns = [places.get(name) for name in _counted(first['columns'])]
    rows: list[tuple[str | float, ...]] = []
    for key, row in zip(_counted(_row_keys(first, keys)), first['rows'], strict=True):
        other = others.get(key)
        if other is not None:
            values = (None if place is None else other[place] for place in columns)
            ratios = [_ratio(*pair) for pair in zip(row, values, strict=True)]
            rows.append((*row[:keys], *ratios[keys:]))
    return Table(
        first['title'],
        tuple((name, _format(first, i, keys)) for i, name in enumerate(first['columns'])),
        rows,
        f'B / A; {len(rows)} of {len(first["rows"])} rows are in both.',
        keys,
    )


def _keys(table: dict[str, Any]) -> int:
    """Return how many of the first columns say what a row is of."""
    said: int | None = table.get('keys')
    if said is not None:
        return said
    texts = [_is_text(table, i) for i in range(len(table['columns']))]
    return [*texts, False].index(False)


def _row_keys(table: dict[str, Any], keys: int) -> Iterable[tuple[Any, ...]]:
    return (tuple(row[:keys]) for row in table['rows'])


def _counted(names: Iterable[Hashable]) -> list[tuple[Hashable, int]]:
    """Return each name with how often it was there before, which tells equal ones apart."""
    seen: Counter[Hashable] = Counter()
    counted = []
    for name in names:
        counted.append((name, seen[name]))
        seen[name] += 1
    return counted


def _is_text(table: dict[str, Any], column: int) -> bool:
    return all(isinstance(row[column], str) for row in table['rows'])


def _format(table: dict[str, Any], column: int, keys: int) -> str:
    if _is_text(table, column):
        return ''
    return 'g' if column < keys else '.3f'


def _ratio(first: Any, second: Any) -> str | float:
    if isinstance(first, str):
        return first if second in (first, None) else f'{first}, {second}'
    if first is None or second is None:
        return float('nan')
    if first == second:
        return 1.0  # also of nothing, such as lost frames
    return float(second / first) if first else float('nan')
