"""BiSeNet checkpoints of other projects answer here what they answer there."""

import pytest, torch
import sys, pathlib

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import seeded
from bisenet_ros.checkpoints.convert import convert

NAMES = [
    "coincheung_bisenetv2",
    "coincheung_bisenetv2_2020",
    "coincheung_bisenetv1",
    "coincheung_bisenetv1_2021",
    "coincheung_bisenetv1_2020",
    "mmsegmentation_bisenetv2",
    "mmsegmentation_bisenetv1_r18",
    "mmsegmentation_bisenetv1_r50",
]


@pytest.mark.parametrize("name", NAMES)
def test_p(name, tmp_path):
    m = seeded.manifest(name)
    t = seeded.fill(m["shapes"], m["gain"])
    torch.save({"state_dict": t}, tmp_path / "x.pth")
    c = convert(tmp_path / "x.pth", "cityscapes")
    ref = seeded.reference(name)
    net = c.network
    net.training = True
    with torch.no_grad():
        out = net(seeded.images())
    if isinstance(out, tuple):
        main, aux = out
    else:
        main, aux = out, ()
    ref_main = torch.from_numpy(ref["logits"])
    print(name, c.match.why, float((main - ref_main).abs().max() / ref_main.abs().max()))
    for i, a in enumerate(aux):
        r = torch.from_numpy(ref[f"auxiliary{i}"])
        print(i, float((a[:, :4] - r).abs().max() / r.abs().max()))
    assert (main - ref_main).abs().max() < 1e-5 * ref_main.abs().max()
