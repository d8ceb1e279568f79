"""From somebody else's checkpoint to a network of this package and its card."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bisenet_ros.checkpoints.card import ModelCard
from bisenet_ros.checkpoints.convert import presets
from bisenet_ros.checkpoints.convert.base import Match, Triple
from bisenet_ros.checkpoints.convert.keys import some
from bisenet_ros.checkpoints.convert.placing import COUNTER, Placement, place, swap_channels, take
from bisenet_ros.checkpoints.convert.reading import Checkpoint, read
from bisenet_ros.checkpoints.convert.registry import SOURCES
from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import NETWORKS, SegmentationNetwork, build

SEED = 0  # of the values that a tensor gets which the checkpoint does not have


class IncompleteError(WeightsError):
    """A checkpoint that does not fill its network exactly.

    Attributes:
        unplaced: the checkpoint's keys that have no place in the network.
        unfilled: the network's tensors that the checkpoint has nothing for.
    """

    def __init__(
        self, message: str, unplaced: tuple[str, ...] = (), unfilled: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.unplaced, self.unfilled = unplaced, unfilled


@dataclass(frozen=True)
class Converted:
    """What :func:`convert` made, to be written with ``checkpoints.save(path, network, card)``.

    Attributes:
        network: in eval mode, float32.
        card: of the weights file.
        source: the name of the source in ``SOURCES``.
        match: what the checkpoint was recognised as.
        unwrapped: the wrappers and prefixes that were taken off.
        unplaced: keys of the checkpoint that were left out, which ``allow_missing`` allowed.
        unfilled: tensors of the network that kept their initial values.
        dropped: keys of the checkpoint that have no counterpart here on purpose.
        counters: batch norms' counters of batches that an old checkpoint lacks; set to 0.
        assumed: what the keys could not tell and no option said: option → the default taken.
        normalisation: where mean and std come from, in words.
    """

    network: SegmentationNetwork
    card: ModelCard
    source: str
    match: Match
    unwrapped: tuple[str, ...]
    unplaced: tuple[str, ...]
    unfilled: tuple[str, ...]
    dropped: tuple[str, ...]
    counters: tuple[str, ...]
    assumed: dict[str, str]
    normalisation: str


def convert(
    path: str | Path,
    classes: str | Path | LabelSet,
    mean: Triple | None = None,
    std: Triple | None = None,
    source: str | None = None,
    options: Mapping[str, Any] | None = None,
    allow_missing: bool = False,
    resolution: tuple[int, int] | None = None,
    command: str = "",
) -> Converted:
    """Read a checkpoint of another project as a network of this one.

    Args:
        path: the checkpoint: what ``torch.save`` wrote, or safetensors.
        classes: a key of ``PRESETS``, a YAML file as in config/labels/, or the classes.
        mean, std: of RGB images in 0–1; both or neither, None for what the source publishes.
        source: a key of ``SOURCES``; None to tell it by the keys.
        options: fields of the network's config that the keys cannot tell.
        allow_missing: convert what fits, though keys are left over or tensors unfilled.
        resolution: (height, width) that the card names; None for the preset's.
        command: for the card.

    Raises:
        WeightsError: the file is not such a checkpoint, or does not fit exactly
            (:class:`IncompleteError`).
        ArgumentError: another argument does not fit.
    """
    path = Path(path)
    check_normalisation(mean, std)
    labels = classes if isinstance(classes, LabelSet) else presets.read_classes(classes)
    checkpoint = read(path)
    name, match = recognise(path, checkpoint.tensors, source)
    _check_classes(path, match, labels, classes)
    chosen = {**match.options, **_checked_options(match, options or {})}
    try:
        placement, names, config = _fit(path, checkpoint, match, len(labels), chosen)
        unfilled = placement.unfilled(names)
        counters = tuple(n for n in unfilled if _is_counter(n, placement))
        unfilled = tuple(n for n in unfilled if n not in counters)
        if (placement.unplaced or unfilled) and not allow_missing:
            raise _incomplete(path, name, match, placement.unplaced, unfilled)
        values = take(placement, checkpoint.tensors, names)
    except IncompleteError:
        raise
    except WeightsError as error:
        raise WeightsError(f"{path}, read as {match.architecture} of {name}: {error}") from error
    values |= {counter: torch.zeros((), dtype=torch.int64) for counter in counters}
    network = _assemble(match, config, values, unfilled)
    preset = presets.PRESETS.get(str(classes))
    mean, std, origin = _normalisation(match, name, preset, mean, std, str(classes))
    card = ModelCard(
        architecture=match.architecture,
        options=json.loads(json.dumps(config)),
        labels=labels,
        mean=mean,
        std=std,
        resolution=resolution or (preset.resolution if preset else presets.RESOLUTION),
        dataset=str(classes) if preset else "",
        command=command,
    )
    return Converted(
        network,
        card,
        name,
        match,
        checkpoint.unwrapped,
        placement.unplaced,
        unfilled,
        placement.dropped,
        counters,
        {name: said for name, said in match.assumed.items() if name not in (options or {})},
        origin,
    )


def recognise(
    path: Path, tensors: Mapping[str, Tensor], source: str | None = None
) -> tuple[str, Match]:
    """The source that a checkpoint's keys are of, or that ``source`` names.

    Raises:
        ArgumentError: ``source`` is not a source's name.
        WeightsError: the keys are of no source, or not of the one named.
    """
    if source is not None and source not in SOURCES:
        raise ArgumentError(f"--source is {source!r}; expected one of {', '.join(SOURCES)}")
    refusals: list[WeightsError] = []
    for name in SOURCES if source is None else (source,):
        try:
            match = SOURCES[name].detect(tensors)
        except WeightsError as error:
            refusals.append(error)
            continue
        if match is not None:
            return name, match
    if refusals:
        raise WeightsError(f"{path}: {refusals[0]}") from refusals[0]
    keys = f"{len(tensors)} tensors ({some(tensors)})"
    if source is None:
        raise WeightsError(
            f"{path} holds {keys}, whose names are of no source known here ({', '.join(SOURCES)}): "
            "convert a file of one of these, or add a source for it"
        )
    try:
        hint = f"its names are those of {recognise(path, tensors)[0]}: pass that, or leave it out"
    except WeightsError:
        hint = "nor of any other source known here"
    raise WeightsError(
        f"--source is {source}, but {path} holds {keys}, whose names are not {source}'s; {hint}"
    )


def check_normalisation(mean: Triple | None, std: Triple | None) -> None:
    """ArgumentError unless both are None or both are those of RGB images in 0–1."""
    if (mean is None) != (std is None):
        given, lacking = ("mean", "std") if std is None else ("std", "mean")
        raise ArgumentError(f"--{given} is given and --{lacking} is not; give both or neither")
    if mean is None or std is None:
        return
    whole = (*mean, *std)
    if len(mean) != 3 or len(std) != 3 or not all(math.isfinite(value) for value in whole):
        raise ArgumentError(f"--mean is {mean} and --std {std}; expected three numbers each")
    if not all(0 <= value <= 1 for value in mean) or not all(0 < value <= 1 for value in std):
        said = f"--mean is {_numbers(mean)} and --std {_numbers(std)}; expected those of RGB images"
        if all(0 <= m <= 255 and 0 < s <= 255 for m, s in zip(mean, std, strict=True)):
            in_unit = f"--mean {_numbers(v / 255 for v in mean)} --std " + _numbers(
                v / 255 for v in std
            )
            raise ArgumentError(f"{said} in 0–1, and these look like 0–255: pass {in_unit}")
        raise ArgumentError(f"{said} in 0–1: such as --mean 0.485,0.456,0.406")


def _numbers(values: Any) -> str:
    return ",".join(f"{value:.4g}" for value in values)


def _check_classes(
    path: Path, match: Match, labels: LabelSet, classes: str | Path | LabelSet
) -> None:
    if match.num_classes and match.num_classes != len(labels):
        given = "the names given" if isinstance(classes, LabelSet) else f"--classes {classes}"
        fitting = presets.preset_for(match.num_classes)
        hint = f", such as --classes {fitting}" if fitting else ""
        raise WeightsError(
            f"{path} has {match.num_classes} classes and {given} has {len(labels)}; "
            f"expected the classes it was trained on{hint}"
        )


def _checked_options(match: Match, options: Mapping[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(NETWORKS[match.architecture].config)}
    known -= {"num_classes", "auxiliary"}
    for name in options:
        if name not in known:
            raise ArgumentError(
                f"--option {name} is not an option of {match.architecture}; "
                f"expected one of {', '.join(sorted(known))}"
            )
    return dict(options)


def _fit(
    path: Path, checkpoint: Checkpoint, match: Match, classes: int, options: dict[str, Any]
) -> tuple[Placement, dict[str, Tensor], dict[str, Any]]:
    """The placement, the network's tensors (without memory), and its config as plain values.

    Auxiliary heads are built if the checkpoint has any of them.
    """
    names, config = _skeleton(path, match, classes, options, auxiliary=True)
    placement = place(list(checkpoint.tensors), match, names)
    prefixes = NETWORKS[match.architecture].network.auxiliary_prefixes
    if not any(target.startswith(prefixes) for target in placement.sources):
        names, config = _skeleton(path, match, classes, options, auxiliary=False)
        placement = place(list(checkpoint.tensors), match, names)
    return placement, names, config


def _skeleton(
    path: Path, match: Match, classes: int, options: dict[str, Any], auxiliary: bool
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with torch.device("meta"):
            network = build(match.architecture, classes, auxiliary=auxiliary, **options)
    except (ValueError, TypeError) as error:
        # The match's own options are read off the file; others were passed.
        kind = WeightsError if options == match.options else ArgumentError
        raise kind(f"{path}: options {options} build no {match.architecture}: {error}") from error
    return network.state_dict(), asdict(network.config)


def _is_counter(name: str, placement: Placement) -> bool:
    """A counter whose batch norm is there: files from before PyTorch 0.4.1 have none."""
    module, _, kind = name.rpartition(".")
    return kind == COUNTER and f"{module}.running_var" in placement.sources


def _incomplete(
    path: Path, name: str, match: Match, unplaced: tuple[str, ...], unfilled: tuple[str, ...]
) -> IncompleteError:
    found = []
    if unplaced:
        found.append(f"{len(unplaced)} keys without a place ({some(unplaced)})")
    if unfilled:
        found.append(f"{len(unfilled)} tensors not filled ({some(unfilled)})")
    return IncompleteError(
        f"{path}, read as {match.architecture} of {name}, has {' and '.join(found)}; expected an "
        "exact fit: take the whole file of the source itself, or pass --allow-missing to convert "
        "what fits",
        unplaced,
        unfilled,
    )


def _assemble(
    match: Match, config: dict[str, Any], values: dict[str, Tensor], unfilled: tuple[str, ...]
) -> SegmentationNetwork:
    if unfilled:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network = build(match.architecture, **config)
        network.load_state_dict(values, strict=False)
    else:
        with torch.device("meta"):
            network = build(match.architecture, **config)
        network.load_state_dict(values, assign=True)
    if match.channel_order == "bgr":
        swap_channels(network)
    return network.eval()


def _normalisation(
    match: Match,
    source: str,
    preset: presets.Preset | None,
    mean: Triple | None,
    std: Triple | None,
    classes: str,
) -> tuple[Triple, Triple, str]:
    """Mean and std of RGB images in 0–1, and in words where they come from."""
    if mean is not None and std is not None:
        return mean, std, "as given"
    if match.mean is not None and match.std is not None:
        return match.mean, match.std, f"what {source} publishes"
    if preset is not None:
        return preset.mean, preset.std, f"what {source} trains with on {classes}"
    first = presets.PRESETS["cityscapes"]
    return (
        first.mean,
        first.std,
        f"assumed: Cityscapes's, since {source}'s depend on the data set; pass --mean and --std "
        "if it was trained on another",
    )
