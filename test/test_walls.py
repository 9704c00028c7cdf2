# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The walls of DESIGN: what may import what, and how large a file and a function may be."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / 'pose3d_ros'
#: What building the messages in place generates is not ours.
FILES = sorted(
    f
    for f in PACKAGE.rglob('*.py')
    if f.relative_to(PACKAGE).parts[0] not in ('msg', '__pycache__')
)
#: Lists classes of PyTorch's, and does not use it itself.
OF_TORCH = {'pose3d_ros.models.backbones'}
OUTSIDE_NODES = [f for f in FILES if f.relative_to(PACKAGE).parts[0] != 'nodes']
MODELS = [f for f in FILES if f.relative_to(PACKAGE).parts[0] == 'models']

ROS = {
    'rclpy', 'rcl_interfaces', 'builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs',
    'sensor_msgs', 'std_msgs', 'visualization_msgs', 'rosgraph_msgs', 'tf2_ros', 'cv_bridge',
    'message_filters', 'launch', 'pose3d_ros.msg',
}  # fmt: skip
HEAVY = {'torch', 'torchvision', 'transformers', 'pytorch_lightning', 'accelerate', 'tensorboard',
         'anny', 'roma', 'warp', 'onnxruntime', 'ray'}  # fmt: skip

by_path = pytest.mark.parametrize('path', FILES, ids=[str(f.relative_to(PACKAGE)) for f in FILES])


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Return (module, whether it is imported when the file is) of every import of a file."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path} imports relatively'
            for alias in node.names:
                yield f'{node.module}.{alias.name}', id(node) not in inside


def belongs(module: str, roots: set[str]) -> bool:
    return any(module == root or module.startswith(root + '.') for root in roots)


def module_of(path: Path) -> str:
    return '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts).removesuffix(
        '.__init__'
    )


def test_there_is_something_to_look_at() -> None:
    assert len(OUTSIDE_NODES) > 15
    assert len(MODELS) > 6
    assert ('openvino', True) in imports(PACKAGE / 'models' / 'runtime.py')


@pytest.mark.parametrize(
    'path', OUTSIDE_NODES, ids=[str(f.relative_to(PACKAGE)) for f in OUTSIDE_NODES]
)
def test_nothing_outside_nodes_imports_ros(path: Path) -> None:
    assert not [module for module, _ in imports(path) if belongs(module, ROS)]


@pytest.mark.parametrize('path', MODELS, ids=[f.name for f in MODELS])
def test_models_know_nothing_of_nodes_files_or_commands(path: Path) -> None:
    above = {f'pose3d_ros.{name}' for name in ('nodes', 'weights', 'cli', 'stages', 'benchmarks')}
    assert not [module for module, _ in imports(path) if belongs(module, above)]


TOOLS = ('benchmarks', 'cli')
BELOW_TOOLS = [f for f in FILES if f.relative_to(PACKAGE).parts[0] not in TOOLS]


@pytest.mark.parametrize(
    'path', BELOW_TOOLS, ids=[str(f.relative_to(PACKAGE)) for f in BELOW_TOOLS]
)
def test_nothing_rests_on_commands_and_benchmarks(path: Path) -> None:
    above = {f'pose3d_ros.{name}' for name in TOOLS}
    assert not [module for module, _ in imports(path) if belongs(module, above)]


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Also not inside functions, where Python would let them."""
    modules = {module_of(f): f for f in FILES}
    graph = {}
    for name, file in modules.items():
        # of `from package import module` the module, of `from module import name` the module, too
        named = {m for m, _ in imports(file)} | {m.rpartition('.')[0] for m, _ in imports(file)}
        graph[name] = named & modules.keys() - {name}
    assert 'pose3d_ros.cli.bag_many' in graph['pose3d_ros.cli.bag']
    assert 'pose3d_ros.models.session' in graph['pose3d_ros.models.openvino_session']
    graphlib.TopologicalSorter(graph).prepare()


def test_importing_the_core_brings_neither_ros_nor_torch() -> None:
    """In a fresh interpreter, every module outside nodes/; the torch extra may not be needed."""
    modules = [
        module_of(f)
        for f in OUTSIDE_NODES
        if module_of(f) not in OF_TORCH
        and not any(
            belongs(module, HEAVY) and at_once
            for file in (f, f.with_name('__init__.py'))
            for module, at_once in imports(file)
        )
    ]
    assert 'pose3d_ros.stages' in modules
    code = '\n'.join(
        [
            'import importlib, sys',
            f'for name in {modules!r}: importlib.import_module(name)',
            f'roots = {sorted(ROS | HEAVY | {"pose3d_ros.nodes"})!r}',
            'found = (m for m in sys.modules for r in roots if m == r or m.startswith(r + "."))',
            'print(*found)',
        ]
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_a_fresh_import_of_the_default_stages_needs_no_torch() -> None:
    """Also where torch is not installed: its import is made to fail."""
    code = '\n'.join(
        [
            'import sys',
            f'for name in {sorted(HEAVY | {"rclpy"})!r}: sys.modules[name] = None',
            'import pose3d_ros.stages, pose3d_ros.tracking, pose3d_ros.drawing, pose3d_ros.weights',
        ]
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_default_stages_run_without_torch_and_onnx_runtime() -> None:
    code = '\n'.join(
        [
            'import sys',
            f'for name in {sorted(HEAVY)!r}: sys.modules[name] = None',
            'from pose3d_ros.models.session import RuntimeOptions',
            'from pose3d_ros.stages import DETECTORS, POSENETS, ROOTNETS',
            'for table, name in (DETECTORS, "yolox"), (ROOTNETS, "keypoints"),'
            ' (POSENETS, "blazepose_lite"):',
            '    (network,) = table[name](None, RuntimeOptions()).networks',
            '    network.warm_up()',
            'print(network.precision)',
        ]
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ('bf16', 'f32')


@by_path
def test_no_file_is_above_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()[2:]) <= 400  # without whose it is


@by_path
def test_no_function_is_above_60_lines(path: Path) -> None:
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    }
    assert not {name: lines for name, lines in long.items() if lines > 60}
