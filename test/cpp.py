# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""C++ against the messages: what its author writes into CMakeLists.txt, and the environment."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_BUILD = """
cmake_minimum_required(VERSION 3.22)
project(user CXX)
find_package(pose3d_ros REQUIRED)
add_executable(user main.cpp)
target_compile_features(user PRIVATE cxx_std_17)
target_compile_options(user PRIVATE -Wall -Wextra -Wpedantic -Werror)
target_include_directories(user PRIVATE {includes})
target_link_libraries(user ${{pose3d_ros_TARGETS}})
"""


def build(folder: Path, source: str, includes: Path | None = None) -> Callable[[str], str]:
    """Return the program that a source file makes: standard input to standard output.

    :param includes: a folder of headers of its own.
    """
    environment, prefixes = _environment()
    (folder / 'CMakeLists.txt').write_text(_BUILD.format(includes=includes or folder))
    (folder / 'main.cpp').write_text(source)
    made = folder / 'build'

    def run(command: list[object], given: str = '') -> str:
        done = subprocess.run(
            [str(word) for word in command],
            env=environment, input=given, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    found = [f'-DCMAKE_PREFIX_PATH={";".join(prefixes)}', f'-DPython3_EXECUTABLE={sys.executable}']
    run(['cmake', '-S', folder, '-B', made, *found])
    run(['cmake', '--build', made])
    return lambda given='': run([made / 'user'], given)


def _environment() -> tuple[dict[str, str], list[str]]:
    """Return the environment in which ROS 2 and our messages are found, and its prefixes."""
    prefixes = [*filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(':')), sys.prefix]
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    environment['AMENT_PREFIX_PATH'] = ':'.join(prefixes)
    environment['PYTHONPATH'] = ':'.join(path for path in sys.path if path)
    # CMake and Ninja may be this environment's, which need not be activated
    environment['PATH'] = f'{os.environ["PATH"]}:{Path(sys.executable).parent}'
    libraries = ':'.join(f'{prefix}/lib' for prefix in prefixes)
    environment['LD_LIBRARY_PATH'] = f'{libraries}:{os.environ.get("LD_LIBRARY_PATH", "")}'
    return environment, prefixes
