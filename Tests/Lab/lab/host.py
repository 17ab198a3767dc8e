"""What this machine can do, and waiting for things: nothing here knows about telephony."""

import ctypes
import os
import shutil
import subprocess
import threading
import time

LAB = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(LAB))
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A promise that did not hold; the text says which, what was expected and what was seen."""


class Skipped(Exception):
    """The machine lacks what the case needs; the text says what."""


def require(condition, text):
    if not condition:
        raise Failed(text)


def wait_for(what, condition, seconds, every=0.05):
    """Waits until `condition()` is true and returns its value; after `seconds` it fails, naming `what`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise Failed(f"not within {seconds:g} s: {what}")
        time.sleep(every)


def command(*words, check=True, **options):
    """Runs a command to its end and returns its standard output."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, **options)
    if check and done.returncode:
        raise Failed(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def missing_tools(*names):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in names if not shutil.which(name, path=path)]


def reason_to_skip_all():
    """Why no case can run on this machine; None when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    lacking = missing_tools("ip", "nft", "conntrack")
    if lacking:
        return "not installed: " + ", ".join(lacking)
    probe = f"tlprobe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return "this machine makes no network namespace: " + made.stderr.strip()
    try:
        rules = subprocess.run(
            ["ip", "netns", "exec", probe, "nft", "-f", "-"], capture_output=True, text=True,
            input="table ip t { chain c { type nat hook postrouting priority srcnat; masquerade; }\n }\n")
        return "this kernel has no NAT: " + rules.stderr.strip() if rules.returncode else None
    finally:
        subprocess.run(["ip", "netns", "del", probe], capture_output=True)


def enter_namespace(name):
    """Moves the calling thread, and only it, into a named network namespace."""
    handle = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if _libc.setns(handle, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {name}")
    finally:
        os.close(handle)


def inside(namespace, work):
    """Calls `work()` on a thread of its own in that namespace; a socket made there stays there, whoever uses it."""
    result = {}

    def body():
        try:
            enter_namespace(namespace)
            result["value"] = work()
        except BaseException as error:
            result["error"] = error

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if "error" in result:
        raise result["error"]
    return result["value"]


def die_with_parent(number=9):
    """For preexec_fn: a peer does not outlive the case that started it, nor a case its run."""
    _libc.prctl(PR_SET_PDEATHSIG, number)
