# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The plain way: one image after the other, crop by crop, the image read anew by every stage.

The baseline of `benchmark graph`: DETR and the networks of the paper as the course project ran
them, in eager PyTorch. Random weights of the published sizes: time does not depend on them.
"""

from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from pose3d_ros.models.crops3dmppe import cut_boxes, process_boxes
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.stages import DETECTORS

_BACKBONE, _JOINTS = 'resnet50', 18


class Sequential:
    """DETR R50, RootNet and PoseNet on images in files.

    The people are those whom the default detector finds: random weights find nobody in particular.

    :param images: (h, w, 3) uint8 BGR.
    :param people: at most so many of an image.
    :param folder: for the files.
    """

    def __init__(self, images: list[np.ndarray], people: int, folder: Path) -> None:
        # with PyTorch, which is an extra
        from pose3d_ros.benchmarks.original3dmppe import Original, write_random_snapshot
        from pose3d_ros.benchmarks.random_detectors import make

        self._files = [folder / f'{i}.jpg' for i in range(len(images))]
        for file, image in zip(self._files, images, strict=True):
            cv2.imwrite(str(file), image)
        detect = DETECTORS['yolox'](None, RuntimeOptions())
        options = DetectorOptions(max_people=people)
        self._boxes = [detect(image, options).boxes for image in images]
        self._detr = make('detr_r50', RuntimeOptions(precision='f32'))
        self._networks = []
        for name in ('rootnet', 'posenet'):
            snapshot = folder / f'{name}.pth.tar'
            write_random_snapshot(name, _BACKBONE, _JOINTS, snapshot)
            self._networks.append(Original(name, snapshot))

    def seconds(self, number: int) -> float:
        """Return how long an image takes, from its file to the joints of its people."""
        file = str(self._files[number % len(self._files)])
        boxes = self._boxes[number % len(self._boxes)]
        start = perf_counter()
        self._detr(_read(file), DetectorOptions())
        for network in self._networks:
            image = _read(file)
            for box in boxes:
                squares, valid = process_boxes(box[None], image.shape[1], image.shape[0])
                network(cut_boxes(squares[valid]).cut(image))
        return perf_counter() - start


def _read(file: str) -> np.ndarray:
    return np.asarray(cv2.imread(file))
