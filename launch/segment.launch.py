"""Starts segmentation_node; ``ros2 launch bisenet_ros segment.launch.py --show-args`` tells more.

A launch argument that is given wins over ``params_file``, and one that is left out does not: the
first action notes which ones the caller gave, before the declarations fill in the defaults.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from bisenet_ros.ros.launch_arguments import (
    existing_file,
    full_name,
    is_true,
    node_parameters,
    process_options,
    segment_arguments,
)
from bisenet_ros.system.share import share_file


def generate_launch_description() -> LaunchDescription:
    """Build the description: note what was given, declare every argument, start the node."""
    given: dict[str, str] = {}
    arguments = segment_arguments(str(share_file("config/segment.yaml")))
    return LaunchDescription(
        [
            OpaqueFunction(function=lambda context: given.update(context.launch_configurations)),
            *(DeclareLaunchArgument(**argument.declaration) for argument in arguments),
            OpaqueFunction(function=start, args=[[argument.name for argument in arguments], given]),
        ]
    )


def start(context: LaunchContext, names: list[str], given: dict[str, str]) -> list[Node]:
    """Make the actions that start the node and, if asked for, rviz2."""
    configurations = context.launch_configurations
    options = process_options(configurations)
    chosen = {name: configurations[name] for name in names}
    for name in set(chosen) - set(given):
        # Left in place, a default would look given to the next include of this file.
        del configurations[name]
    nodes = [segmentation_node(chosen, given, options)]
    if is_true(chosen["rviz"]):
        base = configurations.get("ros_namespace", "")
        name = full_name(base, chosen["namespace"], chosen["node_name"])
        nodes.append(rviz(chosen, name, options))
    return nodes


def segmentation_node(chosen: dict[str, str], given: dict[str, str], options: dict) -> Node:
    """Describe the node's process."""
    parameters = [existing_file("params_file", chosen["params_file"])]
    explicit = node_parameters(given)
    if explicit:
        # Untyped, launch_ros would read a weights file named 2024 as a number.
        parameters.append({name: typed(value) for name, value in explicit.items()})
    # A plain Node although the node has a lifecycle: it configures and activates itself by its own
    # parameter `autostart`, alike in every ROS distribution and without launch.
    return Node(
        package="bisenet_ros",
        executable="segmentation_node",
        exec_name="segmentation_node",
        name=chosen["node_name"],
        # Always given, so that launch_ros writes the parameters under the node's full name: under
        # a wildcard they would lose against a params file that names the node.
        namespace=chosen["namespace"],
        parameters=parameters,
        ros_arguments=["--log-level", chosen["log_level"]] if "log_level" in given else [],
        **options,
    )


def rviz(chosen: dict[str, str], node: str, options: dict) -> Node:
    """Describe rviz2 with the package's configuration, on the topics chosen here."""
    camera = full_name(chosen["image_topic"])
    topics = {
        "/camera/image_raw": camera,
        "/camera/image_raw/compressed": f"{camera}/compressed",
        "/bisenet/mask": f"{node}/mask",
        "/bisenet/overlay": f"{node}/overlay",
    }
    return Node(
        package="rviz2",
        executable="rviz2",
        exec_name="rviz2",
        arguments=["-d", str(share_file("config/segment.rviz"))],
        parameters=[{"use_sim_time": is_true(chosen["use_sim_time"])}],
        remappings=list(topics.items()),
        **options,
    )


def typed(value: object) -> object:
    """Fix the type of text, which launch_ros would guess from how it looks."""
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value
