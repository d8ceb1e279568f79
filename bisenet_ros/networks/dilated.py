"""What networks on a dilated backbone share: building it, the classifier, the auxiliary head."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from bisenet_ros.networks.aspp import AuxiliaryHead
from bisenet_ros.networks.backbones import build_backbone
from bisenet_ros.networks.base import SegmentationNetwork, TrainingOutput
from bisenet_ros.networks.layers import initialise


class DilatedNetwork(SegmentationNetwork):
    """A network whose config names ``backbone``, ``output_stride`` and ``backbone_options``.

    Subclasses build their layers in the order: backbone, what is their own, classifier.
    """

    multiple = 16

    config: Any

    def _build_backbone(self) -> Any:
        """Set ``backbone``; returns its channels by stride."""
        config = self.config
        self.backbone = build_backbone(
            config.backbone, config.output_stride, config.backbone_options
        )
        self.aligned = self.backbone.aligned
        return self.backbone.channels

    def _build_classifier(self, drop: nn.Module) -> None:
        """Set ``drop``, ``classifier`` and, if asked for, ``aux_classifier``, and initialise."""
        config = self.config
        self.drop = drop
        self.classifier = nn.Conv2d(config.width, config.num_classes, kernel_size=1)
        if config.auxiliary:
            stride16 = self.backbone.channels.stride16
            self.aux_classifier = AuxiliaryHead(stride16, config.num_classes)
        for name, child in self.named_children():
            if name != "backbone":  # which has done so itself
                initialise(child)
        nn.init.normal_(self.classifier.weight, std=0.01)

    def _classified(self, x: Tensor, stride16: Tensor) -> Tensor | TrainingOutput:
        """Logits of the head's map, in training with the auxiliary head's of the fourth stage."""
        logits: Tensor = self.classifier(self.drop(x))
        if not (self.training and self.config.auxiliary):
            return logits
        return TrainingOutput(logits, (self.aux_classifier(stride16),))
