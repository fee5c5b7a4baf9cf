"""Fuzzes one reader: `python -m fuzz.run TARGET --examples N`, or for `--seconds N`; a seed repeats it.

Prints a line of JSON: inputs tried, how many were read, findings with the input in hexadecimal, and the memory taken.
"""

import argparse
import json
import random
import sys
import time
import traceback
import warnings

from bench.machine import peak_resident_bytes
from fuzz.targets import TARGETS

NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62]
WORDS = [b"null", b"-1", b"1e999", b"NaN", b"\x00", b"[[[[", b"{}", b'"', b"'", b"\xff\xfe", b"not ", b"9" * 30]
LONGEST = 1 << 16


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Return a seed with some bytes changed, cut out, repeated, or taken from another seed."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at % len(data)] = rng.randrange(256)
            case 2:
                del data[at : at + rng.choice((1, 2, 8, 64))]
            case 3:
                data[at:at] = rng.choice(WORDS)
            case 4:
                size = rng.choice((1, 2, 4, 8))
                number = rng.choice(NUMBERS) & ((1 << 8 * size) - 1)
                data[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
            case 5:
                data[at:at] = data[at : at + rng.choice((1, 8, 64))] * rng.choice((1, 2, 50))
            case _:
                other = rng.choice(seeds)
                begin = rng.randrange(len(other) + 1)
                data[at:] = other[begin:]
    return bytes(data[:LONGEST])


def main() -> int:
    """Fuzz, and return 1 where something was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--examples", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    target, rng, begun = TARGETS[given.target], random.Random(given.seed), time.monotonic()
    seeds = target.seeds()
    for seed in seeds:
        target.read(seed)  # a seed that is not read makes fuzzing it pointless
    tried = read = 0
    findings: dict[str, str] = {}
    while tried < given.examples or time.monotonic() - begun < given.seconds:
        data = mutated(rng, seeds)
        tried += 1
        try:
            target.read(data)
            read += 1
        except target.errors:
            pass
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            findings.setdefault(f"{type(error).__name__} at {place.name}:{place.lineno}: {error}"[:200], data.hex())
    told = {"tried": tried, "read": read, "findings": findings, "peak_bytes": peak_resident_bytes()}
    sys.stdout.write(json.dumps(told))
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
