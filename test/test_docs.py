# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What README and docs say can be followed: links, commands, messages, packages to install."""

import ast
import configparser
import re
import shlex
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pose3d_ros.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('.github/*.md')])
LAUNCH_FILES = sorted(ROOT.glob('launch/*.launch.py'))
PACKAGES = ('openvino', 'onnx', 'rosbags')  #: what ROS's installers do not bring
#: Distribution on PyPI -> rosdep key, where it has one (rosdistro's rosdep/python.yaml).
ROSDEP_KEYS = {
    'matplotlib': 'python3-matplotlib',
    'numpy': 'python3-numpy',
    'opencv-python-headless': 'python3-opencv',
    'pillow': 'python3-pil',
    'pyyaml': 'python3-yaml',
    'tqdm': 'python3-tqdm',
}

by_page = pytest.mark.parametrize('page', PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', page.read_text(), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', h.lower()).replace(' ', '-') for h in headings}


@by_page
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    links = re.findall(r'\]\(([^)\s]+)\)', page.read_text())
    for link in links:
        if re.match(r'[a-z]+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f'{page.name}: {link}'
        assert not anchor or anchor in anchors(target), f'{page.name}: {link}'


def test_there_are_links_and_anchors_to_check() -> None:
    assert 'try-it' in anchors(ROOT / 'README.md')
    assert 'nowhere' not in anchors(ROOT / 'README.md')
    assert len(PAGES) > 12


def test_the_index_names_every_page() -> None:
    index = (ROOT / 'docs' / 'README.md').read_text()
    pages = {page.name for page in (ROOT / 'docs').glob('*.md')} - {'README.md'}
    assert {name for name in pages if f']({name})' not in index} == set()


def command_lines(page: Path) -> Iterator[str]:
    """Yield what a page gives to be typed: indented or fenced lines, joined, and `pose3d ...`."""
    text = re.sub(r' *\\\n\s*', ' ', page.read_text())
    blocks = re.findall(r'^(?: {4}|\t)(.+)$', text, re.MULTILINE)
    for fenced in re.findall(r'^```\w*\n(.*?)^```', text, re.MULTILINE | re.DOTALL):
        blocks += fenced.splitlines()
    yield from (line.split(' #')[0].strip() for line in blocks)
    yield from re.findall(r'`([^`]+)`', text)


def calls(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of every `pose3d COMMAND ...` of a page."""
    for line in command_lines(page):
        # after a prompt, an environment, an installation's path; up to what the shell takes
        found = re.match(r'(?:[A-Z_0-9]+=\S+ )*(?:\S*/)?pose3d ([a-z][^|&;<>]*)', line)
        if found:
            # two spaces set an explanation off
            yield shlex.split(found[1].split('  ')[0], posix=True)


@cache
def options_of(command: tuple[str, ...]) -> str:
    """Return the help of a sub-command."""
    import contextlib
    import io

    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit) as left:
        main([*command, '--help'])
    assert left.value.code == 0, command
    return text.getvalue()


@by_page
def test_every_command_of_the_docs_exists_with_its_options(page: Path) -> None:
    for words in calls(page):
        if words[0] not in COMMANDS:
            pytest.fail(f'{page.name}: pose3d {" ".join(words)}')
        known = options_of(tuple(words[:1]))
        if re.search(r'^usage: [^\n]*\.\.\.$', known, re.MULTILINE) and len(words) > 1:
            known = options_of(tuple(words[:2]))  # it has sub-commands of its own
        for word in words:
            option = word.partition('=')[0]
            if option.startswith('--'):
                assert re.search(rf'{option}\b(?!-)', known), f'{page.name}: {" ".join(words)}'


def test_the_commands_of_the_docs_are_found() -> None:
    found = [words for page in PAGES for words in calls(page)]
    assert len(found) > 60
    text = ''.join(page.read_text() for page in PAGES)
    shown = {words[0] for words in found} | set(re.findall(r'make ([\w-]+)', text))
    assert set(COMMANDS) <= shown


def launch_arguments(file: Path) -> set[str]:
    """Return the arguments that a launch file declares, itself or by including another."""
    text = file.read_text()
    names = {
        str(ast.literal_eval(call.args[0]))
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and getattr(call.func, 'id', '') == 'DeclareLaunchArgument'
    }
    for other in LAUNCH_FILES:
        if other != file and f"'{other.name}'" in text:
            names |= launch_arguments(other)
    return names


@by_page
def test_every_launch_of_the_docs_exists_with_its_arguments(page: Path) -> None:
    for line in command_lines(page):
        if found := re.search(r'ros2 launch pose3d_ros (\S+)(.*)', line):
            file = ROOT / 'launch' / found[1]
            assert file.is_file(), f'{page.name}: {line}'
            given = set(re.findall(r'(\w+):=', found[2]))
            assert given <= launch_arguments(file), f'{page.name}: {line}'


# Messages.


def template(node: ast.AST) -> str:
    """Return the text that an expression makes, with NUL for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else '\0'
    if isinstance(node, ast.JoinedStr):
        return ''.join(template(value) for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return '\0'


@cache
def templates() -> list[str]:
    """Return every text that the package can make."""
    texts = []
    for file in (ROOT / 'pose3d_ros').rglob('*.py'):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
                texts.append(re.sub(r'%[sd]', '\0', template(node)))
    return [text for text in texts if len(text) > 10]


def messages() -> list[str]:
    """Return the first column of the tables of the trouble-shooting page."""
    return re.findall(
        r'^\| `(.+?)` \|', (ROOT / 'docs' / 'troubleshooting.md').read_text(), re.MULTILINE
    )


def is_said(message: str) -> bool:
    """Return whether a text of the sources has this message in it."""
    pieces = [re.escape(piece) for piece in message.split('...')]
    pattern = re.compile(r'[^\0]*\0.*?'.join(pieces) if len(pieces) > 1 else pieces[0], re.DOTALL)
    return any(pattern.search(text) for text in templates())


def test_messages_of_the_trouble_shooting_page_are_said() -> None:
    assert len(messages()) > 40
    assert [message for message in messages() if not is_said(message)] == []


def test_what_is_not_said_is_noticed() -> None:
    assert is_said('nobody publishes it. Topics with ...: ...')
    assert not is_said('nobody publishes it. Topics of ...: ...')
    assert not is_said('no file or group is known as ...')


# What has to be installed.


def requirements() -> set[str]:
    """Return the distributions that the package needs at run time."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg')
    lines = parser['options']['install_requires'].split()
    return {re.split('[<>=]', line)[0] for line in lines}


def test_what_pip_has_to_bring_is_what_rosdep_cannot() -> None:
    manifest = ElementTree.parse(ROOT / 'package.xml').getroot()
    keys = {e.text for e in manifest.iter('exec_depend')}
    assert set(ROSDEP_KEYS.values()) <= keys
    assert requirements() - set(ROSDEP_KEYS) == set(PACKAGES)


@pytest.mark.parametrize('name', ['README.md', 'CONTRIBUTING.md', 'Dockerfile', 'package.xml'])
def test_every_recipe_installs_it_beside_the_numpy_that_ubuntus_opencv_needs(name: str) -> None:
    installs = re.findall(r"pip install(?: --\S+)*((?: [\w'<]+)+)", (ROOT / name).read_text())
    assert any(i.startswith(f" {' '.join(PACKAGES)} 'numpy<2'") for i in installs)


def test_the_packages_of_each_extra_are_those_of_setup_cfg() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg')
    extras = dict(parser['options.extras_require'])
    text = (ROOT / 'docs' / 'devices.md').read_text()
    section = text[text.index('### Extras') : text.index('## Precision')]
    listed = re.findall(r'^\| `(\w+)` \| `(.+?)` \|', section, re.MULTILINE)
    assert {name for name, _ in listed} == extras.keys() - {'dev', 'fuzz', 'mutants'}
    for name, packages in listed:
        assert set(packages.split()) == set(extras[name].split()), name


def test_the_image_installs_by_package_xml_and_starts_what_there_is() -> None:
    text = (ROOT / 'Dockerfile').read_text()
    assert 'FROM ros:jazzy' in text and 'rosdep install --from-paths src' in text
    command: list[Any] = yaml.safe_load(re.findall(r'^CMD (.+)$', text, re.MULTILINE)[0])
    assert command[:3] == ['ros2', 'launch', 'pose3d_ros']
    assert (ROOT / 'launch' / command[3]).is_file()
    for entry in (ROOT / '.dockerignore').read_text().split():
        assert entry not in ('msg', 'launch', 'config'), 'colcon builds from them'


def test_the_drills_that_are_listed_are_tests() -> None:
    text = (ROOT / 'docs' / 'reliability.md').read_text()
    named = re.findall(r'`(test_\w+\.py)::(test_\w+)`', text)
    assert len(named) > 30
    for file, test in named:
        assert f'def {test}(' in (ROOT / 'test' / file).read_text(), f'{file}::{test}'
