"""What every detector shares: the options, and who is kept of the boxes it finds."""

from dataclasses import dataclass

import numpy as np

from pose3d_ros.people import Persons

_SMALLEST_PX = 32


class OptionsError(ValueError):
    """Options that a detector cannot work with; the message says which it takes."""


@dataclass(frozen=True)
class DetectorOptions:
    """How an image goes into a detector, and what is kept of the detections.

    :param input_long_side: longer side of the network's input, pixels; the shorter follows the
        image's aspect. 0 = what the network was published with. More finds farther people and
        takes longer. At least 32, by which detectors divide their input.
    :param score_threshold: 0..1.
    :param max_people: the most certain are kept.
    :param min_height_px: shorter boxes are dropped, pixels of the original image.
    :raises OptionsError: the input is smaller than that.
    """

    input_long_side: int = 0
    score_threshold: float = 0.4
    max_people: int = 32
    min_height_px: float = 0.0

    def __post_init__(self) -> None:
        if self.input_long_side and self.input_long_side < _SMALLEST_PX:
            raise OptionsError(
                f'input_long_side {self.input_long_side}: 0 (as the network was published) or at '
                f'least {_SMALLEST_PX} pixels are expected'
            )


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
    limit = np.array([shape[1], shape[0]])
    corner = np.clip(boxes[order, :2], 0, limit)
    size = np.clip(boxes[order, :2] + boxes[order, 2:], 0, limit) - corner
    tall = (size[:, 1] >= max(options.min_height_px, 1)) & (size[:, 0] >= 1)
    people = Persons(np.concatenate([corner, size], axis=1)[tall], scores[order][tall])
    return people[: options.max_people]
