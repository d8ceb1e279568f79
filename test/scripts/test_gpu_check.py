"""`make gpu`, as far as a machine without a GPU can show it: every step runs, small, on the CPU."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "scripts/gpu_check.py")
sys.path.insert(0, str(ROOT / "scripts"))

import gpu_benchmarks  # noqa: E402
import gpu_check  # noqa: E402
import gpu_context  # noqa: E402


def check(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_step_runs_and_is_written_down(tmp_path: Path):
    where = ("--dry-run", "--out", tmp_path / "out", "--work", tmp_path / "work")
    done = check(*where)
    assert done.returncode == 0, done.stdout
    results = json.loads((tmp_path / "out/gpu-dry-run.json").read_text())["steps"]
    assert list(results) == list(gpu_check.STEPS)
    assert {step["status"] for step in results.values()} == {"passed"}
    assert results["parity"]["result"]["precisions"]["fp32"]["mask_differs"] == 0
    assert results["parity"]["result"]["images"] == "2 frames of the sample drive"
    assert results["benchmark"]["result"]["fp32"]["rows"][-1]["ratio_to_usual"] > 0
    assert set(results["cameras"]["result"]["median_ms"]) == {"1", "2"}
    assert set(results["files"]["result"]["files"]) == {
        path.stem for path in (ROOT / "weights").glob("*.safetensors")
    }
    engines = results["engines"]["result"]["engines"]
    assert engines["torch"]["median_ms"] > 0 and engines["openvino"] == {"left_out": "dry run"}
    if importlib.util.find_spec("tensorrt") is None:
        assert "which is not installed" in engines["tensorrt int8"]["left_out"]
    assert results["memory"]["result"]["frames"] == 2
    training = results["training"]["result"]
    assert training["step"] == training["of"] == 2 and len(training["validations"]) == 2
    assert Path(training["weights"]).is_file()
    table = (tmp_path / "out/gpu-dry-run.md").read_text()
    assert all(f"| {name} | passed |" in table for name in gpu_check.STEPS)
    again = check(*where, "--step", "parity", "--step", "training")
    assert again.returncode == 0 and "parity: done before" in again.stdout
    results = json.loads((tmp_path / "out/gpu-dry-run.json").read_text())["steps"]
    assert set(results) == set(gpu_check.STEPS)
    assert results["training"]["result"]["step"] == 2  # continued at its end


def test_steps_that_do_not_fit_are_left_out_by_name(tmp_path: Path):
    done = check("--dry-run", "--out", tmp_path, "--minutes", 0.01)
    assert done.returncode == 0
    assert "training: left out: it takes about 4 minutes, and 0.0 are left" in done.stdout
    steps = json.loads((tmp_path / "gpu-dry-run.json").read_text())["steps"]
    assert {step["status"] for step in steps.values()} == {"left out"}
    missing = gpu_check.Step(1.0, 1.0, ("torch", "no_such_package"))
    assert gpu_check.left_out(missing, 9.0, None) == "no_such_package not installed"  # type: ignore[arg-type]


def test_a_step_that_hangs_is_stopped_with_what_it_started():
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'input()'])"
    command = [sys.executable, "-c", f"{child}; print('begun', flush=True); time.sleep(600)"]
    code, output = gpu_check.wait(command, 3.0)
    assert code == -1 and output.startswith("begun")


def test_a_step_that_breaks_is_told_from_one_that_passes(tmp_path: Path):
    code, output = gpu_check.wait([sys.executable, "-c", "raise ValueError('no')"], 60.0)
    found = {"status": "failed", "seconds": 1.0, "at": "now", "output": output}
    assert code == 1 and gpu_check.said(found) == ": ValueError: no"
    assert "|  |  | ValueError: no |" in gpu_check.markdown(
        {"name": "x", "steps": {"tests": found}}
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_why(tmp_path: Path):
    done = check("--out", tmp_path)
    assert done.returncode == 2 and not list(tmp_path.iterdir())
    assert done.stderr.count("\n") == 1 and "there is no usable GPU: torch" in done.stderr
    assert "--dry-run" in done.stderr


def test_int8_takes_the_network_quantised_beside_the_weights(monkeypatch, tmp_path):
    """With a stand-in for the file that NNCF would make, which takes it half a minute."""
    from bisenet_ros.checkpoints import fingerprint
    from bisenet_ros.inference.export import quantised

    monkeypatch.setattr(gpu_benchmarks, "needed", lambda *_: None)
    made = []

    def quantise(network, card, weights, size, examples):
        made.append((fingerprint(weights), size, examples[0].shape))
        return b"quantised"

    monkeypatch.setattr(quantised, "quantise", quantise)
    context = gpu_context.Context(tmp_path / "result.json", 1.0, True, tmp_path, None)
    copy = gpu_benchmarks.quantised_weights(context, (64, 128), tmp_path)
    assert made == [(fingerprint(copy), (64, 128), (64, 128, 3))]
    assert [path.read_bytes() for path in tmp_path.glob("*.onnx")] == [b"quantised"]
    monkeypatch.setattr(quantised, "find", lambda weights, size: b"found")
    gpu_benchmarks.quantised_weights(context, (64, 128), tmp_path)
    assert [path.read_bytes() for path in tmp_path.glob("*.onnx")] == [b"found"] and len(made) == 1


def test_a_runtime_that_breaks_is_a_result():
    def missing():
        raise ImportError("no such library")

    assert gpu_benchmarks.attempt(missing) == {"left_out": "no such library"}
    assert gpu_benchmarks.attempt(lambda: 1 / 0) == {
        "failed": "ZeroDivisionError: division by zero"
    }
    assert gpu_benchmarks.attempt(lambda: {"median_ms": 1.0}) == {"median_ms": 1.0}


def test_what_the_gpu_cannot_do_is_said_before_anything_runs(monkeypatch, tmp_path, capsys):
    def main(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["gpu_check.py", *map(str, arguments)])
        return gpu_check.main(), capsys.readouterr().err

    answers = {"is_available": True, "device_count": 1, "get_device_capability": (6, 1)}
    for name, answer in {**answers, "get_arch_list": ["sm_80", "sm_90"]}.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=answer: value)
    code, said = main("--out", tmp_path)
    assert code == 2 and "capability 6.1, and torch" in said and said.count("\n") == 1
    monkeypatch.setattr(gpu_check, "CORE", ("torch", "no_such_package"))
    code, said = main("--out", tmp_path, "--dry-run")
    assert code == 2 and "this Python has no no_such_package" in said
    monkeypatch.setattr(gpu_check, "CORE", ("torch",))
    assert not list(tmp_path.iterdir())
    (tmp_path / "gpu-dry-run.json").write_text("[]")
    for out in (tmp_path, tmp_path / "gpu-dry-run.json", Path("/proc/no")):
        code, said = main("--out", out, "--dry-run")
        assert code == 2 and "pass another --out" in said and said.count("\n") == 1
