"""Run the node for minutes and watch what may creep: memory, files, threads, ages, losses.

    .venv/bin/python scripts/soak.py --minutes 10 --json soak.json --plot soak.png

A camera process publishes raw images at a fixed rate; the node segments them with an untrained
network small enough to keep up; this process notes which of them come back as masks and samples
/proc. It prints a table and ends with 1 if a frame was lost or something grew.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bisenet_ros.system.environment import process_environment  # noqa: E402

MAX_GROWTH_MB = 30  # of resident memory between the first and the last fifth of the run
START_PATIENCE = 90.0
# Seconds from the first mask on that are judged apart: the readers are still opening the writers'
# memory, and what was sent before comes at once.
SETTLING = 2.0


@dataclass
class Sample:
    """The node's process at one moment."""

    seconds: float
    rss_mb: float
    files: int
    threads: int
    age_ms_p50: float
    age_ms_p99: float
    received: int
    published: int
    superseded: int


def main() -> int:
    """Parse, restart in the right environment, run, report."""
    arguments = parse()
    if arguments.camera:
        return publish(arguments)
    if os.environ.get("BISENET_SOAK") != "1":
        environment = {
            "ROS_DOMAIN_ID": "93",
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            **process_environment(),  # with the user's own, where he set them
            "PYTHONPATH": str(ROOT),
            "BISENET_SOAK": "1",
        }
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    with tempfile.TemporaryDirectory() as folder:
        result = soak(arguments, Path(folder))
    show(result)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")
    if arguments.plot:
        plot(result, Path(arguments.plot))
    return 1 if result["problems"] else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the run")
    parser.add_argument("--hz", type=float, default=30.0, help="images a second")
    parser.add_argument("--rate", type=float, default=0.0, help="the node's rate; 0: every frame")
    parser.add_argument("--size", default="1080x1920", help="camera, height x width")
    parser.add_argument("--input", default="96x160", help="network, height x width")
    parser.add_argument("--threads", type=int, default=0, help="of the node; 0: as it likes")
    parser.add_argument("--json", help="write the result here")
    parser.add_argument("--plot", help="write a picture of it here (PNG)")
    parser.add_argument("--camera", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def sides(text: str) -> tuple[int, int]:
    """``1080x1920`` as (1080, 1920)."""
    height, width = text.lower().split("x")
    return int(height), int(width)


def publish(arguments: argparse.Namespace) -> int:
    """The camera process: publish until a signal."""
    import numpy as np
    import rclpy
    from sensor_msgs.msg import Image

    height, width = sides(arguments.size)
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node("soak_camera")
    publisher = node.create_publisher(Image, "/camera/image_raw", 5)
    message = Image(height=height, width=width, step=width * 3, encoding="rgb8")
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    message.data.frombytes(pixels.tobytes())
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    while not publisher.get_subscription_count() and not stopped:
        time.sleep(0.05)
    time.sleep(0.5)  # the node may know this publisher a little later than we know the node
    start, sent = time.monotonic(), 0
    while not stopped:
        message.header.stamp = node.get_clock().now().to_msg()
        message.header.frame_id = str(sent)  # outputs keep it, which tells who came back
        publisher.publish(message)
        sent += 1
        time.sleep(max(0.0, start + sent / arguments.hz - time.monotonic()))
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


def soak(arguments: argparse.Namespace, folder: Path) -> dict:
    """Run camera and node, watch them; the result as JSON values."""
    weights = make_weights(folder, sides(arguments.input))
    log = (folder / "node.log").open("w")
    options = {
        "weights": weights,
        "rate": arguments.rate,
        "device": "auto",
        "stale_after": 5.0,
        "threads": arguments.threads,
    }
    given = [x for name, value in options.items() for x in ("-p", f"{name}:={value}")]
    command = [sys.executable, "-m", "bisenet_ros.ros.segmentation_node", "--ros-args", *given]
    node = subprocess.Popen(command, stdout=log, stderr=log)
    camera = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--camera"])
    try:
        watched = watch(node, 60 * arguments.minutes)
    finally:
        camera.terminate()
        camera.wait(30)
        node.send_signal(signal.SIGINT)
        code = node.wait(20)
    return judge(arguments, watched, code)


def make_weights(folder: Path, size: tuple[int, int]) -> Path:
    """An untrained network that is small enough for any CPU to keep up with the camera."""
    from bisenet_ros.checkpoints import ModelCard, save
    from bisenet_ros.labels import LabelSet
    from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config

    options = {"num_classes": 3, "head_width": 32, "auxiliary": False}
    labels = LabelSet(("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    card = ModelCard("bisenetv2", options, labels, mean, std, size)
    return save(folder / "soak.safetensors", BiSeNetV2(BiSeNetV2Config(**options)), card)


def watch(node: subprocess.Popen, seconds: float) -> dict:
    """Collect mask arrivals and a sample a second, from the first mask on."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    rclpy.init()
    peer = rclpy.create_node("soak_watch")
    arrivals: list[tuple[float, int]] = []  # seconds, number of the frame
    newest: dict[str, str] = {}

    def count(mask: Image) -> None:
        arrivals.append((time.monotonic(), int(mask.header.frame_id)))

    def keep(array: DiagnosticArray) -> None:
        for status in array.status:
            if ": camera" in status.name:
                newest.update({v.key: v.value for v in status.values})

    peer.create_subscription(Image, "/bisenet/mask", count, 5)
    peer.create_subscription(DiagnosticArray, "/diagnostics", keep, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(peer)
    samples: list[Sample] = []
    waited = time.monotonic() + START_PATIENCE
    while not arrivals and time.monotonic() < waited:
        executor.spin_once(timeout_sec=0.1)
    start = due = time.monotonic()
    while time.monotonic() - start < seconds and node.poll() is None:
        executor.spin_once(timeout_sec=0.1)
        if time.monotonic() >= due and newest:
            samples.append(sample(node.pid, time.monotonic() - start, newest))
            due += 1.0
    until = time.monotonic() + 2.0  # the last report counts what came last
    while time.monotonic() < until:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    peer.destroy_node()
    rclpy.shutdown()
    return {"arrivals": arrivals, "samples": samples, "last": dict(newest)}


def sample(pid: int, seconds: float, values: dict[str, str]) -> Sample:
    """Read /proc and the newest diagnostics."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Sample(
        seconds=round(seconds, 2),
        rss_mb=round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        files=len(os.listdir(f"/proc/{pid}/fd")),
        threads=len(os.listdir(f"/proc/{pid}/task")),
        age_ms_p50=float(values["frame_age_ms_p50"]),
        age_ms_p99=float(values["frame_age_ms_p99"]),
        received=int(values["received"]),
        published=int(values["published"]),
        superseded=int(values["superseded"]),
    )


def judge(arguments: argparse.Namespace, watched: dict, code: int) -> dict:
    """Figures of the run, and what is wrong with them."""
    import numpy as np

    from bisenet_ros.system.cpu import cpu_name

    samples: list[Sample] = watched["samples"]
    settled = [a for a in watched["arrivals"] if a[0] >= watched["arrivals"][0][0] + SETTLING]
    numbers = [number for _, number in settled]
    sent = numbers[-1] - numbers[0] + 1 if numbers else 0
    intervals = np.diff([seconds for seconds, _ in settled])
    steady = samples[min(5, len(samples) // 5) :]  # buffers are still being made before
    fifth = max(1, len(steady) // 5)
    first, last = steady[:fifth], steady[-fifth:]
    growth = {
        key: float(np.median([getattr(s, key) for s in last]))
        - float(np.median([getattr(s, key) for s in first]))
        for key in ("rss_mb", "files", "threads")
        if steady
    }
    rate = arguments.rate or arguments.hz
    period = 1 / min(rate, arguments.hz)
    figures = {
        "machine": f"{cpu_name()}, {os.cpu_count()} cores",
        "arguments": {
            k: v for k, v in vars(arguments).items() if k not in ("camera", "json", "plot")
        },
        "seconds": samples[-1].seconds if samples else 0,
        "sent": sent,
        "masks": len(settled),
        "lost": sent - len(set(numbers)),
        "twice": len(numbers) - len(set(numbers)),
        "lost_while_settling": _missing(watched["arrivals"], len(settled)),
        "superseded": int(watched["last"].get("superseded", 0)),
        "refused_or_failed": sum(int(watched["last"].get(k, 0)) for k in ("rejected", "failed")),
        "period_ms": 1e3 * period,
        "age_ms_p99_median": float(np.nanmedian([s.age_ms_p99 for s in samples] or [0])),
        "age_ms_p99_worst": float(np.nanmax([s.age_ms_p99 for s in samples] or [0])),
        "jitter_ms_p99": float(np.percentile(np.abs(intervals - period), 99) * 1e3)
        if intervals.size
        else None,
        "growth": growth,
        "exit_code": code,
        "samples": [asdict(s) for s in samples],
    }
    return {**figures, "problems": problems(figures, every_frame=arguments.rate == 0)}


def _missing(arrivals: list[tuple[float, int]], settled: int) -> int:
    """Frames that never came back, from the first that did until things had settled."""
    numbers = {number for _, number in arrivals[: len(arrivals) - settled]}
    return max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 0


def problems(figures: dict, every_frame: bool) -> list[str]:
    """What is wrong with a run; empty if all is well."""
    found = []
    if not figures["masks"]:
        found.append("no mask came back")
    if every_frame and figures["lost"]:
        found.append(f"{figures['lost']} frames were lost")
    if figures["twice"]:
        found.append(f"{figures['twice']} frames were segmented twice")
    if figures["refused_or_failed"]:
        found.append(f"{figures['refused_or_failed']} frames were refused or failed")
    growth = figures["growth"]
    if growth.get("rss_mb", 0) > MAX_GROWTH_MB:
        found.append(f"resident memory grew by {growth['rss_mb']:.0f} MB")
    for key in ("files", "threads"):
        if growth.get(key, 0) > 0:
            found.append(f"the number of {key} grew by {growth[key]:.0f}")
    if figures["exit_code"]:
        found.append(f"the node ended with {figures['exit_code']}")
    return found


def show(result: dict) -> None:
    """Print the figures."""
    for key, value in result.items():
        if key not in ("samples", "arguments"):
            print(f"{key:20} {value}")


def plot(result: dict, path: Path) -> None:
    """Memory, files, threads and ages over time, as a PNG."""
    from matplotlib.figure import Figure

    rows = result["samples"]
    seconds = [row["seconds"] / 60 for row in rows]
    figure = Figure(figsize=(9, 7), layout="constrained")
    panels = [
        ("resident memory, MB", ["rss_mb"]),
        ("open files, threads", ["files", "threads"]),
        ("age of a mask, ms", ["age_ms_p50", "age_ms_p99"]),
    ]
    for axes, (title, keys) in zip(figure.subplots(3, sharex=True), panels, strict=True):
        for key in keys:
            axes.plot(seconds, [row[key] for row in rows], label=key)
        axes.set_ylabel(title)
        axes.set_ylim(
            0, 1.35 * max(row[key] for row in rows for key in keys if row[key] == row[key])
        )
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")
    axes.set_xlabel("minutes")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
