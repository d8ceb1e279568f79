"""The GPU pipeline (NVIDIA): one upload, three kernels and a CUDA graph, one download."""
