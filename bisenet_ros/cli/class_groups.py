"""Brings a network and a data set to the same classes, where one of them is grouped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bisenet_ros.cli.inference_options import LoadedModel
from bisenet_ros.label_map import LabelMap

if TYPE_CHECKING:
    import numpy as np

    from bisenet_ros.datasets import LabelledSet


def with_same_classes(
    model: LoadedModel, labelled: LabelledSet, classes: str
) -> tuple[LoadedModel, LabelledSet]:
    """Both with the classes to be scored.

    A network that was trained on groups of the set's classes, as its card says, is scored on
    these. One of the set's own classes has its masks grouped like the labels, if ``classes`` groups
    these: a pixel's group is that of its most probable class.

    Args:
        model: to score.
        labelled: opened with ``classes``.
        classes: see ``LabelMap.parse``; may be empty.

    Raises:
        DataError: the set lacks a class that the network was trained on.
    """
    from bisenet_ros.datasets.grouping import as_trained

    card = model.card
    if card.labels.names == labelled.labels.names:
        return model, labelled
    if not classes:
        return model, as_trained(labelled, card.labels, card.groups) if card.groups else labelled
    known = {name for names in labelled.groups.values() for name in names}
    if known <= set(card.labels.names):
        return _grouped(model, LabelMap.parse(classes, card.labels)), labelled
    return model, labelled


def _grouped(model: LoadedModel, grouping: LabelMap) -> LoadedModel:
    import cv2

    table = grouping.table()
    options = {**model.card.options, "num_classes": len(grouping.labels)}

    def predict(image: np.ndarray) -> np.ndarray:
        return cv2.LUT(model.predict(image), table)

    card = replace(model.card, labels=grouping.labels, options=options)
    return replace(model, card=card, predict=predict)
