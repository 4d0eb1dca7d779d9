"""German traffic signs, drawn by code as SVG.

They follow the official geometric designs (StVO, public domain), in units of which a sign is 600 wide. No photograph
went into them, and none of them went into the training of the recognizers: each is a real test of the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calibration.sheet import Outline

RED, BLUE, YELLOW, GREEN = "#b81d24", "#0b4ea2", "#f7b500", "#0a7f5a"
WHITE, BLACK = "#ffffff", "#111111"
WIDTH = 600.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sign:
    """A drawing: outline, height (its width is ``WIDTH``), and its SVG elements from back to front."""

    outline: Outline
    height: float
    body: tuple[str, ...]

    @property
    def svg(self) -> str:
        """The whole SVG document."""
        size = f'width="{WIDTH:g}" height="{self.height:g}" viewBox="0 0 {WIDTH:g} {self.height:g}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(self.body)}</svg>'


# ---- Elements


def disc(radius: float, color: str, x: float = 300, y: float = 300) -> str:
    """A filled circle, in the middle of a round sign by default."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{color}"/>'


def bar(x: float, y: float, width: float, height: float, color: str) -> str:
    """A filled upright rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{color}"/>'


def polygon(points: Sequence[Point], color: str, rounding: float = 0) -> str:
    """A filled polygon; ``rounding`` lets it grow by that much, with round corners of that radius."""
    listed = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    grown = f' stroke="{color}" stroke-width="{2 * rounding:g}" stroke-linejoin="round"' if rounding else ""
    return f'<polygon points="{listed}" fill="{color}"{grown}/>'


def stroke(path: str, width: float, color: str) -> str:
    """A line along an SVG path."""
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width:g}" stroke-linejoin="miter"/>'


def arrow(tail: Point, tip: Point, shaft: float, head: float) -> list[Point]:
    """The outline of a straight arrow: ``shaft`` its width, ``head`` half the width of its swept head."""
    length = math.dist(tail, tip)
    ux, uy = (tip[0] - tail[0]) / length, (tip[1] - tail[1]) / length
    half, barb = shaft / 2, shaft * 1.05
    # Along the arrow from its tip backwards, and to its side: the head's edges are 45 degrees steep.
    side = [(0.0, 0.0), (head, head), (head + barb, head), (half + barb, half), (length, half)]
    outline = side + [(along, -across) for along, across in reversed(side[1:])]
    return [(tip[0] - ux * along - uy * across, tip[1] - uy * along + ux * across) for along, across in outline]


# ---- Letters and digits in the manner of DIN 1451: the middle lines of their strokes, a digit being 100 x 100;
# as paths of absolute M, L, C and Z.

GLYPHS = {
    "0": "M0 29 C0 -9 100 -9 100 29 L100 71 C100 109 0 109 0 71 Z",
    "2": "M0 30 C0 -10 100 -10 100 27 C100 43 82 53 64 64 L5 100 L114 100",
    "3": "M-2 15 C14 -9 98 -8 98 23 C98 41 73 47 32 47 M32 47 C77 47 102 56 102 74 C102 109 14 111 -7 85",
    "5": "M98 0 L18 0 L11 44 C36 32 102 33 102 68 C102 106 18 112 -7 91",
    "6": "M80 -5 L14 48 C4 57 0 62 0 70 C0 110 100 110 100 70 C100 32 18 34 4 60",
    "7": "M0 0 L104 0 L40 107",
    "8": "M50 0 C-11 0 -11 47 50 47 C111 47 111 0 50 0 Z M50 47 C-20 47 -20 100 50 100 C120 100 120 47 50 47 Z",
    "S": "M98 22 C91 -7 2 -7 2 23 C2 50 100 44 100 76 C100 108 2 108 -2 77",
    "T": "M-9 0 L109 0 M50 0 L50 107",
    "O": "M0 29 C0 -9 100 -9 100 29 L100 71 C100 109 0 109 0 71 Z",
    "P": "M5 107 L5 0 L50 0 C118 0 118 56 50 56 L5 56",
}


@dataclass(frozen=True, slots=True)
class Lettering:
    """How a word is set, in units of the sign: a digit's height and width, the gap between two, the stroke."""

    height: float
    width: float
    gap: float
    weight: float
    color: str = BLACK


def word(text: str, style: Lettering) -> Iterator[str]:
    """The word, centered in a sign that is 600 high."""
    across, down = (style.width - style.weight) / 100, (style.height - style.weight) / 100
    step = style.width + style.gap
    left = 300 - (step * len(text) - style.gap) / 2
    for i, letter in enumerate(text):
        x, y = left + i * step + style.weight / 2, 300 - 50 * down
        yield stroke(moved(GLYPHS[letter], x, y, across, down), style.weight, style.color)


def moved(path: str, x: float, y: float, across: float, down: float) -> str:
    """A path of absolute points, scaled and then moved; its stroke keeps its width."""

    def point(found: re.Match[str]) -> str:
        return f"{x + float(found[1]) * across:.2f} {y + float(found[2]) * down:.2f}"

    return re.sub(r"(-?\d+) (-?\d+)", point, path)


# ---- Kinds of signs


def prohibition(*body: str) -> Sign:
    """A red ring."""
    return Sign("circle", WIDTH, (disc(300, WHITE), disc(290, RED), disc(216, WHITE), *body))


DIGITS = Lettering(height=256, width=150, gap=27, weight=39)


def speed_limit(number: int) -> Sign:
    """A number of two digits in a red ring."""
    return prohibition(*word(str(number), DIGITS))


CORNER = 34.0
"""Radius of a triangle's corners."""

TRIANGLE_HEIGHT = (300 - CORNER) * math.sqrt(3) + 2 * CORNER


def triangle(inset: float) -> list[Point]:
    """The corners' centers, pointing up, with the sides moved in by ``inset``."""
    side = 300 - CORNER - inset * math.sqrt(3)
    low, high = TRIANGLE_HEIGHT - CORNER - inset, CORNER + 2 * inset
    return [(300 - side, low), (300 + side, low), (300, high)]


def warning(*body: str) -> Sign:
    """A red triangle, pointing up."""
    rim = 10
    layers = (
        polygon(triangle(0), WHITE, CORNER),
        polygon(triangle(rim), RED, CORNER - rim / 2),
        polygon(triangle(30), WHITE, 6),
    )
    return Sign("triangle-up", TRIANGLE_HEIGHT, (*layers, *body))


def yield_sign() -> Sign:
    """The red triangle, pointing down."""

    def turned(inset: float) -> list[Point]:
        return [(x, TRIANGLE_HEIGHT - y) for x, y in triangle(inset)]

    layers = (
        polygon(turned(0), WHITE, CORNER),
        polygon(turned(10), RED, CORNER - 5),
        polygon(turned(36), WHITE, 2),
    )
    return Sign("triangle-down", TRIANGLE_HEIGHT, layers)


def mandatory(*body: str) -> Sign:
    """White on a blue disc."""
    return Sign("circle", WIDTH, (disc(300, WHITE), disc(288, BLUE), *body))


# ---- The single signs


def no_entry() -> Sign:
    """A white bar on a red disc."""
    return Sign("circle", WIDTH, (disc(300, WHITE), disc(291, RED), bar(70, 248, 460, 104, WHITE)))


def stop() -> Sign:
    """The red octagon and its word."""

    def octagon(apothem: float) -> list[Point]:
        reach = apothem / math.cos(math.pi / 8)
        angles = [math.pi / 8 + k * math.pi / 4 for k in range(8)]
        return [(300 + reach * math.cos(angle), 300 + reach * math.sin(angle)) for angle in angles]

    letters = word("STOP", Lettering(height=200, width=102, gap=16, weight=30, color=WHITE))
    return Sign("octagon", WIDTH, (polygon(octagon(300), WHITE), polygon(octagon(284), RED), *letters))


def priority_road() -> Sign:
    """The yellow diamond in a white one."""

    def diamond(reach: float) -> list[Point]:
        return [(300, 300 - reach), (300 + reach, 300), (300, 300 + reach), (300 - reach, 300)]

    corner = 20.0
    tip = 300 - corner * math.sqrt(2) + corner * (math.sqrt(2) - 1)
    layers = (
        polygon(diamond(tip), BLACK, corner),
        polygon(diamond(tip), WHITE, corner - 6),
        polygon(diamond(186), BLACK, 8),
        polygon(diamond(186), YELLOW, 2),
    )
    return Sign("diamond", WIDTH, layers)


def general_caution() -> Sign:
    """An exclamation mark in the red triangle."""
    mark = [(270, 172), (330, 172), (315, 362), (285, 362)]
    return warning(polygon(mark, BLACK, 4), disc(29, BLACK, y=412))


def traffic_signals() -> Sign:
    """Three lamps in the red triangle."""
    lamps = zip((218, 303, 388), (RED, YELLOW, GREEN), strict=True)
    return warning(*(disc(37, color, y=y) for y, color in lamps))


def right_of_way() -> Sign:
    """A broad arrow over a crossing lane, in the red triangle."""
    body = [(300, 168), (378, 252), (350, 252), (350, 438), (300, 398), (250, 438), (250, 252), (222, 252)]
    return warning(polygon(body, BLACK), bar(196, 312, 208, 34, BLACK))


SHAFT, HEAD = 76.0, 118.0


def turn(side: int) -> Sign:
    """Up, then to one side (+1 right, -1 left)."""
    x = 300 - side * 92
    bend = f"M{x:g} 492 L{x:g} 352 C{x:g} 262 {x + side * 40:g} 232 {x + side * 110:g} 232 L{x + side * 150:g} 232"
    head = arrow((x + side * 110, 232), (300 + side * 222, 232), SHAFT, HEAD)
    return mandatory(stroke(bend, SHAFT, WHITE), polygon(head, WHITE))


def straight_or(side: int) -> Sign:
    """Ahead, or to one side (+1 right, -1 left)."""
    x, shaft, head = 300 - side * 62, 66, 86
    ahead = arrow((x, 528), (x, 72), shaft, head)
    bend = f"M{x:g} 478 C{x:g} 380 {x + side * 60:g} 360 {x + side * 150:g} 360"
    aside = arrow((x + side * 130, 360), (300 + side * 216, 360), shaft, head)
    return mandatory(polygon(ahead, WHITE), stroke(bend, shaft, WHITE), polygon(aside, WHITE))


def roundabout() -> Sign:
    """Three arrows that chase each other against the clock."""

    def chaser(start_deg: float) -> Iterator[str]:
        def at(angle_deg: float, radius: float) -> Point:
            angle = math.radians(angle_deg)
            return 300 + radius * math.cos(angle), 300 - radius * math.sin(angle)

        (x0, y0), (x1, y1) = at(start_deg, 175), at(start_deg + 60, 175)
        yield stroke(f"M{x0:.1f} {y0:.1f} A175 175 0 0 0 {x1:.1f} {y1:.1f}", 44, WHITE)
        yield polygon([at(start_deg + 52, 247), at(start_deg + 92, 181), at(start_deg + 52, 103)], WHITE)

    return mandatory(*(part for start in (-20, 100, 220) for part in chaser(start)))


SIGNS: dict[str, Sign] = {
    **{f"speed-limit-{number}": speed_limit(number) for number in (20, 30, 50, 60, 70, 80)},
    "right-of-way": right_of_way(),
    "priority-road": priority_road(),
    "yield": yield_sign(),
    "stop": stop(),
    "no-entry": no_entry(),
    "general-caution": general_caution(),
    "traffic-signals": traffic_signals(),
    "turn-right-ahead": turn(1),
    "turn-left-ahead": turn(-1),
    "ahead-only": mandatory(polygon(arrow((300, 530), (300, 66), 84, 128), WHITE)),
    "straight-or-right": straight_or(1),
    "straight-or-left": straight_or(-1),
    "keep-right": mandatory(polygon(arrow((140, 140), (476, 476), 92, 140), WHITE)),
    "keep-left": mandatory(polygon(arrow((460, 140), (124, 476), 92, 140), WHITE)),
    "roundabout": roundabout(),
}
"""Label → drawing, in the order of the benchmark's classes."""
