"""The stream: the same item for the same number, every image once an epoch, shared evenly."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from bisenet_ros.training.augmentation import RandomView
from bisenet_ros.training.sampling import ResumableSampler, Stream, order


class Numbered:
    """Five images; image i is filled with i and labelled i, but for image 4: a corner of id 9."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 5

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append(index)
        label = np.full((40, 50), index, np.uint8)
        if index == 4:
            label[:8, :8] = 9
        return np.full((40, 50, 3), 20 * index, np.uint8), label


VIEW = RandomView((32, 32), (0.9, 1.5))


def test_an_item_depends_on_its_number_and_the_seed_alone():
    first, second, other = (Stream(Numbered(), VIEW, seed) for seed in (1, 1, 2))
    images = {}
    for k in (0, 7, 3, 7):
        image, label = first[k]
        assert image.dtype == torch.uint8 and image.shape == (3, 32, 32)
        assert label.dtype == torch.int64 and label.shape == (32, 32)
        same = images.setdefault(k, image)
        assert torch.equal(same, image)
    assert all(torch.equal(second[k][0], image) for k, image in images.items())
    assert not all(torch.equal(other[k][0], image) for k, image in images.items())


def test_every_image_is_seen_once_an_epoch_in_another_order():
    pairs = Numbered()
    stream = Stream(pairs, VIEW, 3)
    for k in range(15):
        stream[k]
    epochs = [pairs.asked[i : i + 5] for i in (0, 5, 10)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert epochs[1] == order(5, 3, 1)


def test_a_share_goes_on_where_it_is_told_and_keeps_its_length():
    whole, rest = ResumableSampler(4, 3), ResumableSampler(4, 3, start=2)
    assert list(whole) == list(range(12))
    assert list(rest) == list(range(6, 12))
    assert len(whole) == len(rest) == 12


def test_rare_classes_are_pasted_with_their_own_pixels():
    pairs = Numbered()
    donors = {9: np.array([4])}
    stream = Stream(pairs, VIEW, 1, donors, paste_chance=1.0)
    seen = Counter()
    for k in range(20):
        image, label = stream[k]
        found = label == 9
        assert found.any()
        # The donor is image 4, whose pixels are all 80 where the view does not reach outside.
        assert set(image[0][found].tolist()) <= {80, *range(80, 115)}
        seen.update(label.unique().tolist())
    assert len(seen) > 3


def test_without_donors_nothing_is_pasted():
    assert Stream(Numbered(), VIEW, 1, {9: np.array([], int)}, 1.0).paste_chance == 0
