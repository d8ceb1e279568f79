"""Checkpoints of five sources become networks that answer as the sources' own do."""

from __future__ import annotations

import json
import re

import deeplab_cases
import numpy as np
import pytest
import seeded
import torch
from deeplab_cases import CASES, DETECT
from torch import Tensor

from bisenet_ros.checkpoints.convert import torchvision
from bisenet_ros.checkpoints.convert.base import Rule
from bisenet_ros.errors import WeightsError
from bisenet_ros.networks.registry import build

TOLERANCE = 1e-5  # of the largest logit; other processors add up in another order
KEPT = [name for name, case in CASES.items() if case.kept]
MANIFESTS = sorted({CASES[name].manifest for name in KEPT})


def on_meta(case: str) -> dict[str, Tensor]:
    return {
        key: torch.empty(shape, device="meta")
        for key, shape in deeplab_cases.shapes_of(case).items()
    }


def worst(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    return max(deeplab_cases.relative(deeplab_cases.sample(ours[k]), theirs[k]) for k in ours)


def reference(case: str) -> dict[str, np.ndarray]:
    theirs = seeded.reference(case)
    theirs.pop("shape")
    return theirs


@pytest.mark.parametrize("case", KEPT)
def test_converted_networks_answer_as_the_source_does(case):
    network = deeplab_cases.converted(
        case, seeded.fill(deeplab_cases.shapes_of(case), seeded.RESIDUAL_GAIN)
    )
    ours = deeplab_cases.answers(case, network)
    assert ours["logits"].shape == tuple(seeded.reference(case)["shape"])
    theirs = reference(case)
    assert ours.keys() == theirs.keys()
    assert worst(ours, theirs) < TOLERANCE


def reverse_rates(network):
    convs = [branch.conv for branch in list(network.aspp.convs)[1:]]
    for conv, (padding, dilation) in zip(
        convs, [(c.padding, c.dilation) for c in reversed(convs)], strict=True
    ):
        conv.padding, conv.dilation = padding, dilation


def lose_bias(network):
    network.classifier.bias.data.zero_()


def pool_first(network):
    network.aspp.pooling_first = True


def first_block_keeps_dilation(network):
    for conv in (
        m for m in network.backbone.features[14].modules() if m.__class__ is torch.nn.Conv2d
    ):
        if conv.kernel_size == (3, 3):
            conv.dilation = (2, 2)
    network.backbone.features[14].pad = 2


def swap_last_tensors(network):
    convs = network.aspp.convs
    convs[1].conv.weight, convs[2].conv.weight = convs[2].conv.weight, convs[1].conv.weight


@pytest.mark.parametrize(
    "mistake",
    [reverse_rates, lose_bias, pool_first, first_block_keeps_dilation, swap_last_tensors],
)
def test_mistakes_are_seen(mistake):
    case = "vainf_deeplabv3plus_mobilenet"
    state = seeded.fill(deeplab_cases.shapes_of(case), seeded.RESIDUAL_GAIN)
    network = deeplab_cases.converted(case, state)
    mistake(network)
    assert worst(deeplab_cases.answers(case, network), reference(case)) > 100 * TOLERANCE


@pytest.mark.parametrize(
    "option",
    [
        {"backbone_options": {"padding": "depthwise"}},
        {"output_stride": 8},
        {"decoder_concatenation": "low_level_last"},
        {"align_corners": True},
    ],
    ids=lambda option: next(iter(option)),
)
def test_options_that_the_source_does_not_have_are_seen(option):
    case = "vainf_deeplabv3plus_mobilenet"
    state = seeded.fill(deeplab_cases.shapes_of(case), seeded.RESIDUAL_GAIN)
    network = deeplab_cases.converted(case, state)
    match = deeplab_cases.detect(case, state)
    other = build(
        match.architecture, match.num_classes, **{**match.options, "auxiliary": False, **option}
    ).eval()
    other.load_state_dict(network.state_dict())
    assert worst(deeplab_cases.answers(case, other), reference(case)) > 100 * TOLERANCE


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_checkpoint_is_known_to_its_own_source_alone(manifest):
    tensors = on_meta(manifest)
    for name, detect in DETECT.items():
        found = detect(tensors)
        if manifest.startswith(name):
            assert found is not None
            assert found.why and found.num_classes in (19, 21)
        else:
            assert found is None, name


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_options_of_a_match_survive_json(manifest):
    """They go into the model card."""
    match = deeplab_cases.detect(manifest, on_meta(manifest))
    options = json.loads(json.dumps(match.options))
    assert options == match.options
    assert set(match.assumed) <= set(options)
    with torch.device("meta"):
        network = build(match.architecture, match.num_classes, auxiliary=False, **options)
    again = json.loads(json.dumps(vars(network.config)))
    with torch.device("meta"):
        assert build(match.architecture, **again).config == network.config


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_no_rule_of_a_table_is_idle_or_ambiguous(manifest):
    """Each key meets one rule alone, so that the order of a table does not matter."""
    tensors = on_meta(manifest)
    match = deeplab_cases.detect(manifest, tensors)
    used: set[Rule] = set()
    for key in tensors:
        (name,) = [rule for rule in match.table if re.fullmatch(rule.pattern, key)]
        used.add(name)
    assert used == set(match.table)


def deeper(manifest: str, stage: str) -> dict[str, Tensor]:
    """The checkpoint of the same network on ResNet-101: the third stage has 23 blocks."""
    tensors = on_meta(manifest)
    last = {key: value for key, value in tensors.items() if key.startswith(f"{stage}.5.")}
    assert last
    for block in range(6, 23):
        tensors |= {k.replace(f"{stage}.5.", f"{stage}.{block}."): v for k, v in last.items()}
    return tensors


@pytest.mark.parametrize(
    ("manifest", "stage"),
    [
        ("torchvision_deeplabv3_resnet50", "backbone.layer3"),
        ("vainf_deeplabv3plus_resnet50", "backbone.layer3"),
        ("semseg_pspnet_resnet50", "layer3"),
        ("mmsegmentation_deeplabv3plus_resnet50", "backbone.layer3"),
    ],
)
def test_the_depth_is_told_by_the_third_stage(manifest, stage):
    assert deeplab_cases.detect(manifest, on_meta(manifest)).options["backbone"] == "resnet50"
    tensors = deeper(manifest, stage)
    assert deeplab_cases.detect(manifest, tensors).options["backbone"] == "resnet101"
    deeplab_cases.converted(manifest, tensors)
    cut = {key: value for key, value in tensors.items() if f"{stage}.1" not in key}
    with pytest.raises(WeightsError, match="blocks in .*layer3.*half a checkpoint"):
        deeplab_cases.detect(manifest, cut)


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_half_a_checkpoint_names_what_is_missing(manifest):
    tensors = on_meta(manifest)
    match = deeplab_cases.detect(manifest, tensors)
    outputs = [k for k, v in tensors.items() if v.ndim == 4 and v.shape[0] == match.num_classes]
    for key in outputs:
        rest = {k: v for k, v in tensors.items() if k != key}
        try:
            found = DETECT[manifest.partition("_")[0]](rest)
        except WeightsError as error:
            assert "\n" not in str(error)
            assert "half" in str(error) or key in str(error)
        else:  # the framework then names the tensor that is not filled
            assert found is None or found.num_classes in (0, match.num_classes)  # 0: not told


def test_a_classifier_of_another_kind_is_refused():
    tensors = on_meta("torchvision_deeplabv3_resnet50")
    tensors["classifier.4.weight"] = torch.empty(21, device="meta")
    with pytest.raises(WeightsError, match="classifier.4.weight has 1 dimensions"):
        deeplab_cases.detect("torchvision_deeplabv3_resnet50", tensors)


@pytest.mark.parametrize(
    ("source", "keys", "message"),
    [
        (
            "torchvision",
            ("backbone.conv1.weight", "classifier.0.weight", "classifier.4.weight"),
            "FCN",
        ),
        ("torchvision", ("backbone.0.0.weight", "classifier.0.convs.0.0.weight"), "MobileNetV3"),
        ("vainf", ("classifier.aspp.convs.0.0.weight", "backbone.stage4.0.x"), "HRNet"),
        ("vainf", ("classifier.classifier.0.body.0.weight",), "separable_conv"),
        ("semseg", ("layer0.0.weight", "psa.reduce_p.0.weight"), "PSANet"),
        ("kazuto", ("base.layer1.conv1.conv.weight", "base.aspp.stages.c0.conv.weight"), "v2"),
        (
            "mmsegmentation",
            (
                "decode_head.image_pool.1.conv.weight",
                "decode_head.conv_seg.weight",
                *(f"backbone.layer3.{i}.conv1.weight" for i in range(6)),
            ),
            "no backbone.stem.0.weight",
        ),
    ],
)
def test_networks_of_a_source_that_are_not_built_here_are_named(source, keys, message):
    tensors = {key: torch.empty(4, 4, 1, 1, device="meta") for key in keys}
    with pytest.raises(WeightsError, match=message) as caught:
        DETECT[source](tensors)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


def test_mmsegmentation_on_a_resnet_with_the_7_by_7_stem():
    manifest = "mmsegmentation_pspnet_resnet50"
    tensors = {k: v for k, v in on_meta(manifest).items() if not k.startswith("backbone.stem.")}
    tensors["backbone.conv1.weight"] = torch.empty(64, 3, 7, 7, device="meta")
    tensors |= {
        key.replace("backbone.stem.7", "backbone.bn1"): value
        for key, value in on_meta(manifest).items()
        if key.startswith("backbone.stem.7.")
    }
    network = deeplab_cases.converted(manifest, tensors)
    assert network.config.backbone_options == {"stem_channels": [64]}


def test_kazuto_without_the_wrapper_of_scales():
    name = "kazuto_deeplabv2_resnet101"
    tensors = {key.removeprefix("base."): value for key, value in on_meta(name).items()}
    deeplab_cases.converted(name, tensors)


class TestBackbones:
    """Classifiers of whole images, whose bodies start a backbone."""

    def whole(self, backbone: str) -> dict[str, Tensor]:
        from bisenet_ros.networks.backbones import build_backbone

        with torch.device("meta"):
            state = dict(build_backbone(backbone, 32, {}).state_dict())
            if backbone == "mobilenetv2":
                state |= {"features.18.0.weight": torch.empty(1280, 320, 1, 1)}
                state |= {"classifier.1.weight": torch.empty(1000, 1280)}
            else:
                state |= {"fc.weight": torch.empty(1000, 2048), "fc.bias": torch.empty(1000)}
        return state

    @pytest.mark.parametrize("backbone", ["resnet50", "resnet101", "mobilenetv2"])
    def test_names_are_torchvisions(self, backbone):
        tensors = self.whole(backbone)
        match = torchvision.detect_backbone(tensors)
        assert match is not None
        assert (match.architecture, match.num_classes) == (backbone, 1000)

        left = [
            key for key in tensors if not any(re.fullmatch(r.pattern, key) for r in match.table)
        ]
        assert left and all(any(re.fullmatch(d, key) for d in match.dropped) for key in left)

    @pytest.mark.parametrize("backbone", ["resnet50", "mobilenetv2"])
    def test_as_a_network_they_are_refused_with_what_they_are_good_for(self, backbone):
        with pytest.raises(WeightsError, match="backbone_weights"):
            torchvision.detect(self.whole(backbone))

    def test_resnets_that_are_not_built_here_are_not_taken_for_others(self):
        tensors = self.whole("resnet50")
        shallow = {k: v for k, v in tensors.items() if "conv3" not in k}  # as of ResNet-34
        assert torchvision.detect_backbone(shallow) is None
