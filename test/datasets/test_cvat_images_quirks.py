"""What real exports of CVAT for images have that its description does not say."""

from __future__ import annotations

from pathlib import Path

import pytest
from quirks import everything, ids_of
from trees import noise, write

from bisenet_ros.datasets import check, open_set
from bisenet_ros.datasets.registry import open_every_split
from bisenet_ros.errors import DataError


def cvat_xml(root: Path, shapes: str) -> Path:
    """One image of 6×8 with these shapes, and one without any."""
    for name in ("a", "b"):
        write(root / f"images/{name}.png", noise(6, 8, ord(name)))
    (root / "annotations.xml").write_text(
        "<annotations><meta><task><labels><label><name>x</name></label>"
        "<label><name>y, z</name><color>#102030</color></label></labels></task></meta>"
        f'<image id="0" name="a.png" width="8" height="6">{shapes}</image>'
        '<image id="1" name="b.png" width="8" height="6"></image></annotations>'
    )
    return root


def test_cvats_boxes_ellipses_masks_and_their_order(tmp_path: Path):
    root = cvat_xml(
        tmp_path,
        '<box label="y, z" xtl="0" ytl="0" xbr="4" ybr="3" z_order="2"></box>'
        '<box label="x" xtl="0" ytl="0" xbr="8" ybr="6" z_order="-1"></box>'
        '<mask label="x" rle="1, 2, 1" left="0" top="0" width="2" height="2" z_order="2"></mask>'
        '<box label="y, z" xtl="4" ytl="3" xbr="8" ybr="5" rotation="90" z_order="2"></box>'
        '<polyline label="y, z" points="0,0;8,6" z_order="9"></polyline>'
        '<ellipse label="y, z" cx="1" cy="5" rx="1" ry="1" z_order="0"></ellipse>',
    )
    labelled = everything(root, val_share=0.5)
    assert labelled.labels.names == ("background", "x", "y, z")
    assert labelled.labels.colours[2] == (16, 32, 48)
    assert ids_of(root, "a").tolist() == [
        [2, 1, 2, 2, 1, 1, 1, 1],
        [1, 2, 2, 2, 1, 1, 1, 1],
        [2, 2, 2, 2, 1, 2, 2, 1],
        [1, 1, 1, 1, 1, 2, 2, 1],
        [2, 2, 1, 1, 1, 2, 2, 1],
        [2, 2, 1, 1, 1, 2, 2, 1],
    ]
    assert "1 images have no shape: they are all background" in labelled.notes


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ('<polygon label="x" points="0,0;5,5"></polygon>', "polygon 0 of a.png: it has 2 corners"),
        ('<polygon label="x" points="0;5"></polygon>', "polygon 0 of a.png: its corners are not"),
        ('<polygon label="x" points="a,b"></polygon>', "polygon 0 of a.png: could not convert"),
        ('<polygon label="x" points="90,0;99,0;99,9"></polygon>', "outside of the image"),
        ('<polygon label="sun" points="0,0;5,5;0,5"></polygon>', "the label 'sun', which is not"),
        ('<mask label="x" rle="1, 9" left="0" top="0" width="2" height="2"></mask>', "make 10 pix"),
        ('<mask label="x" rle="4" left="0" top="0" width="2"></mask>', "no 'height'"),
        (
            '<box label="x" xtl="0" ytl="0" xbr="4" ybr="3" z_order="top"></box>',
            "number that is no",
        ),
        ("<polygon", "annotations.xml is not XML"),
    ],
)
def test_cvats_shapes_that_are_broken(tmp_path: Path, shapes: str, said: str):
    root = cvat_xml(tmp_path, shapes)
    with pytest.raises(DataError, match=said):
        for labelled in open_every_split("cvat-images", root)[1].values():
            check(labelled)


def test_cvats_videos_and_entities_are_refused(tmp_path: Path):
    root = cvat_xml(tmp_path, "")
    path = root / "annotations.xml"
    text = path.read_text()
    path.write_text(text.replace("<image id", '<track id="0" label="x"></track><image id', 1))
    with pytest.raises(DataError, match="is of a video"):
        open_set("auto", root, "train")
    path.write_text('<!DOCTYPE a [<!ENTITY b "c">]>' + text)
    with pytest.raises(DataError, match="declares entities"):
        open_set("auto", root, "train")
    (root / "images/b.png").unlink()
    path.write_text(text)
    with pytest.raises(DataError, match="lists the image 'b.png', which is not in"):
        open_set("auto", root, "train")
