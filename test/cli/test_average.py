"""``python -m bisenet_ros average``: a weights file of several, or one line and no file."""

import shlex

import pytest
import torch
from refusal import check_refused

from bisenet_ros.checkpoints import load
from bisenet_ros.cli import main


def test_the_average_is_written(small_weights, tmp_path, capsys):
    out = tmp_path / "mean.safetensors"
    line = ["average", str(small_weights), str(small_weights), "--shares", "2,1", "--out", str(out)]
    assert main(line) == 0
    assert f"{out}: the average of 2 files" in capsys.readouterr().out
    network, card = load(out)
    wanted = load(small_weights)[0].state_dict()
    assert all(
        torch.allclose(tensor, wanted[name], atol=1e-6)
        for name, tensor in network.state_dict().items()
    )
    again = shlex.split(card.command)
    assert again[:4] == ["python", "-m", "bisenet_ros", "average"]
    assert sorted(again[4:]) == sorted(line[1:])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "mean.onnx"], "mean.onnx has the wrong suffix; expected .safetensors"),
        (["--out", "there.safetensors"], "there.safetensors exists; pass the path of a new file"),
        (["--out", "no/mean.safetensors"], "--out no/mean.safetensors"),
        (["--out", "mean.safetensors", "--shares", "2;1"], "--shares is '2;1'; expected numbers"),
        (["--out", "mean.safetensors", "--shares", "1,2,3"], "expected 2 numbers from 0"),
    ],
)
def test_wrong_arguments_are_one_line(
    small_weights, tmp_path, monkeypatch, capsys, arguments, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.safetensors").touch()
    check_refused(capsys, "average", [small_weights, small_weights, *arguments], 2, said)
    assert [path.name for path in tmp_path.iterdir()] == ["there.safetensors"]


def test_a_file_that_is_missing_is_named(small_weights, tmp_path, capsys):
    missing, out = tmp_path / "missing.safetensors", tmp_path / "mean.safetensors"
    check_refused(capsys, "average", [small_weights, missing, "--out", out], 3, str(missing))
    assert not out.exists()
