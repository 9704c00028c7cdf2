# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Get folders of networks from the Hugging Face hub, by its own client, and record what came."""

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pose3d_ros.weights import WeightsError, fault_of, sha256_of
from pose3d_ros.weights_table import HubFolder

FILES = ('config.json', 'preprocessor_config.json', 'model.safetensors')
#: What says where a folder came from, and what its files were then.
RECORD = 'fetched.json'


def fault(folder: HubFolder, directory: Path) -> str:
    """Return '' for a folder as it was fetched, else 'absent' or 'corrupt: ...'."""
    return _fault_of(directory / folder.name)


def fetch(folders: Sequence[HubFolder], directory: Path, source: Path | None) -> None:
    """Bring folders into `directory`, out of the folder `source` or, without one, by download.

    Raises WeightsError for all that could not be had, after bringing in all that could.
    """
    problems = []
    for folder in folders:
        try:
            scratch = directory / 'downloads' / f'hub-{folder.name}'
            scratch.mkdir(parents=True, exist_ok=True)
            if source is None:
                revision = _download(folder, scratch)
            else:
                revision = _copy(folder, source, scratch)
            _keep(folder, scratch, revision, directory)
        except WeightsError as error:
            problems.append(f'{folder.name}: {error}')
            if source is not None:
                shutil.rmtree(scratch)
    with suppress(OSError):  # what has come of a download is kept there
        (directory / 'downloads').rmdir()
    if problems:
        raise WeightsError(
            '\n'.join(problems)
            + '\nWithout a network: pose3d fetch --from FOLDER (docs/weights.md)'
        )


def _download(folder: HubFolder, scratch: Path) -> str:
    """Let the hub's client download into `scratch`, going on with what is there; the commit."""
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError as error:
        raise WeightsError(
            "the Hugging Face hub's client is not installed: pip install 'pose3d_ros[torch]'"
        ) from error
    try:
        commit = str(HfApi().model_info(folder.repository, revision=folder.revision).sha)
        print(f'{folder.name}: {folder.repository} at commit {commit}', flush=True)
        snapshot_download(
            folder.repository, revision=commit, allow_patterns=list(FILES), local_dir=scratch
        )
    except Exception as error:  # the client and what it uses have many kinds
        reason = ' '.join(str(error).split())[:300]
        raise WeightsError(
            f'{folder.repository} could not be had from the Hugging Face hub; check the network '
            f'({type(error).__name__}: {reason})'
        ) from error
    return commit


def _copy(folder: HubFolder, source: Path, scratch: Path) -> str:
    """Copy a folder of this name, or as the hub calls it, into `scratch`; its commit, if known."""
    if not source.is_dir():
        raise WeightsError(f'{source} is not a folder')
    called = {folder.name, folder.repository.rpartition('/')[2]}
    places = [source, *sorted(place for place in source.rglob('*') if place.is_dir())]
    there = [p for p in places if p.name in called and (p / FILES[0]).is_file()]
    if not there:
        raise WeightsError(
            f'{source} holds no folder {" or ".join(sorted(called))} with {FILES[0]}'
        )
    if (there[0] / RECORD).exists() and (wrong := _fault_of(there[0])):
        raise WeightsError(f'{there[0]} is {wrong}')
    for name in FILES:
        if not (there[0] / name).is_file():
            raise WeightsError(f'{there[0]} has no {name}')
        shutil.copyfile(there[0] / name, scratch / name)
    return str(_record(there[0]).get('commit', 'unknown'))


def _keep(folder: HubFolder, scratch: Path, commit: str, directory: Path) -> None:
    """Move a whole folder to its place, with the record of what is in it."""
    missing = [name for name in FILES if not (scratch / name).is_file()]
    if missing:
        raise WeightsError(f'{folder.repository} has no {", ".join(missing)} at commit {commit}')
    record = {
        'repository': folder.repository,
        'commit': commit,
        'sha256': {name: sha256_of(scratch / name) for name in FILES},
    }
    (scratch / RECORD).write_text(json.dumps(record, indent=1) + '\n')
    shutil.rmtree(scratch / '.cache', ignore_errors=True)  # the client's notes
    target = directory / folder.name
    shutil.rmtree(target, ignore_errors=True)
    scratch.replace(target)


def _fault_of(place: Path) -> str:
    if not place.is_dir():
        return 'absent'
    digests = _record(place).get('sha256')
    if not isinstance(digests, dict) or set(digests) != set(FILES):
        return f'corrupt: {place / RECORD} does not list its files'
    faults = {name: fault_of(place / name, str(digest)) for name, digest in digests.items()}
    return next((f'corrupt: {name} is {wrong}' for name, wrong in faults.items() if wrong), '')


def _record(place: Path) -> dict[str, object]:
    """Return what was written when the folder was fetched; {} of one that was not."""
    try:
        content = json.loads((place / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
