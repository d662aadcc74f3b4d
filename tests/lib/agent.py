"""agent - a queue manager for tests of delivery agents: queue.db, the wire protocol, one connection

The messages' format is core/base/wire.h's, their fields are those of core/ipc/delivery.h; the
tables of queue.db are taken from core/queue/queue_sql.c.
"""

import os
import re
import select
import socket
import sqlite3
import struct
import subprocess
import time

from flow import PILLARBOX, TOP, wait_for

SENT, DEFERRED, BOUNCED = 0, 1, 2
SUSPECT = 1
CHUNK = 65536
FIRST_ID = 0x40000000000


def pack_str(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">I", len(data)) + data + b"\0"


def pack(*fields):
    body = b"".join(struct.pack(">Q", f) if isinstance(f, int) else pack_str(f) for f in fields)
    return struct.pack(">I", len(body)) + body


class Reader:
    def __init__(self, data):
        self.data = data

    def int(self):
        value = struct.unpack(">Q", self.data[:8])[0]
        self.data = self.data[8:]
        return value

    def str(self):
        size = struct.unpack(">I", self.data[:4])[0]
        value = self.data[4:4 + size]
        self.data = self.data[size + 5:]
        return value.decode("utf-8", "surrogateescape")


class Answer:
    def __init__(self, data):
        r = Reader(data)
        assert r.int() == 2
        self.serial, self.n, status = r.int(), r.int(), r.int()
        self.status, self.unreachable, self.reach = status & 255, bool(status & 256), status >> 10 & 3
        self.dsn, self.text = r.str(), r.str()
        self.added = [r.str() for _ in range(r.int())]
        self.owner = r.str()
        self.mta, self.diagnostic_type, self.diagnostic = r.str(), r.str(), r.str()

    def __repr__(self):
        return "Answer(%d.%d %s %s %r added=%r owner=%r)" % (
            self.serial, self.n, ("sent", "deferred", "bounced")[self.status], self.dsn, self.text,
            self.added, self.owner)


class Queue:
    """queue.db with messages put in directly."""

    def __init__(self, directory):
        with open(os.path.join(TOP, "core", "queue", "queue_sql.c"), encoding="utf-8") as file:
            source = file.read()
        schema = source[source.index("queue_migrations[]"):source.index("queue_migration_count")]
        for name, text in re.findall(r'#define (\w+) \\\n\t("(?:[^"\\]|\\.)*")', source):
            schema = re.sub(r"\b%s\b" % name, lambda _, text=text: text, schema)
        version = max(int(v) for v in re.findall(r"\{ (\d+),", schema))
        os.makedirs(directory + "/queue", 0o700, exist_ok=True)
        self.db = sqlite3.connect(directory + "/queue/queue.db", isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.executescript("".join(re.findall(r'"((?:[^"\\]|\\.)*)"', schema)))
        self.db.execute("PRAGMA user_version=%d" % version)
        self.next_id = FIRST_ID
        self.sizes = {}

    def add(self, contents, sender="sender@remote.example"):
        """Messages of one transaction; {id} in a content becomes its queue id. Their ids."""
        ids = []
        self.db.execute("BEGIN")
        for content in contents:
            number = self.next_id
            self.next_id += 1
            content = content.replace(b"{id}", b"%010X" % number)
            self.db.execute(
                "INSERT INTO message (id, state, next_try, attempts, flags, arrival, size, sender) "
                "VALUES (?, 0, 0, 0, 0, ?, ?, ?)", (number, int(time.time() * 1e6), len(content), sender))
            for piece in range(0, len(content), CHUNK):
                self.db.execute("INSERT INTO chunk (k, data) VALUES (?, ?)",
                                (number << 13 | piece // CHUNK, content[piece:piece + CHUNK]))
            self.sizes[number] = len(content)
            ids.append(number)
        self.db.execute("COMMIT")
        return ids


class Agent:
    """A delivery agent that was started by hand, and our connection to it."""

    def __init__(self, name, directory, etc, env=None):
        self.name, self.etc = name, etc
        self.path = os.path.join(directory, name + ".sock")
        self.env = dict(os.environ, **(env or {}))
        self.process = None
        self.sock = None
        self.received = b""
        self.serial = 0
        self.answers = {}

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.process = subprocess.Popen([PILLARBOX, self.name, "-c", self.etc, "-p", self.path],
                                        stdin=subprocess.DEVNULL, env=self.env)
        self.connect()

    def connect(self):
        def attempt():
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.path)
                return sock
            except OSError:
                sock.close()
                return None
        self.sock = wait_for(attempt, 10, 0.005)
        if self.sock is None:
            raise RuntimeError("the agent does not listen")
        self.received = b""

    def stop(self, signo=15):
        if self.sock:
            self.sock.close()
            self.sock = None
        if self.process:
            self.process.send_signal(signo)
            self.process.wait(20)
            self.process = None

    def request(self, number, size, recipients, sender="sender@remote.example", flags=0, nexthop="test.example",
                envid="", message=0):
        """recipients: addresses, (address, original) or (address, original, orcpt, notify); message: QUEUE_F_*.
        Its serial number, and its bytes."""
        self.serial += 1
        now = int(time.time() * 1e6)
        fields = [1, self.serial, number, sender, envid, nexthop, size, now - 200000, now - 90000, message,
                  len(recipients)]
        for n, recipient in enumerate(recipients):
            given = (recipient,) if isinstance(recipient, str) else recipient
            address, original, orcpt, notify = (*given, *("", "", "", 0)[len(given):])
            fields += [n, address, original, orcpt, notify, flags]
        return self.serial, pack(*fields)

    def take(self):
        """The answers that are there whole."""
        found = []
        while len(self.received) >= 4:
            size = struct.unpack(">I", self.received[:4])[0]
            if len(self.received) < 4 + size:
                break
            answer = Answer(self.received[4:4 + size])
            self.received = self.received[4 + size:]
            self.answers[(answer.serial, answer.n)] = answer
            found.append(answer)
        return found

    def exchange(self, data, want, seconds=60):
        """Send these bytes while reading answers, until `want` have come (or the agent is gone)."""
        end = time.monotonic() + seconds
        found = []
        data = memoryview(data)
        while len(found) < want and time.monotonic() < end:
            readable, writable, _ = select.select([self.sock], [self.sock] if data else [], [], 1)
            if writable:
                try:
                    data = data[self.sock.send(data[:262144]):]
                except OSError:
                    return found
            if readable:
                try:
                    piece = self.sock.recv(1 << 20)
                except OSError:
                    piece = b""
                if not piece:
                    return found
                self.received += piece
                found += self.take()
        return found

    def deliver(self, queue, content, recipients, sender="sender@remote.example", flags=0, **more):
        """One message: its answers by recipient, in order."""
        number = queue.add([content], sender)[0]
        return self.again(queue, number, recipients, sender, flags, **more)

    def again(self, queue, number, recipients, sender="sender@remote.example", flags=0, **more):
        serial, data = self.request(number, queue.sizes[number], recipients, sender, flags, **more)
        self.exchange(data, len(recipients))
        return [self.answers.get((serial, n)) for n in range(len(recipients))]
