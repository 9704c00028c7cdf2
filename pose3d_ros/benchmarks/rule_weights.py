# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Random weights of RootNet and PoseNet that a rule makes of each tensor's name and shape.

What the original code computed with the same weights is known (test/fixtures), so whoever follows
the rule can compare without a file of weights.
"""

import zlib
from collections.abc import Sequence

import numpy as np

_HEADS = {
    'root.xy_layer.weight': 0.5,
    'head.final_layer.weight': 0.5,
    'root.depth_layer.weight': 0.2,
}


def array_of(key: str, shape: Sequence[int]) -> np.ndarray:
    """Return the tensor of a key, in a scale that keeps signals in range.

    :param key: in the state dict, without 'module.'.
    :return: float32 (shape); int64 of the count of batches.
    """
    rng = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF)
    shape = tuple(shape)
    if key.endswith('num_batches_tracked'):
        return np.array(1000)
    if key.endswith('running_mean'):
        values = rng.standard_normal(shape) * 0.1
    elif key.endswith('running_var'):
        # the input's values go up to 1000
        values = (0.5 + rng.random_sample(shape)) * (1e6 if key.startswith('backbone.bn1') else 1)
    elif len(shape) == 1 and key.endswith('weight'):
        values = (0.5 + rng.random_sample(shape)) * (0.3 if '.bn3.' in key else 1)
    elif len(shape) == 1:
        values = rng.standard_normal(shape) * 0.1 + (1 if key == 'root.depth_layer.bias' else 0)
    else:
        # each output of a deconvolution of 4 x 4 and stride 2 sees 2 x 2 of its input
        fan = shape[0] * 4 if 'deconv_layers' in key else np.prod(shape[1:])
        values = rng.standard_normal(shape) * np.sqrt(2.0 / fan) * _HEADS.get(key, 1)
    return np.ascontiguousarray(values, dtype=np.float32)
