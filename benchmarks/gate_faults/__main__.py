"""`PYTHONPATH=include python -m benchmarks.gate_faults`: exit code 1 on any false PASS, crash or unexpected ending."""

from __future__ import annotations

import sys
from collections import Counter

from benchmarks.gate_faults.faults import FAULTS
from benchmarks.gate_faults.judging import judged
from benchmarks.gate_faults.streams import stream

STREAMS = 200


def main() -> int:
    print("The canary fails 3 to 20 % of its requests, stable 0.5 %: each PASS would be a false one.\n")
    print(f"{'fault':38} {'ended as':20} {'samples':>7}")
    wrong = 0
    for fault in FAULTS:
        ending = judged(fault.world())
        is_expected = ending.name in fault.expected
        wrong += not is_expected
        print(f"{fault.name:38} {ending.name:20} {ending.samples:7}" + ("" if is_expected else "  WRONG"))
        if not is_expected:
            print(f"  expected {', '.join(sorted(fault.expected))}: {ending.reason}")
    endings = {seed: judged(stream(seed)) for seed in range(STREAMS)}
    print(f"\n{STREAMS} mutated streams, seeds 0 to {STREAMS - 1}:")
    for name, count in sorted(Counter(ending.name for ending in endings.values()).items()):
        print(f"{name:38} {count:5}")
    for seed, ending in endings.items():
        if ending.is_wrong:
            wrong += 1
            print(f"seed {seed}: {ending.name}: {ending.reason}")
    print(
        f"\nfalse PASS: {sum(e.name == 'PASS' for e in endings.values())}, "
        f"crashes: {sum(e.name == 'CRASH' for e in endings.values())}, wrong in all: {wrong}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
