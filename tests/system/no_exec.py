"""no_exec.py COMMAND...: runs it where memory that was written can't be made executable, as under
systemd's MemoryDenyWriteExecute."""
import ctypes
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES
PROT_WRITE, PROT_EXEC = 2, 4
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06  # BPF: ld abs, jeq, jset, ret
NUMBERS = {"x86_64": {"mmap": 9, "mprotect": 10, "pkey_mprotect": 329},
           "aarch64": {"mmap": 222, "mprotect": 226, "pkey_mprotect": 288}}[platform.machine()]
NUMBER, PROT = 0, 16 + 8 * 2  # offsets in struct seccomp_data: nr, the low half of args[2]


def program():
    """Instructions (code, jump if true, jump if false, operand)."""
    return [(LOAD, 0, 0, NUMBER),
            (EQUAL, 3, 0, NUMBERS["mmap"]),
            (EQUAL, 4, 0, NUMBERS["mprotect"]),
            (EQUAL, 3, 0, NUMBERS["pkey_mprotect"]),
            (RETURN, 0, 0, ALLOW),
            (LOAD, 0, 0, PROT),  # mmap
            (ANY_BIT, 1, 3, PROT_WRITE),
            (LOAD, 0, 0, PROT),  # the others
            (ANY_BIT, 0, 1, PROT_EXEC),
            (RETURN, 0, 0, REFUSE),
            (RETURN, 0, 0, ALLOW)]


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("HBBI", *i) for i in program())
    text = ctypes.create_string_buffer(code)
    filter_ = struct.pack("HxxxxxxP", len(program()), ctypes.addressof(text))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
            PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0):
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execv(sys.argv[1], sys.argv[1:])


main()
