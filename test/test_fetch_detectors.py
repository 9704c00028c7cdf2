# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detectors from their publishers' sites: a site on this machine stands in for them."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pose3d_ros import weights
from pose3d_ros.cli import fetch, fetch_hub
from pose3d_ros.weights_table import HUB_FOLDERS, Asset, Package

CONTENT = bytes(range(256)) * 9000
NAME = f'net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth'
FILES = {'config.json': b'{}', 'preprocessor_config.json': b'{ }', 'model.safetensors': CONTENT}
COMMIT = '1234567890abcdef1234567890abcdef12345678'


class Site(BaseHTTPRequestHandler):
    """Sends CONTENT, or the bytes of it that are asked for."""

    asked: list[str]
    #: How much of an answer is really sent.
    sends: int
    ranges: bool

    def do_GET(self) -> None:
        asked = self.headers.get('Range', '')
        self.asked.append(asked)
        if not self.path.endswith('.pth'):
            self.send_error(404)
            return
        first = int(asked.removeprefix('bytes=').rstrip('-')) if asked and self.ranges else 0
        if first >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if asked and self.ranges else 200)
        self.send_header('Content-Length', str(len(CONTENT) - first))
        self.end_headers()
        self.wfile.write(CONTENT[first : first + self.sends])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Return a running site, whose file `net` is all that the table has."""
    handler = type('Handler', (Site,), {'asked': [], 'sends': len(CONTENT), 'ranges': True})
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    thread = threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True)
    thread.start()
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / 'cache').mkdir()
    monkeypatch.setenv('POSE3D_HOME', str(tmp_path / 'cache'))
    use(monkeypatch, f'http://127.0.0.1:{server.server_port}/{NAME}')
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def use(monkeypatch: pytest.MonkeyPatch, url: str, digits: str = NAME[4:12]) -> Asset:
    """Let the table have one file, at an address."""
    asset = Asset('net', Package('https', url, '', '', 0), NAME, digits, 0, 'MIT', 'detectors', 'x')
    monkeypatch.setattr(weights, 'ASSETS', (asset,))
    return asset


def pose3d_fetch(*words: str) -> int:
    parser = argparse.ArgumentParser()
    fetch.add_arguments(parser)
    return fetch.run(parser.parse_args(words))


def cached() -> set[str]:
    return {file.name for file in weights.cache_dir().rglob('*')} - {'.lock'}


def test_a_file_is_downloaded_and_verified_by_the_digits_of_its_name(site: Any) -> None:
    assert pose3d_fetch('net') == 0
    assert cached() == {'net.pth'}
    assert weights.path('net', table=weights.ASSETS).read_bytes() == CONTENT
    assert pose3d_fetch('net') == 0
    assert site.asked == ['']  # the second time nobody was asked


def test_all_leaves_the_detectors_out(site: Any) -> None:
    assert pose3d_fetch('all') == 0
    assert (site.asked, cached()) == ([], set())


def test_a_download_that_broke_off_goes_on(site: Any, capsys: pytest.CaptureFixture[str]) -> None:
    site.sends = 1_000_000
    assert pose3d_fetch('net') == 1
    assert 'broke off' in capsys.readouterr().err
    assert cached() == {'downloads', f'{NAME}.partial'}
    site.sends = len(CONTENT)
    assert pose3d_fetch('net') == 0
    assert site.asked == ['', 'bytes=1000000-']
    assert cached() == {'net.pth'}


def test_a_site_that_cannot_go_on_sends_all_again(site: Any) -> None:
    site.sends, site.ranges = 1_000_000, False
    assert pose3d_fetch('net') == 1
    site.sends = len(CONTENT)
    assert pose3d_fetch('net') == 0
    assert weights.path('net', table=weights.ASSETS).read_bytes() == CONTENT


def test_a_partial_file_that_is_already_whole(site: Any) -> None:
    downloads = weights.cache_dir() / 'downloads'
    downloads.mkdir()
    (downloads / f'{NAME}.partial').write_bytes(CONTENT)
    assert pose3d_fetch('net') == 0
    assert cached() == {'net.pth'}


def test_other_content_is_refused_and_not_kept(
    site: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, weights.ASSETS[0].package.name, 'ffffffff')
    assert pose3d_fetch('net') == 1
    assert 'expected sha256 ffffffff..., found ' in capsys.readouterr().err
    assert cached() == set()


def test_a_site_that_is_not_there_or_has_moved_the_file_is_told(
    site: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = weights.ASSETS[0].package.name
    use(monkeypatch, here.replace(NAME, f'gone/{NAME}.zip'))
    assert pose3d_fetch('net') == 1
    assert '404' in capsys.readouterr().err
    use(monkeypatch, f'http://127.0.0.1:9/{NAME}')
    assert pose3d_fetch('net') == 1
    error = capsys.readouterr().err
    assert 'cannot be reached' in error and 'pose3d fetch --from' in error


def test_a_file_is_taken_from_a_folder(site: Any, tmp_path: Path) -> None:
    (tmp_path / 'stick').mkdir()
    (tmp_path / 'stick/any.pth').write_bytes(CONTENT)
    (tmp_path / 'stick/other.pth').write_bytes(b'other')
    assert pose3d_fetch('net', '--from', str(tmp_path / 'stick')) == 0
    assert (site.asked, cached()) == ([], {'net.pth'})


def test_a_wrong_file_of_the_right_name_is_named(
    site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'stick').mkdir()
    (tmp_path / 'stick' / NAME).write_bytes(b'other')
    assert pose3d_fetch('net', '--from', str(tmp_path / 'stick')) == 1
    assert f'expected sha256 {NAME[4:12]}..., found' in capsys.readouterr().err


# Folders of the hub ------------------------------------------------------------------------------


@pytest.fixture
def hub(site: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Return what a hub has that stands in for the real one; its client is the real one's face."""
    import huggingface_hub

    has = dict(FILES)

    def snapshot_download(repository: str, **given: Any) -> str:
        assert given['revision'] == COMMIT and repository == 'PekingU/rtdetr_v2_r18vd'
        for name in set(has) & set(given['allow_patterns']):
            Path(given['local_dir'], name).write_bytes(has[name])
        Path(given['local_dir'], '.cache').mkdir()
        return str(given['local_dir'])

    def model_info(_: object, repository: str, revision: str) -> Any:
        assert revision == 'main'
        return SimpleNamespace(sha=COMMIT)

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', snapshot_download)
    monkeypatch.setattr(huggingface_hub.HfApi, 'model_info', model_info)
    return has


def test_a_folder_is_fetched_with_a_record_of_its_commit(
    hub: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    hub['README.md'] = b'not asked for'
    assert pose3d_fetch('rtdetr_v2_r18') == 0
    assert f'at commit {COMMIT}' in capsys.readouterr().out
    folder = weights.cache_dir() / 'rtdetr_v2_r18'
    assert {f.name for f in folder.iterdir()} == {*FILES, 'fetched.json'}
    record = json.loads((folder / 'fetched.json').read_text())
    assert record['commit'] == COMMIT
    assert record['sha256']['model.safetensors'] == hashlib.sha256(CONTENT).hexdigest()
    assert cached() == {*FILES, 'fetched.json', 'rtdetr_v2_r18'}
    hub.clear()
    assert pose3d_fetch('rtdetr_v2_r18') == 0  # is there
    assert pose3d_fetch('--list') == 0
    states = {line.split()[0]: line.split()[3] for line in capsys.readouterr().out.splitlines()[4:]}
    assert (states['rtdetr_v2_r18'], states['dfine_small']) == ('present', 'absent')


def test_a_changed_folder_is_fetched_again(hub: dict[str, bytes]) -> None:
    assert pose3d_fetch('rtdetr_v2_r18') == 0
    file = weights.cache_dir() / 'rtdetr_v2_r18' / 'config.json'
    file.write_text('{"changed": 1}')
    folder = next(f for f in HUB_FOLDERS if f.name == 'rtdetr_v2_r18')
    assert fetch_hub.fault(folder, weights.cache_dir()).startswith(
        'corrupt: config.json is corrupt'
    )
    assert pose3d_fetch('rtdetr_v2_r18') == 0
    assert file.read_bytes() == FILES['config.json']


def test_a_folder_that_lacks_a_file_is_refused(
    hub: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    del hub['model.safetensors']
    assert pose3d_fetch('rtdetr_v2_r18') == 1
    assert f'has no model.safetensors at commit {COMMIT}' in capsys.readouterr().err
    assert not (weights.cache_dir() / 'rtdetr_v2_r18').exists()


def test_a_folder_is_copied(
    hub: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = tmp_path / 'stick'
    assert pose3d_fetch('rtdetr_v2_r18', '--to', str(stick)) == 0
    assert pose3d_fetch('rtdetr_v2_r18', '--from', str(stick)) == 0
    record = json.loads((weights.cache_dir() / 'rtdetr_v2_r18/fetched.json').read_text())
    assert record['commit'] == COMMIT
    (stick / 'rtdetr_v2_r18/model.safetensors').write_bytes(b'broken')
    (weights.cache_dir() / 'rtdetr_v2_r18/config.json').unlink()
    assert pose3d_fetch('rtdetr_v2_r18', '--from', str(stick)) == 1
    assert 'corrupt: model.safetensors' in capsys.readouterr().err
    assert pose3d_fetch('dfine_small', '--from', str(stick)) == 1
    assert 'holds no folder dfine-small-coco or dfine_small' in capsys.readouterr().err
    clone = tmp_path / 'clones' / 'dfine-small-coco'  # as git or the hub's client leaves it
    clone.mkdir(parents=True)
    for name, content in FILES.items():
        (clone / name).write_bytes(content)
    assert pose3d_fetch('dfine_small', '--from', str(clone.parent)) == 0
    record = json.loads((weights.cache_dir() / 'dfine_small/fetched.json').read_text())
    assert record['commit'] == 'unknown'


def test_without_a_network_the_real_client_s_words_are_shown(tmp_path: Path) -> None:
    code = (
        'import sys; from pose3d_ros.cli import main; '
        "sys.exit(main(['fetch', 'dfine_nano', '--to', sys.argv[1]]))"
    )
    environment = os.environ | {'HF_ENDPOINT': 'http://127.0.0.1:9', 'HF_HUB_ETAG_TIMEOUT': '1'}
    done = subprocess.run(
        [sys.executable, '-c', code, str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'dfine_nano: ustc-community/dfine-nano-coco could not be had' in done.stderr
    assert 'pose3d fetch --from' in done.stderr
