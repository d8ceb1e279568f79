"""What a process that moves images is started with."""

import pytest

from bisenet_ros.process import (
    FASTDDS,
    FASTRTPS,
    PROFILES,
    process_environment,
    recommended_environment,
)


def test_what_the_user_set_stays():
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
