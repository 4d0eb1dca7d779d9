"""``README.txt`` of an evidence pack, for a person who has only the zip."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.contract import Contract
from capture.session import Session
from pipeline.sessions.derived import code_version

_TEXT = """\
Evidence of the session {id}

This is an evidence pack of dpcam {version}, a laboratory for defensive patches. It holds what a camera session
recorded, the recognizers that were asked, and what they answered: enough to score the session again, without the
camera.

WHAT IS IN IT
  session/       the session as it was captured: session.json (first written), events.jsonl (the journal: what
                 happened, with the hash of every picture), inputs/ (plan, sheets), frames/ (the pictures){seal}
  models/        each recognizer: an ONNX file, and a JSON with its preprocessing, labels and licence
  scores.jsonl   every answer of every recognizer to every picture, one line of JSON each
{report}  lines/         a hash for each line of the journal and of the answers: they find a line that was changed
  evidence.json  every file with its size and SHA-256, versions, licences, and the commands that score it again
  SHA256SUMS     the same hashes, and that of evidence.json

HOW TO CHECK IT
  With dpcam (the same version gives the same numbers):
      dpcam evidence check PACK.zip
  By hand, in the folder that it was unpacked to: nothing was changed since it was packed, if this finds no fault:
      sha256sum --check SHA256SUMS

WHAT THAT PROVES
  That the pack is whole and consistent, and whether the answers follow from the pictures and the recognizers. Who
  changes a picture and then makes the whole pack anew is not found out that way. So compare the SHA-256 of the zip
  itself with the one that the laboratory named to you by another way: on paper, by telephone, in a publication.

RECOGNIZERS AND THEIR LICENCES
{licences}
"""


def readme(session: Session, contracts: Sequence[Contract], report: bool) -> bytes:
    """The text, in UTF-8."""
    return _TEXT.format(
        id=session.header.id,
        version=code_version(),
        seal=",\n                 seal.json (last written: the capture came to its end)" if session.sealed else "",
        report="  report.html    the report, to be opened in a browser\n" if report else "",
        licences="\n".join(f"  {each.name}: {each.licence or 'no licence is stated'}" for each in contracts),
    ).encode()
