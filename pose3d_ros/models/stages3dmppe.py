# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The paper's RootNet and PoseNet as stages: pixels, boxes and a camera in, metres out.

What runs the networks does not matter here: PyTorch (`torch_network`), OpenVINO or
ONNX Runtime (`onnx_files`).
"""

from typing import Protocol

import numpy as np

from pose3d_ros.camera import Camera
from pose3d_ros.models import crops3dmppe
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import Skeleton


class CropNetwork(Protocol):
    """A network with its weights and what runs it."""

    @property
    def device(self) -> str:
        """Return where it runs."""

    @property
    def precision(self) -> str:
        """Return what it computes in: 'f32', 'bf16' or 'f16'."""

    @property
    def busy_s(self) -> float:
        """Return the seconds that the calling thread has spent in it."""

    def warm_up(self) -> None:
        """Prepare for the first people."""

    def __call__(self, crops: np.ndarray, /) -> list[np.ndarray]:
        """Return its one output (n, ...) for n > 0 crops (n, 256, 256, 3) uint8 BGR."""


class RootNet3DMPPE:
    """Put each person's pelvis where RootNet sees it.

    :param network: gives x and y in cells of the heatmap, and gamma (n, 3).
    """

    def __init__(self, network: CropNetwork) -> None:
        self._network = network
        self.networks = (network,)

    def __call__(
        self, image: np.ndarray, persons: Persons, camera: Camera, body: BodySize
    ) -> Persons:
        """Return the same people with roots; NaN where there is nothing to cut.

        How deep the pelvis lies has no known standard deviation: 0.

        :param image: (h, w, 3) uint8 BGR.
        :param body: not used: RootNet has learned how tall people are.
        """
        roots = np.full((len(persons), 3), np.nan)
        height, width = image.shape[:2]
        squares, valid = crops3dmppe.process_boxes(persons.boxes, width, height)
        if valid.any():
            roots[valid] = self._roots(image, squares[valid], camera)
        return persons.with_roots(roots, np.zeros(len(persons)), persons.keypoints)

    def _roots(self, image: np.ndarray, squares: np.ndarray, camera: Camera) -> np.ndarray:
        """Return the pelvises (n, 3), metres, of n > 0 processed boxes."""
        (found,) = self._network(crops3dmppe.cut_boxes(squares).cut(image))
        found = found.astype(np.float64)
        depth_m = found[:, 2] * crops3dmppe.k_values(squares, camera) / 1000
        depth_m[depth_m <= 0] = np.nan  # gamma is free: behind the camera there is nobody
        return camera.back_project(crops3dmppe.to_pixels(found[:, :2], squares), depth_m)


class PoseNet3DMPPE:
    """Find each person's joints around the pelvis that a rootnet gave.

    :param network: gives x, y, z of the joints in cells of the volume (n, j, 3).
    :param skeleton: its joint set.
    :param flip_test: also look at the mirrored crops, and take the mean: better, at twice the time.
    """

    def __init__(self, network: CropNetwork, skeleton: Skeleton, flip_test: bool = False) -> None:
        self.skeleton = skeleton
        self._network = network
        self._flip_test = flip_test
        self.networks = (network,)

    def __call__(self, image: np.ndarray, persons: Persons, camera: Camera) -> Poses:
        """Return the poses of the people, in their order.

        The joints of people without a root, or with nothing to cut, are NaN with scores of 0. The
        network gives no scores: those of joints inside the image are 1, of others 0.

        :param image: (h, w, 3) uint8 BGR.
        """
        n, (height, width) = len(persons), image.shape[:2]
        joints = np.full((n, len(self.skeleton), 3), np.nan)
        pixels = np.full((n, len(self.skeleton), 2), np.nan)
        squares, valid = crops3dmppe.process_boxes(persons.boxes, width, height)
        rows = np.flatnonzero(valid & persons.has_root)
        if len(rows):
            crops = crops3dmppe.cut_boxes(squares[rows]).cut(image)
            cells = joint_cells(self._network, crops, self.skeleton, self._flip_test)
            pixels[rows] = crops3dmppe.to_pixels(cells[..., :2], squares[rows])
            depth_m = persons.roots[rows, None, 2] + crops3dmppe.to_metres(cells[..., 2])
            joints[rows] = camera.back_project(pixels[rows], depth_m)
        inside = np.all((pixels >= 0) & (pixels <= [width - 1, height - 1]), axis=2)
        return Poses(
            self.skeleton,
            joints,
            np.where(inside, 1.0, 0.0),
            persons.roots,
            persons.root_depth_stddev_m,
            persons.scores,
            persons.ids,
        )


def joint_cells(
    network: CropNetwork, crops: np.ndarray, skeleton: Skeleton, flip_test: bool
) -> np.ndarray:
    """Return the joints (n, j, 3) in cells of n > 0 crops.

    :param network: gives them, for the joint set `skeleton`.
    :param flip_test: the mean of each crop and its mirror image.
    """
    if not flip_test:
        return network(crops)[0].astype(np.float64)
    (both,) = network(np.concatenate([crops, crops[:, :, ::-1]]))
    straight, mirrored = np.split(both.astype(np.float64), 2)
    return np.asarray((straight + unmirrored(mirrored, skeleton)) / 2)


def unmirrored(cells: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return where joints (n, j, 3) of a mirrored crop lie in the crop."""
    found = cells[:, skeleton.flip_order]
    # the original's formula: it takes cells as 64 - x - 1 where pixels would be 63 - x too
    found[..., 0] = crops3dmppe.HEATMAP - found[..., 0] - 1
    return found
