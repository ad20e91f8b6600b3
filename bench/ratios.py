"""Prints what an interleaved comparison found: for each case the two servers' medians and the median of the ratios.

Reads lines of `CASE HENGE REDIS GOAL METRIC...` from standard input, where METRIC is `cpu` `rate` (operations per
second, for which more is better), or a latency such as `p99`; the reports lie in the directory given as argument, as CASE.SERVER.ROUND.json. A ratio is taken within a round,
so that whatever the machine did in that minute is in both of its terms. Exits with 1 where a goal is missed.
"""

import json
import pathlib
import statistics
import sys


def load_rounds(directory, case, server):
    """The reports of a case, by round."""
    paths = directory.glob(f"{case}.{server}.*.json")
    return {int(path.suffixes[-2][1:]): json.loads(path.read_text()) for path in paths}


def figure(report, metric):
    """One figure of a report, times in microseconds; nothing where it was not measured."""
    if metric == "rate":
        return report["throughput_per_second"]
    if metric == "cpu":
        return report["server"].get("cpu_us_per_operation")
    lines = report["latency"]
    return lines[-1].get(metric.replace(".", "_") + "_us") if lines else None


def figures(rounds, metric):
    found = {number: figure(report, metric) for number, report in rounds.items()}
    return {number: value for number, value in found.items() if value}


def median_text(values):
    return f"{statistics.median(values):.1f}" if values else "-"


def compare(ours, theirs):
    """The ratios within each round."""
    return [ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys())]


def row(case, metric, ours, theirs, goal):
    """A line of the table, and whether its goal is missed."""
    ratios = compare(ours, theirs)
    missed = bool(ratios) and goal is not None and statistics.median(ratios) > goal
    cells = [case, metric, median_text(ours.values()), median_text(theirs.values())]
    if ratios:
        cells += [f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}"]
    else:
        cells += ["-", "-"]
    cells += ["-" if goal is None else f"{goal:.2f}", "MISSED" if missed else ""]
    return cells, missed


def failures(case, server, rounds):
    """Sentences about runs whose figures need a second look."""
    for number, report in sorted(rounds.items()):
        answered = report["operations"] + report["failed"]
        for what in ("failed", "misses", "unsent"):
            if report[what] > answered / 1000:
                yield f"note: {case} on {server}, round {number}: {report[what]} of {answered} operations {what}"


def print_table(rows):
    header = ["case", "us", "henge", "redis", "ratio", "range", "goal", ""]
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    for line in [header, *rows]:
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def main():
    directory = pathlib.Path(sys.argv[1])
    rows, notes, any_missed = [], [], False
    for line in sys.stdin:
        if not line.strip():
            continue
        case, henge, redis, goal, *metrics = line.split()
        ours, theirs = load_rounds(directory, case, henge), load_rounds(directory, case, redis)
        notes += [*failures(case, henge, ours), *failures(case, redis, theirs)]
        for metric in metrics:
            # The goal is one for CPU time; latencies are shown beside it.
            bound = float(goal) if metric == "cpu" and goal != "-" else None
            cells, missed = row(case, metric, figures(ours, metric), figures(theirs, metric), bound)
            rows.append(cells)
            any_missed |= missed
    print_table(rows)
    print("\n".join(notes))
    sys.exit(1 if any_missed else 0)


if __name__ == "__main__":
    main()
