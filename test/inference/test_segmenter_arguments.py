"""What a Segmenter is given: checked, passed on image by image, and refused in full sentences."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bisenet_ros.errors import ArgumentError, DataError, NonFiniteOutput, WeightsError
from bisenet_ros.inference import OutputRequest, Segmenter
from bisenet_ros.label_map import LabelMap
from bisenet_ros.labels import LabelSet

IMAGE = np.zeros((4, 6, 3), np.uint8)


class Recorder:
    """A pipeline that remembers what it is called with."""

    def __init__(self, fail_at: int = 10**6) -> None:
        self.batches: list[tuple[list[np.ndarray], list[str], list[OutputRequest]]] = []
        self.fail_at = fail_at

    def __call__(self, images, orders, requests):
        self.batches.append((list(images), orders, requests))
        if len(self.batches) == self.fail_at:
            raise NonFiniteOutput("the network computes NaN")
        return list(range(len(images)))

    def submit(self, images, orders, requests):
        return ("ticket", self(images, orders, requests))

    def collect(self, ticket):
        return ticket[1]


@pytest.fixture(scope="module")
def loaded(small_weights):
    return Segmenter(small_weights, device="cpu", precision="fp32", engine="torch")


@pytest.fixture
def segmenter(loaded):
    return copy.copy(loaded)


@pytest.fixture
def pipeline(segmenter, monkeypatch) -> Recorder:
    made = Recorder()
    compute = SimpleNamespace(device=torch.device("cuda", 0))
    engine = SimpleNamespace(pipeline=made, compute=compute)
    monkeypatch.setattr(segmenter, "engine", engine)
    return made


def refusal(call, kind: type[Exception] = ArgumentError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_one_order_and_request_serve_all_images_and_several_one_each(segmenter, pipeline):
    images = [IMAGE, IMAGE[:2]]
    assert segmenter(images) == [0, 1]
    first, second = OutputRequest(overlay=True), OutputRequest(confidence=True)
    assert segmenter(images, "bgr", first) == [0, 1]
    assert segmenter(images, ("bgr", "rgb"), [first, second]) == [0, 1]
    assert segmenter([], "bgr") == []
    assert [batch[1:] for batch in pipeline.batches] == [
        (["rgb", "rgb"], [OutputRequest()] * 2),
        (["bgr", "bgr"], [first, first]),
        (["bgr", "rgb"], [first, second]),
    ]
    assert all(batch[0] == images for batch in pipeline.batches)


def test_batches_are_submitted_and_collected_where_they_overlap(segmenter, pipeline):
    ticket = segmenter.submit([IMAGE], "bgr", OutputRequest(overlay=True))
    assert pipeline.batches == [([IMAGE], ["bgr"], [OutputRequest(overlay=True)])]
    assert segmenter.submit([IMAGE]) and pipeline.batches[1][1:] == (["rgb"], [OutputRequest()])
    assert segmenter.collect(ticket) == [0]
    assert segmenter.overlaps is True
    segmenter.engine.compute.device = torch.device("cpu")
    assert segmenter.overlaps is False
    segmenter.engine.compute.device = torch.device("cuda")
    segmenter.engine.pipeline = lambda *_: []
    assert segmenter.overlaps is False


def test_values_for_other_numbers_of_images_are_refused(segmenter, pipeline):
    expected = "values for 2 images; pass one, or one per image"
    assert refusal(lambda: segmenter([IMAGE] * 2, ["rgb"])) == f"1 {expected}"
    requests = [OutputRequest()] * 3
    assert refusal(lambda: segmenter([IMAGE] * 2, "rgb", requests)) == f"3 {expected}"


def test_each_image_and_request_is_checked(segmenter, pipeline):
    assert refusal(lambda: segmenter([IMAGE] * 2, ["rgb", "RGB"])) == (
        "channel order is 'RGB'; expected rgb or bgr"
    )
    wrong = IMAGE.astype(np.int8)
    assert refusal(lambda: segmenter([IMAGE, wrong]), DataError) == (
        "image is int8 (4, 6, 3); expected uint8 (height, width, 3)"
    )
    for shape in ((4, 6), (4, 6, 1), (1, 4, 6, 3), (0, 6, 3), (4, 0, 3)):
        assert str(shape) in refusal(lambda: segmenter([np.zeros(shape, np.uint8)]), DataError)  # noqa: B023
    for scale in (0.0, -0.5, 1.001, float("nan")):
        request = OutputRequest(scale=scale)
        assert refusal(lambda: segmenter([IMAGE], request=request)) == (  # noqa: B023
            f"scale is {scale}; expected more than 0 and at most 1"
        )
    segmenter([IMAGE], request=OutputRequest(scale=1.0))
    segmenter([IMAGE], request=OutputRequest(scale=0.01))
    assert "rotation is 45 degrees" in refusal(
        lambda: segmenter([IMAGE], request=OutputRequest(rotation=45))
    )
    pair = LabelSet(("a", "b"), ((0, 0, 0), (9, 9, 9)))
    segmenter([IMAGE], request=OutputRequest(label_map=LabelMap(pair, groups=(0, 1, 0))))
    other = OutputRequest(label_map=LabelMap(pair, groups=(0, 1)))
    assert refusal(lambda: segmenter([IMAGE], request=other)) == (
        "the label map groups 2 classes, the network has 3; read it again for this network"
    )
    assert len(pipeline.batches) == 3


def test_the_warm_up_shows_black_white_noise_and_grey_in_every_batch_size(segmenter, pipeline):
    segmenter.warm_up(3)
    batches = [images for images, _, _ in pipeline.batches]
    assert [len(images) for images in batches] == [1, 1, 1, 1, 2, 3]
    assert all(i.shape == (96, 128, 3) and i.dtype == np.uint8 for b in batches for i in b)
    assert [np.unique(images).tolist() for images in batches[:2]] == [[0], [255]]
    assert len(np.unique(batches[2])) == 256
    assert all((image == 114).all() for images in batches[3:] for image in images)
    pipeline.batches.clear()
    segmenter.warm_up()
    assert [len(images) for images, _, _ in pipeline.batches] == [1, 1, 1, 1]


@pytest.mark.parametrize("fail_at", [1, 2, 3, 4])
def test_a_network_that_fails_the_warm_up_is_named_by_its_file(segmenter, pipeline, fail_at):
    pipeline.fail_at = fail_at
    assert refusal(segmenter.warm_up, NonFiniteOutput) == (
        f"{segmenter.weights}: the network computes NaN"
    )


def test_sizes_from_one_to_8192_are_rounded_up_to_the_step(segmenter):
    model = SimpleNamespace(network=SimpleNamespace(logits_size=lambda size: size), input_step=8)
    assert segmenter._resolve_size(model, None) == (96, 128)
    assert segmenter._resolve_size(model, (1, 8192)) == (8, 8192)
    for size in ((0, 8), (8, 0), (8193, 8), (8, 8193), (8,), (8, 8, 8)):
        assert refusal(lambda: segmenter._resolve_size(model, size)) == (  # noqa: B023
            f"input_size is {size}; expected (height, width), each 1 to 8192"
        )


def test_a_size_too_small_for_the_network_is_refused_with_the_networks_reason(segmenter):
    def logits_size(size):
        raise ValueError("nothing would be left")

    model = SimpleNamespace(network=SimpleNamespace(logits_size=logits_size), input_step=8)
    assert refusal(lambda: segmenter._resolve_size(model, (16, 24))) == (
        f"input size 24×16 (width×height) is too small for {segmenter.weights}: "
        "nothing would be left"
    )


def test_an_exported_model_has_the_one_size(segmenter):
    model = SimpleNamespace(network=None, file=SimpleNamespace(size=(72, 104)), input_step=8)
    for asked in (None, (72, 104), (65, 97)):
        assert segmenter._resolve_size(model, asked) == (72, 104)
    with pytest.raises(WeightsError) as caught:
        segmenter._resolve_size(model, (64, 104))
    assert str(caught.value) == (
        f"{segmenter.weights} was exported for 104×72, but the input size is 104×64 "
        "(width×height); leave both at 0 or export it again"
    )


def test_what_the_caller_expects_of_the_weights_is_compared(segmenter):
    segmenter.check(3)
    segmenter.check(resolution=(96, 128))
    assert refusal(lambda: segmenter.check(2), WeightsError) == (
        f"{segmenter.weights} has 3 classes, but num_classes is 2; "
        "leave num_classes at 0 or pass other weights"
    )
    assert refusal(lambda: segmenter.check(0, (128, 96)), WeightsError) == (
        f"{segmenter.weights} was trained at 128×96, but the input size is 96×128 "
        "(width×height); leave both at 0, pass other weights, or allow it with any_input_size"
    )
