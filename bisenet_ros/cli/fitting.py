"""``evaluate --fit-temperature``: fit, write the weights with what was found, print it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisenet_ros.cli.terminal import FrameProgress, figure_table
from bisenet_ros.errors import ArgumentError
from bisenet_ros.report.formatting import percent

if TYPE_CHECKING:
    from rich.console import Console

    from bisenet_ros.checkpoints import ModelCard
    from bisenet_ros.recordings.frame_stream import FrameSource, Selection

OPTION = "--fit-temperature"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class TemperatureOptions:
    """What is fitted and where it goes.

    Attributes:
        weights: the weights file.
        target: the new file.
        device: cuda, cuda:N, cpu or auto.
        size: (height, width) of the network's input; None for the weights' own.
    """

    weights: Path
    target: Path
    device: str = "auto"
    size: tuple[int, int] | None = None

    def check(self, scored: ModelCard | None = None) -> None:
        """Refuse what cannot be done before anything is computed.

        Args:
            scored: the card whose classes the labels have, if they may be others.

        Raises:
            ArgumentError: the target exists or cannot be written, the weights are an exported
                model, or the labels have other classes than the network.
        """
        from bisenet_ros.checkpoints import read_card
        from bisenet_ros.inference.export.reader import is_exported
        from bisenet_ros.system.atomic_files import check_new_file

        check_new_file(self.target, SUFFIX, OPTION)
        if is_exported(self.weights):
            raise ArgumentError(
                f"{self.weights} is an exported model; fit the {SUFFIX} file it was made of, and "
                "export that again"
            )
        if scored is not None and scored.labels.names != read_card(self.weights).labels.names:
            raise ArgumentError(
                f"{OPTION} needs labels of the network's own classes; drop --classes"
            )


def fit_and_write(
    options: TemperatureOptions,
    source: FrameSource,
    selection: Selection | None,
    command: str,
    console: Console,
) -> dict[str, Any]:
    """Fit on the frames of ``source`` and write the new file; returns facts for metrics.json.

    Raises:
        DataError: no temperature fits; nothing is written.
        WeightsError: the weights cannot be read, or the file cannot be written.
    """
    from bisenet_ros.checkpoints import load, save_with_card
    from bisenet_ros.inference.device import choose
    from bisenet_ros.replay.temperature import PASSES, fit_temperature

    network, card = load(options.weights)
    device = str(choose(options.device, "fp32").device)
    with FrameProgress(console, "fitting the temperature") as bar:
        expected = source.expected if selection is None else selection.expected(source)
        bar.start(None if expected is None else PASSES * expected)
        found = fit_temperature(source, network, card, selection, device, options.size, bar)
    commands = "; ".join(filter(None, (card.command, command)))
    warm = replace(card, temperature=found.fit.value, command=commands)
    save_with_card(options.weights, options.target, warm)
    figures = [
        ("temperature", f"{found.fit.value:.4f}"),
        (
            "calibration error",
            f"{percent(found.error_before, 2)} before, {percent(found.error_after, 2)} after",
        ),
        (
            "negative log-likelihood",
            f"{found.fit.loss_before:.4f} before, {found.fit.loss_after:.4f} after",
        ),
        ("labelled frames", str(found.frames)),
    ]
    console.print("", figure_table(figures), "", sep="\n")
    console.print(str(options.target), highlight=False, markup=False, soft_wrap=True)
    return {"temperature_fit": found.figures()}
