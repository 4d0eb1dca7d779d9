"""ImageNet's classes, the command that makes recognizers of them, and where the pictures come from."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from program import data

from calibration.errors import BadImage, BadInput, BadUsage, NotReady
from pipeline.imagenet import imagenet_labels, published_networks
from pipeline.imagenet_pictures import Picture, apt_download, fetch, read_picture
from pipeline.imagenet_scenes import BACKDROPS, HELD_OUT_BACKDROPS, OBJECTS, squared

KNOWN = {
    **{0: "tench", 134: "crane (bird)", 291: "lion", 504: "coffee mug", 517: "crane (machine)", 638: "maillot"},
    **{744: "projectile", 836: "sunglass", 919: "street sign", 951: "lemon", 999: "toilet tissue"},
}
NAMES = ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "squeezenet-1.1"]


def test_there_are_a_thousand_different_labels_in_their_order():
    labels = imagenet_labels()
    assert len(set(labels)) == len(labels) == 1000
    assert {number: labels[number] for number in KNOWN} == KNOWN


def test_the_command_says_what_it_would_convert(tmp_path):
    assert [each.name for each in published_networks()] == NAMES
    one = data("models", "imagenet", "--into", "nets", "--model", "squeezenet-1.1", "--dry-run", cwd=tmp_path)
    assert one == {"would_convert": ["squeezenet-1.1"], "into": "nets"}
    assert not list(tmp_path.iterdir())


def test_a_network_that_there_is_not_is_wrong_usage():
    with pytest.raises(BadUsage, match=r"'resnet'.*squeezenet-1\.1"):
        published_networks(["squeezenet-1.1", "resnet"])


# Scenes


def test_objects_are_of_classes_that_exist_and_no_picture_is_used_twice():
    assert {each.label for each in OBJECTS} <= set(imagenet_labels())
    assert len({each.label for each in OBJECTS}) == len(OBJECTS)
    pictures = [picture for each in OBJECTS for picture in (*each.training, *each.held_out)]
    used = [each.sha256 for each in (*pictures, *BACKDROPS, *HELD_OUT_BACKDROPS)]
    assert len(set(used)) == len(used)
    assert len({each.place(Path()) for each in pictures}) == len(pictures)
    assert all(each.training for each in OBJECTS)


def test_a_cut_out_is_cropped_and_centered_in_a_square():
    picture = np.zeros((30, 40, 4), np.uint8)
    picture[5:15, 8:28] = (10, 20, 30, 255)
    square = squared(picture)
    assert square.shape == (20, 20, 4)
    assert (square[5:15] == (10, 20, 30, 255)).all()
    assert not square[:5].any()
    assert not square[15:].any()
    with pytest.raises(BadImage, match="transparent"):
        squared(np.zeros((4, 4, 4), np.uint8))


# Packages


@pytest.fixture(scope="module")
def deb(tmp_path_factory) -> Path:
    """A package with two files."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not there to make a package with")
    root = tmp_path_factory.mktemp("deb") / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: stamps\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: stamps\n"
    )
    (root / "usr" / "share").mkdir(parents=True)
    for name in ("one", "two"):
        (root / "usr" / "share" / f"{name}.png").write_text(name)
    subprocess.run(["dpkg-deb", "--build", str(root), str(root.parent / "stamps_1_all.deb")], check=True)
    return root.parent / "stamps_1_all.deb"


def picture(name: str, content: str = "") -> Picture:
    return Picture("stamps", f"usr/share/{name}.png", hashlib.sha256((content or name).encode()).hexdigest())


class Shop:
    """Gives the package and counts how often."""

    def __init__(self, deb: Path):
        self.deb, self.sold = deb, 0

    def __call__(self, package: str, into: Path) -> Path:
        self.sold += 1
        return Path(shutil.copy(self.deb, into))


def test_pictures_are_fetched_once(deb, tmp_path):
    shop, wanted = Shop(deb), [picture("one"), picture("two")]
    fetch(wanted, tmp_path, shop)
    assert [read_picture(each, tmp_path) for each in wanted] == [b"one", b"two"]
    fetch(wanted, tmp_path, shop)
    assert shop.sold == 1
    (tmp_path / "stamps" / "one.png").unlink()
    fetch(wanted, tmp_path, shop)
    assert shop.sold == 2


def test_a_package_with_other_pictures_is_refused(deb, tmp_path):
    with pytest.raises(BadInput, match=r"one\.png .* sha256 differs"):
        fetch([picture("one", "changed")], tmp_path, Shop(deb))
    with pytest.raises(BadInput, match=r"holds no usr/share/three\.png"):
        fetch([picture("three")], tmp_path, Shop(deb))
    assert not list(tmp_path.rglob("*.png"))


def test_a_picture_that_was_changed_in_the_cache_is_refused(tmp_path):
    (tmp_path / "stamps").mkdir()
    (tmp_path / "stamps" / "one.png").write_text("changed")
    with pytest.raises(BadInput, match="sha256 differs"):
        read_picture(picture("one"), tmp_path)


def test_without_apt_the_world_is_not_ready(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NotReady, match="apt-get"):
        apt_download("tuxpaint-data", tmp_path)
