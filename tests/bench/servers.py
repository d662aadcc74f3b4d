"""servers - what benches measure: pillarbox, Debian's Postfix and Dovecot, each below a directory of its own"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from flow import Sandbox, pss_of, wait_for  # noqa: E402
from ports import free_base, free_port  # noqa: E402


def first_existing(*paths):
    return next(path for path in paths if os.path.exists(path))


def first_banner(port):
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                if s.recv(100).startswith(b"220"):
                    return
        except OSError:
            time.sleep(0.001)


class Ours:
    name = "pillarbox"
    user = "u1"

    def __init__(self, deliver=True, main="", master=""):
        del master
        self.box = Sandbox(main=main)
        if not deliver:
            # Accepting alone: with no queue manager mail stays in the incoming queue.
            self.edit_master(lambda text: re.sub(r"^qmgr .*\n", "", text, flags=re.M))
            self.restart()

    def edit_master(self, change):
        path = self.box.dir + "/etc/postfix/master.cf"
        with open(path) as file:
            text = change(file.read())
        with open(path, "w") as file:
            file.write(text)

    def restart(self):
        self.box.run("postfix", "stop")
        self.box.run("postfix", "start")
        first_banner(self.port())

    def port(self):
        return self.box.port(25)

    def mailbox(self):
        return self.box.dir + "/mail/u1"

    def log(self):
        return self.box.log()

    def imap(self):
        return ImapClient(self.box.port(143), "tester")

    def pids(self):
        return self.box.pids()

    def start_cold(self):
        self.box.run("postfix", "stop")
        wait_for(lambda: not self.box.pids(), 20)
        began = time.monotonic()
        self.box.run("postfix", "start")
        first_banner(self.port())
        return (time.monotonic() - began) * 1000

    def stop(self):
        self.box.remove()


class Postfix:
    """A second Debian Postfix from its own directory; mail to a system user goes to a local mbox."""

    name = "Postfix"
    user = "games"        # a system user of every Debian

    def __init__(self, deliver=True, main="", master=""):
        """main, master: more lines of main.cf (a parameter that is there already is set anew) and of master.cf."""
        self.dir = subprocess.run(["mktemp", "-d", "/tmp/pillarbox-bench-XXXXXX"], capture_output=True, text=True,
                                  check=True).stdout.strip()
        os.chmod(self.dir, 0o755)
        self.base = free_base()
        etc = self.dir + "/etc"
        for sub in ("etc", "data", "mail", "spool"):
            os.makedirs(self.dir + "/" + sub)
        shutil.copytree("/etc/postfix", etc, dirs_exist_ok=True, symlinks=True)
        os.chmod(self.dir + "/mail", 0o1777)
        shutil.chown(self.dir + "/data", "postfix")
        with open(etc + "/main.cf", "w") as file:
            file.write("""compatibility_level = 3.6
queue_directory = %(d)s/spool
data_directory = %(d)s/data
maillog_file = %(d)s/maillog
maillog_file_prefixes = %(d)s
myhostname = mail.test.example
mydestination = test.example, localhost
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
mail_spool_directory = %(d)s/mail
mailbox_size_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
default_process_limit = 100
in_flow_delay = %(flow)s
""" % {"d": self.dir, "flow": "1s" if deliver else "0"})
            file.write(main)
        more = master
        with open(first_existing("/etc/postfix/master.cf", "/usr/share/postfix/master.cf.dist")) as file:
            master = file.read()
        master = re.sub(r"^smtp( +inet .*)$", r"%d\1" % self.port(), master, count=1, flags=re.M)
        master = re.sub(r"^(\S+ +\S+ +\S+ +\S+ +)y( )", r"\1n\2", master, flags=re.M)
        if "postlog" not in master:
            master += "postlog unix-dgram n - n - 1 postlogd\n"
        master += more
        if not deliver:
            master = re.sub(r"^(qmgr|pickup) .*\n", "", master, flags=re.M)
        with open(etc + "/master.cf", "w") as file:
            file.write(master)
        self.own_default = not os.path.exists("/etc/postfix/main.cf")
        if self.own_default:
            # Installed without configuration: its set-gid programs still ask there which directories are allowed.
            with open("/etc/postfix/main.cf", "w") as file:
                file.write("compatibility_level = 3.6\n")
        subprocess.run(["/usr/sbin/postconf", "-c", "/etc/postfix", "-e", "alternate_config_directories = " + etc],
                       check=True)
        self.start()

    def command(self, *args):
        env = {k: v for k, v in os.environ.items() if k != "MAIL_CONFIG"}
        return subprocess.run(["/usr/sbin/postfix", "-c", self.dir + "/etc", *args], env=env, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def start(self):
        self.command("start")
        first_banner(self.port())

    def port(self):
        return self.base + 25

    def mailbox(self):
        return self.dir + "/mail/" + self.user

    def log(self):
        with open(self.dir + "/maillog", errors="replace") as file:
            return file.read()

    def pids(self):
        with open(self.dir + "/spool/pid/master.pid") as file:
            master = int(file.read())
        pids, todo = [], [master]
        while todo:
            pid = todo.pop()
            pids.append(pid)
            children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True,
                                      check=False).stdout
            todo += [int(p) for p in children.split()]
        return pids

    def start_cold(self):
        self.command("stop")
        began = time.monotonic()
        self.start()
        return (time.monotonic() - began) * 1000

    def stop(self):
        self.command("stop")
        if self.own_default:
            os.unlink("/etc/postfix/main.cf")
        else:
            subprocess.run(["/usr/sbin/postconf", "-c", "/etc/postfix", "-X", "alternate_config_directories"],
                           check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


class Dovecot:
    """A second Debian Dovecot from its own directory, with an mbox as INBOX."""

    name = "Dovecot"

    def __init__(self, deliver=True):
        del deliver
        self.dir = subprocess.run(["mktemp", "-d", "/tmp/pillarbox-bench-XXXXXX"], capture_output=True, text=True,
                                  check=True).stdout.strip()
        os.chmod(self.dir, 0o755)
        self.base = free_base()
        for sub in ("run", "home", "mail"):
            os.mkdir(self.dir + "/" + sub)
        for sub in ("home", "mail"):
            shutil.chown(self.dir + "/" + sub, "games", "games")
        with open(self.dir + "/users", "w") as file:
            file.write("tester:{PLAIN}pass\n")
        with open(self.dir + "/dovecot.conf", "w") as file:
            file.write("""base_dir = %(d)s/run
log_path = %(d)s/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = mbox:~/mail:INBOX=%(d)s/mail/%%u
first_valid_uid = 1
first_valid_gid = 1
passdb {
  driver = passwd-file
  args = %(d)s/users
}
userdb {
  driver = static
  args = uid=games gid=games home=%(d)s/home
}
service imap-login {
  inet_listener imap {
    port = %(port)d
  }
  inet_listener imaps {
    port = 0
  }
}
""" % {"d": self.dir, "port": self.base + 143})
        subprocess.run(["/usr/sbin/dovecot", "-c", self.dir + "/dovecot.conf"], check=True, timeout=60)

    def imap(self):
        return ImapClient(self.base + 143, "tester")

    def stop(self):
        subprocess.run(["/usr/sbin/dovecot", "-c", self.dir + "/dovecot.conf", "stop"], check=False, timeout=60)
        shutil.rmtree(self.dir, ignore_errors=True)


class ImapClient:
    """As little as is needed to keep a server busy."""

    def __init__(self, port, user):
        self.sock = None
        wait_for(lambda: self.connect(port), 20)
        self.received, self.number = b"", 0
        self.read_until(b"\r\n")
        self.ask(b"LOGIN %s pass" % user.encode())

    def connect(self, port):
        try:
            self.sock = socket.create_connection(("127.0.0.1", port), 60)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return True
        except OSError:
            return False

    def read_until(self, end):
        """All that comes up to a chunk that ends so."""
        chunks = []
        while not b"".join(chunks[-2:]).endswith(end):
            chunks.append(self.sock.recv(1 << 20))
            if not chunks[-1]:
                raise RuntimeError("the IMAP server hung up: %r" % b"".join(chunks)[-200:])
        return b"".join(chunks)

    def ask(self, command):
        """The whole answer to a command, which has to be OK."""
        self.number += 1
        tag = b"t%d" % self.number
        self.sock.sendall(tag + b" " + command + b"\r\n")
        answer, last = b"", b""
        while not last.startswith(tag + b" "):
            answer += self.read_until(b"\r\n")
            last = answer[:-2].rpartition(b"\r\n")[2]
        if not last.startswith(tag + b" OK"):
            raise RuntimeError("IMAP: %r: %r" % (command[:60], last))
        return answer
