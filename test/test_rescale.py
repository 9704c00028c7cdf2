# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""pose3d rescale on what pose3d video wrote: the rule, the record, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_video
from real import keypoints, people
from test_video import Fakes, lines, record, run

from pose3d_ros import cli
from pose3d_ros.camera import Camera
from pose3d_ros.cli import rescale as command
from pose3d_ros.people import Keypoints, Poses
from pose3d_ros.results import FrameResult, read_results
from pose3d_ros.skeletons import BLAZEPOSE

film, fakes = test_video.film, test_video.fakes  # fixtures


def rescale(*arguments: object) -> int:
    return cli.main(['rescale', *map(str, arguments)])


@pytest.fixture
def assumed(film: Path, tmp_path: Path, fakes: Fakes) -> Path:
    """Return the folder of a run with an assumed focal length."""
    folder = tmp_path / 'assumed'
    assert run(film, '--out', folder, '--assumed-focal-px', 150) == 0
    return folder


def test_depths_of_a_run_scale_and_everything_stays_at_its_pixel(
    assumed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = (assumed / 'poses.jsonl').read_bytes(), tmp_path / 'deep' / 'true'
    assert rescale(assumed, '--focal-px', 210, '--out', out) == 0
    assert '20 frames' in (said := capsys.readouterr().out)
    assert '150.0 -> 210.0 px: depths of roots times 1.4000' in said
    assert {p.name for p in out.iterdir()} == {'run.json', 'poses.jsonl', 'camera.yaml'}
    assert [p.name for p in out.parent.iterdir()] == ['true']
    guess, true = (Camera.from_yaml(folder / 'camera.yaml') for folder in (assumed, out))
    old = list(read_results(assumed / 'poses.jsonl', BLAZEPOSE))
    new = list(read_results(out / 'poses.jsonl', BLAZEPOSE))
    assert [r.index for r in new] == list(range(20))
    for a, b in zip(old, new, strict=True):
        np.testing.assert_allclose(b.poses.roots, a.poses.roots * [1, 1, 1.4], atol=1e-4)
        relative = [r.poses.joints[..., 2] - r.poses.roots[:, None, 2] for r in (a, b)]
        np.testing.assert_allclose(relative[1], relative[0], atol=2e-4)
        np.testing.assert_allclose(
            true.project(b.poses.joints), guess.project(a.poses.joints), atol=0.02
        )
        np.testing.assert_allclose(b.poses.root_depth_stddev_m, 0.28)
    # all else is word for word the same
    kept = ('id', 'score', 'box', 'joint_scores', 'keypoints')
    for one, other in zip(lines(assumed), lines(out), strict=True):
        assert [[p[key] for key in kept] for p in one['persons']] == [
            [p[key] for key in kept] for p in other['persons']
        ]
    assert (assumed / 'poses.jsonl').read_bytes() == before


def test_the_record_tells_what_was_done_and_another_correction_may_follow(
    assumed: Path, tmp_path: Path
) -> None:
    assert record(assumed)['camera_source'] == 'assumed focal length 150 px'
    assert record(assumed)['camera_calibrated'] is False
    assert rescale(assumed, '--focal-px', 210, '--out', tmp_path / 'a') == 0
    told = record(tmp_path / 'a')
    assert told['camera_source'] == 'assumed focal length 150 px, rescaled to 210 px'
    assert told['rescaled'] == {'from': str(assumed), 'focal_px': 150.0, 'to_focal_px': 210.0}
    assert told['settings']['camera']['K'][0][0] == 210
    documented = (Path(__file__).parent.parent / 'docs' / 'video.md').read_text()
    assert '`rescaled`' in documented and all(f'`{key}`' in documented for key in told['rescaled'])
    assert rescale(tmp_path / 'a', '--focal-px', 180, '--out', tmp_path / 'b') == 0
    at_once = tmp_path / 'c'
    assert rescale(assumed, '--focal-px', 180, '--out', at_once) == 0
    for one, other in zip(lines(tmp_path / 'b'), lines(at_once), strict=True):
        for a, b in zip(one['persons'], other['persons'], strict=True):
            np.testing.assert_allclose(a['root'], b['root'], atol=2e-4)


def test_the_pictures_are_drawn_by_the_command_that_the_documentation_names(
    assumed: Path,
    film: Path,
    tmp_path: Path,
    fakes: Fakes,
) -> None:
    out = tmp_path / 'true'
    assert rescale(assumed, '--focal-px', 210, '--out', out) == 0
    before = (out / 'poses.jsonl').read_bytes()
    fakes.images.clear()
    assert run(film, '--out', out, '--assumed-focal-px', 210) == 0
    assert (out / 'overlay.mp4').exists() and (out / 'scene.png').exists()
    assert fakes.images == [], 'no network is needed for that'
    assert (out / 'poses.jsonl').read_bytes() == before
    assert record(out)['rescaled']['focal_px'] == 150


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert rescale(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith('pose3d rescale: ')
    return said


def test_a_calibrated_run_is_refused(
    film: Path,
    tmp_path: Path,
    fakes: Fakes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    yaml, out = tmp_path / 'camera.yaml', tmp_path / 'out'
    Camera.from_focal_length(160, 120, 140).to_yaml(yaml)
    assert run(film, '--out', tmp_path / 'run', '--camera', yaml) == 0
    said = refused(capsys, tmp_path / 'run', '--focal-px', 200, '--out', out)
    assert f'calibrated camera ({yaml})' in said
    assert not out.exists()


def test_what_cannot_be_rescaled_is_refused_and_leaves_nothing(
    assumed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    to = ('--focal-px', 200, '--out', out)
    assert 'run.json' in refused(capsys, tmp_path / 'nowhere', *to)
    for focal_px in (0, -5, 'nan', 'inf'):
        refused(capsys, assumed, '--focal-px', focal_px, '--out', out)
    assert 'exists already' in refused(capsys, assumed, '--focal-px', 200, '--out', assumed)
    poses, told = assumed / 'poses.jsonl', assumed / 'run.json'
    whole, run_record = poses.read_text(), record(assumed)
    poses.write_text(whole[:-30])
    assert 'line 20' in refused(capsys, assumed, *to)
    poses.unlink()
    assert 'holds no poses.jsonl' in refused(capsys, assumed, *to)
    poses.write_text(whole)
    camera = run_record['settings'].pop('camera')
    told.write_text(json.dumps(run_record))
    assert "does not tell of the camera: 'camera'" in refused(capsys, assumed, *to)
    for key, value in (('K', 'square'), ('width', 0), ('lens', 'long')):
        run_record['settings']['camera'] = {**camera, key: value}
        told.write_text(json.dumps(run_record))
        assert 'does not tell of the camera' in refused(capsys, assumed, *to)
    assert {p.name for p in tmp_path.iterdir()} == {'assumed', 'film.avi'}
    (tmp_path / 'file').touch()
    run_record['settings']['camera'] = camera
    told.write_text(json.dumps(run_record))
    assert rescale(assumed, '--focal-px', 200, '--out', tmp_path / 'file' / 'out') == 1
    assert 'cannot write' in capsys.readouterr().err


def test_an_error_on_the_way_leaves_nothing(
    assumed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, data: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command.results, 'write_json', fail)
        with pytest.raises(KeyboardInterrupt):
            rescale(assumed, '--focal-px', 200, '--out', tmp_path / 'out')
    assert {p.name for p in tmp_path.iterdir()} == {'assumed', 'film.avi'}
    # what a power cut left is no hindrance
    (tmp_path / '.out.part').mkdir()
    (tmp_path / '.out.part' / 'poses.jsonl').write_text('half a li')
    assert rescale(assumed, '--focal-px', 200, '--out', tmp_path / 'out') == 0
    assert len(lines(tmp_path / 'out')) == 20


def test_a_line_with_keypoints_comes_back_as_it_was() -> None:
    seen = keypoints()
    xy = seen.xy.copy()
    xy[1, 4] = np.nan
    seen = Keypoints(seen.skeleton, xy, seen.scores)
    persons = people().with_roots(np.ones((3, 3)), np.zeros(3), seen)
    joints, scores = np.ones((3, 33, 3)), np.ones((3, 33))
    poses = Poses(BLAZEPOSE, joints, scores, persons.roots, scores[:, 0], scores[:, 0], persons.ids)
    line = FrameResult(3, 0.1, persons, poses).to_json()
    assert FrameResult.from_json(line, BLAZEPOSE).to_json() == line
