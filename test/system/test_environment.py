"""The environment of processes that handle images."""

import socket

import pytest

from bisenet_ros.system import environment as environment_module
from bisenet_ros.system.environment import (
    FASTDDS,
    FASTRTPS,
    PROFILES,
    process_environment,
    recommended_environment,
)


def test_variables_set_by_the_user_are_kept():
    users = {"MALLOC_TOP_PAD_": "7", "OMP_WAIT_POLICY": "ACTIVE", FASTRTPS: "mine.xml"}
    assert not set(recommended_environment(users)) & (set(users) | {FASTDDS})
    assert process_environment(users).items() >= users.items()


@pytest.mark.parametrize(
    ("distribution", "name"),
    [("humble", FASTRTPS), ("jazzy", FASTRTPS), ("kilted", FASTDDS), ("rolling", FASTDDS)],
)
def test_each_distribution_gets_the_profile_under_its_own_name(distribution, name):
    added = recommended_environment({"ROS_DISTRO": distribution})
    assert added[name].endswith(PROFILES[name])
    assert len({FASTDDS, FASTRTPS} & set(added)) == 1
    assert set(added) == {
        name,
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TRIM_THRESHOLD_",
        "MALLOC_TOP_PAD_",
        "OMP_WAIT_POLICY",
    }


@pytest.fixture
def no_ros_settings(monkeypatch):
    for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ROS_DISTRO", raising=False)


def test_the_children_stay_on_this_machine_unless_the_user_says_otherwise(
    no_ros_settings, monkeypatch
):
    environment = environment_module.ros_environment()
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert int(environment["ROS_DOMAIN_ID"]) in environment_module.DOMAINS
    assert "ROS_LOCALHOST_ONLY" not in environment
    monkeypatch.setenv("ROS_DISTRO", "humble")
    assert environment_module.ros_environment()["ROS_LOCALHOST_ONLY"] == "1"
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    environment = environment_module.ros_environment()
    assert environment["ROS_DOMAIN_ID"] == "7"
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"


def test_a_domain_in_use_is_not_chosen(monkeypatch):
    monkeypatch.setattr(environment_module, "DOMAINS", range(90, 92))
    free = environment_module.free_domain()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 7410 + 250 * free))
        assert environment_module.free_domain() != free
