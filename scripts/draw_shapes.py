"""Draw a data set of shapes on textures, to try training without a download.

    python scripts/draw_shapes.py --out runs/shapes

and then ``python -m bisenet_ros train --dataset shapes --data runs/shapes``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bisenet_ros.datasets.synthetic_shapes import CLASSES, draw
from bisenet_ros.errors import BisenetError


def main(arguments: list[str] | None = None) -> int:
    """Draw the set; return 0, or the exit code of the error that is printed."""
    parser = argparse.ArgumentParser(description="Draw a data set of shapes on textures.")
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--train", type=int, default=120, help="images (%(default)s)")
    parser.add_argument("--val", type=int, default=30, help="images (%(default)s)")
    parser.add_argument("--height", type=int, default=512, help="in pixels (%(default)s)")
    parser.add_argument("--width", type=int, default=1024, help="in pixels (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (%(default)s)")
    given = parser.parse_args(arguments)
    try:
        draw(given.out, given.train, given.val, (given.height, given.width), given.seed)
    except BisenetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{given.out}: {given.train} + {given.val} images, {len(CLASSES)} classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
