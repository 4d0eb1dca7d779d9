"""The engine: neither threads nor memory limits nor interruptions change an answer; what is bad costs only itself."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from colors import COLORS, color_recognizer, plain

from calibration.errors import BadModel, SessionLocked
from calibration.files import read_json, sha256_bytes, sha256_file, write_json
from pipeline.recognizers import Recognizer, load_recognizer, load_recognizers, zoo_folder
from pipeline.scoring.answering import Answerer
from pipeline.scoring.engine import CHUNK, Limits, fill, score
from pipeline.scoring.score import Line, Sample, Seen, Shown, Status, summarize
from pipeline.scoring.store import KeptAnswers, Page, locked

NAMES = list(COLORS)


def quiet(_: int) -> None:
    return


@dataclass
class Pictures:
    """Samples of plain colors with some texture; counts how often each was shown."""

    count: int
    truth: str | None = "red"
    views: tuple[tuple[str, int], ...] = (("natural", 0),)
    side: int = 8
    shown: Counter[str] = field(default_factory=Counter)

    def __iter__(self):
        return (self.sample(number) for number in range(self.count))

    def sample(self, number: int) -> Sample:
        name = f"{number:05d}"

        def show() -> list[Shown]:
            self.shown[name] += 1
            return [Shown(view, repeat, self.pixels(number + 7 * repeat)) for view, repeat in self.views]

        return Sample(name, sha256_bytes(name.encode()), "bare", self.truth, f"cell {number % 3}", name, show)

    def pixels(self, number: int) -> np.ndarray:
        pixels = plain(COLORS[NAMES[number % 3]], self.side + number % 5, self.side)
        pixels[::2, :, number % 3] -= number % 10
        return pixels


def texts(lines: Sequence[Line]) -> list[str]:
    return sorted(repr(line) for line in lines)


@pytest.fixture
def bench(tmp_path: Path) -> list[Recognizer]:
    """Three that take color for class; the second knows another size."""
    return [color_recognizer(tmp_path / "models", name) for name in ("one", "two", "three")]


# Threads, groups, memory


@pytest.fixture(scope="module")
def zoo() -> list[Recognizer]:
    return load_recognizers([zoo_folder()])[:2]


@pytest.mark.parametrize("workers", [2, 5])
def test_the_number_of_threads_changes_no_bit(workers: int, zoo: list[Recognizer]):
    pictures = Pictures(3 * CHUNK + 5, truth="stop", side=50)

    def lines(threads: int) -> list[Line]:
        return list(score(pictures, [Answerer(each, "cpu") for each in zoo], quiet, limits=Limits(workers=threads)))

    assert lines(workers) == lines(1)


@pytest.mark.parametrize("limits", [Limits(group_bytes=1), Limits(2, group_bytes=1, spool_bytes=3000)])
def test_recognizers_that_do_not_fit_together_take_turns(limits: Limits, bench: list[Recognizer], tmp_path: Path):
    """Every picture is decoded once all the same."""
    together, apart = Pictures(5 * CHUNK + 3), Pictures(5 * CHUNK + 3)
    assert filled(together, bench, tmp_path / "a", Limits()) == filled(apart, bench, tmp_path / "b", limits)
    assert set(apart.shown.values()) == {1}


def filled(pictures: Pictures, bench: Sequence[Recognizer], folder: Path, limits: Limits, noises=()) -> list[bytes]:
    """Score, gone on with where the files in ``folder`` end → the bytes of each recognizer's file."""
    return [path.read_bytes() for path in keep(pictures, bench, folder, limits, noises)]


def keep(pictures: Pictures, bench: Sequence[Recognizer], folder: Path, limits: Limits, noises=()) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{each.name}.jsonl" for each in bench]
    pages = [Page(Answerer(each, "cpu", noises), pictures.views, path) for each, path in zip(bench, paths, strict=True)]
    assert fill(pictures, pages, quiet, shown=pictures.views, limits=limits) == pictures.count
    for page in pages:
        page.finish()
        page.close()
    return paths


def test_memory_does_not_grow_with_the_number_of_pictures(bench: list[Recognizer], tmp_path: Path):
    class Uncounted(Pictures):
        def sample(self, number: int) -> Sample:
            return replace(super().sample(number), show=lambda: [Shown("natural", 0, self.pixels(number))])

    def peak(count: int) -> int:
        tracemalloc.start()
        keep(Uncounted(count), bench, tmp_path / str(count), Limits(workers=2))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2 * CHUNK)
    assert peak(2400) < peak(240) + 500_000


def test_a_worker_holds_few_crops(bench: list[Recognizer]):
    held: list[int] = []

    class Counting(Answerer):
        def answers(self, part) -> list[Line]:
            held.append(len(part.items))
            return super().answers(part)

    # Each crop has some hundred bytes, and 48 once it is resized.
    counting = Counting(bench[0], "cpu", [Test("same", lambda seen, recognizer: seen.pixels)])
    lines = list(score(Pictures(20), [counting], quiet, limits=Limits(held_bytes=1000)))
    assert (len(lines), max(held)) == (40, 4)


# Kept, and gone on with


def test_more_pictures_cost_only_these(bench: list[Recognizer], tmp_path: Path):
    filled(Pictures(2 * CHUNK), bench, tmp_path / "kept", Limits())
    more = Pictures(3 * CHUNK + 2)
    assert filled(more, bench, tmp_path / "kept", Limits()) == filled(
        Pictures(3 * CHUNK + 2), bench, tmp_path / "new", Limits()
    )
    assert sorted(more.shown) == [f"{i:05d}" for i in range(2 * CHUNK, 3 * CHUNK + 2)]


def test_fewer_pictures_leave_nothing_behind(bench: list[Recognizer], tmp_path: Path):
    filled(Pictures(3 * CHUNK), bench, tmp_path / "kept", Limits())
    for count in (2 * CHUNK, CHUNK + 3):
        again = filled(Pictures(count), bench, tmp_path / "kept", Limits())
        assert again == filled(Pictures(count), bench, tmp_path / f"new {count}", Limits())


def test_one_more_recognizer_costs_only_that_one(bench: list[Recognizer], tmp_path: Path):
    filled(Pictures(40), bench[:2], tmp_path / "kept", Limits())
    before = (tmp_path / "kept" / "one.jsonl").stat().st_mtime_ns
    asked: list[str] = []
    original = Answerer.answers

    def counting(self: Answerer, part) -> list[Line]:
        asked.append(self.recognizer.name)
        return original(self, part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Answerer, "answers", counting)
        found = filled(Pictures(40), bench, tmp_path / "kept", Limits())
    assert set(asked) == {"three"}
    assert found == filled(Pictures(40), bench, tmp_path / "new", Limits())
    assert (tmp_path / "kept" / "one.jsonl").stat().st_mtime_ns == before


def test_nothing_new_shows_nothing(bench: list[Recognizer], tmp_path: Path):
    filled(Pictures(20), bench, tmp_path, Limits())
    again = Pictures(20)
    filled(again, bench, tmp_path, Limits())
    assert not again.shown


def test_another_picture_under_the_same_name_is_scored_again(bench: list[Recognizer], tmp_path: Path):
    filled(Pictures(3 * CHUNK), bench[:1], tmp_path / "kept", Limits())

    class Changed(Pictures):
        def sample(self, number: int) -> Sample:
            found = super().sample(number)
            return replace(found, sha256="0" * 64) if number == CHUNK + 1 else found

    changed = Changed(3 * CHUNK)
    (data,) = filled(changed, bench[:1], tmp_path / "kept", Limits())
    assert sorted(changed.shown)[0] == f"{CHUNK:05d}"
    assert [json.loads(line)["sha256"] for line in data.splitlines()].count("0" * 64) == 1


def test_one_writer_at_a_time(tmp_path: Path):
    with (
        locked(tmp_path / "scores"),
        pytest.raises(SessionLocked, match="scores is being written"),
        locked(tmp_path / "scores"),
    ):
        pass
    with locked(tmp_path / "scores"):
        assert list((tmp_path / "scores").iterdir()) == []


def test_kept_answers_are_a_sequence(bench: list[Recognizer], tmp_path: Path):
    filled(Pictures(20), bench[:2], tmp_path, Limits())
    kept = KeptAnswers((tmp_path / "one.jsonl", tmp_path / "two.jsonl"))
    assert (len(kept), kept[0].sample, kept[-1].model, len(kept[3:5])) == (40, "00000", "two", 2)
    assert {row.n for row in summarize(kept)} == {20}


# What is bad costs only itself


def truncated(recognizer: Recognizer) -> None:
    recognizer.onnx.write_bytes(recognizer.onnx.read_bytes()[:-20])


def removed(recognizer: Recognizer) -> None:
    recognizer.onnx.unlink()


def torn_and_declared(recognizer: Recognizer) -> None:
    truncated(recognizer)
    changed(recognizer, sha256=sha256_file(recognizer.onnx))


def untrue(recognizer: Recognizer) -> None:
    changed(recognizer, mean=[0.5, 0.5, 0.5])


def other_classes(recognizer: Recognizer) -> None:
    changed(recognizer, labels=["red", "green", "blue", "violet"], self_test=None)


def throwing(recognizer: Recognizer) -> None:
    changed(recognizer, input_name="photograph", self_test=None)


def changed(recognizer: Recognizer, **values: object) -> None:
    path = recognizer.folder / f"{recognizer.name}.json"
    write_json(path, {**read_json(path), **values})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, "sha256"),
        (removed, "cannot read two.onnx"),
        (torn_and_declared, "ONNX"),
        (untrue, "self-test"),
        (other_classes, "gives 3 scores, labels name 4"),
        (throwing, "cannot be run"),
    ],
)
def test_a_recognizer_that_cannot_answer_costs_its_own_answers(
    spoil: Callable[[Recognizer], None], reason: str, bench: list[Recognizer], tmp_path: Path
):
    spoil(bench[1])
    again = [load_recognizer(each.folder / f"{each.name}.json") for each in bench]
    lines = list(score(Pictures(20), [Answerer(each, "cpu") for each in again], quiet))
    assert Counter((line.model, line.status) for line in lines) == {
        ("one", "scored"): 20,
        ("two", "failed"): 20,
        ("three", "scored"): 20,
    }
    assert all(reason in line.reason for line in lines if line.model == "two")


def test_every_picture_that_was_asked_for_has_a_line_whatever_is_shown(bench: list[Recognizer]):
    wanted = (("natural", 0), ("natural", 1), ("object", 0))
    crops = {
        "whole": [Shown("natural", 0, plain(COLORS["red"])), Shown("natural", 1, plain(COLORS["blue"]))],
        "lost": [Shown("natural", 0, ("missed", "no tag"))],
        "empty": [Shown("natural", 0, np.zeros((0, 4, 3), np.uint8))],
    }
    samples = [Sample(name, name, "bare", "red", "cell", name, lambda s=s: s) for name, s in crops.items()]
    lines = list(score(samples, [Answerer(bench[0], "cpu")], quiet, shown=wanted))
    assert [(line.sample, line.view, line.repeat) for line in lines] == [
        (name, *each) for name in crops for each in wanted
    ]
    statuses = [line.status for line in lines]
    assert statuses == ["scored", "scored", "failed", "missed", "missed", "missed", "failed", "failed", "failed"]
    assert {row.view: row.n for row in summarize(lines)} == {"natural": 3, "object": 3}, "jitters are not counted"


# What is kept of an answer


def test_what_was_said_is_kept_with_how_sure_it_was(bench: list[Recognizer]):
    sample = Pictures(1).sample(0)
    (line,) = score([replace(sample, truth="green")], [Answerer(bench[0], "cpu")], quiet)
    shares = [share for _, share in line.top]
    assert (line.predicted, line.correct, line.top[0][0]) == ("red", False, "red")
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)
    assert line.probability == shares[0]
    assert line.true_probability == dict(line.top)["green"]
    assert line.margin == pytest.approx(line.true_probability - line.probability)
    assert line.entropy == pytest.approx(-sum(share * np.log2(share) for share in shares))
    assert (line.sha256, line.cluster) == (sample.sha256, sample.cluster)


# Noises


@dataclass(frozen=True)
class Test:
    """A noise of a test: what it makes of a picture, and for whom it was prepared."""

    name: str
    make: Callable[[Seen, Recognizer], object]
    severity: int = 0
    prepared: list[str] = field(default_factory=list)
    __test__ = False

    @property
    def key(self) -> str:
        return self.name

    def on(self, recognizer: Recognizer):
        self.prepared.append(recognizer.name)
        if self.name == "unprepared":
            raise BadModel(f"no network for {recognizer.name}")
        return lambda pictures: [self.make(each, recognizer) for each in pictures]


def floats(seen: Seen, recognizer: Recognizer) -> np.ndarray:
    contract = recognizer.contract
    return np.full((contract.height, contract.width, 3), np.array(COLORS["green"]) / 255, np.float32)


NOISES = (
    Test("blue", lambda seen, recognizer: plain(COLORS["blue"], 30, 50), severity=4),
    Test("float", floats),
    Test("picky", lambda seen, recognizer: ("not-applicable", "too small") if seen.name == "00003" else seen.pixels),
    Test("unprepared", lambda seen, recognizer: seen.pixels),
)


def test_noises_stand_between_picture_and_recognizer(bench: list[Recognizer]):
    answerers = [Answerer(each, "cpu", NOISES) for each in bench[:2]]
    lines = list(score(Pictures(2 * CHUNK), answerers, quiet, limits=Limits(workers=2)))
    assert [(line.noise, line.severity) for line in lines[:5]] == [
        ("none", 0),
        ("blue", 4),
        ("float", 0),
        ("picky", 0),
        ("unprepared", 0),
    ]
    assert {line.predicted for line in lines if line.noise == "blue"} == {"blue"}
    assert {line.predicted for line in lines if line.noise == "float"} == {"green"}
    picky = {line.sample: (line.status, line.reason) for line in lines if line.noise == "picky"}
    assert picky["00003"] == ("not-applicable", "too small")
    assert Counter(status for status, _ in picky.values()) == {"scored": 2 * CHUNK - 1, "not-applicable": 1}
    assert {(line.status, line.reason) for line in lines if line.noise == "unprepared" and line.model == "one"} == {
        ("failed", "unprepared: no network for one")
    }
    assert all(sorted(each.prepared) == ["one", "two"] for each in NOISES)
    rows = summarize(lines)
    assert [(row.noise, row.severity) for row in rows if row.model == "one"] == [
        ("none", 0),
        ("blue", 4),
        ("float", 0),
        ("picky", 0),
        ("unprepared", 0),
    ]


def test_what_shows_nothing_is_not_noised(bench: list[Recognizer]):
    seen: list[str] = []
    noise = Test("seen", lambda each, recognizer: seen.append((each.name, each.truth)) or each.pixels)
    crops: dict[str, np.ndarray | tuple[Status, str]] = {"there": plain(COLORS["red"]), "gone": ("missed", "no tag")}
    samples = [Sample(n, n, "bare", "0", "c", n, lambda c=c: [Shown("natural", 0, c)]) for n, c in crops.items()]
    samples.append(Sample("yeti", "yeti", "bare", "yeti", "c", "yeti", lambda: [Shown("natural", 0, plain((1, 2, 3)))]))
    lines = list(score(samples, [Answerer(bench[0], "cpu", [noise])], quiet))
    assert seen == [("there", "red")]
    assert [line.status for line in lines if line.noise == "seen"] == ["scored", "missed", "not-applicable"]
