"""peer - Debian's Postfix beside our smtpd, each in a directory of its own, with the same main.cf

Postfix runs as root only: its master starts smtpd, cleanup, trivial-rewrite, anvil, proxymap,
tlsmgr and postlogd on a high port; there is no queue manager, so that a message stays where
postcat can look at it. What both must have the same is in MAIN; what only one understands stays
with its class.
"""

import atexit
import os
import pwd
import grp
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dialog  # noqa: E402
from ports import answers, free_port  # noqa: E402

LIBEXEC = "/usr/lib/postfix/sbin"
WAIT = 20

MAIN = """compatibility_level = 3.6
myhostname = mx.test.example
mydomain = test.example
mydestination = $myhostname, test.example, localhost
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps = inline:{root=x, tester=x, other=x}
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
queue_minfree = 0
message_size_limit = 1000000
mailbox_size_limit = 0
mail_name = Postfix
smtpd_banner = $myhostname ESMTP $mail_name
smtpd_forbid_bare_newline = normalize
smtpd_forbid_unauth_pipelining = no
"""

MASTER = """127.0.0.1:%d inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
bounce unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
pickup unix n - n 60 1 pickup
postlog unix-dgram n - n - 1 postlogd
"""


def why_not():
    """Why Postfix cannot be run here, or None."""
    if os.geteuid() != 0:
        return "Postfix runs as root only"
    if not os.path.exists(LIBEXEC + "/master"):
        return "Postfix is not installed"
    try:
        pwd.getpwnam("postfix")
        grp.getgrnam("postdrop")
    except KeyError:
        return "Postfix has no user or group here"
    return None


class Server:
    """What both have: a directory, a main.cf, a port, a log."""

    name = None
    own_main = ""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="pillarbox-peer-")
        os.chmod(self.dir, 0o755)
        self.conf = self.dir + "/etc"
        self.spool = self.dir + "/spool"
        self.port = free_port()
        self.proc = None
        self.log_at = 0
        os.makedirs(self.conf)
        self.lay_out()
        atexit.register(self.remove)

    def configure(self, lines):
        """A new main.cf; $DIR is this server's directory."""
        text = MAIN + self.own_main + "".join(line + "\n" for line in lines)
        with open(self.conf + "/main.cf", "w") as file:
            file.write(text.replace("$DIR", self.dir))

    def start(self):
        self.new_log()
        self.proc = subprocess.Popen(self.command(), env=dict(os.environ, MAIL_CONFIG=self.conf, TZ="UTC0"),
                                     cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     start_new_session=True)
        end = time.monotonic() + WAIT
        while not answers(self.port):
            if time.monotonic() > end or self.proc.poll() is not None:
                raise RuntimeError("%s does not start: %s" % (self.name, self.log()[-800:]))
            time.sleep(0.01)
        if not self.wait_log("disconnect from"):
            raise RuntimeError("%s does not start: %s" % (self.name, self.log()[-800:]))
        self.new_log()

    def stop(self):
        if self.proc is not None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(WAIT)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(self.proc.pid, signal.SIGKILL)
            except OSError:
                pass
            self.proc.wait()
            self.proc = None
            self.wait_closed()

    def wait_closed(self):
        """Its children are killed but may not be gone: until then the port still answers."""
        end = time.monotonic() + WAIT
        while answers(self.port) and time.monotonic() < end:
            time.sleep(0.01)

    def log(self):
        try:
            with open(self.dir + "/log", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def new_log(self):
        """The lines since the last call, from the program's name on, without process ids."""
        lines = self.log().split("\n")[:-1]
        new, self.log_at = lines[self.log_at:], len(lines)
        return [re.sub(r"^\w+ +\d+ [\d:]+ \S+ ([^\[\s]+)\[\d+\]: ", r"\1: ", line) for line in new]

    def wait_log(self, text, times=1):
        end = time.monotonic() + WAIT
        while sum(text in line for line in self.log().split("\n")[self.log_at:]) < times:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def postcat(self, ids, *options):
        return self.run("postcat", *options, "-q", *ids).stdout

    def remove(self):
        self.stop()
        if not os.environ.get("FLOW_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


class Postfix(Server):
    name = "Postfix"
    own_main = """queue_directory = $DIR/spool
data_directory = $DIR/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = $DIR/log
maillog_file_prefixes = $DIR
in_flow_delay = 0
"""

    def lay_out(self):
        owner, drop = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        modes = {"incoming": 0o700, "active": 0o700, "deferred": 0o700, "bounce": 0o700, "defer": 0o700,
                 "flush": 0o700, "hold": 0o700, "saved": 0o700, "trace": 0o700, "corrupt": 0o700,
                 "private": 0o700, "public": 0o710, "maildrop": 0o1730, "pid": 0o755}
        os.makedirs(self.spool)
        for name, mode in modes.items():
            path = self.spool + "/" + name
            os.mkdir(path)
            os.chown(path, 0 if name == "pid" else owner, drop if name in ("public", "maildrop") else 0)
            os.chmod(path, mode)
        # A queue manager that is told and does nothing: without one cleanup waits a second, and one more
        # (in_flow_delay) because nothing leaves the queue.
        os.mkfifo(self.spool + "/public/qmgr")
        os.chmod(self.spool + "/public/qmgr", 0o622)
        self.fifo = os.open(self.spool + "/public/qmgr", os.O_RDWR | os.O_NONBLOCK)
        os.mkdir(self.dir + "/data")
        os.chown(self.dir + "/data", owner, -1)
        with open(self.conf + "/master.cf", "w") as file:
            file.write(MASTER % self.port)
        for name in ("dynamicmaps.cf", "dynamicmaps.cf.d"):
            if os.path.exists("/etc/postfix/" + name):
                os.symlink("/etc/postfix/" + name, self.conf + "/" + name)

    def command(self):
        return [LIBEXEC + "/master", "-c", self.conf, "-d"]

    def run(self, program, *args, env=(), **kwargs):
        return subprocess.run(["/usr/sbin/" + program, *args], check=False, capture_output=True, timeout=WAIT,
                              env=dict(os.environ, MAIL_CONFIG=self.conf, TZ="UTC0", LOGNAME="root", **dict(env)),
                              **kwargs)


class Ours(Server):
    name = "pillarbox"
    options = ()
    pickup = None
    own_main = """queue_directory = $DIR/spool
data_directory = $DIR/spool
mail_owner = nobody
maillog_file = $DIR/log
maillog_file_prefixes = $DIR
dovecot_config_file = $DIR/none
"""

    def lay_out(self):
        dialog.lay_out(self.dir)
        dialog.hand_over(self.spool)

    def start(self):
        """smtpd, and pickup, to which root's sendmail gives its mail."""
        path = self.spool + "/public/pickup"
        self.pickup = subprocess.Popen([dialog.PILLARBOX, "pickup", "-p", path], cwd=self.dir,
                                       env=dict(os.environ, MAIL_CONFIG=self.conf, TZ="UTC0"),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + WAIT
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.01)
        super().start()

    def stop(self):
        super().stop()
        if self.pickup is not None:
            self.pickup.terminate()
            self.pickup.wait(WAIT)
            self.pickup = None

    def command(self):
        return [dialog.PILLARBOX, "smtpd", *self.options, "-p", "127.0.0.1:%d" % self.port]

    def run(self, *args, env=(), **kwargs):
        return subprocess.run([dialog.PILLARBOX, *args], check=False, capture_output=True, timeout=WAIT,
                              env=dict(os.environ, MAIL_CONFIG=self.conf, TZ="UTC0", LOGNAME="root", **dict(env)),
                              **kwargs)
