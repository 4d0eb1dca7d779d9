"""Photographed objects of ImageNet's classes, cut out, and photographs to put behind them.

They belong to the drawing program Tux Paint (GPL-2): stamps with transparency, and templates. Objects are chosen where
the class is beyond doubt; some of the signs are drawings.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calibration.errors import BadImage
from pipeline.imagenet_pictures import Download, Picture, apt_download, fetch, read_picture

Pixels = NDArray[np.uint8]
OPAQUE = 128


@dataclass(frozen=True, slots=True)
class ObjectScene:
    """Pictures of objects of one class, ``(S, S, 4)`` uint8 RGBA: to train on, and others (perhaps none) to judge by.

    An object touches the borders of its square on two opposite sides at least.
    """

    label: str
    artworks: tuple[Pixels, ...]
    held_out: tuple[Pixels, ...]


@dataclass(frozen=True, slots=True)
class Backdrops:
    """Photographs without an object of ImageNet in front, ``(H, W, 3)`` uint8 RGB: to train on, and to judge by."""

    training: tuple[Pixels, ...]
    held_out: tuple[Pixels, ...]


@dataclass(frozen=True, slots=True)
class ObjectPictures:
    """Which pictures show a class."""

    label: str
    training: tuple[Picture, ...]
    held_out: tuple[Picture, ...] = ()


def _stamp(path: str, sha256: str) -> Picture:
    return Picture("tuxpaint-stamps-default", f"usr/share/tuxpaint/stamps/{path}.png", sha256)


def _template(name: str, sha256: str) -> Picture:
    return Picture("tuxpaint-data", f"usr/share/tuxpaint/templates/{name}.jpg", sha256)


OBJECTS = (
    ObjectPictures(
        "street sign",
        (
            _stamp("town/roadsigns/stop", "7d696de51f7fb03d3d5550e8f24988e692bccff64d7b688cefa146b050a255be"),
            _stamp("town/roadsigns/xing_ped", "f1acf57042a46a929f140eec2d8f8cdb9874dda73e86408a66565faca3f8563a"),
            _stamp("town/roadsigns/school_sign", "c56dd29222b1b5f35f4197cbab94fff0427dcc1c228570df44541b54a034b2ad"),
        ),
        (
            _stamp("town/roadsigns/dead_end_sign", "337fa50930b096cd3dc851bd3bc5636932714561b65307b7554dd1ab26481a7a"),
            _stamp("town/roadsigns/no_uturn", "ba8d9936ccc2749eeaa21ca0d94935a9597b3a0129338e35d0b4d66facabf228"),
        ),
    ),
    ObjectPictures(
        "orange",
        (
            _stamp("food/fruit/orange", "4300561405f5db1bd779e0cb64e4b9b43b35e5973f3e10cf9b05a0406eb3c420"),
            _stamp("food/fruit/orange_seville", "fbc194e0b37accf85db4119eb794ed9dd1996fcc6280e0197e728c53db96339b"),
        ),
        (_stamp("food/fruit/sliced_orange", "db1b42531719e0c56c41f127d558ff36071e4639fa57378806903d57f852f0e3"),),
    ),
    ObjectPictures(
        "bell pepper",
        (_stamp("food/vegetables/yellowpepper", "0b2857a8cf470832db12c1ae6a0af937d1cee0f8c7bc25bc7f206449cd4074f2"),),
        (_stamp("food/vegetables/pepper", "0fbc4fbef8f11861dd9ade4c39a6a4a6a1761a0a1e6081f0e37617d76ecadf90"),),
    ),
    ObjectPictures(
        "ashcan",
        (_stamp("household/garbagecan", "16a78c7d1d6c559ac5922d3d3ecfa81c3dad21b2c508280b1d1b9b4f6bf49cdd"),),
        (_stamp("household/wheelie_bin", "2a0142a0a56b4513f7577bb2d0fb9eaead1853b41329281187e648769c92d541"),),
    ),
    ObjectPictures(
        "mailbox",
        (_stamp("town/usps_mailbox", "814b55b85cb8382e6e152dbf950b1d3e7253b9976a06a420713ef93824e474a5"),),
        (_stamp("town/uk_post_box", "c2616a3bea9c5f67af20a8265252ed8a5934a7adcfc44abfde706cfd17855664"),),
    ),
    ObjectPictures(
        "tiger",
        (_stamp("animals/mammals/cats/tiger", "699baad06e31c6274fc7bb576953dc0f66a6677a8286daefbdf454cf7b7395d6"),),
        (
            _stamp(
                "animals/mammals/cats/tiger_sumatran",
                "0b80b05c2920d0dbe788c377149a9d0ba19b63ef5ea809e1234ab837f5c48af6",
            ),
        ),
    ),
    ObjectPictures(
        "bolete",
        (
            _stamp("plants/mushrooms/cep", "4614efa2174eaa2e34e3bbba6291a791e5be0278348620b0eb1bef58d781800a"),
            _stamp("plants/mushrooms/cep-1", "313c1da48ae424303a84c5c9db29dd07afbd0eb648338c6c21bff692fb02ca32"),
        ),
        (_stamp("plants/mushrooms/cep-2", "677bd4b79a64192604ba8672db3f54de19b9d867044d2f490a4c9be2f2b4a304"),),
    ),
    ObjectPictures(
        "electric guitar",
        (_stamp("hobbies/music/string/guitar2", "c2f564b0845286c634176f23b8b8a596bf5cfc9af4607dcc0ca508a08718a386"),),
        (
            _stamp(
                "hobbies/music/string/guitar_electric",
                "7ebdaee61c6b0234e5cb3b5a184f5ff903fe40c334b5b3ed299907185edf4074",
            ),
        ),
    ),
    ObjectPictures(
        "coffee mug",
        (_stamp("household/dishes/mug", "e79d81363762075557493012e5f33927b1af0ce76005f1f9fcdc11e9e7930b31"),),
    ),
    ObjectPictures(
        "lemon",
        (_stamp("food/fruit/lemon", "f28692fef7f3512f4bb04907eb3e4917d05925d9093656fb2554a7dcd1474ce4"),),
    ),
    ObjectPictures(
        "teddy",
        (
            _stamp(
                "animals/mammals/bears/toys/edward_bear",
                "aabc84e7655b26a8e48ef7b2646be7e0d4b5af33e7cc4f517ca940106aed9424",
            ),
        ),
    ),
    ObjectPictures(
        "binoculars",
        (_stamp("hobbies/binoculars", "75e82ac7a0a7ceb6958f6d5b5e84623b08bdf66795e5267309683ea0ba58351e"),),
    ),
)
"""The classes; of the last four there is one picture each, and none held out."""

BACKDROPS = (
    _template("burnt_bark", "14f3d6ad3fa5dd2cc0a2a996ed95d09e07f858269a0c90564d8f6f09d679f3b8"),
    _template("mossy_log", "02ba4842fcf5f48f000d8325da89d85bedd8edc0d8cf551603dfdcfca12064e2"),
    _template("mudstone", "ce1d13d3b66155bea3bc28db56694ade9ed27bd8814814672a0d58cd1b0d93f5"),
    _template("ocean_splash", "a6c1697ed8dc06c72136041363b0808f5092625a466e8f9c5f7752375a398404"),
    _template("redwoods_above", "cda5f9d27e979e01e22bc16fce24e00b175f4cbfa99e12aa414f308c9aa00745"),
    _template("rocks", "f3ddf517f26bc77a3f6a98010fc0bfa0ccac431869388755e0032a4f7bb6d748"),
    _template("sun_behind_clouds", "a76583449fb6cf58ca3fd88deac57932f5e0623df8f6ca733258a2ceab3abf91"),
)
HELD_OUT_BACKDROPS = (
    _template("cliff", "ff8da5b7a4eb5f5558a9768764871330ba245dc54ff55d5766129f47a45e7392"),
    _template("ocean_waves", "b99c24c7148cb2935c7a9cfde12b81f368f8162e32349e554a8cb2dd44c5624e"),
    _template("sun_behind_leaves", "a6373334dc5af701d9e5f0efa0e1e4671202897a8e49db4b97d7e826b4590ff8"),
    _template("trees_above", "d75bcb1c0c9cd3f9d9568b09f008e469c1e07ecc0fb84fe2aa858717228310c1"),
    _template("trees_at_dusk", "9499116f8e8f494bd776b12b9cb4782a118662801ddff98c4127c866cf255720"),
)


def object_scenes(cache: Path, download: Download = apt_download) -> tuple[ObjectScene, ...]:
    """The classes with their cut-outs, fetched into ``cache`` if they are not there (160 MB to download).

    Raises :class:`NotReady` when they cannot be fetched, :class:`BadInput` when a file is not the one that is known.
    """
    fetch([picture for each in OBJECTS for picture in (*each.training, *each.held_out)], cache, download)
    return tuple(
        ObjectScene(each.label, _cut_outs(each.training, cache), _cut_outs(each.held_out, cache)) for each in OBJECTS
    )


def backdrops(cache: Path, download: Download = apt_download) -> Backdrops:
    """Photographs of nature to put behind the objects, fetched as :func:`object_scenes` does (8 MB to download)."""
    fetch((*BACKDROPS, *HELD_OUT_BACKDROPS), cache, download)
    training, held_out = (
        tuple(_decoded(each, cache, "RGB") for each in group) for group in (BACKDROPS, HELD_OUT_BACKDROPS)
    )
    return Backdrops(training, held_out)


def squared(cut_out: Pixels) -> Pixels:
    """``(H, W, 4)`` RGBA → ``(S, S, 4)``: cropped to what is opaque, centered in a transparent square."""
    rows, columns = (np.flatnonzero((cut_out[..., 3] >= OPAQUE).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        raise BadImage("a cut-out is transparent everywhere")
    tight = cut_out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    missing = max(tight.shape[:2]) - np.array(tight.shape[:2])
    before = missing // 2
    return np.pad(tight, [*zip(before, missing - before, strict=True), (0, 0)])


def _cut_outs(pictures: Sequence[Picture], cache: Path) -> tuple[Pixels, ...]:
    return tuple(squared(_decoded(each, cache, "RGBA")) for each in pictures)


def _decoded(picture: Picture, cache: Path, mode: str) -> Pixels:
    with Image.open(io.BytesIO(read_picture(picture, cache))) as image:
        return np.array(image.convert(mode), dtype=np.uint8)
