# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The command `pose3d train`: from data sets to snapshots, in one process and in two."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from paper import needed_torch
from process import full_disk
from training_people import FOCAL_PX, SIZE, add_made_up, read_made_up, tiny_root_task

torch = needed_torch()

from accelerate.state import AcceleratorState  # noqa: E402

from pose3d_ros.camera import Camera  # noqa: E402
from pose3d_ros.cli import main, train  # noqa: E402
from pose3d_ros.data import datasets  # noqa: E402
from pose3d_ros.models import onnx_files  # noqa: E402
from pose3d_ros.models.body_size import BodySize  # noqa: E402
from pose3d_ros.models.session import RuntimeOptions  # noqa: E402
from pose3d_ros.models.snapshots import load_rootnet  # noqa: E402
from pose3d_ros.models.stages3dmppe import RootNet3DMPPE  # noqa: E402
from pose3d_ros.models.torch_network import TorchNetwork  # noqa: E402
from pose3d_ros.people import Persons  # noqa: E402

SCRIPT = Path(__file__).parent / 'training_people.py'
CAMERA = Camera(
    np.array([[FOCAL_PX, 0, SIZE[0] / 2], [0, FOCAL_PX, SIZE[1] / 2], [0, 0, 1]]), *SIZE
)
SMALL = ['--epochs', '1', '--batch', '4', '--workers', '0', '--cpu', '--backbone', 'resnet18']


@pytest.fixture(autouse=True)
def made_up_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(datasets.DATASETS, 'made_up', add_made_up())
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    AcceleratorState._reset_state(True)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(train, '_task', lambda network, learned, recipe: tiny_root_task())


def arguments(folder: Path, *more: str, network: str = 'rootnet') -> list[str]:
    data = f'made_up={folder / "data"}'
    (folder / 'data').mkdir(exist_ok=True)
    out = str(folder / 'out')
    return ['train', network, '--data', data, '--validate', data, '--out', out, *SMALL, *more]


def environment(**more: str) -> dict[str, str]:
    paths = [str(SCRIPT.parent.parent), str(SCRIPT.parent), os.environ.get('PYTHONPATH', '')]
    return os.environ | {
        'PYTHONPATH': os.pathsep.join(filter(None, paths)), 'OMP_NUM_THREADS': '1', 'TINY': '1',
    } | more  # fmt: skip


def network_of(path: Path) -> dict[str, Any]:
    return dict(torch.load(path, weights_only=True)['network'])


def test_a_trained_rootnet_is_exported_and_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ResNet-18, from images to an ONNX file, and from a snapshot to a stage."""
    torch.set_num_threads(1)
    monkeypatch.setenv('MADE_UP_PEOPLE', '4')
    assert main(arguments(tmp_path)) == 0
    said = capsys.readouterr().out
    assert 'rootnet, resnet18, crops of 256 px, f32, 1 x cpu, steps of 4 people' in said
    assert 'learned from: made up train: 4 people, 4 with depth; 0 more cannot be used' in said
    assert 'held out: made up test: 3 people' in said and 'the best so far' in said
    out = tmp_path / 'out'
    recipe = yaml.safe_load((out / 'recipe.yaml').read_text())
    assert (recipe['epochs'], recipe['batch'], recipe['backbone']) == (1, 4, 'resnet18')
    onnx = tmp_path / 'rootnet.onnx'
    assert main(['export', 'rootnet', '--weights', str(out), '--out', str(onnx)]) == 0
    assert 'backbone: ResNet-18' in capsys.readouterr().out
    image = read_made_up(tmp_path, tmp_path / 'data', 'train').images[0]
    persons = Persons(np.array([[20.0, 10, 60, 80]]), np.ones(1))
    roots = [
        RootNet3DMPPE(network)(cv2.imread(str(image)), persons, CAMERA, BodySize()).roots
        for network in (
            TorchNetwork(load_rootnet(out / 'best.pth.tar')),
            onnx_files.load_rootnet(onnx, RuntimeOptions(precision='f32')),
        )
    ]
    assert np.isfinite(roots[0]).all()
    np.testing.assert_allclose(*roots, rtol=0.05)


def test_a_dry_run_writes_nothing(
    tmp_path: Path, tiny: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('pose3d_ros.training.dry_run._SECONDS', 0.2)
    assert main(arguments(tmp_path, '--dry-run')) == 0
    said = capsys.readouterr().out
    assert 'loader' in said and 'images/s: the loader' in said and 'an epoch takes' in said
    assert not (tmp_path / 'out').exists()


def test_it_goes_on_with_its_own_recipe(
    tmp_path: Path, tiny: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path, '--seed', '3', '--without', 'mirror')) == 0
    base = [a for a in arguments(tmp_path) if a not in SMALL[:4] and a not in SMALL[-2:]]
    assert main([*base, '--resume']) == 0
    assert 'all 1 epochs are trained; --epochs N adds more' in capsys.readouterr().out
    assert main([*base, '--resume', '--epochs', '2']) == 0
    assert (tmp_path / 'out' / 'snapshot_1.pth.tar').exists()
    assert main([*base, '--resume', '--epochs', '3', '--seed', '4']) == 1
    assert 'seed 3, and this one has 4' in capsys.readouterr().err


def test_the_folder_of_another_training_is_not_written_over(
    tmp_path: Path, tiny: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert main(arguments(tmp_path)) == 0
    assert main(arguments(tmp_path)) == 2
    assert 'has a training; --resume goes on with it' in capsys.readouterr().err
    (out / 'state.pt').unlink()
    for more in ([], ['--resume']):
        assert main(arguments(tmp_path, *more)) == 2
        said = capsys.readouterr().err
        assert f'no state.pt to go on from; another --out with --weights {out} begins' in said
    again = [word.replace(str(out), f'{out}2') for word in arguments(tmp_path)]
    assert main([*again, '--weights', str(out)]) == 0  # as it said


def test_what_a_kill_left_of_a_file_hinders_no_beginning(
    tmp_path: Path, tiny: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    out.mkdir()
    (out / '.state.pt.part').touch()
    assert main(arguments(tmp_path, '--resume')) == 2
    assert 'state.pt; without --resume a training begins' in capsys.readouterr().err
    assert main(arguments(tmp_path)) == 0
    assert not list(out.glob('.*'))


def test_what_a_full_disk_is_said_to_need_is_enough(
    tmp_path: Path, tiny: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the beginning nothing is there to go on from; in the first epoch there is."""
    with full_disk():
        assert main(arguments(tmp_path)) == 1
    assert 'Make room, then begin again' in capsys.readouterr().err
    assert main(arguments(tmp_path)) == 0


def test_the_first_epoch_can_be_gone_on_with(
    tmp_path: Path, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends it between its first snapshot and its end."""
    from pose3d_ros.training import loop

    def fails(*values: Any) -> None:
        raise OSError('the disk is gone')

    with monkeypatch.context() as patch:
        patch.setattr(loop, 'save_history', fails)  # which comes after the snapshot
        assert main(arguments(tmp_path)) == 1
    assert (tmp_path / 'out' / 'snapshot_0.pth.tar').exists()
    assert main(arguments(tmp_path, '--resume')) == 0


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (['--data', 'made_up'], 'where is made_up? Say made_up:train=FOLDER'),
        (['--data', 'made_up:x y=z'], "'made_up:x y=z' is not NAME"),
        (['--data', 'h37m=.'], "there is no data set 'h37m'; there are human36m"),
        (['--data', 'human36m=absent'], 'human36m: there is no folder absent'),
        (['--recipe', 'fast'], "recipe 'fast' is none of published"),
        (['--epochs', '0'], 'epochs: 0 is below 1'),
        (['--workers', '-1'], '--workers -1 is too small'),
        (['--validation-people', '0'], '--validation-people 0 is too small'),
        (['--weights', 'absent.pth'], 'absent.pth does not exist'),
        (['--weights', 'resnet18_imagenet'], 'is absent. Run: pose3d fetch resnet18_imagenet'),
        (['--datasets', 'absent.yaml'], 'cannot read absent.yaml'),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path,
    tiny: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: list[str],
    said: str,
) -> None:
    monkeypatch.setenv('POSE3D_HOME', str(tmp_path / 'empty'))
    given = arguments(tmp_path)
    if change[0] in given:
        at = given.index(change[0])
        given[at : at + 2] = change
    else:
        given += change
    assert main(given) == 2
    found = capsys.readouterr().err
    assert said in found and 'Traceback' not in found
    assert not (tmp_path / 'out').exists()


def test_folders_come_from_a_file_too(tmp_path: Path, tiny: None) -> None:
    given = arguments(tmp_path)
    file = tmp_path / 'datasets.yaml'
    file.write_text('made_up: {root: data}')
    given = [a.replace(f'made_up={tmp_path / "data"}', 'made_up:test') for a in given]
    assert main([*given, '--datasets', str(file)]) == 0


@pytest.mark.parametrize(
    ('name', 'network', 'wanted'),
    [
        ('human36m', 'rootnet', {'protocol': 1}),
        ('muco', 'rootnet', {'depths_m': (1.5, 7.5)}),
        ('muco', 'posenet', {}),
    ],
)
def test_data_sets_are_read_as_published_for_each_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, network: str, wanted: dict[str, Any]
) -> None:
    asked = []

    def read(annotations: Path, images: Path, split: str, **options: Any) -> Any:
        asked.append(options)
        raise datasets.DataError('enough')

    monkeypatch.setitem(datasets.DATASETS, name, datasets.Dataset(read, ('.',), ('.',)))
    words = ['train', network, '--data', f'{name}={tmp_path}', '--out', str(tmp_path / 'out')]
    assert main([*words, '--protocol', '1']) == 2
    assert asked == [wanted]


def test_nobody_with_depth_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training_people import made_up

    def flat(annotations: Path, images: Path, split: str, **options: Any) -> Any:
        return made_up(images, 2, with_depth=False, name=f'flat {split}')

    monkeypatch.setitem(datasets.DATASETS, 'made_up', datasets.Dataset(flat, ('.',), ('.',)))
    assert main(arguments(tmp_path)) == 2
    assert '--data flat train: nobody there has a depth to learn' in capsys.readouterr().err


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB'),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_a_batch_that_memory_does_not_hold_is_said(
    tmp_path: Path, tiny: None, error: Exception, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fails(*given: Any) -> None:
        raise error

    monkeypatch.setattr(train, '_train', fails)
    assert main(arguments(tmp_path)) == 1
    assert 'memory does not hold a step of 4 people: a smaller --batch' in capsys.readouterr().err


def test_a_missing_package_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import util

    found = util.find_spec
    monkeypatch.setattr(
        util, 'find_spec', lambda n, *a: None if n == 'accelerate' else found(n, *a)
    )
    assert main(arguments(tmp_path)) == 2
    assert (
        "needs accelerate, not installed: pip install 'pose3d_ros[train]'"
        in capsys.readouterr().err
    )


def test_two_processes_train_what_one_trains_with_twice_the_batch(
    tmp_path: Path, tiny: None
) -> None:
    """By torchrun, over gloo; the network has no batch norm, whose numbers are a process' own."""
    one, two = tmp_path / 'one', tmp_path / 'two'
    for folder in (one, two):
        folder.mkdir()
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']
    command = [*launch, str(SCRIPT), *arguments(two, '--epochs', '2', '--batch', '2')]
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
    with subprocess.Popen(command, env=environment(), **pipes) as both:
        try:  # beside them, in this process
            assert main(arguments(one, '--epochs', '2', '--batch', '4')) == 0
            said, complaints = both.communicate(timeout=120)
        finally:
            both.kill()
    assert both.returncode == 0, complaints
    assert said.count('2 x cpu, steps of 4 people') == 1
    for epoch in range(2):
        name = f'out/snapshot_{epoch}.pth.tar'
        mine, theirs = network_of(one / name), network_of(two / name)
        assert mine.keys() == theirs.keys()
        for key in mine:
            np.testing.assert_allclose(mine[key], theirs[key], atol=1e-5)
    histories = [yaml.safe_load((f / 'out/history.json').read_text()) for f in (one, two)]
    for mine, theirs in zip(*histories, strict=True):
        for name in ('loss', 'MRPE_mm', 'learning_rate'):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-4)


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_stopped_can_be_gone_on_with(
    tmp_path: Path, tiny: None, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal goes to the loader's workers too, as Ctrl-C in a terminal does."""
    monkeypatch.setenv('MADE_UP_PEOPLE', '30')
    slow = ['--epochs', '500', '--workers', '1', '--save-minutes', '0', '--batch', '2']
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments(tmp_path, *slow)],
        env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    state = tmp_path / 'out' / 'state.pt'
    deadline = time.monotonic() + 60
    while not (tmp_path / 'out' / 'snapshot_0.pth.tar').exists() or not state.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130 and 'stopped, and saved' in said
        assert 'Traceback' not in said
    epoch = torch.load(state, weights_only=True)['progress']['epoch']
    end = ['--epochs', str(epoch + 1), '--workers', '0', '--batch', '2']
    assert main(arguments(tmp_path, *end, '--resume')) == 0
    whole = tmp_path / 'whole'
    whole.mkdir()
    (whole / 'data').symlink_to(tmp_path / 'data')
    assert main(arguments(whole, *end)) == 0
    name = f'out/snapshot_{epoch}.pth.tar'
    mine, theirs = network_of(tmp_path / name), network_of(whole / name)
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_an_error_that_nobody_expected_ends_the_process(tmp_path: Path, tiny: None) -> None:
    """Also the workers, which take no signal: Python would wait for them without end."""
    code = (
        'import sys, training_people\n'
        'from pose3d_ros.training.tasks import RootTask\n'
        'RootTask.loss = None\n'
        'sys.exit(training_people.main())\n'
    )
    ended = subprocess.run(
        [sys.executable, '-c', code, *arguments(tmp_path, '--workers', '1')],
        env=environment(), capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "TypeError: 'NoneType' object is not callable" in ended.stderr
