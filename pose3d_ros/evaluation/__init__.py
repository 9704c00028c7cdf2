# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How good are boxes, roots and poses.

The metrics, functions of arrays, are at hand here; `multi_person` has those of MuPoTS-3D. The other
modules make the published protocols of them: `subjects` (whom to look at), `running` (the networks
over a data set), `baselines`, `protocols` (the tables), `outcome` (JSON, Markdown, plot) and
`results` (the files that the original code writes).
"""

from pose3d_ros.evaluation.metrics import (
    BoxMatches,
    RootErrors,
    aligned,
    average_precision,
    box_overlaps,
    fitted_rotations,
    joint_errors,
    match_boxes,
    mpjpe,
    pa_mpjpe,
    precision_recall,
    root_errors,
    triangulate,
)

__all__ = [
    'BoxMatches',
    'RootErrors',
    'aligned',
    'average_precision',
    'box_overlaps',
    'fitted_rotations',
    'joint_errors',
    'match_boxes',
    'mpjpe',
    'pa_mpjpe',
    'precision_recall',
    'root_errors',
    'triangulate',
]
