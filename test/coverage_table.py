# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the tests reach of the core, the nodes and the commands; status 1 where that is too little.

coverage json -q -o - | python test/coverage_table.py
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

#: Group -> the least share of lines, and of branches, that the tests must reach, in percent.
#: Commands (cli) parse and print: they are measured, and read over rather than counted.
LEAST_PERCENT = {'core': 90.0, 'nodes': 80.0, 'cli': 0.0}
_HEAD = (
    '| part | lines | reached | % | branches | reached | % | at least, % |\n'
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
)


def group_of(path: str) -> str:
    """Return the part of the package that a file is of."""
    inside = path.rpartition('pose3d_ros/')[2]
    folder = inside.partition('/')[0]
    return folder if folder in LEAST_PERCENT else 'core'


def totals(files: Mapping[str, Any]) -> dict[str, tuple[int, int, int, int]]:
    """Return group -> its lines, those that are reached, and the same of branches.

    :param files: as `coverage json` has them.
    """
    names = 'num_statements', 'covered_lines', 'num_branches', 'covered_branches'
    groups = dict.fromkeys(LEAST_PERCENT, (0, 0, 0, 0))
    for path, file in files.items():
        group = group_of(path)
        numbers = (file['summary'][name] for name in names)
        groups[group] = tuple(a + b for a, b in zip(groups[group], numbers, strict=True))
    return groups


def table(files: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the table as Markdown, and what falls short, in words."""
    rows, short = [_HEAD], []
    for group, (lines, lines_reached, branches, branches_reached) in totals(files).items():
        least = LEAST_PERCENT[group]
        shares = {
            'lines': 100 * lines_reached / lines if lines else 0.0,
            'branches': 100 * branches_reached / branches if branches else 0.0,
        }
        short += [
            f'{share:.1f} % of the {what} of {group} are reached by tests, less than {least:g} %'
            for what, share in shares.items()
            if share < least
        ]
        rows.append(
            f'| {group} | {lines} | {lines_reached} | {shares["lines"]:.1f} '
            f'| {branches} | {branches_reached} | {shares["branches"]:.1f} | {least or "-"} |'
        )
    return '\n'.join(rows), short


def main() -> int:
    text, short = table(json.load(sys.stdin)['files'])
    print(text)
    for line in short:
        print(line, file=sys.stderr)
    return int(bool(short))


if __name__ == '__main__':
    sys.exit(main())
