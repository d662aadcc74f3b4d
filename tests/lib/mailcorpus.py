"""mailcorpus - real messages out of the unpacked packages of scripts/corpus

fetch() has the script unpack what is missing and names the directory.
messages(directory) yields (name, bytes) of every distinct file that is a mail, and of
every message of the mbox files; the bytes have LF line ends, as in a mailbox.
"""

import os
import re
import subprocess

HEADER = re.compile(
    rb"^(Return-Path|Received|From|Subject|To|Date|Message-ID|MIME-Version|Content-Type|"
    rb"Delivered-To|X-[A-Za-z-]+)[ \t]*:", re.I | re.M)
MAX_FILE = 20_000_000


def fetch():
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    corpus = os.environ.get("CORPUS", os.path.join(top, ".deps", "corpus"))
    subprocess.run([os.path.join(top, "scripts", "corpus"), corpus], check=False, stderr=subprocess.DEVNULL,
                   timeout=300)
    return os.path.join(corpus, "mail")


def looks_like_mail(data):
    """A file that begins with a header line and has two known ones in its head."""
    return HEADER.match(data) is not None and len(HEADER.findall(data[:4000])) >= 2


def split_mbox(data):
    """The messages of an mbox, without their From_ lines."""
    if not data.startswith(b"From "):
        return [data]
    return re.split(rb"(?:\A|\n\n)From [^\n]*\n", data)[1:]


def messages(directory):
    seen = set()
    for base, dirs, files in os.walk(directory):
        dirs.sort()
        for name in sorted(files):
            path = os.path.join(base, name)
            try:
                if os.path.islink(path) or os.path.getsize(path) > MAX_FILE:
                    continue
                with open(path, "rb") as file:
                    data = file.read()
            except OSError:
                continue
            for number, message in enumerate(split_mbox(data)):
                if looks_like_mail(message) and message not in seen:
                    seen.add(message)
                    yield os.path.relpath(path, directory) + ":%d" % number, message


def wire(message):
    """A message as it goes over SMTP, POP3 and IMAP: CRLF line ends, the last line whole."""
    text = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    return text if text.endswith(b"\r\n") else text + b"\r\n"


if __name__ == "__main__":
    import sys
    found = list(messages(sys.argv[1]))
    print(len(found), "messages,", sum(len(m) for _, m in found), "bytes")
