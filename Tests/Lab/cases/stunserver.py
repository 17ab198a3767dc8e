"""`trunkline stun-server` against clients that others wrote: Debian's `stun` (RFC 3489) and coturn's `turnutils_natdiscovery`
(RFC 5780) find the router's kind with it, behind each kind."""

import os
import re
import signal
import subprocess

from lab import host, network
from lab.lab import Lab
from lab.trunkline import EXECUTABLE

PORT, OTHER_PORT = 3478, 3479
# What each client has to say, by kind of router: the RFC 3489 class, mapping and filtering.
KINDS = {
    "fullcone": ("Independent Mapping, Independent Filter", "Endpoint Independent Mapping", "Endpoint Independent Filtering"),
    "portrestricted": ("Independent Mapping, Port Dependent Filter", "Endpoint Independent Mapping",
                       "Address and Port Dependent Filtering"),
    "symmetric": ("Dependent Mapping", "Address and Port Dependent Mapping", "Address and Port Dependent Filtering"),
    "restricted": ("Independent Mapping, Address Dependent Filter", "Endpoint Independent Mapping",
                   "Address Dependent Filtering"),
    "open": ("Open", "Endpoint Independent Mapping", "Endpoint Independent Filtering"),
    "firewall": ("Firewall", "Endpoint Independent Mapping", "Address and Port Dependent Filtering"),
}
SHORT = ("fullcone", "restricted", "portrestricted", "symmetric")


class Server:
    def __init__(self, lab, name, *words):
        self.process = lab.network.start("provider", EXECUTABLE, "stun-server", *words, log=lab.file(name + ".log"))
        host.wait_for("the STUN server says where it answers", self._says, 10)

    def _says(self):
        host.require(self.process.running, f"stun-server ended: {self.process.output()[-400:]}")
        return "Answering on" in self.process.output()


def run(lab_arguments, long):
    if not os.access(EXECUTABLE, os.X_OK):
        raise host.Skipped(f"{os.path.relpath(EXECUTABLE, host.ROOT)} has not been built")
    if "--alternate" not in host.command(EXECUTABLE, "stun-server", "--help", check=False):
        raise host.Skipped("this trunkline has no stun-server")
    clients = [name for name in ("stun", "turnutils_natdiscovery") if not host.missing_tools(name)]
    if not clients:
        raise host.Skipped("neither stun nor turnutils_natdiscovery is installed")
    with Lab(**lab_arguments) as lab:
        mistakes(lab)
        server = Server(lab, "server", "--listen", f"{network.PROVIDER}:{PORT}",
                        "--alternate", f"{network.PROVIDER_2}:{OTHER_PORT}")
        kinds = list(KINDS) if long else SHORT
        for kind in kinds:
            lab.network.set_nat(kind)
            found = {name: ask(lab, kind, name, words) for name, words in started(lab, kind, clients).items()}
            expected = dict(zip(("class", "mapping", "filtering"), KINDS[kind]))
            for name, text in found.items():
                host.require(re.search(rf"(?<!\w ){re.escape(expected[name])}" if name == "class"
                                       else rf"(?<!and ){re.escape(expected[name])}", text),
                             f"behind {kind} the {name} is to be \"{expected[name]}\", the client says: {text[-300:]}")
        server.process.signal(signal.SIGTERM)
        host.require(server.process.wait(5) == 0, "SIGTERM did not end stun-server with 0")
        return f"{' and '.join(clients)} are right behind {', '.join(kinds)}"


def started(lab, kind, clients):
    """The clients' questions, asked at once: most of their time is waiting for what a router drops."""
    words = {}
    if "stun" in clients:
        words["class"] = ["stun", network.PROVIDER]
    if "turnutils_natdiscovery" in clients:
        words["mapping"] = ["turnutils_natdiscovery", "-m", "-p", str(PORT), network.PROVIDER]
        words["filtering"] = ["turnutils_natdiscovery", "-f", "-p", str(PORT), network.PROVIDER]
    return {name: lab.network.start("office", *each, log=lab.file(f"{kind}-{name}.txt")) for name, each in words.items()}


def ask(lab, kind, name, process):
    host.wait_for(f"the client that looks for the {name} behind {kind} is done", lambda: not process.running, 45)
    text = process.output()
    if name == "class":
        line = re.search(r"^Primary: (.*)$", text, re.MULTILINE)
        return line.group(1) if line else text
    return " ".join(re.findall(r"NAT with (.*?)!", text)[-1:]) or text


def mistakes(lab):
    """What cannot be served is said, and the exit codes are those of the contract."""
    def end(*words):
        done = subprocess.run(["ip", "netns", "exec", lab.network.namespace("provider"), EXECUTABLE, "stun-server", *words],
                              capture_output=True, text=True, timeout=10)
        return done.returncode, done.stderr

    single = Server(lab, "single", "--listen", f"{network.FAR}:{PORT}")
    host.wait_for("a server of one address says what cannot be found with it",
                  lambda: "filtering" in single.process.output(), 5)
    code, text = end("--listen", f"{network.FAR}:{PORT}")
    host.require(code == 71 and f"port {PORT}" in text, f"a port in use gave {code}: {text}")
    code, text = end("--listen", f"{network.PROVIDER}:{PORT}", "--alternate", f"{network.PROVIDER}:{OTHER_PORT}")
    host.require(code == 64 and "second address" in text, f"an alternate with the same address gave {code}: {text}")
    single.process.signal(signal.SIGINT)
    host.require(single.process.wait(5) == 0, "SIGINT did not end stun-server with 0")
