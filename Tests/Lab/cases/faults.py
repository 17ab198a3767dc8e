"""What breaks around the real process, the verdict that names it, and the way out of it that the verdict itself says.

Each row of the lab is a list of faults. A `Fault` has what breaks, the one code that has to name it, the `Step` that mends it and
the proof that it is mended. One loop, `Office.show`, runs them all: that verdict comes and no other; the words of the Step are in
its `nextStep`, so that the text and what is done here cannot drift apart; what they say is done, and nothing else; what did not
work works; and no further verdict has come. Two faults may be there at once: then both verdicts come, and no other.
"""

import contextlib
import dataclasses
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from lab import host, network, provider
from lab.lab import Lab
from lab.links import NameServer
from lab.trunkline import LAN, MEDIA, PHONES, Daemon, configuration

PBX = "192.168.77.150"
ONE_SECOND, JUDGED = 50, 350        # packets of audio; whether a call is silent is judged 6 s after its answer
PATIENCE = 90                       # seconds; only what does not come at all takes so long


class Step(NamedTuple):
    """Words of a verdict's next step, and what is done by them."""
    words: str
    does: Callable


@dataclasses.dataclass
class Fault:
    code: str
    step: Step
    # What breaks, and what somebody does so that it shows.
    breaks: Callable = lambda office: None
    proof: Callable = lambda office: office.call_out()
    # What the daemon runs with, where it is not the usual.
    text: str = dataclasses.field(default_factory=configuration)
    # It is there when the daemon starts; others break one that is well.
    begins: bool = False
    # Once mended it breaks again, and is told again: so the daemon knew that it was over.
    again: bool = False
    # For so long nothing else may be told.
    silence: float = 0
    # Where several have the same code.
    name: str = ""


def run(lab_arguments, long, row):
    with Lab(**lab_arguments) as lab, contextlib.ExitStack() as ends:
        office = Office(lab, ends)
        groups = [each if isinstance(each, tuple) else (each,) for each in ROWS[row](office)]
        for faults in groups:
            office.show(*faults)
        office.stop()
    names = [" with ".join(fault.name or fault.code for fault in faults) for faults in groups]
    return f"{len(names)} faults named and mended: {', '.join(names)}"


class Office:
    """A daemon, its provider, a far end and telephones; what breaks and what mends it is done to these."""

    def __init__(self, lab, ends):
        self.lab, self.ends = lab, ends
        self.home = lab.provider()
        self.far = self.home.far_end()
        self.daemon = self.text = self.call = None
        self.count, self.phones, self.number = 0, {}, provider.FAR_NUMBER

    # The loop.

    def show(self, *faults):
        text, begins = faults[0].text, faults[0].begins
        if begins or self.text != text:
            self.stop()
        if not begins and not self.daemon:
            self.start(text)
            self.well()
        for _ in range(2 if faults[0].again else 1):
            self.break_and_mend(*faults)

    def break_and_mend(self, *faults):
        before = self.verdicts() if self.daemon else []
        for fault in faults:
            fault.breaks(self)
        if not self.daemon:
            self.start(faults[0].text)
        for fault, verdict in zip(faults, self.named(faults, before)):
            host.require(fault.step.words in verdict["nextStep"],
                         f"the next step of {fault.code} does not say “{fault.step.words}”: {verdict['nextStep']}")
        for fault in faults:
            fault.step.does(self)
        for fault in faults:
            try:
                fault.proof(self)
            except host.Failed as failure:
                raise host.Failed(f"{fault.name or fault.code}, mended by “{fault.step.words}”: {failure}") from None
        self.told_alone(faults, before)

    def verdicts(self):
        """The newest first."""
        return self.daemon.api("/verdicts")

    def told_alone(self, faults, before):
        """The verdicts of these faults, which are the only ones that have come."""
        verdicts = self.verdicts()
        added = {v["code"]: v for v in verdicts[:len(verdicts) - len(before)]}
        expected = [fault.code for fault in faults]
        host.require(len(verdicts) - len(before) == len(faults) and sorted(added) == sorted(expected),
                     f"the verdicts are {list(added)}, expected {' and '.join(expected)} alone")
        return [added[code] for code in expected]

    def named(self, faults, before):
        host.wait_for(f"the verdict {' and '.join(fault.code for fault in faults)}",
                      lambda: len(self.verdicts()) >= len(before) + len(faults), PATIENCE, every=0.2)
        time.sleep(max(fault.silence for fault in faults))
        verdicts = self.told_alone(faults, before)
        shown = " ".join(self.daemon.verb("status")[1].split())
        for verdict in verdicts:
            code, sentence = verdict["code"], verdict["sentence"]
            for key in ("at", "subject", "sentence", "evidence", "nextStep"):
                host.require(verdict[key], f"{code} has no {key}")
            host.require(sentence in self.daemon.process.output(), f"“{sentence}” is not in the log")
            host.require(sentence in shown, f"`trunkline status` does not say “{sentence}”: {shown}")
            if "callID" in verdict:
                host.wait_for(f"the verdict {code} is of the call that is, or was last",
                              lambda: self.last_call() == verdict["callID"], 5)
        return verdicts

    def last_call(self):
        return next((call["id"] for call in self.daemon.api("/calls") + self.daemon.api("/history")), None)

    # The daemon.

    def start(self, text):
        self.count += 1
        self.text, self.phones, self.number = text, {}, provider.FAR_NUMBER
        self.lab.network.forget_mappings()
        self.daemon = Daemon(self.lab, self.stored(text))

    def stop(self):
        if self.daemon:
            self.daemon.stop(PATIENCE)
            self.daemon = self.text = None

    def stored(self, text):
        """Each daemon has a store of its own, else it would know the verdicts of the one before."""
        return text.replace("path: trunkline.sqlite", f"path: faults{self.count}.sqlite")

    def reload(self, text):
        with open(self.daemon.configuration, "w") as file:
            file.write(self.stored(text))
        code, said = self.daemon.verb("reload")
        host.require(code == 0, f"reload ended with {code}: {said}")
        self.text = text

    # What works.

    def well(self):
        """The trunk is registered, and neither it nor an uplink has anything to complain of."""
        self.daemon.wait_registered(PATIENCE)

        def nothing_wrong():
            return not any("lastError" in each for each in self.daemon.api("/trunks") + self.daemon.api("/uplinks"))
        host.wait_for("trunk and uplink have no error", nothing_wrong, PATIENCE, every=0.2)

    def phone(self, extension="10"):
        """The same as long as the daemon runs."""
        if extension not in self.phones:
            self.phones[extension] = self.daemon.phone(extension)
        return self.phones[extension]

    def dial(self, extension="10"):
        self.call = self.phone(extension).dial(self.number)
        return self.call

    def call_out(self, extension="10", packets=ONE_SECOND):
        """A call to the outside is answered, and both hear each other."""
        self.well()
        count = len(self.far.incoming)
        self.dial(extension).wait_answered(30)
        self.talk(self.far.wait_incoming(count + 1), packets)

    def talk(self, other, packets=ONE_SECOND):
        """The call's two sides hear so much of each other from now on, and it ends."""
        streams = [self.call.stream, other.stream]
        ends = [stream.received + packets for stream in streams]
        host.wait_for("audio both ways", lambda: all(s.received >= e for s, e in zip(streams, ends)), 30)
        self.call.hang_up(30)
        other.wait_ended(30)

    # What breaks, and what mends it.

    def drop(self, place, rule, hook):
        chain = f"inet fault {hook}"
        self.lab.network.run(place, "nft", f"add table inet fault; add chain {chain} {{ type filter hook {hook} priority -5; }}; "
                                           f"add rule {chain} {rule} drop")

    def let_pass(self, place):
        self.lab.network.run(place, "nft", "delete table inet fault")

    def refused(self, status):
        self.far.refuses[self.number] = status
        self.dial().wait_ended(30)


# Rows.

def registrations(office):
    names = {"sip.lab": network.PROVIDER, "stun.lab": network.PROVIDER}
    office.lab.captures.append(NameServer(office.lab.network, network.FAR_2, names))     # what the lab closes at its end
    folder = f"/etc/netns/{office.lab.network.namespace('office')}"     # `ip netns exec` shows it as /etc/resolv.conf
    os.makedirs(folder, exist_ok=True)

    def ask(server):
        with open(os.path.join(folder, "resolv.conf"), "w") as file:
            file.write(f"nameserver {server}\noptions timeout:1 attempts:1\n")
    ask(network.FAR_2)
    by_names = with_key(configuration(stun=f"stun.lab:{provider.STUN_PORT}"), "registrar", "sip.lab")
    return [
        wrong_key("wrongPassword", "password", "not-the-secret", provider.PASSWORD),
        wrong_key("wrongPassword", "username", "nobody", provider.USER, name="wrong user"),
        wrong_key("wrongRealm", "realm", "elsewhere.example", provider.DOMAIN),
        wrong_key("nameUnknown", "registrar", "sip.misspelt.lab", "sip.lab", by_names),
        mistaken("stunServersUnresolved", "stunServers", by_names.replace("stun.lab:", "stun.misspelt.lab:"), by_names),
        # Nobody has that port there.
        Fault("nameServerSilent", Step("name servers of this machine (/etc/resolv.conf)", lambda _: ask(network.FAR_2)),
              lambda _: ask(network.FAR), text=by_names, begins=True)]


def with_key(text, key, value):
    """The trunk has the key with that value."""
    changed, count = re.subn(rf"^    {key}: .*$", f"    {key}: {value}", text, flags=re.M)
    return changed if count else text.replace("    domain: ", f"    {key}: {value}\n    domain: ", 1)


def wrong_key(code, key, wrong, right, text=None, **options):
    """A key of the trunk has a wrong value."""
    return mistaken(code, key, *(with_key(text or configuration(), key, value) for value in (wrong, right)), **options)


def mistaken(code, key, wrong, right, again=True, **options):
    """The daemon starts with a wrong text, or reads it; the next step names the key, which is set right and read again."""
    return Fault(code, Step(key, lambda office: office.reload(right)), lambda office: office.daemon and office.reload(wrong),
                 text=wrong, begins=True, again=again, **options)


def silence(office):
    server, nobody = (f'"{network.PROVIDER}:{port}"' for port in (5060, 5061))
    return [
        Fault("providerSilent", Step("Nothing: it is asked again and again", start_provider), fall_silent),
        wrong_key("noAnswer", "registrar", nobody, server, name="wrong port", again=False)]


def fall_silent(office):
    wire = office.lab.records["office", "eth0"]
    # Only who has answered OPTIONS is judged by it; the next REGISTER is minutes away.
    host.wait_for("OPTIONS is answered", lambda: wire.seen(
        lambda p: p.data.startswith(b"SIP/2.0 ") and b" OPTIONS\r\n" in p.data and p.target[0] == network.OFFICE), PATIENCE)
    office.home.stop_kamailio()


def start_provider(office):
    office.home.start_kamailio()
    office.far.register(expires=600)


def lines(office):
    def behind(rule, words, code, **options):
        return Fault(code, Step(words, lambda _: office.let_pass("router")), lambda _: office.drop("router", rule, "forward"),
                     **options)
    return [
        behind("meta l4proto udp", "whether a firewall drops UDP to the internet, and allow it", "udpBlocked",
               begins=True, silence=5),
        behind(f"ip daddr {network.PROVIDER} udp dport 5060", "whether a firewall drops UDP to the provider", "noAnswer",
               begins=True),
        behind(f"udp dport {provider.STUN_PORT}", "whether a firewall drops UDP to the STUN servers' ports", "stunServersSilent",
               silence=3)]


def cut(office):
    return [Fault("lineDown", Step("Check the line", lambda _: office.lab.network.restore()), lambda _: office.lab.network.cut())]


def calls(office):
    def refused(status, code, words):
        """By whoever was called, or by the provider, until it is not so any more."""
        return Fault(code, Step(words, lambda _: office.far.refuses.clear()), lambda _: office.refused(status))

    def misdialled(number, code, words, status=None):
        def breaks(_):
            office.number = number
            if status:
                office.refused(status)
            else:
                office.dial().wait_ended(30)
        return Fault(code, Step(words, lambda _: setattr(office, "number", provider.FAR_NUMBER)), breaks)

    def other_codec(_):
        office.phone().codec = (18, "G729")
        office.dial().wait_ended(30)

    def start_pbx(_):
        office.phones["pbx"] = office.lab.phone("asterisk", "", LAN, address=PBX, port=5060)

    def call_pbx(_):
        office.call = office.far.dial(provider.NUMBER)

    def pbx_answers(_):
        office.call.wait_ended(PATIENCE)
        office.call = office.far.dial(provider.NUMBER).wait_answered(30)
        office.talk(office.phones["pbx"].wait_incoming())

    # The PBX's machine is there.
    office.lab.network.run("phones", "ip", "addr", "add", PBX + "/24", "dev", "eth0")
    to_pbx = configuration().replace("trunks:\n", f"pbxs:\n  - {{name: asterisk, address: {PBX}:5060}}\ntrunks:\n", 1)
    return [
        refused(403, "callForbidden", "Ask the provider whether the account may call this number"),
        misdialled("+4955199", "numberUnknown", "Check the number"),
        refused(480, "calleeUnavailable", "call again later"),
        misdialled(provider.FAR_NUMBER[:-1], "numberIncomplete", "Dial the whole number", 484),
        refused(486, "calleeBusy", "call again later"),
        refused(487, "callTerminated", "call again"),
        Fault("noCommonCodec", Step("Switch on G.711 (PCMA, PCMU) in the phone",
                                    lambda _: setattr(office.phone(), "codec", (8, "PCMA"))), other_codec),
        refused(503, "calleeCongested", "call again later"),
        refused(603, "calleeDeclined", "Nothing"),
        Fault("pbxGone", Step("See whether it runs", start_pbx), call_pbx, pbx_answers,
              text=to_pbx.replace("to: [phone:10]", "to: [pbx:asterisk]"))]


def sounds(office):
    def behind(rule, words, code):
        def breaks(_):
            office.drop("office", rule, "input")
            office.dial().wait_answered(30)
        return Fault(code, Step(words, lambda _: office.let_pass("office")), breaks, sound_comes)

    def sound_comes(_):
        office.talk(office.far.incoming[-1])        # in the call that is there
        office.call_out(packets=JUDGED)

    ports = f"udp dport {MEDIA.start}-{MEDIA.stop - 1}"
    return [
        behind(f"ip saddr {network.FAR} {ports}", "every firewall let UDP to the ports of media in", "oneWayAudioIn"),
        behind(f"ip saddr {network.PHONES} {ports}",
               "a firewall between the phone and this machine lets UDP to the ports of media in", "oneWayAudioOut"),
        behind(ports, "the firewall of this machine lets UDP to the ports of media in", "noAudio")]


def machine(office):
    def provider_date(date):
        office.home.stop_kamailio()
        office.home.date = date
        start_provider(office)
        office.daemon.get("/api/v1/trunks/provider/register", "POST")

    # The clock of this machine is that of the whole one, so the other way out is taken.
    clock = Fault("clockOff", Step("Where its clock is right, tell the provider", lambda _: provider_date(None)),
                  lambda _: provider_date("Thu, 01 Jan 2026 00:00:00 GMT"), again=True)

    def connect(_):
        office.phone("20").shown = network.PHONES
        office.phone("20").register()

    def behind_router(_):
        office.phone("20").shown = "10.9.9.20"
        office.phone("20").register()

    def enter(password, status):
        def do(_):
            office.phone("20").password = password
            office.phone("20").register(expect=status)
        return do

    def calls_out(_):
        office.call_out("20")

    return [
        clock,
        Fault("phoneBehindNAT", Step("Connect the phone to the office network itself", connect), behind_router, calls_out,
              again=True),
        Fault("phoneRefused", Step("Enter in the phone the password", enter(PHONES["20"], 200)), enter("not-its-own", 403),
              calls_out, again=True),
        taken_ports(office), full_disk(office)]


def taken_ports(office):
    first, last = 55000, 55019
    program = f"""
import socket, time
taken = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range({first}, {last + 1})]
for port, each in enumerate(taken, {first}): each.bind(("0.0.0.0", port))
print("taken", flush=True)
time.sleep(3600)
"""
    holder = None

    def take(_):
        nonlocal holder
        # What the discovery had is free by then.
        host.wait_for("no media port is open", lambda: not office.daemon.media_sockets(), PATIENCE)
        holder = office.lab.network.start("office", sys.executable, "-c", program, log=office.lab.file("holder.log"))
        host.wait_for("the ports are taken", lambda: "taken" in holder.output(), PATIENCE)
        office.dial().wait_ended(30)

    def end_who_has_them(_):
        listed = office.lab.network.run("office", "ss", "-ulpn")
        owners = set(re.findall(rf":{first}\s.*pid=(\d+)", listed))
        host.require(owners == {str(holder.pid)}, f"ss -ulpn does not say who has port {first}: {listed}")
        holder.stop()

    text = configuration().replace(f"{MEDIA.start}-{MEDIA.stop - 1}", f"{first}-{last}")
    return Fault("portTaken", Step("See with ss -ulpn who has it, and end that", end_who_has_them), take, text=text)


def full_disk(office):
    small = office.lab.file("small")
    filler = os.path.join(small, "filler")
    os.makedirs(small, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small], check=True)
    office.ends.callback(subprocess.run, ["umount", "-l", small], check=False)

    def fill(_):
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        office.call_out()

    def works_again(_):
        office.call_out()
        host.wait_for("the store works again", lambda: "the store works again" in office.daemon.process.output(), PATIENCE)
        host.require(len(office.daemon.api("/history")) == 2, "the two calls are not in the history")

    return Fault("diskFull", Step("Make room on the disk that holds store.path", lambda _: os.remove(filler)), fill, works_again,
                 text=configuration(store=os.path.join(small, "calls.sqlite")))


def pairs(office):
    every = {fault.code: fault for row in (lines, cut, calls, sounds, machine) for fault in row(office)}
    return [(every[one], every[other]) for one, other in (
        ("stunServersSilent", "phoneRefused"), ("clockOff", "calleeBusy"), ("oneWayAudioIn", "phoneBehindNAT"),
        ("lineDown", "phoneRefused"))]


ROWS = {"pairs": pairs, "silence": silence, "lines": lines, "cut": cut, "calls": calls, "sounds": sounds,
        "registrations": registrations, "machine": machine}
