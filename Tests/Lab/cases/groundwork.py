"""The lab itself, without Trunkline: each kind of NAT behaves as it is called, and a telephone behind it can talk through
Kamailio. When this fails, the other cases say nothing about Trunkline."""

import os
import socket
import threading
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
# How long the router with stale state remembers, seconds.
STALE_TIMEOUT = 3


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


def seen(office, server):
    """As what the server sees a packet of the office, when its answer arrives; None when either is lost."""
    while drop(office) or drop(server):
        pass
    office.sendto(b"who am I", server.getsockname())
    try:
        source = server.recvfrom(100)[1]
        server.sendto(b"you", source)
        return source[0] if office.recvfrom(100)[0] == b"you" else None
    except OSError:
        return None


def drop(made):
    """Whether there was a packet left of before."""
    try:
        return made.recvfrom(100, socket.MSG_DONTWAIT)
    except OSError:
        return None


def second_line(lab):
    """What leaves from the second address goes by the second line, whatever becomes of the first."""
    net = lab.network
    server = net.socket("provider", lambda: bound(network.PROVIDER))
    first, second = (net.socket("office", lambda a=address: bound(a)) for address in (network.OFFICE, network.OFFICE_2))
    for does, expected in ((None, (network.PUBLIC, network.PUBLIC_2)), (net.cut, (None, network.PUBLIC_2)),
                           (net.restore, (network.PUBLIC, network.PUBLIC_2)), (net.cut_second, (network.PUBLIC, None)),
                           (net.restore_second, (network.PUBLIC, network.PUBLIC_2))):
        if does:
            does()
        found = seen(first, server), seen(second, server)
        host.require(found == expected, f"two lines after {getattr(does, '__name__', 'the start')}: {found}, not {expected}")
    for each in (server, first, second):
        each.close()


def stale_state(lab):
    """A router that kept its state: a port that goes on sending leaves by the old address and gets no answer, a fresh one
    works, and so does the old one when it was silent for as long as the router remembers."""
    net, address = lab.network, "203.0.113.20"
    link = lab.capture("core", "cust0")
    server = net.socket("provider", lambda: bound(network.PROVIDER))
    port = net.socket("office", lambda: bound(network.OFFICE))
    host.require(seen(port, server) == network.PUBLIC, "stale state: the port does not work to begin with")
    net.cut(keep_state=True)
    net.restore(address, keep_state=True)
    began = time.time()
    while time.time() < began + 2 * STALE_TIMEOUT:
        found = seen(port, server)
        host.require(found is None, f"stale state: the port that goes on sending is answered, as {found}")
    sources = {p.source[0] for p in link.seen(lambda p: p.target[0] == network.PROVIDER, began)}
    host.require(sources == {network.PUBLIC}, f"stale state: packets left as {sources}")
    fresh = net.socket("office", lambda: bound(network.OFFICE))
    found = seen(fresh, server)
    host.require(found == address, f"stale state: a fresh port is seen as {found}")
    time.sleep(STALE_TIMEOUT + 1)
    found = seen(port, server)
    host.require(found == address, f"stale state: after silence the old port is seen as {found}")
    for each in (server, port, fresh):
        each.close()


def beside(lab_arguments, failures):
    """Networks that only some cases have."""
    for work, options in ((stale_state, {"nat": "stale", "udp_timeout": STALE_TIMEOUT, "stream_timeout": STALE_TIMEOUT}),
                          (second_line, {"second": True})):
        arguments = {"prefix": lab_arguments["prefix"] + "b", "folder": os.path.join(lab_arguments["folder"], work.__name__)}
        try:
            with Lab(**arguments, **options) as lab:
                work(lab)
        except Exception as error:
            failures.append(error)


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
    failures = []
    others = threading.Thread(target=beside, args=(lab_arguments, failures))
    others.start()
    try:
        heard = kinds_and_calls(lab_arguments, seconds)
    finally:
        others.join()
    if failures:
        raise failures[0]
    return (f"{len(KINDS)} kinds of NAT, stale state, a second line; four calls of {seconds} s, at least {min(heard)} packets "
            "each way")


def kinds_and_calls(lab_arguments, seconds):
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
    return heard
