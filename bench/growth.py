"""What bench/growth.sh asks of a cluster whose nodes have RESP on BASE + their number, and HTTP on BASE + 200 + their number.

growth.py is_settled BASE NODES          0 if there are so many members and nothing moves or waits to
growth.py snapshot BASE NODES FILE       writes down who owns what, and what has moved so far by each node's own figures
growth.py witness BASE FILE              writes keys of its own through n1, n2 and n3 until FILE.stop is there; what was acknowledged
                                         goes to FILE
growth.py check BASE KEYS RESULTS NODE.. what was acknowledged is read through each node, and all loaded keys are counted
growth.py table KEYS RESULTS             the table; exits with 1 where a goal is missed
"""
import binascii
import http.client
import json
import pathlib
import socket
import statistics
import sys
import time

WITNESS_KEYS = 500
WITNESS_PAUSE = 0.005
FIGURES = ("movements_fetched_bytes_total", "movements_fetched_records_total", "exchange_moved_bytes_total",
           "movements_dropped_partitions_total", "movements_dropped_records_total")


def get(port, path):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("GET", path, headers={"accept": "application/json"})
        answer = link.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            sys.exit(f"{path} of {port}: {answer.status} {body}")
        return body
    finally:
        link.close()


def is_settled(base, nodes):
    for node in (1, 2, 3):
        cluster = json.loads(get(base + 200 + node, "/v1/cluster"))
        states = [one["state"] for one in cluster["nodes"]]
        if states != ["up"] * nodes or cluster["movements"] or cluster["waiting"]:
            return False
    return True


def snapshot(base, nodes, file):
    figures = {}
    for node in range(1, nodes + 1):
        try:
            lines = get(base + 200 + node, "/metrics").splitlines()
        except OSError:
            continue  # It has left.
        figures[node] = {name: sum(float(line.split()[1]) for line in lines if line.startswith(f"henge_{name} "))
                         for name in FIGURES}
    ring = json.loads(get(base + 201, "/v1/ring"))
    owners = {}
    for run in ring["slots"]:
        for slot in range(run["first"], run["last"] + 1):
            owners[slot] = run["owners"]
    pathlib.Path(file + ".snapshot").write_text(json.dumps({"figures": figures, "owners": owners}))


class Link:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.replies = self.socket.makefile("rb")

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))

    def reply(self):
        line = self.replies.readline()
        if line[:1] == b"$":
            size = int(line[1:])
            return None if size < 0 else self.replies.read(size + 2)[:-2]
        if line[:1] in b"+-:":
            return line.strip()
        raise OSError(f"not a reply: {line!r}")


def witness(base, file):
    stop, acknowledged, errors, number = pathlib.Path(file + ".stop"), {}, [], 0
    links = [Link(base + node) for node in (1, 2, 3)]
    while not stop.exists():
        number += 1
        key, link = number % WITNESS_KEYS, links[number % 3]
        link.send("SET", f"witness-{key}", number)
        said = link.reply()
        if said == b"+OK":
            acknowledged[key] = number
        else:
            errors.append(repr(said))
        time.sleep(WITNESS_PAUSE)
    written = {"acknowledged": acknowledged, "errors": errors, "writes": number}
    pathlib.Path(file).write_text(json.dumps(written))


def check(base, keys, results, nodes):
    written = json.loads((pathlib.Path(results) / "witness").read_text())
    lost = []
    for node in nodes:
        link = Link(base + node)
        for key, number in written["acknowledged"].items():
            link.send("GET", f"witness-{key}")
            found = link.reply()
            # One that was not acknowledged may have been stored after all.
            if found is None or not found.isdigit() or int(found) < number:
                lost.append(f"through n{node} witness-{key} is {found!r}, and {number} was acknowledged")
    link, missing, at_once = Link(base + nodes[0]), 0, 500
    for first in range(0, keys, at_once):
        numbers = range(first, min(first + at_once, keys))
        for number in numbers:
            link.send("EXISTS", b"key:%012d" % number)
        missing += sum(link.reply() != b":1" for _ in numbers)
    checked = {"lost": len(lost), "examples": lost[:5], "missing": missing}
    (pathlib.Path(results) / "checked").write_text(json.dumps(checked))


def table(keys, results):
    results = pathlib.Path(results)
    snapshots = {case: json.loads((results / f"{case}.snapshot").read_text()) for case in ("three", "five", "four")}
    in_slot = [0] * 16384
    for number in range(keys):
        in_slot[binascii.crc_hqx(b"key:%012d" % number, 0) % 16384] += 1

    def report(case):
        return [json.loads(path.read_text()) for path in sorted(results.glob(f"{case}.*.json"))]

    def p99(one):
        return [kind for kind in one["latency"] if kind["kind"] == "all"][0]["p99_us"] / 1000

    def moved(before, after, name):
        figures = [snapshots[case]["figures"] for case in (before, after)]
        return sum(node[name] - figures[0].get(number, {}).get(name, 0) for number, node in figures[1].items())

    met = True

    def say(what, value, goal=None, text=None):
        nonlocal met
        is_met = goal is None or value <= goal
        met &= is_met
        verdict = "" if goal is None else f"   goal {goal}: {'met' if is_met else 'MISSED'}"
        print(f"  {what:<58} {text or value:>24}{verdict}")

    cases = ("three", "growing", "five", "shrinking", "four")
    print(f"{keys} keys: three nodes, five, four")
    for case in cases:
        values = [p99(one) for one in report(case)]
        done = statistics.median(one["throughput_per_second"] for one in report(case))
        text = f"{statistics.median(values):.2f} ms ({min(values):.2f} to {max(values):.2f})"
        say(f"p99 {case}, {len(values)} slices, {done:.0f} operations a second", 0, text=text)
    for moving, rest in (("growing", ("three", "five")), ("shrinking", ("five", "four"))):
        beside = statistics.median(p99(one) for case in rest for one in report(case))
        ratio = statistics.median(p99(one) for one in report(moving)) / beside
        say(f"p99 {moving} / p99 of {rest[0]} and {rest[1]} at rest", ratio, 2, f"{ratio:.2f}")
    for before, after, what in (("three", "five", "growing"), ("five", "four", "shrinking")):
        owners = [snapshots[case]["owners"] for case in (before, after)]
        gained = {slot: len(set(new) - set(owners[0][slot])) for slot, new in owners[1].items()}
        least = sum(in_slot[int(slot)] * count for slot, count in gained.items())
        records, run = (moved(before, after, f"movements_fetched_{what}_total") for what in ("records", "bytes"))
        exchanged = moved(before, after, "exchange_moved_bytes_total")
        least_bytes = least * run / records if records else 0
        ratio = (run + exchanged) / least_bytes if least_bytes else float("inf")
        text = f"{ratio:.3f} ({(run + exchanged) / 1e6:.0f} of {least_bytes / 1e6:.0f} MB)"
        say(f"bytes moved {what} / the least", ratio, 1.15, text)
        print(f"      in whole runs {run / 1e6:.1f} MB, by comparing {exchanged / 1e6:.1f} MB")
    written, checked = (json.loads((results / name).read_text()) for name in ("witness", "checked"))
    failed = [one for case in cases for one in report(case) if one["failed"] or one["misses"]]
    say("errors of clients", sum(one["failed"] for one in failed) + len(written["errors"]), 0)
    say("reads that found nothing", sum(one["misses"] for one in failed), 0)
    say("loaded keys that are not there", checked["missing"], 0)
    say(f"acknowledged writes lost, of {written['writes']}, through each node", checked["lost"], 0)
    for line in written["errors"][:5] + checked["examples"]:
        print(f"      {line}")
    for one in failed:
        for error in one["errors"]:
            print(f"      {error['count']} {error['kind']}: {error['example']}")
    return met


if __name__ == "__main__":
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "is_settled":
        sys.exit(0 if is_settled(int(arguments[0]), int(arguments[1])) else 1)
    elif what == "snapshot":
        snapshot(int(arguments[0]), int(arguments[1]), arguments[2])
    elif what == "witness":
        witness(int(arguments[0]), arguments[1])
    elif what == "check":
        check(int(arguments[0]), int(arguments[1]), arguments[2], [int(one) for one in arguments[3:]])
    else:
        sys.exit(0 if table(int(arguments[0]), arguments[1]) else 1)
