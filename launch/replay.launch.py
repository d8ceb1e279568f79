"""Plays a bag through segmentation_node and scores its masks against the labels in the bag.

Also accepts the arguments of segment.launch.py (weights, device, image_topic, rviz …). The bag
starts once the node is ready; when it ends, everything shuts down and the scores are in ``out``.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from bisenet_ros.ros.launch_arguments import (
    REPLAY,
    bag_transport,
    full_name,
    has_topic,
    is_true,
    process_options,
    rate_factor,
)

CLOCK = "100"  # Hz of /clock; its period bounds the error of measured ages
DISCOVERY = "1.0"  # seconds from starting the player to its first image
SETTLE = 2.0  # seconds for the last masks to be computed and scored


def generate_launch_description() -> LaunchDescription:
    """Build the description; the node's own arguments come from the included file."""
    segment = Path(__file__).with_name("segment.launch.py")
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(**argument.declaration) for argument in REPLAY),
            OpaqueFunction(function=start),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(segment)),
                launch_arguments={"use_sim_time": "true"}.items(),
            ),
        ]
    )


def start(context: LaunchContext) -> list:
    """Start the scorer, and the player once the node is ready."""
    chosen = context.launch_configurations
    node = full_name(
        chosen.get("ros_namespace", ""),
        chosen.get("namespace", ""),
        chosen.get("node_name", "bisenet"),
    )
    transport = bag_transport(chosen["bag"], chosen.get("image_topic", "/camera/image_raw"))
    if not {"image_transport", "params_file"} & set(chosen):
        chosen["image_transport"] = transport
    if lockstep(chosen) and not {"rate", "params_file"} & set(chosen):
        chosen["rate"] = "0.0"  # every frame: the bag's time stands still until it is served
    options = process_options(chosen)
    stepped = lockstep(chosen)
    play = stepper(chosen, node, transport, options) if stepped else player(chosen, options)
    waiting = wait_for(node, options)

    def on_exit(event: ProcessExited, _: LaunchContext) -> list:
        if event.action is waiting:
            return [play] if event.returncode == 0 else [Shutdown(reason="waiting for node failed")]
        if event.process_name.startswith("segmentation_node"):
            return [Shutdown(reason="the node exited")]
        return []

    return [
        RegisterEventHandler(OnProcessExit(on_exit=on_exit)),
        scorer(chosen, node, options),
        waiting,
    ]


def scorer(chosen: dict[str, str], node: str, options: dict) -> Node:
    """Describe evaluation_node, which writes its scores on shutdown."""
    return Node(
        package="bisenet_ros",
        executable="evaluation_node",
        exec_name="evaluation_node",
        name="evaluation",
        parameters=[
            {
                "mask_topic": f"{node}/mask",
                "label_names_topic": f"{node}/labels",
                "labels_topic": chosen["labels_topic"],
                "out": chosen["out"],
                "use_sim_time": True,
            }
        ],
        on_exit=[Shutdown(reason="evaluation_node exited")],
        **options,
    )


def wait_for(node: str, options: dict) -> ExecuteProcess:
    """Describe a process that exits once the node has loaded its weights and published labels."""
    kind, qos = "std_msgs/msg/String", ["--qos-durability", "transient_local"]
    qos += ["--qos-reliability", "reliable"]
    topic = ["ros2", "topic", "echo", "--once", "--no-daemon", f"{node}/labels", kind, *qos]
    return ExecuteProcess(cmd=topic, name="wait_for_node", **{**options, "output": "log"})


def player(chosen: dict[str, str], options: dict) -> ExecuteProcess:
    """Describe ``ros2 bag play``; when it exits, everything shuts down."""
    command = ["ros2", "bag", "play", chosen["bag"], "--clock", CLOCK]
    command += ["--rate", str(rate_factor(chosen["rate_factor"]))]
    command += ["--delay", DISCOVERY, "--disable-keyboard-controls"]
    command += ["--loop"] if is_true(chosen["loop"]) else []
    return ExecuteProcess(cmd=command, name="player", on_exit=[finish()], **options)


def lockstep(chosen: dict[str, str]) -> bool:
    """Whether frames are played as fast as every one is served."""
    return rate_factor(chosen["rate_factor"]) == 0


def stepper(chosen: dict[str, str], node: str, transport: str, options: dict) -> Node:
    """Describe camera_player, which waits for the mask of each frame and steps /clock."""
    topic = chosen.get("image_topic", "/camera/image_raw")
    topic += "/compressed" if transport == "compressed" else ""
    arguments = [chosen["bag"], "--topic", topic, "--lockstep", f"{node}/mask"]
    if has_topic(chosen["bag"], chosen["labels_topic"]):
        arguments += ["--also", chosen["labels_topic"]]
    arguments += ["--stamps", "original", "--clock", CLOCK, "--wait-for-subscribers", "1"]
    arguments += ["--loop"] if is_true(chosen["loop"]) else []
    return Node(
        package="bisenet_ros",
        executable="camera_player",
        exec_name="player",
        arguments=arguments,
        on_exit=[finish()],
        **options,
    )


def finish() -> TimerAction:
    """Shut down once the last masks are scored."""
    return TimerAction(period=SETTLE, actions=[Shutdown(reason="the bag ended")])
