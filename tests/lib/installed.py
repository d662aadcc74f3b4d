"""installed - a mail server installed below a root of its own, with users who attack it

The test runs in namespaces of its own (enter()): mounts, network with real ports, processes; all of it ends
with the test. Below Root.dir lies what `make install` puts there, with the image's accounts and the users alice,
bob and mallory (password "pass", homes in /home). run() and call() do something in there as one of them.
"""

import atexit
import ctypes
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from flow import PILLARBOX, TOP, wait_for

ACCOUNTS = {"root": 0, "postfix": 100, "dovecot": 101, "dovenull": 102, "alice": 1001, "bob": 1002, "mallory": 1003,
            "nobody": 65534}
GROUPS = {"root": 0, "mail": 8, "shadow": 42, "postfix": 100, "dovecot": 101, "dovenull": 102, "alice": 1001,
          "bob": 1002, "mallory": 1003, "nogroup": 65534}
USERS = ("alice", "bob", "mallory")
MAIN = """compatibility_level = 3.6
myhostname = mail.test.example
mydestination = test.example, mail.test.example, localhost
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
recipient_delimiter = +
dovecot_config_file = /etc/dovecot/dovecot.conf
maillog_file = /var/log/maillog
"""
DOVECOT = """protocols = imap pop3
listen = 127.0.0.1
disable_plaintext_auth = no
ssl = no
passdb {
  driver = passwd-file
  args = /etc/dovecot/users
}
"""
RENAME_EXCHANGE = 2
LIBC = ctypes.CDLL(None, use_errno=True)


def enter():
    """Go on in namespaces of our own; False: this host (or user) gives none."""
    if os.environ.get("INSTALLED_INSIDE"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return True
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0 or subprocess.run(unshare + ["true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        return False
    sys.stdout.flush()
    os.environ["INSTALLED_INSIDE"] = "1"
    os.execvp("unshare", unshare + [sys.executable, *sys.argv])
    return False


def exchange(one, other):
    """Two names change places; whether they did."""
    return LIBC.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), RENAME_EXCHANGE) == 0


class Root:
    """An installed root, started with start(); gone at exit."""

    def __init__(self, main="", dovecot=""):
        self.dir = tempfile.mkdtemp(prefix="pillarbox-root-")
        self.children = []
        atexit.register(self.remove)
        os.chmod(self.dir, 0o755)
        subprocess.run([TOP + "/scripts/install", self.dir], check=True, capture_output=True, timeout=60)
        shutil.copy(PILLARBOX, self.dir + "/usr/bin/pillarbox")
        self.accounts()
        self.devices()
        self.settle()
        self.write("/etc/postfix/main.cf", MAIN + main)
        self.write("/etc/dovecot/dovecot.conf", DOVECOT + dovecot)
        self.run("newaliases", check=True)

    def accounts(self):
        self.write("/etc/passwd", "".join("%s:x:%d:%d::%s:/bin/sh\n" % (
            name, uid, GROUPS.get(name, 65534), "/home/" + name if name in USERS else "/nonexistent")
            for name, uid in ACCOUNTS.items()))
        self.write("/etc/group", "".join("%s:x:%d:\n" % pair for pair in GROUPS.items()))
        self.write("/etc/shadow", "".join("%s:*:19000::::::\n" % name for name in ACCOUNTS), 0o640, 0, 42)
        self.write("/etc/dovecot/users", "".join("%s:{PLAIN}pass\n" % name for name in USERS), 0o640, 0, 101)
        for name in USERS:
            os.makedirs(self.at("/home/" + name))
            os.chown(self.at("/home/" + name), ACCOUNTS[name], GROUPS[name])
            os.chmod(self.at("/home/" + name), 0o700)
        for path, mode in (("/tmp", 0o1777), ("/var/tmp", 0o1777), ("/var/log", 0o755), ("/root", 0o700),
                           ("/var/run", 0o755)):
            os.makedirs(self.at(path), exist_ok=True)
            os.chmod(self.at(path), mode)

    def devices(self):
        os.makedirs(self.at("/dev"), exist_ok=True)
        os.makedirs(self.at("/proc"), exist_ok=True)
        for name in ("null", "zero", "random", "urandom"):
            with open(self.at("/dev/" + name), "w"):
                pass
            subprocess.run(["mount", "--bind", "/dev/" + name, self.at("/dev/" + name)], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", self.at("/proc")], check=True)

    def settle(self):
        """Owners and modes as rootfs/manifest has them, by this root's own accounts."""
        with open(TOP + "/rootfs/manifest") as file:
            for line in file:
                row = line.split()
                if len(row) == 6 and row[0].startswith("/") and row[1] == "d":
                    os.chown(self.at(row[0]), ACCOUNTS[row[2]], GROUPS[row[3]])
                    os.chmod(self.at(row[0]), int(row[4], 8))

    # ---- Files, seen from outside ----

    def at(self, path):
        return self.dir + path

    def write(self, path, text, mode=0o644, uid=0, gid=0):
        with open(self.at(path), "w") as file:
            file.write(text)
        os.chown(self.at(path), uid, gid)
        os.chmod(self.at(path), mode)

    def read(self, path):
        """Its text, "" for none; what has been put in its place does not hold the test up."""
        try:
            with open(os.open(self.at(path), os.O_RDONLY | os.O_NONBLOCK), errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def state(self, path):
        """Owner, mode and content of a file: what an attack must not change."""
        st = os.lstat(self.at(path))
        return st.st_uid, st.st_gid, oct(st.st_mode), self.read(path) if os.path.isfile(self.at(path)) else None

    def log(self):
        return self.read("/var/log/maillog")

    # ---- Doing something inside ----

    def become(self, user, groups=()):
        """In a child: this root, that user."""
        os.chroot(self.dir)
        os.chdir("/")
        os.umask(0o022)
        if user != "root":
            os.setgroups([GROUPS[g] for g in groups])
            os.setgid(GROUPS[user] if user in GROUPS else 65534)
            os.setuid(ACCOUNTS[user])

    def run(self, *args, user="root", check=False, timeout=30, **kwargs):
        """A command of the installed server."""
        kwargs.setdefault("capture_output", True)
        env = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/home/" + user if user in USERS else "/root", "USER": user,
               "LOGNAME": user}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        program = "/usr/bin/pillarbox" if not args[0].startswith("/") else args[0]
        return subprocess.run(list(args), executable=program, env=env, check=check, timeout=timeout,
                              preexec_fn=lambda: self.become(user), **kwargs)

    def call(self, user, function, *args, groups=()):
        """function(*args) in a child that is that user inside; what it returned, or the text of its exception."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(read)
                # Modules that are loaded on demand cannot be found in there.
                "x".encode("idna")
                self.become(user, groups)
                result = function(*args)
            except BaseException as error:  # noqa: BLE001
                result = "%r %s" % (error, traceback.format_exc()[-500:])
            try:
                with os.fdopen(write, "wb") as out:
                    pickle.dump(result, out)
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            data = answer.read()
        os.waitpid(pid, 0)
        return pickle.loads(data) if data else None

    def background(self, user, function, *args):
        """The same until the test kills it (end())."""
        pid = os.fork()
        if pid == 0:
            try:
                self.become(user)
                function(*args)
            finally:
                os._exit(0)
        self.children.append(pid)
        return pid

    def end(self, pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.children.remove(pid)

    def racer(self, user, one, other):
        """A process of that user that exchanges two names for ever."""
        def race():
            first, second = os.fsencode(one), os.fsencode(other)
            while True:
                LIBC.renameat2(-100, first, -100, second, RENAME_EXCHANGE)
        return self.background(user, race)

    # ---- The server ----

    def start(self):
        result = self.run("postfix", "start")
        if result.returncode != 0 or not wait_for(self.answers, 10):
            raise RuntimeError("the server does not start: %r %s" % (result, self.log()[-500:]))

    @staticmethod
    def answers(ports=(25, 110, 143)):
        for port in ports:
            try:
                with socket.create_connection(("127.0.0.1", port), 2) as s:
                    s.settimeout(5)
                    if not s.recv(100):
                        return False
            except OSError:
                return False
        return True

    def stop(self):
        self.run("postfix", "stop")

    def pids(self, name=None):
        """Processes of the installed binary (of the applet that name says)."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink("/proc/%s/exe" % pid).endswith("/usr/bin/pillarbox"):
                    with open("/proc/%s/comm" % pid) as file:
                        if name in (None, file.read().strip()):
                            found.append(int(pid))
            except OSError:
                pass
        return found

    def mail(self, user="root", to="alice", text="Subject: x\n\nx\n", sender=None):
        args = ["sendmail", *(["-f", sender] if sender else []), to]
        return self.run(*args, user=user, input=text, text=True)

    def queue_empty(self):
        return b"queue is empty" in self.run("mailq").stdout

    def remove(self):
        for pid in list(self.children):
            self.end(pid)
        self.run("postfix", "stop")
        wait_for(lambda: not self.pids(), 5)
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        for name in ("/proc", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"):
            subprocess.run(["umount", "-l", self.at(name)], stderr=subprocess.DEVNULL, check=False)
        if not os.environ.get("FLOW_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
