"""The inline PTX of cuda/tensorcore.cuh, which the emulation never runs: small kernels around each function are
compiled, and each operand of the instruction is followed back to the number that was loaded for it, each result on to
where it is stored."""

from __future__ import annotations

import re

import pytest

# Numbers are this far apart, so that the compiler joins no two loads.
STRIDE = 64
HEAD = """
#include "cuda/tensorcore.cuh"
using namespace fastdl;
#define IN(T, i) reinterpret_cast<const T*>(in)[i * 16]
"""
KERNEL = 'extern "C" __global__ void {}(const uint32_t* in, uint32_t* out) {{ {} }}\n'


def load(count: int, transposed: bool) -> tuple[str, str, dict]:
    function = "load_transposed" if transposed else "load_matrices"
    text = f"__shared__ uint4 tile[32]; tile[threadIdx.x].x = IN(uint32_t, 9); uint32_t r[{count}];"
    text += f"{function}(r, tile + threadIdx.x);"
    text += "".join(f"out[{i} * 16] = r[{i}];" for i in range(count))
    ptx = f"ldmatrix.sync.aligned.m8n8.x{count}{'.trans' if transposed else ''}.shared.b16"
    return text, ptx, {"out": list(range(count)), "in": []}


def product(number: str, shape: str) -> tuple[str, str, dict]:
    text = "uint32_t a[4], b[2]; float c[4];"
    text += "".join(f"a[{i}] = IN(uint32_t, {i});" for i in range(4))
    text += "".join(f"b[{i}] = IN(uint32_t, {4 + i});" for i in range(2))
    text += "".join(f"c[{i}] = IN(float, {6 + i});" for i in range(4))
    text += f"multiply({number}{{}}, c, a, b);"
    text += "".join(f"reinterpret_cast<float*>(out)[{i} * 16] = c[{i}];" for i in range(4))
    kind = {"bfloat16": "bf16", "float16": "f16", "tfloat32": "tf32"}[number]
    ptx = f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32"
    return text, ptx, {"out": [0, 1, 2, 3], "in": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}


def pair(number: str, kind: str) -> tuple[str, str, dict]:
    text = f"out[0] = pack({number}{{}}, IN(float, 0), IN(float, 1));"
    return text, f"cvt.rn.{kind}x2.f32", {"out": [0], "in": [1, 0]}  # the first operand becomes the upper half


ROUNDING = "out[0] = round_to(tfloat32{}, IN(float, 0));", "cvt.rna.tf32.f32", {"out": [0], "in": [0]}
CASES = {
    **{f"load_matrices {n}": load(n, False) for n in (1, 2, 4)},
    **{f"load_transposed {n}": load(n, True) for n in (1, 2, 4)},
    "multiply bfloat16": product("bfloat16", "m16n8k16"),
    "multiply float16": product("float16", "m16n8k16"),
    "multiply tfloat32": product("tfloat32", "m16n8k8"),
    "pack bfloat16": pair("bfloat16", "bf16"),
    "pack float16": pair("float16", "f16"),
    "round tfloat32": ROUNDING,
}


COPIES = {4: "ca", 8: "ca", 16: "cg"}


def copy(size: int) -> str:
    return f"""
    extern __shared__ unsigned char bytes[];
    copy_async<{size}>(bytes + 48, in + 16, static_cast<int>(IN(uint32_t, 7)));
    commit_copies();
    wait_copies<3>();
    out[0] = *reinterpret_cast<uint32_t*>(bytes + 48);
    """


@pytest.fixture(name="ptx", scope="module")
def _ptx(nvcc, tmp_path_factory) -> dict[str, str]:
    """The text of each kernel, all compiled at once."""
    bodies = {name: body for name, (body, _, _) in CASES.items()} | {f"copy {size}": copy(size) for size in COPIES}
    folder = tmp_path_factory.mktemp("ptx")
    source, text = folder / "kernels.cu", folder / "kernels.ptx"
    source.write_text(HEAD + "".join(KERNEL.format(name.replace(" ", "_"), body) for name, body in bodies.items()))
    nvcc("-ptx", "-arch=sm_80", source, "-o", text)
    parts = re.findall(r"\.entry (\w+)\((.*?)\n}", text.read_text(), re.DOTALL)
    return {name.replace("_", " "): part for name, part in parts}


def places(text: str, kind: str) -> dict[str, int]:
    """Register -> number of the load (kind "ld") or store ("st") that it belongs to."""
    found = {}
    address = r"\[%\w+(?:\+(\d+))?\]"
    pattern = rf"ld\.global\S*\s+(%\w+), {address}" if kind == "ld" else rf"st\.global\S*\s+{address}, (%\w+)"
    for match in re.finditer(pattern, text):
        register, offset = match.groups() if kind == "ld" else match.groups()[::-1]
        found[register] = int(offset or 0) // STRIDE
    for copy in re.finditer(r"mov\.b32\s+(%\w+), (%\w+);", text):  # between integers and floats
        to, source = copy.groups()
        if kind == "ld" and source in found:
            found[to] = found[source]
        if kind == "st" and to in found:
            found[source] = found[to]
    return found


def operands(text: str, instruction: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if instruction in line]
    return re.findall(r"%\w+", line)


@pytest.mark.parametrize("name", CASES)
def test_operands_come_from_and_go_to_their_places(ptx, name):
    _, instruction, expected = CASES[name]
    text = ptx[name.replace("_", " ")]
    registers = operands(text, instruction)
    results, given = registers[: len(expected["out"])], registers[len(expected["out"]) :]
    stores, loads = places(text, "st"), places(text, "ld")
    assert [stores[r] for r in results] == expected["out"]
    if name.startswith("load"):
        (address,) = given  # where the kernel stored to the lane's own row
        assert re.search(rf"st\.shared\S*\s+\[{address}\], (%\w+);", text)
        return
    assert [loads[r] for r in given] == expected["in"]


@pytest.mark.parametrize(("size", "operator"), COPIES.items())
def test_copies(ptx, size, operator):
    text = ptx[f"copy {size}"]
    (line,) = [line for line in text.splitlines() if "cp.async.c" in line and "shared" in line]
    match = re.search(rf"cp\.async\.{operator}\.shared\.global \[(%\w+)\], \[(%\w+)\], {size}, (%\w+);", line)
    assert match, line
    to, source, count = match.groups()
    assert re.search(rf"add\.s(?:32|64)\s+%\w+, %\w+, 48;|add\.s32\s+{to}, %\w+, 48;", text)
    assert re.search(rf"add\.s64\s+{source}, %\w+, 64;", text)
    assert places(text, "ld")[count] == 7
    parts = (f"cp.async.{operator}.", "cp.async.commit_group;", "cp.async.wait_group 3;")
    order = [text.index(part) for part in parts]
    assert order == sorted(order)
