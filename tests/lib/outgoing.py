"""outgoing - the smtp or lmtp agent by itself: a queue, a queue manager that is the test, a name server

    way = Outgoing(zone={"far.example": ["MX 10 mx.far.example"], ...}, main="smtp_mx_session_limit = 1\\n")
    answers = way.send("far.example", ["a@far.example"])
"""

import atexit
import os
import pwd
import re
import shutil
import tempfile

from agent import Agent, Queue
from flow import wait_for
from nameserver import NameServer

MAIL = b"From: s@test.example\nSubject: test\n\nhello\n"


class Outgoing:
    def __init__(self, main="", zone=None, name="smtp", start=True):
        self.dir = tempfile.mkdtemp(prefix="pillarbox-out-")
        self.etc, self.spool = self.dir + "/etc", self.dir + "/spool"
        for path in (self.etc, self.spool, self.spool + "/private"):
            os.makedirs(path)
        self.names = NameServer(zone)
        self.hosts = self.dir + "/hosts"
        self.write("hosts", "127.0.0.1 localhost\n")
        self.agent = Agent(name, self.dir, self.etc)
        atexit.register(self.remove)
        self.configure(main)
        self.queue = Queue(self.spool)
        for path, _, files in os.walk(self.spool):
            for entry in [path, *(os.path.join(path, file) for file in files)]:
                os.chown(entry, os.geteuid(), os.getegid())
        if start:
            self.agent.start()

    def write(self, name, text, mode=0o644):
        path = self.dir + "/" + name
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def configure(self, main=""):
        owner = pwd.getpwuid(os.geteuid()).pw_name
        lines = {"compatibility_level": "3.6", "queue_directory": self.spool, "mail_owner": owner, "mydomain": "test.example",
                 "myhostname": "mail.test.example", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
                 "dns_servers": self.names.text, "hosts_file": self.hosts, "maillog_file": self.dir + "/log",
                 "maillog_file_prefixes": self.dir}
        text = "".join("%s = %s\n" % line for line in lines.items() if line[0] + " =" not in main)
        self.write("etc/main.cf", text + main.replace("$DIR", self.dir))

    def restart(self, main):
        """With another configuration."""
        self.agent.stop()
        self.configure(main)
        self.agent.start()

    def send(self, nexthop, recipients, content=MAIL, sender="s@test.example", **more):
        """One mail: its answers, in the order of the recipients."""
        return self.agent.deliver(self.queue, content, recipients, sender, nexthop=nexthop, **more)

    def send_many(self, nexthop, recipients, seconds=60, content=MAIL, sender="s@test.example"):
        """One mail for each recipient, all at once; the answers, in the order of the recipients."""
        numbers = self.queue.add([content] * len(recipients), sender)
        asked = [self.agent.request(number, self.queue.sizes[number], [to], sender, nexthop=nexthop)
                 for number, to in zip(numbers, recipients)]
        self.agent.exchange(b"".join(data for _, data in asked), len(asked), seconds)
        return [self.agent.answers.get((serial, 0)) for serial, _ in asked]

    def log(self):
        try:
            with open(self.dir + "/log", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def logged(self, text, seconds=10):
        """Lines come after the answer, at the end of the turn."""
        return wait_for(lambda: text in self.log(), seconds)

    def matched(self, pattern, seconds=10):
        return wait_for(lambda: re.search(pattern, self.log()), seconds)

    def remove(self):
        if self.agent.process is not None and self.agent.process.poll() is None:
            self.agent.stop(9)
        self.names.close()
        if not os.environ.get("FLOW_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
