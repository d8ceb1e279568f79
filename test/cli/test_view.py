"""``python -m bisenet_ros view``: what Rerun gets, and what it shows in a browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bag_formats import write_mcap
from drives import drive

from bisenet_ros.cli import main

ROOT = Path(__file__).resolve().parents[2]
EXACT = ("--device", "cpu", "--engine", "torch", "--precision", "fp32")
SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return write_mcap(tmp_path_factory.mktemp("bag") / "drive.mcap", drive(4))


def command(small_weights: Path, *arguments: object) -> list[str]:
    return ["view", *map(str, arguments), "--weights", str(small_weights), *EXACT]


def test_a_file_holds_masks_as_segmentation_images_with_names(bag, small_weights, tmp_path):
    pytest.importorskip("rerun")
    path = tmp_path / "drive.rrd"
    assert main(command(small_weights, bag, "--save", path)) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["drive.rrd"]
    done = subprocess.run(
        [sys.executable, "-m", "rerun_cli", "rrd", "print", "-vv", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    entities = set(re.findall(r"(?:entity_path|path)\W+(/[\w/]*)", done.stdout))
    assert {"/camera/image", "/camera/mask", "/truth", "/errors", "/confidence"} <= entities
    assert {"/figures/scores/miou", "/figures/steadiness/flicker"} <= entities
    for word in ("SegmentationImage:buffer", "AnnotationContext:context", "EncodedImage:blob"):
        assert word in done.stdout


def test_predictions_can_be_a_rerun_file(bag, small_weights, tmp_path):
    pytest.importorskip("rerun")
    out = tmp_path / "out"
    given = ["predict", str(bag), "--rrd", "--out", str(out), "--weights", str(small_weights)]
    assert main([*given, *EXACT]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["predictions.json", "predictions.rrd"]


FULL = """
import resource, sys
from bisenet_ros.cli import main
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), limits[1]))  # stands for a full disk
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("short_of", ["frames", "index"])
def test_a_full_disk_ends_with_one_line_and_leaves_nothing(bag, small_weights, tmp_path, short_of):
    pytest.importorskip("rerun")
    out = tmp_path / "out"
    given = ["predict", str(bag), "--rrd", "--out", str(out), "--weights", str(small_weights)]
    limit = 20_000
    if short_of == "index":
        assert main([*given, *EXACT]) == 0
        limit = (out / "predictions.rrd").stat().st_size - 1000
        shutil.rmtree(out)
    line = [sys.executable, "-c", FULL, str(limit), *given, *EXACT]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 3, done.stderr
    (told,) = [text for text in done.stderr.splitlines() if text.strip()]
    assert told.startswith(f"error: {out / 'predictions.rrd'} cannot be written: File too large")
    assert list(out.iterdir()) == []


def test_what_cannot_be_shown_is_refused(bag, small_weights, tmp_path, capsys, monkeypatch):
    def refused(code: int, *arguments: object) -> str:
        assert main(command(small_weights, *arguments)) == code
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
        return line

    assert "--live" in refused(2)
    assert "--live" in refused(2, bag, "--live")
    assert "--web and --save" in refused(2, bag, "--web", "--save", tmp_path / "a.rrd")
    pytest.importorskip("rerun")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "--web" in refused(2, bag)
    assert "does not exist" in refused(3, tmp_path / "no.mcap", "--save", tmp_path / "a.rrd")
    assert "cannot be written" in refused(3, bag, "--save", tmp_path / "no" / "a.rrd")
    assert list(tmp_path.iterdir()) == []


def test_the_browser_shows_the_drive_on_this_machine_only(bag, small_weights, tmp_path):
    pytest.importorskip("rerun")
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    log = tmp_path / "view.log"
    with log.open("w") as output:
        program = [sys.executable, "-m", "bisenet_ros", *command(small_weights, bag, "--web")]
        child = subprocess.Popen(program, cwd=ROOT, stdout=output, stderr=output)
    try:
        address = wait_for(log, child, r"open (http://127\.0\.0\.1:(\d+)/\S+)")
        wait_for(log, child, "Ctrl-C ends the server")
        ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", address.group(1))}
        assert len(ports) == 2 and listening(ports) == {"127.0.0.1"}
        with playwright.sync_playwright() as running:
            browser = running.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", *SOFTWARE]
            )
            page = browser.new_page(viewport={"width": 640, "height": 420})
            page.goto(address.group(1))
            deadline = time.monotonic() + 60
            while not has_colours(page.screenshot()):
                assert time.monotonic() < deadline, "the mask's colours did not appear"
                page.wait_for_timeout(500)
            browser.close()
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130
        assert listening(ports) == set()
        assert "ERROR" not in log.read_text() and "Traceback" not in log.read_text()
    finally:
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)


def wait_for(log: Path, child: subprocess.Popen[bytes], pattern: str) -> re.Match[str]:
    deadline = time.monotonic() + 60
    while (found := re.search(pattern, log.read_text())) is None:
        assert child.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return found


def listening(ports: set[int]) -> set[str]:
    """Addresses at which this machine listens on the ports."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            host, port = local.split(":")
            if state == "0A" and int(port, 16) in ports:
                parts = [str(int(host[i : i + 2], 16)) for i in range(len(host) - 2, -2, -2)]
                found.add(".".join(parts))
    return found


def has_colours(picture: bytes) -> bool:
    """Whether a screenshot shows the red and the blue of the small weights' classes, blended."""
    import cv2

    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).astype(int)
    blue, green, red = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    coloured = (abs(red - blue) > 60) & (abs(green - np.minimum(red, blue)) < 90)
    return bool(coloured.mean() > 0.05)
