"""The kernels compile for the GPUs that matter; needs no GPU, and the interpreter allows more."""

import os
import re

import pytest

ORIN, HOPPER = 87, 90  # compute capabilities of Jetson AGX Orin and H100/H200

# Older ones have another interface to the compiler; with them the pipeline takes its plain steps.
triton = pytest.importorskip(
    "triton", minversion="3.6", reason="Triton 3.6 is not installed: pip install triton"
)
pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing"
)

POINTERS = {
    "x": "*{half}",
    "bias": "*{half}",
    "levels": "*{half}",
    "out": "*{half}",
    "logits": "*{half}",
    "raw": "*u8",
    "palette": "*u8",
    "groups": "*u8",
    "mask_out": "*u8",
    "confidence_out": "*u8",
    "overlay_out": "*u8",
    "row_indices": "*i32",
    "column_indices": "*i32",
    "row_weights": "*{weight}",
    "column_weights": "*{weight}",
    "threshold": "fp32",
    "camera_weight": "fp32",
    "colour_weight": "fp32",
}


def compile_for(kernel, capability: int, half: str, weight: str, constants: dict) -> str:
    """The PTX of a kernel; ptxas has assembled it too."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kinds = {name: kind.format(half=half, weight=weight) for name, kind in POINTERS.items()}
    signature = {
        name: "constexpr" if name in constants else kinds.get(name, "i32")
        for name in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    options = {"enable_fp_fusion": False}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert compiled.asm["cubin"]
    return compiled.asm["ptx"]


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@pytest.mark.parametrize("capability", [ORIN, HOPPER])
@pytest.mark.parametrize("half", ["fp16", "bf16", "fp32", "u8"])
def test_preprocess_compiles(capability, half):
    from bisenet_ros.inference.cuda import kernels

    compile_for(kernels._preprocess_kernel, capability, half, "i32", {"BLOCK": kernels.BLOCK})


@pytest.mark.parametrize("capability", [ORIN, HOPPER])
@pytest.mark.parametrize("half", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize(
    ("probable", "grouped"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_classify_compiles_and_rounds_as_written(capability, half, probable, grouped):
    from bisenet_ros.inference.cuda import kernels

    constants = {"CLASSES": 19, "WITH_PROBABILITY": probable, "GROUPED": grouped}
    constants["BLOCK"] = kernels.BLOCK
    ptx = compile_for(kernels._classify_kernel, capability, half, "fp32", constants)
    assert "fma.rn.f32" not in ptx  # a product and a sum in one rounding: not what plain.py does
    assert ".local" not in ptx  # nothing spilled to memory
    assert "0f4B400000" in ptx and "0fCB400000" in ptx  # the rounding was not optimised away


@pytest.mark.parametrize("capability", [ORIN, HOPPER])
@pytest.mark.parametrize("half", ["fp16", "bf16", "fp32"])
def test_bias_relu_compiles(capability, half):
    from bisenet_ros.inference.cuda import kernels

    constants = {"CHANNELS": 64, "BLOCK": kernels.WIDE_BLOCK}
    ptx = compile_for(kernels._bias_relu_kernel, capability, half, "fp32", constants)
    assert "fma.rn.f32" not in ptx
    if half != "fp32":  # narrowed to the nearest, as PyTorch does
        assert re.search(r"(cvt|add)\.rn\.b?f16", ptx)
