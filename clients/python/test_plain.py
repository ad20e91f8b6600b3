"""redis-py's plain client, in both versions of the protocol."""

import unittest

import redis

from nodes import RESP, prefix


class Plain:
    """What holds in either version."""

    protocol = None

    def setUp(self):
        self.nodes = [redis.Redis(host=host, port=port, protocol=self.protocol) for host, port in RESP]
        self.one = self.nodes[0]
        self.other = self.nodes[-1]
        self.prefix = prefix()

    def tearDown(self):
        for node in self.nodes:
            node.close()

    def key(self, name):
        return self.prefix + name

    def test_a_value_written_through_one_node_is_read_through_another(self):
        self.assertTrue(self.one.set(self.key("k"), b"\x00\r\n\xff"))
        self.assertEqual(self.other.get(self.key("k")), b"\x00\r\n\xff")
        self.assertIsNone(self.other.get(self.key("missing")))

    def test_a_large_value_passes_whole_and_one_beyond_the_limit_is_refused(self):
        large = bytes(range(256)) * 4096
        self.assertTrue(self.one.set(self.key("large"), large))
        self.assertEqual(self.other.get(self.key("large")), large)
        with self.assertRaisesRegex(redis.ResponseError, "limit"):
            self.one.set(self.key("larger"), large + b"x")
        self.assertTrue(self.one.ping())

    def test_keys_of_any_slots_go_into_one_command(self):
        values = {self.key(str(number)): str(number).encode() for number in range(50)}
        self.assertTrue(self.one.mset(values))
        self.assertEqual(self.other.mget(list(values)), list(values.values()))
        self.assertEqual(self.other.exists(*values), 50)
        self.assertEqual(self.one.delete(*values, self.key("missing")), 50)
        self.assertEqual(self.other.exists(*values), 0)

    def test_keys_expire(self):
        key = self.key("k")
        self.one.set(key, "v", ex=100)
        self.assertAlmostEqual(self.other.ttl(key), 100, delta=5)
        self.assertTrue(self.other.expire(key, 50))
        self.assertAlmostEqual(self.one.pttl(key), 50_000, delta=5_000)
        self.assertEqual(self.one.getex(key, persist=True), b"v")
        self.assertEqual(self.other.ttl(key), -1)
        self.assertFalse(self.one.expire(self.key("missing"), 50))
        self.one.expire(key, -1)
        self.assertIsNone(self.other.get(key))

    def test_a_pipeline_sees_its_own_order(self):
        pipeline = self.one.pipeline(transaction=False)
        for number in range(200):
            pipeline.set(self.key("k"), number)
            pipeline.get(self.key("k"))
        expected = [answer for number in range(200) for answer in (True, str(number).encode())]
        self.assertEqual(pipeline.execute(), expected)

    def test_a_transaction_is_refused_and_nothing_of_it_runs(self):
        with self.assertRaises(redis.ResponseError):
            self.one.pipeline(transaction=True).set(self.key("k"), "v").execute()
        self.assertIsNone(self.one.get(self.key("k")))

    def test_what_needs_one_step_is_refused_with_the_reason(self):
        for command in (
            lambda: self.one.set(self.key("k"), "v", nx=True),
            lambda: self.one.incr(self.key("k")),
            lambda: self.one.append(self.key("k"), "v"),
            lambda: self.one.getdel(self.key("k")),
        ):
            with self.assertRaisesRegex(redis.ResponseError, "one step"):
                command()

    def test_keys_are_walked_over(self):
        names = {self.key(str(number)).encode() for number in range(40)}
        for name in names:
            self.one.set(name, "v")
        self.assertEqual(set(self.other.scan_iter(match=self.prefix + "*", count=100)), names)
        self.assertEqual(set(self.one.keys(self.prefix + "*")), names)
        self.assertGreaterEqual(self.other.dbsize(), 40)
        self.assertIsNotNone(self.one.randomkey())

    def test_a_connection_says_and_learns_who_it_is(self):
        named = redis.Redis(host=RESP[0][0], port=RESP[0][1], protocol=self.protocol, client_name="tester")
        information = named.client_info()
        self.assertEqual(information["name"], "tester")
        self.assertTrue(information["lib-name"].startswith("redis-py"))
        self.assertIn("tester", [client["name"] for client in named.client_list()])
        named.close()

    def test_a_keyspace_is_selected_by_number(self):
        host, port = RESP[0]
        elsewhere = redis.Redis(host=host, port=port, protocol=self.protocol, db=1)
        elsewhere.set(self.key("k"), "v")
        self.assertIsNone(self.one.get(self.key("k")))
        self.assertEqual(elsewhere.get(self.key("k")), b"v")
        elsewhere.close()
        with self.assertRaises(redis.ResponseError):
            redis.Redis(host=host, port=port, protocol=self.protocol, db=99).ping()

    def test_the_server_describes_itself(self):
        self.assertEqual(self.one.info("replication")["role"], "master")
        self.assertIn("henge_version", self.one.info())
        self.assertEqual(self.one.config_get("maxmemory"), {"maxmemory": "0"})
        self.assertEqual(len(self.one.command()), self.one.command_count())

    def test_wait_counts_real_acknowledgements(self):
        self.one.set(self.key("k"), "v")
        replicas = min(len(RESP), 3) - 1
        self.assertEqual(self.one.wait(replicas, 2000), replicas)

    def test_errors_leave_the_connection_usable(self):
        with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
            self.one.execute_command("NOSUCH", "a")
        with self.assertRaisesRegex(redis.ResponseError, "wrong number of arguments for 'get' command"):
            self.one.execute_command("GET")
        self.assertTrue(self.one.ping())


class Resp2(Plain, unittest.TestCase):
    protocol = 2


class Resp3(Plain, unittest.TestCase):
    protocol = 3


if __name__ == "__main__":
    unittest.main()
