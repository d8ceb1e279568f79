"""The weights files of the repository, on frames of the sample drive."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from bisenet_ros.checkpoints import read_card
from bisenet_ros.recordings.frame_stream import Selection
from bisenet_ros.replay.evaluation import RecordingOptions
from bisenet_ros.replay.model import ModelOptions
from bisenet_ros.replay.score import ScoreOptions, score

ROOT = Path(__file__).resolve().parents[2]
DRIVE = ROOT / "test/data/camvid_drive/camvid_drive.mcap"
FILES = sorted((ROOT / "weights").glob("*.safetensors"))
# Of every twelfth frame; the figure of all frames is in weights/README.md.
LEAST_MIOU = {"bisenetv2-camvid": 0.69, "bisenetv2-camvid-fast": 0.68}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_scores_what_its_card_promises(path: Path):
    card = read_card(path)
    assert card.licence.startswith("CC BY-NC 4.0") and "PATH_OF_CAMVID" in card.command
    options = ModelOptions(weights=path, device="cpu", engine="torch", precision="fp32")
    with closing(RecordingOptions().open(str(DRIVE), card.labels)) as source:
        few = ScoreOptions(Selection(every=12), boundaries=False, temporal=False)
        figures = score(source, options.load(), few).figures()
    assert figures["labelled_frames"] == 9
    assert figures["miou"] > LEAST_MIOU[path.stem]
    assert abs(figures["miou"] - card.scores["val_miou"]) < 0.03
    assert figures["calibration"]["expected_calibration_error"] < 0.02
