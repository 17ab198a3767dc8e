"""The lab itself, without Trunkline: each kind of NAT behaves as it is called, and a telephone behind it can talk through
Kamailio. When this fails, the other cases say nothing about Trunkline."""

import os
import socket
import time

from lab import host, network, provider
from lab.lab import Lab, check_audio

# kind: (address seen outside, one mapping for two destinations, a stranger's packet comes in, the peer's other port comes in)
KINDS = {
    "open": (network.OFFICE, True, True, True),
    "fullcone": (network.PUBLIC, True, True, True),
    "restricted": (network.PUBLIC, True, False, True),
    "portrestricted": (network.PUBLIC, True, False, False),
    "symmetric": (network.PUBLIC, False, False, False),
    "blocked": None,
}


def probe(net):
    """What a socket of the office sees of the NAT: the four values of KINDS."""
    def make(address):
        return lambda: bound(address)
    office = net.socket("office", make(network.OFFICE))
    first, second, other = (net.socket("provider", make(a)) for a in (network.PROVIDER, network.PROVIDER_2, network.PROVIDER))
    try:
        seen = []
        for server in (first, second):
            office.sendto(b"who am I", server.getsockname())
            try:
                seen.append(server.recvfrom(100)[1])
            except OSError:
                return None
        # The second address was written to for its mapping, so the stranger is a third one.
        stranger = net.socket("provider", make(network.FAR))
        arrived = []
        for sender in (stranger, other):
            sender.sendto(b"hello", seen[0])
            try:
                office.recvfrom(100)
                arrived.append(True)
            except OSError:
                arrived.append(False)
        stranger.close()
        return seen[0][0], seen[0] == seen[1], arrived[0], arrived[1]
    finally:
        for each in (office, first, second, other):
            each.close()


def talk(lab, latching, seconds):
    """Two calls between the office and the far end; how many packets each end heard."""
    home = lab.provider(latching)
    link = lab.capture()
    mapped = provider.stun_ask(lab.network, "office", network.OFFICE, (network.PROVIDER, provider.STUN_PORT))
    host.require(mapped and mapped[0] == network.PUBLIC, f"STUN through the NAT saw {mapped}")
    host.wait_for("the capture sees the STUN request leave", lambda: link.seen(
        lambda p: p.outgoing and p.is_stun_request and p.target == (network.PROVIDER, provider.STUN_PORT)), 2)
    far = home.far_end("latching" if latching else "strict")
    office = lab.phone(provider.USER, provider.PASSWORD, provider.REGISTRAR, "office", network.OFFICE,
                       domain=provider.DOMAIN, advertise=None if latching else network.PUBLIC)
    office.register()
    out = office.dial(provider.FAR_NUMBER).wait_answered()
    heard = far.wait_incoming()
    back = far.dial(provider.NUMBER).wait_answered()
    rang = office.wait_incoming()
    time.sleep(seconds)             # they talk
    out.hang_up()
    back.hang_up()
    for call in (heard, rang):
        call.wait_ended()
    calls = (out, heard, back, rang)
    check_audio(("office, own call", out.stream), ("far end, called", heard.stream), ("far end, own call", back.stream),
                ("office, called", rang.stream), at_least=seconds * 50 - 10)
    wrong = lab.phone(provider.USER, "guess", provider.REGISTRAR, "office", network.OFFICE, domain=provider.DOMAIN)
    wrong.register(expect=401)
    host.require(len(home.events("refused")) >= 1, "Kamailio did not note the refusal")
    return [call.stream.received for call in calls]


def bound(address):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.settimeout(0.3)
    return made


def run(lab_arguments, long):
    seconds = 10 if long else 3
    with Lab(**lab_arguments) as lab:
        for kind, expected in KINDS.items():
            lab.network.set_nat(kind)
            found = probe(lab.network)
            host.require(found == expected, f"NAT {kind}: expected {expected}, found {found}")
        lab.network.set_nat("portrestricted")
    heard = []
    # A latching provider mends a telephone that knows nothing of the NAT; a strict one wants to be told the truth.
    for latching in (True, False):
        folder = os.path.join(lab_arguments["folder"], "latching" if latching else "strict")
        with Lab(**{**lab_arguments, "folder": folder}) as lab:
            heard += talk(lab, latching, seconds)
    return f"{len(KINDS)} kinds of NAT; four calls of {seconds} s, at least {min(heard)} packets each way"
