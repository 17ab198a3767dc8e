"""`trunkline nat` names every kind of router, with stund (RFC 3489), with coturn (RFC 5780) and with our own server,
and sees a carrier's NAT in front of it. Where something answers it takes less than 5 s, where nothing does less than 10."""

import json
import os
import subprocess
import threading
import time

from lab import host, network, provider
from lab.lab import Lab, guarded, side_by_side
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
# What a carrier's NAT does by itself (lab/network.py), and whether it keeps ports.
CARRIERS = {"portrestricted": (INDEPENDENT, PORT, True), "symmetric": (PORT, PORT, False)}
STRICTER = (INDEPENDENT, ADDRESS, PORT)
CLASSES = {INDEPENDENT: "fullCone", ADDRESS: "restrictedCone", PORT: "portRestrictedCone"}
SERVERS = {"stund": (3478, 3479), "coturn": (3480, 3481), "trunkline": (3482, 3483)}
LIFETIMES = {False: (15,), True: (15, 30, 180)}
# The parts run side by side, each in a lab of its own.
PARTS = 4


def behind(carrier, kind):
    """What is to be found where a carrier's NAT stands before that kind of router: both in a row."""
    (found, mapping, filtering), more = KINDS[kind]
    if found == "blocked":
        return KINDS[kind]              # nothing reaches the carrier
    outer_mapping, outer_filtering, keeps_ports = CARRIERS[carrier]
    # The public port depends on the destination as soon as one of the two makes it so: the carrier maps each port that the
    # router gave to another one, and one that the router gave once it may map several times.
    mapping = max(mapping, outer_mapping, key=STRICTER.index)
    # A packet has to get through both.
    filtering = max(filtering, outer_filtering, key=STRICTER.index)
    # RFC 3489 asks no further once the mapping differs. "Open" and "firewall" are for those without any NAT.
    found = "symmetric" if mapping != INDEPENDENT else CLASSES[filtering]
    expected = {"carrierGradeNAT": "yes", "portPreserved": more["portPreserved"] if keeps_ports else "no"}
    # A port that the carrier keeps is as predictable as it was; one that it draws is not.
    if "portsPredictable" in more:
        expected["portsPredictable"] = more["portsPredictable"] if keeps_ports else "no"
    # Whether a router without NAT translates nobody inside can see: two private hops are two private hops.
    if kind not in ("open", "firewall"):
        expected["doubleNAT"] = "yes"
    return (found, mapping, filtering), expected


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
    with open(lab.file(f"{name.replace(' ', '-')}-{server}.txt"), "w") as file:
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
        expected, more = behind(carrier, kind) if carrier else KINDS[kind]
        name = f"{kind} behind {carrier} carrier" if carrier else kind
        together = [threading.Thread(target=guarded, args=(
            failures, check, lab, kind, name, expected, more, server, times)) for server in SERVERS]
        for thread in together:
            thread.start()
            # Two at once would take each other's ports.
            if kind == "symmetricsequential":
                thread.join()
        for thread in together:
            thread.join()


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
    kinds = list(KINDS)
    work = [(lifetimes, lab_arguments, long, failures)]
    for carrier, letters in (None, "abcd"), ("portrestricted", "efgh"):
        work += [(part, lab_arguments, letter, kinds[n::PARTS], carrier, times, failures)
                 for n, letter in enumerate(letters)]
    side_by_side(lab_arguments, "abcdefghl", work, failures)
    if long:
        side_by_side(lab_arguments, "abcd", [(part, lab_arguments, letter, kinds[n::PARTS], "symmetric", times, failures)
                                             for n, letter in enumerate("abcd")], failures)
    host.require(not failures, "; ".join(failures))
    return (f"{len(KINDS)} kinds, and the same behind {'two kinds of carrier' if long else 'a carrier'}, named with stund, coturn "
            f"and our own server, at most {max(times):.1f} s; lifetimes {', '.join(map(str, LIFETIMES[long]))} s within 2 s")
