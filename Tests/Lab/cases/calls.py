"""Calls through a port-restricted NAT, at a provider that takes Contact and SDP as written: both directions, hung up from
either end; and afterwards nothing is left of them."""

import os
import time

from lab import host, network, provider
from lab.lab import Lab, check_audio
from lab.trunkline import PORT, Daemon, configuration

# Gauges of what is alive; all have to fall back to nothing.
LEFTOVERS = ("trunkline_sip_transactions", "trunkline_sip_dialogs", "trunkline_media_ports",
             "trunkline_call_timers")


def run(lab_arguments, long):
    notes = []
    for latching in ((False, True) if long else (False,)):
        folder = os.path.join(lab_arguments["folder"], "latching" if latching else "strict")
        with Lab(**{**lab_arguments, "folder": folder}) as lab:
            notes.append(talk(lab, latching))
    return "; ".join(notes)


def talk(lab, latching):
    follow = "latching" if latching else "strict"
    home = lab.provider(latching)
    far = home.far_end(follow)
    daemon = Daemon(lab, configuration())
    trunk = daemon.wait_registered()
    host.require(f"{network.PUBLIC}:{PORT}" in (trunk.get("contact") or ""), f"the contact is not public: {trunk.get('contact')}")
    contact = home.events("registered")[-1]["contact"]
    host.require(f"@{network.PUBLIC}:{PORT}" in contact or f":{network.PUBLIC}:{PORT}" in contact,
                 f"the registrar was given {contact}")
    office = daemon.phone("10")
    # The discovery's spare ports, which the system chose, may lie among them.
    host.wait_for("no media port is open before there is a call", lambda: not daemon.media_sockets(), 10)

    # Four calls at once: the office calls twice, the far end calls twice; each side hangs up one of each.
    outbound = [office.dial(provider.FAR_NUMBER).wait_answered() for _ in range(2)]
    heard = [far.wait_incoming(n) for n in (1, 2)]
    inbound = [far.dial(provider.NUMBER).wait_answered() for _ in range(2)]
    rang = [office.wait_incoming(n) for n in (1, 2)]
    host.require(len(daemon.api("/calls")) == 4, f"the API shows {len(daemon.api('/calls'))} calls of 4")
    host.require(len(daemon.media_sockets()) >= 8, f"4 calls have only the media ports {daemon.media_sockets()}")
    time.sleep(10)                  # they talk
    # Which call of one side is which of the other's, their audio says.
    first, second = (mate(call, heard) for call in outbound)
    answered = {call: mate(call, rang) for call in inbound}
    pairs = [(outbound[0], first), (second, outbound[1]), (inbound[0], answered[inbound[0]]),
             (answered[inbound[1]], inbound[1])]
    for ends, other in pairs:
        ends.hang_up()
        other.wait_ended()
        host.require(other.ended_by == "remote", "the other leg did not get a BYE")
    check_audio(*[(f"office, outbound call {n + 1}", c.stream) for n, c in enumerate(outbound)],
                *[(f"far end, outbound call {n + 1}", c.stream) for n, c in enumerate((first, second))],
                *[(f"far end, inbound call {n + 1}", c.stream) for n, c in enumerate(inbound)],
                *[(f"office, inbound call {n + 1}", answered[c].stream) for n, c in enumerate(inbound)])

    # A caller who gives up: the telephone on the other side stops ringing.
    far.answers = office.answers = False
    for caller, called, number in ((office, far, provider.FAR_NUMBER), (far, office, provider.NUMBER)):
        count = len(called.incoming)
        call = caller.dial(number)
        host.wait_for("the other telephone rings", lambda: len(called.incoming) > count, 8)
        host.wait_for("the caller hears that it rings", lambda: call.state == "ringing", 4)
        call.cancel()
        called.incoming[-1].wait_ended()
        host.require(call.status == 487, f"a cancelled call ended with {call.status}")

    def leftovers():
        shown = daemon.metrics()
        lacking = [name for name in LEFTOVERS if name not in shown]
        host.require(not lacking, f"/metrics does not show {', '.join(lacking)}")
        left = [f"{name} {shown[name]:g}" for name in LEFTOVERS if shown[name]]
        left += [f"{len(calls)} calls" for calls in [daemon.api("/calls")] if calls]
        return left + [f"port {port}" for port in daemon.media_sockets()]

    ended = time.monotonic()
    while leftovers() and time.monotonic() - ended < 40:
        time.sleep(0.5)
    left = leftovers()
    host.require(not left, f"40 s after the last call there are still: {', '.join(left)}")
    cleared = time.monotonic() - ended
    host.require(daemon.trunk()["state"] == "registered", "the registration went with the calls")
    history = daemon.api("/history")
    host.require(len(history) == 6, f"the history has {len(history)} calls of 6")
    code = daemon.stop()
    host.require(code == 0, f"exit {code} after SIGTERM")
    inputs = daemon.check_recording()
    last = home.events("registered")[-1]
    host.require(last.get("expires") == "0" or "expires=0" in str(last), f"the binding was left at the registrar: {last}")
    least = min(c.stream.received for pair in pairs for c in pair)
    return f"{follow}: 4 calls, at least {least} packets each way, nothing left after {cleared:.0f} s; {inputs} inputs replay"


def mate(call, candidates):
    """The one of the candidates that hears this call."""
    for candidate in candidates:
        if candidate.stream.heard(call.stream.mark):
            return candidate
    raise host.Failed(f"nobody hears {call.phone.name}: it sent {call.stream.sent} packets to {call.stream.target}, "
                      f"and the others heard {[c.stream.received for c in candidates]}")
