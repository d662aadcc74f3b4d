"""stormrig - what the storms share: a server whose processes are killed one kind after the other, clients that go on"""

import collections
import hashlib
import os
import poplib
import random
import signal
import smtplib
import threading
import time

from flow import Sandbox, name_of, wait_for
from imapwire import Closed


def body_of(number, size):
    lines = ["From the start of %d" % number, ">From here on", ""]
    while sum(map(len, lines)) < size:
        lines.append("%d " % number * 8 + "x" * (len(lines) % 60))
    return "\n".join(lines + ["END of %d" % number]) + "\n"


def sum_of(text):
    return hashlib.sha1(text.encode()).hexdigest()


class Place(Sandbox):
    def kinds(self):
        found = collections.defaultdict(list)
        for pid in self.pids():
            found[name_of(pid)].append(pid)
        # What we started ourselves is no part of the server.
        for name in ("", "postfix", "postqueue", "mailq"):
            found.pop(name, None)
        return found

    def postfix(self, command):
        return self.run("postfix", "-c", self.dir + "/etc/postfix", command).returncode

    def revive(self):
        """Without a master: until one has started."""
        if not self.kinds().get("master"):
            wait_for(lambda: self.postfix("start") == 0 or self.kinds().get("master"), 60, 0.1)


class Killing:
    """A server below a storm: self.box is it."""

    def __init__(self, box, seed):
        self.box = box
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.number = 0
        self.ending = threading.Event()
        self.killed_at = []     # (time, kind)

    def again(self, turn):
        """A client: turn() until the end; a connection that breaks is the storm's."""
        def run():
            while not self.ending.is_set():
                try:
                    turn()
                except (OSError, EOFError, Closed, smtplib.SMTPException, poplib.error_proto):
                    time.sleep(0.05)
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def kill_one(self, kills):
        """One of the kinds that had the fewest; its name."""
        kinds = self.box.kinds()
        if self.random.random() < 0.08 or not kinds:
            self.box.kill()
            return "everything"
        fewest = min(kills[name] for name in kinds)
        kind = self.random.choice([name for name in sorted(kinds) if kills[name] == fewest])
        for pid in kinds[kind]:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        return kind

    def kill_all(self, count):
        kills = collections.Counter()
        for n in range(count):
            time.sleep(0.1 + self.random.random() * 0.4)
            if n % 10 == 9:
                self.killed_at.append((time.monotonic(), "reload"))
                self.box.postfix("reload")
                time.sleep(self.random.random() * 0.2)
            kind = self.kill_one(kills)
            self.killed_at.append((time.monotonic(), kind))
            kills[kind] += 1
            self.box.revive()
        return kills

    def stop(self, threads):
        self.ending.set()
        for thread in threads:
            thread.join(60)
        self.box.revive()
