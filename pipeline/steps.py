"""The steps of an experiment in a lab: patch, sheets, plan, order of capture, report."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import BadConfig, BadInput
from calibration.files import read_bytes, read_document, sha256_bytes, write_document
from calibration.sheet import TAG_COUNT, Sheet
from capture.picture import decode_picture
from capture.plan import Condition, Plan, make_plan
from capture.session import FrameRecord, Session
from capture.stop import StopFlag
from patches.artwork import Artwork, artwork, load_artwork
from patches.controls import control_texture
from patches.layout import lay_out
from patches.patch import PatchGeometry, read_patch
from patches.pdf import write_sheet
from pipeline.capturing import CaptureOrder, plan_sheets, unfinished_session
from pipeline.config import LAB_FILE
from pipeline.derived import code_version, derived_path
from pipeline.lab import Lab, read_sheets
from pipeline.localizing import LocalizedFrame, localize_session
from pipeline.recognizers import Provider, Recognizer
from pipeline.report.page import ReportInput, ShotView, Skip, write_report
from pipeline.scoring import Scores, judge_session, plan_rule, score_session
from pipeline.statistics import Judgement

Texture = NDArray[np.uint8]
