"""`trunkline stun-server` against clients that others wrote, behind every kind of router: Debian's `stun` (RFC 3489), coturn's
`turnutils_natdiscovery` (RFC 5780), nmap's `stun-info`, and aiostun (UDP, TCP, TLS) and pystun3 from PyPI."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess

from cases import nat
from lab import host, network, pypi
from lab.lab import Lab, guarded, side_by_side
from lab.trunkline import EXECUTABLE

PORT, OTHER_PORT, TLS_PORT = 3478, 3479, 5349
CERTIFICATES = os.path.join(host.ROOT, "Tests", "NIOTransportTests", "Certificates")
# What each client calls what `trunkline nat` calls so.
CLASSES = {
    "stun": {
        "open": "Open", "symmetricFirewall": "Firewall", "fullCone": "Independent Mapping, Independent Filter",
        "restrictedCone": "Independent Mapping, Address Dependent Filter",
        "portRestrictedCone": "Independent Mapping, Port Dependent Filter", "symmetric": "Dependent Mapping",
        "blocked": "Blocked or could not reach STUN server"},
    "pystun3": {
        "open": "Open Internet", "symmetricFirewall": "Symmetric UDP Firewall", "fullCone": "Full Cone",
        "restrictedCone": "Restric NAT", "portRestrictedCone": "Restric Port NAT", "symmetric": "Symmetric NAT",
        "blocked": "Blocked"},
    "aiostun": {
        "open": "Open Internet", "symmetricFirewall": "Symmetric Udp Firewall", "fullCone": "Full Cone",
        "restrictedCone": "Restricted NAT", "portRestrictedCone": "Restricted Port NAT", "symmetric": "Symmetric NAT",
        "blocked": "Network Error"},
}
BEHAVIORS = {
    nat.INDEPENDENT: "Endpoint Independent", nat.ADDRESS: "Address Dependent", nat.PORT: "Address and Port Dependent",
    "notChecked": None}
TOOLS = ("stun", "turnutils_natdiscovery", "nmap")
# Four labs side by side: the clients mostly wait for what a router drops. The short form has the first kind of each.
PARTS = {
    "a": ("fullcone", "open", "eimtranslated", "persistent"),
    "b": ("restricted", "firewall", "symmetricrandom", "pool"),
    "c": ("portrestricted", "addressdependent", "symmetricsequential", "poolpersistent"),
    "d": ("symmetric", "symmetricpersistent", "alg", "blocked"),
}


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
    if "--tls-listen" not in host.command(EXECUTABLE, "stun-server", "--help", check=False):
        raise host.Skipped("this trunkline has no stun-server")
    without = host.missing_tools(*TOOLS)
    tools = [name for name in TOOLS if name not in without]
    python, reason = pypi.environment(os.path.dirname(lab_arguments["folder"]))
    if reason:
        without.append(f"aiostun and pystun3 ({reason})")
    failures = []
    work = [(mistakes, lab_arguments)]
    work += [(part, lab_arguments, letter, kinds if long else kinds[:1], tools, python, failures)
             for letter, kinds in PARTS.items()]
    side_by_side(lab_arguments, "m" + "".join(PARTS), work, failures)
    host.require(not failures, "; ".join(failures))
    names = tools + ([] if reason else ["aiostun (UDP, TCP, TLS)", "pystun3"])
    kinds = "all 16 kinds" if long else ", ".join(kinds[0] for kinds in PARTS.values())
    return f"{', '.join(names)} are right behind {kinds}" + (f"; without {', '.join(without)}" if without else "")


def part(lab_arguments, letter, kinds, tools, python, failures):
    """One after another behind some kinds of router, all clients at once."""
    arguments = {"prefix": lab_arguments["prefix"] + letter, "folder": os.path.join(lab_arguments["folder"], letter)}
    with Lab(**arguments) as lab:
        server = Server(lab, "server", "--listen", f"{network.PROVIDER}:{PORT}",
                        "--alternate", f"{network.PROVIDER_2}:{OTHER_PORT}", "--tls-listen", f"{network.PROVIDER}:{TLS_PORT}",
                        "--tls-certificate", os.path.join(CERTIFICATES, "good.pem"),
                        "--tls-key", os.path.join(CERTIFICATES, "key.pem"), "--threads", "1")
        for kind in kinds:
            lab.network.set_nat(kind)
            running = started(lab, kind, tools, python)
            for name, process in running.items():
                guarded(failures, judge, lab, kind, name, process)
        server.process.signal(signal.SIGTERM)
        host.require(server.process.wait(5) == 0, "SIGTERM did not end stun-server with 0")


def started(lab, kind, tools, python):
    words = {}
    if "stun" in tools:
        words["stun"] = ["stun", network.PROVIDER]
    if "turnutils_natdiscovery" in tools:
        words["mapping"] = ["turnutils_natdiscovery", "-m", "-p", str(PORT), network.PROVIDER]
        words["filtering"] = ["turnutils_natdiscovery", "-f", "-p", str(PORT), network.PROVIDER]
    if "nmap" in tools:
        words["nmap"] = ["nmap", "-n", "-Pn", "-sU", "-p", str(PORT), "--script", "stun-info", network.PROVIDER]
    if python:
        words["pypi"] = [python, pypi.__file__, network.PROVIDER, str(PORT), str(TLS_PORT), network.OFFICE]
    return {name: lab.network.start("office", *each, log=lab.file(f"{kind}-{name}.txt")) for name, each in words.items()}


def judge(lab, kind, name, process):
    """Whether a client found what there is."""
    (nat_type, mapping, filtering), _ = nat.KINDS[kind]
    host.wait_for(f"{name} behind {kind} is done", lambda: not process.running, 45)
    text = process.output()

    def require(expected, found):
        host.require(found == expected, f"behind {kind} {name} is to find {expected}, it finds {found}: {' '.join(text[-300:].split())}")

    outside = {lab.network.outside}
    if kind in ("open", "firewall"):
        outside = {network.OFFICE}
    elif kind.startswith("pool"):
        outside.update(lab.network.pool)
    if name == "stun":
        line = re.search(r"^Primary: (.*?)(, (?:preserves|random|no|will) .*)?\s*$", text, re.MULTILINE)
        require(CLASSES["stun"][nat_type], line and line.group(1))
    elif name == "mapping":
        if mapping == nat.ADDRESS:
            # For its third question it goes to what OTHER-ADDRESS of the second answer says, which by RFC 5780 §6.1 is the first
            # address with the other port. coturn's own server breaks that rule for it.
            mapping = nat.PORT
        require(BEHAVIORS[mapping] and f"{BEHAVIORS[mapping]} Mapping", behavior(text))
    elif name == "filtering":
        require(BEHAVIORS[filtering] and f"{BEHAVIORS[filtering]} Filtering", behavior(text))
    elif name == "nmap":
        found = re.search(r"External IP: (\S+)", text)
        require(kind != "blocked", bool(found) and found.group(1) in outside)
    else:
        # Before it, aiostun may complain about what Python's asyncio calls.
        found = json.loads(text.splitlines()[-1])
        for library in ("pystun3", "aiostun"):
            require(CLASSES[library][nat_type], found[library]["class"])
        require(kind != "blocked", found["pystun3"]["address"] in outside)
        require(kind != "blocked", found["aiostun"]["udp"] in outside)
        for stream in ("tcp", "tls"):
            require(True, found["aiostun"][stream] in outside)


def behavior(text):
    """The last one that it names."""
    return (re.findall(r"NAT with (.*?)!", text) or [None])[-1]


def mistakes(lab_arguments):
    arguments = {"prefix": lab_arguments["prefix"] + "m", "folder": os.path.join(lab_arguments["folder"], "m")}
    with Lab(**arguments) as lab:
        unserved(lab)
        certificates(lab)


def end(lab, *words):
    """What the server says that cannot start."""
    done = subprocess.run(["ip", "netns", "exec", lab.network.namespace("provider"), EXECUTABLE, "stun-server", *words],
                          capture_output=True, text=True, timeout=10)
    return done.returncode, done.stderr


def unserved(lab):
    """What cannot be served is said, and the exit codes are those of the contract."""
    single = Server(lab, "single", "--listen", f"{network.FAR}:{PORT}")
    host.wait_for("a server of one address says what cannot be found with it",
                  lambda: "filtering" in single.process.output(), 5)
    code, text = end(lab, "--listen", f"{network.FAR}:{PORT}")
    host.require(code == 71 and f"port {PORT}" in text, f"a port in use gave {code}: {text}")
    code, text = end(lab, "--listen", f"203.0.113.77:{PORT}")
    host.require(code == 71 and "203.0.113.77" in text, f"an address of somebody else gave {code}: {text}")
    code, text = end(lab, "--listen", f"{network.PROVIDER}:{PORT}", "--alternate", f"{network.PROVIDER}:{OTHER_PORT}")
    host.require(code == 64 and "second address" in text, f"an alternate with the same address gave {code}: {text}")
    single.process.signal(signal.SIGINT)
    host.require(single.process.wait(5) == 0, "SIGINT did not end stun-server with 0")


def certificates(lab):
    """SIGHUP takes a new certificate for new connections; a broken one changes nothing."""
    chain, key = lab.file("chain.pem"), lab.file("key.pem")

    def put(source, to):
        with open(os.path.join(CERTIFICATES, source)) as file, open(to, "w") as copy:
            copy.write(file.read())

    where = (network.FAR, TLS_PORT)
    words = ("--listen", f"{network.FAR}:{PORT}", "--tls-listen", f"{network.FAR}:{TLS_PORT}", "--tls-certificate", chain)
    code, text = end(lab, *words)
    host.require(code == 78 and chain in text, f"a missing certificate gave {code}: {text}")
    put("expired.pem", chain)
    put("key.pem", key)
    code, text = end(lab, *words, "--tls-key", key)
    host.require(code == 78 and "expired" in text and "2021-01-01" in text, f"an expired certificate gave {code}: {text}")
    put("good.pem", chain)
    server = Server(lab, "tls", *words, "--tls-key", key)
    first = shown(lab, where)
    for source, sentence in (("otherkey.pem", "does not belong"), ("key.pem", "read again")):
        put(source, key)
        server.process.signal(signal.SIGHUP)
        host.wait_for(f"the server says that the certificate {sentence}", lambda: sentence in server.process.output(), 5)
        host.require(shown(lab, where) == first, "the former certificate did not stay in use")
    put("both.pem", chain)
    put("both.pem", key)
    server.process.signal(signal.SIGHUP)
    host.wait_for("a new certificate is shown", lambda: shown(lab, where) != first, 5)
    server.process.signal(signal.SIGTERM)
    host.require(server.process.wait(5) == 0, "SIGTERM did not end stun-server with 0")


def shown(lab, where):
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    made = lab.network.socket("provider", lambda: socket.create_connection(where, 5))
    with context.wrap_socket(made) as connection:
        return connection.getpeercert(binary_form=True)
