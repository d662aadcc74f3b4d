"""nexthost - a server that takes mail by SMTP or LMTP, and does at each stage what a test wants

    host = NextHost(script={"RCPT": ["450 4.2.0 not now", None]})

A stage's script is a reply ("550 5.1.1 no"), a list of them (one for each time, the last one for all
that follow) or a function (dialogue, argument) that gives one. None is the usual reply, DROP closes the
connection, HANG never answers, bytes go out as they are. Stages: GREETING EHLO HELO STARTTLS AUTH XFORWARD
MAIL RCPT DATA END RSET NOOP QUIT OTHER; END of LMTP is asked for each recipient.
"""

import base64
import re
import socket
import ssl
import threading
import time

DROP, HANG = "DROP", "HANG"


class Dropped(Exception):
    pass


class Taken:
    """A mail that was acknowledged."""

    def __init__(self, dialogue, recipients, data):
        self.dialogue, self.recipients, self.data = dialogue, recipients, data
        self.sender, self.parameters = dialogue.sender, dialogue.parameters
        self.recipient_parameters = dict(dialogue.recipient_parameters)


class Dialogue:
    """One connection: what was said on it."""

    def __init__(self, host, sock, peer):
        self.host, self.sock, self.peer = host, sock, peer
        self.commands = []
        self.tls = False
        self.number = 0
        self.sni = self.user = self.hello = self.mechanism = self.reused = None
        self.file = None
        self.reset()

    def reset(self):
        self.sender, self.parameters = None, ""
        self.recipients, self.recipient_parameters = [], []

    def send(self, data):
        self.sock.sendall(data)

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise Dropped
        return line

    def unsecure(self):
        """Say that it is the end: else OpenSSL does not resume the session."""
        if self.tls:
            self.sock.settimeout(2)
            self.sock.unwrap()

    def secure(self):
        self.sock = self.host.context.wrap_socket(self.sock, server_side=True)
        self.tls = True
        self.reused = self.sock.session_reused
        self.file = self.sock.makefile("rb")

    def decide(self, stage, argument, usual):
        """The bytes to be said, by what the script wants."""
        text = self.host.scripted(stage, self, argument)
        text = usual if text is None else text
        if text == HANG:
            self.host.ended.wait(600)
        if text in (HANG, DROP):
            raise Dropped
        if isinstance(text, str):
            text = text.replace("\n", "\r\n").encode("utf-8", "surrogateescape") + b"\r\n"
        return text

    def reply(self, stage, argument, usual):
        """Say it; whether it was a yes."""
        text = self.decide(stage, argument, usual)
        self.send(text)
        return text[:1] in b"23"

    # ---- Commands ----

    def run(self):
        if self.host.tls_first:
            self.secure()
        self.file = self.sock.makefile("rb")
        self.reply("GREETING", "", "220 %s ESMTP" % self.host.name)
        while True:
            line = self.line().rstrip(b"\r\n").decode("utf-8", "surrogateescape")
            self.commands.append(line)
            verb, _, argument = line.partition(" ")
            command = getattr(self, "do_" + verb.lower(), None)
            if command is None:
                self.reply("OTHER", line, "502 5.5.2 Error: command not recognized")
            else:
                command(argument)

    def do_ehlo(self, argument):
        self.hello = argument
        words = [self.host.name, *[word for word in self.host.extensions if not (word == "STARTTLS" and self.tls)]]
        lines = ["250-" + word for word in words[:-1]] + ["250 " + words[-1]]
        self.reply("EHLO", argument, "\n".join(lines))

    do_lhlo = do_ehlo

    def do_helo(self, argument):
        self.hello = argument
        self.reply("HELO", argument, "250 " + self.host.name)

    def do_starttls(self, argument):
        if self.reply("STARTTLS", argument, "220 2.0.0 Ready to start TLS"):
            self.secure()

    def ask(self, challenge):
        self.send(b"334 " + base64.b64encode(challenge) + b"\r\n")
        return base64.b64decode(self.line())

    def do_auth(self, argument):
        mechanism, _, initial = argument.partition(" ")
        self.mechanism = mechanism.upper()
        first = base64.b64decode(initial) if initial else None
        user = password = None
        if self.mechanism == "PLAIN":
            _, user, password = (first or self.ask(b"")).decode().split("\0")
        elif self.mechanism == "LOGIN":
            user = (first or self.ask(b"Username:")).decode()
            password = self.ask(b"Password:").decode()
        elif self.mechanism == "XOAUTH2":
            found = re.match(r"user=(.*?)\x01auth=Bearer (.*?)\x01\x01", (first or self.ask(b"")).decode())
            user, password = found.groups()
        elif self.mechanism == "OAUTHBEARER":
            found = re.match(r"n,a=(.*?),\x01(?:.*\x01)?auth=Bearer (.*?)\x01\x01", (first or self.ask(b"")).decode())
            user, password = found.groups()
        good = password is not None and self.host.accounts.get(user) == password
        if not good and self.mechanism in ("XOAUTH2", "OAUTHBEARER"):
            self.ask(b'{"status":"invalid_token"}')     # answered by an empty line or one byte (RFC 7628 3.2.3)
        if self.reply("AUTH", (user, password), "235 2.7.0 ok" if good else "535 5.7.8 Error: authentication failed"):
            self.user = user

    def do_xforward(self, argument):
        self.reply("XFORWARD", argument, "250 2.0.0 Ok")

    def do_mail(self, argument):
        found = re.match(r"(?i)FROM:<(.*?)>(.*)", argument)
        needs = self.host.accounts and self.user is None
        if self.reply("MAIL", argument, "530 5.7.0 Authentication required" if needs else "250 2.1.0 Ok"):
            self.reset()
            self.sender, self.parameters = found.groups()

    def do_rcpt(self, argument):
        found = re.match(r"(?i)TO:<(.*?)>(.*)", argument)
        usual = "250 2.1.5 Ok" if self.sender is not None else "503 5.5.1 Error: need MAIL command"
        if self.reply("RCPT", found.group(1), usual):
            self.recipients.append(found.group(1))
            self.recipient_parameters.append(found.groups())

    def do_data(self, argument):
        usual = "354 End data with <CR><LF>.<CR><LF>" if self.recipients else "554 5.5.1 Error: no valid recipients"
        if not self.reply("DATA", argument, usual):
            return
        data = []
        while True:
            line = self.line()
            if line == b".\r\n":
                break
            data.append(line[1:] if line.startswith(b".") else line)
        self.end(b"".join(data))
        self.reset()

    def end(self, data):
        if not self.recipients:
            self.send(b"554 5.5.1 Error: no valid recipients\r\n")
            return
        number = self.number = self.host.count()
        replies = []
        if self.host.lmtp:
            for recipient in self.recipients:
                replies.append(self.decide("END", recipient, "250 2.0.0 <%s> taken as F%d" % (recipient, number)))
            taken = [to for to, reply in zip(self.recipients, replies) if reply[:1] == b"2"]
        else:
            replies.append(self.decide("END", data, "250 2.0.0 Ok: queued as F%d" % number))
            taken = list(self.recipients) if replies[0][:1] == b"2" else []
        if taken:
            self.host.take(Taken(self, taken, data))
        for reply in replies:
            self.send(reply)

    def do_rset(self, argument):
        self.reset()
        self.reply("RSET", argument, "250 2.0.0 Ok")

    def do_noop(self, argument):
        self.reply("NOOP", argument, "250 2.0.0 Ok")

    def do_quit(self, argument):
        self.reply("QUIT", argument, "221 2.0.0 Bye")
        raise Dropped


class NextHost:
    """Listens until the process ends or close(). certificate: a PEM file with key and chain, for TLS."""

    def __init__(self, address="127.0.0.1", port=0, path=None, name="mx.next.example", lmtp=False, script=None,
                 extensions=("PIPELINING", "SIZE 20480000", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN"), accounts=None,
                 certificate=None, tls_first=False, delay=0):
        self.name, self.lmtp, self.extensions = name, lmtp, list(extensions)
        self.script, self.accounts = script or {}, accounts or {}
        self.tls_first, self.delay = tls_first, delay
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self.dialogues, self.mails, self.failures = [], [], []
        self.numbers = 0
        self.times = {}
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.listen(address, port, path)

    def listen(self, address, port, path):
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
        else:
            self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((address, port))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(500)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.attend, args=(sock, peer), daemon=True).start()

    def attend(self, sock, peer):
        dialogue = Dialogue(self, sock, peer)
        with self.lock:
            self.dialogues.append(dialogue)
        sock.settimeout(120)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            dialogue.run()
        except Dropped:
            pass
        except (OSError, ValueError) as error:
            self.failures.append(error)
        try:
            dialogue.unsecure()
        except (OSError, ValueError):
            pass
        for thing in (dialogue.file, dialogue.sock, sock):
            try:
                if thing is not None:
                    thing.close()
            except OSError:
                pass

    def scripted(self, stage, dialogue, argument):
        what = self.script.get(stage)
        if self.delay:
            time.sleep(self.delay)
        if callable(what):
            return what(dialogue, argument)
        if isinstance(what, (list, tuple)):
            with self.lock:
                at = self.times[stage] = self.times.get(stage, -1) + 1
            return what[min(at, len(what) - 1)]
        return what

    def count(self):
        with self.lock:
            self.numbers += 1
            return self.numbers

    def take(self, mail):
        with self.lock:
            self.mails.append(mail)

    def recipients(self):
        """Of all mails that were taken, in the order of their coming."""
        with self.lock:
            return [recipient for mail in self.mails for recipient in mail.recipients]

    def commands(self, verb=""):
        with self.lock:
            return [line for d in self.dialogues for line in d.commands if line.upper().startswith(verb)]

    def close(self):
        """Nobody is answered any more: connections are refused."""
        self.ended.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
