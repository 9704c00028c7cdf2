# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The three stages without a graph: what their networks need is the bound of every graph."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.stages import DETECTORS, POSENETS, ROOTNETS, STAGES


@dataclass(frozen=True)
class Alone:
    """The stages one after the other, each with the whole device: ms per frame, medians.

    :param networks_ms: stage -> time in its networks.
    :param stages_ms: stage -> its whole call, crops and decoding of outputs included.
    """

    networks_ms: dict[str, float]
    stages_ms: dict[str, float]

    @property
    def sum_ms(self) -> float:
        """Return the time of all networks, one after the other: the bound on one shared device."""
        return sum(self.networks_ms.values())

    def rest_ms(self, stage: str) -> float:
        """Return what a stage does besides: crops, decoding of outputs, placing."""
        return self.stages_ms[stage] - self.networks_ms[stage]


class StagesAlone:
    """The default stages on real frames, without topics or threads.

    :param posenet: of stages.POSENETS.
    """

    def __init__(
        self,
        images: list[np.ndarray],
        camera: Camera,
        detection: DetectorOptions,
        posenet: str,
        runtime: RuntimeOptions,
    ) -> None:
        self._images, self._camera, self._options = images, camera, detection
        self._detect = DETECTORS['yolox'](None, runtime)
        self._root = ROOTNETS['keypoints'](None, runtime)
        self._pose = POSENETS[posenet](None, runtime)

    def time(self, count: int) -> Alone:
        """Return the times of so many frames, one after the other."""
        times = np.array([self._time(self._images[i % len(self._images)]) for i in range(count)])
        networks_ms, stages_ms = 1e3 * np.median(times, axis=0)
        return Alone(
            dict(zip(STAGES, networks_ms.tolist(), strict=True)),
            dict(zip(STAGES, stages_ms.tolist(), strict=True)),
        )

    def _time(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the seconds in each stage's networks, and in the whole stage."""
        stages = (self._detect, self._root, self._pose)
        busy, marks = [_busy_s(stage) for stage in stages], [perf_counter()]
        persons = self._detect(image, self._options)
        marks.append(perf_counter())
        persons = self._root(image, persons, self._camera, BodySize())
        marks.append(perf_counter())
        self._pose(image, persons, self._camera)
        marks.append(perf_counter())
        return np.subtract([_busy_s(stage) for stage in stages], busy), np.diff(marks)


def _busy_s(stage: object) -> float:
    return float(sum(network.busy_s for network in stage.networks))  # type: ignore[attr-defined]
