"""The steps of scripts/gpu_check.py, each a process of its own: `gpu_steps.py STEP --result FILE`.

A step writes its result as it goes, so that a time limit or a crash loses only what was not yet
measured; it ends with 0 if everything it asserts holds.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from gpu_benchmarks import benchmark, cameras, engines, files, large  # noqa: E402
from gpu_context import Context, frames, installed  # noqa: E402
from gpu_training import throughput, training  # noqa: E402

from bisenet_ros.errors import BisenetError  # noqa: E402
from bisenet_ros.inference import OutputRequest, Segmenter  # noqa: E402
from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file  # noqa: E402

PACKAGES = (
    "torch",
    "triton",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "safetensors",
    "lightning",
    "torchmetrics",
    "kornia",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
)
EVERYTHING = OutputRequest(confidence=True, overlay=True)
# Largest share of mask pixels that may differ from float32 on the CPU.
LIMITS = {"fp32": 0.0005, "fp16": 0.005, "bf16": 0.005}


def environment(context: Context) -> None:
    """What the machine is, and whether its parts work at all, within seconds."""
    context.note(
        python=platform.python_version(),
        system=platform.platform(),
        cores=os.cpu_count(),
        packages={name: version for name in PACKAGES if (version := installed(name))},
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        driver=nvidia_smi("driver_version"),
        clocks=nvidia_smi("clocks.max.sm,clocks.max.mem,power.limit"),
    )
    if not context.dry_run:
        about = torch.cuda.get_device_properties(0)
        context.note(
            gpu=about.name,
            capability=f"{about.major}.{about.minor}",
            processors=about.multi_processor_count,
            memory_gb=round(about.total_memory / 2**30, 1),
        )
    side = 256 if context.dry_run else 8192
    kind = torch.float32 if context.dry_run else torch.bfloat16
    a = torch.randn(side, side, device=context.device, dtype=kind)
    seconds = per_call(context, lambda: a @ a)
    context.note(matmul_tflops=round(2 * side**3 / seconds / 1e12, 1))
    large = torch.empty(2**20 if context.dry_run else 2**29, dtype=torch.uint8)
    moved = large.to(context.device)
    seconds = per_call(context, lambda: moved.clone())
    context.note(copy_gb_s=round(2 * moved.numel() / seconds / 1e9))
    host = large.pin_memory() if context.device == "cuda" else large
    seconds = per_call(context, lambda: moved.copy_(host, non_blocking=True))
    context.note(upload_gb_s=round(moved.numel() / seconds / 1e9, 1))
    with torch.inference_mode():
        conv = torch.nn.Conv2d(64, 64, 3, padding=1).to(context.device, kind)
        image = torch.randn(1, 64, 32, 64, device=context.device, dtype=kind)
        context.note(finite=bool(torch.isfinite(conv(image)).all()))
    assert context.found["finite"], "a convolution gives NaN or infinity"


def nvidia_smi(fields: str) -> str:
    """What nvidia-smi says, or why it says nothing."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout.strip() or done.stderr.strip()[:200]
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi: {error}"


def per_call(context: Context, call: Callable[[], Any]) -> float:
    """Seconds of one call, from about half a second of them."""
    count = context.count(20)
    for timed in (False, True):
        synchronise(context)
        started = time.perf_counter()
        for _ in range(count):
            call()
        synchronise(context)
        seconds = (time.perf_counter() - started) / count
        if not timed:
            count = max(count, min(2000, int(0.5 / max(seconds, 1e-6)))) if count > 2 else count
    return seconds


def synchronise(context: Context) -> None:
    """Wait for the GPU."""
    if context.device == "cuda":
        torch.cuda.synchronize()


def parity(context: Context) -> None:
    """Masks, confidence and overlay against float32 on the CPU, in every precision."""
    weights = share_file(SHIPPED_WEIGHTS)
    size = context.size(512, 1024)
    images, source = frames(context.size(720, 1280), context.count(8))
    reference = Segmenter(weights, "cpu", "fp32", "torch", size)
    wanted = [reference([image], "bgr", EVERYTHING)[0] for image in images]
    rows: dict[str, Any] = {}
    for precision in context.precisions:
        segmenter = Segmenter(weights, context.device, precision, "torch", size)
        segmenter.warm_up()
        differs, confidence, overlay = [], 0, 0
        for image, want in zip(images, wanted, strict=True):
            got = segmenter([image], "bgr", EVERYTHING)[0]
            other = got.mask != want.mask
            differs.append(float(other.mean()))
            assert got.confidence is not None and want.confidence is not None
            assert got.overlay is not None and want.overlay is not None
            gap = np.abs(got.confidence.astype(int) - want.confidence)
            confidence = max(confidence, int(np.percentile(gap, 99)))
            overlay = max(
                overlay, int(np.abs(got.overlay.astype(int) - want.overlay)[~other].max())
            )
        rows[precision] = {
            "mask_differs": float(np.mean(differs)),
            "limit": LIMITS[precision],
            "confidence_p99": confidence,
            "overlay_max": overlay,
            "fallback": segmenter.compute.fallback,
        }
        context.note(images=f"{len(images)} {source}", precisions=rows)
    bad = [name for name, row in rows.items() if row["mask_differs"] > row["limit"]]
    assert not bad, f"masks differ from the CPU's by more than the limit in {', '.join(bad)}"


def tests(context: Context) -> None:
    """The tests of the GPU path; those that need a GPU run nowhere else."""
    paths = ["test/inference/cuda", "test/inference/test_segmenter.py"]
    paths += ["test/inference/test_reference.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths]
    command += ["--collect-only", "-q"] if context.dry_run else []
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()[-500:]]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    context.note(summary=lines[-1], failed=failed)
    assert done.returncode == 0, f"{lines[-1]}\n" + "\n".join(lines[-60:])


def memory(context: Context) -> None:
    """Memory over many frames and sizes, and after the GPU was full."""
    size = context.size(512, 1024)
    segmenter = Segmenter(None, context.device, "auto", "torch", size)
    segmenter.warm_up()
    images, _ = frames(context.size(720, 1280))
    used = lambda: torch.cuda.memory_reserved() / 2**20 if context.device == "cuda" else 0.0  # noqa: E731

    def go(count: int) -> None:
        for index in range(count):
            segmenter([images[index % len(images)]], "bgr", EVERYTHING)

    go(context.count(100))
    before = used(), resident_mb()
    go(context.count(2000))
    after = used(), resident_mb()
    context.note(frames=context.count(2000), gpu_mb=[before[0], after[0]])
    context.note(resident_mb=[round(before[1]), round(after[1])])
    random = np.random.default_rng(0)
    for index in range(context.count(200)):
        height, width = (int(v) for v in random.integers(1, context.size(1080, 1920)))
        segmenter([np.resize(images[0], (height, width, 3))], "bgr", EVERYTHING)
        if index == context.count(100, 1) - 1:
            halfway = used()
    context.note(size_changes=context.count(200), gpu_mb_of_sizes=[halfway, used()])
    assert after[0] <= before[0] + 64, "GPU memory grows from frame to frame"
    assert after[1] <= before[1] + 200, "memory grows from frame to frame"
    assert used() <= halfway + 512, "GPU memory grows with every camera size"
    if context.device == "cuda":
        context.note(**recovery(segmenter, images[0]))
        assert context.found["recovered"], "no image could be segmented after the GPU was full"


def recovery(segmenter: Segmenter, image: np.ndarray) -> dict[str, Any]:
    """Fill the GPU, segment a batch that does not fit, free it, segment again."""
    before = segmenter([image], "bgr")[0].mask.copy()
    filler = []
    for megabytes in (1024, 256, 64, 16):
        try:
            while True:
                filler.append(torch.empty(megabytes * 2**20, dtype=torch.uint8, device="cuda"))
        except torch.cuda.OutOfMemoryError:
            continue
    try:
        segmenter([np.resize(image, (2160, 3840, 3))] * 8, "bgr", EVERYTHING)
        refused = False
    except torch.cuda.OutOfMemoryError:
        refused = True
    filler.clear()
    torch.cuda.empty_cache()
    after = segmenter([image], "bgr")[0].mask
    return {"ran_out": refused, "recovered": bool(np.array_equal(before, after))}


def resident_mb() -> float:
    """Resident memory of this process."""
    path = Path("/proc/self/statm")
    if not path.exists():
        return 0.0
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


STEPS = {
    step.__name__: step
    for step in (
        environment,
        parity,
        tests,
        benchmark,
        cameras,
        large,
        files,
        engines,
        memory,
        throughput,
        training,
    )
}


def main() -> int:
    """Run one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--work", type=Path, default=ROOT / "runs/gpu")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args()
    context = Context(given.result, given.minutes, given.dry_run, given.work, given.data)
    if given.dry_run:
        torch.set_num_threads(1)
    try:
        STEPS[given.step](context)
    except (AssertionError, BisenetError) as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
