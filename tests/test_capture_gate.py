"""The gate on pictures of the simulated camera: what is wrong with each is what it says, and what it measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sessions import begin
from test_capture_sim import draw_sheet as print_sheet

from calibration.tags import Window
from capture.cameras.sim import SimCamera, parse_sim_uri
from capture.frame import Frame
from capture.gate import SheetGate
from capture.journal import Measured, RetryEvent, SkipEvent
from capture.live.preview import Preview
from capture.localize import localize
from capture.plan import Condition, Plan, Shot
from capture.quality import Limits, Verdict, judge, measure
from capture.rigs.base import StagedRig
from capture.runner import run_capture
from capture.session import read_session

URI = "sim:?width=960&height=640&seed=5"


class Lab:
    """A sheet before the simulated camera."""

    def __init__(self, folder: Path) -> None:
        self.sheet = print_sheet(folder)
        self.camera = SimCamera(parse_sim_uri(URI), folder)

    def shot(self, index: int = 0, **condition) -> Shot:
        where = Condition(**{"distance_mm": 600.0, **condition})
        return Shot(index=index, arm="noise", sheet=self.sheet.id, condition=where)

    def see(self, shot: Shot | None = None) -> Frame:
        self.camera.stage(shot or self.shot(), self.sheet)
        return self.camera.read()

    def look(self, frame: Frame, limits: Limits | None = None) -> Verdict:
        return SheetGate([self.sheet], None, limits)(frame, self.shot())

    def without_tags(self, frame: Frame, count: int) -> Frame:
        """A hand over so many of the sheet's tags."""
        pixels = frame.pixels.copy()
        found = localize(pixels, [self.sheet])
        for tag in self.sheet.tags[:count]:
            window = Window.around(found.to_image(tag.square.corners_mm), 0, pixels.shape)
            window.of(pixels)[:] = (200, 150, 120)
        return replace(frame, pixels=pixels)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("sheets"))


ACCEPTED = {
    "near": {},
    "dim": {"light": "dim"},
    "aslant": {"yaw_deg": 60.0, "pitch_deg": 20.0},
    "a little soft": {"extra": {"defocus_px": 3.0}},
    "a little motion": {"extra": {"motion_px": 5.0, "motion_deg": 30.0}},
    "far, small tags": {"distance_mm": 2500.0},
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_can_be_used_is_taken(case: str, lab: Lab) -> None:
    verdict = lab.look(lab.see(lab.shot(**ACCEPTED[case])))
    assert (verdict.ok, verdict.reason) == (True, "")
    assert verdict.measured is not None
    assert verdict.measured.tags == 4
    assert verdict.measured.corrected_bits == 0


BLURRED = {
    "out of focus": ({"distance_mm": 450.0, "extra": {"defocus_px": 6.5}}, "blur of", "blur_px"),
    "moving": ({"distance_mm": 450.0, "extra": {"motion_px": 12.0, "motion_deg": 0.0}}, "motion of", "motion_px"),
    "slanting": ({"distance_mm": 450.0, "extra": {"motion_px": 12.0, "motion_deg": 45.0}}, "motion of", "motion_px"),
    "too far": ({"distance_mm": 2700.0, "yaw_deg": 37.0}, "at least 10 px asked", "min_side_px"),
}


@pytest.mark.parametrize("case", BLURRED)
def test_a_condition_that_is_too_much_is_refused_until_its_limit_is_off(case: str, lab: Lab) -> None:
    condition, words, limit = BLURRED[case]
    frame = lab.see(lab.shot(**condition))
    verdict = lab.look(frame)
    assert not verdict.ok
    assert words in verdict.reason
    assert "\n" not in verdict.reason
    assert lab.look(frame, replace(Limits(), **{limit: None})).ok


def test_blur_and_motion_are_measured_where_the_edges_are_in_doubt(lab: Lab) -> None:
    sharp, soft, moved = (
        lab.look(lab.see(lab.shot(distance_mm=450.0, extra=extra))).measured
        for extra in ({}, {"defocus_px": 5.0}, {"motion_px": 8.0, "motion_deg": 20.0})
    )
    assert sharp.edge_px < 0.8
    assert (sharp.blur_px, sharp.motion_px) == (None, None)
    assert soft.edge_px > Limits().doubt_px
    assert soft.blur_px == pytest.approx(2.5, rel=0.2)
    assert moved.motion_px == pytest.approx(8, rel=0.2)


def darkened(frame: Frame, lab: Lab) -> Frame:
    return replace(frame, pixels=np.round(frame.pixels * 0.08).astype(np.uint8))


def overexposed(frame: Frame, lab: Lab) -> Frame:
    found = localize(frame.pixels, [lab.sheet])
    (left, top), (right, bottom) = found.to_image(lab.sheet.frame.corners_mm[[0, 2]]).astype(int)
    pixels = frame.pixels.copy()
    pixels[top:bottom, left : (left + 3 * right) // 4] = 255
    return replace(frame, pixels=pixels)


SPOILED = {
    "dark": (darkened, "decision margin", "min_margin"),
    "clipped": (overexposed, "clipped to black or white", "clipped_share"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_spoiled_picture_is_refused_until_its_limit_is_off(case: str, lab: Lab) -> None:
    spoil, words, limit = SPOILED[case]
    frame = spoil(lab.see(), lab)
    verdict = lab.look(frame)
    assert words in verdict.reason
    assert lab.look(frame, replace(Limits(), **{limit: None})).ok


@pytest.mark.parametrize(("covered", "ok"), [(0, True), (2, True), (3, False), (4, False)])
def test_two_tags_are_enough(covered: int, ok: bool, lab: Lab) -> None:
    verdict = lab.look(lab.without_tags(lab.see(), covered))
    assert verdict.ok is ok
    assert verdict.measured.tags == (4 - covered if ok else verdict.measured.tags)
    assert ok or "tag" in verdict.reason


def test_another_sheet_than_the_shot_wants(lab: Lab) -> None:
    gate = SheetGate([lab.sheet, lab.sheet.model_copy(update={"id": "other", "tags": lab.sheet.tags[:0]})])
    verdict = gate(lab.see(), lab.shot().model_copy(update={"sheet": "other"}))
    assert verdict.reason == f"the picture shows the sheet {lab.sheet.id}, not other"
    assert verdict.measured.tags == 4


def test_the_same_picture_once_more_is_a_duplicate(lab: Lab) -> None:
    frame = lab.see()
    one_pixel = frame.pixels.copy()
    one_pixel[5, 5] ^= 1
    for limits, expected in ((Limits(), [True, False, True, True]), (Limits(duplicates=True), [True] * 4)):
        gate = SheetGate([lab.sheet], None, limits)
        looks = [frame, replace(frame, pixels=frame.pixels.copy()), replace(frame, pixels=one_pixel), frame]
        verdicts = [gate(look, lab.shot(index)) for index, look in enumerate(looks)]
        assert [verdict.ok for verdict in verdicts] == expected
    encoded = [replace(frame, encoded=data) for data in (b"a", b"b", b"b")]
    gate = SheetGate([lab.sheet])
    assert [gate(look, None).reason for look in encoded] == [
        "",
        "",
        "the same picture as the one before, byte for byte",
    ]


def test_two_looks_in_a_row_must_agree_when_asked(lab: Lab) -> None:
    there, here = lab.shot(), lab.shot(yaw_deg=1.5)
    gate = SheetGate([lab.sheet], None, Limits(still_px=1.0))
    looks = [lab.see(here), lab.see(there), lab.camera.read(), lab.see(there)]
    first, swinging, still, next_shot = (
        gate(look, shot) for look, shot in zip(looks, [there, there, there, lab.shot(1)], strict=True)
    )
    assert "the first look at this shot" in first.reason
    assert "the sheet moved" in swinging.reason
    assert swinging.measured.moved_px > 1
    assert still.ok
    assert still.measured.moved_px < 0.3
    assert "the first look" in next_shot.reason


def test_small_tags_are_held_to_a_smaller_residual(lab: Lab) -> None:
    far = lab.see(lab.shot(distance_mm=2800.0)).pixels
    found = replace(localize(far, [lab.sheet], None, lab.sheet), residual_px=1.6)
    near = replace(localize(lab.see().pixels, [lab.sheet]), residual_px=1.6)
    assert "residual 1.60 px, at most 1.2 px asked" in judge(far, found, Limits()).reason
    assert judge(far, found, Limits(residual_share=None)).ok
    assert judge(lab.see().pixels, near, Limits()).ok


def test_corrected_bits_are_counted_over_all_tags(lab: Lab) -> None:
    pixels = lab.see().pixels
    found = localize(pixels, [lab.sheet])
    found = replace(found, tags=tuple(replace(tag, hamming=1) for tag in found.tags))
    assert judge(pixels, found, Limits()).ok
    assert judge(pixels, found, Limits(corrected_bits=4)).ok
    refused = judge(pixels, found, Limits(corrected_bits=0))
    assert refused.reason == "4 bits of the tags corrected, at most 0 accepted"


def test_all_limits_off_takes_what_was_localized(lab: Lab) -> None:
    off = Limits(None, None, None, None, None, None, None, None, None, None, duplicates=True)
    frame = overexposed(darkened(lab.see(), lab), lab)
    assert not lab.look(frame).ok
    assert lab.look(frame, off).ok
    assert off.doubt_px == np.inf


def test_nothing_is_measured_of_an_empty_scene(lab: Lab) -> None:
    empty = np.full((640, 960, 3), 90, np.uint8)
    assert measure(empty, localize(empty, [lab.sheet]), Limits()) == Measured(tags=0)


def test_what_the_gate_found_is_there_for_others(lab: Lab) -> None:
    gate = SheetGate([lab.sheet])
    assert gate.localization is None
    shot = lab.shot()
    lab.camera.stage(shot, lab.sheet)
    seen = lab.camera.read()
    gate(seen, shot)
    with Preview().running() as preview:
        preview.show(seen, gate.localization)
        preview.locate_with(pytest.fail)
        assert preview.newer(0, 30)
        assert (preview.sight.found, preview.sight.arm, preview.sight.tags) == (True, lab.sheet.arm, 4)


def test_the_journal_keeps_what_was_measured_with_every_look(lab: Lab, tmp_path: Path) -> None:
    shots = [lab.shot(), lab.shot(1, distance_mm=450.0, extra={"motion_px": 12.0, "motion_deg": 0.0})]
    plan = Plan(seed=1, target="disk", primary_arm="noise", shots=tuple(shots))
    with begin(tmp_path, plan, camera=lab.camera.identity) as writer:
        outcome = run_capture(
            plan=plan,
            sheets={lab.sheet.id: lab.sheet},
            camera=lab.camera,
            rig=StagedRig(lab.camera),
            session=writer,
            gate=SheetGate([lab.sheet]),
            retakes=1,
        )
    assert (outcome.frames, outcome.skipped) == (1, 1)
    session = read_session(outcome.session)
    refused = [event for event in session.events() if isinstance(event, RetryEvent | SkipEvent)]
    assert [event.kind for event in refused] == ["retry", "skip"]
    assert all(event.measured.motion_px > 10 for event in refused)
    taken = session.frames[0].verdict
    assert taken.ok
    assert (taken.measured.tags, taken.measured.clipped_share) == (4, 0)
    assert min(taken.measured.side_px, taken.measured.margin) > 30
