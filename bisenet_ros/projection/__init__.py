"""From masks to geometry: points, a grid of the ground. NumPy and OpenCV, no ROS."""
