# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The .onnx files of `pose3d export`, and the exported networks of the paper.

A file says in its metadata what it is. Whatever else comes under the name is refused, with what
was expected and found, before anything of it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from pose3d_ros.models.crops3dmppe import MEAN, SIZE, STD
from pose3d_ros.models.runtime import Network
from pose3d_ros.models.session import (
    ImageInput,
    RuntimeOptions,
    RuntimeUnavailable,
    WeightFileError,
)
from pose3d_ros.skeletons import JOINT_SETS, SKELETONS, Skeleton

#: Input: (batch, 3, height, width) float32 RGB, (value of 0..255 - mean) / std.
INPUT = 'image'
#: RootNet's output: (batch, 3) x and y in cells of the heatmap, and gamma.
ROOT = 'root'
#: PoseNet's output: (batch, joints, 3) x, y, z in cells of the volume.
JOINTS = 'joints'
#: A detector's outputs: (1, n) of being a person, and (1, n, 4) boxes as left, top, right and
#: bottom in parts of the image's width and height.
SCORES, BOXES = 'scores', 'boxes'

_IMAGE = ImageInput(SIZE, SIZE, rgb=True, mean=MEAN, std=STD)
_Axes = tuple[str | int, ...]

#: By the output that it alone has: what a network is called, and its input ('-' = whatever).
_NETWORKS: dict[str, tuple[str, _Axes]] = {
    ROOT: ('RootNet', ('any', 3, SIZE, SIZE)),
    JOINTS: ('PoseNet', ('any', 3, SIZE, SIZE)),
    SCORES: ('detector', (1, 3, '-', '-')),
}


class OnnxFileError(WeightFileError):
    """An .onnx file that cannot be used; the message says what was expected and found."""


@dataclass(frozen=True)
class OnnxFile:
    """What an .onnx file says of itself.

    :param inputs: name -> axes, a number or 'any'.
    :param outputs: likewise.
    :param metadata: as `pose3d export` writes it, or whoever wrote the file.
    """

    inputs: dict[str, _Axes]
    outputs: dict[str, _Axes]
    metadata: dict[str, str]


def load_rootnet(path: Path, options: RuntimeOptions) -> Network:
    """Return RootNet in OpenVINO or ONNX Runtime, as the device says.

    :raises OnnxFileError: the file is not an exported RootNet.
    :raises session.RuntimeUnavailable: no such device or precision.
    """
    file = read(path)
    expect(path, file, ROOT)
    if file.outputs[ROOT][1:] != (3,):
        raise OnnxFileError(
            f"{path}: output '{ROOT}' is {_shape(file.outputs[ROOT])}, expected any x 3"
        )
    return network(path, _IMAGE, [ROOT], options)


def load_posenet(path: Path, options: RuntimeOptions) -> tuple[Network, Skeleton]:
    """Return PoseNet in OpenVINO or ONNX Runtime, and its joint set.

    :raises OnnxFileError: the file is not an exported PoseNet, or of an unknown joint set.
    :raises session.RuntimeUnavailable: no such device or precision.
    """
    file = read(path)
    expect(path, file, JOINTS)
    return network(path, _IMAGE, [JOINTS], options), _joint_set(path, file)


def read(path: Path) -> OnnxFile:
    """Return what an .onnx file says of itself.

    :raises OnnxFileError: it cannot be read, is none, or keeps weights outside its folder.
    """
    try:
        path.open('rb').close()
    except OSError as error:
        raise OnnxFileError(f'cannot read {path}: {error.strerror}') from error
    try:
        # also refuses weights in other files where their path leads out of the folder
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().split('\n')[0]
        raise OnnxFileError(f'{path} is damaged, or no ONNX file: {reason}') from error
    model = onnx.load(path, load_external_data=False)
    weights = {tensor.name for tensor in model.graph.initializer}
    return OnnxFile(
        _axes([value for value in model.graph.input if value.name not in weights]),
        _axes(model.graph.output),
        {entry.key: entry.value for entry in model.metadata_props},
    )


def _axes(values: Sequence[onnx.ValueInfoProto]) -> dict[str, _Axes]:
    return {
        value.name: tuple(
            axis.dim_value if axis.HasField('dim_value') else 'any'
            for axis in value.type.tensor_type.shape.dim
        )
        for value in values
    }


def _shape(axes: _Axes) -> str:
    return ' x '.join(map(str, axes))


def _listed(values: dict[str, _Axes]) -> str:
    return ', '.join(f'{name} ({_shape(axes)})' for name, axes in values.items()) or 'none'


def expect(path: Path, file: OnnxFile, output: str) -> None:
    """Refuse a file without the input and output of the network that is wanted.

    :param output: ROOT, JOINTS or SCORES.
    :raises OnnxFileError: it is another network.
    """
    name, axes = _NETWORKS[output]
    others = [other for key, (other, _) in _NETWORKS.items() if key in file.outputs]
    if others and output not in file.outputs:
        raise OnnxFileError(f'{path} holds {others[0]}; an exported {name} is expected')
    if output not in file.outputs or len(file.outputs[output]) < 2:
        raise OnnxFileError(
            f'{path} is not an exported {name}: expected is an output {output}, found '
            f'{_listed(file.outputs)}'
        )
    if list(file.inputs) != [INPUT] or not _fits(file.inputs[INPUT], axes):
        raise OnnxFileError(
            f'{path} is not an exported {name}: expected is the input {INPUT} '
            f'({_shape(axes)}), found {_listed(file.inputs)}'
        )


def _fits(found: _Axes, wanted: _Axes) -> bool:
    return len(found) == len(wanted) and all(
        w in ('-', f) for f, w in zip(found, wanted, strict=True)
    )


def _joint_set(path: Path, file: OnnxFile) -> Skeleton:
    """Return the joint set of an exported PoseNet: from its metadata, else from its output."""
    axes = file.outputs[JOINTS]
    name = file.metadata.get('joint_set')
    skeleton = JOINT_SETS.get(axes[1]) if name is None else SKELETONS.get(name)  # type: ignore[arg-type]
    if skeleton is None or axes[1:] != (len(skeleton), 3):
        known = ', '.join(f'{n} ({s.name})' for n, s in sorted(JOINT_SETS.items()))
        raise OnnxFileError(
            f"{path}: output '{JOINTS}' is {_shape(axes)}, which is not "
            + ('a known joint set' if name is None else f"the joint set '{name}' of its metadata")
            + f'; expected is any x joints x 3, and known are {known}'
        )
    return skeleton


def network(
    path: Path, image: ImageInput, outputs: Sequence[str], options: RuntimeOptions
) -> Network:
    """Return an exported network in OpenVINO or ONNX Runtime, as the device says.

    :raises OnnxFileError: it cannot be run there.
    :raises session.RuntimeUnavailable: no such device or precision.
    """
    try:
        # what bf16 costs is known for random weights only, so nobody gets it unasked
        return Network(path, image, outputs, options, bf16_is_accurate=False)
    except RuntimeError as error:
        if isinstance(error, RuntimeUnavailable):
            raise
        # OpenVINO begins with where in its sources it failed, and ends with the summary
        reason = ' '.join(str(error).split('Summary:')[-1].split())[-300:]
        raise OnnxFileError(f'{path} cannot be run: {reason}') from error
