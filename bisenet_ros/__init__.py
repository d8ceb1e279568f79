"""Real-time semantic segmentation for ROS 2."""

import os

# OpenCV reads this when it is imported, and then refuses larger images before it allocates them,
# whatever their headers say.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))
