"""Small evidence packs to try things with: written by dpcam, taken apart and put together again by hand."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

from colors import color_recognizer
from sessions import CLOCK, MACHINE, SHEETS, frame, plan, plan_input

from calibration.files import sha256_bytes
from capture.new_session import Input
from capture.recorder import SessionWriter
from capture.session import read_session
from pipeline.evidence.manifest import PackedFile, ScoringOrder, sums_text
from pipeline.evidence.pack import Content, Packed, pack
from pipeline.evidence.scores import kept_scores

Files = dict[str, bytes]
SHEET = "session/inputs/sheets/sheet-bare.json"
MODEL = "models/near/near"


def small_session(root: Path, *, sealed: bool = True) -> Path:
    """Six frames of a plan, with a sheet, a note, a skip and a retake among its lines."""
    of = plan()
    sheet = Input("sheet", "sheets/sheet-bare.json", SHEETS["sheet-bare"].model_dump_json().encode())
    inputs = [plan_input(of), sheet]
    with SessionWriter.create(root, camera="staged:test", machine=MACHINE, clock=CLOCK, inputs=inputs) as writer:
        writer.note("the lamp was cold")
        for shot in of.shots:
            writer.write_frame(frame(shot.index, truth={"shot": shot.index}), shot)
        writer.retake(of.shots[2], "somebody stood before it")
        writer.skip(of.shots[2], "still there")
        writer.stop("complete")
        if sealed:
            writer.seal()
    return writer.folder


def small_pack(folder: Path, *, sealed: bool = True) -> Packed:
    """The pack of a small session and two recognizers that take color for class."""
    session = read_session(small_session(folder / "sessions", sealed=sealed))
    recognizers = [color_recognizer(folder / "models", name, held_out=name == "far") for name in ("near", "far")]
    answers = kept_scores(session, recognizers, ScoringOrder(), lambda _: None)
    return pack(Content(session, recognizers, ScoringOrder(), answers), folder / "small.zip", lambda done, total: None)


def read_pack(path: Path) -> Files:
    """Name → content of every file, in order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these members, whatever they are called."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def with_manifest(files: Files, /, **changes: object) -> Files:
    """The files with another manifest, and sums that fit it."""
    manifest = json.loads(files["evidence.json"]) | changes
    text = json.dumps(manifest, indent=1).encode()
    listed = [PackedFile.model_construct(**each) for each in manifest["files"]] if "files" in manifest else []
    return files | {"evidence.json": text, "SHA256SUMS": sums_text(listed, text)}


def forged(files: Files, /, **changes: object) -> Files:
    """The files with a manifest that was made anew over them: consistent, whatever they hold."""
    inner = {name: content for name, content in files.items() if name not in ("evidence.json", "SHA256SUMS")}
    listed = [{"path": name, "bytes": len(data), "sha256": sha256_bytes(data)} for name, data in inner.items()]
    return with_manifest(files, **{"files": listed, "total_bytes": sum(map(len, inner.values())), **changes})
