"""A seccomp filter: system calls that a program which computes an answer has no use for are refused.

Namespaces hide what is outside; the filter takes away what reaches round them: sockets of any family, tracing and
reading other processes, mounting, new namespaces, keys, BPF, io_uring, slowing down the process that watches, and
memory that belongs to no process (memfd, System V and POSIX queues), which would escape the limit on memory. It is a
list of what is refused, not of what is allowed: the standard library must run, on kernels that are newer than this.
"""

import ctypes
import platform
import struct

EPERM, ENOSYS = 1, 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""By `platform.machine()`: the kernel's number of the architecture, and the column of the table below."""
_CLONE, _CLONE3, _PRLIMIT = (56, 220), 435, (302, 261)
# fmt: off
REFUSED = {
    "socket": (41, 198), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "kcmp": (312, 272), "pidfd_getfd": (438, 438), "perf_event_open": (298, 241),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "open_tree": (428, 428),
    "move_mount": (429, 429), "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "lookup_dcookie": (212, 18),
    "fanotify_init": (300, 262), "quotactl": (179, 60), "quotactl_fd": (443, 443), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "syslog": (103, 116), "vhangup": (153, 58),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162), "personality": (135, 92), "iopl": (172, None),
    "ioperm": (173, None), "modify_ldt": (154, None), "mbind": (237, 235), "set_mempolicy": (238, 237),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
    "setpriority": (141, 140), "ioprio_set": (251, 30),
}
# fmt: on
"""The numbers on x86-64 and on 64-bit ARM, as the kernel's headers give them."""


def filter_program(machine: str) -> bytes:
    """The filter for a machine, as the kernel reads it: 8 bytes an instruction.

    Raises:
        ValueError: We know no numbers for such a machine.
    """
    if machine not in ARCHITECTURES:
        raise ValueError(f"no list of system calls for {machine}; there is one for: {', '.join(ARCHITECTURES)}")
    architecture, column = ARCHITECTURES[machine]
    refuse = (_RETURN, 0, 0, _REFUSE | EPERM)
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),  # such as 32-bit calls, whose numbers are others
        (_LOAD, 0, 0, _NUMBER),
        *([(_AT_LEAST, 0, 1, _X32), refuse] if machine == "x86_64" else []),
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _REFUSE | ENOSYS),  # its flags lie in memory, unseen from here; libc falls back to clone
    ]
    for numbers in REFUSED.values():
        if numbers[column] is not None:
            program += [(_EQUAL, 0, 1, numbers[column]), refuse]
    program += [
        (_EQUAL, 0, 4, _PRLIMIT[column]),  # its own limits it may lower, not those of the process that watches it
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        refuse,
        (_EQUAL, 0, 3, _CLONE[column]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        refuse,
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install() -> None:
    """Puts this process and all that it starts under the filter, for good; needs `no_new_privs`.

    Raises:
        OSError, ValueError: The kernel has no filters, or we no list for this machine.
    """
    instructions = filter_program(platform.machine())
    program = _Program(len(instructions) // 8, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp filter refused")
