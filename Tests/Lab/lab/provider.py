"""The provider's side: Kamailio, a STUN server on two addresses, and the far end of calls."""

import os
import re
import shutil
import socket
import struct

from . import host, network, phone, sip

USER, PASSWORD, NUMBER = "trunk", "trunk-secret", "+4921112345"
DOMAIN, FAR_NUMBER, OTHER_NUMBER, SIPP_NUMBER = "provider.example", "+493012345", "+494012345", "+498912345"
REGISTRAR = (network.PROVIDER, 5060)
STUN_PORT = 3478


class Provider:
    """`latching` answers to where packets come from; otherwise Contact and SDP are taken as written. With a `date` that stands in
    its answers to REGISTER."""

    def __init__(self, lab, latching=False, ipv6=False, date=None):
        self.lab, self.latching, self.date = lab, latching, date
        # Where the trunk and the far end reach it.
        self.address, self.far = (network.PROVIDER_6, network.FAR_6) if ipv6 else (network.PROVIDER, network.FAR)
        self.kamailio = None
        self.start_kamailio()

    def start_kamailio(self):
        if host.missing_tools("kamailio"):
            raise host.Skipped("kamailio is not installed")
        words = ["kamailio", "-DD", "-E", "-m", "32", "-M", "8", "-f", os.path.join(host.LAB, "kamailio", "provider.cfg"),
                 "-Y", self.lab.folder, "-w", self.lab.folder]
        if self.latching:
            words += ["-A", "LATCHING"]
        if self.address == network.PROVIDER_6:
            words += ["-A", "IPV6"]
        if self.date:
            words += ["-A", f'LABDATE="Date: {self.date}\\r\\n"']
        self.kamailio = self.lab.network.start("provider", *words, log=self.lab.file("kamailio.log"))
        host.wait_for("Kamailio answers", self._answers, 15, every=0.1)

    def stop_kamailio(self):
        self.kamailio.stop()

    def _answers(self):
        host.require(self.kamailio.running, f"Kamailio ended: {self.kamailio.output()[-600:]}")
        return ask(self.lab.network, network.PROVIDER_2, REGISTRAR,
                   sip.Message(f"OPTIONS sip:{network.PROVIDER} SIP/2.0", [
                       ("Via", f"SIP/2.0/UDP {network.PROVIDER_2};branch=z9hG4bK{sip.token()};rport"),
                       ("From", "<sip:lab@lab>;tag=1"), ("To", "<sip:lab@lab>"), ("Call-ID", sip.token()),
                       ("CSeq", "1 OPTIONS"), ("Max-Forwards", "70")]).encode())

    def start_stun(self, kind="coturn"):
        first, second = network.PROVIDER, network.PROVIDER_2
        if kind == "coturn":
            third = ["-L", self.address] if ":" in self.address else []
            words = ["turnserver", "-n", "-S", "-L", first, "-L", second, *third, "-p", str(STUN_PORT), "--no-tls", "--no-dtls",
                     "--no-tcp", "--no-cli", "-m", "1", "--log-file=stdout", "--pidfile", self.lab.file("turn.pid"),
                     "--userdb", self.lab.file("turn.db")]
        else:
            # RFC 3489's time: no magic cookie, two ports as well as two addresses.
            words = ["stund", "-h", first, "-a", second, "-p", str(STUN_PORT), "-o", str(STUN_PORT + 1)]
        path = shutil.which(words[0], path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not path:
            raise host.Skipped(f"{words[0]} is not installed")
        self.lab.network.start("provider", path, *words[1:], log=self.lab.file("stun.log"))
        host.wait_for(f"{kind} answers", lambda: stun_ask(self.lab.network, "provider", network.FAR, (first, STUN_PORT)), 10)

    def far_end(self, follow="latching", other=False, **options):
        """The registered far end, called by FAR_NUMBER, or the other one at an address of its own, by OTHER_NUMBER."""
        user, address = ("other", network.FAR_2) if other else ("far", self.far)
        far = phone.Phone(self.lab.network, "provider", address, (self.address, 5060), user, "far-secret", DOMAIN, port=5070,
                          follow=follow, **options)
        self.lab.phones.append(far)
        return far.register(expires=600)

    def events(self, kind):
        """What Kamailio noted, as dictionaries in the order of time."""
        found = []
        for line in re.findall(rf"EVENT {kind} (.*)", self.kamailio.output()):
            found.append(dict(part.partition("=")[::2] for part in line.split()))
        return found


def ask(net, address, to, packet, place="provider", seconds=0.3):
    """One datagram and the answer to it; None when there is none."""
    def make():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        return made
    with net.socket(place, make) as made:
        made.settimeout(seconds)
        try:
            made.sendto(packet, to)
            return made.recvfrom(4096)[0]
        except OSError:
            return None


def stun_request():
    return struct.pack("!HHI", 1, 0, 0x2112A442) + os.urandom(12)


def stun_mapped(answer):
    """(address, port) of a Binding answer."""
    place = 20
    while place + 4 <= len(answer):
        kind, size = struct.unpack_from("!HH", answer, place)
        value = answer[place + 4:place + 4 + size]
        if kind in (0x0001, 0x0020, 0x8020):
            port, number = struct.unpack_from("!HI", value, 2)
            if kind != 0x0001:
                port, number = port ^ 0x2112, number ^ 0x2112A442
            return socket.inet_ntoa(struct.pack("!I", number)), port
        place += 4 + (size + 3) // 4 * 4
    return None


def stun_ask(net, place, address, server):
    answer = ask(net, address, server, stun_request(), place)
    return stun_mapped(answer) if answer else None
