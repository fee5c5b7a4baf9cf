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
