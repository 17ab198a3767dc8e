"""The internet in namespaces: provider – core – router with a NAT – office and telephones.

    provider  198.51.100.1 .2   Kamailio and STUN (two addresses, as RFC 5780 wants)
              198.51.100.3 .4   the far end, and another one
    core      198.51.100.254, 203.0.113.1
    carrier   only where asked for: 203.0.113.10 outside, 100.64.0.1 inside, a NAT of the provider
    router    203.0.113.10 (100.64.0.10) outside, 192.168.77.1 inside, NAT by nat/KIND.nft
    office    192.168.77.100    Trunkline
    phones    192.168.77.101    telephones of the office

With `second` the office has a second line, by a router of its own (a mobile one, say): the office's second interface has
192.168.78.100, and what is sent from that address goes that way, to 192.0.2.10 outside.

With `ipv6` all of them but the telephones have IPv6 addresses too, and nobody translates those:

    provider  2001:db8:1::1 (Kamailio, STUN) and ::3 (the far end)
    office    2001:db8:77::100, a prefix that the router has from the line and loses with it

The namespaces have no way to the host's network or to the outside. Their names begin with a prefix of this lab's own, so
that labs run side by side.
"""

import os
import shutil
import signal
import subprocess
import time

from . import host

PROVIDER, PROVIDER_2, FAR, FAR_2 = "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"
PUBLIC, OFFICE, PHONES = "203.0.113.10", "192.168.77.100", "192.168.77.101"
PROVIDER_6, FAR_6, CORE_6, OFFICE_6 = "2001:db8:1::1", "2001:db8:1::3", "2001:db8:1::fe", "2001:db8:77::100"
PLACES = ("provider", "core", "router", "office", "phones", "carrier", "second")
# Between a carrier and its customers (RFC 6598).
CARRIER, CUSTOMER = "100.64.0.1", "100.64.0.10"
# The second line, outside and inside.
PUBLIC_2, OFFICE_2 = "192.0.2.10", "192.168.78.100"
# What the provider of the line drops: packets that come from addresses which the line does not have any more (RFC 2827).
INGRESS = """
table inet ingress {
  set former {
    type ipv4_addr
  }
  set former_6 {
    type ipv6_addr
    flags interval
  }
  chain forward {
    type filter hook forward priority filter
    iifname cust0 ip saddr @former drop
    iifname cust0 ip6 saddr @former_6 drop
  }
}"""


class Network:
    """`carrier` is the kind of NAT that a carrier has in front of the router; None where there is none. `between` are its address
    inside and the router's address outside then: those of a second router of the household make a double NAT of it."""

    def __init__(self, prefix, nat="portrestricted", udp_timeout=30, stream_timeout=120, carrier=None, ipv6=False,
                 second=False, between=(CARRIER, CUSTOMER)):
        self.prefix, self.has_carrier = prefix, carrier is not None
        # The router's outside address, and who is at the other end.
        gateway, self.outside = between if carrier else ("203.0.113.1", PUBLIC)
        # What it has besides, where its kind is a pool.
        self.pool = [self.outside[:-1] + last for last in "123"]
        self.processes = []
        self.timeouts = (udp_timeout, stream_timeout)
        remove(prefix)
        places = [place for place in PLACES if {"carrier": carrier, "second": second}.get(place, True)]
        for place in places:
            self._ip("netns", "add", self.namespace(place))
        for place in places:
            self._ip("-n", self.namespace(place), "link", "set", "lo", "up")
        self._cable("provider", "eth0", [PROVIDER, PROVIDER_2, FAR, FAR_2], "core", "prov0", ["198.51.100.254"])
        if carrier:
            self._cable("carrier", "up0", [PUBLIC], "core", "cust0", ["203.0.113.1"])
            self._cable("router", "wan0", [self.outside], "carrier", "sub0", [gateway])
        else:
            self._cable("router", "wan0", [PUBLIC], "core", "cust0", ["203.0.113.1"])
        self._in("router", "link", "add", "lan", "type", "bridge")
        self._in("router", "addr", "add", "192.168.77.1/24", "dev", "lan")
        self._in("router", "link", "set", "lan", "up")
        for place, address in (("office", OFFICE), ("phones", PHONES)):
            self._cable(place, "eth0", [address], "router", place, [])
            self._in("router", "link", "set", place, "master", "lan")
        for place, gateway in (("provider", "198.51.100.254"), ("router", gateway), ("office", "192.168.77.1"),
                               ("phones", "192.168.77.1")):
            self._in(place, "route", "add", "default", "via", gateway)
        # Where the kernel shows bridged packets to the router's rules, the office's own would be translated and dropped too.
        self.run("router", "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0",
                 check=False)
        self.former = set()         # addresses and prefixes that the line had
        self.run("core", "nft", INGRESS)
        for place in {"core", "router", "carrier", "second"}.intersection(places):
            # What routers say about packets that went too far is not rationed: here much happens within a second.
            self.run(place, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")
        if carrier:
            self._in("carrier", "route", "add", "default", "via", "203.0.113.1")
            ports = {"portrestricted": "", "symmetric": "fully-random"}[carrier]
            self.run("carrier", "nft", "add table ip carrier; add chain ip carrier out "
                     f"{{ type nat hook postrouting priority srcnat; }}; add rule ip carrier out oifname up0 masquerade {ports}; "
                     # As in firewall.nft: an early packet from outside shall not take the port that the NAT wants to keep.
                     "add chain ip carrier in { type filter hook input priority filter; }; "
                     "add rule ip carrier in iifname up0 meta l4proto udp drop")
        if second:
            self._add_second()
        # What the system chooses is no media port, so that cases can tell them apart.
        self.run("office", "sysctl", "-qw", "net.ipv4.ip_local_port_range=33000 54000")
        self.prefix_6 = None
        if ipv6:
            self._add_ipv6()
        self.set_nat(nat)

    def _add_ipv6(self):
        for place, device, address in (("provider", "eth0", PROVIDER_6), ("provider", "eth0", FAR_6), ("core", "prov0", CORE_6),
                                       ("core", "cust0", "fd00:1::1"), ("router", "wan0", "fd00:1::2")):
            self._in(place, "addr", "add", address + "/64", "dev", device, "nodad")
        for place, gateway in (("provider", CORE_6), ("router", "fd00:1::1")):
            self._in(place, "-6", "route", "add", "default", "via", gateway)
        for place in ("core", "router"):
            self.run(place, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.icmp.ratelimit=0")
        self.set_prefix(OFFICE_6)

    def _add_second(self):
        self._cable("second", "wan0", [PUBLIC_2], "core", "cust1", ["192.0.2.1"])
        self._cable("office", "eth1", [OFFICE_2], "second", "lan", ["192.168.78.1"])
        self._in("second", "route", "add", "default", "via", "192.0.2.1")
        self._in("office", "route", "add", "default", "via", "192.168.78.1", "dev", "eth1", "table", "78")
        self._in("office", "rule", "add", "from", OFFICE_2, "lookup", "78")
        self.run("second", "nft", "-I", os.path.join(host.LAB, "nat"), "-f", os.path.join(host.LAB, "nat", "portrestricted.nft"))

    def cut_second(self):
        """The second line goes down. Returns when."""
        self._in("second", "addr", "del", PUBLIC_2 + "/24", "dev", "wan0")
        return time.monotonic()

    def divert(self, to_second):
        """What a router with two lines does when the first is cut, and when it is back: everybody's packets go by the other
        line, without anybody inside being told. Returns when."""
        gateway, device = ("192.168.78.1", "eth1") if to_second else ("192.168.77.1", "eth0")
        if to_second:
            self.cut()
            self._in("second", "route", "replace", "192.168.77.0/24", "via", OFFICE_2)
        else:
            self.restore()
        self._in("office", "route", "replace", "default", "via", gateway, "dev", device, "src", OFFICE)
        return time.monotonic()

    def restore_second(self):
        """It comes back as it was, and its router knows nothing. Returns when."""
        self._forget("second")
        self._batch("second", f"addr add {PUBLIC_2}/24 dev wan0", "route add default via 192.0.2.1")
        return time.monotonic()

    def set_prefix(self, office):
        """Gives the office's network another prefix, or with None takes away the line together with the prefix. Returns when."""
        if self.prefix_6:
            prefix = prefix_of(self.prefix_6)
            self._in("core", "-6", "route", "del", prefix)
            self._in("router", "-6", "route", "flush", "::/0")
            self._in("router", "addr", "del", f"{prefix[:-3]}1/64", "dev", "lan")
            self._in("office", "addr", "del", f"{self.prefix_6}/64", "dev", "eth0")
            self.former.add(self.prefix_6)
        self.prefix_6 = office
        if office:
            prefix = prefix_of(office)
            self._refuse_former(office)
            self._batch("core", f"route add {prefix} via fd00:1::2")
            self._batch("router", "route replace ::/0 via fd00:1::1", f"addr add {prefix[:-3]}1/64 dev lan nodad")
            self._batch("office", f"addr add {office}/64 dev eth0 nodad",
                        f"route replace ::/0 via {prefix[:-3]}1")
        return time.monotonic()

    def _refuse_former(self, present):
        """The line's provider takes no packets any more from what the line had before."""
        self.former.discard(present)
        rules = ["flush set inet ingress former", "flush set inet ingress former_6"]
        for address in sorted(self.former):
            rules.append(f"add element inet ingress former{'_6' if ':' in address else ''} "
                         f"{{ {prefix_of(address) if ':' in address else address} }}")
        self.run("core", "nft", "\n".join(rules))

    def namespace(self, place):
        return f"{self.prefix}-{place}"

    def _ip(self, *words):
        host.command("ip", *words)

    def _in(self, place, *words):
        self._ip("-n", self.namespace(place), *words)

    def _cable(self, place, device, addresses, other, other_device, other_addresses):
        self._in(place, "link", "add", device, "type", "veth", "peer", "name", other_device, "netns", self.namespace(other))
        for where, name, all_addresses in ((place, device, addresses), (other, other_device, other_addresses)):
            for address in all_addresses:
                self._in(where, "addr", "add", address + "/24", "dev", name)
            self._in(where, "link", "set", name, "up")

    def set_nat(self, kind):
        """Programs the router, which forgets everything that it knew, as after a reboot."""
        folder = os.path.join(host.LAB, "nat")
        udp, stream = self.timeouts
        self.run("router", "nft", "flush", "ruleset")
        # A router that does not translate needs a way back.
        where_to = ["replace"] if kind in ("open", "firewall") else ["del"]
        before = "carrier" if self.has_carrier else "core"
        subprocess.run(["ip", "-n", self.namespace(before), "route", *where_to, "192.168.77.0/24", "via", self.outside],
                       capture_output=True)
        for address in self.pool:
            does = "add" if kind.startswith("pool") or kind == "twolines" else "del"
            subprocess.run(["ip", "-n", self.namespace("router"), "addr", does, address + "/24", "dev", "wan0"],
                           capture_output=True)
        self.run("router", "nft", "-I", folder, "-D", f"public={self.outside}", "-D", f"pool={self.outside}-{self.pool[-1]}",
                 "-D", f"second={self.pool[0]}",
                 "-f", os.path.join(folder, kind + ".nft"))
        self.run("router", "sysctl", "-qw", f"net.netfilter.nf_conntrack_udp_timeout={udp}",
                 f"net.netfilter.nf_conntrack_udp_timeout_stream={stream}")
        self.forget_mappings()
        if self.has_carrier:        # ports of another kind of router would be taken for this one
            self._forget("carrier")

    def cut(self, keep_state=False):
        """The line goes down: the router has no outside address and no way out, and, unless it keeps its state, forgets.
        Returns when."""
        self._in("router", "addr", "del", self.outside + "/24", "dev", "wan0")
        at = time.monotonic()
        self.former.add(self.outside)
        if not keep_state:
            self.forget_mappings()
        return at

    def restore(self, address=None, keep_state=False):
        """The line comes back, with another address where one is given. Returns when."""
        self.outside = address or self.outside
        self._refuse_former(self.outside)
        if keep_state:          # only what is new goes by the new address
            self.run("router", "nft", "insert", "rule", "ip", "translation", "postrouting", "oifname", "wan0", "snat", "to",
                     self.outside)
        else:
            self.forget_mappings()
        self._batch("router", f"addr add {self.outside}/24 dev wan0", "route add default via 203.0.113.1")
        return time.monotonic()

    def forget_mappings(self):
        self._forget("router")

    def _forget(self, place):
        host.command("ip", "netns", "exec", self.namespace(place), "conntrack", "-F", check=False)

    def _batch(self, place, *lines):
        """Several commands of ip in one go, so that nothing happens between them."""
        subprocess.run(["ip", "-n", self.namespace(place), "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)

    def run(self, place, *words, check=True):
        return host.command("ip", "netns", "exec", self.namespace(place), *words, check=check)

    def start(self, place, *words, log, env=None, cwd=None):
        """Starts a program in a namespace; its output goes to the file `log`. It is ended with the lab."""
        process = Process(self.namespace(place), words, log, env, cwd)
        self.processes.append(process)
        return process

    def socket(self, place, make):
        return host.inside(self.namespace(place), make)

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        remove(self.prefix)


def prefix_of(address):
    """The /64 of an IPv6 address."""
    return address.rpartition("::")[0] + "::/64"


class Process:
    def __init__(self, namespace, words, log, env=None, cwd=None):
        self.words, self.log = words, log
        self._file = open(log, "ab")
        self.popen = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *words], stdout=self._file, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}, cwd=cwd, preexec_fn=host.die_with_parent)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def running(self):
        return self.popen.poll() is None

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def signal(self, number):
        if self.running:
            os.kill(self.pid, number)

    def wait(self, seconds):
        """The exit code; fails when it does not end in time."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise host.Failed(f"{os.path.basename(self.words[0])} did not end within {seconds:g} s") from None

    def resident_kilobytes(self):
        with open(f"/proc/{self.pid}/status") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        return 0

    def stop(self):
        for number, seconds in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
            if not self.running:
                break
            os.kill(self.pid, number)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self._file.close()


def remove(prefix):
    """Ends whatever still runs in a lab's namespaces, by pid, and removes them. Harmless when there are none."""
    for place in PLACES:
        name = f"{prefix}-{place}"
        if not os.path.exists(f"/run/netns/{name}"):
            continue
        end = time.monotonic() + 3
        for number in (signal.SIGTERM, signal.SIGKILL):
            while pids := [int(p) for p in host.command("ip", "netns", "pids", name, check=False).split()]:
                for pid in pids:
                    # The case itself visits namespaces with threads of its own.
                    if pid != os.getpid():
                        try:
                            os.kill(pid, number)
                        except ProcessLookupError:
                            pass
                if number == signal.SIGKILL or time.monotonic() > end or set(pids) == {os.getpid()}:
                    break
                time.sleep(0.05)
        host.command("ip", "netns", "del", name, check=False)
        # What `ip netns exec` showed there in place of /etc, where a case made something.
        shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
