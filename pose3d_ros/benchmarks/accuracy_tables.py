# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What `pose3d benchmark accuracy` says: estimates against the truth, as tables of errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose3d_ros.benchmarks.ground_truth import HIPS, GroundTruth
from pose3d_ros.evaluation import mpjpe, pa_mpjpe, root_errors
from pose3d_ros.models.limbs import LIMB_JOINTS
from pose3d_ros.people import rescaled_joints, rescaled_roots
from pose3d_ros.tables import Table

#: Which intrinsics: of the calibration, or of a field of view.
CALIBRATED = 'calibration'
#: The true focal length in an ideal camera, and what results of a guess are called once rescaled.
TRUE_FOCAL, RESCALED = 'true focal length, else ideal', ', rescaled'
#: How the root is found: least squares fused with the rootnet (what the posenets do), each of the
#: two alone, and 3DMPPE's k.
PLACED, FITTED, ROOTNET, K = 'placed', 'least squares only', 'rootnet only', 'k only'
#: The root that RootNet of 3DMPPE finds with weights of the user's own.
TRAINED = '3dmppe, given weights'


@dataclass(frozen=True)
class Setup:
    """What is measured.

    :param model: the posenet; '' where only the root is estimated.
    :param precision: of all networks, as a node is told.
    :param method: how the root is found.
    :param camera: which intrinsics are used.
    """

    model: str
    precision: str
    method: str = PLACED
    camera: str = CALIBRATED


@dataclass(frozen=True)
class Estimate:
    """What came out for some views; NaN where the subject was not found.

    :param joints: (n, 12, 3) the LIMB_JOINTS, metres, optical frame.
    :param roots: (n, 3) metres, optical frame.
    :param stddev_m: (n,) of the roots' depths; 0 = unknown.
    """

    joints: np.ndarray
    roots: np.ndarray
    stddev_m: np.ndarray

    @classmethod
    def of_roots(cls, roots: np.ndarray, stddev_m: np.ndarray) -> 'Estimate':
        """Return roots without joints."""
        return cls(np.full((len(roots), len(LIMB_JOINTS), 3), np.nan), roots, stddev_m)

    def rescaled(self, focal_ratio: float) -> 'Estimate':
        """Return what was found with a guessed focal length, for another: ratio * it."""
        return Estimate(
            rescaled_joints(self.joints, self.roots, focal_ratio),
            rescaled_roots(self.roots, focal_ratio),
            self.stddev_m * focal_ratio,
        )

    @classmethod
    def joined(cls, parts: Sequence['Estimate']) -> 'Estimate':
        """Return several estimates as one."""
        return cls(
            np.concatenate([part.joints for part in parts]),
            np.concatenate([part.roots for part in parts]),
            np.concatenate([part.stddev_m for part in parts]),
        )


@dataclass(frozen=True)
class Measurement:
    """All estimates of all views.

    :param truth: (n, 12, 3) metres, optical frame of the view.
    :param estimates: n views each.
    :param precisions: of the setups that are listed, in words.
    """

    truth: np.ndarray
    estimates: Mapping[Setup, Estimate]
    precisions: Mapping[Setup, str]


@dataclass(frozen=True)
class Scores:
    """Errors of one setup in n views, lengths in millimetres; NaN where the subject was missed.

    :param mpjpe: (n,) of the joints, root on root.
    :param pa_scaled: (n,) of the joints after the best similarity.
    :param pa_rigid: (n,) of the joints after the best rotation and translation.
    :param mrpe: (n,) of the root.
    :param xyz: (n, 3) root, estimate minus truth.
    :param depth_percent: (n,) of the root, signed.
    :param stddev_percent: (n,) what the setup itself says of its depth; 0 = nothing.
    """

    mpjpe: np.ndarray
    pa_scaled: np.ndarray
    pa_rigid: np.ndarray
    mrpe: np.ndarray
    xyz: np.ndarray
    depth_percent: np.ndarray
    stddev_percent: np.ndarray


def scores(estimate: Estimate, truth: np.ndarray) -> Scores:
    """Return the errors of an estimate against joints (n, 12, 3), metres."""
    roots = root_errors(estimate.roots, truth[:, HIPS].mean(axis=1))
    seen = np.isfinite(estimate.joints).all(axis=(1, 2))
    joints_mm = np.full((3, len(truth)), np.nan)
    if seen.any():
        a, b = 1000 * estimate.joints[seen], 1000 * truth[seen]
        joints_mm[:, seen] = mpjpe(a, b, HIPS), pa_mpjpe(a, b, True), pa_mpjpe(a, b, False)
    return Scores(
        joints_mm[0],
        joints_mm[1],
        joints_mm[2],
        1000 * roots.distance,
        1000 * roots.xyz,
        100 * roots.depth,
        100 * estimate.stddev_m / estimate.roots[:, 2],
    )


_SCORE_COLUMNS = (
    ('views', 'd'), ('MPJPE', '.0f'), ('PA', '.0f'), ('PA rigid', '.0f'), ('MRPE', '.0f'),
    ('x', '.0f'), ('y', '.0f'), ('z', '.0f'), ('depth %', '.1f'), ('median %', '.1f'),
    ('worst %', '.0f'), ('bias %', '+.1f'),
)  # fmt: skip


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is not NaN; NaN of nothing."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float('nan')


def _score_cells(s: Scores) -> tuple[float, ...]:
    """Return the cells of _SCORE_COLUMNS."""
    means = (_mean(values) for values in (s.mpjpe, s.pa_scaled, s.pa_rigid, s.mrpe))
    x, y, z = (_mean(values) for values in np.abs(s.xyz).T)
    known = s.depth_percent[np.isfinite(s.depth_percent)]
    size = np.abs(known) if known.size else np.full(1, np.nan)
    depth = float(size.mean()), float(np.median(size)), float(size.max())
    return (known.size, *means, x, y, z, *depth, _mean(known))


def tables(measured: Measurement, truth: GroundTruth) -> list[Table]:
    """Return all that `pose3d benchmark accuracy` prints."""
    by_setup = {setup: scores(e, measured.truth) for setup, e in measured.estimates.items()}
    return [
        _truth_table(truth),
        _models_table(by_setup, measured.precisions),
        _methods_table(by_setup),
        _stddev_table(by_setup),
        _cameras_table(by_setup),
        _rescaling_table(measured.estimates),
        *_cost_table(by_setup, measured.precisions),
    ]


def _truth_table(truth: GroundTruth) -> Table:
    cameras = range(len(truth.turned_deg))
    before, after = truth.residual_before_px, truth.residual_px
    rows: list[tuple[str | float, ...]] = [
        (
            f'camera {i + 1}',
            float(np.median(before[i])),
            float(np.median(after[i])),
            float(np.percentile(after[i], 90)),
            float(truth.turned_deg[i]),
        )
        for i in cameras
    ]
    return Table(
        'Floor: how well the four cameras agree on the ground truth',
        (
            ('', ''), ('median px as calibrated', '.1f'), ('median px', '.1f'),
            ('90th percentile px', '.1f'), ('turned deg', '.2f'),
        ),
        rows,
        'Pixels between a keypoint and the projection of the triangulated joint, before and after '
        'turning the cameras.\nThe length of a bone varies by '
        f'{1000 * truth.bone_stddev_m:.0f} mm (standard deviation over the frames, median bone).',
    )  # fmt: skip


def _models_table(by_setup: Mapping[Setup, Scores], precisions: Mapping[Setup, str]) -> Table:
    models = list(dict.fromkeys(setup.model for setup in precisions))
    trained = any(setup.method == TRAINED for setup in precisions)
    rows: list[tuple[str | float, ...]] = [
        (setup.model, precisions[setup], *_score_cells(by_setup[setup]))
        for setup in sorted(precisions, key=lambda s: models.index(s.model))
    ]
    return Table(
        'The default stages with each posenet: mean errors in millimetres',
        (('posenet', ''), ('precision', ''), *_SCORE_COLUMNS),
        rows,
        'MPJPE: 12 limb joints, root on root. PA: after the best similarity; PA rigid: without '
        'scale. MRPE: root;\nx, y, z: its parts. depth: of the root, relative to its distance: '
        'mean, median and worst view; bias:\nthe same, signed (+ = too far).'
        + (
            '\nThe last row: RootNet and PoseNet of 3DMPPE with the given weights.'
            if trained
            else ''
        ),
    )


def _methods_table(by_setup: Mapping[Setup, Scores]) -> Table:
    order = (PLACED, FITTED, ROOTNET, K, TRAINED)
    chosen = [s for s in by_setup if s.precision == 'f32' and s.camera == CALIBRATED]
    chosen.sort(key=lambda s: order.index(s.method))
    return Table(
        'Where the root comes from: f32, mean errors in millimetres',
        (('root', ''), ('posenet', ''), *_SCORE_COLUMNS),
        [(s.method, s.model or '-', *_score_cells(by_setup[s])) for s in chosen],
        f"{PLACED}: least squares fused with the rootnet (the default). {K}: RootNet's depth at "
        'gamma = 1, on the ray of the hips.',
    )


def _stddev_table(by_setup: Mapping[Setup, Scores]) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for setup, s in by_setup.items():
        known = s.stddev_percent > 0
        if setup.precision != 'f32' or setup.camera != CALIBRATED or not known.any():
            continue
        error, stddev = np.abs(s.depth_percent[known]), s.stddev_percent[known]
        share = [100 * float((error <= n * stddev).mean()) for n in (1, 2)]
        rms = float(np.sqrt((error**2).mean()))
        rows.append((setup.method, setup.model or '-', float(stddev.mean()), rms, *share))
    return Table(
        'Is root_depth_stddev_m right? f32',
        (
            ('root', ''), ('posenet', ''), ('stddev %', '.1f'), ('rms error %', '.1f'),
            ('within 1 stddev %', '.0f'), ('within 2 %', '.0f'),
        ),
        rows,
        'Gaussian errors would give 68 and 95. One subject has one stature: its share of the '
        'error is the same in all views.',
    )  # fmt: skip


def _cameras_table(by_setup: Mapping[Setup, Scores]) -> Table:
    model = next(s.model for s in by_setup if s.model)
    rows: list[tuple[str | float, ...]] = [
        (setup.camera, *_score_cells(s))
        for setup, s in by_setup.items()
        if (setup.model, setup.precision, setup.method) == (model, 'f32', PLACED)
    ]
    return Table(
        f'Without calibration: {model}, f32, mean errors in millimetres',
        (('camera', ''), *_SCORE_COLUMNS),
        rows,
        'The longer side of these cameras spans 59.5 degrees: the fallback is nearly right here, '
        'by luck.',
    )


def _rescaling_table(estimates: Mapping[Setup, Estimate]) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for setup, one in estimates.items():
        if setup.method not in (PLACED, ROOTNET) or not setup.camera.endswith(RESCALED):
            continue
        other = estimates[replace(setup, camera=TRUE_FOCAL)]
        depth = 100 * np.abs(one.roots[:, 2] / other.roots[:, 2] - 1)
        sideways = 1000 * np.linalg.norm(one.roots[:, :2] - other.roots[:, :2], axis=1)
        relative = one.joints - one.roots[:, None] - (other.joints - other.roots[:, None])
        joints = 1000 * np.linalg.norm(relative, axis=2).mean(axis=1)
        means = _mean(depth), float(np.nanmax(depth)), _mean(sideways), _mean(joints)
        rows.append((setup.camera.removesuffix(RESCALED), setup.model or '-', *means))
    return Table(
        'What rescaling to the true focal length leaves, against a run with it: f32',
        (
            ('guess', ''), ('posenet', ''), ('depth %', '.2f'), ('worst %', '.2f'),
            ('x, y mm', '.1f'), ('joints around the root mm', '.1f'),
        ),
        rows,
        "'-' is the rootnet alone. Differences of two results, not errors against the truth.",
    )  # fmt: skip


def _cost_table(by_setup: Mapping[Setup, Scores], said: Mapping[Setup, str]) -> list[Table]:
    """Return the paired differences, or nothing where only f32 could be measured."""
    rows: list[tuple[str | float, ...]] = []
    for setup, fast in by_setup.items():
        if setup.precision == 'f32' or setup.method != PLACED:
            continue
        exact = by_setup[replace(setup, precision='f32')]
        joints, root = fast.mpjpe - exact.mpjpe, fast.mrpe - exact.mrpe
        error = float(np.nanstd(joints) / np.sqrt(np.isfinite(joints).sum()))
        relative = 100 * _mean(joints) / _mean(exact.mpjpe)
        pa = _mean(fast.pa_scaled - exact.pa_scaled)
        middle = float(np.nanmedian(joints))
        name = said[setup]
        rows.append((setup.model, name, _mean(joints), error, relative, middle, pa, _mean(root)))
    columns = (
        ('posenet', ''), ('precision', ''), ('MPJPE', '+.1f'), ('its standard error', '.1f'),
        ('%', '+.1f'), ('median', '+.1f'), ('PA', '+.1f'), ('MRPE', '+.1f'),
    )  # fmt: skip
    title = 'What fewer digits cost: minus all networks in f32, same views, millimetres'
    return [Table(title, columns, rows)] if rows else []
