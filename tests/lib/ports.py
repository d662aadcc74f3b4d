"""ports - port numbers for servers that bind them later, each one test's alone

Below the ports that connections get (from 32768 on): one of those may be anybody's at any moment, and
a server that is told to listen there then does not start. A block of numbers is taken from tests that
run beside this one by an abstract name, which ends with this process. Whole servers take theirs from
11000 on (flow.py); single ports are below that.
"""

import os
import socket

FIRST, LAST, BLOCK = 2000, 10900, 100

_names = {}
_numbers = iter(())


def claim(name):
    """Whether this process has that name alone, from now on until it ends or release()."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.bind("\0pillarbox-" + name)
    except OSError:
        sock.close()
        return False
    _names[name] = sock
    return True


def release(name):
    if name in _names:
        _names.pop(name).close()


def _next_block():
    count = (LAST - FIRST) // BLOCK
    for n in range(count):
        first = FIRST + (os.getpid() * 7 + n) % count * BLOCK
        if claim("ports-%d" % first):
            return iter(range(first, first + BLOCK))
    raise RuntimeError("no free ports")


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port():
    """A port that nobody listens on; each is given once."""
    global _numbers
    while True:
        for port in _numbers:
            if _is_free(port):
                return port
        _numbers = _next_block()
