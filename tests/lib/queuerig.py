"""queuerig - a queue manager on its own: a queue directory, a scripted delivery agent, a peer for its sockets

The messages are those of core/base/wire.h (u32 length; u64 numbers; u32 length, bytes, NUL for texts),
core/ipc/delivery.h, core/ipc/notify.h and core/ipc/showq.h.
"""

import atexit
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import tempfile
import threading

from flow import PILLARBOX, wait_for

SENT, DEFERRED, BOUNCED = 0, 1, 2
RELAYED, PASSED_ON = 1 << 10, 2 << 10
SUSPECT, UNANSWERED = 1, 2         # DELIVERY_* of ipc/delivery.h
NEW, SCAN, FLUSH, FLUSH_ID, FLUSH_SITE = 1, 2, 3, 4, 5
INCOMING, IN_DEFERRED, HOLD = 0, 1, 2


def message(*fields):
    out = b""
    for field in fields:
        if isinstance(field, int):
            out += struct.pack(">Q", field)
        else:
            data = field.encode()
            out += struct.pack(">I", len(data)) + data + b"\0"
    return struct.pack(">I", len(out)) + out


class Reader:
    """Fields of one message, in order."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def number(self):
        self.at += 8
        return struct.unpack(">Q", self.data[self.at - 8:self.at])[0]

    def text(self):
        size = struct.unpack(">I", self.data[self.at:self.at + 4])[0]
        self.at += 4 + size + 1
        return self.data[self.at - size - 1:self.at - 1].decode("utf-8", "replace")


def take_messages(buffer):
    """Whole messages at the head of a bytearray, taken out of it."""
    found = []
    while len(buffer) >= 4:
        size = struct.unpack(">I", buffer[:4])[0]
        if len(buffer) < 4 + size:
            break
        found.append(Reader(bytes(buffer[4:4 + size])))
        del buffer[:4 + size]
    return found


def parse_request(r):
    assert r.number() == 1
    request = {name: r.number() for name in ("serial", "id")}
    request.update({name: r.text() for name in ("sender", "envid", "nexthop")})
    request.update({name: r.number() for name in ("size", "arrival", "active", "flags")})
    request["rcpts"] = []
    for _ in range(r.number()):
        rcpt = {"n": r.number()}
        rcpt.update({name: r.text() for name in ("address", "original", "orcpt")})
        rcpt.update({name: r.number() for name in ("notify", "flags")})
        request["rcpts"].append(rcpt)
    return request


class Agent:
    """Listens where qmgr looks for a transport. decide(request, rcpt) gives (status, dsn, text[, added[, owner]]),
    None for no answer, or "break" to drop the connection."""

    def __init__(self, path, decide):
        self.path = path
        self.decide = decide
        self.seen = []          # (id, n, address, original, flags), in the order they came
        self.lock = threading.Lock()
        self.connections = 0
        self.one_by_one = False         # each answer leaves before the next request is looked at
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(10)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.attend, args=(connection,), daemon=True).start()

    def attend(self, connection):
        try:
            self.serve(connection)
        except (OSError, ConnectionError):
            pass
        connection.close()

    def serve(self, connection):
        buffer = bytearray()
        while True:
            data = connection.recv(1 << 20)
            if not data:
                return
            buffer += data
            out = b""
            for reader in take_messages(buffer):
                request = parse_request(reader)
                for rcpt in request["rcpts"]:
                    with self.lock:
                        self.seen.append((request["id"], rcpt["n"], rcpt["address"], rcpt["original"],
                                          rcpt["flags"]))
                    answer = self.decide(request, rcpt)
                    if answer == "break":
                        connection.sendall(out)
                        return
                    if answer is not None:
                        out += self.encode(request, rcpt, *answer)
                    if self.one_by_one:
                        connection.sendall(out)
                        out = b""
            connection.sendall(out)

    @staticmethod
    def encode(request, rcpt, status, dsn, text, added=(), owner="", said=("", "", "")):
        """said: the remote host, the type and the text of its diagnostic; status may have RELAYED or PASSED_ON beside
        it."""
        return message(2, request["serial"], rcpt["n"], status, dsn, text, len(added), *added, owner, *said)

    def addresses(self):
        with self.lock:
            return [seen[2] for seen in self.seen]

    def close(self):
        self.listener.close()


class Rig:
    """A directory with main.cf and a queue; qmgr is started by start()."""

    def __init__(self, main=""):
        self.dir = tempfile.mkdtemp(prefix="pillarbox-queue-")
        self.queue = self.dir + "/queue"
        self.process = None
        self.logs = 0
        for name in ("public", "private", "maildrop", "queue"):
            os.makedirs(self.queue + "/" + name)
        self.env = dict(os.environ, MAIL_CONFIG=self.dir, TZ="UTC")
        self.configure(main)
        atexit.register(self.remove)

    def configure(self, main):
        owner = pwd.getpwuid(os.geteuid()).pw_name
        with open(self.dir + "/main.cf", "w") as file:
            file.write("compatibility_level = 3.6\nqueue_directory = %s\nmyhostname = mail.test.example\n"
                       "mydomain = test.example\nmydestination = test.example\nlocal_recipient_maps =\n"
                       "alias_maps =\nmail_owner = %s\n%s\n" % (self.queue, owner, main))

    def run(self, *args, **kwargs):
        kwargs.setdefault("timeout", 60)
        return subprocess.run([PILLARBOX, *args], env=self.env, check=False, capture_output=True, text=True, **kwargs)

    def fill(self, count, address="u1@test.example", *more):
        """So many messages for the address; queue-bench's options for the rest."""
        done = self.run("queue-bench", "-f", str(count), "-a", address, *more, self.queue + "/queue", timeout=300)
        assert done.returncode == 0, done.stderr

    def sql(self, statement, *args):
        db = sqlite3.connect(self.queue + "/queue/queue.db", timeout=30)
        try:
            rows = db.execute(statement, args).fetchall()
            db.commit()
            return rows
        finally:
            db.close()

    def agent(self, decide, name="local"):
        return Agent(self.queue + "/private/" + name, decide)

    def start(self):
        self.logs += 1
        with open(self.dir + "/log.%d" % self.logs, "w") as log:
            self.process = subprocess.Popen([PILLARBOX, "qmgr", "-d"], env=self.env, stderr=log)
        return wait_for(lambda: os.path.exists(self.queue + "/public/showq") and self.ask(SCAN, answer=False))

    def reload(self):
        """What master does: the running one is told to end, the next one starts. The elder."""
        elder = self.process
        elder.send_signal(signal.SIGHUP)
        self.start()
        atexit.register(lambda: elder.poll() is None and elder.kill())
        return elder

    def log(self):
        text = ""
        for number in range(1, self.logs + 1):
            with open(self.dir + "/log.%d" % number, errors="replace") as file:
                text += file.read()
        return text

    def wait_log(self, text, times=1, seconds=30):
        return wait_for(lambda: self.log().count(text) >= times, seconds)

    def stop(self, number=15):
        if self.process is None:
            return None
        self.process.send_signal(number)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process = None
        return status

    def ask(self, kind, text=None, answer=True):
        """A message to public/qmgr; its answer, None when it closes, or True when none is expected."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        try:
            sock.connect(self.queue + "/public/qmgr")
            sock.sendall(message(kind, *([] if text is None else [text])))
            if not answer:
                return True
            buffer = bytearray()
            while True:
                data = sock.recv(4096)
                buffer += data
                found = take_messages(buffer)
                if found or not data:
                    return found[0].number() if found else None
        except OSError:
            return None
        finally:
            sock.close()

    def notices(self, ids):
        """What writers say of their commits; returns when it is read."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        with sock:
            sock.connect(self.queue + "/public/qmgr")
            for at in range(0, len(ids), 4096):
                part = ids[at:at + 4096]
                sock.sendall(message(NEW, len(part), *part))
            sock.sendall(message(FLUSH_ID, "none"))     # has an answer, and is read after them
            return sock.recv(4096) != b""

    def count(self):
        return self.sql("SELECT count(*) FROM message")[0][0]

    def remove(self):
        self.stop(9)
        if not os.environ.get("FLOW_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
