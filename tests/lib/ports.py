"""ports - port numbers for servers that bind them later, each one test's alone

Not among the ports that connections get (32768 to 60999, where nobody has said otherwise): one of those
may be anybody's at any moment, and a server that is told to listen there then does not start. Numbers are
taken from tests that run beside this one by an abstract name, which ends with this process: single ports
by the block, and for a whole server a base, from which its ports are counted (scripts/sandbox).
"""

import os
import socket
import sys

BLOCK, STEP = 100, 200          # steps of 200: none of the offsets falls on another base's
OFFSETS = (24, 25, 110, 143, 465, 587, 993, 995)
FIRST, LAST, ROOM = 2000, 32000, 8000

_names = {}
_numbers = iter(())


def connections():
    """(first, last) of the ports that the kernel gives to connections."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            low, high = file.read().split()
            return int(low), int(high)
    except (OSError, ValueError):
        return 32768, 60999


def lay_out(low, high):
    """(first ports of the blocks, bases): below those of connections, or above, or among them if they are all."""
    places = [(FIRST, min(low, LAST)), (high + 1, 65536), (FIRST, LAST)]
    first, end = next(place for place in places if place[1] - place[0] >= ROOM)
    middle = first + (end - first) * 3 // 10 // BLOCK * BLOCK
    return range(first, middle, BLOCK), range(middle, end - OFFSETS[-1], STEP)


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


def _turned(numbers, turns):
    """All of them, from another one on in each process."""
    turns %= len(numbers)
    return [*numbers[turns:], *numbers[:turns]]


def _next_block():
    for first in _turned(lay_out(*connections())[0], os.getpid() * 7):
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


def free_base():
    """A base whose ports nobody listens on, this process's until it ends or release_base()."""
    for base in _turned(lay_out(*connections())[1], os.getpid()):
        if claim("base-%d" % base):
            if all(_is_free(base + offset) for offset in OFFSETS):
                return base
            release_base(base)
    raise RuntimeError("no free ports")


def release_base(base):
    release("base-%d" % base)


def answers(port, address="127.0.0.1"):
    """Whether somebody takes connections there; a path is a unix socket's."""
    try:
        if isinstance(port, str):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(port)
        else:
            socket.create_connection((address, port), 1).close()
        return True
    except OSError:
        return False


def test():
    """For tests/flow/harness: wherever connections have theirs, there are enough, and few in their way."""
    for low, high, apart in ((32768, 60999, True), (49152, 65535, True), (10000, 65000, True), (1024, 32767, True),
                             (1024, 60999, False), (1024, 65535, False)):
        blocks, bases = lay_out(low, high)
        single = {first + n for first in blocks for n in range(BLOCK)}
        several = [{base + offset for offset in OFFSETS} for base in bases]
        given = single.union(*several)
        if len(blocks) < 20 or len(bases) < 20 or len(given) != len(single) + len(bases) * len(OFFSETS) or \
                not 1024 <= min(given) <= max(given) <= 65535 or apart != (not any(low <= port <= high for port in given)):
            return "range %d to %d: %s and %s" % (low, high, blocks, bases)
    taken = [free_port() for _ in range(3 * BLOCK)] + [free_base() + 25]
    return "" if len(set(taken)) == len(taken) else "a port was given twice"


if __name__ == "__main__":
    sys.exit(test() or None)
