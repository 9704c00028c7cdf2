# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the three stages share: a managed life, a worker, the count of what became of frames."""

import gc
import traceback
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import Executor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool

from pose3d_ros.camera import CameraError
from pose3d_ros.models.batches import OutOfMemory
from pose3d_ros.models.company import at_work
from pose3d_ros.models.detection import OptionsError
from pose3d_ros.models.session import RuntimeUnavailable
from pose3d_ros.nodes import diagnosis
from pose3d_ros.nodes.accounting import WINDOW_S, Accounting, Recent, Sample
from pose3d_ros.nodes.ages import age_ms, why_ageless, why_stale
from pose3d_ros.nodes.inputs import RESULT_QOS, Frame, Input, Unusable, call_every
from pose3d_ros.nodes.messages import MessageError
from pose3d_ros.nodes.parameters import Param, ParameterError, declare, value_of
from pose3d_ros.nodes.python_log import log_to_ros
from pose3d_ros.nodes.stage_parameters import STAGE, weights_in_use
from pose3d_ros.nodes.transitions import refuse_wrong_transitions
from pose3d_ros.nodes.worker import Worker
from pose3d_ros.stages import Runs
from pose3d_ros.transport import release_memory
from pose3d_ros.weights import WeightsError

#: How often the same is said. rclpy counts by the line that logs, and raises where one line logs
#: with two severities: each message needs a call of its own.
LOG_EVERY_S = 5.0
#: How often a stage tells of itself in /diagnostics.
DIAGNOSTICS_EVERY_S = 1.0
_END_S = 10.0  # for the job in hand, when the process ends

#: What a user can cause at the start; said in one line, without a traceback.
START_ERRORS = (WeightsError, RuntimeUnavailable, OptionsError, ParameterError, CameraError)

_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class Stage(LifecycleNode):
    """A managed node with a worker that takes the newest job and publishes its result.

    A job is a frame and what the stage before made of it. Configuring loads the networks,
    activating subscribes and starts the worker; each has its opposite. A subclass implements what
    raises NotImplementedError here, and calls `start` when it is made. Its publishers last as long
    as the node: only the worker publishes, which is at rest while the node is inactive.

    :param name: node name.
    :param parameters: the subclass's own, besides those of every stage.
    :param joined: a stage before or behind it is in the same process, and frames are handed over.
    """

    def __init__(
        self, name: str, parameters: Sequence[Param], joined: bool, **options: Any
    ) -> None:
        super().__init__(name, **options)
        self.joined = joined
        log_to_ros(self.get_logger())
        #: Whether networks are loaded.
        self.configured = False
        #: Who takes the messages of its inputs, where that is not the executor of all else.
        self.input_executor: Executor | None = None
        declare(self, (*STAGE, *parameters), lambda: self.configured)
        self.accounting = Accounting()
        self._downstream: Stage | None = None
        self._worker: Worker[tuple[Frame, Any]] = Worker(name, self._do)
        self._inputs: list[Input] = []
        self._enabled = True
        self._began_s = 0.0  # when the worker started last
        self._weights = ''
        self._starting = False
        self._error: Exception | None = None  # why the last transition failed
        self._losses = diagnosis.Losses()
        self._latency = self.create_publisher(DiagnosticArray, '~/latency', RESULT_QOS)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', RESULT_QOS)
        self.create_service(SetBool, '~/enable', self._take_enable)
        refuse_wrong_transitions(self, self._state)
        call_every(self, DIAGNOSTICS_EVERY_S, self._publish_diagnostics)

    # What a subclass implements.

    def load(self) -> None:
        """Load the networks, as the parameters say; nothing stays of what fails half-way.

        :raises Exception: of START_ERRORS, what a user can mend.
        """
        raise NotImplementedError

    def unload(self) -> None:
        """Forget the networks."""
        raise NotImplementedError

    def subscribe(self) -> Iterator[Input]:
        """Subscribe to what the stage works on, one after the other: callbacks call `submit`.

        :raises Exception: of START_ERRORS, what a user can mend.
        """
        raise NotImplementedError

    def networks(self) -> Sequence[Runs]:
        """Return the networks that the stage has loaded, for their time."""
        raise NotImplementedError

    def compute(self, frame: Frame, given: Any) -> Any:
        """Do what a job needs no other frame for; as many threads as `streams` are in it at once.

        :raises Unusable: nothing can come of this job.
        """
        raise NotImplementedError

    def finish(self, frame: Frame, computed: Any) -> Any:
        """Do the rest in the order of frames, publish, return what the next stage needs."""
        raise NotImplementedError

    # The managed life.

    def start(self) -> None:
        """Configure and activate, unless a lifecycle manager is to do that.

        :raises Exception: why that failed; of START_ERRORS, what a user can mend.
        """
        if not value_of(self, 'autostart'):
            self.get_logger().info(
                'waits to be configured and activated, by a lifecycle manager or by ros2 '
                f'lifecycle set {self.get_fully_qualified_name()} configure, then activate'
            )
            return
        self._starting = True
        try:
            for transition in (self.trigger_configure, self.trigger_activate):
                transition()
                if self._error is not None:
                    raise self._error
        except BaseException:
            self.destroy_node()
            raise
        self._starting = False

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the networks and warm them up."""
        return self._attempt(self._configure, self._forget)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and work, unless that is disabled."""
        return self._attempt(self._activate, self._rest)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, and let the worker rest when the job in hand is done."""
        self._error = None
        self._rest()
        return _SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the networks."""
        self._error = None
        self._forget()
        return _SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Work no more and forget the networks, whatever the state was."""
        self.on_deactivate(state)
        self._forget()
        return _SUCCESS

    def _attempt(
        self, action: Callable[[], None], undo: Callable[[], None]
    ) -> TransitionCallbackReturn:
        """Do what a transition is for; where that fails, say why, and leave nothing of it."""
        self._error = None
        try:
            action()
        # the node outlives any transition; rclpy would swallow the reason
        except Exception as error:  # noqa: BLE001
            self._error = error
            undo()
            if not self._starting:  # otherwise `start` hands it on
                known = isinstance(error, START_ERRORS)
                self.get_logger().error(str(error) if known else traceback.format_exc())
            return _FAILURE
        return _SUCCESS

    def _configure(self) -> None:
        self.load()
        self.configured = True
        for network in self.networks():
            network.warm_up()
        self._weights = weights_in_use(self)
        models = ', '.join(sorted({n.precision for n in self.networks()})) or value_of(
            self, 'precision'
        )
        self.get_logger().info(f'ready: {value_of(self, "model")} on {self._device()} ({models})')

    def _forget(self) -> None:
        if self.configured:
            self.configured = False
            self.unload()
        # networks are in cycles of references, and malloc would keep their memory for the next
        gc.collect()
        release_memory()

    def _activate(self) -> None:
        if self._enabled:
            self._begin()

    def _begin(self) -> None:
        self._began_s = perf_counter()
        self._worker.start(value_of(self, 'streams'))
        for one in self.subscribe():
            self._inputs.append(one)
        self.wake_inputs()

    def _rest(self) -> None:
        for one in self._inputs:
            one.close()
        self._inputs = []
        if self._worker.stop():
            self.accounting.count('dropped')

    def _take_enable(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        """Take images or none: at once where the node is active, otherwise once it is."""
        result = _SUCCESS
        if request.data != self._enabled:
            self._enabled = request.data
            if self._label() == 'active':
                result = self._attempt(self._begin if self._enabled else self._rest, self._rest)
                self._enabled &= result == _SUCCESS
        response.success = result == _SUCCESS
        response.message = self._state() if response.success else str(self._error)
        return response

    def _state(self) -> str:
        """Return the state as diagnostics have it: to a manager, a disabled node is active."""
        label = self._label()
        return 'disabled' if label == 'active' and not self._enabled else label

    def _label(self) -> str:
        """Return the state as a lifecycle manager has it."""
        return str(self._state_machine.current_state[1])

    def close(self) -> None:
        """Stop the worker after the job in hand, for good: the process ends.

        Subscriptions stay, as another thread may wait for them still.
        """
        self._worker.stop(_END_S)

    def destroy_node(self) -> None:
        """Take the node down: the worker first, which uses it."""
        self.close()
        super().destroy_node()
        # it holds on to the node, which rclpy leaves to the collector of garbage
        self._state_machine.destroy_when_not_in_use()

    # Jobs.

    def wake_inputs(self) -> None:
        """Let the executor look again for messages, which there are, or may be taken, by now."""
        if (executor := self.input_executor or self.executor) is not None:
            executor.wake()

    def hand_to(self, stage: 'Stage') -> None:
        """Hand results to another stage of the same process."""
        self._downstream = stage
        self._worker.downstream = stage._worker

    def submit(self, frame: Frame, given: Any = None) -> None:
        """Hand a job to the worker; the one that still waits is dropped for it.

        Nothing happens where the node is not active: its stage before may be.
        """
        dropped = self._worker.submit((frame, given))
        if dropped is None:
            return
        self.accounting.count('received')
        if dropped:
            self.accounting.count('dropped')
            self._say_dropped()

    def _do(self, job: tuple[Frame, Any], wait_for_turn: Callable[[], None]) -> None:
        try:
            self._run(*job, wait_for_turn)
        except (Unusable, MessageError, CameraError) as reason:
            self.get_logger().warning(f'frame skipped: {reason}', throttle_duration_sec=LOG_EVERY_S)
            self.accounting.count('skipped')
        except OutOfMemory as reason:
            self.get_logger().error(f'frame failed: {reason}', throttle_duration_sec=LOG_EVERY_S)
            self.accounting.count('failed')
        # the node outlives any frame; what went wrong is said and counted
        except Exception:  # noqa: BLE001
            if not rclpy.ok():
                return
            self.get_logger().error(
                f'frame failed:\n{traceback.format_exc()}', throttle_duration_sec=LOG_EVERY_S
            )
            self.accounting.count('failed')

    def _run(self, frame: Frame, given: Any, wait_for_turn: Callable[[], None]) -> None:
        if self._is_stale(frame):
            return
        start, busy = perf_counter(), self._network_s()
        with at_work():
            computed = self.compute(frame, given)
        wait_for_turn()
        result = self.finish(frame, computed)
        end = perf_counter()
        network_ms = (self._network_s() - busy) * 1e3
        sample = self.accounting.frame_done(
            end, (end - start) * 1e3, network_ms, age_ms(self, frame.header)
        )
        if self._downstream is not None:
            self._worker.wait_for_room_behind()
            self._downstream.submit(frame, result)
        if self._latency.get_subscription_count():
            self._publish_latency(frame, sample)

    def _is_stale(self, frame: Frame) -> bool:
        """Count and say that a frame is too old, now that work on it would begin."""
        bound_ms = value_of(self, 'max_age_ms')
        if bound_ms == 0:
            return False
        if reason := why_stale(self, frame.header, bound_ms):
            self.accounting.count('stale')
            a = self.accounting
            self.get_logger().warning(
                f'frame not begun, {a.stale} of {a.received} so far: {reason}',
                throttle_duration_sec=LOG_EVERY_S,
            )
            return True
        if reason := why_ageless(self, frame.header):
            self.get_logger().warning(reason, throttle_duration_sec=LOG_EVERY_S)
        return False

    def _device(self) -> str:
        networks = self.networks() if self.configured else ()
        return ', '.join(sorted({n.device for n in networks})) or value_of(self, 'device')

    def _network_s(self) -> float:
        return sum(network.busy_s for network in self.networks())

    def _say_dropped(self) -> None:
        a = self.accounting
        self.get_logger().info(
            f'{a.dropped - a.lost} of {a.received} frames dropped for newer ones so far',
            throttle_duration_sec=LOG_EVERY_S,
        )

    def describe(self) -> dict[str, str]:
        """Return what its numbers rest on, for diagnostics."""
        precisions = ','.join(n.precision for n in self.networks())
        model = value_of(self, 'model')
        return {'model': model, 'precision': precisions, 'weights_sha256': self._weights}

    def _publish_latency(self, frame: Frame, sample: Sample) -> None:
        """Publish the times of one result, under the header of its image."""
        values = {key: value for key, value in vars(sample).items() if value == value}
        text = f'{sample.age_ms:.1f} ms old'
        status = diagnosis.status(self, 'frames', DiagnosticStatus.OK, text, values, self._device())
        self._latency.publish(DiagnosticArray(header=frame.header, status=[status]))

    def _publish_diagnostics(self) -> None:
        state, device = self._state(), self._device()
        now_s = perf_counter()
        recent = self.accounting.recent(now_s, min(WINDOW_S, now_s - self._began_s))
        values: dict[str, object] = {**self.accounting.summary(), 'rate_hz': recent.rate_hz}
        values |= {'state': state, **(self.describe() if self.configured else {})}
        if state == 'active':
            level, text = self._diagnose(recent)
            inputs = diagnosis.inputs_status(self, self._inputs, device)
        else:
            level, text = self._explain_rest(state)
            inputs = diagnosis.status(self, 'inputs', DiagnosticStatus.STALE, text, {}, device)
        frames = diagnosis.status(self, 'frames', level, text, values, device)
        message = DiagnosticArray(status=[frames, inputs])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _diagnose(self, recent: Recent) -> tuple[bytes, str]:
        """Return the level of what became of frames, and why it is that."""
        level, passed = diagnosis.beyond_limits(self, recent)
        worse, losses = self._losses.since_last(self.accounting)
        texts = (f'{recent.rate_hz:.1f} Hz', *losses, passed)
        return max(level, worse), ', '.join(filter(None, texts))

    def _explain_rest(self, state: str) -> tuple[bytes, str]:
        """Return why no images are taken; what a transition failed for is an error."""
        if self._error is not None:
            return DiagnosticStatus.ERROR, f'{state}: {self._error}'
        return DiagnosticStatus.STALE, f'{state}: no images are taken'
