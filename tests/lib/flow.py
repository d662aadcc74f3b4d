"""flow - what the flow tests share: a sandbox server, verdict lines, waiting

A test makes its checks with check(name, condition, why) and ends with finish().
Each verdict is a line: ok NAME, not ok NAME: why, skip NAME: why.
"""

import atexit
import imaplib
import os
import poplib
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ports  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PILLARBOX = os.environ.get("PILLARBOX", os.path.join(TOP, "pillarbox"))
_failed = 0


def ok(name):
    print("ok", name, flush=True)


def fail(name, why):
    global _failed
    _failed += 1
    print("not ok %s: %s" % (name, str(why).replace("\n", " | ")[:2000]), flush=True)


def skip(name, why):
    print("skip %s: %s" % (name, why), flush=True)


def check(name, condition, why=""):
    if condition:
        ok(name)
    else:
        fail(name, why or "not so")
    return bool(condition)


def equal(name, got, want):
    return check(name, got == want, "got %.300r, want %.300r" % (got, want))


def finish():
    sys.exit(1 if _failed else 0)


def have(program):
    return shutil.which(program) is not None


def sanitized():
    """Whether the binary is a build with sanitizers, which take memory and time."""
    with open(PILLARBOX, "rb") as file:
        return b"__asan_init" in file.read()


def feature(name):
    """Whether the binary has FEATURE_NAME (config/features.h)."""
    said = subprocess.run([PILLARBOX, "--features"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return "FEATURE_%s=1" % name in said.split()


def wait_for(condition, seconds=20, step=0.02):
    """The first true value of condition(), or its last value after that time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def lines_of(path, text):
    """What a unix socket answers to some lines."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(path)
        got = b""
        s.sendall(text.encode())
        s.shutdown(socket.SHUT_WR)
        while True:
            more = s.recv(65536)
            if not more:
                return got.decode().split("\n")
            got += more


def name_of(pid):
    """What a process is called (an applet's is its name), "" when it has ended."""
    try:
        with open("/proc/%s/comm" % pid) as file:
            return file.read().strip()
    except OSError:
        return ""


def pss_of(pids):
    """What processes have of memory, in KB; of pages they share, their part."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            pass
    return total


class Sandbox:
    """A whole server (scripts/sandbox) below a temporary directory; stopped at exit."""

    def __init__(self, location=None, main="", dovecot="", start=True):
        self.dir = tempfile.mkdtemp(prefix="pillarbox-flow-")
        os.chmod(self.dir, 0o755)
        self.base = ports.free_base()
        self.location = location
        self.env = dict(os.environ, PILLARBOX=PILLARBOX, SANDBOX_MAIN=main, SANDBOX_DOVECOT=dovecot,
                        MAIL_CONFIG=self.dir + "/etc/postfix", PATH=self.dir + "/bin:" + os.environ["PATH"])
        atexit.register(self.remove)
        if start:
            self.start()

    def port(self, offset):
        return self.base + offset

    def start(self):
        args = [os.path.join(TOP, "scripts", "sandbox"), "start", self.dir, str(self.base)]
        if self.location:
            args.append(self.location)
        subprocess.run(args, env=self.env, check=True, timeout=60)

    def stop(self):
        subprocess.run([os.path.join(TOP, "scripts", "sandbox"), "stop", self.dir], env=self.env,
                       timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def pids(self, applet=None):
        """Every process from this sandbox, by its MAIL_CONFIG or arguments; of one applet alone if that is named."""
        found = []
        mark = self.dir.encode()
        for pid in os.listdir("/proc"):
            if not pid.isdigit() or int(pid) == os.getpid():
                continue
            try:
                exe = os.readlink("/proc/%s/exe" % pid)
                with open("/proc/%s/environ" % pid, "rb") as file:
                    about = file.read()
                with open("/proc/%s/cmdline" % pid, "rb") as file:
                    about += file.read()
            except OSError:
                continue
            if mark in about and os.path.realpath(exe).startswith(os.path.realpath(self.env["PILLARBOX"])) and \
                    applet in (None, name_of(pid)):
                found.append(int(pid))
        return found

    def kill(self):
        """kill -9 everything at once."""
        for _ in range(20):
            pids = self.pids()
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, 9)
                except OSError:
                    pass
            time.sleep(0.02)

    def remove(self):
        self.stop()
        self.kill()
        ports.release_base(self.base)
        if not os.environ.get("FLOW_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, *args, **kwargs):
        """One of the applets, in the sandbox's environment."""
        kwargs.setdefault("timeout", 60)
        kwargs.setdefault("capture_output", True)
        return subprocess.run(args, env=self.env, check=False, **kwargs)

    # ---- Clients, as what users have ----

    def smtp(self, offset=25, timeout=30):
        return smtplib.SMTP("127.0.0.1", self.port(offset), "client.example", timeout=timeout)

    def imap(self, user=None, mailbox=None, timeout=30):
        """Logged in if a user is named, and with that mailbox open."""
        client = imaplib.IMAP4("127.0.0.1", self.port(143), timeout=timeout)
        if user:
            client.login(user, "pass")
        if mailbox:
            client.select(mailbox)
        return client

    def pop3(self, user=None, timeout=30):
        client = poplib.POP3("127.0.0.1", self.port(110), timeout=timeout)
        if user:
            client.user(user)
            client.pass_("pass")
        return client

    # ---- What has come of it ----

    def mailbox(self, user):
        """The bytes of a user's mbox."""
        try:
            with open(self.dir + "/mail/" + user, "rb") as file:
                return file.read()
        except OSError:
            return b""

    def log(self):
        try:
            with open(self.dir + "/log/maillog", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def queue_empty(self):
        return b"queue is empty" in self.run("mailq").stdout

    def memory(self):
        """(sum of PSS in KB, number of processes)."""
        pids = self.pids()
        return pss_of(pids), len(pids)
