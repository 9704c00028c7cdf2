"""The paper's RootNet and PoseNet as stages: pixels, boxes and a camera in, metres out."""

from dataclasses import replace

import numpy as np
from torch import nn

from pose3d_ros.camera import Camera
from pose3d_ros.models import crops3dmppe
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.posenet import FlipTested, PoseNet
from pose3d_ros.models.rootnet import RootNet
from pose3d_ros.models.runtime import RuntimeOptions
from pose3d_ros.models.torch_network import TorchNetwork
from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import Skeleton


class RootNet3DMPPE:
    """Put each person's pelvis where RootNet sees it.

    :param network: with its weights; it is changed.
    """

    def __init__(
        self,
        network: RootNet,
        options: RuntimeOptions = RuntimeOptions(),  # noqa: B008 (frozen)
    ) -> None:
        self._network = TorchNetwork(network, options, columns=1)
        self.networks = (self._network,)

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
        crops = crops3dmppe.cut_boxes(squares).cut(image)
        found = self._network(crops, crops3dmppe.k_values(squares, camera)[:, None])
        depth_m = found[:, 2] / 1000
        depth_m[depth_m <= 0] = np.nan  # gamma is free: behind the camera there is nobody
        return camera.back_project(crops3dmppe.to_pixels(found[:, :2], squares), depth_m)


class PoseNet3DMPPE:
    """Find each person's joints around the pelvis that a rootnet gave.

    :param network: with its weights; it is changed.
    :param skeleton: its joint set.
    :param flip_test: also look at the mirrored crops, and take the mean: better, at twice the time.
    """

    def __init__(
        self,
        network: PoseNet,
        skeleton: Skeleton,
        options: RuntimeOptions = RuntimeOptions(),  # noqa: B008 (frozen)
        flip_test: bool = False,
    ) -> None:
        self.skeleton = skeleton
        module: nn.Module = network
        if flip_test:  # makes two crops of one
            module = FlipTested(network, skeleton.flip_order)
            options = replace(options, max_batch=max(1, options.max_batch // 2))
        self._network = TorchNetwork(module, options)
        self.networks = (self._network,)

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
            cells = self._network(crops3dmppe.cut_boxes(squares[rows]).cut(image))
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
