"""Starts segmentation_node; ``ros2 launch bisenet_ros segment.launch.py --show-args`` lists all.

A launch argument overrides ``params_file`` only if it was given: the first action records which
ones the caller gave, before the declarations fill in the defaults.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.events.process import ProcessExited
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from bisenet_ros.ros.launch_arguments import (
    existing_file,
    fail,
    full_name,
    has_package,
    is_true,
    node_parameters,
    process_options,
    segment_arguments,
)
from bisenet_ros.system.share import share_file

# What rviz2 can show of the node.
SHOWN = ("mask", "mask_color", "overlay", "ground", "ground_points", "points")


def generate_launch_description() -> LaunchDescription:
    """Build the description: record given arguments, declare all of them, start the node."""
    given: dict[str, str] = {}
    arguments = segment_arguments(str(share_file("config/segment.yaml")))
    return LaunchDescription(
        [
            OpaqueFunction(function=lambda context: given.update(context.launch_configurations)),
            *(DeclareLaunchArgument(**argument.declaration) for argument in arguments),
            OpaqueFunction(function=start, args=[[argument.name for argument in arguments], given]),
        ]
    )


def start(context: LaunchContext, names: list[str], given: dict[str, str]) -> list:
    """Start the node and, if requested and installed, rviz2."""
    configurations = context.launch_configurations
    options = process_options(configurations)
    chosen = {name: configurations[name] for name in names}
    for name in set(chosen) - set(given):
        # If left in place, a default would look explicit to the next include of this file.
        del configurations[name]
    nodes: list = [segmentation_node(chosen, given, options)]
    if is_true(chosen["rviz"]) and not has_package("rviz2"):
        nodes.append(LogInfo(msg="warning: rviz2 is not installed, so nothing is shown"))
    elif is_true(chosen["rviz"]):
        base = configurations.get("ros_namespace", "")
        name = full_name(base, chosen["namespace"], chosen["node_name"])
        nodes.append(rviz(chosen, name, options))
    return nodes


def segmentation_node(chosen: dict[str, str], given: dict[str, str], options: dict) -> Node:
    """Describe the node's process."""
    parameters = [existing_file("params_file", chosen["params_file"])]
    explicit = node_parameters(given)
    if explicit:
        # Without a type, launch_ros would read a weights file named 2024 as a number.
        parameters.append({name: typed(value) for name, value in explicit.items()})
    # A plain Node, not LifecycleNode: its parameter `autostart` configures and activates it, in
    # every ROS distribution and also without launch.
    return Node(
        package="bisenet_ros",
        executable="segmentation_node",
        exec_name="segmentation_node",
        name=chosen["node_name"],
        # Always set, so that launch_ros writes the parameters under the node's full name: under
        # a wildcard they would be overridden by a params file that names the node.
        namespace=chosen["namespace"],
        parameters=parameters,
        ros_arguments=["--log-level", chosen["log_level"]] if "log_level" in given else [],
        on_exit=report_failure,
        **options,
    )


def report_failure(event: ProcessExited, context: LaunchContext) -> None:
    """Let the launch end with exit code 1 if the node failed; other nodes of it go on."""
    if event.returncode:
        fail(context, f"segmentation_node failed with exit code {event.returncode}")


def rviz(chosen: dict[str, str], node: str, options: dict) -> Node:
    """Describe rviz2 with the package's configuration, remapped to the chosen topics."""
    camera = full_name(chosen["image_topic"])
    topics = {
        "/camera/image_raw": camera,
        "/camera/image_raw/compressed": f"{camera}/compressed",
        **{f"/bisenet/{name}": f"{node}/{name}" for name in SHOWN},
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
    """Mark strings as such; launch_ros would otherwise infer their type from the content."""
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value
