"""How fast scoring is, from files on disk to lines on disk, beside the bare networks and the bare decoder.

The ideal is what nobody can do without: reading and decoding each picture once, and ``session.run`` of each network on
tensors that are there already, with as many threads. Both take turns in one run: machines that others use, too, change
from minute to minute, ratios less so.
"""

from __future__ import annotations

import io
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from calibration.contract import to_tensor
from pipeline.answering import Answerer
from pipeline.capture_bench import resident_mb
from pipeline.engine import CHUNK, Limits, cores, fill
from pipeline.recognizers import Recognizer, Runner, load_recognizers, open_session, zoo_folder
from pipeline.result import Result
from pipeline.score import Sample
from pipeline.score_store import Page
from pipeline.scoring import score_folder
from pipeline.sources import Folder, list_folder

LABEL = "stop"
SIZE_PX = (640, 480)
"""The smallest pictures that cameras take, width and height: the larger ones are, the more of the time is decoding."""

SMALL_PX = (192, 192)
"""Photographs of signs that somebody has cut out: next to nothing to decode."""

QUALITY = 90
WINDOW = 100
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """Pictures in a turn, turns, and pictures in the one long run."""

    pictures: int
    turns: int
    long: int


QUICK = Effort(pictures=400, turns=2, long=1000)
FULL = Effort(pictures=2000, turns=7, long=100_000)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds on the clock, and of all threads on the processor."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Pair:
    """The same pictures by the ideal and by scoring."""

    ideal: Spent
    scored: Spent


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: ideal and scoring, of small pictures, too; only loading (one picture); one recognizer added to the
    others; nothing new.
    """

    usual: Pair
    small: Pair
    loaded: Spent
    added: Spent
    again: Spent


@dataclass(frozen=True, slots=True)
class LongRun:
    """Milliseconds for each picture, and resident memory in MB, in tenths of one run over many pictures.

    ``first``: milliseconds for each of the first hundred, loading aside.
    """

    pictures: int
    first_ms: float
    ms: tuple[float, ...]
    rss_mb: tuple[float, ...]

    @property
    def last_to_first(self) -> float:
        """Time for a picture of the last tenth over that of the first hundred."""
        return self.ms[-1] / self.first_ms

    @property
    def rss_growth_mb(self) -> float:
        """From the end of the first tenth to the end of the run."""
        return self.rss_mb[-1] - self.rss_mb[0]


@dataclass(frozen=True, slots=True)
class ScoreSpeed:
    """All turns, and the long run."""

    turns: tuple[Turn, ...]
    long: LongRun
    effort: Effort
    workers: int
    recognizers: tuple[str, ...]

    def median(self, of: Callable[[Turn], float]) -> float:
        """The median over the turns."""
        return statistics.median(map(of, self.turns))


def bench_score(effort: Effort, *, workers: int | None, seed: int, progress: Progress) -> ScoreSpeed:
    """Turns of ideal and real on the zoo's recognizers, then one long run; all in a temporary folder."""
    recognizers = load_recognizers([zoo_folder()])
    limits = Limits(workers=workers or cores())
    with tempfile.TemporaryDirectory(prefix="dpcam-bench-") as name:
        usual, small = (
            Course(make_pictures(Path(name) / f"{size[0]}", effort.pictures, size, seed), recognizers, limits)
            for size in (SIZE_PX, SMALL_PX)
        )
        _turn(usual, small, Path(name) / "out")
        turns = []
        for number in range(effort.turns):
            turns.append(_turn(usual, small, Path(name) / "out"))
            progress((number + 1) / (effort.turns + 1), f"turn {number + 1}")
        long = long_run(usual.folder, recognizers, Path(name) / "long", effort.long, limits)
    return ScoreSpeed(tuple(turns), long, effort, limits.workers, tuple(each.name for each in recognizers))


def make_pictures(folder: Path, count: int, size_px: tuple[int, int], seed: int) -> Folder:
    """So many JPEGs of smooth color with a camera's noise on it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    width, height = size_px
    for number in range(count):
        coarse = random.integers(0, 256, (height // 24, width // 24, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(size_px, Image.Resampling.BICUBIC), dtype=np.float32)
        noisy = smooth + random.normal(0, 4, (height, width, 1)).astype(np.float32)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:06d}.jpg", quality=QUALITY)
    return list_folder(folder, class_from_folder=False, label=LABEL)


class Course:
    """Pictures of a size, the recognizers, and all that the ideal has ready before the clock starts."""

    def __init__(self, folder: Folder, recognizers: Sequence[Recognizer], limits: Limits) -> None:
        """Load the networks and prepare their tensors, in the batches that scoring makes."""
        self.folder = folder
        self.recognizers = recognizers
        self._limits = limits
        self._runners = [open_session(each) for each in recognizers]
        self._chunks = [folder.files[start : start + CHUNK] for start in range(0, len(folder.files), CHUNK)]
        self._tensors = [[_tensor(runner, chunk) for runner in self._runners] for chunk in self._chunks]

    def pair(self, out: Path) -> Pair:
        """One after the other."""
        return Pair(_spent(self.ideal), _spent(lambda: self.score(self.recognizers, out)))

    def score(self, which: Sequence[Recognizer], out: Path, pictures: int | None = None) -> None:
        """Score the first so many, or all."""
        folder = replace(self.folder, files=self.folder.files[:pictures])
        score_folder(folder, which, "cpu", out, lambda done: None, limits=self._limits)

    def ideal(self) -> None:
        """Read and decode every file, run every network: what nobody can do without."""
        with ThreadPoolExecutor(self._limits.workers) as pool:
            for _ in pool.map(self._chunk, range(len(self._chunks))):
                pass

    def _chunk(self, number: int) -> None:
        for path in self._chunks[number]:
            _decoded(path)
        for runner, tensor in zip(self._runners, self._tensors[number], strict=True):
            runner.session.run(None, {runner.contract.input_name: tensor})


def long_run(folder: Folder, recognizers: Sequence[Recognizer], out: Path, count: int, limits: Limits) -> LongRun:
    """Score ``count`` pictures, the same files again and again under other names."""
    out.mkdir()
    times: dict[int, float] = {}
    rss: dict[int, float] = {}

    def tell(done: int) -> None:
        times[done], rss[done] = time.perf_counter(), resident_mb()

    with ExitStack() as stack:
        pages = [Page(Answerer(each, "cpu"), (("natural", 0),), out / f"{each.name}.jsonl") for each in recognizers]
        for page in pages:
            stack.callback(page.close)
        fill(_repeated(folder, count), pages, tell, limits=limits)
    marks = sorted(times)
    # The first chunks wait for the networks to be loaded.
    begin = marks[2 * limits.workers]
    first = next(mark for mark in marks if mark >= min(begin + WINDOW, marks[-1]))
    tenths = [marks[round(i * (len(marks) - 1) / 10)] for i in range(11)]
    tenths[0] = begin
    return LongRun(
        pictures=count,
        first_ms=1000 * (times[first] - times[begin]) / (first - begin),
        ms=tuple(1000 * (times[b] - times[a]) / (b - a) for a, b in pairwise(tenths)),
        rss_mb=tuple(rss[mark] for mark in tenths[1:]),
    )


def _repeated(folder: Folder, count: int) -> Iterator[Sample]:
    number = 0
    while True:
        for sample in folder.samples():
            if number == count:
                return
            yield replace(sample, name=f"{number:07d}", cell=f"{number:07d}", cluster=f"{number:07d}")
            number += 1


def _turn(usual: Course, small: Course, out: Path) -> Turn:
    """One after the other, never at the same time; what was written is removed before the next."""
    recognizers = usual.recognizers
    pair, small_pair = usual.pair(out / "all"), small.pair(out / "small")
    loaded = _spent(lambda: usual.score(recognizers, out / "one", 1))
    usual.score(recognizers[:-1], out / "others")
    added = _spent(lambda: usual.score(recognizers, out / "others"))
    again = _spent(lambda: usual.score(recognizers, out / "all"))
    shutil.rmtree(out)
    return Turn(pair, small_pair, loaded, added, again)


def _spent(work: Callable[[], None]) -> Spent:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def _tensor(runner: Runner, chunk: Sequence[Path]) -> np.ndarray:
    return to_tensor(runner.sized([_decoded(path) for path in chunk]), runner.contract)


def _decoded(path: Path) -> np.ndarray:
    """A file of ours as pixels, the shortest way that the library has."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.asarray(image)


def score_result(speed: ScoreSpeed) -> Result:
    """The answer of the command."""
    usual, small = (_of(speed, kind) for kind in ("usual", "small"))
    added = speed.median(lambda turn: turn.added.wall_s / turn.usual.scored.wall_s)
    again = speed.median(lambda turn: turn.again.wall_s / turn.usual.scored.wall_s)
    long = speed.long
    return Result(
        data={
            **usual,
            "small": small,
            "loading_s": speed.median(lambda turn: turn.loaded.wall_s),
            "added_share": added,
            "again_share": again,
            "long": {**asdict(long), "last_to_first": long.last_to_first, "rss_growth_mb": long.rss_growth_mb},
            "pictures": speed.effort.pictures,
            "turns": len(speed.turns),
            "workers": speed.workers,
            "recognizers": list(speed.recognizers),
        },
        lines=[
            f"{len(speed.recognizers)} recognizers on {speed.workers} threads, {len(speed.turns)} turns of "
            f"{speed.effort.pictures} files",
            _line(usual),
            _line(small),
            f"one recognizer added: {100 * added:.0f} % of the time for all, nothing new: {100 * again:.0f} %",
            f"{long.pictures} pictures: {long.first_ms:.2f} ms each for the first hundred, {long.ms[-1]:.2f} ms in the "
            f"last tenth; memory grew by {long.rss_growth_mb:.1f} MB",
        ],
    )


def _of(speed: ScoreSpeed, kind: Literal["usual", "small"]) -> dict[str, Any]:
    """Rates and ratios of one size of pictures; ``without_loading``: processor time, less that of one picture."""

    def median(of: Callable[[Pair, Turn], float]) -> float:
        return speed.median(lambda turn: of(turn.usual if kind == "usual" else turn.small, turn))

    count = speed.effort.pictures
    return {
        "ratio_to_ideal": median(lambda pair, _: pair.ideal.wall_s / pair.scored.wall_s),
        "images_per_s": count / median(lambda pair, _: pair.scored.wall_s),
        "ideal_images_per_s": count / median(lambda pair, _: pair.ideal.wall_s),
        "cpu_ratio_to_ideal": median(lambda pair, _: pair.ideal.cpu_s / pair.scored.cpu_s),
        "cpu_ratio_without_loading": median(
            lambda pair, turn: pair.ideal.cpu_s / (pair.scored.cpu_s - turn.loaded.cpu_s)
        ),
        "size_px": list(SIZE_PX if kind == "usual" else SMALL_PX),
    }


def _line(found: dict[str, Any]) -> str:
    width, height = found["size_px"]
    return (
        f"{width}x{height}: {found['images_per_s']:.0f} pictures/s, {100 * found['ratio_to_ideal']:.0f} % of the ideal "
        f"({100 * found['cpu_ratio_to_ideal']:.0f} % by processor time, "
        f"{100 * found['cpu_ratio_without_loading']:.0f} % without loading)"
    )
