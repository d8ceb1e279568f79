"""Memory is reused, but never while something still refers to it."""

import numpy as np

from bisenet_ros.inference.cpu.buffers import MAX_KINDS, Buffers


def test_released_arrays_are_reused():
    buffers = Buffers()
    first = buffers.lend((3, 4), np.uint8)
    address = first.ctypes.data
    second = buffers.lend((3, 4), np.uint8)
    assert second.ctypes.data != address
    del first
    assert buffers.lend((3, 4), np.uint8).ctypes.data == address


def test_views_and_buffers_keep_memory_from_being_lent():
    buffers = Buffers()
    row = buffers.lend((3, 4), np.uint8)[1]
    column = buffers.lend((3, 4), np.uint8)[1:][:, 2]
    raw = memoryview(buffers.lend((3, 4), np.uint8))
    row[:], column[:] = 7, 8
    for _ in range(5):
        buffers.lend((3, 4), np.uint8).fill(0)
    assert (row == 7).all() and (column == 8).all() and raw.nbytes == 12
    addresses = {buffers.lend((3, 4), np.uint8).ctypes.data for _ in range(5)}
    assert len(addresses) == 1


def test_shapes_types_and_uses_do_not_share():
    buffers = Buffers()
    made = [
        buffers.scratch("a", (4,), np.uint8),
        buffers.scratch("b", (4,), np.uint8),
        buffers.scratch("a", (5,), np.uint8),
        buffers.scratch("a", (4,), np.int8),
        buffers.lend((4,), np.uint8),
    ]
    assert len({array.ctypes.data for array in made}) == len(made)
    assert buffers.scratch("a", (4,), np.uint8) is made[0]


def test_unused_sizes_are_freed():
    buffers = Buffers()
    for side in range(1, 10 * MAX_KINDS):
        buffers.lend((side, side), np.uint8)
        buffers.scratch("work", (side, side), np.float32)
        buffers.scratch("always", (1,), np.uint8)
    assert len(buffers._kinds) == MAX_KINDS
