# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The three stages by name: which classes and weight files make a detector, rootnet, posenet."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from pose3d_ros import equality, loading, weights
from pose3d_ros.camera import Camera
from pose3d_ros.models import onnx_files
from pose3d_ros.models.blazepose import SCALE_STDDEV, BlazePose, BlazePoseNet
from pose3d_ros.models.body_size import BodySize
from pose3d_ros.models.detection import DetectorOptions
from pose3d_ros.models.exported_detector import ExportedDetector
from pose3d_ros.models.keypoint_rootnet import KeypointRootNet
from pose3d_ros.models.rtmpose import RTMPose
from pose3d_ros.models.session import RuntimeOptions, RuntimeUnavailable, WeightFileError
from pose3d_ros.models.stages3dmppe import CropNetwork, PoseNet3DMPPE, RootNet3DMPPE
from pose3d_ros.models.yolox import YOLOX
from pose3d_ros.people import Persons, Poses
from pose3d_ros.skeletons import Skeleton

#: The three, in the order in which a frame goes through them.
STAGES = ('detector', 'rootnet', 'posenet')
#: How the names of exported networks end.
ONNX = '.onnx'
#: What the detectors need where they are not exported.
MASK_RCNN_EXTRA = ('torch', 'torchvision')
DETR_EXTRA = ('torch', 'torchvision', 'transformers')


class Runs(Protocol):
    """A network that a stage runs, whatever runs it."""

    @property
    def device(self) -> str:
        """Return where it runs, which is not what was asked for where the CPU took its place."""

    @property
    def precision(self) -> str:
        """Return what it computes in."""

    @property
    def busy_s(self) -> float:
        """Return the seconds that the calling thread has spent in it."""

    def warm_up(self) -> None:
        """Prepare for the first people."""


class Detector(Protocol):
    """DetectNet: an image to the people in it."""

    @property
    def networks(self) -> tuple[Runs, ...]:
        """Return the networks it runs."""

    def check(self, options: DetectorOptions) -> None:
        """Raise detection.OptionsError for options that it cannot work with."""

    def __call__(self, image: np.ndarray, options: DetectorOptions) -> Persons:
        """Return the people of an image (h, w, 3) uint8 BGR."""


class RootNet(Protocol):
    """RootNet: people to people with a pelvis in metres."""

    @property
    def networks(self) -> tuple[Runs, ...]:
        """Return the networks it runs."""

    def __call__(
        self, image: np.ndarray, persons: Persons, camera: Camera, body: BodySize
    ) -> Persons:
        """Return the same people with roots."""


class PoseNet(Protocol):
    """PoseNet: people with roots to joints in metres."""

    skeleton: Skeleton

    @property
    def networks(self) -> tuple[Runs, ...]:
        """Return the networks it runs."""

    def __call__(self, image: np.ndarray, persons: Persons, camera: Camera) -> Poses:
        """Return the poses of the people, in their order."""


@dataclass(frozen=True)
class OwnWeights:
    """Weights that no command fetches: the user's own, for the models that take such.

    :param path: file or folder, as the model takes it; None = none given. For 3dmppe, a file or
        folder of `snapshot_EPOCH.pth.tar`; a file whose name ends in .onnx runs in OpenVINO or ONNX
        Runtime, any other in PyTorch.
    :param epoch: which of a folder; None = the last.
    :param flip_test: posenet: the mean of each crop and its mirror image, at twice the time.
    """

    path: Path | None = None
    epoch: int | None = None
    flip_test: bool = False


_Stage = TypeVar('_Stage', covariant=True)


class Load(Protocol[_Stage]):
    """Makes a stage, or returns the one that another node of this process already holds.

    Takes the folder of the fetched weights (None = the cache), where to run, and the user's own
    weights. Raises weights.WeightsError and session.RuntimeUnavailable.
    """

    def __call__(
        self, directory: Path | None, options: RuntimeOptions, own: OwnWeights = ...
    ) -> _Stage:
        """Return the stage, ready."""


def _ready(load: Load[_Stage], compare: equality.Compare) -> Load[_Stage]:
    """Return what makes a stage ready for a node.

    Nodes of one process share it; where its device is missing it runs on the CPU if that is wanted;
    and where it runs otherwise than what was measured, it says how far its results are from that.
    """

    def ready(
        directory: Path | None, options: RuntimeOptions, own: OwnWeights = OwnWeights()
    ) -> _Stage:
        def on(options: RuntimeOptions) -> _Stage:
            return load(directory, options, own)

        def make() -> _Stage:
            stage, there = loading.or_on_cpu(on, options)
            if not equality.is_reference(there):
                equality.check(stage, there, on, compare)
            return stage

        key = (load, directory, options, own, loading.file_state(own.path))
        return loading.shared(key, make)

    return ready


def _fetched(name: str, directory: Path | None, own: OwnWeights) -> Path:
    """Return a file of the weights table; weights of the user's own would be passed over."""
    if own != OwnWeights():
        raise weights.WeightsError(
            f'{name} runs on the weights that `pose3d fetch` brings: weights, epoch and flip_test '
            'are for model 3dmppe, and weights for the detectors mask_rcnn and detr'
        )
    return weights.path(name, directory)


def _blazepose(variant: str) -> Load[PoseNet]:
    def load(
        directory: Path | None, options: RuntimeOptions, own: OwnWeights = OwnWeights()
    ) -> PoseNet:
        network = BlazePose(_fetched(f'blazepose_{variant}', directory, own), options)
        return BlazePoseNet(network, SCALE_STDDEV[variant])

    return load


def _yolox(
    directory: Path | None, options: RuntimeOptions, own: OwnWeights = OwnWeights()
) -> Detector:
    return YOLOX(_fetched('yolox_tiny', directory, own), options)


def _mask_rcnn(
    directory: Path | None, options: RuntimeOptions, own: OwnWeights = OwnWeights()
) -> Detector:
    try:
        if own.path is not None and own.path.suffix == ONNX:
            return ExportedDetector(own.path, 'mask_rcnn', options)
        need_extra('detector mask_rcnn (unlike the .onnx file made of it)', *MASK_RCNN_EXTRA)
        from pose3d_ros.models import mask_rcnn

        network = mask_rcnn.load_mask_rcnn(_detector_path('mask_rcnn', directory, own))
        return mask_rcnn.MaskRCNN(network, options)
    except WeightFileError as error:
        raise weights.WeightsError(str(error)) from error


def _detr(
    directory: Path | None, options: RuntimeOptions, own: OwnWeights = OwnWeights()
) -> Detector:
    try:
        if own.path is not None and own.path.suffix == ONNX:
            return ExportedDetector(own.path, 'detr', options)
        need_extra('detector detr (unlike the .onnx file made of it)', *DETR_EXTRA)
        from pose3d_ros.models import detr

        return detr.Detr(detr.load_detr(_detector_path('detr', directory, own)), options)
    except WeightFileError as error:
        raise weights.WeightsError(str(error)) from error


def _detector_path(name: str, directory: Path | None, own: OwnWeights) -> Path:
    return own.path or weights.path(PUBLISHED[name], directory)


def _keypoints(
    directory: Path | None, options: RuntimeOptions, own: OwnWeights = OwnWeights()
) -> RootNet:
    return KeypointRootNet(RTMPose(_fetched('rtmpose_s', directory, own), options))


def _rootnet_3dmppe(
    directory: Path | None, options: RuntimeOptions, own: OwnWeights = OwnWeights()
) -> RootNet:
    return RootNet3DMPPE(rootnet_3dmppe(options, own))


def _posenet_3dmppe(
    directory: Path | None, options: RuntimeOptions, own: OwnWeights = OwnWeights()
) -> PoseNet:
    network, skeleton = posenet_3dmppe(options, own)
    return PoseNet3DMPPE(network, skeleton, own.flip_test)


def rootnet_3dmppe(options: RuntimeOptions, own: OwnWeights) -> CropNetwork:
    """Return RootNet without the stage around it.

    :raises weights.WeightsError: there are no such weights.
    :raises RuntimeUnavailable: PyTorch or the device is missing.
    """
    path = _own_path('rootnet', own)
    try:
        if path.suffix == ONNX:
            return onnx_files.load_rootnet(path, options)
        need_extra('a snapshot (unlike the .onnx file made of it)', 'torch')
        from pose3d_ros.models import snapshots, torch_network

        network = snapshots.load_rootnet(snapshots.find_snapshot(path, own.epoch))
        return torch_network.TorchNetwork(network, options)
    except WeightFileError as error:
        raise weights.WeightsError(str(error)) from error


def posenet_3dmppe(options: RuntimeOptions, own: OwnWeights) -> tuple[CropNetwork, Skeleton]:
    """Return PoseNet without the stage around it, and its joint set; raises as `rootnet_3dmppe`."""
    path = _own_path('posenet', own)
    try:
        if path.suffix == ONNX:
            return onnx_files.load_posenet(path, options)
        need_extra('a snapshot (unlike the .onnx file made of it)', 'torch')
        from pose3d_ros.models import snapshots, torch_network

        network, skeleton = snapshots.load_posenet(snapshots.find_snapshot(path, own.epoch))
        return torch_network.TorchNetwork(network, options), skeleton
    except WeightFileError as error:
        raise weights.WeightsError(str(error)) from error


def _own_path(stage: str, own: OwnWeights) -> Path:
    """Return where the user's weights lie."""
    if own.path is None:
        raise weights.WeightsError(
            f"{stage} 3dmppe needs the weights that its authors published: parameter 'weights' "
            f'(--{stage}-weights of pose3d video) takes a snapshot_EPOCH.pth.tar, a folder of '
            'them, or the .onnx file that `pose3d export` made of one'
        )
    return own.path


def need_extra(what: str, *packages: str, extra: str = 'torch') -> None:
    """Raise RuntimeUnavailable where packages of an extra of setup.cfg are not installed."""
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise RuntimeUnavailable(
            f"{what} needs {', '.join(missing)}, not installed: pip install 'pose3d_ros[{extra}]' "
            f"(where colcon built the package: what its setup.cfg lists as extra '{extra}')"
        )


def weights_sha256(model: str, own: OwnWeights) -> str:
    """Return the sha256 of the weights that a model was loaded from; '' = it runs on none.

    Of a file of the table it is the table's, which was checked when the file was loaded.
    """
    if own.path is None:
        return ''.join(asset.sha256 for asset in weights.select(STAGE_WEIGHTS[model]))
    path = own.path
    if model == '3dmppe' and path.suffix != ONNX:
        from pose3d_ros.models.snapshots import find_snapshot

        path = find_snapshot(path, own.epoch)
    return weights.sha256_of(*weights.files_of(path))


#: Detector in PyTorch -> the file of the weights table that it runs unless another is given.
PUBLISHED = {'mask_rcnn': 'mask_rcnn', 'detr': 'detr_r50'}
#: Model -> the files of that table that it runs unless others are given.
STAGE_WEIGHTS: dict[str, tuple[str, ...]] = {
    'yolox': ('yolox_tiny',),
    **{model: (file,) for model, file in PUBLISHED.items()},
    'keypoints': ('rtmpose_s',),
    'blazepose': ('blazepose_full',),
    'blazepose_heavy': ('blazepose_heavy',),
    'blazepose_lite': ('blazepose_lite',),
    '3dmppe': (),  # the user's own
}
DETECTORS: dict[str, Load[Detector]] = {
    name: _ready(load, equality.detectors)
    for name, load in {'yolox': _yolox, 'mask_rcnn': _mask_rcnn, 'detr': _detr}.items()
}
ROOTNETS: dict[str, Load[RootNet]] = {
    name: _ready(load, equality.rootnets)
    for name, load in {'keypoints': _keypoints, '3dmppe': _rootnet_3dmppe}.items()
}
#: The rootnets that take people's stature as it is given; the others have learned it.
ROOTNETS_OF_STATURE = ('keypoints',)
POSENETS: dict[str, Load[PoseNet]] = {
    name: _ready(load, equality.posenets)
    for name, load in {
        'blazepose': _blazepose('full'),
        'blazepose_heavy': _blazepose('heavy'),
        'blazepose_lite': _blazepose('lite'),
        '3dmppe': _posenet_3dmppe,
    }.items()
}
