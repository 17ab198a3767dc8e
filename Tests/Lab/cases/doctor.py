"""`trunkline doctor` against Kamailio and our own STUN server of two addresses: all proven where nothing is missing, without a
daemon and beside one, with a call out and in again; a forward that is missing and a router that passes no UDP are named."""

import json
import os
import subprocess
import time

from lab import host, network, provider
from lab.lab import Lab
from lab.trunkline import EXECUTABLE, MEDIA, PORT, Daemon, configuration

FORWARD = (f"add table ip forwarded; add chain ip forwarded in {{ type nat hook prerouting priority dstnat - 5; }}; "
           f"add rule ip forwarded in iifname wan0 udp dport 5060 dnat to {network.OFFICE}:{PORT}")
# The provider of this lab relays no audio: the own call's goes out by the router and in again.
HAIRPIN = (f"add table ip hairpin; add chain ip hairpin in {{ type nat hook prerouting priority dstnat - 4; }}; "
           f"add chain ip hairpin out {{ type nat hook postrouting priority srcnat - 4; }}; "
           f"add rule ip hairpin in iifname lan ip daddr {network.PUBLIC} udp dport {MEDIA.start}-{MEDIA.stop - 1} "
           f"dnat to {network.OFFICE}; "
           f"add rule ip hairpin out oifname lan ip saddr {network.OFFICE} ct status dnat snat to {network.PUBLIC}")
NEEDS = {"ports", "stun", "sip", "registration", "forward", "media", "fragments", "clock"}


def run(lab_arguments, long):
    if not os.access(EXECUTABLE, os.X_OK):
        raise host.Skipped(f"{os.path.relpath(EXECUTABLE, host.ROOT)} has not been built")
    with Lab(**lab_arguments) as lab:
        home = lab.provider(stun=None)
        server = lab.network.start("provider", EXECUTABLE, "stun-server", "--listen", f"{network.PROVIDER}:{provider.STUN_PORT}",
                                   "--alternate", f"{network.PROVIDER_2}:{provider.STUN_PORT + 1}", log=lab.file("stun.log"))
        host.wait_for("the STUN server says where it answers", lambda: "Answering on" in server.output(), 10)
        lab.network.run("router", "nft", FORWARD)
        code, straight = examine(lab, "straight", "--call")
        called = next(f for f in straight["findings"] if f["need"] == "call")
        host.require((code, called["result"]) == (0, "unprovable") and "directly" in called["evidence"],
                     f"where the router turns nothing round the doctor ended with {code} and said {called}")
        lab.network.run("router", "nft", HAIRPIN)
        lab.network.forget_mappings()

        alone = expect(examine(lab, "alone"), 0, set(), "without a daemon")
        host.require(not home.events("registered") or home.events("registered")[-1]["contact"] in ("<null>", ""),
                     f"the doctor without a daemon registered: {home.events('registered')}")
        called = expect(examine(lab, "alone-call", "--call"), 0, set(), "without a daemon, with a call", needs=NEEDS | {"call"})
        contacts = registered(home)
        host.require(contacts == [], f"after the call these contacts are left: {contacts}")
        one_way(lab)

        daemon = Daemon(lab, text())
        before = daemon.wait_registered()["contact"]
        live = expect(examine(lab, "live", daemon=daemon), 0, set(), "beside the daemon")
        host.require(live["isFromDaemon"], "the running daemon was not asked")
        expect(examine(lab, "live-call", "--call", daemon=daemon), 0, set(), "beside the daemon, with a call",
               needs=NEEDS | {"call"})
        after = daemon.trunk()
        host.require((after["contact"], after["state"]) == (before, "registered"), f"the doctor changed the trunk: {after}")
        host.require(daemon.api("/calls") == [], f"calls are left: {daemon.api('/calls')}")
        history = {record["direction"]: record["result"] for record in daemon.api("/history")}
        host.require(history == {"inbound": "answered", "outbound": "answered"}, f"the history says {history}")
        second_run(lab, daemon)
        named = closed(lab, daemon)

        lab.network.run("router", "nft", "flush chain ip forwarded in")
        lab.network.forget_mappings()
        time.sleep(0.5)
        missing = expect(examine(lab, "no-forward", daemon=daemon), 1, {"forward"}, "without the forward")
        step = next(f["nextStep"] for f in missing["findings"] if f["need"] == "forward")
        host.require(str(PORT) in step and "5060" in step, f"the next step names no ports: {step}")
        daemon.process.stop()

        # Without a forward none is missed, and behind a router that lets everybody in none is needed.
        for kind, result in (("portrestricted", "unprovable"), ("fullcone", "proven")):
            lab.network.set_nat(kind)
            code, report = examine(lab, kind, content=configuration())
            found = {f["need"]: f["result"] for f in report["findings"]}
            host.require(code == 0 and found["forward"] == report["result"] == result,
                         f"behind {kind}, without a forward, the doctor ended with {code} and found {found}")
        lab.network.set_nat("blocked")
        blocked = expect(examine(lab, "blocked"), 1, {"stun", "sip"}, "where no UDP passes")
        host.require(blocked["seconds"] <= 15.5, f"a dead network took {blocked['seconds']} s")
        code, _, _ = verb(lab, configured(lab, "broken", text().replace("keepalive", "keepalife")))
        host.require(code == 78, f"a file with a mistake ended with {code}, expected 78")
        taken(lab)
        return (f"all {len(alone['findings'])} needs proven in {alone['seconds']:.1f} s without a daemon and {live['seconds']:.1f} s "
                f"beside one; {spoken(called)}; {named}; forward and UDP missed, a dead network in {blocked['seconds']:.1f} s")


def text():
    return configuration().replace("keepalive: 10s", "keepalive: 10s, incoming: {forwarded: 5060}")


def configured(lab, name, content):
    path = lab.file(name + ".yaml")
    with open(path, "w") as file:
        file.write(content.replace("path: trunkline.sqlite", f"path: {lab.file(name)}.sqlite"))
    return path


def verb(lab, path, *words, environment=None):
    environment = environment or {"TRUNKLINE_RUNTIME_DIR": lab.file("nobody"), "HOME": lab.folder}
    done = subprocess.run(["ip", "netns", "exec", lab.network.namespace("office"), EXECUTABLE, "doctor", "--config", path, *words],
                          capture_output=True, text=True, timeout=70, env={**os.environ, **environment}, cwd=lab.folder)
    return done.returncode, done.stdout, done.stderr


def one_way(lab):
    """Audio is lost on its way out of one of the call's ports: which end is not heard is said. A link takes its ports in turn,
    two of the first four for the provider's sides."""
    for end, port in (("calling", MEDIA.start + 2), ("called", MEDIA.start + 4)):
        lab.network.run("router", "nft", "add chain ip hairpin mute { type filter hook forward priority filter; }; flush chain ip "
                        f"hairpin mute; add rule ip hairpin mute oifname lan udp sport {port} drop")
        report = expect(examine(lab, end + "-mute", "--call"), 1, {"call"}, f"with the {end} end mute")
        evidence = next(f["evidence"] for f in report["findings"] if f["need"] == "call")
        host.require(f"what the {end} end says is not heard" in evidence, f"with the {end} end mute: {evidence}")
    lab.network.run("router", "nft", "flush chain ip hairpin mute; delete chain ip hairpin mute")


def examine(lab, name, *words, daemon=None, content=None):
    """(exit code, report) of one run; the redacted report is looked through."""
    path = daemon.configuration if daemon else configured(lab, name, content or text())
    written = lab.file(name + "-report.json")
    code, out, errors = verb(lab, path, "--json", "--report", written, *words, environment=daemon.environment if daemon else None)
    for kind, said in (("json", out), ("progress", errors)):
        with open(lab.file(f"{name}.{kind}"), "w") as file:
            file.write(said)
    host.require(out.startswith("{"), f"doctor --json ended with {code} and said {out[:200]} {errors[-300:]}")
    with open(written) as file:
        shown = file.read()
    secrets = [provider.PASSWORD, provider.NUMBER, network.PROVIDER, network.PUBLIC, provider.DOMAIN, f'"{provider.USER}"']
    found = [secret for secret in secrets if secret in shown]
    host.require(not found, f"the report for others shows {', '.join(found)}")
    return code, json.loads(out)


def closed(lab, daemon):
    """A firewall that opens a part of the media ports only; and what is waited for meanwhile is shown."""
    lab.network.run("office", "nft", "add table inet closed; add chain inet closed in { type filter hook input priority filter; }; "
                    f"add rule inet closed in udp dport {MEDIA.start + 300}-{MEDIA.stop - 1} drop")
    report = expect(examine(lab, "closed", daemon=daemon), 1, {"media"}, "with a part of the media ports closed")
    lab.network.run("office", "nft", "delete table inet closed")
    finding = next(f for f in report["findings"] if f["need"] == "media")
    ports = [MEDIA.start + 2 * (place * (len(MEDIA) // 2 - 1) // 7) for place in range(8)]
    silent = [str(port) for port in ports if port >= MEDIA.start + 300]
    answered = [str(port) for port in ports if port < MEDIA.start + 300]
    refused, _, heard = finding["evidence"].partition("got no answer")
    host.require(all(port in refused for port in silent) and all(port in heard for port in answered),
                 f"not {', '.join(silent)} are named: {finding['evidence']}")
    host.require(f"{ports[len(answered) - 1] + 2}-{MEDIA.stop - 1}" in finding["nextStep"], f"the next step is {finding['nextStep']}")
    with open(lab.file("closed.progress")) as file:
        progress = file.read()
    host.require("waiting for" in progress and "media" in progress, f"progress beside the daemon: {progress}")
    last = daemon.api("/doctor")
    host.require(not last["isRunning"] and last["waitingFor"] == [] and last["findings"] == report["findings"],
                 f"the last examination is told as {last}")
    return f"{len(silent)} of 8 media ports named that a firewall closes"


def expect(ran, code, refuted, where, needs=NEEDS):
    ended, report = ran
    others = [f"{f['need']} {f['subject']}: {f['result']}, {f['evidence']}" for f in report["findings"] if f["result"] != "proven"]
    found = {f["need"] for f in report["findings"] if f["result"] == "refuted"}
    host.require(found == refuted and ended == code, f"{where} the doctor ended with {ended}: {'; '.join(others)}")
    if not refuted:
        host.require(not others, f"{where} not all is proven: {'; '.join(others)}")
        missing = needs - {f["need"] for f in report["findings"]}
        host.require(not missing, f"{where} nothing is said of {', '.join(sorted(missing))}")
    host.require(all(f.get("nextStep") for f in report["findings"] if f["result"] != "proven"), f"{where} a next step is missing")
    return report


def spoken(report):
    return next(f["evidence"] for f in report["findings"] if f["need"] == "call").split(";")[0]


def registered(home):
    """Contacts that Kamailio noted last, less those that were given back."""
    last = [event for event in home.events("registered") if event["contact"] not in ("<null>", "")]
    return [event["contact"] for event in last[-1:] if event["expires"] not in ("0", "<null>")]


def second_run(lab, daemon):
    """One examination at a time."""
    first = lab.network.start("office", EXECUTABLE, "doctor", "--json", "--call", "--config", daemon.configuration, log=lab.file("first.txt"),
                              env=daemon.environment, cwd=lab.folder)
    host.wait_for("the daemon examines", lambda: daemon.api("/doctor")["isRunning"], 20, every=0.05)
    answer = daemon.get("/api/v1/doctor", "POST")[0]
    host.require(answer == 409, f"a second examination was answered with {answer}")
    host.wait_for("the first one ends", lambda: not first.running, 20)


def taken(lab):
    """A port that somebody else has is a finding."""
    other = lab.network.start("office", "python3", "-c",
                              f"import socket,time; s=socket.socket(2,2); s.bind(('0.0.0.0',{PORT})); print('bound',flush=True); "
                              "time.sleep(60)", log=lab.file("other.log"))
    host.wait_for("the port is taken", lambda: "bound" in other.output(), 5)
    code, report = examine(lab, "taken")
    found = [f for f in report["findings"] if f["need"] == "ports" and f["result"] == "refuted"]
    host.require(code == 1 and len(found) == 1, f"a taken port was not named: {report['findings'][:2]}")
    other.stop()
