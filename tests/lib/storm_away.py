"""storm_away - kill -9 of every kind of process while mail goes to other hosts: is it lost, twice or damaged?

Each host keeps what it has taken, and when. It is at times away, answers 4xx to a recipient or a mail, waits, or hangs
up at the last dot: before it has taken the mail, or after (which no sender can know, so that mail comes again).
"""

import collections
import re
import smtplib
import time

import ports
from flow import wait_for
from nexthost import DROP, NextHost
from stormrig import Killing, Place, body_of, sum_of

HOSTS, SENDERS = 4, 4
SENDER = "u20"      # whose mailbox gets bounces: there are to be none
# Seconds behind a 250 that the agent has logged, within which the queue manager has it on the disk; one that is killed
# before loses it. Behind a reload the agent of before has nobody else to tell.
RECORD_SECONDS, RELOAD_SECONDS = 2, 2
EARLIER = 0.05      # by which a kill may be noted before it came
MAIN = """queue_run_delay = 1
minimal_backoff_time = 1
maximal_backoff_time = 2
transport_retry_time = 1
smtp_connection_cache_destinations =
max_use = 1000
transport_maps = inline:{%s}
"""


# known: the sender was answered; number: as in that answer.
Copy = collections.namedtuple("Copy", "host number moment whole known")


class Host(NextHost):
    def __init__(self, storm, address, port):
        self.storm, self.random = storm, storm.random
        self.away_until = 0
        self.copies = collections.defaultdict(list)     # (number, recipient): [Copy]
        script = {"GREETING": self.greet, "RCPT": self.take_recipient, "END": self.end}
        super().__init__(address=address, port=port, name=address, script=script)

    def greet(self, dialogue, argument):
        del dialogue, argument
        if time.monotonic() < self.away_until:
            return DROP
        if self.random.random() < 0.05:
            self.away_until = time.monotonic() + self.random.random()
        return "421 4.3.2 not now" if self.random.random() < 0.05 else None

    def take_recipient(self, dialogue, argument):
        del dialogue, argument
        return "450 4.2.1 not now" if self.random.random() < 0.05 else None

    def end(self, dialogue, data):
        chance = self.random.random()
        if chance < 0.02:
            return DROP
        if chance < 0.05:
            return "451 4.3.0 not now"
        if chance < 0.20:
            time.sleep(self.random.random() * 0.5)
        if 0.20 < chance < 0.22:
            self.note(dialogue, dialogue.recipients, data, known=False)
            return DROP
        return None

    def take(self, mail):
        self.note(mail.dialogue, mail.recipients, mail.data, known=True)

    def note(self, dialogue, recipients, data, known):
        number, whole = self.storm.judge(data)
        with self.lock:
            for recipient in recipients:
                self.copies[number, recipient].append(Copy(self.name, dialogue.number, time.monotonic(), whole, known))


class AwayStorm(Killing):
    def __init__(self, seed):
        self.port = ports.free_port()
        self.sent, self.sums = {}, {}
        super().__init__(Place(None, MAIN % ", ".join(
            "h%d.example=smtp:[127.0.4.%d]:%d" % (n, n, self.port) for n in range(1, HOSTS + 1)), start=False), seed)
        self.hosts = [Host(self, "127.0.4.%d" % n, self.port) for n in range(1, HOSTS + 1)]

    def send_some(self):
        with smtplib.SMTP("127.0.0.1", self.box.port(25), "client.example", timeout=30) as smtp:
            for _ in range(20):
                if self.ending.is_set():
                    return
                self.send_one(smtp)
                time.sleep(self.random.random() * 0.02)

    def send_one(self, smtp):
        with self.lock:
            self.number += 1
            number = self.number
            pairs = [(host, user) for host in range(1, HOSTS + 1) for user in ("a", "b", "c")]
            to = ["%s@h%d.example" % (user, host) for host, user in
                  self.random.sample(pairs, self.random.choice((1, 1, 2, 5)))]
            size = self.random.choice((50, 300, 3000)) if self.random.random() < 0.97 else 600000
        body = body_of(number, size)
        self.sums[number] = sum_of(body)
        self.sent[number] = (to, False)
        smtp.sendmail(SENDER + "@test.example", to,
                      ("Subject: mail\nX-Id: %d\n\n%s" % (number, body)).replace("\n", "\r\n"))
        self.sent[number] = (to, True)

    def judge(self, data):
        """(number of a mail, whether it is as it was sent)"""
        head, _, body = data.replace(b"\r\n", b"\n").decode("latin-1").partition("\n\n")
        for line in head.split("\n"):
            if line.startswith("X-Id: "):
                return int(line[6:]), sum_of(body) == self.sums.get(int(line[6:]))
        return None, False

    def logged(self):
        """(host, number) of each 250 that an agent had before it was killed."""
        return set(re.findall(r"relay=(127\.0\.4\.\d)\[.*status=sent \(250 2\.0\.0 Ok: queued as F(\d+)\)", self.box.log()))

    def excused(self, copy, logged):
        """Whether the 250 of a copy was lost: before the agent had it, or with the queue manager."""
        if not copy.known or (copy.host, str(copy.number)) not in logged:
            return True
        def killed(since, until, *kinds):
            return any(copy.moment + since < at < copy.moment + until for at, kind in self.killed_at if kind in kinds)

        if killed(-RELOAD_SECONDS, 0, "reload") and killed(-RELOAD_SECONDS, 0, "qmgr"):
            return True
        # An agent without a queue manager keeps what it has to tell, until it is killed as well, or ends with its master.
        return killed(-EARLIER, RECORD_SECONDS, "qmgr", "everything") or \
            (killed(-1, 0, "qmgr") and killed(-EARLIER, RECORD_SECONDS, "smtp", "master"))

    def near(self, moment):
        return ", ".join("%s %+.2f s" % (kind, at - moment) for at, kind in self.killed_at if moment - 1 < at < moment + 4)

    def verify(self):
        counts, notes, logged = collections.Counter(), [], self.logged()
        copies = {key: value for host in self.hosts for key, value in host.copies.items()}
        for key, came in copies.items():
            whole = [copy for copy in came if copy.whole]
            counts["copies"] += len(whole)
            counts["damaged"] += len(came) - len(whole)
            for copy in whole[:-1]:
                why = "again" if self.excused(copy, logged) else "twice"
                counts[why] += 1
                if why == "twice":
                    notes.append("twice: %s, and the kills near it: %s" % (key, self.near(copy.moment)))
        for number, (to, accepted) in self.sent.items():
            missing = [user for user in to if not any(copy.whole for copy in copies.get((number, user), []))]
            if accepted and missing:
                counts["lost"] += len(missing)
                notes.append("lost: %d for %s" % (number, missing))
        counts["bounced"] = self.box.mailbox(SENDER).count(b"\nFrom ") + self.box.mailbox(SENDER).startswith(b"From ")
        return counts, notes

    def run(self, kills):
        self.box.start()
        threads = [self.again(self.send_some) for _ in range(SENDERS)]
        begun = time.monotonic()
        try:
            killed = self.kill_all(kills)
        finally:
            self.stop(threads)
        empty = wait_for(self.box.queue_empty, 180, 0.5)
        counts, notes = self.verify()
        print("%d kills in %.0f s: %s" % (kills, time.monotonic() - begun,
                                          ", ".join("%s %d" % pair for pair in sorted(killed.items()))))
        print("%d mails sent, %d accepted" % (len(self.sent), sum(1 for _, ok in self.sent.values() if ok)))
        print("%d copies at %d hosts: lost %d, twice %d, damaged %d, bounced %d; %d came again because their 250 was "
              "lost%s" % (counts["copies"], HOSTS, counts["lost"], counts["twice"], counts["damaged"],
                          counts["bounced"], counts["again"], "" if empty else "; the queue does not run empty"),
              flush=True)
        for note in notes[:20]:
            print("  " + note)
        for host in self.hosts:
            host.close()
        self.box.remove()
        return sum(counts[what] for what in ("lost", "twice", "damaged", "bounced")) + (not empty)
