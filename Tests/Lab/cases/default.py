"""`trunkline run` with no configuration: useful at once. Two telephones with the printed passwords, one on loopback and one at a
private address; they call each other, and the echo service; nothing listens on a public address; Ctrl-C ends it well."""

import json
import os
import re
import signal
import time

from lab import host, network
from lab.lab import Lab, check_audio
from lab.trunkline import LAN, PORT, Daemon

from cases.demo import silences

PUBLIC_ADDRESS = "203.0.113.77"    # an address of the machine that is not private: nothing may listen there
SERVICE = "*43"


def accounts(text):
    """{extension: password} from what the start prints."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*(?:(?:phone|extension|user(?:name)?)\W+)?(\d+)\b.*?\bpassword:?\s+(\S+)", line, re.I)
        if match:
            found[match.group(1)] = match.group(2)
    return found


def run(lab_arguments, long):
    seconds = 10 if long else 4
    if os.path.exists("/etc/trunkline/trunkline.yaml"):
        raise host.Skipped("this machine has a configuration of its own in /etc/trunkline")
    with Lab(**lab_arguments) as lab:
        host.command("ip", "-n", lab.network.namespace("office"), "addr", "add", PUBLIC_ADDRESS + "/32", "dev", "lo")
        host.command("ip", "-n", lab.network.namespace("phones"), "route", "add", PUBLIC_ADDRESS, "via", network.OFFICE)
        began = time.monotonic()
        daemon = Daemon(lab)
        found = host.wait_for("two accounts are printed", lambda: len(accounts(daemon.process.output())) >= 2
                              and accounts(daemon.process.output()), 5)
        host.wait_for("ready", lambda: daemon.get("/readyz")[0] == 200, 10)
        took = time.monotonic() - began
        host.require("127.0.0.1:8065" in daemon.process.output(), "no link to the dashboard is printed")
        (first, first_password), (second, second_password) = sorted(found.items())[:2]

        near = lab.phone(first, first_password, ("127.0.0.1", LAN[1]), "office", "127.0.0.1").register()
        away = lab.phone(second, second_password, LAN, "phones", network.PHONES).register()
        wrong = lab.phone(second, "guess", LAN, "phones", network.PHONES)
        refused = 0
        for status in (401, 403):
            try:
                wrong.register(expect=status)
                refused = status
                break
            except host.Failed:
                continue
        host.require(refused, f"a wrong password got {wrong.registered}")
        host.require(away.options(f"sip:{LAN[0]}", LAN) > 0, "no answer at the private address")
        host.require(away.options(f"sip:{PUBLIC_ADDRESS}", (PUBLIC_ADDRESS, LAN[1]), seconds=1.5) == 0,
                     "it answers at a public address")

        # What the same user asks beside it.
        code, text = daemon.verb("status")
        host.require(code == 0 and first in text, f"`trunkline status` ended with {code}: {text}")

        across = near.dial(second).wait_answered()
        rang = away.wait_incoming()
        echoes = [phone.dial(SERVICE).wait_answered() for phone in (near, away)]
        time.sleep(seconds)
        across.hang_up()
        rang.wait_ended()
        for call in echoes:
            call.hang_up()
        least = seconds * 50 - 10
        check_audio((f"phone {first}", across.stream), (f"phone {second}", rang.stream),
                    *[("a caller of " + SERVICE, call.stream) for call in echoes], at_least=least)
        for call in echoes:
            host.require(call.stream.own >= least, f"{SERVICE}: {call.stream.own} packets of one's own, expected {least}")

        # No telephone at hand: the built-in one calls, the line is cut, and what came back has a gap.
        with open(os.path.join(daemon.folder, "control.json")) as file:
            daemon.token = json.load(file)["token"]
        before = daemon.api("/uplinks")[0]["publicAddress"]
        status, body = daemon.get("/api/v1/demo/call", "POST")
        host.require(status == 202, f"Call: {status} {body}")
        name = json.loads(body)["recording"]
        host.wait_for("the built-in phone's call is answered",
                      lambda: [c for c in daemon.api("/calls") if c["state"] == "answered"], 5)
        time.sleep(1.5)
        host.require(daemon.get("/api/v1/demo/cut", "POST")[0] == 204, "Cut the line")
        host.require(daemon.get("/api/v1/demo/cut", "POST")[0] == 409, "a line that is down was cut")
        wav = lab.file("recording.wav")

        def recorded():
            status, body = daemon.fetch("/api/v1/demo/recording.wav?id=" + name)
            host.require(status in (200, 202), f"recording: {status} {body[:200]}")
            if status == 202:
                return False
            with open(wav, "wb") as file:
                file.write(body)
            return True
        host.wait_for("the recording", recorded, 20)
        gaps, length = silences(wav)
        host.require(len(gaps) == 1 and 2.5 < gaps[0] < 4.5, f"silences in {length:.1f} s: {gaps}")
        after = daemon.api("/uplinks")[0]["publicAddress"]
        host.require(after["ip"] != before["ip"], f"the public address is {after} still")

        # The change is on record, and the recording replays.
        # What happens within 20 s of an incident belongs to it; that of the refused phone may be so new.
        incident = host.wait_for("an incident", lambda: daemon.api("/incidents"), 5)[0]
        host.require(incident["code"] in ("addressChanged", "phoneRefused"), f"{incident}")
        text = daemon.get("/api/v1/incidents/" + incident["id"])[1]
        for secret in (first_password, second_password, "211123450", "provider.example", "Reception", network.PHONES):
            host.require(secret not in text, f"{secret} is in the recording")
        with open(lab.file("incident.recording"), "w") as file:
            file.write(text)
        code, told = daemon.verb("replay", lab.file("incident.recording"))
        host.require(code == 0 and "every decision is the one that was recorded" in told, f"replay: {code} {told[-400:]}")

        # Ctrl-C with a call up: the call is ended, the registration removed.
        last = near.dial(SERVICE).wait_answered()
        loopback, now = lab.records["office", "lo"], time.time()
        code = daemon.stop(number=signal.SIGINT)
        host.require(code == 0, f"exit {code} after Ctrl-C")
        last.wait_ended(2)
        host.require(last.ended_by == "remote", "Ctrl-C left a call up")
        removals = loopback.seen(lambda p: p.source[1] == PORT and p.method == "REGISTER" and b"\r\nExpires: 0\r\n" in p.data, now)
        host.require(removals, "the trunk was not unregistered")
        answer = loopback.seen(lambda p: p.target[1] == PORT and p.data.startswith(b"SIP/2.0 200") and b"REGISTER" in p.data, now)
        host.require(answer, "the provider did not answer the REGISTER that removes the registration")
        return (f"ready after {took:.1f} s; two telephones, one call between them, {SERVICE} heard itself "
                f"({echoes[0].stream.own} packets); a call of the built-in phone outlived a cut of 3 s with {gaps[0]:.2f} s of silence")
