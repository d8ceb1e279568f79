"""CamVid: street scenes of Cambridge in 11 classes, with SegNet's or the original labels."""

from __future__ import annotations

from pathlib import Path

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.decoding import Colour, Decoder
from bisenet_ros.datasets.files import folders_in, images_in, label_of, labels_in
from bisenet_ros.datasets.pictures import image_size, read_label
from bisenet_ros.labels import UNLABELLED, LabelSet

CAMVID = LabelSet(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    colours=(
        (70, 130, 180),
        (70, 70, 70),
        (153, 153, 153),
        (128, 64, 128),
        (244, 35, 232),
        (107, 142, 35),
        (220, 220, 0),
        (190, 153, 153),
        (0, 0, 142),
        (220, 20, 60),
        (119, 11, 32),
    ),
)
CAMVID_UNLABELLED = 11  # id of void in the SegNet labels

# The 32 classes of CamVid's label_colors.txt, grouped by the one of the 11 that SegNet's authors
# (arXiv 1511.00561) merged them into; only Void is left out.
ORIGINAL: dict[str, dict[str, Colour]] = {
    "sky": {"Sky": (128, 128, 128)},
    "building": {
        "Building": (128, 0, 0),
        "Archway": (192, 0, 128),
        "Bridge": (0, 128, 64),
        "Tunnel": (64, 0, 64),
        "Wall": (64, 192, 0),
    },
    "pole": {"Column_Pole": (192, 192, 128), "TrafficCone": (0, 0, 64)},
    "road": {
        "Road": (128, 64, 128),
        "LaneMkgsDriv": (128, 0, 192),
        "LaneMkgsNonDriv": (192, 0, 64),
    },
    "pavement": {
        "Sidewalk": (0, 0, 192),
        "ParkingBlock": (64, 192, 128),
        "RoadShoulder": (128, 128, 192),
    },
    "tree": {"Tree": (128, 128, 0), "VegetationMisc": (192, 192, 0)},
    "sign": {
        "SignSymbol": (192, 128, 128),
        "Misc_Text": (128, 128, 64),
        "TrafficLight": (0, 64, 64),
    },
    "fence": {"Fence": (64, 64, 128)},
    "car": {
        "Car": (64, 0, 128),
        "OtherMoving": (128, 64, 64),
        "SUVPickupTruck": (64, 128, 192),
        "Train": (192, 64, 128),
        "Truck_Bus": (192, 128, 192),
    },
    "pedestrian": {
        "Pedestrian": (64, 64, 0),
        "Animal": (64, 128, 64),
        "CartLuggagePram": (64, 0, 192),
        "Child": (192, 128, 64),
    },
    "bicyclist": {"Bicyclist": (0, 128, 192), "MotorcycleScooter": (192, 0, 192)},
}
VOID: Colour = (0, 0, 0)

DECODER = Decoder(
    ids={**{i: i for i in range(len(CAMVID))}, CAMVID_UNLABELLED: UNLABELLED},
    colours={
        **{
            colour: CAMVID.names.index(name)
            for name, merged in ORIGINAL.items()
            for colour in merged.values()
        },
        VOID: UNLABELLED,
    },
    listed="CamVid",
)


def open_camvid(root: Path, split: str) -> LabelledSet:
    """CamVid's ``root/SPLIT/{images,labels}/NAME.png`` (JPEG images work too).

    Labels hold SegNet's ids 0–11 or CamVid's own 32 colours; the latter may keep
    their original name ``NAME_L.png``. ``split`` is any folder of that layout.

    Raises:
        DataError: there is no such split, or an image has no label.
    """
    folder = root / split
    images = images_in(
        folder / "images",
        f"CamVid's SPLIT/images/NAME.png; {root} has the folders {folders_in(root)}",
    )
    labels = labels_in(folder / "labels")
    samples = tuple(
        Sample(
            name,
            path,
            label_of(f"{name}_L" if f"{name}_L" in labels else name, labels, folder / "labels"),
        )
        for name, path in images.items()
    )
    coloured = read_label(samples[0].label).ndim == 3
    height, width = image_size(samples[0].image)
    form = "original labels merged as SegNet's" if coloured else "SegNet re-labelling"
    return LabelledSet(
        labels=CAMVID,
        samples=samples,
        decode=DECODER,
        resolution=(720, 960) if coloured else (360, 480),
        source=f"CamVid {split}, {form}: {len(samples)} images, {width}×{height}, 11 classes",
        licence=_LICENCES[coloured],
        split=split,
    )


_LICENCES = {
    False: "CC BY-NC 4.0 (images Brostow, Fauqueur, Cipolla 2008; labels Kendall et al.)",
    True: "not stated in the data set (Brostow, Fauqueur, Cipolla 2008); research use",
}
