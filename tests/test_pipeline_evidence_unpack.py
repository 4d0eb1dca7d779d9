"""Evidence packs from anywhere: nothing outside of the folder, nothing beyond the stated size, nothing left behind."""

from __future__ import annotations

import json
import resource
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packs import MODEL, Files, forged, read_pack, small_pack, with_manifest, zipped

from calibration.errors import BadEvidence, BadInput, DiskFull, MissingFile
from pipeline.evidence.check import open_pack
from pipeline.evidence.manifest import MAX_MANIFEST_BYTES
from pipeline.evidence.names import first_clash, why_unsafe
from pipeline.evidence.pack import refuse_names
from pipeline.evidence.unpack import read_evidence, unpack

FRAME = "session/frames/staged-test/000001.png"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_pack(tmp_path_factory.mktemp("small")).path


@pytest.fixture(scope="module")
def files(good: Path) -> Files:
    return read_pack(good)


def test_a_sound_pack_is_unpacked_as_it_is(good: Path, files: Files, tmp_path: Path):
    evidence, problems = open_pack(good, tmp_path / "there")
    assert problems == []
    assert evidence == read_evidence(good)
    found = {path.relative_to(tmp_path / "there").as_posix(): path.read_bytes() for path in below(tmp_path / "there")}
    assert {name: found[name] for name in files} == files
    assert set(found) - set(files) == {"lab.toml"}
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


# Refused: zips that are no pack, or an attack. Each is the good pack with something done to it.


def more(name: str, content: bytes = b"more") -> Callable[[Files], bytes]:
    return lambda files: zipped([*files.items(), (name, content)])


def special(kind: int) -> Callable[[Files], bytes]:
    info = zipfile.ZipInfo("session/inputs/link")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return lambda files: zipped([*files.items(), (info, b"../../../etc/passwd")])


def patched(name: str, offset: int, value: bytes, *, local: int | None = None) -> Callable[[Files], bytes]:
    """Bytes of a member's entry in the central directory replaced; and in its local header, where ``local`` says."""

    def build(files: Files) -> bytes:
        data = bytearray(zipped(files.items()))
        central = data.rindex(b"PK\1\2", 0, data.rindex(name.encode()))
        data[central + offset : central + offset + len(value)] = value
        if local is not None:
            header = struct.unpack_from("<I", data, central + 42)[0]
            data[header + local : header + local + len(value)] = value
        return bytes(data)

    return build


def renamed(name: str, to: str, *, directory: bool) -> Callable[[Files], bytes]:
    """A name replaced by one of the same length, in the zip's directory alone or before the content alone."""

    def build(files: Files) -> bytes:
        data = zipped(files.items())
        at = data.rindex(name.encode()) if directory else data.index(name.encode())
        return data[:at] + to.encode() + data[at + len(to) :]

    return build


def changed(name: str, content: bytes) -> Callable[[Files], bytes]:
    return lambda files: zipped((files | {name: content}).items())


def manifest(**changes: object) -> Callable[[Files], bytes]:
    return lambda files: zipped(with_manifest(files, **changes).items())


def without(*names: str) -> Callable[[Files], bytes]:
    return lambda files: zipped((name, content) for name, content in files.items() if name not in names)


def forged_with(name: str, content: bytes = b"{}") -> Callable[[Files], bytes]:
    return lambda files: zipped(forged(files | {name: content}).items())


def other_model(**changes: str) -> Callable[[Files], bytes]:
    def build(files: Files) -> bytes:
        model = {"name": "near", "contract": f"{MODEL}.json", "onnx": f"{MODEL}.onnx", "sha256": "0" * 64}
        return zipped(with_manifest(files, models=[model | {"held_out": False} | changes]).items())

    return build


def bomb(files: Files) -> bytes:
    """A sheet that unpacks to 64 MB: the zip's directory and the manifest both state what it was."""
    size = len(files["session/inputs/plan.json"])
    large = files | {"session/inputs/plan.json": bytes(2**26)}
    return patched("session/inputs/plan.json", 24, struct.pack("<I", size), local=22)(large)


PLACES = {
    "up": more("../evil"),
    "up from within": more("session/../../evil"),
    "absolute": more("/tmp/dpcam-evil"),
    "backslash": more("..\\evil"),
    "drive": more("C:/evil"),
    "stream of a file": more("session/inputs/plan.json:hidden"),
    "here": more("session/./inputs/x"),
    "folder": more("session/inputs/x/"),
    "empty part": more("session//inputs/x"),
    "line break": more("session/inputs/x\ny"),
    "device": more("session/inputs/NUL.json"),
    "dot at the end": more("session/inputs/plan.json."),
    "very long": more("session/inputs/" + "x" * 300),
    "hidden end": renamed("session/inputs/plan.json", "session/inputs/plan\0json", directory=True),
    "link": special(stat.S_IFLNK),
    "pipe": special(stat.S_IFIFO),
    "folder by its kind": special(stat.S_IFDIR),
    "encrypted": patched("scores.jsonl", 8, b"\1\0", local=6),
    "strongly encrypted": patched("scores.jsonl", 8, b"\x41\0", local=6),
    "unknown compression": patched("scores.jsonl", 10, b"\x63\0", local=8),
    "lzma": lambda files: zipped(files.items(), zipfile.ZIP_LZMA),
}
TWINS = {
    "twice": (more(FRAME), "twice"),
    "the manifest twice": (more("evidence.json"), "twice"),
    "same but for case": (more("session/SESSION.json"), "same file"),
    "same but for accents": (
        lambda files: zipped([*files.items(), ("session/inputs/\u00e9", b""), ("session/inputs/e\u0301", b"")]),
        "same file",
    ),
    "a file for a folder": (more("README.txt/x"), "in its way"),
}
STATED = {
    "unnamed": (more("session/inputs/more.json"), "does not name it"),
    "missing": (without(FRAME), "is not in the pack"),
    "longer": (changed(FRAME, bytes(2**20)), "bytes, evidence.json states"),
    "shorter": (changed(FRAME, b"x"), "bytes, evidence.json states"),
    "longer lines": (lambda files: changed("scores.jsonl", files["scores.jsonl"] + b"{}\n")(files), "goes on behind"),
    "shorter lines": (changed("scores.jsonl", b"{}\n"), "before the"),
    "bomb": (bomb, "goes on behind"),
    "sums too long": (changed("SHA256SUMS", bytes(2**20)), "more than its lines can have"),
    "total": (manifest(total_bytes=1), "total_bytes: 1 is stated"),
    "no files at all": (lambda files: b"PK\5\6" + bytes(18), "is no evidence pack"),
    "no manifest": (without("evidence.json"), "is no evidence pack"),
    "no sums": (without("SHA256SUMS"), "is no evidence pack"),
    "no json": (changed("evidence.json", b"{"), "evidence.json: document"),
    "no object": (changed("evidence.json", b"[]"), "evidence.json: document"),
    "deep": (changed("evidence.json", b"[" * 100_000), "evidence.json: document"),
    "too large": (changed("evidence.json", bytes(MAX_MANIFEST_BYTES + 1)), f"up to {MAX_MANIFEST_BYTES} are accepted"),
    "other version": (manifest(version=2), "version"),
    "more keys": (manifest(more=1), "more"),
    "negative": (manifest(total_bytes=-1), "total_bytes"),
    "no files": (manifest(files=[], total_bytes=0), "files"),
    "kept scores": (forged_with("session/derived/scores-0123456789ab.jsonl"), "has no place"),
    "a lab": (forged_with("lab.toml"), "has no place"),
    "a lock": (forged_with("session/.lock"), "has no place"),
    "up in the manifest": (forged_with("session/inputs/../../../evil"), "refused"),
    "model elsewhere": (other_model(contract="../../evil.json"), "is not among its files"),
    "no journal": (
        lambda files: zipped(forged({k: v for k, v in files.items() if "events.jsonl" not in k}).items()),
        "'session/events.jsonl' is not among its files",
    ),
}


def stored_and_changed(files: Files) -> bytes:
    """A picture whose bytes were changed within the zip."""
    data = zipped(files.items(), zipfile.ZIP_STORED)
    assert data.count(files[FRAME]) == 1
    return data.replace(files[FRAME], files[FRAME][:-20] + bytes(20))


BROKEN = {
    "checksum": stored_and_changed,
    "two names": renamed("scores.jsonl", "scores.jsonk", directory=False),
    "empty": lambda files: b"",
    "text": lambda files: b"evidence\n",
    "end cut off": lambda files: zipped(files.items())[:-30],
    "half": lambda files: zipped(files.items())[: len(zipped(files.items())) // 2],
    "beginning cut off": lambda files: zipped(files.items())[1000:],
}
REFUSED = {
    **{name: (build, "is refused") for name, build in PLACES.items()},
    **TWINS,
    **STATED,
    **{name: (build, "cannot be read") for name, build in BROKEN.items()},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_sound_pack_is_refused_and_leaves_nothing(name: str, files: Files, tmp_path: Path):
    build, words = REFUSED[name]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.zip").write_bytes(build(files))
    with pytest.raises(BadEvidence) as caught:
        unpack(tmp_path / "in" / "bad.zip", tmp_path / "out" / "there")
    assert words in caught.value.message
    assert caught.value.where
    assert [path.name for path in below(tmp_path)] == ["bad.zip"]


def test_a_manifest_that_is_refused_needs_no_unpacking(files: Files, tmp_path: Path):
    (tmp_path / "bad.zip").write_bytes(more("../evil")(files))
    with pytest.raises(BadEvidence):
        read_evidence(tmp_path / "bad.zip")


def test_a_bomb_is_stopped_at_the_stated_size(files: Files, tmp_path: Path):
    """The system lets no file grow beyond the largest that the pack states: nothing tries to."""
    (tmp_path / "bomb.zip").write_bytes(bomb(files))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(map(len, files.values())), before[1]))
    try:
        with pytest.raises(BadEvidence, match="goes on behind"):
            unpack(tmp_path / "bomb.zip", tmp_path / "there")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_more_than_the_disk_holds_is_refused_before_anything_is_written(files: Files, tmp_path: Path):
    huge = 2**60
    evidence = json.loads(files["evidence.json"])
    listed = [each | ({"bytes": huge} if each["path"] == "scores.jsonl" else {}) for each in evidence["files"]]
    total = sum(each["bytes"] for each in listed)
    (tmp_path / "huge.zip").write_bytes(zipped(with_manifest(files, files=listed, total_bytes=total).items()))
    with pytest.raises(DiskFull, match=str(total)):
        unpack(tmp_path / "huge.zip", tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["huge.zip"]


def test_nothing_is_overwritten(good: Path, tmp_path: Path):
    (tmp_path / "there").mkdir()
    with pytest.raises(BadInput, match="is there already"):
        unpack(good, tmp_path / "there")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="is there already"):
        unpack(good, tmp_path / "link")


def test_no_pack_is_a_missing_file(tmp_path: Path):
    for path in (tmp_path / "none.zip", tmp_path):
        with pytest.raises(MissingFile):
            unpack(path, tmp_path / "there")


# Whatever the bytes are


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_pack_is_refused_or_found_out_or_unpacks_to_the_same(
    data: st.DataObject, good: Path, files: Files, tmp_path_factory: pytest.TempPathFactory
):
    damaged = bytearray(good.read_bytes())
    # Names, sizes and kinds stand in the directory at the end: half of the damage goes there.
    start = data.draw(st.sampled_from([0, damaged.rindex(b"session/session.json") - 6000]))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(start, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(damaged)] * 3 + [data.draw(st.integers(0, len(damaged)))]))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "bad.zip").write_bytes(damaged[:cut])
    try:
        _, problems = open_pack(folder / "bad.zip", folder / "there")
    except (BadEvidence, DiskFull) as error:
        problems = [error]
    if problems:
        assert [path.name for path in folder.iterdir()] == ["bad.zip"]
    else:
        assert {name: (folder / "there" / name).read_bytes() for name in files} == files


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.lists(
    st.sampled_from(["..", ".", "", "/", "\\", "a", "C:", "con", "x.png", "é", " ", "\0", "~", "$HOME", "%2e%2e"]),
    min_size=1,
    max_size=6,
).map("/".join)


@given(name=NAMES)
@example(name="a/..")
@example(name="\u2025/x")
@settings(max_examples=300)
def test_a_safe_name_stays_in_its_folder_on_every_system(name: str):
    if why_unsafe(name):
        return
    folder = Path("/lab/there")
    assert folder in Path(folder, name).parents
    assert ".." not in Path(name).parts
    assert Path(folder, name).relative_to(folder).as_posix() == name
    windows = PureWindowsPath(name)
    assert (windows.drive, windows.root) == ("", "")
    assert not windows.is_reserved()
    assert windows.as_posix() == name
    assert first_clash([name, name.swapcase()]) or name.swapcase() != name


@pytest.mark.parametrize(
    "name",
    ["session/session.json", FRAME, "session/inputs/sheets/überholverbot-0a.json", "models/vgg/vgg.onnx", "README.txt"],
)
def test_names_of_sessions_are_safe(name: str):
    refuse_names([name])


def below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
