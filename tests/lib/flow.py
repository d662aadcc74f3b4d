"""flow - what the flow tests share: a sandbox server, verdict lines, waiting

A test makes its checks with check(name, condition, why) and ends with finish().
Each verdict is a line: ok NAME, not ok NAME: why, skip NAME: why.
"""

import atexit
import os
import shutil
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


def free_base():
    """A BASE whose ports (BASE+24 .. BASE+995) are free now, and this test's until it ends.

    Below the ports that connections get (from 32768 on): one of those may be anybody's at any time.
    """
    offsets = (24, 25, 110, 143, 465, 587, 993, 995)
    for n in range(100):            # steps of 200: none of the offsets falls on another base's
        base = 11000 + (os.getpid() + n) % 100 * 200
        if not ports.claim("flow-base-%d" % base):
            continue
        socks = []
        try:
            for offset in offsets:
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                socks.append(s)
                s.bind(("127.0.0.1", base + offset))
            return base
        except OSError:
            continue
        finally:
            for s in socks:
                s.close()
    raise RuntimeError("no free ports")


class Sandbox:
    """A whole server (scripts/sandbox) below a temporary directory; stopped at exit."""

    def __init__(self, location=None, main="", dovecot="", start=True):
        self.dir = tempfile.mkdtemp(prefix="pillarbox-flow-")
        os.chmod(self.dir, 0o755)
        self.base = free_base()
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

    def pids(self):
        """Every process that runs from this sandbox: those that carry its MAIL_CONFIG or its arguments."""
        found = []
        mark = self.dir.encode()
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            try:
                exe = os.readlink("/proc/%s/exe" % name)
                with open("/proc/%s/environ" % name, "rb") as file:
                    about = file.read()
                with open("/proc/%s/cmdline" % name, "rb") as file:
                    about += file.read()
            except OSError:
                continue
            if mark in about and os.path.realpath(exe).startswith(os.path.realpath(self.env["PILLARBOX"])):
                found.append(int(name))
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
        ports.release("flow-base-%d" % self.base)
        if not os.environ.get("FLOW_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, *args, **kwargs):
        """One of the applets, in the sandbox's environment."""
        kwargs.setdefault("timeout", 60)
        kwargs.setdefault("capture_output", True)
        return subprocess.run(args, env=self.env, check=False, **kwargs)

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
        total = 0
        pids = self.pids()
        for pid in pids:
            try:
                with open("/proc/%d/smaps_rollup" % pid) as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
            except OSError:
                pass
        return total, len(pids)
