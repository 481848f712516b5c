"""Prints what the searches cost on this machine, now. Nothing is asserted: times are no test."""

from __future__ import annotations

import argparse
import os
import platform
from time import perf_counter

from .course import course
from .peers import models, peers
from .stepper import clicks, shipped
from .timed import many, rates

#: The chapters that are enough to see that it works.
FEW = ("00", "02")


def main() -> None:
    """``python -m benchmarks``: some minutes; with ``--quick``, less than one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, small models only")
    quick = parser.parse_args().quick
    begin = perf_counter()
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"Python {platform.python_version()} on {os.cpu_count()} CPUs{load}.\n")
    print("The course, inside a running kernel\n")
    print(course(1, FEW) if quick else course(9), flush=True)
    print("\nThe stepper: what it ships to the page\n")
    print(shipped(1, FEW) if quick else shipped(5), flush=True)
    print("\nThe stepper: from a click to the painted page\n")
    print(clicks(5 if quick else 40), flush=True)
    print("\nIn time, beside SimPy alone (times of the processor)\n")
    print(rates(1 if quick else 7, quick), flush=True)
    print()
    print(many(quick), flush=True)
    print("\nBeside other checkers, from source to verdict\n")
    chosen = [model for model in models() if model.small][:2] if quick else models()
    print(peers(1 if quick else 5, 20 if quick else 160, chosen))
    print(f"\n{perf_counter() - begin:.0f} seconds.")


if __name__ == "__main__":
    main()
