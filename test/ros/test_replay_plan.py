"""What a replay plays, and what follows when one of its processes ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from bag_maker import BagMaker, picture
from rosbags.rosbag2 import StoragePlugin

from bisenet_ros.errors import DataError
from bisenet_ros.ros.replay_plan import (
    GATE,
    NODE,
    PLAYER,
    SCORER,
    after_exit,
    gate_command,
    plan_replay,
    player_command,
    stepper_arguments,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=list(StoragePlugin), ids=lambda plugin: plugin.name)
def bag(tmp_path_factory, request) -> Path:
    """Three JPEGs on /cam, two raw images on /raw, and a string."""
    folder = tmp_path_factory.mktemp("bags") / "bag"
    with BagMaker(folder, request.param) as maker:
        for i in range(3):
            maker.jpeg("/cam/compressed", i * 10**9, picture(i))
        for i in range(2):
            maker.raw("/raw", i * 10**9, picture(i), "rgb8")
        maker.string("/words", 10**9, "a")
    return folder


def file_of(bag: Path) -> Path:
    return next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))


@pytest.mark.parametrize("as_file", [False, True])
def test_transport_and_frames_are_found_in_folders_and_files(bag, as_file):
    path = str(file_of(bag) if as_file else bag)
    plan = plan_replay(path, ["/cam"], "")
    assert (plan.transport, plan.images) == ("compressed", 3)
    plan = plan_replay(path, ["/raw"], "/cam")
    assert (plan.transport, plan.images) == ("raw", 2)
    assert plan_replay(path, [], "/cam/compressed").images == 0  # a params file decides


def test_the_stepping_player_gets_the_topics_as_they_are_recorded(bag):
    plan = plan_replay(str(bag), ["/raw"], "/cam")
    assert (plan.topic, plan.labels) == ("/raw", "/cam/compressed")
    given = stepper_arguments(plan, "/bisenet/mask", loop=True)
    assert given[:7] == [str(bag), "--topic", "/raw", "--lockstep", "/bisenet/mask", "--also"] + [
        "/cam/compressed"
    ]
    assert given[-1] == "--loop"
    plan = plan_replay(str(bag), [], "")
    given = stepper_arguments(plan, "/bisenet/mask", loop=False)
    assert not {"--topic", "--also", "--loop"} & set(given)


@pytest.mark.parametrize("drive", sorted((ROOT / "test/data").glob("*/metadata.yaml")))
def test_the_shipped_drives_are_planned(drive):
    plan = plan_replay(str(drive.parent), ["/camera/image_raw"], "/camera/labels")
    assert plan.transport == "compressed" and plan.images > 10


@pytest.mark.parametrize(
    ("topics", "labels", "said"),
    [
        (["/front"], "", "no images on /front; it has images on /cam/compressed, /raw"),
        (["/words"], "", "other topics: /words; pass image_topic:=TOPIC"),
        (["/raw"], "/camera/labels", "no images on /camera/labels.*labels_topic:=TOPIC"),
        (["/raw", "/cam"], "", "one transport for all"),
    ],
)
def test_missing_topics_are_named_with_what_there_is(bag, topics, labels, said):
    with pytest.raises(DataError, match=said):
        plan_replay(str(bag), topics, labels)


@pytest.mark.parametrize("text", ["", "missing"])
def test_a_bag_that_is_not_there_is_refused(text, tmp_path):
    with pytest.raises(DataError, match="bag is .*; pass bag:=PATH"):
        plan_replay(text and str(tmp_path / text), ["/cam"], "")


@pytest.mark.parametrize("content", [None, b"", b"{", b"a: [1]", b"\xff\xfe", b"\x00", b"- 1"])
def test_a_folder_that_is_no_bag_is_refused_in_one_line(content, tmp_path):
    if content is not None:
        (tmp_path / "metadata.yaml").write_bytes(content)
    with pytest.raises(DataError) as caught:
        plan_replay(str(tmp_path), ["/cam"], "")
    assert "\n" not in str(caught.value)


def test_home_is_resolved(bag, monkeypatch):
    monkeypatch.setenv("HOME", str(bag.parent))
    assert plan_replay(f"~/{bag.name}", ["/raw"], "").bag == bag


def test_the_player_starts_paused_and_with_a_clock():
    command = player_command(Path("/bag"), 2.0, loop=False)
    assert command[:4] == ["ros2", "bag", "play", "/bag"]
    assert "--start-paused" in command and "--clock" in command and "--loop" not in command
    assert "--loop" in player_command(Path("/bag"), 2.0, loop=True)
    assert "/robot/eyes" in gate_command("/robot/eyes", "/evaluation")


@pytest.mark.parametrize("process", [NODE, SCORER, GATE, PLAYER])
@pytest.mark.parametrize("code", [1, 2, 3, -11])
def test_whatever_fails_ends_the_run_with_a_code(process, code):
    step = after_exit(process, code, ending=False)
    assert step.shutdown and step.failed and process in step.reason and str(code) in step.reason


def test_a_run_ends_when_the_bag_does_and_scores_first():
    assert after_exit(GATE, 0, ending=False) == after_exit("rviz2", 1, ending=False)
    assert not after_exit(GATE, 0, ending=False).shutdown
    step = after_exit(PLAYER, 0, ending=False)
    assert step.shutdown and not step.failed and step.after_s > 0
    assert after_exit(NODE, 0, ending=False).shutdown


def test_failures_while_ending_count_except_of_those_that_are_interrupted():
    assert after_exit(SCORER, 1, ending=True).failed  # it had nothing to score
    assert after_exit(NODE, -11, ending=True).failed
    for process, code in ((PLAYER, -2), (GATE, 1), (NODE, 0), (SCORER, 0)):
        assert not after_exit(process, code, ending=True).failed
