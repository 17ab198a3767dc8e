"""The router is asked for port mappings, by each protocol of miniupnpd: behind a NAT that gives each destination another port,
with a provider and a far end that send to what they are told, there is no other way in.

The row `announcing` asks for nothing: there the router tells by itself that it has another address. In `subscribed` a UPnP
gateway tells it, because it was subscribed to. In the row `late` the way to
the router comes after the start, which only the kernel's news tell (netlink).
"""

import os
import signal
import time

from lab import host, miniupnpd, network, provider
from lab.lab import Lab
from lab.trunkline import PORT, Daemon, configuration

ROWS = ("pcp", "nat-pmp", "upnp", "auto", "announcing", "subscribed", "late")


def run(lab_arguments, long, row):
    if row in ("announcing", "subscribed"):
        return announcing(lab_arguments, long, by_upnp=row == "subscribed")
    if row == "late":
        with Lab(**lab_arguments, nat="symmetric") as lab:
            return late(lab)
    with Lab(**lab_arguments, nat="symmetric") as lab:
        return mapped(lab, row)


def configured(incoming):
    return configuration().replace("keepalive: 10s", f"keepalive: 10s, incoming: {incoming}")


def shown(daemon):
    return daemon.api("/uplinks")[0].get("portMapping") or {}


def wait_mapped(daemon, seconds=20):
    return host.wait_for("the port is mapped", lambda: shown(daemon) if shown(daemon).get("state") == "mapped" else None, seconds)


def wait_contact(daemon, place, seconds=8):
    host.wait_for(f"the contact is {place} and registered",
                  lambda: f"@{place}" in (daemon.trunk()["contact"] or "") and daemon.trunk()["state"] == "registered", seconds)


def inside(router):
    """The ports of the office's host that are mapped."""
    return sorted(port for address, port in router.mappings().values() if address == network.OFFICE)


def talk(home, far, office):
    """A call each way, with audio both ways: how long after the answer it took at most."""
    took = []
    for outgoing in (True, False):
        ring = len((far if outgoing else office).incoming) + 1
        call = (office.dial(provider.FAR_NUMBER) if outgoing else far.dial(provider.NUMBER)).wait_answered()
        began = time.monotonic()
        other = (far if outgoing else office).wait_incoming(ring)
        way = "out" if outgoing else "in"
        host.wait_for(f"audio both ways in the call {way}",
                      lambda: call.stream.heard(other.stream.mark) > 25 and other.stream.heard(call.stream.mark) > 25, 5)
        took.append(time.monotonic() - began)
        call.hang_up()
        other.wait_ended()
        host.require(other.ended_by == "remote", f"the other leg of the call {way} did not get a BYE")
    return max(took)


def mapped(lab, row):
    router = miniupnpd.Router(lab).start(pcp=row != "upnp", longest=12)
    spoken = "pcp" if row == "auto" else row
    home = lab.provider(latching=False)
    far = home.far_end("strict")
    daemon = Daemon(lab, configured(row))
    mapping = wait_mapped(daemon)
    host.require(mapping["protocol"] == spoken, f"it is mapped by {mapping['protocol']}, not {spoken}")
    host.require(mapping["externalPort"] == 5060, f"the external port is {mapping['externalPort']}")
    host.require(router.mappings().get(5060) == (network.OFFICE, PORT), f"the kernel translates {router.mappings()}")
    wait_contact(daemon, f"{router.address}:5060")

    office = daemon.phone("10")
    audio = talk(home, far, office)
    host.wait_for("the media ports are given back", lambda: inside(router) == [PORT], 8)

    if spoken != "upnp":                # leases of UPnP are as long as they were asked for
        time.sleep(15)
        host.require(inside(router) == [PORT], "a lease of 12 s was not renewed")

    # A router that began anew: by its announcement, where it makes one, else by the next look.
    back = router.reboot()
    host.wait_for("the mapping is there again after a reboot of the router", lambda: PORT in inside(router),
                  45 if spoken == "upnp" else 3, every=0.02)
    rebooted = time.monotonic() - back
    wait_contact(daemon, f"{router.address}:5060")
    talk(home, far, office)

    host.require(daemon.stop() == 0, "it did not end well")
    host.require(inside(router) == [], f"after the end there are still {router.mappings()}")

    # Killed, it can give nothing back; the next one does, although it wants no mapping.
    killed = Daemon(lab, configured(row))
    wait_mapped(killed)
    killed.process.signal(signal.SIGKILL)
    killed.process.wait(5)
    host.require(inside(router) == [PORT], "the mapping of the killed process is gone already")
    cleaner = Daemon(lab, configured("off"))
    host.wait_for("what the killed process left is removed", lambda: inside(router) == [], 10)
    cleaner.stop()

    # Killed and started as it was, it goes on with what is there.
    killed = Daemon(lab, configured(row))
    wait_mapped(killed)
    killed.process.signal(signal.SIGKILL)
    killed.process.wait(5)
    again = Daemon(lab, configured(row))
    wait_mapped(again)
    host.require(shown(again)["externalPort"] == 5060, f"after a restart the port is {shown(again)['externalPort']}")
    host.require(inside(router) == [PORT], f"after a restart the kernel translates {router.mappings()}")
    again.stop()

    if row == "upnp":
        return f"mapped by {spoken}, audio both ways in {audio:.2f} s, mapped again {rebooted:.1f} s after a reboot"
    router.take(5060)
    late = Daemon(lab, configured(row))
    other = wait_mapped(late)["externalPort"]
    host.require(other not in (5060, None), "a port that another host has was taken from it")
    wait_contact(late, f"{router.address}:{other}")
    office.register()                   # the link knows it from before, too
    talk(home, far, office)
    late.stop()
    return f"mapped by {spoken}, audio both ways in {audio:.2f} s, mapped again {rebooted:.2f} s after a reboot; port 5060 taken: {other}"


def announcing(lab_arguments, long, by_upnp):
    """An idle link, the worst moment of its keepalive, and a router that announces its new address."""
    took = []
    for number in range(5 if long else 1):
        folder = os.path.join(lab_arguments["folder"], f"run{number + 1}")
        with Lab(lab_arguments["prefix"] + "abcde"[number], folder, nat="portrestricted") as lab:
            router = miniupnpd.Router(lab).start(pcp=not by_upnp)
            home = lab.provider(latching=False)
            far = home.far_end("strict")
            daemon = Daemon(lab, configured("upnp") if by_upnp else configuration())
            daemon.wait_registered()
            office = daemon.phone("10")
            time.sleep(6)                               # the discovery is over
            sent = daemon.api("/uplinks")[0]["keepalives"]
            host.wait_for("a keepalive leaves", lambda: daemon.api("/uplinks")[0]["keepalives"] > sent, 12, every=0.05)
            time.sleep(0.2)
            known = len(home.events("registered"))
            router.cut()
            time.sleep(5)
            back = router.restore(miniupnpd.SECOND)
            place = miniupnpd.SECOND + (":5060" if by_upnp else ":")
            host.wait_for("the new contact is registered", lambda: any(
                place in e["contact"] for e in home.events("registered")[known:]), 8, every=0.01)
            took.append(time.monotonic() - back)
            host.require(took[-1] <= 1.5, f"registered {took[-1]:.2f} s after the line came back, not 1.5 s")
            talk(home, far, office)
    return f"registered after {'/'.join(f'{t:.2f}' for t in sorted(took))} s"


def late(lab):
    router = miniupnpd.Router(lab).start()
    lab.provider(latching=False)
    lab.network.run("office", "ip", "route", "del", "default")
    daemon = Daemon(lab, configured("pcp"))
    time.sleep(1)
    host.require(shown(daemon).get("state") == "asking", f"without a router it is {shown(daemon)}")
    lab.network.run("office", "ip", "route", "add", "default", "via", miniupnpd.INSIDE)
    began = time.monotonic()
    host.wait_for("the port is mapped", lambda: inside(router) == [PORT], 3, every=0.01)
    took = time.monotonic() - began
    # And an address of this host that is replaced: the mapping is made for the new one.
    lab.network.run("office", "sh", "-c", "ip addr add 192.168.77.110/24 dev eth0; ip addr del 192.168.77.100/24 dev eth0; "
                    "ip addr del 192.168.77.110/24 dev eth0; ip addr add 192.168.77.110/24 dev eth0; "
                    f"ip route replace default via {miniupnpd.INSIDE}")
    host.wait_for("the port is mapped to the new address",
                  lambda: ("192.168.77.110", PORT) in router.mappings().values(), 5)
    return f"mapped {took:.2f} s after the route came"
