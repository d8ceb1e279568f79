import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bisenet_ros.projection.run_length import RUN, encode_runs

masks = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3)
)


@given(masks)
def test_runs_are_the_pixels_in_order(mask: np.ndarray):
    runs = encode_runs(mask)
    assert RUN.itemsize == 5 and runs.dtype == RUN
    data, pixels = runs.tobytes(), []
    for start in range(0, len(data), 5):  # as Autoware reads them
        length = int.from_bytes(data[start + 1 : start + 5], "little", signed=True)
        assert length > 0
        pixels += [data[start]] * length
    assert pixels == mask.reshape(-1).tolist()
    assert (np.diff(runs["value"].astype(int)) != 0).all()


def test_one_value_is_one_run():
    assert encode_runs(np.full((720, 1280), 255, np.uint8)).tolist() == [(255, 921600)]
