"""The table of bench/outage.sh: outage.py RESULTS. Exits with 1 where a goal is missed."""
import json
import pathlib
import statistics
import sys

results = pathlib.Path(sys.argv[1])


def report(name):
    return json.loads((results / f"{name}.json").read_text())


def p99(name):
    latency = report(name)["latency"]
    return [kind for kind in latency if kind["kind"] == "all"][0]["p99_us"]


def show(what, values, goal, form="{:.2f}"):
    values = sorted(values)
    middle = statistics.median(values)
    low, mid, high = (form.format(value) for value in (values[0], middle, values[-1]))
    is_met = middle <= goal
    print(f"  {what:<58} {mid:>8} ({low} to {high})   goal {goal}: {'met' if is_met else 'MISSED'}")
    return is_met


met = True
for nodes in sorted({path.name.split(".")[0] for path in results.glob("*.full.json")}):
    rounds = sorted(int(path.name.split(".")[1]) for path in results.glob(f"{nodes}.*.backlog.json"))
    print(f"one of {nodes} nodes, {len(rounds)} rounds: median (least to most)")
    of = lambda case: [f"{nodes}.{number}.{case}" for number in rounds]
    errors = [sum(report(name)["failed"] for name in each) for each in zip(of("killed"), of("away"), of("back"))]
    met &= show("errors through the others", errors, 0, "{:.0f}")
    for name in of("killed") + of("away") + of("back"):
        for error in report(name)["errors"]:
            print(f"      {name}: {error['count']} {error['kind']}: {error['example']}")
    ratios = [p99(after) / p99(before) for before, after in zip(of("before"), of("killed"))]
    met &= show("p99 after the kill / before", ratios, 3)
    ratios = [p99(after) / p99(before) for before, after in zip(of("full"), of("back"))]
    met &= show("p99 while it comes back / full load before", ratios, 2)
    backlog = [report(name) for name in of("backlog")]
    met &= show("time until it has all / time away", [each["drained"] / each["away"] for each in backlog], 1)
    for case in ("before", "killed", "full", "away", "back"):
        values = sorted(p99(name) / 1000 for name in of(case))
        rates = sorted(report(name)["throughput_per_second"] for name in of(case))
        print(f"      p99 {case:<7} {statistics.median(values):8.2f} ms ({values[0]:.2f} to {values[-1]:.2f}), "
              f"{statistics.median(rates):.0f} operations a second")
    for key in ("away", "serves", "drained"):
        values = sorted(each[key] for each in backlog)
        print(f"      {key:<11} {statistics.median(values):8.1f} s ({values[0]:.1f} to {values[-1]:.1f})")
sys.exit(0 if met else 1)
