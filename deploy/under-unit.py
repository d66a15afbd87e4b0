#!/usr/bin/env python3
"""Runs a program under the restrictions of a systemd unit where systemd does not run: a container, a build machine.

    deploy/under-unit.py UNIT [--user UID] [--exec PATH]... PROGRAM [ARGUMENT...]      (as root)

Reads the unit and takes over, by the same means as systemd: SystemCallFilter (the sets as `systemd-analyze` lists them),
MemoryDenyWriteExecute, RestrictAddressFamilies, RestrictNamespaces, LockPersonality, NoNewPrivileges, the capabilities,
LimitNOFILE, LimitCORE, TasksMax (as a limit of the user's processes),
ProtectSystem, ProtectProc, PrivateTmp, PrivateDevices, PrivateIPC, PrivateUsers and NoExecPaths. `--exec` names further
places to run from, where the program lies elsewhere than the unit says. An option that it neither takes over nor knows to
be without effect on what runs is an error, so that no new one is left out unseen.
"""

import ctypes
import errno
import os
import platform
import re
import resource
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWIPC, CLONE_NEWNS = 0x1000_0000, 0x0800_0000, 0x0002_0000
NAMESPACES = 0x7E02_0080
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 24, 38
AUDIT_ARCH = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}

# Of no consequence for a program that is started here, or the manager's own business.
ELSEWHERE = set(
    "Type ExecStartPre ExecStart User Group UMask Environment LoadCredential ExecReload Restart RestartSec TimeoutStopSec KillMode "
    "MemoryMax MemorySwapMax OOMPolicy CoredumpFilter AmbientCapabilities ProtectHome ProtectClock ProtectHostname ProtectKernelLogs "
    "ProtectKernelModules ProtectKernelTunables ProtectControlGroups RestrictRealtime RestrictSUIDSGID KeyringMode RemoveIPC "
    "SystemCallArchitectures SystemCallErrorNumber".split()
)


def checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Unit:
    def __init__(self, path):
        self.options, self.unused = {}, set()
        section = ""
        for line in open(path):
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line and line[0] not in "#;":
                name, value = line.split("=", 1)
                self.options.setdefault(name, []).append(value)
        self.unused = set(self.options) - ELSEWHERE

    def all(self, name):
        self.unused.discard(name)
        return self.options.get(name, [])

    def last(self, name, default=""):
        return (self.all(name) or [default])[-1]

    def yes(self, name):
        return self.last(name) in ("yes", "true", "on", "1")

    def words(self, name):
        return " ".join(self.all(name)).split()


def system_calls():
    """Every name with its number here."""
    told = subprocess.run(["cc", "-dM", "-E", "-include", "sys/syscall.h", "-x", "c", "/dev/null"], capture_output=True, text=True, check=True)
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", told.stdout)}


def members(name):
    """The system calls of a set, and of the sets in it."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    lines = [line.strip() for line in told.splitlines()[1:]]
    return set().union(*(members(line) for line in lines if line and not line.startswith("#")))


def filtered(unit):
    """Those that the unit allows."""
    allowed = members("@default")
    for line in unit.all("SystemCallFilter"):
        called = set().union(*(members(word) for word in line.lstrip("~").split()))
        allowed = allowed - called if line.startswith("~") else allowed | called
    return allowed


LOAD, EQUAL, BITS, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE = 0x7FFF_0000, 0x0005_0000


def install(instructions):
    """A filter of system calls (`struct sock_filter`), for this process and all that it becomes."""
    arch = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, AUDIT_ARCH[platform.machine()]), (RETURN, 0, 0, REFUSE | errno.EPERM)]
    program = arch + [(LOAD, 0, 0, 0)] + instructions + [(RETURN, 0, 0, ALLOW)]

    class Instruction(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint)]

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction))]

    array = (Instruction * len(program))(*(Instruction(*each) for each in program))
    whole = Program(len(program), ctypes.cast(array, ctypes.POINTER(Instruction)))
    checked(LIBC.prctl(PR_SET_SECCOMP, 2, ctypes.byref(whole), 0, 0))


def argument(index):
    """Its lower half."""
    return (LOAD, 0, 0, 16 + 8 * index)


def refuse_where(number, tests, error):
    """For one system call: `tests` jump by one when the call is fine."""
    body = tests + [(RETURN, 0, 0, REFUSE | error), (RETURN, 0, 0, ALLOW)]
    return [(EQUAL, 0, len(body), number), *body]


def filters(unit, numbers):
    allowed = filtered(unit)
    # `prctl` is needed for the filters below and `execve` after them: both are in every set for services.
    wanted = sorted({numbers[name] for name in allowed if name in numbers})
    yield [step for number in wanted for step in ((EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW))] + [(RETURN, 0, 0, REFUSE | errno.EPERM)]
    if unit.yes("MemoryDenyWriteExecute"):
        # Writable and executable at once, or made executable later.
        yield refuse_where(numbers["mmap"], [argument(2), (BITS, 0, 2, 4), (BITS, 0, 1, 2)], errno.EPERM)
        for name in ("mprotect", "pkey_mprotect"):
            yield refuse_where(numbers[name], [argument(2), (BITS, 0, 1, 4)], errno.EPERM)
        yield refuse_where(numbers["shmat"], [argument(2), (BITS, 0, 1, 0o100000)], errno.EPERM)
    families = [FAMILIES[word] for word in unit.words("RestrictAddressFamilies")]
    if families:
        tests = [(EQUAL, len(families) - index, 0, family) for index, family in enumerate(families)]
        yield refuse_where(numbers["socket"], [argument(0), *tests], errno.EAFNOSUPPORT)
    if unit.yes("RestrictNamespaces"):
        for name in ("clone", "unshare"):
            yield refuse_where(numbers[name], [argument(0), (BITS, 0, 1, NAMESPACES)], errno.EPERM)
        yield refuse_where(numbers["setns"], [], errno.EPERM)
        # Its flags lie in memory, where no filter can see them.
        yield refuse_where(numbers["clone3"], [], errno.ENOSYS)
    if unit.yes("LockPersonality"):
        yield refuse_where(numbers["personality"], [argument(0), (EQUAL, 1, 0, 0)], errno.EPERM)


RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, PRIVATE = 1, 2, 4, 8, 32, 4_096, 1 << 18 | 1 << 14


def mounted(what, where, kind, flags, data=""):
    """By the system call: no program can be run while this is half done."""
    checked(LIBC.mount(what.encode(), where.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()))


def file_system(unit, places):
    """A view of the files of its own."""
    checked(LIBC.unshare(CLONE_NEWNS | (CLONE_NEWIPC if unit.yes("PrivateIPC") else 0)))
    mounted("", "/", "", PRIVATE)
    allowed = [path for word in unit.words("ExecPaths") for path in [word.lstrip("-")] if os.path.exists(path)] + places
    noexec = NOEXEC if unit.words("NoExecPaths") == ["/"] else 0
    kept = [os.path.realpath(path) for path in allowed]
    if unit.last("ProtectSystem") == "strict":
        for path in kept:
            mounted(path, path, "", BIND)
        points = [line.split()[4] for line in open("/proc/self/mountinfo")]
        for path in dict.fromkeys(points):
            if path.split("/")[1] not in ("dev", "proc", "sys"):
                mounted("", path, "", REMOUNT | BIND | RDONLY | (0 if path in kept else noexec))
    if unit.yes("PrivateTmp"):
        # What is bound below it would be hidden; then the program's own test stays without.
        if not any(path.startswith("/tmp/") for path in kept):
            mounted("tmpfs", "/tmp", "tmpfs", NOSUID | NODEV | NOEXEC, "mode=1777")
    if unit.yes("PrivateDevices"):
        mounted("tmpfs", "/dev", "tmpfs", NOSUID | NOEXEC, "mode=755")
        os.umask(0)
        for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
            os.mknod(f"/dev/{name}", 0o020666, os.makedev(1, minor))
        os.mkdir("/dev/shm", 0o1777)
    seen = {"invisible": "hidepid=2", "noaccess": "hidepid=1", "ptraceable": "hidepid=4"}.get(unit.last("ProtectProc"))
    if seen:
        mounted("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC, seen)


def limits(unit):
    for name, which in (
        ("LimitNOFILE", resource.RLIMIT_NOFILE),
        ("LimitCORE", resource.RLIMIT_CORE),
        ("TasksMax", resource.RLIMIT_NPROC),
    ):
        value = unit.last(name)
        if value:
            resource.setrlimit(which, (int(value), int(value)))


def own_users(user):
    """A namespace in which there are root, this user and nobody else."""
    ready, done = os.pipe(), os.pipe()
    parent = os.getpid()
    if os.fork() == 0:
        os.read(ready[0], 1)
        for kind in ("uid", "gid"):
            with open(f"/proc/{parent}/{kind}_map", "w") as file:
                file.write(f"0 0 1\n{user} {user} 1\n")
        os.write(done[1], b"x")
        os._exit(0)
    checked(LIBC.unshare(CLONE_NEWUSER))
    os.write(ready[1], b"x")
    if os.read(done[0], 1) != b"x":
        raise OSError("no namespace of users")
    os.wait()


def main():
    words = sys.argv[1:]
    unit = Unit(words.pop(0))
    user, places = 65_532, []
    while words and words[0] in ("--user", "--exec"):
        option, value = words.pop(0), words.pop(0)
        if option == "--user":
            user = int(value)
        else:
            places.append(value)
    # Looked up before the files are out of reach.
    programs = list(filters(unit, system_calls()))
    file_system(unit, places)
    limits(unit)
    if unit.yes("PrivateUsers"):
        own_users(user)
    if unit.all("CapabilityBoundingSet") == [""]:
        for capability in range(64):
            LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if unit.yes("NoNewPrivileges"):
        checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if unit.unused:
        sys.exit(f"options that are not known here: {' '.join(sorted(unit.unused))}")
    for program in programs:
        install(program)
    os.chdir("/")
    os.execv(words[0], words)


main()
