# Copyright 2026 pose3d_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Download one file from the site of its publisher, going on where an earlier run broke off."""

import http.client
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pose3d_ros import __version__
from pose3d_ros.weights import BLOCK, WeightsError

_TIMEOUT_S = 30
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
_NOTHING_LEFT = 416  # the answer to the question for bytes behind the end


def download(url: str, folder: Path) -> Path:
    """Return the file at an address, whole, in a folder; the system's proxy settings hold.

    What has come is kept in NAME.partial, should the rest not come. Raises WeightsError where the
    site cannot be reached, and OSError where the file cannot be written.
    """
    file = folder / url.rpartition('/')[2]
    partial = folder / f'{file.name}.partial'
    there = partial.stat().st_size if partial.exists() else 0
    headers = {'User-Agent': f'pose3d_ros/{__version__}'}
    if there:
        headers['Range'] = f'bytes={there}-'
    try:
        # the addresses are those of the table of weights, all of them https
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if there and error.code == _NOTHING_LEFT:  # complete, or not what the site has now
            return partial.replace(file)
        raise WeightsError(f'{url}: {error}; the file may have moved') from error
    except _BROKEN as error:
        reason = getattr(error, 'reason', error)
        raise WeightsError(
            f'{url} cannot be reached: {reason}; check the network and its proxy'
        ) from error
    with answer:
        _receive(answer, url, partial, there if answer.status == http.client.PARTIAL_CONTENT else 0)
    return partial.replace(file)


def _receive(answer: Any, url: str, partial: Path, there: int) -> None:
    """Write an answer behind the bytes that are there already; WeightsError if it breaks off."""
    length = answer.headers['Content-Length']
    total = None if length is None else there + int(length)
    free = shutil.disk_usage(partial.parent).free
    if total is not None and total - there > free:
        raise WeightsError(
            f'{url} needs {(total - there) / 1e6:.0f} MB in {partial.parent}, where only '
            f'{free / 1e6:.0f} MB are free; --to chooses another folder'
        )
    print(f'{url}: downloading' + ('' if total is None else f' {total / 1e6:.0f} MB'), flush=True)
    count = there
    with (
        partial.open('ab' if there else 'wb') as out,
        tqdm(total=total, initial=there, unit='B', unit_scale=True, disable=None) as bar,
    ):
        while block := _read(answer, url):
            out.write(block)
            count += len(block)
            bar.update(len(block))
    if total is not None and count < total:
        raise WeightsError(_broke_off(url, 'too few bytes'))


def _read(answer: Any, url: str) -> bytes:
    try:
        return bytes(answer.read(BLOCK))
    except _BROKEN as error:
        raise WeightsError(_broke_off(url, str(error))) from error


def _broke_off(url: str, reason: str) -> str:
    return f'{url} broke off ({reason}); what came is kept, run it again to go on'
