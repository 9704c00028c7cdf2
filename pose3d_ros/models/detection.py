# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What every detector shares: the options, and who is kept of the boxes it finds."""

from dataclasses import dataclass

import numpy as np

from pose3d_ros.people import Persons

_SMALLEST_PX = 32
#: Who is kept where there are more than `max_people`.
KEEP = ('certain', 'nearest')


class OptionsError(ValueError):
    """Options that a detector cannot work with; the message says which it takes."""


@dataclass(frozen=True)
class DetectorOptions:
    """How an image goes into a detector, and what is kept of the detections.

    :param input_long_side: longer side of the network's input, pixels; the shorter follows the
        image's aspect. 0 = what the network was published with. More finds farther people and
        takes longer. At least 32, by which detectors divide their input.
    :param score_threshold: 0..1.
    :param max_people: so many are kept.
    :param min_height_px: shorter boxes are dropped, pixels of the original image.
    :param keep: which of them, one of KEEP: the most certain, or the nearest. Nearest are the
        largest boxes by area, by which RootNet too tells the depth of a box.
    :raises OptionsError: the input is smaller than that, or keep is another word.
    """

    input_long_side: int = 0
    score_threshold: float = 0.4
    max_people: int = 32
    min_height_px: float = 0.0
    keep: str = 'certain'

    def __post_init__(self) -> None:
        if self.input_long_side and self.input_long_side < _SMALLEST_PX:
            raise OptionsError(
                f'input_long_side {self.input_long_side}: 0 (as the network was published) or at '
                f'least {_SMALLEST_PX} pixels are expected'
            )
        if self.keep not in KEEP:
            raise OptionsError(f"keep '{self.keep}': one of {', '.join(KEEP)} is expected")


def select_people(
    boxes: np.ndarray, scores: np.ndarray, shape: tuple[int, ...], options: DetectorOptions
) -> Persons:
    """Cut boxes at the image's border and keep what the options ask for, most certain first.

    :param boxes: (n, 4) x, y, width, height, pixels of the original image.
    :param scores: (n,).
    :param shape: of the image, height first.
    """
    order = np.argsort(-scores, kind='stable')
    order = order[scores[order] > options.score_threshold]
    people = Persons(boxes[order], scores[order]).inside(shape[1], shape[0])
    people = people[people.boxes[:, 3] >= options.min_height_px]
    if options.keep == 'nearest' and len(people) > options.max_people:
        nearest = np.argsort(-people.boxes[:, 2:].prod(axis=1), kind='stable')
        people = people[np.sort(nearest[: options.max_people])]
    return people[: options.max_people]
