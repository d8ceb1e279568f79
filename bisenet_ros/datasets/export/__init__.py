"""Writes labelled sets in the formats of labelling tools, without loss of classes."""

from bisenet_ros.datasets.export.run import EXPORTERS, export

__all__ = ["EXPORTERS", "export"]
