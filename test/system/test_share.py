"""Files that are named by a path, or by what ships with the package."""

from __future__ import annotations

import pytest

from bisenet_ros.errors import DataError
from bisenet_ros.system.share import preset_file, presets


def test_a_name_is_a_shipped_file_and_a_path_is_itself(tmp_path, monkeypatch):
    mine = tmp_path / "mine.yaml"
    mine.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAPS", str(tmp_path))
    for name in (str(mine), "~/mine.yaml", "$MAPS/mine.yaml"):
        assert preset_file("label_maps", name) == mine
    monkeypatch.chdir(tmp_path)
    assert preset_file("label_maps", "mine.yaml").samefile(mine)
    shipped = preset_file("label_maps", "nav2_ground")
    assert shipped in presets("label_maps") and shipped.name == "nav2_ground.yaml"
    assert {"camvid", "cityscapes", "nav2_ground"} <= {path.stem for path in presets("costs")}


@pytest.mark.parametrize("name", ["nav2_grund", "../costs/camvid", "nothing.yaml", "/", "", "."])
def test_what_is_not_there_is_named_with_what_is(name):
    with pytest.raises(DataError, match="nav2_ground"):
        preset_file("label_maps", name)
