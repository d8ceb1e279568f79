"""Score recordings offline: one model, two models on the same frames; nothing here knows ROS."""
