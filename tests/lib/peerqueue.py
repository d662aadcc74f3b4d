"""peerqueue - Debian's Postfix with its queue manager, agents and bounce service, and a next host with a script

What Postfix does with mail on its way out, in a directory of its own (peer.py). What is to stay and be looked at
goes through the transport "hold", which defer_transports keeps from running.
"""

import email
import json
import os
import re
import socket
import threading
import time

import peer

ROWS = """qmgr unix n - n 300 1 qmgr
defer unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
showq unix n - n - - showq
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
hold unix - - n - - smtp
scache unix - - n - 1 scache
"""


class PostfixQueue(peer.Postfix):
    def lay_out(self):
        super().lay_out()
        os.close(self.fifo)
        os.unlink(self.spool + "/public/qmgr")
        with open(self.conf + "/master.cf", "a") as file:
            file.write(ROWS)

    def begin_again(self):
        """start(), on the heels of stop(): what is left of the one before may have its lock a moment longer."""
        for _ in range(5):
            try:
                self.start()
                return
            except RuntimeError:
                self.stop()
                time.sleep(0.5)
        self.start()

    def send(self, sender, *recipients, options=(), content=b"Subject: s\n\nbody\n"):
        """By sendmail, as root. What it printed."""
        done = self.run("sendmail", "-f", sender, *options, "--", *recipients, input=content)
        assert done.returncode == 0, done
        return done.stdout

    def queue(self):
        """What postqueue -j lists."""
        out = self.run("postqueue", "-j").stdout.decode()
        return [json.loads(line) for line in out.splitlines()]

    def wait_message(self, address, count=1, seconds=15):
        """The contents of the messages that wait for this recipient, when there are so many."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ids = [row["queue_id"] for row in self.queue()
                   if row["queue_name"] == "deferred" and address in [r["address"] for r in row["recipients"]]]
            if len(ids) >= count:
                return [self.run("postcat", "-b", "-h", "-q", one).stdout for one in ids]
            time.sleep(0.05)
        return []

    def routed(self, address, seconds=15):
        """The log's line about this recipient, from to= on, without times and delays; and its transport."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.findall(r"postfix/(\w+)\[\d+\]: \w+: (to=<%s>,.*)" % re.escape(address), self.log())
            if found:
                return found[-1]
            time.sleep(0.05)
        return None


class NextHost:
    """Takes mail by a script: reply(verb, argument) gives a reply, or None for the usual one."""

    def __init__(self, reply=lambda verb, argument: None, words=("PIPELINING", "8BITMIME")):
        self.reply = reply
        self.words = words
        self.said = []          # (verb, argument) of all sessions
        self.content = []
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(50)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.attend, args=(connection,), daemon=True).start()

    def attend(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass
        connection.close()

    def serve(self, connection):
        file = connection.makefile("rb")
        connection.sendall(b"220 next.example ESMTP\r\n")
        for line in file:
            verb, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
            verb = verb.upper()
            self.said.append((verb, argument))
            answer = self.reply(verb, argument) or self.usual(verb)
            connection.sendall(answer.encode() + b"\r\n")
            if verb == "DATA" and answer.startswith("354"):
                self.content.append(self.take(file))
                answer = self.reply(".", "") or "250 2.0.0 Ok: queued as TAKEN"
                connection.sendall(answer.encode() + b"\r\n")
            if verb == "QUIT" or answer.startswith("421"):
                return

    def usual(self, verb):
        if verb == "EHLO":
            return "\r\n".join("250-" + word for word in ("next.example", *self.words)) + "\r\n250 HELP"
        return {"DATA": "354 go on", "QUIT": "221 2.0.0 bye"}.get(verb, "250 2.0.0 Ok")

    @staticmethod
    def take(file):
        out = b""
        for line in file:
            if line == b".\r\n":
                break
            out += line
        return out

    def close(self):
        self.listener.close()


def fields(message):
    """A notice for programs: the status part's groups of (name, value), blanks folded; the names of the parts."""
    report = email.message_from_bytes(message)
    parts = report.get_payload()
    groups = [[(name, re.sub(r"\s+", " ", value)) for name, value in group.items()]
              for group in parts[1].get_payload()]
    return report, groups, [(part.get_content_type(), part.get("Content-Description")) for part in parts]
