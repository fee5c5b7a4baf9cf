"""What the code generator may use on this machine.

Follows numba's own choice, so NUMBA_CPU_NAME and NUMBA_CPU_FEATURES narrow it: an instruction that the
target lacks would stop the process at compile time, not raise.
"""

import functools
import platform

import llvmlite.binding as llvm
from numba.core import config


@functools.cache
def features() -> frozenset[str]:
    """Names of the target's features in LLVM's spelling, for example "f16c", "fma", "avx512bw"."""
    given = getattr(config, "CPU_FEATURES", None)
    if given is not None:
        return frozenset(name[1:] for name in str(given).split(",") if name.startswith("+"))
    return frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)


def fuses() -> bool:
    """Whether a float32 multiply and add can be one instruction with one rounding."""
    return "fma" in features() or platform.machine().lower() in {"arm64", "aarch64"}


def converts_half() -> bool:
    """Whether float16 to float32 is an instruction."""
    return "f16c" in features() or platform.machine().lower() in {"arm64", "aarch64"}


def multiplies_magnitudes() -> bool:
    """Whether 32 products of uint8 and int8 are added in pairs by one instruction (vpmaddubsw, vpsignb)."""
    return "avx2" in features()


def multiplies_bytes() -> bool:
    """Whether 64 products of uint8 and int8 are one instruction (vpdpbusd)."""
    return "avx512vnni" in features()


def looks_up() -> str:
    """Which instruction looks 16 or 32 bytes up in a table of 16: "avx2", "ssse3", "neon", or "" for none."""
    if platform.machine().lower() in {"arm64", "aarch64"}:
        return "neon"
    return next((name for name in ("avx2", "ssse3") if name in features()), "")


def multiplies_nibbles() -> str:
    """Which instruction multiplies 32 small uint8 and int8: "vnni" adds fours, "avx2" pairs, "" is none."""
    if {"avx512vnni", "avx512vl"} <= features():
        return "vnni"
    return "avx2" if "avx2" in features() else ""
