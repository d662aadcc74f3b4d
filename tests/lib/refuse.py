"""refuse - system calls that fail from here on, in this process and all that it starts

For tests of what is to happen on a system that lacks something: a seccomp filter answers the call
with an error. x86-64 only, like the numbers.
"""

import ctypes
import struct

EMFILE, ENODEV = 24, 19
MMAP, INOTIFY_INIT1 = 9, 294
LOAD, AND, IF_EQUAL, IF_SET, RETURN = 0x20, 0x54, 0x15, 0x45, 0x06
ERROR, ALLOW = 0x00050000, 0x7FFF0000


def install(code):
    program = b"".join(struct.pack("HBBI", *step) for step in code)
    text = ctypes.create_string_buffer(program)
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(header)), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no seccomp filter can be had")


def call(number, error):
    install([(LOAD, 0, 0, 0), (IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ERROR | error), (RETURN, 0, 0, ALLOW)])


def shared_mmap():
    """No writable shared mapping of a file, as on 9p and some FUSE file systems."""
    install([(LOAD, 0, 0, 0), (IF_EQUAL, 0, 6, MMAP), (LOAD, 0, 0, 32), (IF_SET, 0, 4, 2), (LOAD, 0, 0, 40),
             (AND, 0, 0, 0x21), (IF_EQUAL, 0, 1, 1), (RETURN, 0, 0, ERROR | ENODEV), (RETURN, 0, 0, ALLOW)])
