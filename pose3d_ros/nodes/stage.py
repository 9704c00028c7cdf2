"""What the three stages share: one worker, the newest frame, the count of everything else."""

import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from pose3d_ros.camera import CameraError
from pose3d_ros.models.batches import OutOfMemory
from pose3d_ros.models.detection import OptionsError
from pose3d_ros.models.runtime import RuntimeUnavailable
from pose3d_ros.nodes.accounting import Accounting, Sample
from pose3d_ros.nodes.ages import age_ms, why_ageless, why_stale
from pose3d_ros.nodes.inputs import RESULT_QOS, Frame, Unusable, call_every
from pose3d_ros.nodes.interrupts import Interrupts
from pose3d_ros.nodes.messages import MessageError
from pose3d_ros.nodes.parameters import Param, ParameterError, declare, value_of
from pose3d_ros.nodes.python_log import log_to_ros
from pose3d_ros.nodes.stage_parameters import STAGE
from pose3d_ros.stages import Runs
from pose3d_ros.transport import prepare_process
from pose3d_ros.weights import WeightsError

#: How often the same is said. rclpy counts by the line that logs, and raises where one line logs
#: with two severities: each message needs a call of its own.
LOG_EVERY_S = 5.0
_POLL_S = 0.1  # a signal does not wake the executor

#: What a user can cause at the start; said in one line, without a traceback.
START_ERRORS = (WeightsError, RuntimeUnavailable, OptionsError, ParameterError, CameraError)


class Stage(Node):
    """A node with one worker thread that takes the newest job and publishes its result.

    A job is a frame and what the stage before made of it. A subclass subscribes, calls `submit`
    for each job, and implements `process`, which returns what the next stage gets.

    :param name: node name.
    :param parameters: the subclass's own, besides those of every stage.
    """

    def __init__(self, name: str, parameters: Sequence[Param], **options: Any) -> None:
        super().__init__(name, **options)
        log_to_ros(self.get_logger())
        declare(self, (*STAGE, *parameters))
        self.accounting = Accounting()
        #: The next stage in the same process, which gets results directly.
        self.downstream: Stage | None = None
        self._waiting: tuple[Frame, Any] | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name=name, daemon=True)
        self._latency = self.create_publisher(DiagnosticArray, '~/latency', RESULT_QOS)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', RESULT_QOS)
        self._stale_said = 0  # of the stale ones, when diagnostics were published last
        call_every(self, 1.0, self._publish_diagnostics)

    def start(self) -> None:
        """Start the worker; called once everything it uses is there."""
        for network in self.networks():
            network.warm_up()
        self._worker.start()
        models = ', '.join(sorted({n.precision for n in self.networks()})) or value_of(
            self, 'precision'
        )
        self.get_logger().info(f'ready: {value_of(self, "model")} on {self._device()} ({models})')

    def submit(self, frame: Frame, given: Any = None) -> None:
        """Hand a job to the worker; the one that still waits is dropped for it."""
        self.accounting.count('received')
        with self._changed:
            dropped, self._waiting = self._waiting is not None, (frame, given)
            self._changed.notify_all()
        if dropped:
            self.accounting.count('dropped')
            self._say_dropped()

    def process(self, frame: Frame, given: Any) -> Any:
        """Do the stage's work on a job, publish it, and return what the next stage needs.

        :raises Unusable: nothing can come of this job.
        """
        raise NotImplementedError

    def networks(self) -> Sequence[Runs]:
        """Return the networks that the stage runs, for their time."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop the worker after the job in hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._worker.is_alive():
            self._worker.join(timeout=10.0)

    def destroy_node(self) -> None:
        """Take the node down: the worker first, which uses it."""
        self.close()
        super().destroy_node()

    def has_room(self) -> bool:
        """Return whether no job waits here: one may be in work."""
        return self._waiting is None

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            try:
                self._run(*job)
            except (Unusable, MessageError, CameraError) as reason:
                self.get_logger().warning(
                    f'frame skipped: {reason}', throttle_duration_sec=LOG_EVERY_S
                )
                self.accounting.count('skipped')
            except OutOfMemory as reason:
                self.get_logger().error(
                    f'frame failed: {reason}', throttle_duration_sec=LOG_EVERY_S
                )
                self.accounting.count('failed')
            # the node outlives any frame; what went wrong is said and counted
            except Exception:  # noqa: BLE001
                if not rclpy.ok():
                    return
                self.get_logger().error(
                    f'frame failed:\n{traceback.format_exc()}', throttle_duration_sec=LOG_EVERY_S
                )
                self.accounting.count('failed')

    def _next_job(self) -> tuple[Frame, Any] | None:
        """Wait for a job, and for room behind us: work on a frame is never begun to be dropped."""
        while True:
            if self.downstream is not None:
                self.downstream.wait_for_room(self)
            with self._changed:
                if self._closed:
                    return None
                if self._waiting is not None:
                    job, self._waiting = self._waiting, None
                    self._changed.notify_all()
                    return job
                self._changed.wait()

    def wait_for_room(self, upstream: 'Stage') -> None:
        """Wait until no job waits here, or either stage closes."""
        with self._changed:
            while self._waiting is not None and not self._closed and not upstream._closed:
                self._changed.wait(timeout=0.5)

    def _run(self, frame: Frame, given: Any) -> None:
        if self._is_stale(frame):
            return
        start, busy = perf_counter(), self._network_s()
        result = self.process(frame, given)
        end = perf_counter()
        network_ms = (self._network_s() - busy) * 1e3
        sample = self.accounting.frame_done(
            end, (end - start) * 1e3, network_ms, age_ms(self, frame.header)
        )
        if self.downstream is not None:
            self.downstream.submit(frame, result)
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
        return ', '.join(sorted({n.device for n in self.networks()})) or value_of(self, 'device')

    def _network_s(self) -> float:
        return sum(network.busy_s for network in self.networks())

    def _say_dropped(self) -> None:
        a = self.accounting
        self.get_logger().info(
            f'{a.dropped} of {a.received} frames dropped for newer ones so far',
            throttle_duration_sec=LOG_EVERY_S,
        )

    def describe(self) -> dict[str, str]:
        """Return what its numbers rest on, for diagnostics."""
        precisions = ','.join(n.precision for n in self.networks())
        return {'model': value_of(self, 'model'), 'precision': precisions}

    def _publish_latency(self, frame: Frame, sample: Sample) -> None:
        """Publish the times of one result, under the header of its image."""
        values = {key: value for key, value in vars(sample).items() if value == value}
        status = self._status(values, f'{sample.age_ms:.1f} ms old')
        self._latency.publish(DiagnosticArray(header=frame.header, status=[status]))

    def _publish_diagnostics(self) -> None:
        values = self.accounting.summary()
        stale = f', {values["stale"]:.0f} stale' if values['stale'] else ''
        status = self._status(
            values, f'{values.get("rate_hz", 0.0):.1f} Hz, {values["dropped"]:.0f} dropped{stale}'
        )
        if values['stale'] > self._stale_said:
            status.level = DiagnosticStatus.WARN
        self._stale_said = int(values['stale'])
        status.values += [KeyValue(key=key, value=text) for key, text in self.describe().items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _status(self, values: Mapping[str, float], message: str) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=DiagnosticStatus.OK,
            name=f'{self.get_fully_qualified_name().lstrip("/")}: frames',
            message=message,
            hardware_id=self._device(),
            values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
        )


def _text(value: float) -> str:
    # counters to the last frame, also after days
    return str(value) if isinstance(value, int) else f'{value:.6g}'


def run(
    make_stages: Callable[[], Sequence[Stage]],
    args: list[str] | None = None,
    make_executor: Callable[[], Executor] = SingleThreadedExecutor,
) -> None:
    """Be a process of stages: start ROS, spin until told to stop, exit 1 when it cannot start."""
    prepare_process()
    interrupts = Interrupts()
    stages: Sequence[Stage] = ()
    status = 0
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        with interrupts.raised():
            stages = make_stages()
        executor = make_executor()
        for stage in stages:
            executor.add_node(stage)
        while not interrupts.came:
            executor.spin_once(timeout_sec=_POLL_S)
    except START_ERRORS as error:
        print(f'error: {error}', file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        pass  # asked to end while networks were loaded
    finally:
        for stage in stages:
            stage.destroy_node()
        rclpy.try_shutdown()
        interrupts.ignore()
    sys.exit(status)
