"""redis-py's cluster client: it finds the nodes, sends each key to an owner, and gathers what all nodes say."""

import unittest

import redis
from redis.cluster import ClusterNode, RedisCluster

from nodes import CLUSTER, prefix


class Cluster(unittest.TestCase):
    def setUp(self):
        self.cluster = RedisCluster(startup_nodes=[ClusterNode(*address) for address in CLUSTER])
        self.prefix = prefix()

    def tearDown(self):
        self.cluster.close()

    def key(self, name):
        return self.prefix + name

    def test_every_node_is_a_primary_and_all_slots_are_covered(self):
        self.assertEqual({node.port for node in self.cluster.get_primaries()}, {port for _, port in CLUSTER})
        self.assertEqual(self.cluster.get_replicas(), [])
        self.assertEqual(self.cluster.cluster_info()["cluster_state"], "ok")
        self.assertEqual(len(self.cluster.cluster_nodes()), len(CLUSTER))
        self.assertEqual(len(self.cluster.cluster_shards()), len(CLUSTER))

    def test_keys_of_all_slots_are_written_and_read(self):
        values = {self.key(str(number)): str(number).encode() for number in range(300)}
        for key, value in values.items():
            self.assertTrue(self.cluster.set(key, value))
        for key, value in values.items():
            self.assertEqual(self.cluster.get(key), value)
        self.assertEqual(self.cluster.mget_nonatomic(*values), list(values.values()))

    def test_any_node_serves_any_key(self):
        self.cluster.set(self.key("k"), "v")
        for host, port in CLUSTER:
            node = redis.Redis(host=host, port=port)
            self.assertEqual(node.get(self.key("k")), b"v")
            node.close()

    def test_what_all_nodes_say_is_gathered_once(self):
        names = {self.key(str(number)).encode() for number in range(100)}
        for name in names:
            self.cluster.set(name, "v")
        self.assertEqual(sorted(self.cluster.scan_iter(match=self.prefix + "*", count=1000)), sorted(names))
        everywhere = RedisCluster.PRIMARIES
        self.assertEqual(sorted(self.cluster.keys(self.prefix + "*", target_nodes=everywhere)), sorted(names))
        self.assertGreaterEqual(self.cluster.dbsize(target_nodes=everywhere), 100)

    def test_a_pipeline_over_many_slots(self):
        pipeline = self.cluster.pipeline()
        for number in range(100):
            pipeline.set(self.key(str(number)), number)
        for number in range(100):
            pipeline.get(self.key(str(number)))
        answers = pipeline.execute()
        self.assertEqual(answers, [True] * 100 + [str(number).encode() for number in range(100)])

    def test_the_client_and_the_cluster_agree_on_slots(self):
        for key in ("foo", "{user1000}.following", "foo{}{bar}"):
            self.assertEqual(self.cluster.cluster_keyslot(key), self.cluster.keyslot(key))


if __name__ == "__main__":
    unittest.main()
