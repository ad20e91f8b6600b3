"""Keys by which it is seen when a node that was away has what it missed.

markers.py write PORT FIRST END      stores them through the node whose RESP is on PORT
markers.py await PORT NODES AWAY BACK
    until each owner of each holds it and no node keeps hints, and prints how long the node was away, when it served
    again, and when it had all, in seconds since it was started; AWAY and BACK are times since 1970
"""
import http.client
import json
import socket
import sys
import time

COUNT = 1000
PATIENCE = 300


def write(port, first, end):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        replies = link.makefile("rb")
        for number in range(first, end):
            link.sendall(b"SET marker-%d x\r\n" % number)
            said = replies.readline()
            if not said.startswith(b"+OK"):
                sys.exit(f"marker {number} was not stored: {said!r}")


def get(port, path):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


def is_everywhere(port, number):
    status, body = get(port, f"/v1/explain/default/marker-{number}")
    return status == 200 and all(owner["state"] == "found" for owner in json.loads(body)["owners"])


def hints(ports):
    total = 0.0
    for port in ports:
        _, body = get(port, "/metrics")
        total += sum(float(line.split()[1]) for line in body.splitlines() if line.startswith("henge_hints_waiting "))
    return total


def wait(port, nodes, away, back):
    doors = [port + 200 + node for node in range(nodes)]
    serves = None
    missing = list(range(COUNT))
    while True:
        if time.time() - back > PATIENCE:
            sys.exit(f"{len(missing)} markers are not at all their owners after {PATIENCE} s")
        try:
            if serves is None:
                if get(doors[-1], "/readyz")[0] != 200:
                    continue
                serves = time.time() - back
            # From the end: what is not there yet is asked again, what is there is not.
            while missing and is_everywhere(doors[0], missing[-1]):
                missing.pop()
            if not missing and hints(doors) == 0:
                break
        except OSError:
            pass
        time.sleep(0.05)
    print(json.dumps({"away": back - away, "serves": serves, "drained": time.time() - back}))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*map(int, sys.argv[2:5]))
    else:
        wait(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
