"""peerqueue - Debian's Postfix with its queue manager, agents and bounce service

What Postfix does with mail on its way out, in a directory of its own (peer.py). What is to stay and be looked at
goes through the transport "hold", which defer_transports keeps from running.
"""

import email
import json
import os
import re
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
        done = self.run("sendmail", "-i", "-f", sender, *options, "--", *recipients, input=content)
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


def fields(message):
    """A notice for programs: the status part's groups of (name, value), blanks folded; the names of the parts."""
    report = email.message_from_bytes(message)
    parts = report.get_payload()
    groups = [[(name, re.sub(r"\s+", " ", value)) for name, value in group.items()]
              for group in parts[1].get_payload()]
    return report, groups, [(part.get_content_type(), part.get("Content-Description")) for part in parts]
