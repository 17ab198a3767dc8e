"""miniupnpd on the lab's router: PCP, NAT-PMP and UPnP by others, with rules in the kernel's NAT.

It gives no mappings on an address that nobody could reach from the internet, and takes those of documentation (RFC 5737) for
such. So the router of these cases has an address next to the lab's own; it is as unreachable as all of the lab.
"""

import os
import re
import shutil
import socket
import struct
import time

from . import host

FIRST, SECOND = "203.0.112.10", "203.0.112.20"
INSIDE, PORT = "192.168.77.1", 5351
# What miniupnpd adds its rules to. Its NAT comes before the lab's own, so that what it maps is mapped.
TABLE = """table inet filter {
  chain forward { type filter hook forward priority filter; policy accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority dstnat; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority srcnat - 10; jump postrouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
"""


class Router:
    def __init__(self, lab, address=FIRST):
        self.program = shutil.which("miniupnpd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not self.program:
            raise host.Skipped("miniupnpd is not installed")
        self.lab, self.net, self.address, self.process = lab, lab.network, None, None
        self.net.run("core", "ip", "route", "add", "203.0.112.0/24", "dev", "cust0")
        self.net.run("router", "ip", "addr", "del", self.net.outside + "/24", "dev", "wan0")
        self.restore(address)
        with open(lab.file("miniupnpd.nft"), "w") as file:
            file.write(TABLE)
        self.net.run("router", "nft", "-f", lab.file("miniupnpd.nft"))

    def reboot(self):
        """Everything that it mapped is forgotten, and it begins anew. Returns when it is up again."""
        self.process.stop()
        for chain in ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd"):
            self.net.run("router", "nft", "flush", "chain", "inet", "filter", chain)
        if os.path.exists(self.lab.file("leases")):
            os.remove(self.lab.file("leases"))
        self.net.forget_mappings()
        self.start(**self.options)
        return time.monotonic()

    def start(self, pcp=True, upnp=True, longest=86400, says=None):
        """`pcp` stands for NAT-PMP too: miniupnpd has one switch for both. `longest`: no lease by them is longer, in seconds.
        `says`: what it says its external address is."""
        self.options = {"pcp": pcp, "upnp": upnp, "longest": longest, "says": says}
        with open(self.lab.file("miniupnpd.conf"), "w") as file:
            file.write(f"ext_ifname=wan0\nlistening_ip=lan\nenable_natpmp={yes(pcp)}\nenable_upnp={yes(upnp)}\n"
                       f"secure_mode=yes\nmin_lifetime=2\nmax_lifetime={longest}\nipv6_disable=yes\n"
                       f"lease_file={self.lab.file('leases')}\nuuid=00000000-0000-0000-0000-000000000001\n"
                       f"{f'ext_ip={says}' if says else ''}\n"
                       "allow 1024-65535 192.168.77.0/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n")
        self.process = self.net.start("router", self.program, "-d", "-f", self.lab.file("miniupnpd.conf"), "-P",
                                      self.lab.file("miniupnpd.pid"), log=self.lab.file(f"miniupnpd-{time.time():.0f}.log"))
        host.wait_for("miniupnpd listens", lambda: "HTTP listening" in self.process.output() and (
            not pcp or "NAT-PMP" in self.process.output()), 5)
        return self

    def cut(self):
        self.net.run("router", "ip", "addr", "del", self.address + "/23", "dev", "wan0")
        self.net.forget_mappings()
        return time.monotonic()

    def restore(self, address):
        """Returns when."""
        self.address = address
        self.net.forget_mappings()
        self.net.run("router", "sh", "-c", f"ip addr add {address}/23 dev wan0; ip route replace default via 203.0.113.1")
        return time.monotonic()

    def mappings(self):
        """What the kernel translates: external port → (address, port)."""
        rules = self.net.run("router", "nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd")
        found = re.findall(r"th dport (\d+) dnat ip to ([\d.]+):(\d+)", rules)
        return {int(outside): (inside, int(port)) for outside, inside, port in found}

    def take(self, port, place="phones", address="192.168.77.101"):
        """Another host of the office has that external port, by NAT-PMP."""
        def make():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((address, 0))
            return made
        with self.net.socket(place, make) as made:
            made.settimeout(2)
            made.sendto(struct.pack("!BBHHHI", 0, 1, 0, 5999, port, 3600), (INSIDE, PORT))
            answer = made.recv(64)
        result, _, _, outside, _ = struct.unpack("!HIHHI", answer[2:16])
        host.require(result == 0 and outside == port, f"miniupnpd did not give port {port}: result {result}, port {outside}")


def yes(is_so):
    return "yes" if is_so else "no"
