# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
`pip install .` for a package that colcon builds too.

CMakeLists.txt says what is built and where it goes. Here it is run into a staging folder, and
what it installs there is put into the wheel: Python code and the compiled messages as modules,
everything else (libraries, headers, launch and configuration files, the ament index) as data
files, which pip unpacks under the environment's prefix, as colcon would under its own.

ROS 2 has to be there first: sourced, or in this environment from requirements-ros.txt.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext

NAME = 'pose3d_ros'
SOURCE = Path(__file__).parent.resolve()
SITE_PACKAGES = f'lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages'


class DistributionWithData(Distribution):
    """An editable install brings the data files too: the libraries of the messages are there."""

    def has_data(self) -> bool:
        # setuptools' editable_wheel asks for this name, and takes its absence for a no.
        return self.has_data_files()


class BuildWithCMake(build_ext):
    """Builds and stages CMakeLists.txt in place of compiling extension modules one by one."""

    def run(self) -> None:
        build = Path(self.build_temp).resolve() / 'cmake'
        stage = Path(self.build_temp).resolve() / 'stage'
        # Both anew: what an earlier build found or left may belong to another environment.
        for folder in (build, stage):
            shutil.rmtree(folder, ignore_errors=True)
        run_cmake(build, stage)
        # An editable install imports from the sources, so the messages must be there.
        target = SOURCE / NAME if self.inplace else Path(self.build_lib).resolve() / NAME
        place_messages(stage / SITE_PACKAGES / NAME, target)
        # The list itself is extended: install_data may already hold it.
        self.distribution.data_files.extend(staged_data_files(stage))

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


def run_cmake(build: Path, stage: Path) -> None:
    """Configure, build and install into `stage`, with ROS as this interpreter sees it."""
    environment, prefixes = ros_environment()
    cmake = cmake_program()
    configure = [
        cmake, '-S', str(SOURCE), '-B', str(build), '-G', 'Ninja',
        '-DCMAKE_SUPPRESS_DEVELOPER_WARNINGS=ON',
        f'-DCMAKE_PREFIX_PATH={";".join(prefixes)}',
        f'-DCMAKE_INSTALL_PREFIX={stage}',
        '-DCMAKE_BUILD_TYPE=Release',
        '-DBUILD_TESTING=OFF',
        f'-DPython3_EXECUTABLE={sys.executable}',
        f'-DPYTHON_INSTALL_DIR={SITE_PACKAGES}',
    ]  # fmt: skip
    for command in (configure, [cmake, '--build', str(build)], [cmake, '--install', str(build)]):
        subprocess.run(command, env=environment, check=True)


def ros_environment() -> tuple[dict[str, str], list[str]]:
    """Environment for the build, and the ament prefixes in which ROS 2 is found."""
    environment = dict(os.environ)
    # pip hides the environment's packages from an isolated build by PYTHONPATH, but the message
    # generators are among them.
    environment.pop('PYTHONPATH', None)
    if Path(sys.prefix, 'share', 'ament_cmake').is_dir():
        environment['AMENT_PREFIX_PATH'] = sys.prefix
        environment.pop('CMAKE_PREFIX_PATH', None)
    prefixes = [path for path in environment.get('AMENT_PREFIX_PATH', '').split(':') if path]
    environment['PYTHONPATH'] = ':'.join(f'{prefix}/{SITE_PACKAGES}' for prefix in prefixes)
    if not any(Path(prefix, 'share', 'ament_cmake').is_dir() for prefix in prefixes):
        raise SystemExit(
            'ROS 2 was not found. Source a ROS 2 installation, or install the wheels into this '
            f'environment first ({sys.executable} -m pip install -r requirements-ros.txt), '
            'and build in this environment (pip does; uv needs --no-build-isolation).'
        )
    # Ninja may be in this environment alone, and the environment need not be activated.
    environment['PATH'] = f'{environment["PATH"]}:{sysconfig.get_path("scripts")}'
    return environment, prefixes


def cmake_program() -> str:
    """The CMake of the PyPI package, which an isolated build finds by import only, or any."""
    try:
        from cmake import CMAKE_BIN_DIR
    except ImportError:
        return 'cmake'
    return f'{CMAKE_BIN_DIR}/cmake'


def place_messages(staged: Path, target: Path) -> None:
    """Put the generated pose3d_ros.msg and its compiled modules into the package `target`."""
    shutil.rmtree(target / 'msg', ignore_errors=True)
    for library in target.glob('*.so'):
        library.unlink()
    shutil.copytree(staged / 'msg', target / 'msg')
    for library in staged.glob('*.so'):
        shutil.copy2(library, target)


def staged_data_files(stage: Path) -> list[tuple[str, list[str]]]:
    """All that was staged, but for the Python package and bin/, which pip makes itself."""
    folders: dict[str, list[str]] = {}
    for path in sorted(stage.rglob('*')):
        folder = path.relative_to(stage).parent.as_posix()
        if path.is_file() and not f'{folder}/'.startswith((f'{SITE_PACKAGES}/', 'bin/')):
            folders.setdefault(folder, []).append(str(path))
    return list(folders.items())


def from_package_xml(tag: str) -> str:
    """One line of package.xml, where version, description and licence are written down."""
    manifest = ElementTree.parse(SOURCE / 'package.xml')  # noqa: S314
    return ' '.join(manifest.findtext(tag, '').split())


setup(
    version=from_package_xml('version'),
    description=from_package_xml('description'),
    license=from_package_xml('license'),
    distclass=DistributionWithData,
    cmdclass={'build_ext': BuildWithCMake},
    ext_modules=[Extension(f'{NAME}.msg', sources=[])],
    # Not empty from the start, or else setuptools would skip the step that installs them.
    data_files=[(f'share/{NAME}', ['package.xml'])],
)
