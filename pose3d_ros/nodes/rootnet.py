# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""rootnet: boxes of people to pelvises in metres."""

from collections.abc import Sequence
from typing import Any

from pose3d_ros.camera import Camera
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.msg import PersonArray
from pose3d_ros.nodes.inputs import RESULT_QOS, Frame
from pose3d_ros.nodes.joining import JoiningStage
from pose3d_ros.nodes.messages import persons_from_message, persons_to_message
from pose3d_ros.nodes.parameters import Param, value_of
from pose3d_ros.nodes.running import run
from pose3d_ros.nodes.stage_parameters import CAMERA, OWN_WEIGHTS, load_model
from pose3d_ros.people import Persons
from pose3d_ros.stages import ROOTNETS, ROOTNETS_OF_STATURE, RootNet, Runs

PARAMETERS = (
    *CAMERA,
    Param('model', 'keypoints', 'the root estimate', choices=tuple(ROOTNETS)),
    *OWN_WEIGHTS,
    Param('person_height_m', 1.70, 'mean stature of people, metres', 0.3, 2.5, fixed=False),
    Param(
        'person_height_stddev_m',
        0.09,
        'its standard deviation, metres: part of every depth uncertainty',
        0.0,
        1.0,
        fixed=False,
    ),
)


class RootNetNode(JoiningStage):
    """Image, camera_info, detections -> PersonArray on `roots`.

    :param joined: people are handed over by the detector in the same process.
    """

    _rootnet: RootNet

    def __init__(self, joined: bool = False, **options: Any) -> None:
        super().__init__('rootnet', PARAMETERS, 'detections', None, joined, None, **options)
        self._publisher = self.create_publisher(PersonArray, 'roots', RESULT_QOS)
        self.start()

    def load(self) -> None:
        """Load the rootnet, and say what its distances rest on."""
        super().load()
        model, body = value_of(self, 'model'), _body(self)
        if model not in ROOTNETS_OF_STATURE and body != BodySize():
            self.get_logger().warning(
                f"'person_height_m' and 'person_height_stddev_m' change nothing: model {model} has "
                f'learned how tall people are; {", ".join(ROOTNETS_OF_STATURE)} takes them'
            )
        self._rootnet = load_model(self, ROOTNETS, self.joined)
        if model in ROOTNETS_OF_STATURE:
            self.get_logger().info(
                f'distances rest on people being {body.height_m:.2f} m tall, standard deviation '
                f'{body.height_stddev_m:.2f} m'
            )

    def unload(self) -> None:
        """Forget the rootnet."""
        del self._rootnet

    def compute(self, frame: Frame, given: Persons | PersonArray) -> tuple[Persons, Camera]:
        """Estimate the roots of an image's people."""
        persons = given if isinstance(given, Persons) else persons_from_message(given)
        camera = self.camera_of(frame)
        return self._rootnet(frame.image, persons, camera, _body(self)), camera

    def finish(self, frame: Frame, computed: tuple[Persons, Camera]) -> Persons:
        """Publish the roots."""
        persons, camera = computed
        self._publisher.publish(persons_to_message(persons, frame.header, camera))
        return persons

    def describe(self) -> dict[str, str]:
        """Return what its numbers rest on, for diagnostics: the stature too, if it does."""
        if value_of(self, 'model') not in ROOTNETS_OF_STATURE:
            return super().describe()
        return super().describe() | {'person_height_m': f'{_body(self).height_m:g}'}

    def networks(self) -> Sequence[Runs]:
        """Return the rootnet's networks."""
        return self._rootnet.networks


def _body(node: RootNetNode) -> BodySize:
    """Return how tall people are by the parameters, which may change while the node runs."""
    return BodySize(value_of(node, 'person_height_m'), value_of(node, 'person_height_stddev_m'))


def main(args: list[str] | None = None) -> None:
    """Run the rootnet node."""
    run(lambda: [RootNetNode()], args)
