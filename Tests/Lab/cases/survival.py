"""The line is cut and comes back with another address: how long until the trunk is registered again, until each of the calls
that were up hears again in both directions, and whether they can be ended afterwards.

All times count from the moment at which the router has its new address, those of a fail-over from the cut itself.
docs/survival.md has the published figures.
"""

import dataclasses
import json
import os
import statistics
import threading
import time

from lab import host, network, provider
from lab.lab import Lab
from lab.trunkline import Daemon, configuration

# What the gauges of calls have to fall back to nothing from, at once; transactions may absorb repetitions for 32 s.
LEFTOVERS = ("trunkline_sip_dialogs", "trunkline_media_ports")
KEEPALIVE = 10
PROBE = 0.25        # seconds between two probes of a line that does not answer


@dataclasses.dataclass
class Row:
    """One row of the table: what happens, and what must be true."""
    title: str                      # in docs/survival.md
    latching: bool = False          # the provider answers to where packets come from
    follow: str = "strict"          # how the far end finds where to send audio (lab/rtp.py)
    nat: str = "portrestricted"
    ipv6: bool = False              # the office has a prefix of its own, and the router no translation
    second: str = ""                # there is a second line: an "uplink" of its own, or the "router" has it; calls move and back
    calls: int = 20                 # 0: idle
    outage: float = 5
    moves: bool = True              # the line comes back with another address
    keeps_state: bool = False       # the router goes on translating by what it knew
    changes: int = 1
    pause: float = 0                # between one change and the next
    audio: float = 1.0              # seconds until audio flows both ways in every call
    registered: float = 6.0         # seconds until the trunk is registered
    median: float = 6.0             # of several runs
    runs: int = 5                   # of the long form
    short: dict = dataclasses.field(default_factory=dict)   # what the short form has otherwise


LATCHING = {"latching": True, "follow": "latching"}
ROWS = {
    "idle-strict": Row("idle, strict provider", calls=0, median=1.0, runs=9, short={"runs": 3}),
    "idle-latching": Row("idle, latching provider", **LATCHING, calls=0, median=1.0, runs=9,
                         short={"runs": 3}),
    "latching": Row("20 calls, far end latches", **LATCHING, audio=0.1),
    "strict": Row("20 calls, far end strictly follows SDP"),
    "symmetric": Row("20 calls, symmetric NAT, far end latches", **LATCHING, nat="symmetric", audio=0.1),
    "minute-idle": Row("idle, outage of 60 s", calls=0, outage=60, registered=1.5, short={"runs": 1}),
    "minute-strict": Row("20 calls, outage of 60 s, strict", outage=60, registered=1.5, short={"outage": 12}),
    "minute-latching": Row("20 calls, outage of 60 s, latching", **LATCHING, outage=60, audio=0.1, registered=1.5,
                           short={"outage": 12}),
    "once": Row("20 calls, far end latches once, and again only after a re-INVITE", latching=True, follow="once"),
    "reboot-latching": Row("20 calls, router reboots: same address, state lost; latching", **LATCHING, moves=False, audio=0.1),
    "reboot-strict": Row("20 calls, router reboots; strict", moves=False),
    "ipv6-strict": Row("20 calls, IPv6 prefix changes, strict", ipv6=True),
    "ipv6-latching": Row("20 calls, IPv6 prefix changes, latching", **LATCHING, ipv6=True, audio=0.1),
    "ten": Row("one call, ten changes in ten minutes", calls=1, changes=10, pause=55, runs=1,
               short={"changes": 3, "pause": 2}),
    "stale-idle": Row("idle, router keeps stale state", nat="stale", keeps_state=True, calls=0, registered=15, median=15,
                      short={"runs": 3}),
    "stale-latching": Row("20 calls, router keeps stale state, latching", **LATCHING, nat="stale", keeps_state=True,
                          audio=15, registered=15),
    "stale-strict": Row("20 calls, router keeps stale state, strict", nat="stale", keeps_state=True, audio=15, registered=15),
    "failover-latching": Row("20 calls, fail-over to a second uplink and back, latching", **LATCHING, second="uplink",
                             audio=2.0, registered=2.0),
    "failover-strict": Row("20 calls, fail-over to a second uplink and back, strict", second="uplink", audio=2.0,
                           registered=2.0),
    "dualwan-latching": Row("20 calls, the router itself fails over to its second line and back, latching", **LATCHING,
                            second="router", audio=2.0, registered=KEEPALIVE + 0.5),   # nothing is interrupted that would be noticed
    "dualwan-strict": Row("20 calls, the router itself fails over to its second line and back, strict", second="router",
                          audio=2.0, registered=2.0),
}
# A tenth of a second is measured without other cases beside it, which would be what is measured.
EXCLUSIVE = [name for name, row in ROWS.items() if row.audio <= 0.1]
# What the product does not do yet, and why: skipped, unless named on the command line.
PENDING = {}


def run(lab_arguments, long, name):
    row = ROWS[name]
    if not long:
        row = dataclasses.replace(row, **{"runs": 1, **row.short})
    results, failures = [], []

    def once(number):
        folder = os.path.join(lab_arguments["folder"], f"run{number + 1}")
        prefix = lab_arguments["prefix"] + "abcdefghi"[number]
        try:
            with Lab(prefix, folder, nat=row.nat, ipv6=row.ipv6, second=bool(row.second)) as lab:
                results.append(survive(lab, row, number))
        except Exception as error:
            failures.append(error)

    # Idle runs only wait, each in another phase of the keepalive, so they do it side by side; calls are measured alone.
    if row.calls:
        for number in range(row.runs):
            once(number)
    else:
        threads = [threading.Thread(target=once, args=(number,)) for number in range(row.runs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with open(os.path.join(lab_arguments["folder"], "figures.json"), "w") as file:
        json.dump({"registered": [r[0] for r in results], "audio": [r[1] for r in results if row.calls],
                   "failures": [str(failure) for failure in failures]}, file)
    if failures:
        raise failures[0]
    registered = sorted(r[0] for r in results)
    told = f"registered after {spread(registered)}"
    if row.calls:
        told = f"{row.calls} of {row.calls} alive, audio both ways after {spread([r[1] for r in results])}, " + told
    median = statistics.median(registered)
    host.require(median <= row.median, f"{told}; the median was to be at most {row.median} s")
    return told


HEAD = ["| case | must | registered | audio both ways | runs |", "| --- | --- | --- | --- | --- |"]


def table(folder, names, former):
    """The figures of the rows of those names as Markdown; `folder` holds the logs of each case. Other rows stay as they are in
    `former`, the lines of an earlier table."""
    lines = []
    for name, row in ROWS.items():
        path = os.path.join(folder, f"survival-{name}", "figures.json")
        if name not in names or not os.path.exists(path):
            lines += [line for line in former if f"(`{name}`) |" in line]
            continue
        with open(path) as file:
            figures = json.load(file)
        promise = f"registered ≤ {row.registered:g} s"
        if row.median < row.registered:
            promise += f", median ≤ {row.median:g} s"
        if row.calls:
            promise = f"{row.calls} of {row.calls} alive, audio ≤ {row.audio:g} s, " + promise
        cells = [spread(figures[key]) if figures[key] else "–" for key in ("registered", "audio")]
        count = f"{len(figures['registered'])}, {time.strftime('%Y-%m-%d')}"
        if figures["failures"]:
            count += f"; {len(figures['failures'])} failed: {figures['failures'][0]}"
        lines.append(f"| {row.title} (`{name}`) | {promise} | {' | '.join(cells)} | {count} |")
    return HEAD + lines


def spread(values):
    """The smallest, the median and the largest, or the only one."""
    values = sorted(values)
    if len(values) == 1:
        return f"{values[0]:.2f} s"
    return f"{values[0]:.2f}/{statistics.median(values):.2f}/{values[-1]:.2f} s"


def survive(lab, row, number):
    home = lab.provider(row.latching)
    far = home.far_end(row.follow)
    two = row.second == "uplink"
    bind = network.OFFICE if two else "[::]" if row.ipv6 else "0.0.0.0"
    daemon = Daemon(lab, configuration(server=home.address, bind=bind, second=two, spare=row.keeps_state))
    daemon.wait_registered()
    office = daemon.phone("10")
    pairs = talk(far, office, row.calls)
    # Which part of the keepalive's period the cut falls into, and the return which part of that of the probes: evenly spread.
    time.sleep(3 + ((number + 0.5) * KEEPALIVE / row.runs if not row.calls else 0))
    row = dataclasses.replace(row, outage=row.outage + (number + 0.5) * PROBE / row.runs)
    registered = audio = 0.0
    for change in range(row.changes):
        if change:
            time.sleep(row.pause)
        once = (fail_over if row.second else interrupt)(lab, row, home, daemon, pairs, change)
        registered, audio = max(registered, once[0]), max(audio, once[1])
    if row.calls:
        hang_up(daemon, pairs)
    # The lab's phones register once, and the ten changes take longer than that lasts.
    office.register()
    far.register(expires=600)
    call = far.dial(provider.NUMBER).wait_answered()
    rang = office.wait_incoming(row.calls - row.calls // 2 + 1)
    host.wait_for("the next call has audio both ways",
                  lambda: call.stream.heard(rang.stream.mark) > 25 and rang.stream.heard(call.stream.mark) > 25, 4)
    call.hang_up()
    rang.wait_ended()
    return registered, audio


def talk(far, office, count):
    """That many calls, half of them from each side: (the office's end, the far end)."""
    outbound = [office.dial(provider.FAR_NUMBER) for _ in range(count // 2)]
    for call in outbound:
        call.wait_answered()
    inbound = [far.dial(provider.NUMBER) for _ in range(count - count // 2)]
    for call in inbound:
        call.wait_answered()
    heard = [far.wait_incoming(n + 1) for n in range(len(outbound))]
    rang = [office.wait_incoming(n + 1) for n in range(len(inbound))]
    time.sleep(1.5 if count else 0)
    return [(call, mate(call, heard)) for call in outbound] + [(mate(call, rang), call) for call in inbound]


def mate(call, candidates):
    return host.wait_for(f"somebody hears {call.phone.name}",
                         lambda: next((c for c in candidates if c.stream.heard(call.stream.mark)), None), 4)


def interrupt(lab, row, home, daemon, pairs, change):
    """Cuts the line and restores it: seconds until registered, seconds until all audio is back."""
    net = lab.network
    known = len(home.events("registered"))
    if row.ipv6:
        address = f"2001:db8:{78 + change}::100"
        cut = net.set_prefix(None)
        time.sleep(row.outage)
        back = net.set_prefix(address)
    else:
        address = f"203.0.113.{20 + change}" if row.moves else net.outside
        cut = net.cut(row.keeps_state)
        time.sleep(row.outage)
        back = net.restore(address, row.keeps_state)
    registered, audio = recovered(row, home, pairs, known, address if row.moves else "", cut, back)
    trunk = daemon.trunk()
    host.require(trunk["state"] == "registered", f"the trunk is {trunk['state']}")
    host.require(row.nat == "symmetric" or address in trunk["contact"], f"the contact is {trunk['contact']}")
    return registered, audio


def fail_over(lab, row, home, daemon, pairs, _):
    """Cuts the first line, and when all is well on the second one restores it and cuts the second: seconds until registered,
    seconds until all audio is back."""
    net, first = lab.network, lab.network.outside
    cut, restore = net.cut, net.restore
    if row.second == "router":
        cut, restore = lambda: net.divert(True), lambda: net.divert(False)
    registered, audio = [], []
    for cut_line, restore_line, address in (cut, restore, network.PUBLIC_2), (net.cut_second, net.restore_second, first):
        known = len(home.events("registered"))
        if address in daemon.trunk()["contact"]:
            address = ""                # it went back by itself when it could
        # No earlier than the command began can audio have been lost.
        began = time.monotonic()
        cut_line()
        registered.append(recovered(row, home, pairs, known, address, began, began)[0])
        restore_line()
        # Whoever goes back by himself now, at the latest with the next keepalive, shall do it without being noticed.
        time.sleep(KEEPALIVE + 2 if restore_line == restore else 1)
        audio.append(max(end.stream.longest_pause(began) for pair in pairs for end in pair))
    host.require(max(audio) <= row.audio, f"{max(audio):.2f} s without audio, not {row.audio} s")
    trunk = daemon.trunk()
    host.require(trunk["state"] == "registered" and first in trunk["contact"],
                 f"the trunk is {trunk['state']} by {trunk['contact']}")
    return max(registered), max(audio)


def recovered(row, home, pairs, known, address, cut, back):
    """Waits until the trunk is registered by an address and all calls have audio, and checks that it was in time.

    `known`: how many registrations there were before; `address` is empty where none is to be made."""
    def audio():
        times = [end.stream.returned(cut, back) for pair in pairs for end in pair]
        return None if None in times else [max(times, default=0.0)]

    def at_registrar():
        return not address or any(address in e["source"] + e["contact"] for e in home.events("registered")[known:])

    took, registered = None, None
    end = back + max(row.audio, row.registered) + 3
    # When there was no outage before, the audio that is heard at first is that of before the cut.
    while time.monotonic() < end and (took is None or registered is None or time.monotonic() < cut + 1):
        if registered is None and at_registrar():
            registered = time.monotonic() - back
        took = audio()
        time.sleep(0.02)
    dead = [n for n, pair in enumerate(pairs) if any(e.state != "answered" for e in pair)]
    host.require(not dead, f"{len(dead)} of {len(pairs)} calls ended")
    silent = [f"{side} of call {n + 1}" for n, pair in enumerate(pairs) for side, e in zip(("office", "far end"), pair)
              if e.stream.returned(cut, back) is None]
    host.require(took is not None, f"no audio {time.monotonic() - back:.1f} s after the line came back: {', '.join(silent[:6])}")
    host.require(registered is not None, f"not registered {time.monotonic() - back:.1f} s after the line came back")
    host.require(registered <= row.registered, f"registered {registered:.2f} s after the line came back, not {row.registered}")
    # What came back stays: a little later all of it is still there, by the same measure.
    if pairs:
        time.sleep(2)
        took = audio()
        host.require(took is not None, "audio came back and stopped again")
        host.require(took[0] <= row.audio,
                     f"audio both ways {took[0]:.2f} s after the line came back, not {row.audio} s ({measured(pairs, cut, back)})")
    return registered, took[0] if took else 0.0


def measured(pairs, cut, back):
    ends = [(office.stream.returned(cut, back), far.stream.returned(cut, back)) for office, far in pairs]
    return ", ".join(f"{side} {spread([e[n] for e in ends if e[n] is not None] or [-1])}"
                     for n, side in enumerate(("office", "far end")))


def hang_up(daemon, pairs):
    """Half of the calls are ended by the office, half by the far end; nothing is left on either side."""
    for number, (office, far) in enumerate(pairs):
        ends, other = (office, far) if number % 2 else (far, office)
        ends.hang_up()
        host.require(ends.status == 200 or not ends.status >= 300, f"BYE was answered with {ends.status}")
        other.wait_ended()
        host.require(other.ended_by == "remote", "the other leg did not get a BYE")

    def leftovers():
        shown = daemon.metrics()
        return [f"{name} {shown[name]:g}" for name in LEFTOVERS if shown[name]] + [f"{len(c)} calls" for c in [daemon.api("/calls")] if c]

    try:
        host.wait_for("nothing is left", lambda: not leftovers(), 5)
    except host.Failed:
        raise host.Failed(f"5 s after the last call there are still: {', '.join(leftovers())}") from None
