"""The report of a recording in a browser: it loads nothing, scrubs, and fits a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bag_formats import write_mcap
from drives import drive

from bisenet_ros.cli import main

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FRAMES = 12


@pytest.fixture(scope="module")
def page(tmp_path_factory, small_weights) -> Path:
    folder = tmp_path_factory.mktemp("report")
    bag = write_mcap(folder / "drive.mcap", drive(FRAMES))
    exact = ("--device", "cpu", "--engine", "torch", "--precision", "fp32")
    command = ["evaluate", "--bag", bag, "--report", folder, "--weights", small_weights, *exact]
    assert main([str(part) for part in command]) == 0
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium; skipped where there is none, or no Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as running:
        # A container's root has no sandbox.
        chromium = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(browser: Any, path: Path, width: int = 1200) -> tuple[Any, list[str]]:
    """The page, and the list of what it complains about or loads."""
    view = browser.new_page(viewport={"width": width, "height": 900})
    wrong: list[str] = []
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    view.on(
        "request",
        lambda asked: None if asked.url.startswith(("data:", "file:")) else wrong.append(asked.url),
    )
    view.goto(path.as_uri())
    return view, wrong


def cursors(view: Any) -> list[float]:
    return [
        float(c.evaluate("e => parseFloat(e.style.left)")) for c in view.locator(".cursor").all()
    ]


def test_the_strip_moves_film_and_cursors(browser, page):
    view, wrong = opened(browser, page)
    view.wait_for_function("document.getElementById('film').readyState >= 1")
    assert view.locator("#where").inner_text().startswith("frame 0")
    strip = view.locator(".strip")
    strip.scroll_into_view_if_needed()
    box = strip.bounding_box()
    middle = box["y"] + box["height"] / 2
    view.mouse.move(box["x"] + 2, middle)
    view.mouse.down()
    view.mouse.move(box["x"] + box["width"] * 5 / (FRAMES - 1), middle)
    view.mouse.up()
    assert view.locator("#where").inner_text() == "frame 5 · 0.50 s"
    assert cursors(view) == pytest.approx([100 * 5 / 11] * len(cursors(view)), abs=0.01)
    assert len(cursors(view)) >= 6
    assert view.evaluate("document.getElementById('film').currentTime") == pytest.approx(0.5, 0.02)
    assert view.locator("output[data-key=miou]").inner_text().endswith("%")
    view.locator("#scrub").press("ArrowRight")
    assert view.locator("#where").inner_text() == "frame 6 · 0.60 s"
    view.locator(".go").last.click()
    frame = view.locator(".go").last.get_attribute("data-frame")
    assert view.locator("#where").inner_text().startswith(f"frame {frame} ")
    assert view.locator("#film").evaluate("e => e.videoWidth") == 96
    view.close()
    assert wrong == []


@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_sticks_out(browser, page, width):
    view, wrong = opened(browser, page, width)
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    broken = "Array.from(document.images).filter(i => i.complete && !i.naturalWidth).length"
    assert view.evaluate(broken) == 0
    dark = browser.new_page(color_scheme="dark")
    dark.goto(page.as_uri())
    assert dark.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 17, 21)"
    dark.close()
    view.emulate_media(media="print")
    assert not view.locator("#film").is_visible() and view.locator(".strip").is_visible()
    view.close()
    assert wrong == []
