"""volatile_disk - a disk with a volatile write cache, as an NBD server for qemu

Disk(socket, image).serve() in a process of its own. What is written stays in memory until a flush (or
a write with FUA). SIGUSR1 announces the power cut: some requests later, at best when a flush is asked
for and before it is done, and after two seconds at the latest, some of the writes that were not flushed reach
the image and the rest is lost, after one of MODES:

    lost      none of them
    prefix    the first of them, in the order they came
    subset    any of their 4 KB blocks, in any order
    torn      any of their sectors: blocks are half old and half new

NBD: github.com/NetworkBlockDevice/nbd, doc/proto.md (fixed newstyle, one connection).
"""

import os
import random
import signal
import socket
import struct

MODES = ("lost", "prefix", "subset", "torn")
BLOCK, SECTOR, KEEP_MAX, LATEST = 4096, 512, 20000, 2
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
OPTION_EXPORT, OPTION_ABORT, OPTION_INFO, OPTION_GO = 1, 2, 6, 7
FLAGS = 1 | 4 | 8           # has flags, flush, FUA


class Disk:
    def __init__(self, path, image, mode, seed):
        self.image = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.image).st_size
        self.pending = []           # (offset, bytes), in order
        self.mode, self.random = mode, random.Random(seed)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.flushes = self.writes = 0
        self.left = None            # requests until the cut, when it was announced
        signal.signal(signal.SIGUSR1, self.announce)
        signal.signal(signal.SIGALRM, self.cut)

    def announce(self, *_):
        self.left = self.random.randint(1, 40)
        signal.setitimer(signal.ITIMER_REAL, LATEST)

    def count_down(self, kind):
        """A request: is it the one at which the power fails?"""
        if self.left is None:
            return
        self.left -= 1
        if self.pending and (self.left <= 0 or (kind == FLUSH and self.random.random() < 0.3)):
            self.cut()

    def cut(self, *_):
        """The power fails: what was not flushed is kept in part; the process ends."""
        kept = 0
        if self.mode == "prefix":
            count = self.random.randint(0, len(self.pending))
            for offset, data in self.pending[:count]:
                os.pwrite(self.image, data, offset)
            kept = count
        elif self.mode in ("subset", "torn"):
            step = SECTOR if self.mode == "torn" else BLOCK
            share = self.random.choice((0.1, 0.5, 0.9))
            pieces = [(offset + at, data[at:at + step]) for offset, data in self.pending
                      for at in range(0, len(data), step) if self.random.random() < share]
            self.random.shuffle(pieces)
            for offset, data in pieces:
                os.pwrite(self.image, data, offset)
            kept = len(pieces)
        os.fsync(self.image)
        print("%s: %d writes were not flushed, %d pieces kept; %d flushes, %d writes before" %
              (self.mode, len(self.pending), kept, self.flushes, self.writes), flush=True)
        os._exit(0)

    def flush(self):
        for offset, data in self.pending:
            os.pwrite(self.image, data, offset)
        self.pending.clear()

    def read(self, offset, length):
        data = bytearray(os.pread(self.image, length, offset))
        for at, piece in self.pending:
            start, end = max(at, offset), min(at + len(piece), offset + length)
            if start < end:
                data[start - offset:end - offset] = piece[start - at:end - at]
        return bytes(data)

    def write(self, offset, data, durable):
        self.writes += 1
        if durable:
            # What came before and overlaps it must not undo it later.
            self.flush()
            os.pwrite(self.image, data, offset)
        else:
            self.pending.append((offset, data))
        if len(self.pending) > KEEP_MAX:
            self.flush()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            try:
                if self.negotiate(connection):
                    self.answer(connection)
            except (EOFError, OSError):
                pass

    def negotiate(self, connection):
        connection.sendall(b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 3))
        receive(connection, 4)
        while True:
            _, option, length = struct.unpack(">8sII", receive(connection, 16))
            receive(connection, length)

            def reply(kind, data=b"", option=option):
                connection.sendall(struct.pack(">QIII", 0x3e889045565a9, option, kind, len(data)) + data)

            if option == OPTION_EXPORT:
                connection.sendall(struct.pack(">QH", self.size, FLAGS) + bytes(124))
                return True
            if option in (OPTION_INFO, OPTION_GO):
                reply(3, struct.pack(">HQH", 0, self.size, FLAGS))
                reply(3, struct.pack(">HIII", 3, SECTOR, BLOCK, 1 << 25))
                reply(1)
                if option == OPTION_GO:
                    return True
            elif option == OPTION_ABORT:
                reply(1)
                return False
            else:
                reply(0x80000001)

    def answer(self, connection):
        while True:
            _, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", receive(connection, 28))
            data, error = b"", 0
            self.count_down(kind)
            if kind == READ:
                data = self.read(offset, length)
            elif kind == WRITE:
                self.write(offset, receive(connection, length), flags & 1)
            elif kind == FLUSH:
                self.flushes += 1
                self.flush()
            elif kind == DISCONNECT:
                self.flush()
                return
            else:
                error = 22
            connection.sendall(struct.pack(">IIQ", 0x67446698, error, handle) + data)


def receive(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
