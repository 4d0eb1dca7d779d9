"""Durable files: whole or not there, and clear words when it cannot be."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from calibration import files
from calibration.errors import BadConfig, DiskFull, MissingFile, NotReady


class Thing(files.Document):
    """A document for the tests."""

    size_mm: float = Field(gt=0)
    name: str = "thing"


def test_write_and_read_back(tmp_path):
    path = tmp_path / "deep" / "er" / "thing.json"
    files.write_document(path, Thing(size_mm=3.5, name="Ø"))
    assert files.read_document(path, Thing) == Thing(size_mm=3.5, name="Ø")
    assert path.read_text().endswith("\n")
    assert [entry.name for entry in path.parent.iterdir()] == ["thing.json"]


@given(st.binary(max_size=2000))
def test_hashes_agree(data):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        files.write_bytes(path, data)
        assert files.sha256_file(path) == files.sha256_bytes(data)
        assert files.read_bytes(path) == data


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "thing"
    versions = [bytes([i]) * 200_000 for i in range(8)]
    files.write_bytes(path, versions[0])
    writer = threading.Thread(target=lambda: [files.write_bytes(path, data) for data in versions * 3])
    writer.start()
    while writer.is_alive():
        assert path.read_bytes() in versions
    writer.join()


BLOCKED = {
    "its folder is a file": lambda folder: folder / "file" / "thing.json",
    "it is a folder": lambda folder: folder / "folder",
    "no such place can be made": lambda _: Path("/proc/nowhere/thing.json"),
    "the name is too long": lambda folder: folder / ("x" * 300),
}


@pytest.mark.parametrize("case", BLOCKED)
def test_what_cannot_be_written(case, tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    path = BLOCKED[case](tmp_path)
    with pytest.raises(NotReady) as problem:
        files.write_bytes(path, b"new")
    assert problem.value.exit_code == 4
    assert str(path) in problem.value.message
    assert problem.value.where == str(path)
    assert (tmp_path / "file").read_text() == "kept"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: run the tests as another user")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(NotReady, match="Permission denied"):
        files.write_text(tmp_path / "thing", "new")


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="the system has no /dev/full")
def test_a_full_disk_has_its_own_code():
    with pytest.raises(OSError, match="No space left") as full, Path("/dev/full").open("wb", buffering=0) as stream:
        stream.write(b"more")
    error = files.not_writable(Path("thing"), full.value)
    assert isinstance(error, DiskFull)
    assert error.exit_code == 4


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_and_no_quota_are_the_same(number):
    assert isinstance(files.not_writable(Path("thing"), OSError(number, os.strerror(number))), DiskFull)


DAMAGED = {
    "not JSON": (b"{", "line 1"),
    "not text": (b"\xff\xfe\x00", "is not JSON"),
    "unknown key": (b'{"size_mm": 1, "colour": 2}', "colour"),
    "bad value": (b'{"size_mm": -1}', "size_mm.*greater than 0.*found -1"),
    "missing key": (b"{}", "size_mm"),
    "another shape": (b"[1, 2]", "document"),
    "two problems": (b'{"size_mm": "x", "name": 3}', "and 1 more"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_documents_name_the_problem_in_one_line(case, tmp_path):
    data, words = DAMAGED[case]
    path = tmp_path / "thing.json"
    path.write_bytes(data)
    with pytest.raises(BadConfig, match=words) as problem:
        files.read_document(path, Thing)
    assert str(path) in problem.value.message
    assert "\n" not in problem.value.message


@pytest.mark.parametrize("read", [files.read_bytes, files.read_json, files.sha256_file])
def test_missing_files(read, tmp_path):
    with pytest.raises(MissingFile, match=r"nothing\.json") as problem:
        read(tmp_path / "nothing.json")
    assert problem.value.exit_code == 3


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(MissingFile):
        files.read_bytes(tmp_path)
