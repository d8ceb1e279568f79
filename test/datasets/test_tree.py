"""Folders and zips: what is listed, found and refused."""

from __future__ import annotations

import os
import stat
import unicodedata
import warnings
import zipfile
from pathlib import Path

import pytest
from drawn import drawn_images
from exports import folder, voc
from trees import noise, write

from bisenet_ros.datasets import DatasetOptions, archive, open_set
from bisenet_ros.datasets.names import Names, plain, sample_name
from bisenet_ros.datasets.tree import read_tree
from bisenet_ros.errors import DataError

IMAGES = drawn_images(2, 1)


def test_names_are_found_in_another_case_or_unicode_form():
    composed = unicodedata.normalize("NFC", "bäume/Übung.PNG")
    apart = unicodedata.normalize("NFD", composed)
    assert composed != apart
    names = Names([apart, "b.png", "B.png"])
    assert names.find(composed) == names.find("BÄUME/übung.png") == apart
    assert names.find("b.png") == "b.png" and names.find("B.png") == "B.png"
    assert names.find("c.png") is None
    with pytest.raises(DataError, match="'b.PNG' may be 'B.png' or 'b.png'"):
        names.find("b.PNG")


def test_paths_of_other_systems():
    assert plain("..\\images\\a.jpg") == "../images/a.jpg"
    assert plain("./a/../b.jpg ") == "b.jpg"
    assert sample_name("train/images/deep/a.b.jpg") == "train/deep/a.b"


def test_left_overs_are_not_listed(tmp_path: Path):
    for name in ("a.png", "deep/b.png", ".hidden.png", "._a.png", "__MACOSX/a.png", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    tree = read_tree(tmp_path)
    assert tree.files == ("a.png", "deep/b.png") and tree.folders == {"deep"}


def test_a_folder_in_a_folder_is_entered(tmp_path: Path):
    root = voc(tmp_path / "outer/inner", IMAGES)
    assert read_tree(tmp_path).root == root
    write(tmp_path / "outer/valid/a.png", noise())
    assert read_tree(tmp_path).root == tmp_path / "outer"
    only = tmp_path / "only"
    write(only / "train/a.png", noise())
    assert read_tree(only).root == only  # the folder's name says something


def test_images_are_found_where_tools_say_they_are(tmp_path: Path):
    for name in ("images/a.jpg", "images/train/b.jpg", "x/same.jpg", "y/same.jpg", "y/c.jpg"):
        write(tmp_path / name, noise())
    tree = read_tree(tmp_path)
    near = ["annotations", "images"]
    assert tree.locate("a.jpg", near) == "images/a.jpg"
    assert tree.locate("train\\b.jpg", near) == "images/train/b.jpg"
    assert tree.locate("/home/me/project/c.jpg", near) == "y/c.jpg"
    assert tree.locate("../../y/c.jpg", near) == "y/c.jpg"
    assert tree.locate("nothing.jpg", near) is None
    assert tree.locate("same.jpg", ["x"]) == "x/same.jpg"
    with pytest.raises(DataError, match="'same.jpg' may be .*x/same.jpg or .*y/same.jpg"):
        tree.locate("same.jpg", near)


def test_links_may_not_leave_the_set(tmp_path: Path):
    root = folder(tmp_path / "set", IMAGES)
    write(tmp_path / "elsewhere/t9.png", noise())
    (root / "images/t9.png").symlink_to(tmp_path / "elsewhere/t9.png")
    with pytest.raises(
        DataError, match=r"images/t9.png is a link out of the data set, to .*t9.png"
    ):
        open_set("folder", root, "train")
    (root / "images/t9.png").unlink()
    (root / "more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="set/more is a link out of the data set"):
        read_tree(root)


def test_links_within_the_set_are_followed_once(tmp_path: Path):
    root = folder(tmp_path / "set", IMAGES)
    (root / "again").symlink_to(root)
    (root / "masks2").symlink_to(root / "masks")
    os.symlink(root, tmp_path / "way in")
    files = read_tree(tmp_path / "way in").files
    assert "images/t0.jpg" in files and not any(name.startswith("again") for name in files)
    assert len(open_set("folder", root, "train")) == 2


def packed(path: Path, entries: dict[str, bytes]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in entries.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../out.png", "'../out.png', which leads out of it"),
        ("a/../../out.png", "leads out of it"),
        ("/etc/out.png", "leads out of it"),
        ("C:/out.png", "leads out of it"),
        ("a\\..\\out.png", "leads out of it"),
    ],
)
def test_zips_that_lead_out_are_refused(tmp_path: Path, name: str, said: str):
    path = packed(tmp_path / "slip.zip", {"labelmap.txt": b"", "XXX": b"x"})
    # As an attacker writes it: the library changes such names.
    content = path.read_bytes()
    path = packed(tmp_path / "slip.zip", {"labelmap.txt": b"", "X" * len(name): b"x"})
    content = path.read_bytes().replace(b"X" * len(name), name.encode())
    path.write_bytes(content)
    with pytest.raises(DataError, match="slip.zip holds"):
        open_set("auto", path, "train")
    with pytest.raises(DataError, match=said.replace("\\", "\\\\")):
        read_tree(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["slip.zip"]


def test_zips_with_links_are_refused(tmp_path: Path):
    path = tmp_path / "link.zip"
    link = zipfile.ZipInfo("images")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(link, "/etc")
    with pytest.raises(DataError, match="holds the link 'images'"):
        read_tree(path)


def test_zip_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = packed(tmp_path / "bomb.zip", {"a.json": bytes(2_000_000)})
    monkeypatch.setattr(archive, "SMALL", 1_000_000)
    with pytest.raises(DataError, match=r"bomb.zip of 0.0 MiB claims to hold .*as a zip bomb"):
        read_tree(path)
    monkeypatch.setattr(archive, "SMALL", 10_000_000)
    monkeypatch.setattr(archive, "LARGEST_FILE", 1_000_000)
    with pytest.raises(DataError, match=r"holds 'a.json' of"):
        read_tree(path)
    monkeypatch.setattr(archive, "LARGEST_SET", 1_000_000)
    with pytest.raises(DataError, match="would take 0.0 GiB"):
        read_tree(path)
    monkeypatch.setattr(archive, "MOST_FILES", 0)
    with pytest.raises(DataError, match="holds 1 files"):
        read_tree(path)


def test_zips_that_lie_about_sizes_are_refused(tmp_path: Path):
    path = packed(tmp_path / "lie.zip", {"a.json": bytes(5000)})
    content = path.read_bytes()
    path.write_bytes(content.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(DataError, match="lie.zip (holds more|is not a whole zip)"):
        read_tree(path)


def test_names_twice_and_broken_zips(tmp_path: Path):
    with pytest.raises(DataError, match="holds '(./)?a.png' twice"):
        with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "two.zip", "w") as file:
            warnings.simplefilter("ignore")
            file.writestr("a.png", b"x")
            file.writestr("./a.png", b"y")
        read_tree(tmp_path / "two.zip")
    path = packed(tmp_path / "cut.zip", {"a.json": bytes(range(256)) * 100})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="cut.zip is not a whole zip"):
        read_tree(path)
    whole = packed(tmp_path / "bad.zip", {"a.json": bytes(range(256)) * 100})
    content = bytearray(whole.read_bytes())
    content[60] ^= 0xFF
    whole.write_bytes(content)
    with pytest.raises(DataError, match="bad.zip is not a whole zip"):
        read_tree(whole)
    secret = packed(tmp_path / "secret.zip", {"a.json": b"x"})
    content = bytearray(secret.read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    secret.write_bytes(content)
    with pytest.raises(DataError, match="secret.zip is encrypted"):
        read_tree(secret)


def test_zips_are_unpacked_once_and_only_what_is_needed(tmp_path: Path):
    path = packed(tmp_path / "set.zip", {"a/b.png": b"x", "a/run.exe": b"x", "c.TXT": b"y"})
    tree = read_tree(path)
    assert tree.files == ("a/b.png", "c.TXT") and tree.root.name == "set.zip"
    assert read_tree(path).root == tree.root
    assert (tree.root / "a/b.png").read_bytes() == b"x"
    packed(path, {"d.png": b"other"})
    os.utime(path, ns=(1, 1))
    assert read_tree(path).files == ("d.png",)


def test_what_is_neither_a_folder_nor_a_zip(tmp_path: Path):
    (tmp_path / "a.tar").write_bytes(b"x")
    with pytest.raises(DataError, match="a.tar is not a folder or a zip"):
        open_set("auto", tmp_path / "a.tar", "train", DatasetOptions())
    with pytest.raises(DataError, match="nowhere is missing"):
        open_set("auto", tmp_path / "nowhere", "train")
