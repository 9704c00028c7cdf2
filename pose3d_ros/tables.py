# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Tables of numbers, for people and in Markdown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table.

    :param title: what is measured, on what.
    :param columns: name and format of each ('' = text).
    :param rows: a text or a number (NaN = does not apply) for each column.
    :param note: what a reader has to know to read it right.
    :param keys: how many of the first columns say what a row is of; None = those that are texts.
    """

    title: str
    columns: tuple[tuple[str, str], ...]
    rows: Sequence[tuple[str | float, ...]]
    note: str = ''
    keys: int | None = None

    def cells(self) -> list[list[str]]:
        """Return the column names and the rows as text."""
        formats = [spec for _, spec in self.columns]
        body = [
            [_cell(value, spec) for value, spec in zip(row, formats, strict=True)]
            for row in self.rows
        ]
        return [[name for name, _ in self.columns], *body]

    def text(self) -> str:
        """Return the table in aligned columns, numbers to the right."""
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            '  '.join(
                cell.rjust(width) if spec else cell.ljust(width)
                for cell, width, (_, spec) in zip(row, widths, self.columns, strict=True)
            ).rstrip()
            for row in cells
        ]
        return '\n'.join([self.title, *lines, *([self.note] if self.note else [])])

    def markdown(self) -> str:
        """Return the table as Markdown."""
        head, *body = (f'| {" | ".join(row)} |' for row in self.cells())
        rule = '|' + '|'.join(' ---: ' if spec else ' --- ' for _, spec in self.columns) + '|'
        note = ['', self.note] if self.note else []
        return '\n'.join([f'**{self.title}**', '', head, rule, *body, *note])


def _cell(value: str | float, spec: str) -> str:
    if isinstance(value, str):
        return value
    return '-' if math.isnan(value) else format(value, spec)
