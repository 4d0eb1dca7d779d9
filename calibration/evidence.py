"""What a camera calibration was made from, kept with it: the board, and its corners in every picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath

import numpy as np
from pydantic import Field, model_validator

from calibration.board import Board, BoardSighting
from calibration.files import Document

DECIMALS = 4
"""Corners are kept to a ten-thousandth of a pixel: a thousandth of their noise."""


class SeenView(Document):
    """One picture: its name, corner ids of the board and where they are, px."""

    name: str
    ids: list[int]
    corners_px: list[tuple[float, float]]

    @model_validator(mode="after")
    def _one_place_for_each_id(self) -> SeenView:
        if len(self.ids) != len(self.corners_px):
            raise ValueError(f"{self.name} has {len(self.ids)} ids and {len(self.corners_px)} corners")
        return self


class Evidence(Document):
    """The board and the pictures in which it was seen."""

    board: Board
    views: list[SeenView] = Field(min_length=1)

    @model_validator(mode="after")
    def _corners_are_the_boards(self) -> Evidence:
        wrong = [i for view in self.views for i in view.ids if not 0 <= i < self.board.corners]
        if wrong:
            raise ValueError(f"the board has the corners 0 to {self.board.corners - 1}, not {wrong[0]}")
        return self

    def sightings(self, width: int, height: int) -> dict[str, BoardSighting]:
        """The views by name, as they were when they were found in pictures of that size."""
        corners_mm = self.board.corners_mm()
        return {
            view.name: BoardSighting(
                tuple(view.ids), np.array(view.corners_px).reshape(-1, 2), corners_mm[view.ids], width, height
            )
            for view in self.views
        }


def evidence_of(board: Board, sightings: Mapping[str, BoardSighting]) -> Evidence:
    """What is kept: every picture that shows anything of the board, by its file's name where that is its own."""
    times = Counter(PurePath(name).name for name in sightings)
    return Evidence(
        board=board,
        views=[
            SeenView(name=_own_name(name, times), ids=list(view.ids), corners_px=[(x, y) for x, y in _rounded(view)])
            for name, view in sightings.items()
            if view.ids
        ],
    )


def _own_name(name: str, times: Counter[str]) -> str:
    """The file goes to other machines: the folder that its pictures were in stays here."""
    last = PurePath(name).name
    return last if times[last] == 1 else PurePath(name).as_posix()


def _rounded(view: BoardSighting) -> list[list[float]]:
    rounded: list[list[float]] = np.round(view.corners_px, DECIMALS).tolist()
    return rounded
