# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The published protocols: annotations and what was found, to one `Evaluation`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from pose3d_ros.data.annotations import Annotations, DataError
from pose3d_ros.evaluation import multi_person
from pose3d_ros.evaluation.metrics import aligned, joint_errors, root_errors
from pose3d_ros.evaluation.outcome import Evaluation, Metric, Run
from pose3d_ros.evaluation.running import FoundPoses
from pose3d_ros.evaluation.subjects import Subjects, each_once, named
from pose3d_ros.skeletons import HUMAN36M, HUMAN36M_17, MUPOTS, Skeleton

#: Human3.6M's actions in the order of the published tables, which is that of their numbers 2..16.
ACTIONS = (
    'Directions', 'Discussion', 'Eating', 'Greeting', 'Phoning', 'Posing', 'Purchases', 'Sitting',
    'SittingDown', 'Smoking', 'Photo', 'Waiting', 'Walking', 'WalkDog', 'WalkTogether',
)  # fmt: skip
SEQUENCES = tuple(f'TS{number}' for number in range(1, 21))
AP_THRESHOLDS_MM = (250, 200, 150, 100)

#: What is scored on 3DPW: the joints that all joint sets mean alike, the root first.
_LIMBS = (
    'Pelvis', 'L_Hip', 'R_Hip', 'L_Knee', 'R_Knee', 'L_Ankle', 'R_Ankle', 'L_Shoulder',
    'R_Shoulder', 'L_Elbow', 'R_Elbow', 'L_Wrist', 'R_Wrist',
)  # fmt: skip
_MEAN_OF_PEOPLE, _MEAN_OF_SEQUENCES = 'mean over people', 'mean over sequences'
_PA_NOTE = (
    'PA MPJPE: after the best rotation and translation, as 3DMPPE has it; PA MPJPE with scale: '
    'scale too, as most later papers have it.'
)
_MRPE = tuple(Metric(name, 'mm') for name in ('MRPE', 'MRPE x', 'MRPE y', 'MRPE z'))
_MPJPE, _PA, _PA_SCALED = (
    Metric(name, 'mm') for name in ('MPJPE', 'PA MPJPE', 'PA MPJPE with scale')
)
_NAMED = 3  # joints named in a message


def mrpe(annotations: Annotations, subjects: Subjects, predictor: str) -> Evaluation:
    """Return MRPE and its parts along x, y, z, by action or sequence (Human3.6M, 3DPW).

    :param subjects: with the roots that were found.
    :param predictor: what found them.
    :raises DataError: people are missing.
    """
    people, rows = _pairs(annotations, subjects)
    errors = root_errors(subjects.roots[rows], annotations.roots[people].astype(np.float64))
    values = 1000 * np.column_stack([errors.distance, np.abs(errors.xyz)])
    run = Run(predictor, subjects.boxes_from, '', (), ())
    protocol = 'distance of the root, and its parts'
    return _by_person(protocol, annotations, people, _MRPE, values, run)


def human36m(
    annotations: Annotations, found: FoundPoses, predictor: str, protocol: int
) -> Evaluation:
    """Return MPJPE and PA MPJPE by action.

    All 18 joints are aligned, the first 17 scored, as in the original: the thorax, which is made of
    the shoulders, bears on the alignment only. The pelvis is scored too; root on root, its error is
    0 by construction. Totals are means over people, not over actions.

    :param protocol: 1 is known by PA MPJPE, 2 by MPJPE: that comes first. Which subjects are tested
        is the data's.
    :raises DataError: people are missing, or there is another joint set.
    """
    people, rows = _pairs(annotations, found.subjects)
    notes = [_PA_NOTE]
    names = HUMAN36M.joint_names
    if found.skeleton == HUMAN36M_17:  # also what the original's files hold
        names = HUMAN36M_17.joint_names
        notes.append(f'{predictor}: no thorax; PA aligns 17 joints, where published figures do 18.')
    values = _pose_errors(
        _joints(found.skeleton, found.joints, 'what was found', names)[rows],
        _joints(annotations.skeleton, annotations.joints, annotations.name, names)[people],
        slice(0, 17),
    )
    known_by_pa = protocol == 1
    metrics = (_PA, _MPJPE, _PA_SCALED) if known_by_pa else (_MPJPE, _PA, _PA_SCALED)
    if known_by_pa:
        values = values[:, [1, 0, 2]]
    run, text = _run(found, predictor), f'protocol {protocol}, 17 joints'
    return _by_person(text, annotations, people, metrics, values, run, *notes)


def pw3d(annotations: Annotations, found: FoundPoses, predictor: str) -> Evaluation:
    """Return MPJPE and PA MPJPE of 3DPW by sequence, over pelvis and the 12 joints of the limbs.

    Joint sets differ in head, neck and spine, so that these joints are not scored; the figures are
    not those of 14 joints, which papers on body models report.

    :raises DataError: people or joints are missing.
    """
    people, rows = _pairs(annotations, found.subjects)
    values = _pose_errors(
        _joints(found.skeleton, found.joints, 'what was found', _LIMBS)[rows],
        _joints(annotations.skeleton, annotations.joints, annotations.name, _LIMBS)[people],
        slice(None),
    )
    metrics, run = (_MPJPE, _PA, _PA_SCALED), _run(found, predictor)
    text = 'pelvis and 12 joints of the limbs'
    return _by_person(text, annotations, people, metrics, values, run, _PA_NOTE)


def mupots_roots(annotations: Annotations, subjects: Subjects, predictor: str) -> Evaluation:
    """Return AP_root at 250, 200, 150 and 100 mm, by sequence and over everything.

    :param subjects: with the roots that were found, and scores.
    """

    def ap(people: np.ndarray, found: np.ndarray) -> tuple[float, ...]:
        return tuple(
            multi_person.ap_root(
                annotations.image_indices[people], annotations.roots[people],
                subjects.image_indices[found], subjects.roots[found], subjects.scores[found],
                threshold_mm / 1000,
            )
            for threshold_mm in AP_THRESHOLDS_MM
        )  # fmt: skip

    groups, of_people = _groups(annotations.groups), np.array(annotations.groups)
    of_image = np.full(len(annotations.images), '', of_people.dtype)
    of_image[annotations.image_indices] = of_people
    of_found = of_image[subjects.image_indices]
    values = tuple(ap(of_people == group, of_found == group) for group in groups)
    total = ap(np.ones(len(annotations), bool), np.ones(len(subjects), bool))
    metrics = tuple(Metric(f'AP_root@{t}mm', '%', True) for t in AP_THRESHOLDS_MM)
    return Evaluation(
        'AP of roots', annotations.name, metrics, groups, _counts(of_people, groups),
        'all sequences at once', (Run(predictor, subjects.boxes_from, '', values, total),),
        _absent(groups, of_people),
    )  # fmt: skip


def mupots_poses(annotations: Annotations, found: FoundPoses, predictor: str) -> Evaluation:
    """Return 3DPCK and its AUC by sequence: relative and absolute, of all people and of matched.

    :raises DataError: there is another joint set.
    """
    errors, matched = _mupots_errors(annotations, found)
    groups, of_people = _groups(annotations.groups), np.array(annotations.groups)
    metrics, columns = [], []
    for mode, counted in (('all', np.ones(len(matched), bool)), ('matched', matched)):
        for frame in ('rel', 'abs'):
            for name, measure in (('3DPCK', multi_person.pck), ('AUC', multi_person.auc)):
                metrics.append(Metric(f'{name}_{frame} {mode}', '%', True))
                columns.append(
                    [measure(errors[frame][counted & (of_people == g)]) for g in groups or ('',)]
                )
    values = np.array(columns).T
    return Evaluation(
        '3DPCK at 150 mm of 14 joints', annotations.name, tuple(metrics), groups,
        _counts(of_people, groups), _MEAN_OF_SEQUENCES,
        (_run(found, predictor, values if groups else values[:0], _means(values)),),
        (*_matched_notes(matched, predictor), *_absent(groups, of_people)),
    )  # fmt: skip


def mupots_joint_groups(annotations: Annotations, found: FoundPoses, predictor: str) -> Evaluation:
    """Return 3DPCK by group of joints, relative and absolute, of all people and of matched.

    Each is the mean over the sequences, as the published tables have it.

    :raises DataError: there is another joint set.
    """
    errors, matched = _mupots_errors(annotations, found)
    of_people = np.array(annotations.groups)
    metrics, columns = [], []
    for mode, counted in (('all', np.ones(len(matched), bool)), ('matched', matched)):
        for frame in ('rel', 'abs'):
            metrics.append(Metric(f'3DPCK_{frame} {mode}', '%', True))
            parts = [errors[frame][counted & (of_people == g)] for g in np.unique(of_people)]
            by_group = [
                [*multi_person.pck_by_group(part).values(), multi_person.pck(part)]
                for part in parts
            ]
            columns.append(_means(np.array(by_group)))
    values = np.array(columns).T
    names = tuple(multi_person.JOINT_GROUPS)
    return Evaluation(
        '3DPCK at 150 mm by joint', annotations.name, tuple(metrics), names,
        (len(annotations),) * (len(names) + 1), 'all 14 joints',
        (_run(found, predictor, values[:-1], values[-1]),), _matched_notes(matched, predictor),
    )  # fmt: skip


def _mupots_errors(
    annotations: Annotations, found: FoundPoses
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the errors (n, 17) 'rel' and 'abs' of the people, and who was matched (n,)."""
    names = MUPOTS.joint_names
    truth = _joints(annotations.skeleton, annotations.joints, annotations.name, names)
    poses = _joints(found.skeleton, found.joints, 'what was found', names)
    matches = multi_person.match_all(
        annotations.image_indices,
        _joints(annotations.skeleton, annotations.pixels, annotations.name, names),
        found.subjects.image_indices,
        _joints(found.skeleton, found.pixels, 'what was found', names),
    )
    errors = {
        name: multi_person.matched_errors(truth, poses, matches, name == 'rel')
        for name in ('rel', 'abs')
    }
    return errors, matches >= 0


def _matched_notes(matched: np.ndarray, predictor: str) -> tuple[str, ...]:
    return (
        'rel: pelvis on pelvis; all: who was not matched is wrong; matched: only who was. The best '
        'AUC is 96.8. The truth is what the annotations hold; published figures are of '
        'univ_annot3.',
        f'{predictor}: {int(matched.sum())} of {len(matched)} people were matched.',
    )


#: Data set -> the joints without which poses cannot be scored.
POSE_JOINTS = {
    'human36m': HUMAN36M_17.joint_names,
    'mupots': MUPOTS.joint_names,
    'pw3d': _LIMBS,
}
ScoreRoots = Callable[[Annotations, Subjects, str], Evaluation]
ScorePoses = Callable[[Annotations, FoundPoses, str], Evaluation]
#: Data set -> what its roots are scored by.
ROOT_PROTOCOLS: dict[str, ScoreRoots] = {'human36m': mrpe, 'mupots': mupots_roots, 'pw3d': mrpe}


def pose_protocols(data: str, protocol: int) -> dict[str, ScorePoses]:
    """Return what the poses of a data set are scored by, under the names of the tables.

    :param protocol: of human36m.
    """
    known: dict[str, dict[str, ScorePoses]] = {
        'human36m': {'poses': partial(human36m, protocol=protocol)},
        'mupots': {'poses': mupots_poses, 'joints': mupots_joint_groups},
        'pw3d': {'poses': pw3d},
    }
    return known[data]


def _pairs(annotations: Annotations, subjects: Subjects) -> tuple[np.ndarray, np.ndarray]:
    """Return people and the rows of what was found of them; DataError where somebody is missing."""
    rows = each_once(annotations, subjects)
    people = np.flatnonzero(rows >= 0)
    return people, rows[people]


def _joints(skeleton: Skeleton, values: np.ndarray, owner: str, names: Sequence[str]) -> np.ndarray:
    """Return values (n, k, ...) of joints by name; DataError naming those that are missing."""
    need_joints(skeleton, owner, names)
    return values[:, skeleton.indices(*names)].astype(np.float64)


def need_joints(skeleton: Skeleton, owner: str, names: Sequence[str]) -> None:
    """Raise DataError naming the first joints that a joint set lacks.

    :param owner: whose joint set it is.
    """
    missing = [name for name in names if name not in skeleton.joint_names]
    if missing:
        more = f' and {len(missing) - _NAMED} more' if len(missing) > _NAMED else ''
        raise DataError(
            f"{owner} has the joint set '{skeleton.name}', without {', '.join(missing[:_NAMED])}"
            f'{more}, which this protocol scores; score it on the data set that it was trained for'
        )


def _pose_errors(predicted: np.ndarray, truth: np.ndarray, scored: slice) -> np.ndarray:
    """Return MPJPE, PA MPJPE without and with scale (n, 3), mm; the first joint is the root."""
    finite = np.isfinite(predicted).all(axis=(1, 2)) & np.isfinite(truth).all(axis=(1, 2))
    errors = np.full((len(truth), 3), np.nan)
    predicted, truth = predicted[finite], truth[finite]
    columns = [joint_errors(predicted, truth, (0,))[:, scored].mean(axis=1)]
    for with_scale in (False, True):
        off = np.linalg.norm(aligned(predicted, truth, with_scale) - truth, axis=2)
        columns.append(off[:, scored].mean(axis=1))
    errors[finite] = 1000 * np.column_stack(columns)
    return errors


def _by_person(
    protocol: str,
    annotations: Annotations,
    people: np.ndarray,
    metrics: tuple[Metric, ...],
    values: np.ndarray,
    run: Run,
    *notes: str,
) -> Evaluation:
    """Return an evaluation whose numbers are means over people.

    :param people: (n,) rows of those who are scored.
    :param values: (n, metrics) of each person; NaN where truth or result is unknown.
    """
    unknown = ~np.isfinite(values).all(axis=1)
    if unknown.any():
        images = annotations.image_indices[people[unknown]]
        raise DataError(
            f'{annotations.name}: {int(unknown.sum())} of {len(people)} people have no position '
            f'to compare, annotated or found ({named(annotations.images, images)})'
        )
    groups, of_people = _groups(annotations.groups), np.array(annotations.groups)[people]
    by_group = np.array([_means(values[of_people == group]) for group in groups])
    if left_out := len(annotations) - len(people):
        notes += (f'{left_out} people without a box that can be cut are left out.',)
    return Evaluation(
        protocol, annotations.name, metrics, groups, _counts(of_people, groups), _MEAN_OF_PEOPLE,
        (replace(run, values=_rows(by_group), total=_row(_means(values))),),
        (*notes, *_absent(groups, of_people)),
    )  # fmt: skip


def _run(
    found: FoundPoses,
    predictor: str,
    values: np.ndarray | None = None,
    total: np.ndarray | None = None,
) -> Run:
    subjects = found.subjects
    return Run(
        predictor, subjects.boxes_from, subjects.roots_from,
        () if values is None else _rows(values), () if total is None else _row(total),
    )  # fmt: skip


def _rows(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(_row(row) for row in values)


def _row(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _means(values: np.ndarray) -> np.ndarray:
    """Return the means (metrics,) of what is not NaN of (n, metrics); NaN of nothing."""
    known = np.isfinite(values)
    sums = np.where(known, values, 0).sum(axis=0)
    with np.errstate(invalid='ignore'):
        return np.asarray(sums / known.sum(axis=0))


def _groups(names: Sequence[str]) -> tuple[str, ...]:
    """Return the groups of a table in the published order; () = there are none.

    Tables of Human3.6M and MuPoTS are complete: what is not in the data has an empty row.
    """
    present = dict.fromkeys(name for name in names if name)
    for published in (ACTIONS, SEQUENCES):
        if not present.keys().isdisjoint(published):
            return (*published, *(name for name in present if name not in published))
    return tuple(present)


def _counts(of_people: np.ndarray, groups: tuple[str, ...]) -> tuple[int, ...]:
    return (*(int((of_people == group).sum()) for group in groups), len(of_people))


def _absent(groups: tuple[str, ...], of_people: np.ndarray) -> tuple[str, ...]:
    absent = [group for group in groups if group not in of_people]
    return (f'Not in the data, nor in the mean: {", ".join(absent)}.',) if absent else ()
