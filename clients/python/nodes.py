"""Where the cluster is, and keys that no other test uses."""

import os
import uuid


def addresses(variable):
    """The nodes that an environment variable names, as (host, port)."""
    pairs = (address.rsplit(":", 1) for address in os.environ[variable].split(","))
    return [(host, int(port)) for host, port in pairs]


RESP = addresses("HENGE_TEST_RESP")
CLUSTER = addresses("HENGE_TEST_CLUSTER")


def prefix():
    """The beginning of a test's own keys."""
    return f"{uuid.uuid4().hex}:"
