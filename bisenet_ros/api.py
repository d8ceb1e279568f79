"""The package from Python: segment, score and train in one call each.

``from bisenet_ros import Segmenter, evaluate, load, train`` takes them from here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bisenet_ros.inference import Segmenter

OnProgress = Callable[[int], None]


def load(
    weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "auto",
    input_size: tuple[int, int] | None = None,
) -> Segmenter:
    """Load a model and run it once, so that the first image is not slow.

    Args:
        weights: a weights file or an exported model; None for the weights of the package.
        device, precision, engine, input_size: see :class:`~bisenet_ros.inference.Segmenter`.

    Raises:
        WeightsError: the file is missing, broken or not one of this package.
        ArgumentError: another argument is out of range, or asks for something this machine lacks.
    """
    from bisenet_ros.inference import Segmenter

    segmenter = Segmenter(weights, device, precision, engine, input_size)
    segmenter.warm_up()
    return segmenter


def evaluate(
    weights: str | Path | None,
    data: str | Path,
    split: str = "val",
    dataset: str = "auto",
    classes: str = "",
    device: str = "auto",
    precision: str = "auto",
    engine: str = "auto",
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Score weights on labelled images, at the labels' own size, as the node would run them.

    Args:
        weights: as for :func:`load`.
        data: folder or zip of labelled images.
        split: which part of them.
        dataset: a key of ``datasets.DATASETS``.
        classes: classes to score, comma-separated, or a YAML file that groups them.
        device, precision, engine: as for :func:`load`.
        on_progress: called with the count of images scored.

    Returns:
        ``miou``, ``pixel_accuracy``, ``per_class`` and the other figures of ``evaluate --json``,
        0–1, None where undefined.

    Raises:
        WeightsError: as for :func:`load`.
        DataError: the data cannot be read, or have other classes.
        ArgumentError: another argument is out of range, or asks for something this machine lacks.
    """
    from bisenet_ros.cli.class_groups import with_same_classes
    from bisenet_ros.cli.inference_options import InferenceOptions, check_classes, read_model
    from bisenet_ros.datasets import DatasetOptions, open_set
    from bisenet_ros.metrics import dataset as scoring
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    path = Path(weights) if weights else share_file(SHIPPED_WEIGHTS)
    model = read_model(path, InferenceOptions(device, engine, precision))
    labelled = open_set(dataset, data, split, DatasetOptions(classes=classes))
    model, labelled = with_same_classes(model, labelled, classes)
    warnings = check_classes(path, model.card.labels, str(data), labelled.labels)
    scored = scoring.evaluate(
        model.predict, labelled, len(labelled.labels), on_progress or (lambda _: None)
    )
    return {**scored.figures(labelled.labels), "warnings": warnings}


def train(
    data: str | Path,
    out: str | Path,
    config: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[dict[str, float]], None] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train on labelled images and write ``out/weights.safetensors`` for the node.

    Args:
        data: folder or zip of labelled images.
        out: the run's folder.
        config: YAML file of recipe options.
        resume: continue the run in ``out``.
        overwrite: replace the run in ``out``.
        on_progress: called with the latest figures after each step and each validation.
        options: any option of :class:`~bisenet_ros.training.recipe.Recipe`, before the file's.

    Returns:
        ``weights``: the file; ``val_miou``, ``val_pixel_accuracy``: its scores.

    Raises:
        ArgumentError: an option does not exist or is out of range, or ``out`` holds a run.
        DataError: the data cannot be read, or there is nothing to resume.
        WeightsError: the weights to start from do not fit.
    """
    from bisenet_ros.training import run
    from bisenet_ros.training.export_weights import finish
    from bisenet_ros.training.recipe import Recipe
    from bisenet_ros.training.run_folder import RECIPE, claimed, write_split_lists

    recipe = Recipe.read(config, {**options, "data": str(data), "out": str(out)})
    read = run.read_data(recipe)
    with claimed(Path(recipe.out), resume, overwrite) as folder:
        recipe.write(folder / RECIPE)
        write_split_lists((read.training, read.validation), folder)
        prepared = run.prepare(recipe, read, resume)
        trainer = run.train(prepared, resume, on_progress=on_progress)
        command = f"bisenet_ros.train({str(data)!r}, {str(out)!r})"
        path, scores = finish(prepared, command, str(trainer.strategy.root_device))
    return {"weights": path, **scores}
