"""Checkpoints are read without executing anything; what is not one is refused in one line."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.errors import DataError
from bisenet_ros.training.checkpoint import read_checkpoint, steps_done

GOOD = {"global_step": 5, "state_dict": {"network.a": torch.ones(3)}, "loops": {"fit": {"n": 1}}}


class Trap:
    """Runs a command when it is unpickled without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_a_plain_checkpoint_is_read(tmp_path):
    torch.save(GOOD, tmp_path / "last.ckpt")
    assert steps_done(tmp_path / "last.ckpt") == 5
    assert torch.equal(read_checkpoint(tmp_path / "last.ckpt")["state_dict"]["network.a"],
                       torch.ones(3))  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True])
def test_hidden_code_is_named_and_not_run(tmp_path, legacy):
    path, mark = tmp_path / "last.ckpt", tmp_path / "executed"
    torch.save({**GOOD, "callbacks": Trap(mark)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(DataError, match=r"last\.ckpt holds (posix|os)\.system") as caught:
        steps_done(path)
    assert not mark.exists()
    assert "\n" not in str(caught.value)


def test_objects_of_this_package_are_refused_too(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({**GOOD, "path": Path("a")}, path)
    with pytest.raises(DataError, match="holds pathlib"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"global_step": "5", "state_dict": {}}, {"global_step": 5}]
)
def test_other_content_is_not_a_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(DataError, match="not a checkpoint of a training run"):
        read_checkpoint(tmp_path / "last.ckpt")


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="drop --resume"):
        steps_done(tmp_path / "last.ckpt")


@settings(max_examples=60)
@given(data=st.data())
def test_damaged_files_are_refused_in_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "damaged.ckpt"
    kind = data.draw(st.sampled_from(["noise", "cut", "flipped", "pickle"]))
    torch.save(GOOD, path)
    good = path.read_bytes()
    if kind == "noise":
        path.write_bytes(data.draw(st.binary(max_size=200)))
    elif kind == "cut":
        path.write_bytes(good[: data.draw(st.integers(0, len(good) - 1))])
    elif kind == "flipped":
        changed = bytearray(good)
        for _ in range(8):
            changed[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(bytes(changed))
    else:
        path.write_bytes(pickle.dumps(data.draw(st.dictionaries(st.text(), st.integers()))))
    try:
        assert isinstance(read_checkpoint(path)["global_step"], int)
    except DataError as error:
        assert "damaged.ckpt" in str(error) and "\n" not in str(error)
