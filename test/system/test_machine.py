"""The machine as reports and benchmarks describe it."""

import json

import torch

from bisenet_ros.system.machine import describe, describe_compute


def test_the_machine_is_described():
    facts = describe()
    assert facts["cores"] >= 1 and facts["memory_gib"] > 0 and facts["processor"]


def test_a_benchmark_adds_what_computes():
    facts = describe_compute(torch.device("cpu"), 2)
    assert facts.items() >= describe().items()
    assert facts["threads"] == 2 and facts["torch"] == torch.__version__ and "gpu" not in facts
    json.dumps(facts)
