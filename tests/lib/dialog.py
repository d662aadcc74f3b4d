"""dialog - runs .dialog files: what a client says, what the server must answer

A server (smtpd, pop3d, imapd ...) is started with -S on a socket of its own, as
inetd would, in a temporary directory with its own configuration. One file is one
test; its name is the file's.

Lines of a file:

    # text              comment; blank lines are nothing
    @server NAME ARGS   the applet (default: smtpd -S -c $DIR/etc/postfix)
    @from ADDRESS       the client's address (default 127.0.0.1)
    @pipe               stdin and stdout are pipes instead of a socket
    @main NAME = VALUE  a line of main.cf
    @dovecot TEXT       a line of dovecot.conf (below $DIR/etc/dovecot)
    @file PATH          a file below $DIR; its lines follow, each after "| "
    @run COMMAND        a shell command in $DIR before the server starts; it must succeed
    @start NAME ARGS    a daemon in the background for as long as the test runs; with -p /PATH or
                        -p PORT the test waits until it can be connected to
    @certificate        $DIR/cert.pem, self-signed, key and certificate in one file
    @needs root         skipped otherwise

    C: text             send text and CRLF
    C< text             send text as it is, with \\r \\n \\t \\0 \\\\ \\xNN
    C* N text           send text N times (escapes as above)
    S: pattern          the next line from the server
    S* pattern          lines up to one that matches
    S< text             these very bytes (escapes as above)
    TLS                 the client starts TLS; no certificate is checked
    EOF                 the server closes the connection
    CLOSE               the client does; SHUT: only its sending side
    L: pattern          such a line is in the log (from its program's name on: "postfix/smtpd: text"),
                        after the one the last L: found
    !L: pattern         no line of the log is like this
    ! COMMAND           a shell command in $DIR; its standard output must match the "> pattern" lines
                        below it
    X: N                the server's exit status

A pattern is literal but for {regex} and {name=regex}; the latter is $name from
there on, in every line. "2C:", "2S:" ... speak on a second (third ...) connection,
with a server process of its own over the same files. $DIR, $PILLARBOX, $TOP are set.
"""

import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ports import answers  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PILLARBOX = os.path.abspath(os.environ.get("PILLARBOX", os.path.join(TOP, "pillarbox")))
WAIT = float(os.environ.get("DIALOG_WAIT", "20"))

MAIN = """compatibility_level = 3.6
queue_directory = $DIR/spool
data_directory = $DIR/spool
mail_owner = $OWNER
myhostname = mx.test.example
mydomain = test.example
mydestination = $myhostname, test.example, localhost
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
alias_maps =
alias_database =
local_recipient_maps = inline:{root=x, tester=x, other=x}
maillog_file = $DIR/log
maillog_file_prefixes = $DIR
dovecot_config_file = $DIR/etc/dovecot/dovecot.conf
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
queue_minfree = 0
message_size_limit = 1000000
"""


def owner():
    """Who is to own a queue: mail_owner."""
    return "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def lay_out(top):
    """The directories of a queue below top/spool, and a log that every process can write."""
    for name in ("public", "private", "maildrop", "pid", "queue"):
        os.makedirs(top + "/spool/" + name)
    os.chmod(top + "/spool/maildrop", 0o1733)
    with open(top + "/log", "w"):
        pass
    os.chmod(top + "/log", 0o666)


def hand_over(spool):
    """All of a queue to its owner, where root has made it."""
    if os.geteuid() == 0:
        uid = pwd.getpwnam(owner()).pw_uid
        for where, dirs, files in os.walk(spool):
            for name in [where] + [os.path.join(where, n) for n in dirs + files]:
                os.chown(name, uid, -1)


def make_certificate(path, name="mx.test.example"):
    """A self-signed one with its key, in one file; whether openssl has made it."""
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
         "-subj", "/CN=" + name, "-keyout", path + ".key", "-out", path + ".crt"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        with open(path + ".key") as key, open(path + ".crt") as certificate, open(path, "w") as both:
            both.write(key.read() + certificate.read())
    return done.returncode == 0


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def unescape(text):
    """\\r \\n \\t \\0 \\xNN \\\\ to bytes."""
    out = bytearray()
    i = 0
    data = text.encode("utf-8", "surrogateescape")
    names = {ord("r"): 13, ord("n"): 10, ord("t"): 9, ord("0"): 0, ord("\\"): 92}
    while i < len(data):
        if data[i] == 92 and i + 1 < len(data):
            if data[i + 1] in names:
                out.append(names[data[i + 1]])
                i += 2
                continue
            if data[i + 1:i + 2] == b"x":
                out.append(int(data[i + 2:i + 4], 16))
                i += 4
                continue
        out.append(data[i])
        i += 1
    return bytes(out)


def to_regex(pattern):
    """A pattern's regex: {regex} and {name=regex} in literal text; braces may nest."""
    out = ""
    i = 0
    while i < len(pattern):
        if pattern[i] != "{":
            out += re.escape(pattern[i])
            i += 1
            continue
        depth, j = 1, i + 1
        while j < len(pattern) and depth > 0:
            depth += {"{": 1, "}": -1}.get(pattern[j], 0)
            j += 1
        inner = pattern[i + 1:j - 1]
        named = re.match(r"([a-z_]+)=(.*)$", inner, re.S)
        out += "(?P<%s>%s)" % named.groups() if named else "(?:%s)" % inner
        i = j
    return re.compile(out + r"\Z", re.S)


class Connection:
    """One server process and the client's end of its socket."""

    def __init__(self, test):
        self.test = test
        self.buffer = b""
        argv = [PILLARBOX] + test.server
        if test.pipe:
            self.proc = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=test.stderr, env=test.env, cwd=test.dir)
            self.sock = None
            return
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            self.sock = socket.create_connection(listener.getsockname(), WAIT, (test.source, 0))
            served = listener.accept()[0]
        self.sock.settimeout(WAIT)
        self.proc = subprocess.Popen(argv, stdin=served, stdout=served, stderr=test.stderr,
                                     env=test.env, cwd=test.dir)
        served.close()

    def send(self, data):
        try:
            if self.sock is None:
                self.proc.stdin.write(data)
                self.proc.stdin.flush()
            else:
                self.sock.sendall(data)
        except OSError as error:
            raise Failure("cannot send: %s" % error) from None

    def receive(self):
        """More bytes into the buffer; False at the end."""
        try:
            data = os.read(self.proc.stdout.fileno(), 65536) if self.sock is None else self.sock.recv(65536)
        except (socket.timeout, TimeoutError):
            raise Failure("nothing came for %g s; so far: %r" % (WAIT, self.buffer[:200])) from None
        except OSError:
            data = b""
        self.buffer += data
        return data != b""

    def line(self):
        while b"\n" not in self.buffer:
            if not self.receive():
                raise Failure("the server closed the connection; last: %r" % self.buffer[:200])
        line, self.buffer = self.buffer.split(b"\n", 1)
        if not line.endswith(b"\r") and self.test.crlf:
            raise Failure("line without CRLF: %r" % line)
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def exactly(self, want):
        while len(self.buffer) < len(want):
            if not self.receive():
                break
        got, self.buffer = self.buffer[:len(want)], self.buffer[len(want):]
        if got != want:
            raise Failure("got %r, want %r" % (got, want))

    def start_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            self.sock = context.wrap_socket(self.sock)
        except (OSError, ssl.SSLError) as error:
            raise Failure("TLS: %s" % error) from None

    def close(self):
        if self.sock is not None:
            self.sock.close()
        else:
            self.proc.stdin.close()

    def shut(self):
        if self.sock is not None:
            self.sock.shutdown(socket.SHUT_WR)
        else:
            self.proc.stdin.close()

    def wait_end(self):
        if self.buffer or self.receive():
            raise Failure("the end was expected, not %r" % self.buffer[:200])

    def status(self):
        try:
            return self.proc.wait(WAIT)
        except subprocess.TimeoutExpired:
            raise Failure("the server does not end") from None

    def stop(self):
        if self.sock is not None:
            self.sock.close()
        if self.proc.poll() is None:
            try:
                self.proc.wait(5 if self.sock is not None else 0.1)
            except subprocess.TimeoutExpired:
                self.proc.send_signal(signal.SIGKILL)
                self.proc.wait()


class Test:
    def __init__(self, path):
        self.path = path
        self.name = os.path.relpath(path, os.path.join(TOP, "tests", "dialog"))
        self.name = self.name[:-len(".dialog")] if self.name.endswith(".dialog") else self.name
        self.dir = tempfile.mkdtemp(prefix="pillarbox-dialog-")
        os.chmod(self.dir, 0o755)
        self.owner = owner()
        self.source = "127.0.0.1"
        self.server = ["smtpd", "-S", "-c", self.dir + "/etc/postfix"]
        self.pipe = False
        self.crlf = True
        self.vars = {"DIR": self.dir, "PILLARBOX": PILLARBOX, "TOP": TOP, "OWNER": self.owner}
        self.env = dict(os.environ, DIR=self.dir, PILLARBOX=PILLARBOX, TOP=TOP, OWNER=self.owner,
                        MAIL_CONFIG=self.dir + "/etc/postfix", TZ="UTC0")
        self.connections = {}
        self.daemons = []
        self.log_at = 0
        self.started = False
        self.stderr = None

    def expand(self, text):
        return re.sub(r"\$(\w+)", lambda m: self.vars.get(m.group(1), m.group(0)), text)

    def file(self, name, text, mode="w"):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, mode) as file:
            file.write(text)

    def prepare(self):
        lay_out(self.dir)
        self.file("etc/postfix/main.cf", MAIN.replace("$DIR", self.dir).replace("$OWNER", self.owner))
        self.file("etc/postfix/master.cf", "")
        self.file("etc/dovecot/dovecot.conf", "")
        self.stderr = open(self.dir + "/stderr", "w")

    def start(self):
        """Everything is configured: hand the spool to its owner."""
        if not self.started:
            self.started = True
            hand_over(self.dir + "/spool")

    def connection(self, number):
        if number not in self.connections:
            self.start()
            self.connections[number] = Connection(self)
        return self.connections[number]

    def match(self, pattern, text):
        found = to_regex(self.expand(pattern)).match(text)
        if found:
            self.vars.update({k: v for k, v in found.groupdict().items() if v is not None})
        return found is not None

    def log_lines(self):
        with open(self.dir + "/log", errors="surrogateescape") as file:
            text = file.read()
        # "Nov 22 14:07:41 host postfix/smtpd[123]: text" -> "postfix/smtpd: text"
        return [re.sub(r"^\w+ +\d+ [\d:]+ \S+ ([^\[\s]+)\[\d+\]: ", r"\1: ", line)
                for line in text.split("\n")[:-1]]

    def expect_log(self, pattern):
        end = time.monotonic() + WAIT
        while True:
            lines = self.log_lines()
            for i in range(self.log_at, len(lines)):
                if self.match(pattern, lines[i]):
                    self.log_at = i + 1
                    return
            if time.monotonic() > end:
                raise Failure("not in the log: %s; there: %s" % (pattern, lines[self.log_at:][-8:]))
            time.sleep(0.02)

    def start_daemon(self, args):
        self.start()
        proc = subprocess.Popen([PILLARBOX] + args, env=self.env, cwd=self.dir, stderr=self.stderr)
        self.daemons.append(proc)
        where = args[args.index("-p") + 1] if "-p" in args else None
        end = time.monotonic() + WAIT
        while where is not None and not answers(where if where.startswith("/") else int(where.split(":")[-1])):
            if proc.poll() is not None or time.monotonic() > end:
                raise Failure("%s does not start" % args[0])
            time.sleep(0.02)

    def shell(self, command):
        self.start()
        done = subprocess.run(["sh", "-c", self.expand(command)], cwd=self.dir, env=self.env,
                              stdout=subprocess.PIPE, stderr=self.stderr, timeout=WAIT * 3,
                              check=False)
        return done.returncode, done.stdout.decode("utf-8", "surrogateescape")

    def directive(self, word, rest, lines, at):
        """An @ line; the number of lines below that belong to it."""
        if word == "server":
            self.server = self.expand(rest).split()
        elif word == "from":
            self.source = rest
        elif word == "pipe":
            self.pipe = True
        elif word == "lf":
            self.crlf = False
        elif word == "main":
            self.file("etc/postfix/main.cf", self.expand(rest) + "\n", "a")
        elif word == "dovecot":
            self.file("etc/dovecot/dovecot.conf", self.expand(rest) + "\n", "a")
        elif word == "start":
            self.start_daemon(self.expand(rest).split())
        elif word == "certificate":
            if shutil.which("openssl") is None:
                raise Skip("openssl is not installed")
            if not make_certificate(self.dir + "/cert.pem"):
                raise Failure("openssl cannot make a certificate")
        elif word == "needs":
            if rest == "root" and os.geteuid() != 0:
                raise Skip("needs root")
        elif word == "file":
            count = 0
            while at + count < len(lines) and lines[at + count].startswith("|"):
                count += 1
            text = "".join(line[2:] + "\n" for line in lines[at:at + count])
            self.file(self.expand(rest), self.expand(text))
            return count
        elif word == "run":
            status, output = self.shell(rest)
            if status != 0:
                raise Failure("@run %s: status %d: %s" % (rest, status, output))
        else:
            raise Failure("unknown directive @" + word)
        return 0

    def command(self, command, lines, at):
        """! COMMAND and its > lines; how many there are."""
        count = 0
        while at + count < len(lines) and lines[at + count].startswith(">"):
            count += 1
        want = "\n".join(line[2:] for line in lines[at:at + count])
        status, output = self.shell(command)
        got = output.rstrip("\n")
        if not self.match(want, got):
            raise Failure("! %s: status %d, output:\n    %s" % (
                command, status, got.replace("\n", "\n    ")))
        return count

    def step(self, line, lines, at):
        """One line; how many lines below it were used too."""
        number = re.match(r"(\d+)(?=[A-Z])", line)
        which = number.group(1) if number else "1"
        line = line[len(number.group(1)):] if number else line
        head, rest = line[:2], line[3:] if line[2:3] == " " else line[2:]
        if line.startswith("@"):
            word, _, rest = line[1:].partition(" ")
            return self.directive(word, rest.strip(), lines, at)
        if line.startswith("! "):
            return self.command(line[2:], lines, at)
        if head == "C:":
            self.connection(which).send(self.expand(rest).encode("utf-8", "surrogateescape") + b"\r\n")
        elif head == "C<":
            self.connection(which).send(unescape(self.expand(rest)))
        elif head == "C*":
            times, _, text = rest.partition(" ")
            self.connection(which).send(unescape(self.expand(text)) * int(times))
        elif head == "S:":
            got = self.connection(which).line()
            if not self.match(rest, got):
                raise Failure("got  %s" % got)
        elif head == "S*":
            seen = []
            while not seen or not self.match(rest, seen[-1]):
                seen.append(self.connection(which).line())
        elif head == "S<":
            self.connection(which).exactly(unescape(self.expand(rest)))
        elif line == "TLS":
            self.connection(which).start_tls()
        elif line == "EOF":
            self.connection(which).wait_end()
        elif line == "CLOSE":
            self.connection(which).close()
        elif line == "SHUT":
            self.connection(which).shut()
        elif head == "L:":
            self.expect_log(rest)
        elif line.startswith("!L:"):
            for entry in self.log_lines():
                if self.match(line[4:], entry):
                    raise Failure("in the log: " + entry)
        elif head == "X:":
            status = self.connection(which).status()
            if str(status) != rest:
                raise Failure("exit status %d" % status)
        else:
            raise Failure("line not understood")
        return 0

    def run(self):
        with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
        self.prepare()
        at = 0
        while at < len(lines):
            line = lines[at].rstrip("\r") if not lines[at].startswith(("C", "|")) else lines[at]
            at += 1
            if line.strip() == "" or line.startswith("#"):
                continue
            try:
                at += self.step(line, lines, at)
            except Failure as why:
                raise Failure("line %d: %s: %s" % (at, line, why)) from None

    def remove(self):
        for connection in self.connections.values():
            connection.stop()
        for proc in self.daemons:
            proc.kill()
            proc.wait()
        if self.stderr is not None:
            self.stderr.close()
        if not os.environ.get("DIALOG_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


def run_file(path):
    """Run one file and print its verdict; True when it is not a failure."""
    test = Test(path)
    try:
        test.run()
        print("ok " + test.name, flush=True)
        return True
    except Skip as why:
        print("skip %s: %s" % (test.name, why), flush=True)
        return True
    except Failure as why:
        print("not ok %s: %s" % (test.name, why), flush=True)
        try:
            with open(test.dir + "/stderr") as file:
                said = file.read().strip()
            if said:
                print("    stderr: " + said.replace("\n", "\n    "), flush=True)
        except OSError:
            pass
        return False
    finally:
        test.remove()
