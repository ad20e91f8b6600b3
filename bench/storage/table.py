"""Prints what interleaved rounds found: each engine's median, and the median of Henge's ratios to each other engine.

Reads lines of JSON, {case, engine, round, figures}. A ratio is taken within a round. Of each figure the table says
whether more is better; a ratio is always Henge's figure by the other's.
"""

import collections
import json
import pathlib
import statistics
import sys

OURS = "henge"
# Unit and direction, in the order of the table.
FIGURES = {
    "puts_per_second": "more",
    "us": "less",
    "cpu_us": "less",
    "written_per_byte": "less",
    "dirtied_per_byte": "less",
    "disk_per_byte": "less",
    "device_kib": "less",
    "seconds": "less",
    "cpu_seconds": "less",
    "log_mib": "",
    "resident_mib": "less",
}


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def ratio_text(ours, theirs):
    """The median of the ratios within rounds, with their range."""
    rounds = [n for n in sorted(ours.keys() & theirs.keys()) if theirs[n]]
    ratios = [ours[n] / theirs[n] for n in rounds]
    if not ratios or not any(ours.values()):
        return "-"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def rows(results, engines):
    """The table's lines, cases in the order in which they were measured."""
    by_case = collections.defaultdict(lambda: collections.defaultdict(lambda: collections.defaultdict(dict)))
    for result in results:
        for figure, value in result["figures"].items():
            by_case[result["case"]][figure][result["engine"]][result["round"]] = value
    for case, figures in by_case.items():
        for figure, better in FIGURES.items():
            found = figures.get(figure)
            if not found:
                continue
            medians = [number(statistics.median(found[e].values())) if found[e] else "-" for e in engines]
            ratios = [ratio_text(found[OURS], found[e]) for e in engines if e != OURS]
            yield [case, figure, better, *medians, *ratios]


def main():
    results = [json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]
    engines = list(dict.fromkeys(result["engine"] for result in results))
    header = ["case", "figure", "better", *engines, *(f"{OURS} / {e}" for e in engines if e != OURS)]
    table = [header, *rows(results, engines)]
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


main()
