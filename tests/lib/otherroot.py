"""otherroot - servers that are not installed: packages unpacked below PILLARBOX_PEERS, laid over / in a namespace

    enter()                         # first of all: the test runs again in a mount namespace of its own
    root = OtherRoot({"Debian-exim": "/var/spool/exim4"})
    root.start("/usr/sbin/exim4", "-bdf")

What they write into / is in memory and gone at the end; /tmp is the one of everybody.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile

MARK = "PILLARBOX_OTHERROOT"
FIRST_UID = 690


def why_not(*programs):
    """Why these cannot be run here, or None."""
    peers = os.environ.get("PILLARBOX_PEERS", "")
    if os.geteuid() != 0:
        return "needs root, to lay packages over / in a namespace"
    if not peers:
        return "PILLARBOX_PEERS does not name a directory with unpacked packages"
    missing = [program for program in programs if not os.path.exists(peers + program)]
    return "not below PILLARBOX_PEERS: " + ", ".join(missing) if missing else None


def enter():
    """Go on in a mount namespace, where that can be."""
    if os.environ.get(MARK) or os.geteuid() != 0 or not os.environ.get("PILLARBOX_PEERS") or not shutil.which("unshare"):
        return
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        os.environ[MARK] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class OtherRoot:
    def __init__(self, users):
        """users: {name: home}."""
        self.memory = tempfile.mkdtemp(prefix="pillarbox-root-")
        self.processes = []
        atexit.register(self.remove)
        mount("-t", "tmpfs", "-o", "mode=755", "none", self.memory)
        upper, work, self.dir = (self.memory + "/" + name for name in ("upper", "work", "root"))
        shutil.copytree(os.environ["PILLARBOX_PEERS"], upper, symlinks=True)
        self.merge(upper)
        os.mkdir(work)
        os.mkdir(self.dir)
        mount("-t", "overlay", "overlay", "-o", "lowerdir=/,upperdir=%s,workdir=%s" % (upper, work), self.dir)
        for name in ("/proc", "/dev", "/tmp"):
            mount("--rbind", name, self.dir + name)
        self.add_users(users)

    @staticmethod
    def merge(upper):
        """/lib of older packages where it is a link to /usr/lib."""
        for name in ("lib", "bin", "sbin"):
            if os.path.islink("/" + name) and os.path.lexists(upper + "/" + name):
                if not os.path.islink(upper + "/" + name):
                    shutil.copytree(upper + "/" + name, upper + "/usr/" + name, symlinks=True, dirs_exist_ok=True)
                    shutil.rmtree(upper + "/" + name)
                else:
                    os.unlink(upper + "/" + name)

    def add_users(self, users):
        for number, (name, home) in enumerate(users.items(), FIRST_UID):
            for file, row in (("passwd", "%s:x:%d:%d::%s:/bin/sh\n" % (name, number, number, home)),
                              ("group", "%s:x:%d:\n" % (name, number)), ("shadow", "%s:*:19000::::::\n" % name)):
                with open(self.dir + "/etc/" + file, "a", encoding="ascii") as out:
                    out.write(row)
            os.makedirs(self.dir + home, exist_ok=True)
            os.chown(self.dir + home, number, number)

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.dir + path), exist_ok=True)
        with open(self.dir + path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.dir + path, mode)

    def run(self, *command, **more):
        return subprocess.run(["chroot", self.dir, *command], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=30, **more)

    def start(self, *command, log):
        """In the background; what it says goes to a file."""
        with open(log, "wb") as out:
            self.processes.append(subprocess.Popen(["chroot", self.dir, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                                   start_new_session=True))

    def stop(self):
        for process in self.processes:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(3)
                except (OSError, subprocess.TimeoutExpired):
                    pass
        self.processes = []

    def remove(self):
        self.stop()
        subprocess.run(["umount", "-R", "-l", self.memory], check=False, stderr=subprocess.DEVNULL)
        try:
            os.rmdir(self.memory)       # and nothing below it: that may be everybody's /tmp
        except OSError:
            pass
