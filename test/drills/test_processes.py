# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Processes that die, and processes that do not read."""

import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from managing import Manager
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rig import LIMIT_S, Player, Process, Rig
from waiting import wait

from pose3d_ros import weights
from pose3d_ros.bag_parts import PartedBag
from pose3d_ros.bag_recording import NOTES
from pose3d_ros.bags import messages, open_bag
from pose3d_ros.data.pose2sim import Clip
from pose3d_ros.stages import STAGES

#: From a signal to the end of the process.
SIGNAL_LIMIT_S = 2.0


@pytest.mark.parametrize('stage', STAGES)
def test_kill_and_restart_of_a_stage(rig: Rig, report: Any, stage: str) -> None:
    kill_and_restart(rig, report, stage, [stage])


def test_kill_and_restart_of_the_pipeline(make_rig: Callable[..., Rig], report: Any) -> None:
    kill_and_restart(make_rig('graph'), report, 'pipeline', STAGES)


def kill_and_restart(rig: Rig, report: Any, name: str, stages: Sequence[str]) -> None:
    process = rig.processes[name]
    with rig.drill(killed=stages) as drill:
        process.kill()
        time.sleep(1.0)
        started_s = time.monotonic()
        process.start()
        wait(lambda: process.said().count('ready:') == len(stages), f'{name} to be ready')
        drill.over()
        start_s = drill.over_s - started_s
    report(f'kill -9 of {name}, started again 1 s later', drill.outcome(),
           f'the process takes {start_s:.1f} s until its networks are loaded')  # fmt: skip


def test_kill_and_restart_of_the_player(rig: Rig, report: Any, folder: Path) -> None:
    ours, rig.camera = rig.camera, Player(rig.node, folder / 'player.log', len(STAGES))
    try:
        with rig.drill(killed=['player']) as drill:
            assert rig.camera.process is not None
            rig.camera.process.kill()
            time.sleep(1.0)
            started_s, count = time.monotonic(), len(rig.camera.sent)
            rig.camera.appear()
            wait(lambda: len(rig.camera.sent) > count, 'images')
            drill.over()
            start_s = drill.over_s - started_s
        report('kill -9 of player, started again 1 s later', drill.outcome(),
               f'the process takes {start_s:.1f} s until its first image')  # fmt: skip
    finally:
        rig.camera.vanish()
        rig.camera = ours


def test_a_subscriber_that_never_reads(rig: Rig, report: Any, folder: Path) -> None:
    """A recorder, which is reliable and takes images too, is stopped, and stays so for 10 s."""
    recorder = Process('recorder', folder / 'log', ['-p', f'output:={folder / "bag"}'])
    recorder.wait_to_say('recording into')
    with rig.drill() as drill:
        recorder.wait_to_say('recording /poses')
        recorder.send(signal.SIGSTOP)
        time.sleep(10.0)
        longest_s = rig.longest_gap_s(drill.began_s)
        recorder.send(signal.SIGCONT)
        drill.over()
    outcome = drill.outcome()
    status, seconds = recorder.end()
    report('a reliable subscriber of everything stopped (SIGSTOP) for 10 s', outcome,
           f'longest gap between poses {longest_s:.2f} s')  # fmt: skip
    assert (status, longest_s < LIMIT_S) == (0, True), recorder.said()
    assert seconds < 5


SLOW = (
    'import time\n'
    'from pose3d_ros.bag_parts import PartedBag\n'
    'from pose3d_ros.nodes import recorder\n'
    'write = PartedBag.write\n'
    'def slowly(*given):\n'
    '    time.sleep(0.2)\n'
    '    write(*given)\n'
    'PartedBag.write = slowly\n'
    'recorder.main()\n'
)


def recorded(bag: Path, topic: str) -> list[int]:
    """Return the stamps of what a bag has of a topic, nanoseconds."""
    stamps = []
    with open_bag(bag) as reader:
        for message in messages(reader, [topic]):
            stamp = message.decoded().header.stamp
            stamps.append(stamp.sec * 10**9 + stamp.nanosec)
    return stamps


def test_a_disk_that_is_slow(rig: Rig, report: Any, folder: Path) -> None:
    """Each write takes 0.2 s: a third of what comes can be written."""
    bag = folder / 'bag'
    recorder = Process('recorder', folder / 'log', ['-p', f'output:={bag}'], code=SLOW)
    recorder.wait_to_say('recording into')
    with rig.drill() as drill:
        recorder.wait_to_say('recording /poses')
        came = drill.poses_while(8.0)
        drill.over()
        status, seconds = recorder.end()
    outcome = drill.outcome()
    kept, notes = set(recorded(bag, '/poses')), PartedBag(bag, NOTES).notes
    assert status == 0 and notes is not None, recorder.said()
    lost = notes['lost'].get('/poses', 0)
    report('recorder on a disk that takes 0.2 s for each message', outcome,
           f'of {len(came)} poses {len(came & kept)} in the bag, '
           f'{lost} counted as lost; it ends in {seconds:.1f} s')  # fmt: skip
    assert len(came - kept) <= lost
    assert came & kept and lost
    assert seconds < SIGNAL_LIMIT_S + 1.0  # as it would not be without the disk


FULL = (
    'import errno, os\n'
    'from pose3d_ros.bag_parts import PartedBag\n'
    'from pose3d_ros.nodes import recorder\n'
    'write, left = PartedBag.write, [4_000_000]\n'
    'def until_full(bag, topic, at_ns, data):\n'
    '    left[0] -= len(data)\n'
    '    if left[0] < 0:\n'
    '        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n'
    '    write(bag, topic, at_ns, data)\n'
    'PartedBag.write = until_full\n'
    'recorder.main()\n'
)


def test_a_disk_that_is_full(rig: Rig, report: Any, folder: Path) -> None:
    """The part that does not fit is lost, and those before are there."""
    bag = folder / 'bag'
    given = ['-p', f'output:={bag}', '-p', 'part_s:=3.0']
    recorder = Process('recorder', folder / 'log', given, code=FULL)
    recorder.wait_to_say('recording into')
    with rig.drill() as drill:
        wait(lambda: not recorder.lives(), 'the end of the recorder')
        drill.over()
    outcome = drill.outcome()
    kept = recorded(bag, '/poses')
    report('recorder on a disk that is full at 4 MB', outcome,
           f'status 1; {len(kept)} poses in the bag')  # fmt: skip
    assert recorder.status == 1 and 'Traceback' not in recorder.said(), recorder.said()
    assert 'No space left on device' in recorder.said()
    assert 'messages are lost; the parts written before are whole' in recorder.said()
    assert kept


def test_a_recorder_that_is_killed(rig: Rig, report: Any, folder: Path) -> None:
    bag = folder / 'bag'
    given = ['-p', f'output:={bag}', '-p', 'part_s:=3.0']
    recorder = Process('recorder', folder / 'log', given)
    recorder.wait_to_say('recording into')
    with rig.drill() as drill:
        wait(lambda: (bag / 'bag_1.mcap').exists(), 'a second part')
        killed_ns = time.time_ns()
        recorder.kill()
        drill.over()
    outcome = drill.outcome()
    with open_bag(bag) as reader:
        missing_s = (killed_ns - max(at_ns for _, at_ns, _ in reader.raw(reader.connections))) / 1e9
    report('kill -9 of recorder with part_s 3', outcome,
           f'the bag is read up to {missing_s:.1f} s before')  # fmt: skip
    assert missing_s < 3.0 + 2.0  # the part, and what ending it takes beside others


def test_weights_that_are_damaged_or_others_at_reconfigure(
    rig: Rig, report: Any, folder: Path
) -> None:
    """The detector is refused both, says why, and works again once the file is back."""
    own = folder / 'weights'
    own.mkdir()
    right = own / 'yolox_tiny.onnx'
    shutil.copy(weights.path('yolox_tiny'), right)
    detector = Manager(rig, 'detector')
    set_parameter(rig, 'detector', 'weights_dir', str(own), refused=True)
    with rig.drill(outage=True) as drill:
        assert detector.change('deactivate') and detector.change('cleanup')
        set_parameter(rig, 'detector', 'weights_dir', str(own))
        for wrong in (b'damaged', weights.path('rtmpose_s').read_bytes()):
            right.write_bytes(wrong)
            assert not detector.change('configure') and detector.state() == 'unconfigured'
        shutil.copy(weights.path('yolox_tiny'), right)
        started_s = time.monotonic()
        assert detector.change('configure') and detector.change('activate')
        drill.over()
        start_s = drill.over_s - started_s
    outcome = drill.outcome()
    assert rig.processes['detector'].said().count('corrupt') == 2
    report("detector's weight file damaged, then replaced by another, at reconfigure", outcome,
           f'refused twice; configuring with the right one takes {start_s:.1f} s')  # fmt: skip


def set_parameter(rig: Rig, node: str, name: str, value: str, refused: bool = False) -> None:
    """Set a text parameter of a node by its service; fail where the answer is another."""
    client = rig.node.create_client(SetParameters, f'/{node}/set_parameters')
    rig.wait(client.service_is_ready, 'the parameters')
    future = client.call_async(
        SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    )
    rig.wait(future.done, 'an answer')
    assert future.result().results[0].successful is not refused


@pytest.mark.parametrize('fallback', [False, True])
def test_a_device_that_is_absent(report: Any, folder: Path, fallback: bool) -> None:
    given = ['-p', 'device:=cuda', '-p', f'cpu_fallback:={str(fallback).lower()}']
    process = Process('detector', folder / 'log', given)
    if fallback:
        process.wait_to_say('ready: yolox on CPU')
        assert process.end()[0] == 0
    else:
        wait(lambda: not process.lives(), 'the refusal')
        assert process.status == 1 and 'Traceback' not in process.said()
    assert "device 'cuda' needs" in process.said()
    became = 'a warning, and the CPU' if fallback else 'refused in one line, status 1'
    report(f'device cuda where there is none, cpu_fallback {fallback}', besides=became)


def catches_sigterm(process: Process) -> bool:
    """Return whether a process has a handler of SIGTERM by now."""
    text = Path(f'/proc/{process.pid}/status').read_text()
    caught = next(line for line in text.splitlines() if line.startswith('SigCgt'))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize('name', ['detector', 'pipeline', 'player', 'recorder'])
def test_signals_at_any_moment(report: Any, folder: Path, name: str) -> None:
    """Of start-up and work, at random; before Python has come to our code the system ends it."""
    moments = np.random.default_rng(list(name.encode()))
    film = Clip.load('single').cameras[0].film
    slowest_s, early = 0.0, 0
    for number in range(8):
        given = {
            'player': ['-p', f'source:={film}', '-p', 'loop:=true'],
            'recorder': ['-p', f'output:={folder / f"bag{number}"}'],
        }.get(name, [])
        process = Process(name, folder / f'log{number}', given)
        time.sleep(moments.uniform(0.2, 4.0))
        assert process.lives(), process.said()
        ours = catches_sigterm(process)
        status, seconds = process.end(
            signal.Signals(moments.choice([signal.SIGINT, signal.SIGTERM]))
        )
        if ours:
            assert (status, 'Traceback' in process.said()) == (0, False), process.said()
            slowest_s = max(slowest_s, seconds)
            if (folder / f'bag{number}').exists():
                recorded(folder / f'bag{number}', '/poses')  # it can be read
        early += not ours
    report(f'{name}: SIGINT or SIGTERM at 8 random moments', besides='status 0, at the latest '
           f'after {slowest_s:.1f} s; {early} came before the first line of ours ran')  # fmt: skip
    assert early < 3 and slowest_s < SIGNAL_LIMIT_S
