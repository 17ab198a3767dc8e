"""`trunkline nat` names every kind of router, with stund (RFC 3489), with coturn (RFC 5780) and with our own server,
and sees a carrier's NAT in front of it. Where something answers it takes less than 5 s, where nothing does less than 10."""

import json
import os
import subprocess
import threading
import time

from lab import host, network, provider
from lab.lab import Lab
from lab.trunkline import EXECUTABLE

INDEPENDENT, ADDRESS, PORT = "endpointIndependent", "addressDependent", "addressAndPortDependent"
PORT_RESTRICTED = ("portRestrictedCone", INDEPENDENT, PORT)
SYMMETRIC = ("symmetric", PORT, PORT)
# kind of router: (natType, mapping, filtering) and whatever else is to be found.
KINDS = {
    "open": (("open", INDEPENDENT, INDEPENDENT), {"portPreserved": "yes", "doubleNAT": "no", "hairpin": "notChecked"}),
    "firewall": (("symmetricFirewall", INDEPENDENT, PORT), {"portPreserved": "yes", "doubleNAT": "no"}),
    "blocked": (("blocked", "notChecked", "notChecked"), {}),
    "fullcone": (("fullCone", INDEPENDENT, INDEPENDENT), {"portPreserved": "yes", "hairpin": "no", "doubleNAT": "no"}),
    "restricted": (("restrictedCone", INDEPENDENT, ADDRESS), {"portPreserved": "yes", "hairpin": "no"}),
    "portrestricted": (PORT_RESTRICTED, {"portPreserved": "yes", "hairpin": "no", "carrierGradeNAT": "no",
                                         "doubleNAT": "no"}),
    "eimtranslated": (PORT_RESTRICTED, {"portPreserved": "no"}),
    "symmetric": (SYMMETRIC, {"portPreserved": "no", "portsPredictable": "no"}),
    "symmetricrandom": (SYMMETRIC, {"portPreserved": "no", "portsPredictable": "no"}),
    "symmetricsequential": (SYMMETRIC, {"portPreserved": "no", "portsPredictable": "yes"}),
    "symmetricpersistent": (SYMMETRIC, {"portPreserved": "no"}),
    "addressdependent": (("symmetric", ADDRESS, PORT), {"portPreserved": "no"}),
    "persistent": (PORT_RESTRICTED, {"portPreserved": "yes"}),
    "pool": (PORT_RESTRICTED, {"portPreserved": "yes"}),
    "poolpersistent": (PORT_RESTRICTED, {"portPreserved": "yes"}),
    "alg": (PORT_RESTRICTED, {"portPreserved": "yes"}),
}
SHORT_CARRIER = ("portrestricted", "symmetric", "fullcone")
SERVERS = {"stund": (3478, 3479), "coturn": (3480, 3481), "trunkline": (3482, 3483)}
LIFETIMES = {False: (15,), True: (15, 30, 180)}
# The parts run side by side, each in a lab of its own.
PARTS = {"a": list(KINDS)[0::2], "b": list(KINDS)[1::2]}


def expected_behind_carrier(kind):
    """The carrier's own NAT is port-restricted: the stricter one of the two shows."""
    (found, mapping, filtering), _ = KINDS[kind]
    if found not in ("blocked", "symmetric"):
        found, mapping, filtering = PORT_RESTRICTED
    more = {} if found == "blocked" else {"carrierGradeNAT": "yes", "doubleNAT": "yes"}
    return (found, mapping, filtering), more


def start_servers(lab):
    first, second = network.PROVIDER, network.PROVIDER_2
    near, far = SERVERS["coturn"]
    lab.network.start("provider", "turnserver", "-n", "-S", "-L", first, "-L", second, "-p", str(near),
                      f"--alt-listening-port={far}", "--no-tls", "--no-dtls", "--no-tcp", "--no-cli", "-m", "1",
                      "--log-file=stdout", "--pidfile", lab.file("turn.pid"), "--userdb", lab.file("turn.db"),
                      log=lab.file("coturn.log"))
    near, far = SERVERS["stund"]
    lab.network.start("provider", "stund", "-h", first, "-a", second, "-p", str(near), "-o", str(far),
                      log=lab.file("stund.log"))
    near, far = SERVERS["trunkline"]
    lab.network.start("provider", EXECUTABLE, "stun-server", "--listen", f"{first}:{near}",
                      "--alternate", f"{second}:{far}", "--threads", "1", log=lab.file("stun-server.log"))
    for port, _ in SERVERS.values():
        host.wait_for(f"a STUN server answers on port {port}", lambda: provider.stun_ask(
            lab.network, "provider", network.FAR, (first, port)), 10)


def discover(lab, name, server, *options, limit=20):
    """Runs the verb; its JSON document, its exit code and how long it took."""
    began = time.monotonic()
    words = ["ip", "netns", "exec", lab.network.namespace("office"), EXECUTABLE, "nat",
             f"{network.PROVIDER}:{SERVERS[server][0]}", "--json", *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=limit)
    took = time.monotonic() - began
    with open(lab.file(f"{name}-{server}.txt"), "w") as file:
        file.write(f"{' '.join(words)}\nexit {done.returncode} after {took:.2f} s\n{done.stderr}\n{done.stdout}\n")
    try:
        return json.loads(done.stdout), done.returncode, took
    except ValueError:
        raise host.Failed(f"{name}, {server}: exit {done.returncode}, no JSON: {done.stderr[-300:]}") from None


def check(lab, kind, name, expected, more, server, times):
    report, code, took = discover(lab, name, server)
    times.append(took)
    found = (report["natType"], report["mapping"], report["filtering"])
    host.require(found == expected, f"{name}, {server}: expected {expected}, found {found}; {report['notChecked']}")
    for key, value in more.items():
        host.require(report[key] == value,
                     f"{name}, {server}: expected {key} {value}, found {report[key]}; {report['notChecked']}")
    is_blocked = kind == "blocked"
    host.require(code == (69 if is_blocked else 0), f"{name}, {server}: exit {code}")
    host.require(took < (10 if is_blocked else 5), f"{name}, {server}: took {took:.1f} s")
    for key, value in report.items():
        host.require(value != "notChecked" or key in report["notChecked"],
                     f"{name}, {server}: {key} not checked, and no reason")


def visit(lab, kinds, carrier, times, failures):
    for kind in kinds:
        lab.network.set_nat(kind)
        expected, more = expected_behind_carrier(kind) if carrier else KINDS[kind]
        name = f"carrier, {kind}" if carrier else kind
        together = [threading.Thread(target=guarded, args=(
            failures, check, lab, kind, name, expected, more, server, times)) for server in SERVERS]
        for thread in together:
            thread.start()
            # Two at once would take each other's ports.
            if kind == "symmetricsequential":
                thread.join()
        for thread in together:
            thread.join()


def guarded(failures, work, *arguments):
    try:
        work(*arguments)
    except Exception as error:
        failures.append(str(error) if isinstance(error, host.Failed) else repr(error))


def part(lab_arguments, letter, kinds, carrier, times, failures):
    arguments = {"prefix": lab_arguments["prefix"] + letter, "folder": os.path.join(lab_arguments["folder"], letter)}
    with Lab(**arguments, carrier=carrier) as lab:
        start_servers(lab)
        visit(lab, kinds, carrier, times, failures)


def lifetimes(lab_arguments, long, failures):
    for seconds in LIFETIMES[long]:
        folder = os.path.join(lab_arguments["folder"], f"lifetime{seconds}")
        arguments = {"prefix": lab_arguments["prefix"] + "l", "folder": folder}
        with Lab(**arguments, udp_timeout=seconds, stream_timeout=seconds) as lab:
            start_servers(lab)
            for server in SERVERS if long and seconds < 100 else ["trunkline"]:
                report, _, took = discover(lab, f"lifetime-{seconds}", server, "--lifetime", limit=seconds + 60)
                found = report["bindingLifetimeSeconds"]
                if found is None or abs(found - seconds) > 2:
                    failures.append(f"lifetime of {seconds} s, {server}: found {found}; {report['notChecked']}")


def run(lab_arguments, long):
    if not os.access(EXECUTABLE, os.X_OK):
        raise host.Skipped(f"{os.path.relpath(EXECUTABLE, host.ROOT)} has not been built")
    lacking = host.missing_tools("stund", "turnserver")
    if lacking:
        raise host.Skipped("not installed: " + ", ".join(lacking))
    times, failures = [], []
    work = [(part, lab_arguments, letter, kinds, False, times) for letter, kinds in PARTS.items()]
    work.append((part, lab_arguments, "c", list(KINDS) if long else SHORT_CARRIER, True, times))
    work.append((lifetimes, lab_arguments, long))
    threads = [threading.Thread(target=guarded, args=(failures, *each, failures), daemon=True) for each in work]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for letter in "abcl":
            network.remove(lab_arguments["prefix"] + letter)
    host.require(not failures, "; ".join(failures))
    behind = len(KINDS) if long else len(SHORT_CARRIER)
    return (f"{len(KINDS)} kinds and {behind} behind a carrier's NAT named with stund, "
            f"coturn and our own server, at most {max(times):.1f} s; "
            f"lifetimes {', '.join(map(str, LIFETIMES[long]))} s within 2 s")
