"""imap_rows - what one IMAP client gets done in a second"""

import time


def imap_row(server, row, mails):
    """Mails a second."""
    client = server.imap()
    message = b"Subject: bench\r\n\r\n" + (b"x" * 62 + b"\r\n") * 64
    append = b"APPEND INBOX {%d+}\r\n" % len(message) + message

    client.ask(b"SELECT INBOX")
    began = time.monotonic()
    for _ in range(mails):
        client.ask(append)
    if row == "append":
        return mails / (time.monotonic() - began)
    client.ask(b"CREATE Kept")
    client.ask(b"NOOP")
    began = time.monotonic()
    if row == "fetch":
        for first in range(1, mails, 100):
            answer = client.ask(b"FETCH %d:%d BODY.PEEK[]" % (first, min(first + 99, mails)))
            if len(answer) < 100 * len(message) and first + 99 <= mails:
                raise RuntimeError("too little was fetched")
    elif row == "flags":
        for number in range(1, mails + 1):
            client.ask(b"STORE %d +FLAGS (\\Flagged)" % number)
    elif row == "move":
        for _ in range(0, mails, 10):
            client.ask(b"MOVE 1:10 Kept")
    else:
        for _ in range(0, mails, 10):
            client.ask(b"STORE 1:10 +FLAGS.SILENT (\\Deleted)")
            client.ask(b"EXPUNGE")
    return mails / (time.monotonic() - began)
