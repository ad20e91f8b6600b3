"""Cluster clients keep working while nodes join, leave and die: no error reaches the program, and what was written is read."""

import collections
import json
import os
import subprocess
import threading
import time
import unittest

from redis.cluster import ClusterNode, RedisCluster

from changing import Changing
from nodes import prefix

THREADS = 4
KEYS_EACH = 200


class Load:
    """Programs of redis-py, each of which writes keys of its own and reads what it has written."""

    def __init__(self, addresses):
        nodes = [ClusterNode(*address) for address in addresses]
        self.client = RedisCluster(startup_nodes=nodes)
        self.phase = "at rest"
        self.done, self.failed, self.is_over = collections.Counter(), [], False
        self.threads = [threading.Thread(target=self.run) for _ in range(THREADS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        keys, values, turn = prefix(), {}, 0
        while not self.is_over:
            turn += 1
            key = f"{keys}{turn * 7919 % KEYS_EACH}"
            try:
                found = self.client.get(key)
                if found != values.get(key):
                    raise AssertionError(f"{key} is {found}, and was written as {values.get(key)}")
                value = str(turn).encode()
                self.client.set(key, value)
                values[key] = value
                self.done[self.phase] += 2
            except Exception as error:
                self.failed.append(f"{self.phase}: {type(error).__name__}: {error}")
                values[key] = self.client.get(key)

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        self.client.close()


class NodeLoad:
    """The same by node-redis, in a process of its own."""

    def __init__(self, addresses):
        urls = ",".join(f"{host}:{port}" for host, port in addresses)
        self.process = subprocess.Popen(
            ["node", "changing.js"],
            cwd=os.environ["HENGE_NODE_CLIENT"],
            env={**os.environ, "HENGE_TEST_CLUSTER": urls},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def enter(self, phase):
        self.process.stdin.write(phase + "\n")
        self.process.stdin.flush()

    def end(self):
        output, _ = self.process.communicate()
        return json.loads(output)


class Changes(unittest.TestCase):
    def test_no_error_reaches_programs_while_nodes_join_leave_and_die(self):
        cluster = Changing()
        self.addCleanup(cluster.close)
        addresses = cluster.cluster_addresses()
        python, node = Load(addresses), NodeLoad(addresses)

        def enter(phase):
            python.phase = phase
            node.enter(phase)

        enter("at rest")
        time.sleep(2)
        enter("joins")
        cluster.add("n4")
        cluster.add("n5")
        cluster.wait_until_settled()
        enter("drain")
        cluster.drain("n1")
        enter("kill")
        cluster.kill("n2")
        time.sleep(3)
        enter("at rest again")
        time.sleep(2)
        python.end()
        reported = node.end()
        self.assertEqual(python.failed, [])
        self.assertEqual(reported["failed"], [])
        # Each of its programs loses the commands that it gives to the dead node until it has asked others who has the slots now. A
        # program that does not get through within six gives up by itself.
        self.assertLessEqual(reported["lost"], 6 * THREADS)
        for phase in ("at rest", "joins", "drain", "kill", "at rest again"):
            self.assertGreater(python.done[phase], 0, phase)
            self.assertGreater(reported["done"].get(phase, 0), 0, phase)


if __name__ == "__main__":
    unittest.main()
