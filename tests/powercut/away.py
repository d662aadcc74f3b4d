"""away - mail for other hosts while the power fails: the next host is outside of the machine and keeps what it has taken

A mail whose 250 came is with the next host in the end, whole. It is there twice only where the power failed between the
next host's 250 and its record on the machine's disk: such are counted.
"""

import collections
import random
import smtplib
import threading
import time

from nexthost import NextHost

SENDERS = 4
# Seconds behind a 250 within which its record comes to the disk of an emulated machine.
RECORD_SECONDS = 1
MAIN_CF = """transport_maps = inline:{ { far.example = smtp:[10.0.2.2]:%d } }
maximal_backoff_time = 10
transport_retry_time = 5
"""


class Away(NextHost):
    """The next host, and what is known of the mails."""

    def __init__(self, seed, text_of):
        super().__init__(name="mx.far.example", script={"DATA": self.data, "END": self.end_of_data})
        self.random, self.text_of = random.Random(seed), text_of
        self.copies = collections.defaultdict(list)     # name: [(came, taken)]
        self.cuts = []          # (from, until)
        self.bad, self.again = set(), 0

    def data(self, dialogue, argument):
        del argument
        dialogue.came = time.monotonic()

    def end_of_data(self, dialogue, data):
        del dialogue, data
        time.sleep(self.random.random() * 0.2)
        return "451 4.3.0 not now" if self.random.random() < 0.03 else None

    def take(self, mail):
        head, _, body = mail.data.partition(b"\r\n\r\n")
        name = next((line[6:].decode() for line in head.split(b"\r\n") if line.startswith(b"X-Id: ")), "no name: %r" % mail.data[:60])
        with self.lock:
            self.copies[name].append((mail.dialogue.came, time.monotonic()))
            if body.decode("latin-1") != self.text_of(name).partition("\r\n\r\n")[2]:
                self.bad.add(name)

    def record_was_lost(self, came, taken):
        return any(until > came and begun < taken + RECORD_SECONDS for begun, until in self.cuts)

    def compare(self, known):
        """{kind: names} of what is wrong; known: {name: state}."""
        wrong = collections.defaultdict(list)
        with self.lock:
            copies = dict(self.copies)
        wrong["damaged"] = sorted(self.bad)
        wrong["lost"] = [name for name, state in known.items() if state == "there" and name not in copies]
        self.again = 0
        for name, times in copies.items():
            for came, taken in times[:-1]:
                if self.record_was_lost(came, taken):
                    self.again += 1
                else:
                    wrong["twice"].append(name)
        return wrong

    def check(self, ledger, seconds):
        """compare(), when what waits has come."""
        end = time.monotonic() + seconds
        while True:
            wrong = self.compare(ledger.of("away"))
            if not wrong["lost"] or time.monotonic() > end:
                return wrong
            time.sleep(0.5)


class AwayLoad:
    """Clients that send until the power fails."""

    def __init__(self, base, ledger, number, text_of):
        self.base, self.ledger, self.number, self.text_of = base, ledger, number, text_of
        self.stopped = False
        self.threads = [threading.Thread(target=self.until_cut, args=(n,), daemon=True) for n in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def until_cut(self, n):
        while not self.stopped:
            try:
                self.send(n)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.1)

    def send(self, n):
        with smtplib.SMTP("127.0.0.1", self.base + 25, timeout=15) as smtp:
            while not self.stopped:
                name = "away-%d-%d-%d" % (self.number, n, time.monotonic_ns())
                self.ledger.set([name], "coming", "away")
                smtp.sendmail("sender@localhost", ["a@far.example"], self.text_of(name))
                self.ledger.set([name], "there")

    def end(self):
        self.stopped = True
        for thread in self.threads:
            thread.join(20)
