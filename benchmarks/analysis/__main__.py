"""Does the rollout gate stop good candidates, and how soon does it find bad ones? How often does an
experiment find a difference that is not there?

Simulates equal and unequal arms, drives the operator's own rules over them, looks every 50
requests, prints the figures with the bars that they are held to, and writes results/analysis.json.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.analysis import experiments
from benchmarks.analysis.rollouts import rollouts
from benchmarks.analysis.runs import SECTIONS, Row

FILE = Path(__file__).resolve().parent.parent / "results" / "analysis.json"
ROLLOUTS = 100


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analysis", description=__doc__)
    parser.add_argument(
        "--scale",
        type=float,
        default=os.environ.get("SCALE") or 1.0,
        help="simulate so many times the pairs, 0.1 for a quick look (SCALE=); default 1",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a bar is missed")
    parser.add_argument(
        "--only", default="", help="a part of the titles of what to run; then no file is written"
    )
    options = parser.parse_args(argv)
    if not options.scale > 0:
        parser.error("the scale is a positive number")

    rows: list[Row] = []
    for title, section, pairs in (
        *SECTIONS,
        *experiments.SECTIONS,
        ("whole rollouts", rollouts, ROLLOUTS),
    ):
        if options.only not in title:
            continue
        many = max(10, int(pairs * options.scale))
        began = time.monotonic()
        print(f"\n{title} ({many:,} of each)", flush=True)
        for row in section(many):
            print(line(row), flush=True)
            rows.append(row)
        print(f"        {time.monotonic() - began:.0f} s", flush=True)
    missed = [row for row in rows if row.met is False]
    print(f"\n{sum(row.met is True for row in rows)} bars met, {len(missed)} missed")
    if not options.only:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        figures = [asdict(row) | {"met": row.met} for row in rows]
        FILE.write_text(json.dumps(figures, indent=1) + "\n")
        print(FILE)
    return 1 if missed and options.strict else 0


WORDS = {True: "met", False: "MISSED", None: "-"}


def line(row: Row) -> str:
    bar = "" if row.bar is None else f"<= {row.bar:g}"
    figure = f"{row.figure:.2f} {row.unit}"
    more = "  ".join(f"{name.replace('_', ' ')} {value:,.0f}" for name, value in row.more.items())
    return f"{WORDS[row.met]:>6}  {row.case:72} {figure:>20}  {bar:7} {more}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
