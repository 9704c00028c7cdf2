# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A file has its name when it is whole."""

from pathlib import Path

import pytest

from pose3d_ros.whole_files import whole


def test_it_gets_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / 'file'
    path.write_text('before')
    with whole(path) as part:
        part.write_text('half')
        assert path.read_text() == 'before'
    assert path.read_text() == 'half'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / 'file'
    path.write_text('before')
    with pytest.raises(error), whole(path) as part:
        part.write_text('half')
        raise error
    assert path.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole(tmp_path / 'file'):
        pass
