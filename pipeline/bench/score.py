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
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from calibration.contract import to_tensor
from calibration.files import sha256_bytes, sha256_file
from capture.picture import decode_picture
from pipeline.bench.capture import resident_mb
from pipeline.recognizers import Recognizer, Runner, load_recognizers, open_session, zoo_folder
from pipeline.result import Result
from pipeline.scoring.answering import Answerer
from pipeline.scoring.engine import CHUNK, NATURAL, Limits, cores, fill
from pipeline.scoring.run import page_name
from pipeline.scoring.score import Pixels, Sample, Shown
from pipeline.scoring.store import Page

LABEL = "stop"
FRAME_PX = (1280, 720)
CROP_PX = 240
"""What a session holds: a camera's frames, width and height, in which a sticker takes a part of that side."""

SMALL_PX = (192, 192)
"""Photographs of signs that somebody has cut out, shown whole: next to nothing to decode."""

QUALITY = 90
WINDOW = 100
Progress = Callable[[float, str], None]
Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """Pictures in a turn, turns, and pictures in the one long run."""

    pictures: int
    turns: int
    long: int


QUICK = Effort(pictures=240, turns=2, long=1000)
FULL = Effort(pictures=1000, turns=7, long=100_000)


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
    """One turn: frames, small pictures; only loading (one frame), one recognizer added to the others, nothing new."""

    frames: Pair
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
        frames, small = (
            Course(make_pictures(Path(name) / kind, effort.pictures, size, seed), crop_px, recognizers, limits)
            for kind, size, crop_px in (("frames", FRAME_PX, CROP_PX), ("small", SMALL_PX, SMALL_PX[0]))
        )
        _turn(frames, small, Path(name) / "out")
        turns = []
        for number in range(effort.turns):
            turns.append(_turn(frames, small, Path(name) / "out"))
            progress((number + 1) / (effort.turns + 1), f"turn {number + 1}")
        long = long_run(small, Path(name) / "long", effort.long)
    return ScoreSpeed(tuple(turns), long, effort, limits.workers, tuple(each.name for each in recognizers))


def make_pictures(folder: Path, count: int, size_px: tuple[int, int], seed: int) -> list[Path]:
    """So many JPEGs of smooth color with a camera's noise on it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    width, height = size_px
    noise = random.normal(0, 4, (height, width, 1)).astype(np.float32)
    for number in range(count):
        coarse = random.integers(0, 256, (height // 24, width // 24, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize(size_px, Image.Resampling.BICUBIC), dtype=np.float32)
        noisy = (smooth + np.roll(noise, number, axis=1)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:06d}.jpg", quality=QUALITY)
    return sorted(folder.iterdir())


class Course:
    """Pictures of a size, the recognizers, and all that the ideal has ready before the clock starts."""

    def __init__(self, files: Sequence[Path], crop_px: int, recognizers: Sequence[Recognizer], limits: Limits) -> None:
        """Load the networks and prepare their tensors, in the batches that scoring makes."""
        self.recognizers = recognizers
        self.count = len(files)
        self._limits = limits
        self._crop_px = crop_px
        self._hashes = {path: sha256_file(path) for path in files}
        self._runners = [open_session(each) for each in recognizers]
        self._chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
        self._tensors = [[self._tensor(runner, chunk) for runner in self._runners] for chunk in self._chunks]

    def pair(self, out: Path) -> Pair:
        """One after the other."""
        return Pair(_spent(self.ideal), _spent(lambda: self.score(self.recognizers, out, self.count)))

    def score(self, which: Sequence[Recognizer], out: Path, count: int, tell: Tell = lambda done: None) -> None:
        """Score so many pictures, the same files again and again under other names, into files in ``out``."""
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            pages = [Page(Answerer(each, "cpu"), NATURAL, out / page_name(each)) for each in which]
            for page in pages:
                stack.callback(page.close)
            fill(self._samples(count), pages, tell, limits=self._limits)
            for page in pages:
                page.finish()

    def _samples(self, count: int) -> Iterator[Sample]:
        files = cycle(self._hashes.items())
        for number, (path, digest) in zip(range(count), files, strict=False):
            name = f"{number:07d}"
            yield Sample(name, digest, "bench", LABEL, name, name, partial(self._show, path, digest))

    def _show(self, path: Path, digest: str) -> list[Shown]:
        """As a frame of a session is shown: its bytes compared with what was recorded, decoded, cropped."""
        data = path.read_bytes()
        if sha256_bytes(data) != digest:
            return [Shown("natural", 0, ("failed", "other bytes than were recorded"))]
        return [Shown("natural", 0, self._crop(decode_picture(data, path.name, writable=False)))]

    def _crop(self, pixels: Pixels) -> Pixels:
        return np.ascontiguousarray(pixels[-self._crop_px :, -self._crop_px :])

    def _tensor(self, runner: Runner, chunk: Sequence[Path]) -> np.ndarray:
        return to_tensor(runner.sized([self._crop(_decoded(path)) for path in chunk]), runner.contract)

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


def long_run(course: Course, out: Path, count: int) -> LongRun:
    """Score ``count`` pictures with everything, and look at clock and memory after each chunk."""
    times: dict[int, float] = {}
    rss: dict[int, float] = {}

    def tell(done: int) -> None:
        times[done], rss[done] = time.perf_counter(), resident_mb()

    course.score(course.recognizers, out, count, tell)
    marks = sorted(times)
    # The first chunks wait for the networks to be loaded.
    begin = marks[4]
    first = next(mark for mark in marks if mark >= min(begin + WINDOW, marks[-1]))
    tenths = [marks[round(i * (len(marks) - 1) / 10)] for i in range(11)]
    tenths[0] = begin
    return LongRun(
        pictures=count,
        first_ms=1000 * (times[first] - times[begin]) / (first - begin),
        ms=tuple(1000 * (times[b] - times[a]) / (b - a) for a, b in pairwise(tenths)),
        rss_mb=tuple(rss[mark] for mark in tenths[1:]),
    )


def _turn(frames: Course, small: Course, out: Path) -> Turn:
    """One after the other, never at the same time; what was written is removed before the next."""
    recognizers = frames.recognizers
    pair, small_pair = frames.pair(out / "all"), small.pair(out / "small")
    loaded = _spent(lambda: frames.score(recognizers, out / "one", 1))
    frames.score(recognizers[:-1], out / "others", frames.count)
    added = _spent(lambda: frames.score(recognizers, out / "others", frames.count))
    again = _spent(lambda: frames.score(recognizers, out / "all", frames.count))
    shutil.rmtree(out)
    return Turn(pair, small_pair, loaded, added, again)


def _spent(work: Callable[[], None]) -> Spent:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def _decoded(path: Path) -> np.ndarray:
    """A file of ours as pixels, the shortest way that the library has."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.asarray(image)


def score_result(speed: ScoreSpeed) -> Result:
    """The answer of the command."""
    frames, small = (_of(speed, kind) for kind in ("frames", "small"))
    added = speed.median(lambda turn: turn.added.wall_s / turn.frames.scored.wall_s)
    again = speed.median(lambda turn: turn.again.wall_s / turn.frames.scored.wall_s)
    long = speed.long
    return Result(
        data={
            **frames,
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
            _line(frames),
            _line(small),
            f"one recognizer added: {100 * added:.0f} % of the time for all, nothing new: {100 * again:.0f} %",
            f"{long.pictures} pictures: {long.first_ms:.2f} ms each for the first hundred, {long.ms[-1]:.2f} ms in the "
            f"last tenth; memory grew by {long.rss_growth_mb:.1f} MB",
        ],
    )


def _of(speed: ScoreSpeed, kind: Literal["frames", "small"]) -> dict[str, Any]:
    """Rates and ratios of one size of pictures; ``without_loading``: processor time, less that of one picture."""

    def median(of: Callable[[Pair, Turn], float]) -> float:
        return speed.median(lambda turn: of(turn.frames if kind == "frames" else turn.small, turn))

    count = speed.effort.pictures
    return {
        "ratio_to_ideal": median(lambda pair, _: pair.ideal.wall_s / pair.scored.wall_s),
        "images_per_s": count / median(lambda pair, _: pair.scored.wall_s),
        "ideal_images_per_s": count / median(lambda pair, _: pair.ideal.wall_s),
        "cpu_ratio_to_ideal": median(lambda pair, _: pair.ideal.cpu_s / pair.scored.cpu_s),
        "cpu_ratio_without_loading": median(
            lambda pair, turn: pair.ideal.cpu_s / (pair.scored.cpu_s - turn.loaded.cpu_s)
        ),
        "size_px": list(FRAME_PX if kind == "frames" else SMALL_PX),
    }


def _line(found: dict[str, Any]) -> str:
    width, height = found["size_px"]
    return (
        f"{width}x{height}: {found['images_per_s']:.0f} pictures/s, {100 * found['ratio_to_ideal']:.0f} % of the ideal "
        f"({100 * found['cpu_ratio_to_ideal']:.0f} % by processor time, "
        f"{100 * found['cpu_ratio_without_loading']:.0f} % without loading)"
    )
