# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Networks of PyTorch as ONNX files, compared with PyTorch before they get their name."""

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from pose3d_ros import __version__
from pose3d_ros.models import onnx_files
from pose3d_ros.models.backbone import Backbone
from pose3d_ros.models.crops3dmppe import MEAN, SIZE, STD
from pose3d_ros.models.heatmaps import softmax_expectation_3d
from pose3d_ros.models.onnx_files import INPUT, JOINTS, ROOT
from pose3d_ros.models.posenet import PoseNet
from pose3d_ros.models.session import RuntimeOptions
from pose3d_ros.models.snapshots import find_snapshot, load_posenet, load_rootnet, snapshot_epoch
from pose3d_ros.models.torch_network import fold_batch_norms, lower_precision, normalised

#: What weights and sums of a file are in, where they do not have to be more precise.
PRECISIONS = {'f32': torch.float32, 'f16': torch.float16}
#: How files are run to be compared.
EXACT = RuntimeOptions(precision='f32')
_SMALL = 1024  # weights, which are not worth storing in less


class ExportError(RuntimeError):
    """A file that does not compute what PyTorch does; the message gives the differences."""


@dataclass(frozen=True)
class Difference:
    """How far a file is from PyTorch.

    :param what: output and unit.
    :param largest: that was found.
    :param allowed: that is taken.
    """

    what: str
    largest: float
    allowed: float

    def __str__(self) -> str:
        return f'{self.what}: {self.largest:.2g} (at most {self.allowed:g})'


@dataclass(frozen=True)
class Exportable:
    """A network with its weights, and how it is written and compared.

    :param module: with the operators that run fastest elsewhere; f32, ready to predict.
    :param inputs: name -> an example.
    :param outputs: their names.
    :param metadata: what the file says of itself.
    :param compare: takes the file and its precision, returns how far it is from PyTorch.
    """

    module: nn.Module
    inputs: Mapping[str, torch.Tensor]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]
    compare: Callable[[Path, str], list[Difference]]
    #: Axes of every input that may be of any size.
    open_axes: tuple[int, ...] = (0,)
    #: Converts the module to a precision below f32; None = its large weights are rounded to it.
    lower: Callable[[nn.Module, torch.dtype], None] | None = None
    #: Makes what the module needs around it to be exported.
    surroundings: Callable[[], AbstractContextManager[Any]] = nullcontext
    #: Operator of PyTorch -> what writes it in ONNX, for those that the exporter does not know.
    translations: Mapping[Any, Callable[..., Any]] = field(default_factory=dict)


class ExportedPoseNet(nn.Module):
    """PoseNet with the head that OpenVINO runs fastest.

    :param network: whose layers it takes.
    """

    def __init__(self, network: PoseNet) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.head = network.head

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the joints (b, j, 3) like PoseNet."""
        features = self.head.deconv_layers(self.backbone(image))
        return softmax_expectation_3d(features.float(), self.head.final_layer)


def rootnet(path: Path, epoch: int | None = None) -> Exportable:
    """Return RootNet of a snapshot, or of one of a folder's.

    :raises snapshots.SnapshotError: it is not a whole snapshot of RootNet.
    """
    file = find_snapshot(path, epoch)
    network = load_rootnet(file)
    wanted = _in_pytorch(network)

    def compare(written: Path, precision: str) -> list[Difference]:
        (found,) = onnx_files.load_rootnet(written, EXACT)(_test_crops())
        xy = float(np.abs(found[:, :2] - wanted[:, :2]).max())
        # of the largest: on what is no person gamma may be near 0
        off = np.abs(found[:, 2] - wanted[:, 2]).max() / np.abs(wanted[:, 2]).max()
        pixels, relative = {'f32': (1e-3, 1e-5), 'f16': (0.1, 5e-3)}[precision]
        return [
            Difference('x, y in heatmap px', xy, pixels),
            Difference('relative depth', float(off), relative),
        ]

    metadata = _crop_metadata('RootNet', network.backbone, file) | {
        'output': f'{ROOT} (batch, 3): x, y in 64ths of the crop; gamma = depth / k',
    }
    return _of_crops(network, ROOT, metadata, compare)


def posenet(path: Path, epoch: int | None = None) -> Exportable:
    """Return PoseNet of a snapshot, or of one of a folder's.

    :raises snapshots.SnapshotError: it is not a whole snapshot of PoseNet.
    """
    file = find_snapshot(path, epoch)
    network, skeleton = load_posenet(file)
    wanted = _in_pytorch(network)

    def compare(written: Path, precision: str) -> list[Difference]:
        (found,) = onnx_files.load_posenet(written, EXACT)[0](_test_crops())
        bins = float(np.abs(found - wanted).max())
        return [Difference('x, y, z in bins', bins, {'f32': 5e-3, 'f16': 0.1}[precision])]

    metadata = _crop_metadata('PoseNet', network.backbone, file) | {
        'output': f'{JOINTS} (batch, joints, 3): x, y, z in 64ths of the crop and of 2 m',
        'joint_set': skeleton.name,
        'joint_names': ' '.join(skeleton.joint_names),
    }
    return _of_crops(ExportedPoseNet(network), JOINTS, metadata, compare)


#: Name -> what makes of weights (a file, or a folder and an epoch) a network to write.
NETWORKS: dict[str, Callable[[Path, int | None], Exportable]] = {
    'rootnet': rootnet,
    'posenet': posenet,
}


def write(network: Exportable, out: Path, precision: str) -> list[Difference]:
    """Write a network as ONNX, whole and compared with PyTorch, or not at all.

    :param network: is changed where it is written in less than f32.
    :param precision: of PRECISIONS.
    :return: how far the file is from PyTorch.
    :raises ExportError: it is farther than is allowed.
    :raises OSError: it cannot be written.
    """
    # beside its place, so that it can be moved there in one step; OpenVINO goes by the suffix
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as folder:
        part = Path(folder) / f'part{out.suffix}'
        onnx.save(converted(network, precision), part)
        differences = network.compare(part, precision)
        # also refuses NaN
        if not all(d.largest <= d.allowed for d in differences):
            listed = '; '.join(map(str, differences))
            raise ExportError(f'{out} was not written, as it differs from PyTorch: {listed}')
        part.replace(out)
    return differences


def converted(network: Exportable, precision: str) -> onnx.ModelProto:
    """Return the graph, with metadata and without paths of this machine, not compared.

    :param network: is changed where it is written in less than f32.
    :param precision: of PRECISIONS.
    """
    module = network.module.eval()
    if precision != 'f32':
        (network.lower or round_weights)(module, PRECISIONS[precision])
    open_axes = dict.fromkeys(network.open_axes, torch.export.Dim.DYNAMIC)
    with warnings.catch_warnings(), network.surroundings():
        warnings.simplefilter('ignore')  # of the exporter's own workings
        program = torch.onnx.export(
            module,
            tuple(network.inputs.values()),
            input_names=list(network.inputs),
            output_names=list(network.outputs),
            dynamic_shapes=tuple(open_axes for _ in network.inputs),
            custom_translation_table=dict(network.translations),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces, with the paths of source files
    if precision != 'f32' and network.lower is None:
        _store_in_f16(model.graph)
    onnx.helper.set_model_props(model, dict(network.metadata) | {'precision': precision})
    return model


def _of_crops(
    module: nn.Module,
    output: str,
    metadata: Mapping[str, str],
    compare: Callable[[Path, str], list[Difference]],
) -> Exportable:
    """Return one of the paper's networks, which take any number of crops."""
    # first, since the variances behind the first convolution are beyond what f16 holds
    fold_batch_norms(module)
    crops = {INPUT: torch.zeros(2, 3, SIZE, SIZE)}
    return Exportable(module, crops, (output,), metadata, compare, lower=lower_precision)


def round_weights(module: nn.Module, to: torch.dtype) -> None:
    """Round the large weights to the values of a precision, in place, but for what is beyond it."""
    for weights in module.parameters():
        rounded = weights.detach().to(to).to(weights.dtype)
        if weights.dim() > 1 and weights.numel() > _SMALL and rounded.isfinite().all():
            weights.detach().copy_(rounded)


def _store_in_f16(graph: onnx.GraphProto) -> None:
    """Store the weights that were rounded in f16; what is computed with them stays in f32."""
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.ndim < 2 or values.size <= _SMALL or values.dtype != np.float32:
            continue
        name, half = tensor.name, values.astype(np.float16)
        if (half == values).all():
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, f'{name}_f16'))
            cast = onnx.helper.make_node('Cast', [tensor.name], [name], to=onnx.TensorProto.FLOAT)
            graph.node.insert(0, cast)


def _crop_metadata(name: str, backbone: Backbone, file: Path) -> dict[str, str]:
    """Return what the files of both networks say."""
    epoch = snapshot_epoch(file)
    return {
        'network': name,
        'method': '3DMPPE (Moon et al., ICCV 2019)',
        'backbone': backbone.name,
        'backbone_sees': f'crops of {backbone.crop_px} px',
        'input': f'{INPUT} (batch, 3, {SIZE}, {SIZE}): RGB, (value of 0..255 - mean) / std, '
        f'mean {MEAN}, std {STD}',
        'epoch': 'unknown' if epoch is None else str(epoch),
        **made_of(file),
    }


def made_of(file: Path) -> dict[str, str]:
    """Return what every exported file says of where it comes from."""
    return {
        'source': file.name,
        'source_sha256': hashlib.sha256(file.read_bytes()).hexdigest(),
        'exported_by': f'pose3d_ros {__version__}',
    }


def _test_crops() -> np.ndarray:
    """Return crops (3, 256, 256, 3) uint8 with contrast at two scales, always the same."""
    rng = np.random.default_rng(0)
    coarse, fine = (rng.integers(0, 128, (3, n, n, 3), dtype=np.uint8) for n in (16, SIZE))
    return coarse.repeat(SIZE // 16, axis=1).repeat(SIZE // 16, axis=2) + fine


def _in_pytorch(network: nn.Module) -> np.ndarray:
    """Return what a network makes of the test crops in PyTorch, as it is."""
    with torch.inference_mode():
        return np.asarray(network(normalised(torch.from_numpy(_test_crops()))).numpy())
