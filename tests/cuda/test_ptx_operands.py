"""The inline PTX of cuda/tensorcore.cuh, which the emulation never runs: small kernels around each function are
compiled, and each operand of the instruction is followed back to the number that was loaded for it, each result on to
where it is stored.

test_every_instruction_has_an_operand_test reads the headers' inline PTX, of compute capability 9.0 too
(test_hopper_code.py), and fails for an instruction that no such test looks at."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from .conftest import ROOT

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
GROUPS = {"cp.async.commit_group": "", "cp.async.wait_group": " 3"}


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
    parts = (f"cp.async.{operator}.", *(f"{i}{operand};" for i, operand in GROUPS.items()))
    order = [text.index(part) for part in parts]
    assert order == sorted(order)


# ---- no instruction without such a test ------------------------------------------------------------------------------

HEADERS = ("tensorcore.cuh", "hopper.cuh")
NOT_FOR_DEVICES = ("cpu", "emu")  # folders of csrc that nvcc does not see
HELPERS = (".reg", "setp", "selp")  # statements that only bring an operand into its form


def inline_instructions(source: str) -> list[str]:
    """The instructions of a file's inline PTX, as nvcc for 9.0a sees it: without operands, one a function."""
    text = "".join(line for line in source.splitlines(True) if not line.startswith(("#include", "#pragma once")))
    macros = ("FASTDL_DEVICE_CUDA", "__CUDA_ARCH__=900", "__CUDA_ARCH_FEAT_SM90_ALL")
    command = ["g++", "-E", "-P", "-x", "c++", *(f"-D{m}" for m in macros), "-"]
    expanded = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    found = []
    for statement in re.findall(r'\basm\b[\w\s]*\(((?:\s*"(?:[^"\\]|\\.)*")+)', expanded):
        ptx = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', statement)).replace("\\n", " ")
        parts = [part.strip(" {}") for part in ptx.split(";")]
        (instruction,) = [p.split()[0] for p in parts if p and not p.startswith(HELPERS)]
        found.append(instruction)
    assert len(found) == len(re.findall(r"\basm\b", expanded))
    return found


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++, to expand macros")
def test_every_instruction_has_an_operand_test():
    from .test_hopper_code import instructions_with_operand_tests

    found = [i for name in HEADERS for i in inline_instructions((ROOT / "csrc/cuda" / name).read_text())]
    assert len(found) == len(set(found)) > 30
    copies = {f"cp.async.{operator}.shared.global" for operator in COPIES.values()}
    assert set(found) == {i for _, i, _ in CASES.values()} | copies | set(GROUPS) | instructions_with_operand_tests()


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++, to expand macros")
def test_a_new_instruction_would_be_found():
    source = (ROOT / "csrc/cuda/hopper.cuh").read_text()
    at = "#undef FASTDL_PTX"
    assert source.count(at) == 1
    new = 'inline void f(int x) { FASTDL_PTX("{\\n .reg .pred p;\\n" " griddepcontrol.wait;\\n}" ::"r"(x)); }\n'
    added = inline_instructions(source.replace(at, new + at))
    assert sorted(added) == sorted([*inline_instructions(source), "griddepcontrol.wait"])


def test_there_is_no_other_inline_assembly():
    files = [p for p in (ROOT / "csrc").rglob("*.*") if p.relative_to(ROOT / "csrc").parts[0] not in NOT_FOR_DEVICES]
    assert len(files) > 100
    found = {p.name for p in files if re.search(r"\b(asm|__asm__|__asm)\b", p.read_text())}
    assert found == set(HEADERS)
