"""Plays a bag through segmentation_node and scores its masks against the labels in the bag.

Also accepts the arguments of segment.launch.py (weights, device, image_topic, rviz …). The player
waits until node and scorer are connected to it; when the bag ends, everything shuts down and the
scores are in ``out``. Whatever fails ends the run with exit code 1.
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
    fail,
    full_name,
    image_topics,
    is_true,
    process_options,
    rate_factor,
)
from bisenet_ros.ros.replay_plan import (
    GATE,
    NODE,
    PLAYER,
    SCORER,
    ReplayPlan,
    after_exit,
    gate_command,
    plan_replay,
    player_command,
    stepper_arguments,
)

REPORT_TIMEOUT_S = "3600"  # the scorer writes its report after the signal that ends it


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
    """Start the scorer, the paused player and the gate that resumes it."""
    chosen = context.launch_configurations
    namespace = chosen.get("ros_namespace", "")
    node = full_name(namespace, chosen.get("namespace", ""), chosen.get("node_name", "bisenet"))
    plan = plan_replay(chosen["bag"], image_topics(chosen), chosen["labels_topic"])
    if plan.images and not {"image_transport", "params_file"} & set(chosen):
        chosen["image_transport"] = plan.transport
    speed, loop = rate_factor(chosen["rate_factor"]), is_true(chosen["loop"])
    if not speed and not {"rate", "params_file"} & set(chosen):
        chosen["rate"] = "0.0"  # every frame: the bag's time stands still until it is served
    options = process_options(chosen)
    score = scorer(chosen, node, plan, options)
    names = {score: SCORER}
    if speed:
        play = ExecuteProcess(cmd=player_command(plan.bag, speed, loop), name=PLAYER, **options)
        gate = ExecuteProcess(
            cmd=gate_command(node, full_name(namespace, "evaluation")), name=GATE, **options
        )
        names |= {play: PLAYER, gate: GATE}
    else:
        play = Node(
            package="bisenet_ros",
            executable="camera_player",
            exec_name=PLAYER,
            arguments=stepper_arguments(plan, f"{node}/mask", loop),
            **options,
        )
        names |= {play: PLAYER}

    def on_exit(event: ProcessExited, context: LaunchContext) -> list:
        started_here = event.process_name.startswith(NODE)
        name = names.get(event.action, NODE if started_here else "")
        step = after_exit(name, event.returncode, context.is_shutdown)
        if step.failed:
            fail(context, step.reason)
        if not step.shutdown or context.is_shutdown:
            return []
        end = Shutdown(reason=step.reason)
        return [TimerAction(period=step.after_s, actions=[end])] if step.after_s else [end]

    return [RegisterEventHandler(OnProcessExit(on_exit=on_exit)), *names]


def scorer(chosen: dict[str, str], node: str, plan: ReplayPlan, options: dict) -> Node:
    """Describe evaluation_node, which writes its scores on shutdown."""
    return Node(
        package="bisenet_ros",
        executable="evaluation_node",
        exec_name=SCORER,
        name="evaluation",
        parameters=[
            {
                "mask_topic": f"{node}/mask",
                "label_names_topic": f"{node}/labels",
                "confidence_topic": f"{node}/confidence",
                "labels_topic": chosen["labels_topic"],
                "out": chosen["out"],
                "bag": "" if is_true(chosen["loop"]) else str(plan.bag),
                "bag_image_topic": plan.topic,
                "bag_label_topic": plan.labels,
                "expected_frames": 0 if is_true(chosen["loop"]) else plan.images,
                "require_score": bool(chosen["labels_topic"]),
                "use_sim_time": True,
            }
        ],
        **{**options, "sigterm_timeout": REPORT_TIMEOUT_S, "sigkill_timeout": REPORT_TIMEOUT_S},
    )
