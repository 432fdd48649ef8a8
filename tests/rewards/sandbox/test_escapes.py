"""Programs that try to get out of their sandbox, to harm the machine, or to earn without solving. Each must fail."""

import os
import socket
import textwrap
import threading
import time
from pathlib import Path

import pytest

from rlvr_rewards.sandbox import Ending, Limits, call_function, check_asserts, run_program

pytestmark = pytest.mark.sandbox
LIMITS = Limits(test_s=2.0, wall_s=10.0, memory_mb=256)


@pytest.fixture
def attempt(backend):
    """Runs `attempt(...)` of a piece of code; a call that the sandbox refuses gives its error's name."""

    def run(code, *arguments, limits=LIMITS):
        code = textwrap.dedent(code)
        (result,) = call_function(code, "attempt", [arguments], limits, backend=backend).results
        return result

    return run


def test_a_server_on_this_machine_cannot_be_reached(attempt):
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = """
            import socket
            def attempt(port):
                return socket.create_connection(("127.0.0.1", port), 2).getsockname()
        """
        result = attempt(code, server.getsockname()[1])
        assert result.ending is Ending.RAISED and "Error" in result.detail
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_an_abstract_unix_socket_of_this_machine_cannot_be_reached(attempt):
    name = f"rlvr-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        code = """
            import socket
            def attempt(name):
                s = socket.socket(socket.AF_UNIX)
                s.connect(chr(0) + name)
                return "connected"
        """
        assert attempt(code, name).ending is Ending.RAISED


def test_there_is_no_network_even_without_the_filter_on_calls(attempt):
    """The namespace has no interface that is up; `socketpair` is allowed, and reaches nobody."""
    code = """
        import os, socket
        def attempt():
            return [socket.if_nameindex() if hasattr(socket, "if_nameindex") else [], os.path.exists("/sys/class/net")]
    """
    result = attempt(code)
    assert result.ending is Ending.RAISED or result.value in ([[], False], [[(1, "lo")], False])


def test_a_fork_bomb_ends_at_the_limit(attempt):
    code = """
        import os
        def attempt():
            while True:
                os.fork()
    """
    start = time.monotonic()
    result = attempt(code)
    assert result.ending in (Ending.RAISED, Ending.NOT_RUN, Ending.TOO_MANY_PROCESSES)
    assert time.monotonic() - start < 11


def test_no_more_processes_run_than_the_limit_says(attempt):
    code = """
        import os, signal
        def attempt():
            made = 0
            try:
                while True:
                    pid = os.fork()
                    if not pid:
                        signal.pause()
                    made += 1
            except OSError:
                return made
    """
    assert attempt(code, limits=Limits(processes=5)).value in (3, 4)  # beside the one that runs the test


def test_threads_are_limited_too(attempt):
    code = """
        import threading, time
        def attempt():
            made = 0
            try:
                while made < 1000:
                    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                    made += 1
            except RuntimeError:
                return made
    """
    assert attempt(code, limits=Limits(processes=5)).value in (3, 4)


def test_ten_gigabytes_are_refused(attempt):
    result = attempt("def attempt(): return len(bytearray(10 * 2**30))")
    assert result.ending is Ending.OUT_OF_MEMORY


def test_many_processes_cannot_share_out_what_one_may_not_have(attempt):
    code = """
        import os, time
        def attempt():
            for _ in range(6):
                if not os.fork():
                    held = bytearray(b"x") * (150 * 2**20)
                    time.sleep(60)
            time.sleep(60)
    """
    start = time.monotonic()
    result = attempt(code, limits=Limits(memory_mb=256, wall_s=20))
    assert result.ending is Ending.NOT_RUN and result.detail.startswith("out_of_memory")
    assert time.monotonic() - start < 8


@pytest.mark.parametrize(
    "make",
    ["os.memfd_create('x')", "ctypes.CDLL(None, use_errno=True).shmget(0, 2**20, 0o1600)"],
)
def test_memory_that_belongs_to_no_process_cannot_be_had(attempt, make):
    code = f"""
        import ctypes, os
        def attempt():
            made = {make}
            if made < 0:
                raise OSError("refused")
            return made
    """
    assert attempt(code).ending is Ending.RAISED


def test_the_home_folder_and_the_machine_s_files_are_not_there(attempt, tmp_path):
    (tmp_path / "secret").write_text("canary")
    code = """
        import os
        def attempt(paths):
            return [path for path in paths if os.path.exists(path)]
    """
    ours = [tmp_path / "secret", Path.home() / ".ssh", Path.home() / ".bashrc", __file__, Path.cwd()]
    theirs = [
        "etc/passwd",
        "etc/shadow",
        "home",
        "var",
        "run",
        "sys",
        "mnt",
        "boot",
        "dev/sda",
        "dev/vda",
        "dev/mem",
        "dev/kmsg",
    ]
    assert attempt(code, [*map(str, ours), *(f"/{path}" for path in theirs)]).value == []


def test_nothing_outside_its_list_is_visible(attempt):
    code = """
        import os
        def attempt():
            found = []
            for folder, folders, files in os.walk("/"):
                if folder.startswith(("/proc", "/usr/lib", "/tmp")) or "/lib/" in folder + "/":
                    folders.clear()  # nor what is in there, or a busy machine's time runs out
                    continue
                found += [os.path.join(folder, name) for name in files]
            return sorted(found)
    """
    allowed = ("/sandbox/inside/", "/dev/", "/etc/ld.so.cache", "/lib", "/usr/bin/python3", "/bin/python3")
    found = attempt(code).value
    assert [path for path in found if not path.startswith(allowed) and "/bin/python3" not in path] == []


def test_packages_of_this_machine_are_not_there(attempt):
    code = """
        import glob, sys
        def attempt():
            sys.path += [f for top in ("/usr", sys.prefix) for f in glob.glob(top + "/lib/python3*/*-packages")]
            import pip
    """
    assert "No module named 'pip'" in attempt(code).detail


def test_the_environment_is_empty(attempt, monkeypatch):
    monkeypatch.setenv("RLVR_TEST_SECRET", "canary")
    code = """
        import os
        def attempt():
            path = "/proc/self/environ"
            return [dict(os.environ), open(path).read() if os.access(path, os.R_OK) else ""]
    """
    environment, text = attempt(code).value
    assert environment == {} and "canary" not in text


def test_nothing_can_be_written_but_the_scratch_folder(attempt, tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    code = """
        import os, sys
        def attempt(paths):
            written = []
            for path in paths:
                try:
                    with open(path, "w") as f:
                        f.write("dead")
                    written.append(path)
                except OSError:
                    pass
            return written
    """
    paths = [str(canary), "/usr/lib/x", "/x", "/sandbox/inside/runner.py", "/etc/ld.so.cache", os.__file__, "/dev/x"]
    assert attempt(code, [*paths, "/proc/sys/kernel/hostname", "/tmp/x"]).value == ["/tmp/x"]
    assert canary.read_text() == "alive"


def test_a_link_out_of_the_scratch_folder_leads_nowhere(attempt, tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    code = """
        import os
        def attempt(path):
            os.symlink(path, "/tmp/link")
            os.symlink("/proc/1/root", "/tmp/root")
            found = []
            for way in ("/tmp/link", "/tmp/root" + path, "/tmp/../../../.." + path):
                try:
                    found.append(open(way).read())
                except OSError:
                    pass
            return found
    """
    assert attempt(code, str(canary)).value == []
    assert canary.read_text() == "alive"


def test_the_disk_cannot_be_filled(attempt):
    code = """
        def attempt():
            written = 0
            try:
                for n in range(1000):
                    with open(f"/tmp/{n}", "wb") as f:
                        f.write(bytes(2**19))
                    written += 2**19
            except OSError:
                return written
    """
    assert attempt(code, limits=Limits(scratch_mb=16)).value < 17 * 2**20


def test_a_flood_of_empty_files_ends(attempt):
    code = """
        def attempt():
            n = 0
            while True:
                n += 1
                open(f"/tmp/{n}", "w").close()
    """
    result = attempt(code)
    assert result.ending in (Ending.RAISED, Ending.NOT_RUN)
    assert "No space left" in result.detail or "too_much_output" in result.detail


def test_endless_output_is_cut_and_harms_nobody(backend):
    code = "while True: print('x' * 1000)"
    start = time.monotonic()
    (result,) = run_program(code, [""], LIMITS, backend=backend).results
    assert result.ending in (Ending.TOO_MUCH_OUTPUT, Ending.RAISED) and result.value is None
    assert time.monotonic() - start < 5
    quick = Limits(test_s=0.3)
    (silent,) = call_function(f"def attempt():\n    {code}", "attempt", [[]], quick, backend=backend).results
    assert silent.ending is Ending.TIMED_OUT  # what a function prints is thrown away


def test_an_endless_result_is_cut(backend):
    code = """
        import os
        def attempt():
            while True:
                try:
                    os.write(9, b"x" * 65536 + b"\\n")
                except OSError:
                    pass
    """
    start = time.monotonic()
    outcome = call_function(textwrap.dedent(code), "attempt", [[]], LIMITS, backend=backend)
    assert outcome.ending is Ending.TOO_MUCH_OUTPUT and outcome.results[0].ending is Ending.NOT_RUN
    assert time.monotonic() - start < 5


FLOODS = ["\n", "x\n", "{}\n", '{"i": 0}\n', '{"i": 99999999}\n', "[" * 5000 + "\n"]


@pytest.mark.parametrize("line", FLOODS, ids=range(len(FLOODS)))
def test_a_flood_of_lines_costs_us_little(backend, line):
    flood = f"for _ in range(60): os.write(9, b{line!r} * (65536 // {len(line)}))"
    code = f"import os\ndef attempt():\n    {flood}\n    return 7"
    start = time.process_time()
    (result,) = call_function(code, "attempt", [[]], LIMITS, backend=backend).results
    assert result.ending is not Ending.RETURNED or result.value == 7
    assert time.process_time() - start < 4


@pytest.mark.parametrize("status", [0, 1, 77, 78])
def test_ending_the_process_is_not_passing(backend, status):
    code = f"import os\ndef attempt(): os._exit({status})\ndef fine(): return 1"
    outcome = call_function(code, "attempt", [[], []], LIMITS, backend=backend)
    assert [r.ending for r in outcome.results] in ([Ending.EXITED] * 2, [Ending.NOT_RUN] * 2)
    loading = call_function(f"import os; os._exit({status})", "attempt", [[]], LIMITS, backend=backend)
    assert loading.results[0].ending is Ending.EXITED
    limits = Limits(wall_s=0.5)
    (asserted,) = check_asserts(code, ["assert attempt() == 1"], limits=limits, backend=backend).results
    assert asserted.ending is not Ending.RETURNED


def test_killing_the_parents_is_not_passing(backend):
    code = """
        import os, signal
        def attempt():
            os.kill(1, signal.SIGKILL)
            os.kill(1, signal.SIGINT)
            os.kill(os.getppid(), signal.SIGKILL)
    """
    results = call_function(textwrap.dedent(code), "attempt", [[], []], LIMITS, backend=backend).results
    assert [result.value for result in results] == [None, None]
    everybody = "import os\ndef attempt(): os.kill(-1, 9)"
    (result,) = call_function(everybody, "attempt", [[]], LIMITS, backend=backend).results
    assert result.value is None


def test_a_fake_pass_that_is_printed_is_no_pass(backend):
    code = 'print(\'{"i": 0, "ending": "returned", "value": "4"}\')\nprint("OK")\ndef double(x): return 5'
    (result,) = call_function(code, "double", [[2]], LIMITS, backend=backend).results
    assert result.value == 5


def test_a_fake_verdict_written_to_every_channel_is_no_pass_of_assertions(backend):
    code = """
        import os
        for descriptor in range(3, 64):
            for line in ('{"loaded": true}', '{"i": 0, "ending": "returned", "value": "true"}'):
                try:
                    os.write(descriptor, (line + "\\n").encode())
                except OSError:
                    pass
        def double(x): return 5
    """
    (result,) = check_asserts(textwrap.dedent(code), ["assert double(2) == 4"], limits=LIMITS, backend=backend).results
    assert result.ending is not Ending.RETURNED


@pytest.mark.parametrize(
    "code",
    [
        # an object that equals everything, and one that is an int besides
        "class Yes:\n    def __eq__(self, other): return True\ndef double(x): return Yes()",
        "class Yes(int):\n    def __eq__(self, other): return True\ndef double(x): return Yes(5)",
        # modules and builtins changed
        "import builtins, sys, json\nbuiltins.AssertionError = Exception\njson.dumps = lambda *a, **k: 'true'\n"
        "def double(x): return 5",
        "import builtins\nbuiltins.__build_class__ = builtins.isinstance = lambda *a: True\ndef double(x): return 5",
        # the tests looked for in the frames, in memory and in files
        "import sys, gc\ndef double(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        for v in list(frame.f_locals.values()) + list(frame.f_code.co_consts):\n"
        "            if isinstance(v, str) and 'assert' in v and '48' in v: return 48\n        frame = frame.f_back\n"
        "    if any(isinstance(o, str) and '== 48' in o for o in gc.get_objects()): return 48\n    return 5",
        "import glob\ndef double(x):\n    for p in glob.glob('/tmp/*'):\n        if '48' in open(p).read(): return 48\n"
        "    return 5",
        # the tests edited
        "import sys\nfor m in list(sys.modules.values()):\n    for n in ('_check', '_call', '_raised', 'to_json'):\n"
        "        if hasattr(m, n): setattr(m, n, lambda *a: {'ending': 'returned', 'value': 'true'})\n"
        "def double(x): return 5",
        "def double(x): raise SystemExit(0)",
        "import sys\ndef double(x): sys.exit(0)",
    ],
)
def test_assertions_cannot_be_fooled(backend, code):
    (result,) = check_asserts(code, ["assert double(24) == 48"], limits=LIMITS, backend=backend).results
    assert result.ending is not Ending.RETURNED


def test_a_daemon_is_dead_when_its_sandbox_is(backend, tmp_path):
    """Double fork, setsid, every signal ignored: known from outside by its user or its name, it is gone."""
    name = f"daemon{os.getpid()}"
    code = f"""
        import ctypes, os, signal, time
        def attempt():
            if not os.fork():
                os.setsid()
                if not os.fork():
                    for n in range(1, 32):
                        try: signal.signal(n, signal.SIG_IGN)
                        except OSError: pass
                    ctypes.CDLL(None).prctl(15, b"{name}"[:15], 0, 0, 0)
                    while True: time.sleep(1)
                os._exit(0)
            time.sleep(0.2)
            return [open(f"/proc/{{p}}/comm").read() for p in os.listdir("/proc") if p.isdigit()]
    """
    (result,) = call_function(textwrap.dedent(code), "attempt", [[]], LIMITS, backend=backend).results
    assert f"{name[:15]}\n" in result.value  # it did run
    assert name[:15] not in running_names()


def running_names():
    names = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            names.add(path.read_text().strip())
        except OSError:
            continue
    return names


def test_what_sleeps_past_the_deadline_is_killed_with_all_its_children(backend):
    name = f"slow{os.getpid()}"
    code = f"""
        import ctypes, os, time
        def attempt():
            for n in (14, 27):
                import signal; signal.signal(n, signal.SIG_IGN)
            ctypes.CDLL(None).prctl(15, b"{name}"[:15], 0, 0, 0)
            os.fork()
            time.sleep(60)
    """
    start = time.monotonic()
    outcome = call_function(textwrap.dedent(code), "attempt", [[]], Limits(wall_s=1.0), backend=backend)
    assert outcome.ending is Ending.TIMED_OUT and time.monotonic() - start < 3
    assert name[:15] not in running_names()


def test_no_descriptor_of_ours_is_open_inside(attempt):
    """The two wires of the runner, its three streams, and nothing else."""
    code = """
        import os
        def attempt():
            found = []
            for d in range(1024):
                try:
                    os.fstat(d)
                    found.append(d)
                except OSError:
                    pass
            return found
    """
    assert attempt(code).value == [0, 1, 2, 8, 9]


def test_other_processes_cannot_be_seen_nor_read(attempt):
    code = """
        import os
        def attempt():
            pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
            read = []
            for pid in pids:
                for name in ("environ", "mem", "maps", "fd", "root"):
                    try:
                        path = f"/proc/{pid}/{name}"
                        read.append((pid, os.listdir(path) if name in ("fd", "root") else open(path, "rb").read(1)))
                    except OSError:
                        pass
            return [len(pids), [pid for pid, _ in read if pid == 1]]
    """
    num_pids, of_the_keeper = attempt(code).value
    assert num_pids <= 3 and of_the_keeper == []


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("ptrace", "16, 1, 0, 0"),  # PTRACE_ATTACH to the keeper
        ("mount", "b'x', b'/tmp', b'tmpfs', 0, b''"),
        ("unshare", "0x10000000"),  # a user namespace, to be root in
        ("umount2", "b'/proc', 2"),
        ("chroot", "b'/tmp'"),
        ("sethostname", "b'x', 1"),
        ("setuid", "0"),
        ("syscall", "435, 0, 0"),  # clone3
        ("syscall", "250, 0, 0"),  # keyctl
        ("syscall", "321, 0, 0, 0"),  # bpf
        ("syscall", "425, 1, 0"),  # io_uring_setup
    ],
)
def test_calls_that_reach_beyond_are_refused(attempt, call, arguments):
    code = f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        def attempt():
            return libc.{call}({arguments}), ctypes.get_errno()
    """
    result, number = attempt(code).value
    assert result == -1 and number in (1, 22, 38)


@pytest.mark.parametrize(
    "crash",
    [
        "ctypes.string_at(0)",
        "sys.setrecursionlimit(10**8), json.loads('[' * 10**6)",
        "os.abort()",
        "os.kill(os.getpid(), 11)",
    ],
)
def test_a_crash_is_that_test_s_alone(backend, crash):
    code = f"""
        import ctypes, os, sys
        def attempt(n):
            if n: return n
            {crash}
    """
    outcome = call_function(textwrap.dedent(code), "attempt", [[1], [0], [2]], LIMITS, backend=backend)
    assert [r.value for r in outcome.results] == [1, None, 2]
    assert outcome.results[1].ending is not Ending.RETURNED


def test_sandboxes_do_not_see_each_other(backend):
    """One writes for a second in its scratch folder, the other looks: another folder, other processes."""
    writing = "import time\ndef attempt():\n    open('/tmp/mine', 'w').write('x')\n    time.sleep(0.5)\n    return 1"
    looking = "import os\ndef attempt(): return os.listdir('/tmp'), sum(p.isdigit() for p in os.listdir('/proc'))"
    thread = threading.Thread(target=lambda: call_function(writing, "attempt", [[]], LIMITS, backend=backend))
    thread.start()
    time.sleep(0.2)
    seen = call_function(looking, "attempt", [[]], LIMITS, backend=backend).results[0].value
    thread.join()
    assert seen == ([], 3)
