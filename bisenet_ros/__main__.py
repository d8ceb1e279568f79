"""``python -m bisenet_ros``: see ``bisenet_ros.cli``."""

import sys

from bisenet_ros.cli import main

if __name__ == "__main__":
    sys.exit(main())
