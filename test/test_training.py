# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training goes on as if nothing had happened, whatever happened, and leaves what can be read."""

import functools
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from paper import needed_torch
from process import full_disk
from training_people import made_up, tiny_root_task

torch = needed_torch()

from accelerate.state import AcceleratorState  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402
from torch import nn  # noqa: E402

from pose3d_ros.data.annotations import DataError  # noqa: E402
from pose3d_ros.data.crops_dataset import joint_table  # noqa: E402
from pose3d_ros.evaluation.protocols import human36m  # noqa: E402
from pose3d_ros.evaluation.running import FoundPoses  # noqa: E402
from pose3d_ros.evaluation.subjects import Subjects  # noqa: E402
from pose3d_ros.models.crops3dmppe import to_cells, to_metres  # noqa: E402
from pose3d_ros.models.posenet import PoseNet, posenet_loss  # noqa: E402
from pose3d_ros.models.rootnet import RootNet  # noqa: E402
from pose3d_ros.models.snapshots import (  # noqa: E402
    SnapshotError,
    find_snapshot,
    load_posenet,
    load_rootnet,
    snapshot_epoch,
)
from pose3d_ros.skeletons import HUMAN36M, HUMAN36M_17, MUPOTS  # noqa: E402
from pose3d_ros.training.dry_run import Rates, dry_run  # noqa: E402
from pose3d_ros.training.loading import Unreadable  # noqa: E402
from pose3d_ros.training.loop import Interrupted, Machine, Trainer  # noqa: E402
from pose3d_ros.training.pictures import grid  # noqa: E402
from pose3d_ros.training.recipe import Recipe, find_recipe  # noqa: E402
from pose3d_ros.training.saving import Progress, TrainingError, snapshot  # noqa: E402
from pose3d_ros.training.tasks import PoseTask, RootTask, places_of, start_from  # noqa: E402
from pose3d_ros.training.together import Together  # noqa: E402

RECIPE = find_recipe('published', 'rootnet').changed(
    {'epochs': 2, 'batch': 2, 'backbone': 'resnet18', 'decay_epochs': [1]}
)
MACHINE = Machine(workers=0, on_cpu=True)
#: Saves after each step.
ALWAYS = replace(MACHINE, save_minutes=0.0)
Make = Callable[..., Trainer]


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # such small work is done sooner by one
    yield
    torch.set_num_threads(threads)
    AcceleratorState._reset_state(True)


def maker(tmp_path: Path) -> Make:
    people, held_out = made_up(tmp_path / 'train', 11), made_up(tmp_path / 'test', 3)

    def trainer(folder: str, recipe: Recipe = RECIPE, machine: Machine = MACHINE) -> Trainer:
        task = tiny_root_task()
        torch.manual_seed(0)
        network = task.network(recipe.backbone, recipe.crop_px)
        tables = task.table([people]), task.table([held_out])
        (tmp_path / folder).mkdir(exist_ok=True)
        return Trainer(task, network, recipe, *tables, tmp_path / folder, machine)

    return trainer


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what makes a training of eleven people with a tiny network, which starts the same."""
    return maker(tmp_path)


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trainer]:
    """Return what gives trainings that nothing happened to, each run once."""
    make = maker(tmp_path_factory.mktemp('uninterrupted'))

    @functools.cache
    def trained(recipe: Recipe = RECIPE) -> Trainer:
        trainer = make('whole', recipe)
        trainer.run()
        return trainer

    return trained


def weights(trainer: Trainer) -> dict[str, Any]:
    network = trainer.accelerator.unwrap_model(trainer.network)
    return {key: value.clone() for key, value in network.state_dict().items()}


def assert_equal_trainings(one: Trainer, other: Trainer) -> None:
    """Compare weights and losses bit by bit."""
    mine, theirs = weights(one), weights(other)
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    losses, others = ([h['loss'] for h in t.progress.history] for t in (one, other))
    assert losses == others and len(losses) == one.recipe.epochs
    assert one.progress.best == other.progress.best


class Killed(BaseException):
    """What no handler expects, as a process' end."""


def killed_after(trainer: Trainer, steps: int) -> Trainer:
    """Return the trainer after it ran for some steps."""
    step, left = trainer.step, [steps]

    def limited() -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        step()

    trainer.step = limited  # type: ignore[method-assign]
    with pytest.raises(Killed):
        trainer.run()
    return trainer


@pytest.mark.parametrize(
    ('steps', 'accumulate', 'precision'),
    [(1, 1, 'f32'), (6, 1, 'f32'), (9, 1, 'f32'), (2, 2, 'f32'), (3, 2, 'f32'), (4, 1, 'bf16')],
)
def test_after_a_kill_it_goes_on_bit_by_bit(
    make: Make, uninterrupted: Callable[..., Trainer], steps: int, accumulate: int, precision: str
) -> None:
    """Six batches are an epoch: in the middle of the first, at its end, in the second."""
    recipe = replace(RECIPE, accumulate=accumulate, precision=precision)
    killed_after(make('killed', recipe, ALWAYS), steps)
    resumed = make('killed', recipe)
    for weight in resumed.network.parameters():
        nn.init.constant_(weight, 9)  # all comes from the file
    resumed.resume()
    place = resumed.progress.epoch * 6 + resumed.progress.batches
    assert place == steps * accumulate
    resumed.run()
    assert_equal_trainings(resumed, uninterrupted(recipe))


def test_without_a_saved_state_in_the_epoch_the_epoch_is_repeated(
    make: Make, uninterrupted: Callable[..., Trainer]
) -> None:
    killed_after(make('killed'), 9)
    resumed = make('killed')
    resumed.resume()
    assert (resumed.progress.epoch, resumed.progress.batches) == (1, 0)
    resumed.run()
    assert_equal_trainings(resumed, uninterrupted())


def deliver(number: signal.Signals) -> None:
    """Do what a signal does, without one.

    Whatever else handles signals in a process of tests has no say then; real ones go to the process
    of `pose3d train` in test_train_command.
    """
    handler = signal.getsignal(number)
    assert callable(handler)
    handler(number, None)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_state_to_go_on_from(
    make: Make, uninterrupted: Callable[..., Trainer], number: signal.Signals
) -> None:
    stopped = make('stopped')
    step, before = stopped.step, signal.getsignal(number)

    def asked_to_stop() -> None:
        step()
        if stopped.progress.batches == 2:
            deliver(number)

    stopped.step = asked_to_stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        stopped.run()
    assert signal.getsignal(number) == before
    resumed = make('stopped')
    resumed.resume()
    assert (resumed.progress.epoch, resumed.progress.batches) == (0, 3)
    resumed.run()
    assert_equal_trainings(resumed, uninterrupted())


def test_a_signal_ends_a_validation_which_is_made_up_for(
    make: Make, uninterrupted: Callable[..., Trainer]
) -> None:
    stopped = make('stopped')
    forward, looked_at = stopped.task.forward, []

    def asked_to_stop(network: nn.Module, *values: Any) -> Any:
        if not network.training:
            looked_at.append(network)
            deliver(signal.SIGTERM)
        return forward(network, *values)

    stopped.task.forward = asked_to_stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        stopped.run()
    assert len(looked_at) == 1  # of two batches
    assert not list(stopped.folder.glob('snapshot*'))
    resumed = make('stopped')
    resumed.resume()
    assert (resumed.progress.epoch, resumed.progress.batches) == (0, 6)
    resumed.run()
    assert_equal_trainings(resumed, uninterrupted())


@pytest.mark.parametrize(('step_s', 'most'), [(30.0, 1), (0.3, 4), (0.01, 10)])
def test_several_processes_hear_of_a_signal_within_seconds(
    monkeypatch: pytest.MonkeyPatch, step_s: float, most: int
) -> None:
    """Of steps that take long after the next one, of short ones after ten."""
    now, theirs = [0.0], [0.0]
    monkeypatch.setattr('pose3d_ros.training.together.monotonic', lambda: now[0])

    def mean(values: Any, how: str) -> Any:
        assert how == 'mean'
        return (values + torch.tensor([theirs[0], step_s])) / 2

    two = SimpleNamespace(num_processes=2, device='cpu', reduce=mean)
    together = Together(two)  # type: ignore[arg-type]

    def hears_after_a_step() -> bool:
        now[0] += step_s
        return together.any_soon(False)

    assert not any(hears_after_a_step() for _ in range(25))
    theirs[0] = 1.0
    assert any(hears_after_a_step() for _ in range(most))


def test_all_processes_validate_with_the_statistics_of_the_first(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which are those of the snapshot, whose error is said."""
    monkeypatch.setattr('pose3d_ros.training.together.broadcast', lambda own: own.fill_(7))
    trainer = make('one', replace(RECIPE, epochs=1))
    trainer.network.register_buffer('running_var', torch.zeros(2))
    forward, seen = trainer.task.forward, []

    def look(network: nn.Module, *values: Any) -> Any:
        if not network.training:
            seen.append(network.running_var.tolist())
        return forward(network, *values)

    trainer.task.forward = look  # type: ignore[method-assign]
    trainer.run()
    assert seen == [[7, 7], [7, 7]]


def test_the_second_ctrl_c_stops_at_once(make: Make) -> None:
    trainer = make('stopped')

    def never_ends() -> None:
        deliver(signal.SIGINT)
        deliver(signal.SIGINT)

    trainer.step = never_ends  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    state = torch.load(trainer.folder / 'state.pt', weights_only=True)
    assert state['progress']['batches'] == 0  # of the beginning


def test_more_epochs_can_be_added(make: Make, uninterrupted: Callable[..., Trainer]) -> None:
    make('parts', replace(RECIPE, epochs=1)).run()
    longer = make('parts')
    longer.resume()
    assert not longer.is_done
    longer.run()
    assert longer.is_done
    assert_equal_trainings(longer, uninterrupted())


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'batch': 3}, 'batch 2, and this one has 3'),
        ({'seed': 1}, 'seed 0, and this one has 1'),
        ({'augmentation': {'mirror': False}}, "augmentation {.*'mirror': True.*'mirror': False"),
    ],
)
def test_the_state_of_another_training_is_refused(make: Make, change: Any, said: str) -> None:
    make('one', replace(RECIPE, epochs=1)).run()
    with pytest.raises(TrainingError, match=rf'state\.pt is of another training.*{said}'):
        make('one', RECIPE.changed(change)).resume()


def test_the_state_of_another_network_is_refused(make: Make, tmp_path: Path) -> None:
    make('one', replace(RECIPE, epochs=1)).run()
    other = make('one')
    other.task.name = 'posenet'
    with pytest.raises(TrainingError, match="network 'rootnet', and this one has 'posenet'"):
        other.resume()


@pytest.mark.parametrize('kept', [0.0, 0.5])
def test_a_damaged_state_is_refused(make: Make, kept: float) -> None:
    trainer = make('one', replace(RECIPE, epochs=1))
    trainer.run()
    state = trainer.folder / 'state.pt'
    state.write_bytes(state.read_bytes()[: int(kept * state.stat().st_size)])
    with pytest.raises(TrainingError, match=r'cannot resume from .*state\.pt.*--weights'):
        make('one').resume()


# that of the curves' own thread, which meets the same limit
@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
@pytest.mark.parametrize('full_at', ['snapshot', 'state'])
def test_a_full_disk_leaves_what_was_there(
    make: Make, uninterrupted: Callable[..., Trainer], full_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files end at a size that the system sets, which is how a quota or a full disk looks."""
    make('full', replace(RECIPE, epochs=1)).run()
    full = make('full')
    full.resume()
    before = {path.name: path.read_bytes() for path in full.folder.iterdir() if path.is_file()}
    name = '_finish_epoch' if full_at == 'snapshot' else '_save_state'
    saving = getattr(full, name)

    def with_a_full_disk(*values: Any) -> None:
        with full_disk():
            saving(*values)

    monkeypatch.setattr(full, name, with_a_full_disk)
    with pytest.raises(TrainingError, match=r'cannot write .*(state|snapshot).*--resume'):
        full.run()
    after = {path.name: path.read_bytes() for path in full.folder.iterdir() if path.is_file()}
    assert {'snapshot_0.pth.tar', 'state.pt', 'best.pth.tar'} <= before.keys()
    assert {name: after.get(name) for name in ('state.pt', 'snapshot_0.pth.tar')} == {
        name: before[name] for name in ('state.pt', 'snapshot_0.pth.tar')
    }
    assert not [name for name in after if name.endswith('.part')]
    resumed = make('full')
    resumed.resume()
    resumed.run()
    assert_equal_trainings(resumed, uninterrupted())


def test_a_loss_that_is_no_number_ends_it_and_is_never_saved(make: Make) -> None:
    trainer = make('one', machine=ALWAYS)
    backward, count = trainer.backward, [0]

    def spoiled(*values: Any) -> Any:
        count[0] += 1
        return backward(*values) * (float('nan') if count[0] == 3 else 1)

    trainer.backward = spoiled  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r'the loss is nan in epoch 0, batch 3.*learning_rate'):
        trainer.run()
    resumed = make('one')
    resumed.resume()
    assert resumed.progress.batches == 2 and np.isfinite(resumed.progress.loss_sum)


def test_too_many_unreadable_images_end_it(make: Make) -> None:
    trainer = make('one')
    for i in range(len(trainer.people)):
        trainer.people.path(i).unlink()
    with pytest.raises(DataError, match=r'11 images of made up cannot be used'):
        trainer.run()


def test_unreadable_images_of_all_processes_count_together(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two has met six, which it would leave out; one of them both have met."""
    people = make('one').people
    two = Unreadable(people), Unreadable(people)
    for i in range(len(people)):
        people.path(i).unlink()
    for rows, one in zip((range(6), range(5, 11)), two, strict=True):
        some = torch.tensor(list(rows))
        one.note({'row': some, 'readable': torch.zeros(6, dtype=torch.bool)})
    everybody = [pair for one in two for pair in one._faults.items()]
    monkeypatch.setattr('pose3d_ros.training.loading.gather_object', lambda own: everybody)
    for one in two:
        with pytest.raises(DataError, match=r'11 images of made up cannot be used.*up to 10'):
            one.share()


def test_a_few_are_left_out(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = make('one', replace(RECIPE, epochs=1))
    assert trainer.held_out is not None
    gone = [trainer.people.path(3), trainer.held_out.path(1)]
    for path in gone:
        path.unlink()
    trainer.run()
    said = capsys.readouterr().err
    assert all(str(path) in said for path in gone)
    (found,) = trainer.progress.history
    assert np.isfinite(found['MRPE_mm']) and np.isfinite(found['loss'])


def test_files_curves_and_the_best(make: Make) -> None:
    trainer = make('one', replace(RECIPE, epochs=4))
    trainer.run()
    names = {path.name for path in trainer.folder.iterdir()}
    assert names == {
        *(f'snapshot_{i}.pth.tar' for i in range(4)),
        'best.pth.tar', 'state.pt', 'history.json', 'tensorboard',
    }  # fmt: skip
    history = json.loads((trainer.folder / 'history.json').read_text())
    assert [h['learning_rate'] for h in history] == pytest.approx([1e-3, 1e-4, 1e-4, 1e-4])
    errors = [h['MRPE_mm'] for h in history]
    best = torch.load(trainer.folder / 'best.pth.tar', weights_only=True)
    assert best['epoch'] == int(np.argmin(errors))
    last = torch.load(trainer.folder / 'snapshot_3.pth.tar', weights_only=True)
    assert last['epoch'] == 3 and set(last) == {'epoch', 'network', 'optimizer'}
    assert all(key.startswith('module.') for key in last['network'])
    assert last['optimizer']['param_groups'][0]['lr'] == pytest.approx(1e-4)
    events = EventAccumulator(str(trainer.folder / 'tensorboard'))
    events.Reload()
    assert [e.value for e in events.Scalars('epoch/MRPE_mm')] == pytest.approx(errors)
    assert events.Images('held out')[-1].width == 2 * 256  # of the first batch


def test_the_best_is_of_one_kind_of_error(make: Make) -> None:
    """A loss is no error in millimetres: with another validation the best begins anew."""
    trainer = make('one', replace(RECIPE, epochs=1))
    trainer.run()
    assert trainer.progress.best_of == 'MRPE of 3 people of made up'
    same = make('one')
    same.resume()
    assert same.progress.best == trainer.progress.best < float('inf')
    for change in ({'held_out': None}, {'machine': replace(MACHINE, validation_people=2)}):
        other = make('one')
        for name, value in change.items():
            setattr(other, name, value)
        other.resume()
        assert other.progress.best == float('inf')
        assert other.progress.best_of in ('loss', 'MRPE of 2 people of made up')


def test_it_learns(make: Make) -> None:
    trainer = make('one', replace(RECIPE, epochs=6, decay_epochs=()))
    trainer.run()
    errors = [h['MRPE_mm'] for h in trainer.progress.history]
    assert min(errors[-3:]) < 0.7 * errors[0]


def test_accumulated_batches_are_one_large_batch(make: Make) -> None:
    """This network has no batch norm; the last step of the epoch is of fewer batches."""
    recipe = replace(RECIPE, epochs=1)
    small, large = (
        make('small', replace(recipe, accumulate=2)),
        make('large', replace(recipe, batch=4)),
    )
    small.run()
    large.run()
    # the last four are of 2 and 1 people, whose means then count the same
    for one, other in zip(weights(small).values(), weights(large).values(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_workers_change_nothing(make: Make, uninterrupted: Callable[..., Trainer]) -> None:
    helped = make('helped', machine=replace(MACHINE, workers=2))
    helped.run()
    assert_equal_trainings(helped, uninterrupted())


def test_roots_are_scored_in_the_camera_s_frame(tmp_path: Path) -> None:
    people = made_up(tmp_path, 4)
    task = RootTask()
    table = task.table([people])
    rows = np.array([2, 0, 3])
    truth = people.roots[rows]
    cells = (people.pixels[rows, 0] - table.squares[rows, :2]) / table.squares[rows, 2:] * 64
    found = np.concatenate([cells, truth[:, 2:] * 1000], axis=1)[:, None]
    np.testing.assert_allclose(task.errors_mm(table, rows, found), 0, atol=0.01)
    found[1, 0, 2] *= 1.1
    wanted = 100 * np.linalg.norm(truth[1])  # mm: a tenth of the distance
    np.testing.assert_allclose(task.errors_mm(table, rows, found), [0, wanted, 0], atol=0.01)


def test_joints_are_scored_around_the_true_root(tmp_path: Path) -> None:
    people = made_up(tmp_path, 4)
    task = PoseTask(HUMAN36M)
    table = joint_table([people], HUMAN36M)
    rows = np.array([1, 3])
    cells = (people.pixels[rows] - table.squares[rows, None, :2]) / table.squares[rows, None, 2:]
    behind = to_cells(people.joints[rows, :, 2] - people.roots[rows, 2:])
    found = np.concatenate([cells * 64, behind[..., None]], axis=2)
    np.testing.assert_allclose(task.errors_mm(table, rows, found), 0, atol=0.01)
    found[0, 5, 2] += 3.2  # 0.1 m
    joint = people.joints[1, 5]
    wanted = 100 * np.linalg.norm(joint / joint[2]) / 17
    np.testing.assert_allclose(task.errors_mm(table, rows, found), [wanted, 0], atol=0.01)
    # the thorax does not count, as for pose3d evaluate
    found[1, HUMAN36M.index('Thorax')] = 0
    np.testing.assert_allclose(task.errors_mm(table, rows, found), [wanted, 0], atol=0.01)
    places = places_of(
        table, rows, found, table.root_depth_m[rows, None] + to_metres(found[..., 2])
    )
    poses = FoundPoses(Subjects.annotated(people[rows]), HUMAN36M, places, found[..., :2])
    evaluated = human36m(people[rows], poses, 'x', 2).runs[0].total[0]
    assert evaluated == pytest.approx(wanted / 2, abs=0.01)
    # nor does a joint that nobody has
    table.joints[:, 5] = np.nan
    np.testing.assert_allclose(task.errors_mm(table, rows, found), 0, atol=0.01)


def test_the_heatmaps_part_of_the_loss_is_added_with_its_weight() -> None:
    torch.manual_seed(0)
    network = PoseNet(17, 'resnet18', crop_px=128).eval()
    images = torch.randn(1, 3, 256, 256)
    batch = {'target': 64 * torch.rand(1, 17, 3), 'visible': torch.ones(1, 17, 1),
             'have_depth': torch.ones(1, 1)}  # fmt: skip
    with torch.inference_mode():
        published, some, more = (
            float(PoseTask(HUMAN36M_17, weight).loss(network, images, batch))
            for weight in (0.0, 0.5, 2.0)
        )
        wanted = posenet_loss(network(images), *batch.values()).mean()
    assert published == pytest.approx(float(wanted), rel=1e-5)
    # nats of 32 x 32 and of 64 cells that are all alike, which they are at first
    assert some - published == pytest.approx(0.5 * np.log(32 * 32 * 64), rel=0.01)
    assert more - published == pytest.approx(4 * (some - published), rel=1e-3)


def test_a_backbone_that_is_to_stay_stays_with_its_statistics(tmp_path: Path) -> None:
    people = made_up(tmp_path / 'images', 4)
    task = RootTask()
    network = task.network('resnet18', 128)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    recipe = RECIPE.changed({'epochs': 1, 'backbone_rate': 0, 'crop_px': 128})
    Trainer(task, network, recipe, task.table([people]), None, tmp_path, MACHINE).run()
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith('backbone.'), key


def test_the_backbone_learns_at_a_rate_of_its_own(make: Make) -> None:
    recipe = RECIPE.changed({'backbone_rate': 0.5})
    trainer = make('slow', recipe)
    trainer.run()
    rates = {len(g['params'][0].shape): g['lr'] for g in trainer.optimizer.param_groups}
    last = recipe.learning_rate_in(1)
    assert rates == {4: 0.5 * last, 2: last}  # a convolution's weights, and a linear layer's


def test_a_joint_set_of_no_network_is_refused() -> None:
    with pytest.raises(
        DataError, match='joint set mupots cannot be learned; the known are human36m'
    ):
        PoseTask(MUPOTS)


def test_it_starts_from_a_snapshot_or_a_backbone(tmp_path: Path) -> None:
    given = RootNet('resnet18')
    path = tmp_path / 'snapshot_7.pth.tar'
    torch.save(snapshot(7, given.state_dict(), {}), path)
    network = RootNet('resnet18')
    start_from(network, tmp_path)
    for key, value in network.state_dict().items():
        assert torch.equal(value, given.state_dict()[key])
    backbone = tmp_path / 'resnet18.pth'
    torch.save(given.backbone.state_dict() | {'fc.weight': torch.zeros(2, 2)}, backbone)
    posenet = PoseNet(17, 'resnet18', crop_px=128)
    head = posenet.head.final_layer.weight.clone()
    start_from(posenet, backbone)
    assert torch.equal(posenet.backbone.conv1.weight, given.backbone.conv1.weight)
    assert torch.equal(posenet.head.final_layer.weight, head)
    other = tmp_path / 'posenet.pth.tar'
    torch.save(snapshot(0, PoseNet(18, 'resnet18', crop_px=128).state_dict(), {}), other)
    with pytest.raises(SnapshotError, match=r'is not PoseNet as it is to be trained.*head'):
        start_from(posenet, other)
    with torch.device('meta'):
        large = RootNet('resnet50')
    with pytest.raises(
        SnapshotError, match=r'is not ResNet-50: layer1\.0\.conv3\.weight is missing'
    ):
        start_from(large, backbone)


@pytest.mark.parametrize('crop_px', [128, 256])
def test_each_starts_from_the_other_s_trunk(tmp_path: Path, crop_px: int) -> None:
    path = tmp_path / 'snapshot_7.pth.tar'
    rootnet, posenet = RootNet('resnet18', crop_px), PoseNet(17, 'resnet18', crop_px=128)
    for given, taker, last in ((rootnet, posenet, 'final'), (posenet, rootnet, 'depth')):
        torch.manual_seed(1)
        for value in given.state_dict().values():
            if value.is_floating_point():
                value.uniform_(1, 2)
        torch.save(snapshot(7, given.state_dict(), {}), path)
        before = {key: value.clone() for key, value in taker.state_dict().items()}
        start_from(taker, path)
        theirs = {key.partition('.')[2]: value for key, value in given.state_dict().items()}
        for key, value in taker.state_dict().items():
            name = key.partition('.')[2]
            is_own = name == 'seen_px' or name not in theirs
            assert torch.equal(value, before[key] if is_own else theirs[name]), key
        assert any(last in key for key in before)
    assert rootnet.backbone.crop_px == crop_px
    torch.save(snapshot(7, RootNet('resnet34').state_dict(), {}), path)
    with pytest.raises(SnapshotError, match=r'is not PoseNet as it is to be trained: '):
        start_from(posenet, path)


@pytest.mark.parametrize(('task', 'joints'), [(RootTask(), 0), (PoseTask(HUMAN36M_17), 17)])
def test_real_networks_are_trained_and_their_snapshots_read(
    tmp_path: Path, task: Any, joints: int
) -> None:
    people = made_up(tmp_path / 'images', 2, HUMAN36M_17)
    table = task.table([people, made_up(tmp_path / 'flat', 1, HUMAN36M_17, with_depth=False)])
    recipe = RECIPE.changed({'epochs': 1, 'precision': 'bf16'})
    crop_px = 128 if joints else 256
    network = task.network('resnet18', crop_px)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trainer = Trainer(task, network, recipe, table, task.table([people]), tmp_path, MACHINE)
    trainer.run()
    file = find_snapshot(tmp_path)
    loaded = load_posenet(file)[0] if joints else load_rootnet(file)
    # the original goes on with this optimizer of its own
    adam = torch.optim.Adam(loaded.parameters(), lr=1e-3)
    adam.load_state_dict(torch.load(file, weights_only=True)['optimizer'])
    for parameter in loaded.parameters():
        assert adam.state[parameter]['exp_avg'].shape == parameter.shape
    assert (loaded.backbone.depth, loaded.backbone.crop_px) == (18, crop_px)
    assert snapshot_epoch(file) == 0
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, weights(trainer)[key])
        assert value.dtype != torch.bfloat16
        assert key == 'backbone.seen_px' or not torch.equal(value, before[key]), key
    assert np.isfinite(trainer.progress.history[0][f'{task.metric}_mm'])


def test_the_heads_compute_in_f32_in_mixed_precision() -> None:
    """Sums of a softmax over 262,144 cells would be lost in bf16."""
    network = PoseNet(1, 'resnet18').eval()
    seen = []
    network.head.deconv_layers.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    image = torch.randn(1, 3, 256, 256)
    with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16):
        found = network(image)
        volume = network.head.deconv_layers(network.backbone(image)).float()
    assert seen == [torch.bfloat16, torch.bfloat16] and found.dtype == torch.float32
    with torch.inference_mode():
        logits = network.head.final_layer(volume).flatten(1).softmax(1).view(64, 64, 64)
        z = (logits.sum((1, 2)) * torch.arange(64)).sum()
    np.testing.assert_allclose(found[0, 0, 2], z, atol=1e-3)


def test_f16_is_refused_where_small_gradients_would_be_lost(make: Make) -> None:
    with pytest.raises(TrainingError, match='precision f16 needs a GPU'):
        make('one', replace(RECIPE, precision='f16'))


def test_a_dry_run_times_and_writes_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('pose3d_ros.training.dry_run._SECONDS', 0.2)
    trainer = make('one')
    rates = dry_run(trainer)
    assert rates.loader > 10 and rates.step > 10
    assert list(trainer.folder.iterdir()) == []
    assert 'keeps up' in str(Rates(10, 9)) and '--workers' in str(Rates(9, 10))


def test_pictures_show_truth_and_what_was_found() -> None:
    crops = np.zeros((2, 256, 256, 3), np.uint8)
    truth = np.array([[[16.0, 32, 5000]], [[8, 8, 4000]]])
    found = truth + np.array([32, 0, 0])
    picture = grid(crops, truth, found, np.array([[True], [False]]), ())
    assert picture.shape == (256, 512, 3)
    assert picture[128, 64].tolist() == [255, 255, 255]
    assert picture[128, 192].tolist() == [255, 140, 60]
    assert picture[32, 256 + 32].tolist() == [0, 0, 0]  # not visible
    far = truth + 1e6
    assert grid(crops, truth, far, np.ones((2, 1), bool), ()).any()


def test_progress_begins_at_nothing() -> None:
    assert Progress().best == float('inf') and Progress().history is not Progress().history
