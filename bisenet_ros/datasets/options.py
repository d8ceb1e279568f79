"""What every reader of a data set may be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetOptions:
    """What a reader may be told besides folder and split.

    Attributes:
        val_share: where no list says, the share of the images that is ``val``.
        seed: chooses that share.
        stuff_only: only the stuff classes, of sets that tell stuff from things.
        resize_masks: resize a mask to its image, to the nearest id, where one is an exact multiple
            of the other; otherwise every difference in size is an error.
        skip_unlabelled: leave out images without a label; otherwise the first one is an error.
        group_by: images of one group are never divided between splits: ``folder``, ``prefix`` or a
            regular expression, see ``grouping.group_of``; empty: each image is on its own.
        hold_out: the group that is ``val``, from the set's own ``train`` and ``val`` alike; the
            other groups are ``train``. Empty: none.
        classes: which classes to take, or a file that groups them, see ``LabelMap.parse``; empty:
            all, as they are.
    """

    val_share: float = 0.2
    seed: int = 1
    stuff_only: bool = False
    resize_masks: bool = False
    skip_unlabelled: bool = False
    group_by: str = ""
    classes: str = ""
    hold_out: str = ""
