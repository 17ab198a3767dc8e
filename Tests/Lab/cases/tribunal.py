"""Everybody who sees our address is heard, and the reason why they disagree is named, once: a router behind a router, a carrier's
NAT, two lines, a router that rewrites SIP, a STUN server that lies. Calls have audio both ways in each of them, and in a usual
network nothing is said.

In the row `rewritten` no STUN server is configured: everything is written with this machine's own address, and the kernel's helper
rewrites all of it.
"""

import socket
import struct
import threading
import time

from lab import host, miniupnpd, network, provider
from lab.lab import Lab
from lab.trunkline import PORT, Daemon, configuration

ROWS = ("double", "carrier", "lines", "alg", "rewritten", "liar", "upnp", "usual")
CODES = {"doubleNAT", "carrierNAT", "twoLines", "sipALG", "lyingServer", "stunServersDisagree", "routerAddressDiffers"}
HOUSEHOLD = ("192.168.178.1", "192.168.178.20")
ELSEWHERE = "203.0.112.99"
LIAR, LIE = (network.FAR, provider.STUN_PORT), "203.0.113.99"


def run(lab_arguments, long, row):
    return globals()["row_" + row](lab_arguments)


def told(daemon):
    return [v for v in daemon.api("/verdicts") if v["code"] in CODES]


def wait_told(daemon, code, seconds=40):
    """Waits for the verdict; there may be no other of its kind."""
    began = time.monotonic()
    host.wait_for(f"the verdict {code}", lambda: told(daemon), seconds, every=0.1)
    host.require([v["code"] for v in told(daemon)] == [code], f"the verdicts are {told(daemon)}, not {code} alone")
    return told(daemon)[0], time.monotonic() - began


def talk(daemon, home, far_ends, office):
    """A call each way with each far end, with audio both ways."""
    for number, far in far_ends:
        for outgoing in (True, False):
            ring = len((far if outgoing else office).incoming) + 1
            if not outgoing and number != provider.FAR_NUMBER:
                continue
            call = (office.dial(number) if outgoing else far.dial(provider.NUMBER)).wait_answered()
            other = (far if outgoing else office).wait_incoming(ring)
            host.wait_for(f"audio both ways in a call {'out' if outgoing else 'in'} with {number}",
                          lambda: call.stream.heard(other.stream.mark) > 50 and other.stream.heard(call.stream.mark) > 50, 6)
            (other if outgoing else call).hang_up()
            (call if outgoing else other).wait_ended()


def stays(daemon, codes, seconds):
    """Nothing more is said."""
    time.sleep(seconds)
    host.require([v["code"] for v in told(daemon)] == codes, f"then the verdicts are {told(daemon)}")


def behind(lab_arguments, code, outside, **options):
    """The router, asked by NAT-PMP, has an address that is nobody's in the world."""
    with Lab(**lab_arguments, carrier="portrestricted", **options) as lab:
        lab.network.start("router", "python3", "-c", NAT_PMP, outside, log=lab.file("natpmp.log"))
        home = lab.provider(latching=False)
        far_ends = [(provider.FAR_NUMBER, home.far_end("strict")), (provider.OTHER_NUMBER, home.far_end(other=True))]
        daemon = Daemon(lab, configuration())
        daemon.wait_registered()
        verdict, seconds = wait_told(daemon, code)
        host.require(outside in verdict["evidence"] and network.PUBLIC in verdict["evidence"], f"the evidence is {verdict['evidence']}")
        talk(daemon, home, far_ends, daemon.phone("10"))
        stays(daemon, [code], 5)
        return f"{code} after {seconds:.0f} s: {verdict['evidence']}"


def row_double(lab_arguments):
    return behind(lab_arguments, "doubleNAT", HOUSEHOLD[1], between=HOUSEHOLD)


def row_carrier(lab_arguments):
    return behind(lab_arguments, "carrierNAT", network.CUSTOMER)


def row_lines(lab_arguments):
    with Lab(**lab_arguments, nat="twolines") as lab:
        home = lab.provider(latching=False)
        far = home.far_end("latching")
        daemon = Daemon(lab, configuration())
        daemon.wait_registered()
        verdict, seconds = wait_told(daemon, "twoLines")
        second = lab.network.pool[0]
        host.require(f"sees {network.PUBLIC}" in verdict["evidence"] and f"sees {second}" in verdict["evidence"],
                     f"the evidence is {verdict['evidence']}")
        talk(daemon, home, [(provider.FAR_NUMBER, far)], daemon.phone("10"))
        stays(daemon, ["twoLines"], 5)
        return f"twoLines after {seconds:.0f} s: {verdict['evidence']}"


def row_alg(lab_arguments):
    with Lab(**lab_arguments, nat="alg") as lab:
        home = lab.provider(latching=False)
        far_ends = [(provider.FAR_NUMBER, home.far_end("strict")), (provider.OTHER_NUMBER, home.far_end(other=True))]
        daemon = Daemon(lab, configuration())
        daemon.wait_registered()
        verdict, seconds = wait_told(daemon, "sipALG", 10)
        host.require(f"{network.PUBLIC}:{PORT} and came back as {network.OFFICE}:{PORT}" in verdict["evidence"],
                     f"the evidence is {verdict['evidence']}")
        office = daemon.phone("10")
        talk(daemon, home, far_ends, office)
        # The helper is switched off, and what it looks after ends.
        lab.network.set_nat("portrestricted")
        host.wait_for("the log says that it is over", lambda: "over: Something between" in daemon.process.output(), 100, every=0.5)
        talk(daemon, home, far_ends, office)
        stays(daemon, ["sipALG"], 1)
        return f"sipALG after {seconds:.1f} s: {verdict['evidence']}; audio both ways with it and without"


def row_rewritten(lab_arguments):
    with Lab(**lab_arguments, nat="alg") as lab:
        home = lab.provider(latching=False)
        far_ends = [(provider.FAR_NUMBER, home.far_end("strict")), (provider.OTHER_NUMBER, home.far_end(other=True))]
        daemon = Daemon(lab, configuration().replace(f'stunServers: ["{network.PROVIDER}:{provider.STUN_PORT}"]', "stunServers: []"))
        daemon.wait_registered()
        contact = home.events("registered")[-1]["contact"]
        host.require(f"{network.PUBLIC}:{PORT}" in contact and network.OFFICE in (daemon.trunk()["contact"] or ""),
                     f"nothing was rewritten: the provider has {contact}, we sent {daemon.trunk()['contact']}")
        talk(daemon, home, far_ends, daemon.phone("10"))
        return f"sent {daemon.trunk()['contact']}, the provider has {contact}; audio both ways"


def row_liar(lab_arguments):
    with Lab(**lab_arguments) as lab:
        home = lab.provider(latching=False)
        liar = Liar(lab)
        far_ends = [(provider.FAR_NUMBER, home.far_end("strict")), (provider.OTHER_NUMBER, home.far_end(other=True))]
        both = f'{LIAR[0]}:{LIAR[1]}", "{network.PROVIDER}:{provider.STUN_PORT}'
        daemon = Daemon(lab, configuration(stun=both))
        daemon.wait_registered()
        verdict, seconds = wait_told(daemon, "lyingServer")
        host.require(f"{LIAR[0]}:{LIAR[1]} sees {LIE}" in verdict["evidence"], f"the evidence is {verdict['evidence']}")
        host.wait_for("the other one is believed", lambda: daemon.api("/uplinks")[0]["publicAddress"]["ip"] == network.PUBLIC, 5)
        host.wait_for("the contact leads here", lambda: f"{network.PUBLIC}:{PORT}" in home.events("registered")[-1]["contact"], 5)
        talk(daemon, home, far_ends, daemon.phone("10"))
        stays(daemon, ["lyingServer"], 5)
        # What the next step says.
        host.require(liar.asked > 0, "the lying server was not asked")
        return f"lyingServer after {seconds:.0f} s: {verdict['evidence']}; its address was not believed any more"


def row_upnp(lab_arguments):
    """A router that speaks UPnP alone is heard although nothing is to be mapped."""
    with Lab(**lab_arguments, nat="portrestricted") as lab:
        router = miniupnpd.Router(lab).start(pcp=False, says=ELSEWHERE)
        home = lab.provider(latching=False)
        far = home.far_end("strict")
        daemon = Daemon(lab, configuration())
        daemon.wait_registered()
        verdict, seconds = wait_told(daemon, "routerAddressDiffers")
        host.require(ELSEWHERE in verdict["evidence"] and router.address in verdict["evidence"], f"the evidence is {verdict['evidence']}")
        talk(daemon, home, [(provider.FAR_NUMBER, far)], daemon.phone("10"))
        stays(daemon, ["routerAddressDiffers"], 5)
        host.require(router.mappings() == {}, f"nothing was to be mapped, and it maps {router.mappings()}")
        return f"routerAddressDiffers after {seconds:.0f} s: {verdict['evidence']}; nothing is mapped"


def row_usual(lab_arguments):
    """A router that tells the truth, a new address, a reboot of the router: nothing is wrong."""
    with Lab(**lab_arguments) as lab:
        router = miniupnpd.Router(lab).start()
        home = lab.provider(latching=False)
        far = home.far_end("strict")
        daemon = Daemon(lab, configuration().replace("keepalive: 10s", "keepalive: 10s, incoming: pcp"))
        daemon.wait_registered()
        time.sleep(12)
        router.cut()
        time.sleep(2)
        router.restore(miniupnpd.SECOND)
        host.wait_for("the new address is registered",
                      lambda: miniupnpd.SECOND in home.events("registered")[-1]["source"], 30)
        time.sleep(20)
        talk(daemon, home, [(provider.FAR_NUMBER, far)], daemon.phone("10"))
        host.require(told(daemon) == [], f"nothing is wrong, and it says {told(daemon)}")
        return "nothing is said"


class Liar:
    """A STUN server that tells everybody the same wrong address."""

    def __init__(self, lab):
        self.asked = 0
        self.socket = lab.network.socket("provider", self._bind)
        lab.captures.append(self)       # what the lab closes at its end
        threading.Thread(target=self._serve, daemon=True).start()

    def _bind(self):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(LIAR)
        return made

    def _serve(self):
        while True:
            try:
                request, source = self.socket.recvfrom(2048)
            except OSError:
                return
            if len(request) < 20 or request[:2] != b"\0\x01":
                continue
            self.asked += 1
            address = struct.unpack("!I", socket.inet_aton(LIE))[0] ^ 0x2112A442
            value = struct.pack("!BBHI", 0, 1, source[1] ^ 0x2112, address)
            self.socket.sendto(struct.pack("!HH", 0x0101, 4 + len(value)) + request[4:20]
                               + struct.pack("!HH", 0x0020, len(value)) + value, source)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


# A router that says its address by NAT-PMP (RFC 6886 §3.2) and maps nothing: miniupnpd does not speak at all with such an address.
NAT_PMP = """
import socket, struct, sys, time
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
made.bind(("192.168.77.1", 5351))
while True:
    request, source = made.recvfrom(1100)
    epoch = int(time.monotonic()) & 0xffffffff
    if request[:1] != b"\\0":
        made.sendto(struct.pack("!BBHI", 0, 128 | request[1] & 127, 1, epoch), source)
    elif request[1:2] == b"\\0":
        made.sendto(struct.pack("!BBHI", 0, 128, 0, epoch) + socket.inet_aton(sys.argv[1]), source)
    else:
        made.sendto(struct.pack("!BBHI", 0, 128 | request[1], 3, epoch), source)
"""
