"""The soft proof: what a press cannot print is found, what it can is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from calibration.errors import BadInput, MissingFile
from patches.proof import gamut_of, read_profile, soft_proof
from patches.raster import rasterize

PROFILES = Path("/usr/share/color/icc/ghostscript")
SWOP = PROFILES / "default_cmyk.icc"
needs_swop = pytest.mark.skipif(
    not SWOP.is_file(), reason="no CMYK profile to proof with; on Debian: apt-get install libgs-common"
)


@pytest.fixture
def swop():
    return read_profile(SWOP)


def colors(*rows: tuple[int, int, int]) -> np.ndarray:
    return np.array(rows, np.uint8)


def cube(steps: int = 9) -> np.ndarray:
    levels = np.linspace(0, 255, steps).round().astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)


@needs_swop
def test_muted_colors_can_be_printed(swop):
    muted = np.random.default_rng(0).integers(110, 150, (2000, 3)).astype(np.uint8)
    gamut = gamut_of(muted, swop)
    assert gamut.out_of_gamut == 0
    assert gamut.worst < 2.5


@needs_swop
def test_the_light_of_a_screen_cannot(swop):
    gamut = gamut_of(colors((0, 255, 0), (0, 0, 255), (0, 255, 255), (255, 0, 255)), swop)
    assert gamut.out_of_gamut == 1
    assert gamut.limit < gamut.median <= gamut.p95 <= gamut.worst < 60


@needs_swop
def test_the_share_is_that_of_all_colors(swop):
    assert gamut_of(colors((0, 255, 0), (128, 128, 128), (120, 130, 140), (140, 130, 120)), swop).out_of_gamut == 0.25


@needs_swop
def test_what_was_printed_once_can_be_printed_again(swop):
    """A round trip through the press ends within its gamut: the measure has no bias of its own."""
    screen = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    press = ImageCms.buildProofTransform(
        screen, screen, swop.profile, "RGB", "RGB", intent, intent, ImageCms.Flags.SOFTPROOFING
    )
    once = np.array(press.apply(Image.fromarray(cube()[None])))[0]
    assert gamut_of(cube(), swop).out_of_gamut > 0.5
    assert gamut_of(once, swop).out_of_gamut < 0.01


@needs_swop
def test_the_proof_shows_paper_and_weaker_ink(swop):
    asked = colors((255, 255, 255), (0, 0, 0), (0, 255, 0), (128, 128, 128))[None]
    paper, black, green, gray = soft_proof(asked, swop)[0].astype(int)
    assert (paper < 240).all()
    assert (paper > 200).all()
    assert (black > 20).all()
    assert (black < 60).all()
    assert green[1] < 200
    assert np.abs(gray - 128).max() < 25


@needs_swop
def test_a_proof_has_the_picture_s_size(swop):
    assert soft_proof(np.zeros((7, 5, 3), np.uint8), swop).shape == (7, 5, 3)


def test_a_page_as_a_picture():
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas("unused.pdf", pagesize=(72, 36))
    canvas.setFillColorRGB(1, 0, 0)
    canvas.rect(0, 0, 36, 36, stroke=0, fill=1)
    page = rasterize(canvas.getpdfdata(), dpi=100)
    assert page.shape == (50, 100, 3)
    assert page[25, 10].tolist() == [255, 0, 0]
    assert page[25, 90].tolist() == [255, 255, 255]


# What is no profile of a printer


def test_no_file(tmp_path):
    with pytest.raises(MissingFile, match="no ICC profile") as caught:
        read_profile(tmp_path / "none.icc")
    assert "libgs-common" in caught.value.hint


def test_no_profile(tmp_path):
    path = tmp_path / "text.icc"
    path.write_text("no profile")
    with pytest.raises(BadInput, match=r"text\.icc is no ICC profile"):
        read_profile(path)


def test_the_profile_of_a_screen(tmp_path):
    path = tmp_path / "screen.icc"
    path.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    with pytest.raises(BadInput, match=r"no profile of a printer .* class is 'mntr', its space 'RGB'"):
        read_profile(path)


@needs_swop
def test_a_printer_s_profile_without_tables():
    with pytest.raises(BadInput, match="cannot be printed through"):
        gamut_of(colors((1, 2, 3)), read_profile(PROFILES / "ps_cmyk.icc"))


@needs_swop
def test_no_colors(swop):
    with pytest.raises(BadInput, match="no colors"):
        gamut_of(np.zeros((0, 3), np.uint8), swop)
