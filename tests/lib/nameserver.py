"""nameserver - a DNS server on a high port, with faults

    names = NameServer({"far.example": ["MX 10 mx.far.example"], "mx.far.example": ["A 127.0.0.1"]})

Types: A AAAA MX CNAME PTR TXT TLSA. fault: name -> SERVFAIL, REFUSED, NXDOMAIN, SILENT (no answer), also for the
names below it; "" stands for all names. questions: (name, type) in the order of their coming. authentic: the AD bit.
"""

import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "TLSA": 52}
NAMES = {number: name for name, number in TYPES.items()}
CODES = {"SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
ALIASES_MAX = 8


def pack_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def pack_value(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "MX":
        preference, host = value.split()
        return struct.pack(">H", int(preference)) + pack_name(host)
    if kind == "TXT":
        return bytes([len(value)]) + value.encode()
    if kind == "TLSA":
        usage, selector, matching, data = value.split()
        return bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(data)
    return pack_name(value)


def pack_record(name, kind, value):
    data = pack_value(kind, value)
    return pack_name(name) + struct.pack(">HHIH", TYPES[kind], 1, 1, len(data)) + data


class NameServer:
    def __init__(self, zone=None, address="127.0.0.1", port=0):
        self.zone = {name.lower(): list(rows) for name, rows in (zone or {}).items()}
        self.fault, self.questions = {}, []
        self.authentic = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.port = self.socket.getsockname()[1]
        self.text = "%s:%d" % (address, self.port)
        threading.Thread(target=self.serve, daemon=True).start()

    def fault_of(self, name):
        while True:
            if name in self.fault:
                return self.fault[name]
            if not name:
                return None
            name = name.partition(".")[2]

    def find(self, name, kind):
        """(code, records): aliases are followed."""
        records = []
        for _ in range(ALIASES_MAX):
            rows = [row.split(None, 1) for row in self.zone.get(name, [])]
            alias = next((value for what, value in rows if what == "CNAME"), None)
            if alias is None or kind == "CNAME":
                break
            records.append(pack_record(name, "CNAME", alias))
            name = alias.lower()
        found = [pack_record(name, what, value) for what, value in rows if what == kind]
        known = name in self.zone or any(other.endswith("." + name) for other in self.zone)
        return (0 if known else CODES["NXDOMAIN"]), records + found

    def answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        name = ".".join(labels).lower()
        kind = NAMES.get(struct.unpack(">H", query[at + 1:at + 3])[0], "?")
        self.questions.append((name, kind))
        fault = self.fault_of(name)
        if fault == "SILENT":
            return None
        code, records = self.find(name, kind)
        if fault:
            code, records = CODES[fault], []
        flags = 0x8580 | code | (0x20 if self.authentic else 0)
        return query[:2] + struct.pack(">5H", flags, 1, len(records), 0, 0) + query[12:at + 5] + b"".join(records)

    def serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            try:
                answer = self.answer(query)
                if answer:
                    self.socket.sendto(answer, client)
            except (IndexError, struct.error, OSError):
                pass

    def asked(self, name, kind):
        return (name, kind) in self.questions

    def close(self):
        self.socket.close()
