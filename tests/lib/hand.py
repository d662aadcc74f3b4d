"""hand - single daemons started by hand in a directory of their own, without master

For tests that look at one part: smtpd on a port, pickup on its socket. The
configuration is the one of the dialogues (tests/lib/dialog.py).
"""

import atexit
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dialog  # noqa: E402
from ports import answers, free_port  # noqa: E402


class Place:
    """A directory with a queue and a configuration; processes end and it goes at exit."""

    def __init__(self, main=""):
        self.dir = tempfile.mkdtemp(prefix="pillarbox-hand-")
        os.chmod(self.dir, 0o755)
        self.owner = dialog.owner()
        self.uid = pwd.getpwnam(self.owner).pw_uid
        self.processes = []
        dialog.lay_out(self.dir)
        os.makedirs(self.dir + "/etc/postfix")
        with open(self.dir + "/etc/postfix/main.cf", "w") as file:
            file.write(dialog.MAIN.replace("$DIR", self.dir).replace("$OWNER", self.owner) + main)
        dialog.hand_over(self.dir + "/spool")
        self.env = dict(os.environ, MAIL_CONFIG=self.dir + "/etc/postfix", TZ="UTC0")
        atexit.register(self.remove)

    def start(self, *args, ready):
        """An applet in the background; waits until ready() is true."""
        proc = subprocess.Popen([dialog.PILLARBOX, *args], env=self.env, cwd=self.dir)
        self.processes.append(proc)
        end = time.monotonic() + dialog.WAIT
        while not ready():
            if proc.poll() is not None or time.monotonic() > end:
                raise RuntimeError("%s does not start: %s" % (args[0], self.log()[-500:]))
            time.sleep(0.01)
        return proc

    def smtpd(self, *more):
        """smtpd on a free port: (process, port)."""
        port = free_port()
        return self.start("smtpd", "-p", "127.0.0.1:%d" % port, *more, ready=lambda: answers(port)), port

    def pickup(self):
        path = self.dir + "/spool/public/pickup"
        return self.start("pickup", "-p", path, ready=lambda: answers(path))

    def stop(self, proc):
        proc.terminate()
        proc.wait(dialog.WAIT)
        self.processes.remove(proc)
        return proc.returncode

    def copy(self):
        """The binary where every user can reach it."""
        path = self.dir + "/pillarbox"
        if not os.path.exists(path):
            shutil.copy(dialog.PILLARBOX, path)
        return path

    def run(self, *args, program=None, **kwargs):
        kwargs.setdefault("timeout", 60)
        kwargs.setdefault("capture_output", True)
        kwargs.setdefault("env", self.env)
        return subprocess.run([program or dialog.PILLARBOX, *args], check=False, **kwargs)

    def ids(self):
        """Queue ids, oldest first; names of the maildrop (32 digits) are listed too and left out."""
        lines = self.run("postqueue", "-p").stdout.decode().split("\n")
        ids = [line.split()[0].rstrip("*!#") for line in lines if line[:1] in "0123456789ABCDEF" and line[:1]]
        return [i for i in ids if len(i) < 32]

    def content(self, queue_id):
        return self.run("postcat", "-bhq", queue_id).stdout

    def log(self):
        with open(self.dir + "/log", errors="replace") as file:
            return file.read()

    def remove(self):
        for proc in self.processes:
            proc.kill()
            proc.wait()
        if not os.environ.get("FLOW_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


def peak_kb(pid):
    """Highest memory use of a process so far."""
    with open("/proc/%d/status" % pid) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def rss_kb(pid):
    with open("/proc/%d/status" % pid) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
