"""The way of a frame on an NVIDIA GPU: one upload, three kernels and a graph, one download."""
