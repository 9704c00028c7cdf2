# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""detector: images to the boxes of people."""

from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from types import MappingProxyType
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from pose3d_ros.models.detection import KEEP, DetectorOptions, OptionsError
from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes.ages import tracking_time_s
from pose3d_ros.nodes.inputs import RESULT_QOS, Frame, Input, image_input
from pose3d_ros.nodes.messages import persons_to_message
from pose3d_ros.nodes.parameters import Param, ParameterError, value_of
from pose3d_ros.nodes.running import run
from pose3d_ros.nodes.stage import LOG_EVERY_S, Stage
from pose3d_ros.nodes.stage_parameters import load_model
from pose3d_ros.nodes.vision import VisionTopic, detections_2d
from pose3d_ros.people import Persons
from pose3d_ros.stages import DETECTORS, Detector, Runs
from pose3d_ros.tracking import Tracker

# An image that the detector waits for is taken within that time, on a busy machine too.
_TAKING_S = 0.05

PARAMETERS = (
    Param('model', 'yolox', 'the detector', choices=tuple(DETECTORS)),
    Param(
        'weights',
        '',
        "mask_rcnn: a checkpoint of torchvision; detr: a folder of transformers, DETR's original "
        "checkpoint; of either the .onnx file of `pose3d export`; '' = what `pose3d fetch` brought",
    ),
    Param(
        'input_long_side',
        0,
        "longer side of the network's input in pixels; the shorter follows the image's aspect. "
        'Larger finds people farther away and takes longer. 0 = as the network was published: '
        "yolox 736, the shorter side 800 and the longer at most 1333 for mask_rcnn and DETR's "
        'own, else as its folder says',
        0,
        4096,
        fixed=False,
    ),
    Param(
        'score_threshold', 0.4, 'certainty from which on a person is kept', 0.01, 1.0, fixed=False
    ),
    Param('max_people', 32, 'people kept per image', 1, 1000, fixed=False),
    Param(
        'keep',
        'certain',
        "who is kept where there are more than 'max_people': the most certain, or the nearest, "
        'which are the largest boxes',
        choices=KEEP,
        fixed=False,
    ),
    Param('min_height_px', 0.0, 'people of fewer pixels are dropped', 0.0, 1e5, fixed=False),
    Param('track', True, 'give ids that last from frame to frame'),
    Param(
        'detect_every',
        1,
        'the network runs on every so many of the frames taken up; in between, boxes move on at '
        "the speed of their tracks, for which 'track' must be true",
        1,
        100,
        fixed=False,
    ),
)


class DetectorNode(Stage):
    """Image -> PersonArray on `detections`: boxes, scores, ids.

    :param joined: they are handed over to the rootnet in the same process, besides.
    """

    _detector: Detector

    def __init__(self, joined: bool = False, **options: Any) -> None:
        super().__init__('detector', PARAMETERS, joined, **options)
        self._tracker = Tracker()  # the node's only one: it gives no id twice
        self._last_s = 0.0  # the time of the image before
        self._undetected = 0  # frames since the network ran
        self._detected_shape: tuple[int, ...] = ()
        self._publisher = self.create_publisher(PersonArray, 'detections', RESULT_QOS)
        self._vision = VisionTopic(self, 'Detection2DArray', 'detections_2d')
        self._worker.on_idle = self.wake_inputs
        self.add_on_set_parameters_callback(self._check)
        self.start()

    def load(self) -> None:
        """Load the detector."""
        if fault := self._fault(value_of(self, 'detect_every'), value_of(self, 'track')):
            raise ParameterError(fault)
        detector = load_model(self, DETECTORS, self.joined)
        detector.check(self._options())
        self._detector = detector

    def unload(self) -> None:
        """Forget the detector."""
        del self._detector

    def subscribe(self) -> Iterator[Input]:
        """Subscribe to the images; who was tracked before may be somebody else by now."""
        self._tracker.reset()
        self._detected_shape, self._last_s = (), 0.0
        yield image_input(self, self.submit, self._is_idle, self._drop_missed)

    def _is_idle(self) -> bool:
        return self._worker.is_idle

    def _drop_missed(self, images: int, elapsed_s: float) -> None:
        """Count images that were never taken, by how long ago the last one was.

        They were replaced while it was at work; those that it was waiting for were lost on the way.
        """
        self.accounting.count('received', images)
        self.accounting.count('dropped', images)
        waited_s = monotonic() - self._worker.idle_since_s - _TAKING_S
        # images come at nearly even distances: a quarter of one is left to chance
        awaited = int(waited_s * (images + 1) / max(elapsed_s, 1e-6) - 0.25)
        if lost := min(images, max(0, awaited)):
            self.accounting.count('lost', lost)
            self._say_lost()
        if lost < images:
            self._say_dropped()

    def _say_lost(self) -> None:
        a = self.accounting
        self.get_logger().warning(
            f'{a.lost} of {a.received} images were lost on the way so far, while the detector '
            'waited for them. Start the camera driver with our Fast DDS profile (README, "Large '
            'images"), or send compressed images',
            throttle_duration_sec=LOG_EVERY_S,
        )

    def compute(self, frame: Frame, given: None) -> Persons | None:
        """Find the people of an image; None = `finish` knows whether that is needed."""
        return self._detect(frame) if value_of(self, 'detect_every') == 1 else None

    def finish(self, frame: Frame, computed: Persons | None) -> Persons:
        """Track, or predict, and publish the people of an image."""
        time_s = self._time_s(frame)
        persons = self._predict(frame, time_s) if computed is None else None
        if persons is None:
            found = self._detect(frame) if computed is None else computed
            persons = self._track(frame, found, time_s)
        self._publisher.publish(persons_to_message(persons, frame.header))
        self._vision.publish(lambda: detections_2d(persons, frame.header))
        return persons

    def _time_s(self, frame: Frame) -> float:
        """Return an image's time for the tracker; tells of one that is before the last one's."""
        time_s = tracking_time_s(self, frame.header)
        if time_s < self._last_s:
            self.get_logger().warning(
                f'the stamp of an image is {self._last_s - time_s:.3f} s before the last one: ids '
                'start anew. A bag that loops, a clock that was set, or images out of order?',
                throttle_duration_sec=LOG_EVERY_S,
            )
        self._last_s = time_s
        return time_s

    def _detect(self, frame: Frame) -> Persons:
        return self._detector(frame.image, self._options())

    def _track(self, frame: Frame, persons: Persons, time_s: float) -> Persons:
        """Return people that the network found with ids."""
        self._undetected, self._detected_shape = 0, frame.image.shape
        # a clock that jumped back starts all tracks anew
        return self._tracker.update(persons, time_s) if value_of(self, 'track') else persons

    def _predict(self, frame: Frame, time_s: float) -> Persons | None:
        """Return the people as their tracks have them; None = it is time for the network."""
        if self._undetected + 1 >= value_of(self, 'detect_every'):
            return None
        # also an image that nobody looks at is decoded: what cannot be is skipped, has no people
        if frame.image.shape != self._detected_shape:
            return None
        persons = self._tracker.predict(time_s)
        if persons is None:
            return None
        self._undetected += 1
        height, width = self._detected_shape[:2]
        return persons.inside(width, height)

    def networks(self) -> Sequence[Runs]:
        """Return the detector's network."""
        return self._detector.networks

    def _options(self, changes: Mapping[str, Any] = MappingProxyType({})) -> DetectorOptions:
        """Return the options as the parameters have them, or would have after changes."""
        names = ('input_long_side', 'score_threshold', 'max_people', 'min_height_px', 'keep')
        return DetectorOptions(*(changes.get(name, value_of(self, name)) for name in names))

    def _check(self, changes: list[Parameter]) -> SetParametersResult:
        """Refuse a change that the detector cannot follow."""
        values = {change.name: change.value for change in changes}
        track, every = (values.get(n, value_of(self, n)) for n in ('track', 'detect_every'))
        fault = self._fault(every, track)
        try:
            if self.configured:
                self._detector.check(self._options(values))
        except OptionsError as error:
            fault = str(error)
        return SetParametersResult(successful=not fault, reason=fault)

    @staticmethod
    def _fault(detect_every: int, track: bool) -> str:
        """Return why the network cannot pass over frames; '' = it can, or does not."""
        if detect_every == 1 or track:
            return ''
        return (
            f"parameter 'detect_every' is {detect_every}, but 'track' is false: who is to be seen "
            'between two detections is known from tracks'
        )


def main(args: list[str] | None = None) -> None:
    """Run the detector node."""
    run(lambda: [DetectorNode()], args)
