"""imapwire - an IMAP client for tests that compare answers: everything a server says, parsed

Imap(argv, ...) talks to a server on its standard input and output, Imap(port=N) to a listening one.
command(text) sends a command and gives (status, text, untagged): untagged answers are lists of values,
where a value is bytes (atom, quoted string or literal: which of them makes no difference), None
(NIL) or a list. An atom that could be taken for a string of the same letters is not told apart.
"""

import re
import socket
import subprocess

TOKEN = re.compile(rb'[ ]*(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|([^ ()"{]*\[(?:[^\]"]|"[^"]*")*\][^ ()]*|[^ ()"]+))')


class Closed(Exception):
    """The server has gone, or said nothing for too long."""


class Imap:
    def __init__(self, argv=None, port=None, greeting=True, timeout=60, **more):
        self.process = None
        if argv:
            ours, theirs = socket.socketpair()
            self.process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, **more)
            theirs.close()
            self.sock = ours
        else:
            self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.settimeout(timeout)
        self.file = self.sock.makefile("rb", 1 << 16)
        self.number = 0
        self.greeting = self.line() if greeting else b""

    def line(self):
        """One answer with its literals, as bytes without the last CRLF."""
        whole = b""
        while True:
            part = self.file.readline()
            if not part.endswith(b"\n"):
                raise Closed(whole + part)
            whole += part
            literal = re.search(rb"\{(\d+)\}\r\n$", part)
            if not literal:
                return whole[:-2]
            data = self.file.read(int(literal.group(1)))
            whole += data

    def send(self, text):
        """A command; literals are (b"...") elements when text is a list. Its tag."""
        self.number += 1
        tag = b"t%d" % self.number
        if isinstance(text, str):
            text = text.encode()
        if isinstance(text, bytes):
            text = [text]
        out = tag + b" "
        for piece in text:
            if isinstance(piece, tuple):
                out += b"{%d+}\r\n" % len(piece[0]) + piece[0]
            else:
                out += piece.encode() if isinstance(piece, str) else piece
        self.sock.sendall(out + b"\r\n")
        return tag

    def until(self, tag):
        """Answers up to the tagged one: (status, text, untagged lines)."""
        lines = []
        while True:
            line = self.line()
            if line.startswith(tag + b" "):
                status, _, rest = line[len(tag) + 1:].partition(b" ")
                return status.decode(), rest, lines
            lines.append(line)

    def raw(self, text):
        return self.until(self.send(text))

    def command(self, text):
        status, rest, lines = self.raw(text)
        return status, rest, [parse(line[2:]) for line in lines if line.startswith(b"* ")]

    def fetch(self, numbers, items, uid=False):
        """{number: {item: value}} of a FETCH."""
        found = {}
        status, text, lines = self.command(("UID FETCH " if uid else "FETCH ") + numbers + " " + items)
        if status != "OK":
            raise Closed(b"FETCH: " + text)
        for line in lines:
            if len(line) == 3 and line[1] == b"FETCH":
                pairs = line[2]
                found.setdefault(int(line[0]), {}).update(zip([k.upper() for k in pairs[::2]], pairs[1::2]))
        return found

    def close(self):
        try:
            self.raw("LOGOUT")
        except (Closed, OSError):
            pass
        self.file.close()
        self.sock.close()
        if self.process:
            self.process.wait(20)


def parse(line):
    """The values of an answer; a free text behind a response code is words."""
    stack = [[]]
    at = 0
    while at < len(line):
        token = TOKEN.match(line, at)
        if not token or token.end() == at:
            break
        at = token.end()
        opening, closing, quoted, literal, atom = token.groups()
        if opening:
            stack.append([])
        elif closing:
            if len(stack) == 1:
                break
            done = stack.pop()
            stack[-1].append(done)
        elif literal is not None:
            stack[-1].append(line[at:at + int(literal)])
            at += int(literal)
        elif atom is not None:
            stack[-1].append(None if atom.upper() == b"NIL" else atom)
        else:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted))
    return stack[0]
