"""What breaks around the real process, and the verdict that names it: one daemon for each fault, broken from outside, and
`/api/v1/verdicts` has to have that code and no other. Where it can be mended by what the next step says, it is, and nothing more
is said.
"""

import os
import socket
import subprocess
import time

from lab import host, network, provider
from lab.lab import Lab
from lab.trunkline import MEDIA, Daemon, configuration

PBX = "192.168.77.150"


def run(lab_arguments, long, row):
    with Lab(**lab_arguments) as lab:
        named = ROWS[row](lab)
    return f"{len(named)} faults named: {', '.join(named)}"


class Row:
    """A daemon whose verdicts are watched; it ends with the block."""

    count = 0

    def __init__(self, lab, text, registered=True):
        Row.count += 1
        self.text = text.replace("path: trunkline.sqlite", f"path: faults{Row.count}.sqlite")
        lab.network.forget_mappings()
        self.daemon = Daemon(lab, self.text)
        if registered:
            self.daemon.wait_registered()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.daemon.stop()
        elif self.daemon.process.running:
            self.daemon.process.signal(9)

    def codes(self):
        return [v["code"] for v in self.daemon.api("/verdicts")]

    def expect(self, code, seconds=15, within=0):
        """Exactly this verdict comes; further ones may not come within as many seconds."""
        host.wait_for(f"the verdict {code} (there are {self.codes()})", lambda: code in self.codes(), seconds, every=0.2)
        time.sleep(within)
        host.require(self.codes() == [code], f"the verdicts are {self.codes()}, expected {code} alone")
        verdict = self.daemon.api("/verdicts")[0]
        for key in ("at", "subject", "sentence", "evidence", "nextStep"):
            host.require(verdict[key], f"{code} has no {key}")
        sentence = verdict["sentence"]
        host.require(sentence in self.daemon.process.output(), f"“{sentence}” is not in the log")
        shown = " ".join(self.daemon.verb("status")[1].split())
        host.require(sentence in shown, f"`trunkline status` does not say “{sentence}”: {shown}")
        return code

    def reload(self, text):
        with open(self.daemon.configuration, "w") as file:
            file.write(text)
        code, said = self.daemon.verb("reload")
        host.require(code == 0, f"reload ended with {code}: {said}")


def registrations(lab):
    lab.provider()
    named = []
    with Row(lab, configuration(password="not-the-secret"), registered=False) as row:
        named.append(row.expect("wrongPassword", within=1))
        row.reload(row.text.replace("not-the-secret", provider.PASSWORD))
        row.daemon.wait_registered()
        host.require(len(row.codes()) == 1, f"after the repair there are {row.codes()}")
    with Row(lab, configuration().replace("username: trunk", "username: nobody"), registered=False) as row:
        row.expect("wrongPassword", within=1)
        named.append("wrong user")
    with Row(lab, configuration().replace("    domain: ", "    realm: elsewhere.example\n    domain: "), registered=False) as row:
        named.append(row.expect("wrongRealm", within=1))
    server = f'"{network.PROVIDER}:5060"'
    with Row(lab, configuration().replace(server, "sip.nowhere.example"), registered=False) as row:
        named.append(row.expect("nameUnknown", 60))
    both = configuration(stun="stun.nowhere.example:3478").replace(server, "sip.nowhere.example")
    with Row(lab, both, registered=False) as row:
        named.append(row.expect("nameServerSilent", 60))
    return named


def silence(lab):
    home = lab.provider()
    wire = lab.capture("provider")
    named = []
    with Row(lab, configuration()) as row:
        # Only who has answered OPTIONS is judged by it; the next REGISTER is minutes away.
        host.wait_for("OPTIONS is answered", lambda: wire.seen(lambda p: p.method == "OPTIONS" and p.source[0] == network.PUBLIC), 45)
        time.sleep(1)
        home.stop_kamailio()
        named.append(row.expect("providerSilent", 90))
        home.start_kamailio()
        row.daemon.wait_registered(90)
        host.require(len(row.codes()) == 1, f"after the repair there are {row.codes()}")
    home.stop_kamailio()
    with Row(lab, configuration(), registered=False) as row:
        named.append(row.expect("noAnswer", 60))
    return named


def lines(lab):
    lab.provider()
    named = []
    lab.network.set_nat("blocked")
    with Row(lab, configuration(), registered=False) as row:
        named.append(row.expect("udpBlocked", 40, within=5))
    lab.network.set_nat("portrestricted")
    with Row(lab, configuration()) as row:
        drop(lab, "router", f"udp dport {provider.STUN_PORT}", "forward")
        named.append(row.expect("stunServersSilent", 60, within=3))
        pass_again(lab, "router")
    with Row(lab, configuration()) as row:
        lab.network.cut()
        named.append(row.expect("lineDown", 100))
        lab.network.restore()
        row.daemon.wait_registered(40)
        host.require(len(row.codes()) == 1, f"after the repair there are {row.codes()}")
    return named


def calls(lab):
    home = lab.provider()
    far = home.far_end()
    named = []
    codes = {403: "callForbidden", 404: "numberUnknown", 480: "calleeUnavailable", 484: "numberIncomplete", 486: "calleeBusy",
             487: "callTerminated", 488: "noCommonCodec", 503: "calleeCongested", 603: "calleeDeclined"}
    for status, code in codes.items():
        with Row(lab, configuration()) as row:
            office = row.daemon.phone("10")
            call = office.dial(f"+4999{status}")
            call.wait_ended(10)
            named.append(row.expect(code))
            verdict, record = row.daemon.api("/verdicts")[0], row.daemon.api("/history")[0]
            host.require(verdict["callID"] == record["id"], "the verdict and the record of the call have different ids")
    # One that nobody answers: a PBX that is not there.
    text = configuration().replace("trunks:\n", f"pbxs:\n  - {{name: asterisk, address: {PBX}:5060}}\ntrunks:\n", 1)
    with Row(lab, text.replace("to: [phone:10]", "to: [pbx:asterisk]")) as row:
        far.dial(provider.NUMBER)
        named.append(row.expect("pbxGone", 45))
    return named


def sounds(lab):
    home = lab.provider()
    far = home.far_end()
    named = []
    ports = f"udp dport {MEDIA.start}-{MEDIA.stop - 1}"
    for rule, code in ((f"ip saddr {network.FAR} {ports}", "oneWayAudioIn"), (f"ip saddr {network.PHONES} {ports}", "oneWayAudioOut"),
                       (ports, "noAudio")):
        with Row(lab, configuration()) as row:
            drop(lab, "office", rule, "input")
            office = row.daemon.phone("10")
            call = office.dial(provider.FAR_NUMBER).wait_answered()
            named.append(row.expect(code, 12))
            call.hang_up()
            pass_again(lab, "office")
            call = office.dial(provider.FAR_NUMBER).wait_answered()
            time.sleep(8)
            call.hang_up()
            host.require(len(row.codes()) == 1, f"after the repair there are {row.codes()}")
    return named


def machine(lab):
    home = lab.provider(date="Thu, 01 Jan 2026 00:00:00 GMT")
    named = []
    with Row(lab, configuration()) as row:
        named.append(row.expect("clockOff"))
    home.stop_kamailio()
    home.date = None
    home.start_kamailio()

    few = configuration().replace(f"{MEDIA.start}-{MEDIA.stop - 1}", "55000-55019")
    with Row(lab, few) as row:
        office = row.daemon.phone("10")

        def occupy(port):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind(("0.0.0.0", port))
            return made
        # What the discovery had is free by now.
        host.wait_for("no media port is open", lambda: not row.daemon.media_sockets(), 10)
        taken = [lab.network.socket("office", lambda port=port: occupy(port)) for port in range(55000, 55020)]
        office.dial(provider.FAR_NUMBER).wait_ended(10)
        named.append(row.expect("portTaken"))
        for each in taken:
            each.close()

    with Row(lab, configuration()) as row:
        phone = lab.phone("20", "phone-twenty", (network.OFFICE, 5060), domain=network.OFFICE, advertise="10.9.9.20").register()
        named.append(row.expect("phoneBehindNAT"))
        lab.phone("20", "phone-twenty", (network.OFFICE, 5060), domain=network.OFFICE).register()
        host.require(len(row.codes()) == 1, f"after the repair there are {row.codes()}")
    with Row(lab, configuration()) as row:
        lab.phone("20", "not-its-own", (network.OFFICE, 5060), domain=network.OFFICE).register(expect=403)
        named.append(row.expect("phoneRefused"))

    small = lab.file("small")
    os.makedirs(small, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small], check=True)
    try:
        with Row(lab, configuration(store=os.path.join(small, "calls.sqlite"))) as row:
            try:
                with open(os.path.join(small, "filler"), "wb", buffering=0) as file:
                    while True:
                        file.write(b"x" * 4096)
            except OSError:
                pass
            office = row.daemon.phone("10")
            office.dial(provider.FAR_NUMBER).wait_ended(10)      # nobody is registered there: 404
            host.wait_for("the disk is found full", lambda: "diskFull" in row.codes(), 15, every=0.2)
            host.require(sorted(row.codes()) == ["diskFull", "numberUnknown"], f"the verdicts are {row.codes()}")
            host.require(len(row.daemon.api("/history")) == 1, "the call is not in the history")
            named.append("diskFull")
            os.remove(os.path.join(small, "filler"))
            office.dial(provider.FAR_NUMBER).wait_ended(10)
            host.wait_for("the store works again", lambda: "the store works again" in row.daemon.process.output(), 10)
    finally:
        subprocess.run(["umount", "-l", small], check=False)
    return named


def drop(lab, place, rule, hook):
    lab.network.run(place, "nft", f"add table inet fault; add chain inet fault {hook} {{ type filter hook {hook} priority -5; }}; "
                                  f"add rule inet fault {hook} {rule} drop")


def pass_again(lab, place):
    lab.network.run(place, "nft", "delete table inet fault")


ROWS = {"registrations": registrations, "silence": silence, "lines": lines, "calls": calls, "sounds": sounds, "machine": machine}
