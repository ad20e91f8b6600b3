"""A cluster of real processes that grows, shrinks and loses a node, for tests that watch clients meanwhile."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

PATIENCE_SECONDS = 120


def free_ports(count):
    """So many ports of the loopback address that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Node:
    """A process of `henge server`. It joins at the seed, or founds the cluster where there is none."""

    def __init__(self, name, directory, seed):
        self.name = name
        self.resp, self.cluster, self.http, self.peer = free_ports(4)
        how = ["--bootstrap"] if seed is None else ["--seeds", f"127.0.0.1:{seed.peer}"]
        listen = {"resp": self.resp, "cluster": self.cluster, "http": self.http, "peer": self.peer}
        addresses = [word for what, port in listen.items() for word in (f"--{what}", f"127.0.0.1:{port}")]
        self.log = pathlib.Path(directory, f"{name}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [os.environ["HENGE_BIN"], "server", "--node-id", name, "--data-dir", f"{directory}/{name}"]
                + ["--memory", "64MiB", "--cluster-name", "changing", "--partitions", "32"]
                + addresses
                + how,
                stderr=log,
            )

    def ask(self, method, path, body=None):
        """What the node answers over HTTP, as JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


class Changing:
    """The cluster: three nodes at first."""

    def __init__(self):
        self.directory = tempfile.mkdtemp()
        self.nodes = {}
        for number in (1, 2, 3):
            self.add(f"n{number}")
        self.wait_until_settled()

    def add(self, name):
        """Starts a node, and does not wait."""
        seed = next(iter(self.nodes.values()), None)
        node = Node(name, self.directory, seed)
        self.wait(f"{name} to serve", lambda: self.serves(node))
        self.nodes[name] = node

    def serves(self, node):
        if node.process.poll() is not None:
            raise AssertionError(f"{node.name} has ended: {node.log.read_text()}")
        try:
            return bool(node.ask("GET", "/v1/cluster")["nodes"])
        except OSError:
            return False

    def wait(self, what, is_so):
        for _ in range(PATIENCE_SECONDS * 10):
            if is_so():
                return
            time.sleep(0.1)
        logs = "\n".join(node.log.read_text() for node in self.nodes.values())
        raise AssertionError(f"waited {PATIENCE_SECONDS} s for {what}\n{logs}")

    def wait_until_settled(self):
        """Until each node sees these as the members, all with what they are to have."""

        def sees(node):
            state = node.ask("GET", "/v1/cluster")
            members = {member["id"] for member in state["nodes"] if member["standing"] == "settled"}
            return members == set(self.nodes) and not state["movements"] and state["waiting"] == 0

        self.wait("all to have what they are to have", lambda: all(map(sees, self.nodes.values())))

    def drain(self, name):
        """Lets a node leave, and waits until its process has ended in good order."""
        leaving = self.nodes.pop(name)
        next(iter(self.nodes.values())).ask("POST", f"/v1/nodes/{name}/drain", {})
        self.wait(f"{name} to have left", lambda: leaving.process.poll() is not None)
        if leaving.process.returncode != 0:
            raise AssertionError(f"{name} ended with {leaving.process.returncode}: {leaving.log.read_text()}")
        self.wait_until_settled()

    def kill(self, name):
        """Ends a node without a word, and waits until the others have noticed."""
        dead = self.nodes.pop(name)
        dead.process.kill()
        dead.process.wait()

        def is_down(node):
            members = node.ask("GET", "/v1/cluster")["nodes"]
            return any(one["id"] == name and one["state"] == "down" for one in members)

        self.wait(f"all to know that {name} is down", lambda: all(map(is_down, self.nodes.values())))

    def cluster_addresses(self):
        return [("127.0.0.1", node.cluster) for node in self.nodes.values()]

    def close(self):
        for node in self.nodes.values():
            node.process.terminate()
        for node in self.nodes.values():
            node.process.wait()
        shutil.rmtree(self.directory)
