"""detector: images to the boxes of people."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from pose3d_ros.models.detection import DetectorOptions, OptionsError
from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes.inputs import RESULT_QOS, Frame, image_input, stamp_ns
from pose3d_ros.nodes.messages import persons_to_message
from pose3d_ros.nodes.parameters import Param, value_of
from pose3d_ros.nodes.stage import Stage, run
from pose3d_ros.nodes.stage_parameters import own_weights, runtime_options, weights_dir
from pose3d_ros.people import Persons
from pose3d_ros.stages import DETECTORS, Runs
from pose3d_ros.tracking import Tracker

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
    Param('max_people', 32, 'people kept per image, the most certain', 1, 1000, fixed=False),
    Param('min_height_px', 0.0, 'people of fewer pixels are dropped', 0.0, 1e5, fixed=False),
    Param('track', True, 'give ids that last from frame to frame'),
)


class DetectorNode(Stage):
    """Image -> PersonArray on `detections`: boxes, scores, ids."""

    def __init__(self, **options: Any) -> None:
        super().__init__('detector', PARAMETERS, **options)
        load = DETECTORS[value_of(self, 'model')]
        self._detector = load(weights_dir(self), runtime_options(self), own_weights(self))
        self._detector.check(self._options())
        self.add_on_set_parameters_callback(self._check)
        self._tracker = Tracker() if value_of(self, 'track') else None
        self._publisher = self.create_publisher(PersonArray, 'detections', RESULT_QOS)
        self._images = image_input(self, self.submit)
        self.start()

    def process(self, frame: Frame, given: None) -> Persons:
        """Find, track and publish the people of an image."""
        persons = self._detector(frame.image, self._options())
        if self._tracker is not None:
            # a clock that jumped back starts all tracks anew
            persons = self._tracker.update(persons, stamp_ns(frame.header) / 1e9)
        self._publisher.publish(persons_to_message(persons, frame.header))
        return persons

    def networks(self) -> Sequence[Runs]:
        """Return the detector's network."""
        return self._detector.networks

    def _options(self, changes: Mapping[str, Any] = MappingProxyType({})) -> DetectorOptions:
        """Return the options as the parameters have them, or would have after changes."""
        names = ('input_long_side', 'score_threshold', 'max_people', 'min_height_px')
        return DetectorOptions(*(changes.get(name, value_of(self, name)) for name in names))

    def _check(self, changes: list[Parameter]) -> SetParametersResult:
        """Refuse a change that the detector cannot follow."""
        try:
            self._detector.check(self._options({change.name: change.value for change in changes}))
        except OptionsError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def main(args: list[str] | None = None) -> None:
    """Run the detector node."""
    run(lambda: [DetectorNode()], args)


if __name__ == '__main__':
    main()
