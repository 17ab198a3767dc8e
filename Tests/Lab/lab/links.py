"""Single packets in the daemon's stead: what of a firewall's rules lets pass, each way, by the names of `FirewallProbe`.

Nothing of Trunkline runs meanwhile; the sockets have its ports. A probe is tried until it succeeds or its patience is over.
"""

import os
import socket
import struct
import threading
import time

from . import network, provider, sip
from .trunkline import EXECUTABLE, HTTP, LAN, PORT, configuration

TLS, SPARE = 5061, 65003
ROUTER = "192.168.77.1"
MEDIA_PORT, DISCOVERY_PORT, FAR_PORT, OTHER_PORT = 55000, 40001, 7000, 5099


class Links:
    def __init__(self, lab, ipv6):
        self.lab, self.net, self.ipv6 = lab, lab.network, ipv6
        self.office = network.OFFICE_6 if ipv6 else network.OFFICE
        self.server = network.PROVIDER_6 if ipv6 else network.PROVIDER
        self.far = network.FAR_6 if ipv6 else network.FAR
        # Not the provider's address, which voice is tried with too: else one rule would do for another.
        self.stun_server = self.far if ipv6 else network.PROVIDER_2
        if ipv6:
            lab.network.start("provider", EXECUTABLE, "stun-server", "--listen", f"[{self.far}]:{provider.STUN_PORT}",
                              log=lab.file("stun-server.log"))
        # Names are asked for over IPv4 in either case, at an address that no other rule knows.
        self.names_server = network.FAR
        # `ip netns exec` shows it as /etc/resolv.conf; it goes with the namespace.
        folder = f"/etc/netns/{self.net.namespace('office')}"
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "resolv.conf"), "w") as file:
            file.write(f"nameserver {self.names_server}\noptions timeout:3 attempts:5\n")
        self._name_server = NameServer(self.net, self.names_server, {"stun.lab": self.stun_server, "sip.lab": self.server})
        lab.captures.append(self)       # what the lab closes at its end

    def configuration(self):
        """One trunk and one STUN server, both by name; a spare port, a TLS port, and a dashboard for the office."""
        text = configuration(server=self.server, bind="[::]" if self.ipv6 else "0.0.0.0")
        bracketed = sip.bracketed(self.server)
        return (text.replace(f"{bracketed}:{provider.STUN_PORT}", f"stun.lab:{provider.STUN_PORT}")
                .replace(f"{bracketed}:5060", "sip.lab:5060").replace("lan: {bind: 0.0.0.0:5060}",
                                                                     f"lan: {{bind: 0.0.0.0:5060, tlsBind: 0.0.0.0:{TLS}}}")
                .replace(f"bind: {HTTP[0]}:{HTTP[1]}", f"bind: 0.0.0.0:{HTTP[1]}")
                .replace("keepalive: 10s", f"keepalive: 10s, sparePort: {SPARE}"))

    def silence(self):
        self._name_server.silent = True

    def close(self):
        self._name_server.close()

    def probe(self, name, patience=0.45):
        """Whether it succeeds."""
        return getattr(self, "_" + name.replace("-", "_"))(time.monotonic() + patience)

    def stranger(self, patience=0.6):
        """Whether a packet of somebody who is neither provider nor STUN server comes in at the SIP port."""
        return self._arrives("provider", (self.far, OTHER_PORT), "office", (self.office, PORT), time.monotonic() + patience)

    # Probes.

    def _socket(self, place, address, kind=socket.SOCK_DGRAM):
        def make():
            made = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.settimeout(0.1)
            return made
        return self.net.socket(place, make)

    def _answered(self, port, target, packet, end, own=None):
        """Whether an answer comes from there."""
        with self._socket("office", (own or self.office, port)) as made:
            while True:
                try:
                    made.sendto(packet, target)
                    if made.recvfrom(4096)[1][:2] == target:
                        return True
                except OSError:                 # silence, or the machine's own firewall refused it at once
                    time.sleep(0.02)
                if time.monotonic() > end:
                    return False

    def _arrives(self, place, source, target_place, target, end, size=100, shown=None):
        """Whether a packet arrives; at the port `shown` of the other side, where something translates."""
        mark = os.urandom(16).ljust(size, b".")
        with self._socket(target_place, target) as listening, self._socket(place, source) as sending:
            while True:
                try:
                    sending.sendto(mark, shown or target)
                    if listening.recvfrom(4096)[0] == mark:
                        return True
                except OSError:
                    time.sleep(0.02)
                if time.monotonic() > end:
                    return False

    # What holds for the SIP port has to hold for the spare one.

    def _stun(self, end):
        return all(self._answered(port, (self.stun_server, provider.STUN_PORT), provider.stun_request(), end)
                   for port in (PORT, SPARE))

    def _discovery(self, end):
        return self._answered(DISCOVERY_PORT, (self.stun_server, provider.STUN_PORT), provider.stun_request(), end)

    def _registration(self, end):
        return all(self._answered(port, (self.server, 5060), self._options(port), end) for port in (PORT, SPARE))

    def _options(self, port):
        return sip.Message(f"OPTIONS sip:{sip.bracketed(self.server)} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP {sip.bracketed(self.office)}:{port};branch=z9hG4bK{sip.token()};rport"),
            ("From", "<sip:lab@lab>;tag=1"), ("To", "<sip:lab@lab>"), ("Call-ID", sip.token()), ("CSeq", "1 OPTIONS"),
            ("Max-Forwards", "70")]).encode()

    @property
    def _translated(self):
        return not self.ipv6 and "masquerade" in self.net.run("router", "nft", "list", "ruleset")

    def _call(self, end):
        # Through a NAT the only way in is the one that our own packets have opened.
        if self._translated:
            return self._registration(end)
        return all(self._arrives("provider", (self.server, OTHER_PORT), "office", (self.office, port), end)
                   for port in (PORT, SPARE))

    def _forward(self, end):
        # From a port that the router has not seen: what it forwarded once it goes on forwarding.
        return all(self._arrives("provider", (self.server, 0), "office", (self.office, port), end, shown=(network.PUBLIC, public))
                   for public, port in ((5060, PORT), (SPARE, SPARE)))

    def _voice_out(self, end, size=100):
        return self._arrives("office", (self.office, MEDIA_PORT), "provider", (self.server, FAR_PORT), end, size)

    def _voice_in(self, end):
        if not self._translated:
            return self._arrives("provider", (self.server, FAR_PORT), "office", (self.office, MEDIA_PORT), end)
        self._voice_out(end)
        return self._arrives("provider", (self.server, FAR_PORT), "office", (self.office, MEDIA_PORT), end,
                             shown=(network.PUBLIC, MEDIA_PORT))

    def _large(self, end):
        """Fragments come in, and somebody on the way who takes only short packets is heard."""
        if not self._translated and not self._arrives("provider", (self.server, OTHER_PORT), "office", (self.office, PORT),
                                                      end, 1600):
            return False
        self.net.run("core", "ip", "link", "set", "prov0", "mtu", "1300")
        try:
            self.net.run("office", "ip", *(["-6"] if self.ipv6 else []), "route", "flush", "cache")
            return self._voice_out(max(end, time.monotonic() + 0.45), 1400)
        finally:
            self.net.run("core", "ip", "link", "set", "prov0", "mtu", "1500")

    def _phone(self, end):
        phone = (network.PHONES, OTHER_PORT)
        return (self._arrives("phones", phone, "office", LAN, end)
                and self._arrives("office", LAN, "phones", phone, max(end, time.monotonic() + 0.2)))

    def _connects(self, port, end, place="office", address=network.OFFICE, caller=("phones", network.PHONES)):
        with self._socket(place, (address, port), socket.SOCK_STREAM) as listening:
            listening.listen(8)
            while True:
                with self._socket(caller[0], (caller[1], 0), socket.SOCK_STREAM) as calling:
                    calling.settimeout(0.3)
                    try:
                        calling.connect((address, port))
                        return True
                    except OSError:
                        pass
                if time.monotonic() > end:
                    return False

    def _phone_tcp(self, end):
        return self._connects(LAN[1], end)

    def _phone_tls(self, end):
        return self._connects(TLS, end)

    def _dashboard(self, end):
        return self._connects(HTTP[1], end)

    def _router(self, end):
        """Datagrams to its port 5351 and back, what it announces, and TCP to a port of its choice."""
        router, ours = (ROUTER, 5351), (network.OFFICE, DISCOVERY_PORT)
        return (self._arrives("office", ours, "router", router, end) and self._arrives("router", router, "office", ours, end)
                and self._arrives("router", router, "office", (network.OFFICE, 5350), end)
                and self._connects(49000, end, "router", ROUTER, ("office", network.OFFICE)))

    def _names(self, end):
        query = os.urandom(2) + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + b"\x04stun\x03lab\0" + struct.pack("!HH", 1, 1)
        return self._answered(DISCOVERY_PORT, (self.names_server, 53), query, end, network.OFFICE)

    def _neighbours(self, end):
        self.net.run("office", "ip", "-6", "neigh", "flush", "dev", "eth0")
        return self._stun(max(end, time.monotonic() + 0.6))


class NameServer:
    """Knows a few names; IPv4 or IPv6, whichever the address is."""

    def __init__(self, net, address, names):
        def make():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((address, 53))
            made.settimeout(0.2)
            return made
        self.names, self.silent, self._over = names, False, False
        self.net, self.address = net, address
        self._socket = net.socket("provider", make)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over:
            try:
                query, origin = self._socket.recvfrom(512)
                if not self.silent:
                    self._socket.sendto(self.answer(query), origin)
            except (OSError, IndexError, struct.error):
                pass

    def answer(self, query):
        labels, place = [], 12
        while query[place]:
            labels.append(query[place + 1:place + 1 + query[place]].decode("ascii", "replace"))
            place += 1 + query[place]
        kind = struct.unpack_from("!H", query, place + 1)[0]
        question = query[12:place + 5]
        address = self.names.get(".".join(labels).lower())
        data = b""
        if address and kind == (28 if ":" in address else 1):
            data = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        records = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data if data else b""
        flags = 0x8180 if address else 0x8183
        return query[:2] + struct.pack("!HHHHH", flags, 1, 1 if data else 0, 0, 0) + question + records

    def close(self):
        self._over = True
        self._thread.join(1)
        self._socket.close()
