"""relay_rows - mail for other hosts: how fast it goes out, and what a queue full of it costs

The next hosts are Postfix's smtp-sink, servers of ours that only accept (for TLS), and 100 hosts of a few lines that
take 20 ms for each answer. Each function returns a figure for one server; what makes the server is in SETUP.
"""

import asyncio
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from flow import pss_of, wait_for  # noqa: E402
from ports import answers, free_port  # noqa: E402
from servers import Ours  # noqa: E402

SLOW_HOSTS, SLOW_SECONDS = 100, 0.020
AWAY = "away.example"
DEFERRED = 1        # state of a message in queue.db
PROCESSES = "default_process_limit = 200\n"


def smtp_source(port, sessions, count, to, size=4096, recipients=1):
    program = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
    more = ["-r", str(recipients)] if recipients > 1 else []
    subprocess.run([program, "-s", str(sessions), "-l", str(size), "-m", str(count), "-f", "sender@test.example",
                    *more, "-t", to, "127.0.0.1:%d" % port], check=True, timeout=600)


class Sink:
    """smtp-sink, and how many mails it has taken."""

    def __init__(self, mails):
        program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
        self.port, self.mails, self.done = free_port(), mails, threading.Event()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen([program, *user, "-c", "127.0.0.1:%d" % self.port, "1000"],
                                        stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait_for(lambda: answers(self.port), 20)

    def read(self):
        """Its counters, which it writes over and over: "sess=1 quit=1 mesg=1"."""
        last = b""
        while True:
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                return
            last = (last + got)[-200:]
            counts = re.findall(rb"mesg= *(\d+)", last)
            if counts and int(counts[-1]) >= self.mails:
                self.done.set()

    def wait(self, seconds=600):
        if not self.done.wait(seconds):
            raise RuntimeError("not all mails arrived")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(10)


@contextlib.contextmanager
def closing(*things):
    try:
        yield
    finally:
        for thing in things:
            thing.stop()


def relay(kind, sessions, mails):
    """Mails a second from smtp-source through the server into smtp-sink; kind None: without a server."""
    sink = Sink(mails)
    with closing(sink):
        if kind is None:
            began = time.monotonic()
            smtp_source(sink.port, sessions, mails, "user@" + AWAY)
            sink.wait()
            return mails / (time.monotonic() - began)
        server = kind(main=PROCESSES + "relayhost = [127.0.0.1]:%d\n" % sink.port)
        with closing(server):
            began = time.monotonic()
            smtp_source(server.port(), sessions, mails, "user@" + AWAY)
            sink.wait()
            return mails / (time.monotonic() - began)


def queue_count(server, state=None):
    """Messages in a queue of ours; state: of core/queue/queue.h, all when it is None."""
    with contextlib.closing(sqlite3.connect("file:%s/spool/queue/queue.db?mode=ro" % server.box.dir, uri=True)) as db:
        return db.execute("SELECT count(*) FROM message WHERE ?1 IS NULL OR state = ?1", (state,)).fetchone()[0]


def relay_tls(kind, sessions, mails):
    """The same over TLS, into a server of ours that only accepts."""
    sink = Ours(deliver=False)
    with closing(sink):
        server = kind(main=PROCESSES + "relayhost = [127.0.0.1]:%d\nsmtp_tls_security_level = encrypt\n"
                      "smtp_tls_connection_reuse = yes\n" % sink.port(),
                      master="tlsproxy unix - - n - 0 tlsproxy\n")
        with closing(server):
            began = time.monotonic()
            smtp_source(server.port(), sessions, mails, "u1@" + AWAY)
            if not wait_for(lambda: queue_count(sink) >= mails, 600, 0.05):
                raise RuntimeError("%s: not all mails arrived" % server.name)
            return mails / (time.monotonic() - began)


class SlowHosts(threading.Thread):
    """Next hosts on 127.0.2.1 and up, one port; each answer takes SLOW_SECONDS."""

    def __init__(self, mails):
        super().__init__(daemon=True)
        self.port, self.mails, self.count = free_port(), mails, 0
        self.done, self.ready = threading.Event(), threading.Event()
        self.loop = None
        self.start()
        self.ready.wait(20)

    def run(self):
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self.serve())
        self.ready.set()
        self.loop.run_forever()

    async def serve(self):
        for number in range(1, SLOW_HOSTS + 1):
            await asyncio.start_server(self.session, "127.0.2.%d" % number, self.port, backlog=200)

    async def session(self, reader, writer):
        async def say(text):
            await asyncio.sleep(SLOW_SECONDS)
            writer.write(text + b"\r\n")

        try:
            await say(b"220 slow.example ESMTP")
            while True:
                line = await reader.readline()
                verb = line[:4].upper()
                if verb == b"DATA":
                    await say(b"354 go on")
                    await reader.readuntil(b"\r\n.\r\n")
                    self.count += 1
                    if self.count == self.mails:
                        self.done.set()
                    await say(b"250 ok")
                elif verb == b"QUIT" or not line:
                    await say(b"221 bye")
                    return
                else:
                    await say(b"250 ok")
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.join(10)


def slow(kind, mails):
    """(mails a second to SLOW_HOSTS destinations, KB at the most)"""
    hosts = SlowHosts(mails)
    with closing(hosts):
        server = kind(main="default_process_limit = 400\nsmtp_connection_cache_on_demand = yes\n"
                      "transport_maps = inline:{%s}\n" %
                      ", ".join("d%d.%s=smtp:[127.0.2.%d]:%d" % (n, AWAY, n, hosts.port)
                                for n in range(1, SLOW_HOSTS + 1)))
        with closing(server):
            began, most = time.monotonic(), 0
            senders = [threading.Thread(target=smtp_source, args=(
                server.port(), 1, mails // SLOW_HOSTS, "user@d%d.%s" % (n, AWAY))) for n in range(1, SLOW_HOSTS + 1)]
            for sender in senders:
                sender.start()
            while not hosts.done.wait(0.5):
                most = max(most, pss_of(server.pids()))
                if time.monotonic() - began > 600:
                    raise RuntimeError("%s: not all mails arrived" % server.name)
            took = time.monotonic() - began
            for sender in senders:
                sender.join()
            return mails / took, max(most, pss_of(server.pids()))


def fill(server, count):
    """Put so many mails into the queue, for a host that nobody can reach; until all are deferred."""
    smtp_source(server.port(), 50, count, "user@unreachable." + AWAY, 512)


def deferred(count, mails):
    """Of ours: (seconds of mailq, first line's, accept rate with count deferred mails / of an empty queue)"""
    def rate(server):
        began = time.monotonic()
        smtp_source(server.port(), 50, mails, "u1@test.example")
        return mails / (time.monotonic() - began)

    server = Ours(main="defer_transports = smtp\n")
    with closing(server):
        empty = rate(server)
        fill(server, count)
        if not wait_for(lambda: queue_count(server, DEFERRED) >= count, 300, 0.5):
            raise RuntimeError("not all mails were deferred")
        full = rate(server)
        began = time.monotonic()
        with subprocess.Popen(["mailq"], env=server.box.env, stdout=subprocess.PIPE) as mailq:
            mailq.stdout.readline()
            mailq.stdout.readline()
            first = time.monotonic() - began
            mailq.stdout.read()
        return time.monotonic() - began, first, full / empty


def discard(messages, recipients):
    """Of ours: (recipients a second through discard, KB of the queue manager at the most)"""
    server = Ours(main="default_transport = discard\nsmtpd_recipient_limit = %d\n"
                  "smtpd_recipient_overshoot_limit = %d\n" % (recipients + 1, recipients + 1))
    with closing(server):
        began, most, sent = time.monotonic(), 0, threading.Event()

        def send():
            smtp_source(server.port(), 1, messages, "user@" + AWAY, 512, recipients)
            sent.set()

        threading.Thread(target=send, daemon=True).start()
        while not sent.is_set() or queue_count(server) > 0:
            most = max(most, pss_of(server.box.pids("qmgr")))
            if time.monotonic() - began > 1200:
                raise RuntimeError("the queue does not get empty")
            time.sleep(0.2)
        return messages * recipients / (time.monotonic() - began), most
