"""Options that several subcommands share: type and help text, once."""

from pathlib import Path
from typing import Annotated

import typer

ImageTopic = Annotated[
    str | None, typer.Option(help="image topic of a bag; default: the only camera")
]
LabelTopic = Annotated[
    str | None, typer.Option(help="label topic of a bag; default: the only one; '': none")
]
LabelColors = Annotated[
    Path | None, typer.Option(help="file of the labels' ids and colours, as config/labels/*")
]
MaxDt = Annotated[float, typer.Option(help="seconds an image and its label may be apart", min=0)]
MinMiou = Annotated[
    float | None, typer.Option(help="exit with 1 if the mIoU (0 to 1) is lower", min=0, max=1)
]
Weights = Annotated[Path | None, typer.Option(help="weights file; default: the shipped one")]
Device = Annotated[str, typer.Option(help="cuda, cuda:N, cpu or auto")]
Precision = Annotated[str, typer.Option(help="auto, fp32, fp16, bf16; int8 with tensorrt")]
InputSize = Annotated[
    str, typer.Option(help="network input size, HEIGHTxWIDTH; empty: from the weights")
]
ResizeMasks = Annotated[
    bool, typer.Option("--resize-masks", help="take the nearest id where sizes differ by a factor")
]
HoldOut = Annotated[
    str, typer.Option(help="val is this group of --group-by, wherever it is; train is the rest")
]
SkipUnlabelled = Annotated[
    bool, typer.Option("--skip-unlabelled", help="leave out images without a label")
]
