"""Data sets on disk: what is read of each layout, and what is said of broken ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.paths import share_file
from bisenet_ros.training.datasets import CAMVID, KINDS, TrainingImages, check, open_set
from bisenet_ros.training.datasets.camvid import ORIGINAL
from bisenet_ros.training.datasets.folder import by_share
from bisenet_ros.training.datasets.pictures import image_size, read_label, read_rgb


def write(path: Path, pixels: np.ndarray) -> Path:
    """Ids (H, W) or RGB (H, W, 3 or 4) as an image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    assert cv2.imwrite(str(path), pixels)
    return path


def noise(height: int = 8, width: int = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_indexed(path: Path, ids: np.ndarray, bits: int = 8) -> Path:
    """A PNG of palette indices, which OpenCV reads but does not write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unpacked = np.unpackbits(ids[..., None], axis=2)[..., 8 - bits :]
    rows = np.packbits(unpacked.reshape(len(ids), -1), axis=1)
    palette = np.random.default_rng(1).integers(0, 256, 3 << bits, np.uint8)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], bits, 3, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"PLTE", palette.tobytes())
        + chunk(b"tRNS", bytes(2))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
        + chunk(b"IEND", b"")
    )
    return path


def write_sideways(path: Path, image: np.ndarray) -> Path:
    """A JPEG whose camera says that it is to be turned by a quarter when shown."""
    write(path, image)
    # One tag, 0x0112 (orientation), a short of value 6.
    tags = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">I", 8) + tags
    head = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    content = path.read_bytes()
    path.write_bytes(content[:2] + head + content[2:])
    return path


# CamVid


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            coarse = random.integers(0, 12, (3, 4), np.uint8)
            label = cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_NEAREST)
            write(tmp_path / split / f"labels/{i}.png", label)
            write(tmp_path / split / f"images/{i}.png", noise(96, 128, i))
    return tmp_path


def test_camvids_void_becomes_255_and_ids_stay(camvid: Path):
    data = open_set("camvid", camvid, "train")
    assert [sample.name for sample in data.samples] == ["0", "1", "2", "3"]
    assert data.resolution == (360, 480) and data.labels == CAMVID
    assert data.source == (
        "CamVid train, SegNet re-labelling: 4 images, 128×96, 11 classes"  # as shipped weights say
    )
    for index in range(len(data)):
        image, ids = data.read(index)
        raw = cv2.imread(str(camvid / f"train/labels/{index}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(image, noise(96, 128, index))
        assert np.array_equal(ids, np.where(raw == 11, 255, raw)) and ids.dtype == np.uint8


def test_camvids_original_colours_become_the_11_classes(tmp_path: Path):
    pairs = [(c, CAMVID.names.index(name)) for name, m in ORIGINAL.items() for c in m.values()]
    assert len({colour for colour, _ in pairs}) == 31
    colours = np.array([[*(colour for colour, _ in pairs), (0, 0, 0)]], np.uint8)
    write(tmp_path / "test/labels/0016E5_1_L.png", colours)
    write(tmp_path / "test/images/0016E5_1.jpg", noise(1, 32))
    data = open_set("camvid", tmp_path, "test")
    assert data.resolution == (720, 960) and "original" in data.source
    assert data.read(0)[1].tolist() == [[*(id for _, id in pairs), 255]]


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((128, 128, 128), "sky"),
        ((0, 128, 64), "building"),
        ((0, 0, 64), "pole"),
        ((128, 0, 192), "road"),
        ((64, 192, 128), "pavement"),
        ((192, 192, 0), "tree"),
        ((0, 64, 64), "sign"),
        ((64, 64, 128), "fence"),
        ((64, 128, 192), "car"),
        ((192, 128, 64), "pedestrian"),
        ((192, 0, 192), "bicyclist"),
    ],
)
def test_camvids_colours_by_hand(tmp_path: Path, colour: tuple[int, ...], name: str):
    write(tmp_path / "val/labels/a.png", np.full((2, 3, 3), colour, np.uint8))
    write(tmp_path / "val/images/a.png", noise(2, 3))
    _, ids = open_set("camvid", tmp_path, "val").read(0)
    assert (ids == CAMVID.names.index(name)).all()


def spoilt_by(name: str, pixels: np.ndarray) -> Callable[[Path], object]:
    return lambda root: write(root / name, pixels)


SPOILT: list[tuple[Callable[[Path], object], str]] = [
    (lambda root: (root / "train/labels/1.png").unlink(), "labels/1.png is missing"),
    (lambda root: (root / "train/images/1.png").write_bytes(b"x"), "images/1.png cannot be read"),
    (lambda root: (root / "train/labels/1.png").write_bytes(b"x"), "labels/1.png cannot be read"),
    (lambda root: (root / "train/labels/1.png").write_bytes(b""), "labels/1.png is empty"),
    (
        spoilt_by("train/labels/1.png", np.full((96, 128), 12, np.uint8)),
        "labels/1.png holds id 12 at row 0, column 0; CamVid has 0 to 11 and 255",
    ),
    (
        spoilt_by("train/labels/1.png", np.full((96, 128, 3), 7, np.uint8)),
        r"labels/1.png holds colour \(7, 7, 7\) at row 0, column 0; CamVid has 32 colours",
    ),
    (
        spoilt_by("train/labels/1.png", np.zeros((4, 5), np.uint8)),
        r"labels/1.png is \(4, 5\), its image 1.png \(96, 128\)",
    ),
    (
        spoilt_by("train/labels/1.png", np.zeros((96, 128), np.uint16)),
        "labels/1.png has 16 bits",
    ),
    (
        spoilt_by("train/images/1.jpg", noise(96, 128)),
        "1.png and 1.jpg share a name|1.jpg and 1.png",
    ),
]


@pytest.mark.parametrize(("spoil", "said"), SPOILT)
def test_bad_files_are_named(camvid: Path, spoil: Callable[[Path], object], said: str):
    spoil(camvid)
    for read in (TrainingImages, check):
        with pytest.raises(DataError, match=said):
            read(open_set("camvid", camvid, "train"))


def test_a_split_that_is_not_there(camvid: Path):
    with pytest.raises(DataError, match="test/images is no folder.*folders train, val"):
        open_set("camvid", camvid, "test")
    (camvid / "test/images").mkdir(parents=True)
    with pytest.raises(DataError, match="test/images holds no images"):
        open_set("camvid", camvid, "test")


# Cityscapes


def cityscapes(root: Path, ids: np.ndarray, ending: str = "labelIds") -> Path:
    for city in ("bochum", "aachen"):
        name = f"{city}_000000_000019"
        write(root / f"gtFine/val/{city}/{name}_gtFine_{ending}.png", ids)
        write(root / f"gtFine/val/{city}/{name}_gtFine_color.png", noise(*ids.shape))
        write(root / f"leftImg8bit/val/{city}/{name}_leftImg8bit.png", noise(*ids.shape))
    return root


def test_cityscapes_34_ids_become_19(tmp_path: Path):
    ids = np.array([[*range(34), 255]], np.uint8)
    data = open_set("cityscapes", cityscapes(tmp_path, ids), "val")
    assert [s.name for s in data.samples] == ["aachen_000000_000019", "bochum_000000_000019"]
    trained = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    expected = [trained.index(i) if i in trained else 255 for i in range(34)]
    assert data.read(1)[1].tolist() == [[*expected, 255]]
    assert len(data.labels) == 19 and data.resolution == (512, 1024)
    assert data.labels.names[0] == "road" and data.labels.names[18] == "bicycle"


def test_cityscapes_train_ids_are_taken_as_they_are(tmp_path: Path):
    ids = np.array([[*range(19), 255]], np.uint8)
    data = open_set("cityscapes", cityscapes(tmp_path, ids, "labelTrainIds"), "val")
    assert np.array_equal(data.read(0)[1], ids)


def test_cityscapes_errors(tmp_path: Path):
    data = open_set("cityscapes", cityscapes(tmp_path, np.full((2, 2), 34, np.uint8)), "val")
    with pytest.raises(DataError, match="aachen_000000_000019_gtFine_labelIds.png holds id 34"):
        data.read(0)
    (tmp_path / "gtFine/val/bochum/bochum_000000_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(DataError, match="bochum_000000_000019_gtFine_labelIds.png is missing"):
        open_set("cityscapes", tmp_path, "val")
    with pytest.raises(DataError, match="has the folders val"):
        open_set("cityscapes", tmp_path, "train")
    for path in tmp_path.rglob("*labelIds.png"):
        path.unlink()
    with pytest.raises(DataError, match="labelIds.png is missing"):
        open_set("cityscapes", tmp_path, "val")


# COCO-Stuff

GAPS = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)  # COCO's ids that have no segments, less one


def coco_stuff(root: Path, ids: np.ndarray) -> Path:
    write(root / "annotations/val2017/000000000139.png", ids)
    write(root / "images/val2017/000000000139.jpg", noise(*ids.shape))
    return root


def test_coco_stuffs_ids_become_171(tmp_path: Path):
    ids = np.array([[i for i in range(182) if i not in GAPS] + [255]], np.uint8)
    data = open_set("coco-stuff", coco_stuff(tmp_path, ids), "val")
    assert data.read(0)[1].tolist() == [[*range(171), 255]]
    names = data.labels.names
    assert len(names) == 171 and names[0] == "person" and names[170] == "wood"
    assert names[79] == "toothbrush" and names[80] == "banner" and names[11] == "stop sign"


def test_coco_stuff_without_things(tmp_path: Path):
    ids = np.array([[i for i in range(182) if i not in GAPS] + [255]], np.uint8)
    data = open_set("coco-stuff", coco_stuff(tmp_path, ids), "val", stuff_only=True)
    assert data.read(0)[1].tolist() == [[255] * 80 + [*range(91), 255]]
    assert len(data.labels) == 91 and data.labels.names[0] == "banner"
    assert "91 stuff classes" in data.source


def test_coco_stuff_errors(tmp_path: Path):
    data = open_set("coco-stuff", coco_stuff(tmp_path, np.full((2, 3), 11, np.uint8)), "val")
    with pytest.raises(DataError, match="000000000139.png holds id 11 .*coco-stuff.yaml has 0 to"):
        data.read(0)
    with pytest.raises(DataError, match="no labelled split 'test'"):
        open_set("coco-stuff", tmp_path, "test")
    with pytest.raises(DataError, match="images/train2017 is no folder"):
        open_set("coco-stuff", tmp_path, "train")
    write(tmp_path / "images/val2017/000000000140.jpg", noise())
    with pytest.raises(DataError, match="annotations/val2017/000000000140.png is missing"):
        open_set("coco-stuff", tmp_path, "val")


# Folders

CLASSES = [
    {"name": "floor", "color": [10, 20, 30]},
    {"name": "wall", "color": [200, 0, 0]},
    {"name": "thing", "color": [0, 0, 250]},
]


def folder(root: Path, count: int = 10, **listed: object) -> Path:
    """Images of which each second lies one folder deeper, and masks of the three ids."""
    for i in range(count):
        name = f"{'deep/' * (i % 2)}{i:02d}"
        write(root / f"images/{name}.jpg", noise(seed=i))
        write(root / f"masks/{name}.png", np.full((8, 10), i % 3, np.uint8))
    write_labels(root, **listed)
    return root


def write_labels(root: Path, **listed: object) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": CLASSES, **listed}))


def names(root: Path, split: str, **options: float) -> list[str]:
    data = open_set("folder", root, split, **options)  # type: ignore[arg-type]
    return [sample.name for sample in data.samples]


def test_a_folder_is_split_by_share_the_same_way_each_time(tmp_path: Path):
    root = folder(tmp_path)
    train, val = names(root, "train"), names(root, "val")
    assert len(val) == 2 and len(train) == 8
    assert sorted(train + val) == sorted(f"{'deep/' * (i % 2)}{i:02d}" for i in range(10))
    assert names(root, "val") == val and names(root, "train") == train
    assert len(names(root, "val", val_share=0.5)) == 5
    assert any(names(root, "val", seed=seed) != val for seed in range(2, 6))


def test_shares_do_not_depend_on_the_machine_and_hardly_on_other_images():
    few = [f"{i}" for i in range(100)]
    held = by_share(few, 0.2, 1)
    assert len(held) == 20 and {"0", "3"} & held == {"0", "3"} & by_share(few[::-1], 0.2, 1)
    more = by_share([*few, "new"], 0.2, 1)
    assert len(held ^ more) <= 2
    assert by_share(["a", "b"], 0.01, 1) and len(by_share(["a", "b"], 0.99, 1)) == 1


def test_a_folder_is_split_by_lists(tmp_path: Path):
    root = folder(tmp_path)
    (root / "train.txt").write_text("\ufeff# mine\n00\n\ndeep/03.jpg\n")
    (root / "val.txt").write_text("02\r\n")
    assert names(root, "train") == ["00", "deep/03"] and names(root, "val") == ["02"]


def test_a_folder_is_split_by_folders(tmp_path: Path):
    folder(tmp_path / "test", 3)
    write_labels(tmp_path, source="Our hall", licence="ours", resolution=[64, 96])
    data = open_set("folder", tmp_path, "test")
    assert [sample.name for sample in data.samples] == ["00", "02", "deep/01"]
    assert data.source == f"Our hall; {tmp_path.name} test: 3 images, 3 classes"
    assert data.licence == "ours" and data.resolution == (64, 96)


def test_what_a_folder_does_not_say(tmp_path: Path):
    data = open_set("folder", folder(tmp_path), "val")
    assert data.licence == "not stated" and data.resolution == (8, 10)
    assert data.labels.names == ("floor", "wall", "thing")


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_masks_may_hold_ids_indices_or_colours(tmp_path: Path, bits: int):
    root = folder(tmp_path, 4, ignore=[3, [9, 9, 9]])
    (root / "val.txt").write_text("00\ndeep/01\n02\ndeep/03\n")
    ids = np.random.default_rng(0).integers(0, 4, (8, 10), np.uint8)
    colours = np.array([c["color"] for c in CLASSES] + [[9, 9, 9]], np.uint8)[ids]
    write(root / "masks/00.png", ids)
    write_indexed(root / "masks/deep/01.png", ids, bits)
    write(root / "masks/02.png", colours)
    write(root / "masks/deep/03.png", np.dstack([colours, np.full_like(ids, 128)]))
    data = open_set("folder", root, "val")
    for index in range(4):
        assert np.array_equal(data.read(index)[1], np.where(ids == 3, 255, ids))


def test_masks_of_0_and_255(tmp_path: Path):
    root = folder(tmp_path, 2)
    classes = [
        {"name": "other", "color": [0, 0, 0]},
        {"name": "floor", "color": [255] * 3, "id": 255},
    ]
    write_labels(root, classes=classes)
    ids = np.array([[0, 255, 255]], np.uint8)
    data = open_set("folder", root, "val")
    write(data.samples[0].image, noise(1, 3))
    write(data.samples[0].label, ids)
    assert data.read(0)[1].tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ({"classes": None}, "labels.yaml is no list of classes"),
        ({"classes": [{"name": "a"}]}, "labels.yaml is no list of classes: expected 'classes:'"),
        ({"classes": [{"name": "a", "color": [0, 0, 300]}]}, "three of 0–255"),
        ({"classes": [CLASSES[0], {**CLASSES[1], "id": 0}]}, "lists id 0 2×"),
        ({"classes": [CLASSES[0], {**CLASSES[1], "id": "one"}]}, "lists id 'one'"),
        ({"classes": [CLASSES[0], {**CLASSES[1], "color": [10, 20, 30]}]}, r"\(10, 20, 30\) 2×"),
        ({"ignore": [2]}, "lists id 2 2×"),
        ({"ignore": [256]}, "lists id 256"),
        ({"ignore": 11}, "has ignore: 11; expected a list"),
        ({"ignore": [[0, 0]]}, r"ignores colour \(0, 0\)"),
        ({"resolution": "large"}, "has resolution 'large'"),
    ],
)
def test_broken_label_lists_are_explained(tmp_path: Path, listed: dict[str, object], said: str):
    with pytest.raises(DataError, match=said) as error:
        open_set("folder", folder(tmp_path, **listed), "val")
    assert "\n" not in str(error.value)


def test_a_label_list_that_is_no_yaml(tmp_path: Path):
    (folder(tmp_path) / "labels.yaml").write_text("classes: [")
    with pytest.raises(DataError, match="labels.yaml is no list of classes: while parsing"):
        open_set("folder", tmp_path, "val")
    (tmp_path / "labels.yaml").unlink()
    with pytest.raises(DataError, match="labels.yaml cannot be read .*write one with 'classes:'"):
        open_set("folder", tmp_path, "val")


def test_folder_errors(tmp_path: Path):
    root = folder(tmp_path)
    with pytest.raises(DataError, match="neither test.txt nor test/images; .*images, masks"):
        open_set("folder", root, "test")
    (root / "train.txt").write_text("00\n99\n")
    with pytest.raises(DataError, match="val.txt is missing, though train.txt is there"):
        open_set("folder", root, "val")
    with pytest.raises(DataError, match="train.txt line 2 names '99'"):
        open_set("folder", root, "train")
    (root / "train.txt").write_text("# none\n")
    with pytest.raises(DataError, match="train.txt names no images"):
        open_set("folder", root, "train")
    (root / "train.txt").unlink()
    (root / "masks/04.png").unlink()
    with pytest.raises(DataError, match="masks/04.png is missing"):
        for split in ("train", "val"):
            open_set("folder", root, split)


def test_folders_of_too_few_images(tmp_path: Path):
    with pytest.raises(DataError, match="holds 1 image"):
        open_set("folder", folder(tmp_path / "one", 1), "train")
    with pytest.raises(DataError, match="images is no folder.*expected images/NAME"):
        open_set("folder", folder(tmp_path / "none", 0), "train")


def test_left_overs_of_other_systems_are_no_images(tmp_path: Path):
    root = folder(tmp_path, 2)
    (root / "images/._00.jpg").write_bytes(b"x")
    (root / "images/Thumbs.db").write_bytes(b"x")
    write(root / "masks/nobodys.png", np.zeros((1, 1), np.uint8))
    assert sorted(names(root, "train") + names(root, "val")) == ["00", "deep/01"]


# All of them


def test_options_that_do_not_fit(camvid: Path):
    with pytest.raises(ArgumentError, match="'voc'; expected one of camvid, cityscapes"):
        open_set("voc", camvid, "train")
    with pytest.raises(ArgumentError, match="stuff_only is set for camvid"):
        open_set("camvid", camvid, "train", stuff_only=True)
    for share in (0, 1, -0.1):
        with pytest.raises(ArgumentError, match="val_share"):
            open_set("folder", camvid, "train", val_share=share)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "drawn"])
def test_a_folder_that_is_not_there(tmp_path: Path, kind: str):
    with pytest.raises(DataError, match="nowhere"):
        open_set(kind, tmp_path / "nowhere", "train")


@pytest.mark.parametrize(
    ("name", "count"), [("camvid", 11), ("cityscapes", 19), ("coco-stuff", 171)]
)
def test_the_shipped_label_lists(name: str, count: int):
    labels = LabelSet.read(share_file(f"config/labels/{name}.yaml"))
    assert len(labels) == count
    assert len(set(labels.names)) == len(set(labels.colours)) == count


@pytest.mark.parametrize("keep", [0, 10**9])
def test_torch_sees_what_is_on_disk(camvid: Path, keep: int):
    labelled = open_set("camvid", camvid, "train")
    data = TrainingImages(labelled, keep=keep)
    assert len(data) == 4 and (data.pairs is None) == (keep == 0)
    image, label = data[2]
    pixels, ids = labelled.read(2)
    assert image.dtype == torch.uint8 and label.dtype == torch.int64
    assert np.array_equal(image.numpy(), pixels.transpose(2, 0, 1))
    assert np.array_equal(label.numpy(), ids)
    assert all(map(np.array_equal, data.read(2), (pixels, ids)))


def test_a_set_that_grows_above_the_limit_is_not_kept(camvid: Path):
    write(camvid / "val/images/1.png", noise(200, 300))
    write(camvid / "val/labels/1.png", np.zeros((200, 300), np.uint8))
    labelled = open_set("camvid", camvid, "val")
    assert TrainingImages(labelled, keep=96 * 128 * 4 * 2).pairs is None


def test_checking_counts_pixels(tmp_path: Path):
    root = folder(tmp_path, 4, ignore=[7])
    write(root / "masks/00.png", np.full((8, 10), 7, np.uint8))
    write(root / "images/02.jpg", noise(4, 5))
    write(root / "masks/02.png", np.array([[0, 0, 0, 1, 255]] * 4, np.uint8))
    (root / "val.txt").write_text("00\ndeep/01\n02\n")
    told: list[int] = []
    found = check(open_set("folder", root, "val"), told.append, workers=2)
    assert told == [1, 2, 3] and found.images == 3
    assert found.counts.tolist() == [12, 84, 0] and found.unlabelled == 84
    assert found.shares.tolist() == [12 / 96, 84 / 96, 0] and found.absent == ("thing",)
    assert found.sizes == {(8, 10): 2, (4, 5): 1}
    assert [found.images_with(c).tolist() for c in range(3)] == [[2], [1, 2], []]


def test_checking_names_the_first_bad_file(camvid: Path):
    for i in (3, 1):
        write(camvid / f"train/labels/{i}.png", np.full((96, 128), 100 + i, np.uint8))
    with pytest.raises(DataError, match="1.png holds id 101"):
        check(open_set("camvid", camvid, "train"), workers=4)


def test_checking_a_set_without_labels(tmp_path: Path):
    data = open_set("cityscapes", cityscapes(tmp_path, np.zeros((2, 2), np.uint8)), "val")
    with pytest.raises(DataError, match="none of the 2 labels of val has a labelled pixel"):
        check(data)


def test_images_that_a_camera_turned(tmp_path: Path):
    root = folder(tmp_path, 2)
    (root / "val.txt").write_text("00\n")
    path = write_sideways(root / "images/00.jpg", noise(10, 8))
    assert image_size(path) == (10, 8) and read_rgb(path).shape == (8, 10, 3)
    data = open_set("folder", root, "val")
    assert data.read(0)[0].shape == (8, 10, 3)
    assert check(data).sizes == {(8, 10): 1}


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_sizes_come_from_the_files_heads(tmp_path: Path, name: str):
    path = write(tmp_path / name, noise(37, 91))
    assert image_size(path) == (37, 91)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        image_size(path)


def test_indices_of_few_bits(tmp_path: Path):
    ids = np.random.default_rng(0).integers(0, 2, (5, 9), np.uint8)
    assert np.array_equal(read_label(write_indexed(tmp_path / "a.png", ids, 1)), ids)
