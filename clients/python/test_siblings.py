"""Siblings through redis-py: nobody loses, and whoever has read may replace."""

import unittest

import redis

from nodes import RESP, prefix


class Siblings(unittest.TestCase):
    def setUp(self):
        self.clients = []
        self.key = prefix() + "cart"

    def tearDown(self):
        for client in self.clients:
            client.close()

    def client(self, node):
        """A client with one connection, for what a connection has seen belongs to it."""
        host, port = RESP[node % len(RESP)]
        client = redis.Redis(host=host, port=port, db=1, protocol=3, single_connection_client=True)
        self.clients.append(client)
        return client

    def values(self, client):
        found = client.execute_command("KV.GET", self.key)
        return sorted(value[b"value"] for value in found[b"values"]), found[b"context"]

    def test_writers_that_know_nothing_of_each_other_make_siblings(self):
        one, other = self.client(0), self.client(1)
        one.set(self.key, "milk")
        other.set(self.key, "bread")
        with self.assertRaisesRegex(redis.ResponseError, "CONFLICT 2 siblings.*KV.GET"):
            one.get(self.key)
        self.assertEqual(self.values(one)[0], [b"bread", b"milk"])

    def test_a_context_passed_back_replaces_what_it_covers(self):
        one, other = self.client(0), self.client(1)
        one.set(self.key, "milk")
        other.set(self.key, "bread")
        _, context = self.values(one)
        third = self.client(2)
        third.execute_command("KV.PUT", self.key, "milk and bread", "CONTEXT", context)
        self.assertEqual(other.get(self.key), b"milk and bread")

    def test_a_get_followed_by_a_set_makes_no_siblings(self):
        one, other = self.client(0), self.client(1)
        one.set(self.key, "milk")
        one.set(self.key, "bread")
        self.assertEqual(other.get(self.key), b"bread")
        other.set(self.key, "butter")
        self.assertEqual(one.get(self.key), b"butter")

    def test_a_delete_takes_all_siblings(self):
        one, other = self.client(0), self.client(1)
        one.set(self.key, "milk")
        other.set(self.key, "bread")
        self.assertEqual(self.client(2).delete(self.key), 1)
        self.assertIsNone(one.get(self.key))

    def test_a_context_of_another_key_is_refused(self):
        one = self.client(0)
        one.set(self.key, "milk")
        _, context = self.values(one)
        with self.assertRaisesRegex(redis.ResponseError, "another key"):
            one.execute_command("KV.PUT", self.key + "2", "x", "CONTEXT", context)


if __name__ == "__main__":
    unittest.main()
