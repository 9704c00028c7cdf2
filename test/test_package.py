# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The files that describe the package agree, and what is installed is what they describe."""

import ast
import configparser
import contextlib
import importlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

import pose3d_ros

ROOT = Path(__file__).parent.parent
MANIFEST = ElementTree.parse(ROOT / 'package.xml').getroot()
CMAKE = (ROOT / 'CMakeLists.txt').read_text()
PROGRAMS = {'detector', 'rootnet', 'posenet', 'pipeline', 'player', 'recorder'}
#: Distribution of a module, where it is called otherwise.
DISTRIBUTIONS = {
    'cv2': 'opencv-python-headless',
    'mpl_toolkits': 'matplotlib',
    'PIL': 'pillow',
    'warp': 'warp-lang',
    'yaml': 'pyyaml',
}


def setup_cfg() -> configparser.ConfigParser:
    """Return setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg')
    return parser


def listed(section: str, option: str) -> list[str]:
    """Return the lines of an option of setup.cfg."""
    return [line for line in setup_cfg()[section][option].splitlines() if line]


def console_scripts() -> dict[str, str]:
    """Return the function of each console script, as module:function."""
    lines = listed('options.entry_points', 'console_scripts')
    pairs = [line.split(' = ') for line in lines]
    return dict(pairs)


def dependencies() -> set[str]:
    """Return what package.xml depends on when it runs."""
    return {e.text or '' for tag in ('depend', 'exec_depend') for e in MANIFEST.iter(tag)}


def imported() -> Iterator[str]:
    """Return the top-level module of every import of the package."""
    for file in (ROOT / 'pose3d_ros').rglob('*.py'):
        if file.parent == ROOT / 'pose3d_ros' / 'msg':
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split('.')[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield (node.module or '').split('.')[0]


def foreign() -> set[str]:
    """Return the modules that the package imports and that Python does not bring."""
    return {name for name in imported() if name not in sys.stdlib_module_names} - {'pose3d_ros'}


def is_ros(module: str) -> bool:
    return module == 'rclpy' or module.endswith(('_msgs', '_srvs', '_interfaces'))


def test_one_version() -> None:
    version = MANIFEST.findtext('version')
    assert pose3d_ros.__version__ == version
    with contextlib.suppress(PackageNotFoundError):  # installed by colcon
        assert distribution('pose3d_ros').version == version


def test_the_changelog_begins_with_this_version_or_what_is_to_come() -> None:
    """By REP-132, in which release tools read it."""
    text = (ROOT / 'CHANGELOG.rst').read_text()
    heading = r'^(Forthcoming|\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\))\n-+$'
    headings = re.findall(heading, text, re.MULTILINE)
    assert headings[0].split()[0] in ('Forthcoming', MANIFEST.findtext('version'))
    changelog = pytest.importorskip('catkin_pkg.changelog')
    assert changelog.get_changelog_from_path(str(ROOT / 'CHANGELOG.rst')) is not None


def test_package_xml_is_valid() -> None:
    package = pytest.importorskip('catkin_pkg.package')
    warnings: list[str] = []
    package.parse_package(str(ROOT / 'package.xml'), warnings=warnings).validate(warnings)
    assert warnings == []


def test_package_xml_says_what_colcon_has_to_know() -> None:
    assert MANIFEST.findtext('name') == 'pose3d_ros'
    assert MANIFEST.findtext('license') == 'Apache-2.0'
    assert MANIFEST.findtext('member_of_group') == 'rosidl_interface_packages'
    assert MANIFEST.findtext('export/build_type') == 'ament_cmake'
    assert 'Apache License' in (ROOT / 'LICENSE').read_text()[:300]


def test_cmake_finds_what_package_xml_declares() -> None:
    found = set(re.findall(r'find_package\((\w+)', CMAKE)) - {'Python3'}
    declared = {e.text for e in MANIFEST if e.tag.endswith('depend')}
    assert found <= declared


def test_every_message_is_generated() -> None:
    assert set(re.findall(r'msg/\w+\.msg', CMAKE)) == {
        f'msg/{file.name}' for file in (ROOT / 'msg').glob('*.msg')
    }


def test_ros_imports_are_declared_in_package_xml() -> None:
    needed = {module for module in foreign() if is_ros(module)}
    assert needed - {'vision_msgs'} <= dependencies()  # topics that are there where it is


def test_python_imports_are_declared_in_setup_cfg() -> None:
    lines = listed('options', 'install_requires')
    lines += [
        line
        for extra in ('mat', 'onnxruntime', 'ray', 'torch', 'train', 'synth')
        for line in listed('options.extras_require', extra)
    ]
    declared = {re.split('[<>=]', line)[0] for line in lines}
    needed = {DISTRIBUTIONS.get(m, m) for m in foreign() if not is_ros(m)}
    # of a ROS installation; each is asked for where it is used, and missed with a remedy
    assert needed - {'ament_index_python', 'tf2_ros'} <= declared


def test_every_ros_wheel_has_one_version() -> None:
    lines = (ROOT / 'requirements-ros.txt').read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith('#')]
    assert pins
    assert [pin for pin in pins if not re.fullmatch(r'[a-z0-9-]+==[0-9.]+', pin)] == []


def test_the_programs_are_those_promised() -> None:
    assert set(console_scripts()) == {'pose3d', *(f'pose3d_{name}' for name in PROGRAMS)}


@pytest.mark.parametrize('target', console_scripts().values())
def test_a_program_is_a_function(target: str) -> None:
    module, _, function = target.partition(':')
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize('program', sorted(PROGRAMS))
def test_what_a_program_begins_is_there(program: str) -> None:
    pytest.importorskip('rclpy')
    assert callable(importlib.import_module(f'pose3d_ros.nodes.{program}').main)


def test_cmake_reads_every_console_script() -> None:
    (pattern,) = re.findall(r'file\(STRINGS setup\.cfg \w+ REGEX "([^"]+)"\)', CMAKE)
    lines = (ROOT / 'setup.cfg').read_text().splitlines()
    read = [line.split(' = ')[0].strip() for line in lines if re.search(pattern, line)]
    assert read == list(console_scripts())


# What is installed.


def installed(path: str) -> Path:
    """Return a file or folder of the prefix that the package is installed in."""
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    for prefix in prefixes:
        if prefix and Path(prefix, path).exists():
            return Path(prefix, path)
    pytest.skip('the package is not installed, by colcon or by pip')


@pytest.mark.parametrize('name', ['Person', 'PersonArray', 'Pose3D', 'Pose3DArray'])
def test_the_messages_are_built(name: str) -> None:
    support = pytest.importorskip('rclpy.type_support')
    message = getattr(importlib.import_module('pose3d_ros.msg'), name)
    support.check_for_type_support(message)


def test_ros2_run_finds_every_program() -> None:
    folder = installed('lib/pose3d_ros')
    # the example in C++ needs rclcpp, which has no wheel
    found = {file.name for file in folder.iterdir() if file.is_file()} - {'nearest_person'}
    assert found == PROGRAMS | {'pose3d', 'nearest_person.py'}
    assert all(os.access(file, os.X_OK) for file in folder.iterdir())


def test_a_program_runs_with_its_exit_status() -> None:
    program = str(installed('lib/pose3d_ros') / 'pose3d')
    helped = subprocess.run([program, '--help'], capture_output=True, text=True)
    assert (helped.returncode, helped.stderr) == (0, '')
    assert 'fetch' in helped.stdout
    assert subprocess.run([program, 'nonsense'], capture_output=True).returncode == 2


@pytest.mark.parametrize(
    'name',
    [
        *(f'launch/{n}.launch.py' for n in ('pipeline', 'multi_camera', 'from_video', 'from_bag')),
        'config/fastdds.xml',
        'config/pose3d.yaml',
        'config/course_project.yaml',
        'package.xml',
    ],
)
def test_files_are_where_ros_looks_for_them(name: str) -> None:
    assert (installed('share/pose3d_ros') / name).is_file()


def test_every_source_file_says_whose_it_is_and_under_which_licence() -> None:
    sources = [
        file
        for folder in ('pose3d_ros', 'test', 'launch', 'examples')
        for file in (ROOT / folder).rglob('*')
        if file.suffix in ('.py', '.c', '.cpp', '.hpp') and 'msg' not in file.parts  # generated
    ]
    assert len(sources) > 300
    for source in sources:
        if text := source.read_text():
            head = text.splitlines()[:3]
            assert any('Copyright 2026 pose3d_ros maintainers' in line for line in head), source
            assert any('SPDX-License-Identifier: Apache-2.0' in line for line in head), source
