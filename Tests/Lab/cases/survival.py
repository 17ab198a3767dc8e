"""The line is cut and comes back with another address: how long until the trunk is registered again, until each of the calls
that were up hears again in both directions, and whether they can be ended afterwards.

All times count from the moment at which the router has its new address. docs/survival.md has the published figures.
"""

import dataclasses
import os
import statistics
import threading
import time

from lab import host, network, provider
from lab.lab import Lab
from lab.trunkline import PHONES, PORT, Daemon, configuration

# What the gauges of calls have to fall back to nothing from, at once; transactions may absorb repetitions for 32 s.
LEFTOVERS = ("trunkline_sip_dialogs", "trunkline_media_ports")
KEEPALIVE = 10


@dataclasses.dataclass
class Row:
    """One row of the table: what happens, and what must be true."""
    latching: bool = False          # the provider answers to where packets come from
    follow: str = "strict"          # how the far end finds where to send audio (lab/rtp.py)
    nat: str = "portrestricted"
    ipv6: bool = False              # the office has a prefix of its own, and the router no translation
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


ROWS = {
    "idle-strict": Row(calls=0, median=1.0, runs=9, short={"runs": 3, "median": 6.0}),
    "idle-latching": Row(calls=0, latching=True, follow="latching", median=1.0, runs=9, short={"runs": 3, "median": 6.0}),
    "latching": Row(latching=True, follow="latching", audio=0.1),
    "strict": Row(),
    "symmetric": Row(latching=True, follow="latching", nat="symmetric", audio=0.1),
    "minute-idle": Row(calls=0, outage=60, registered=1.5, short={"runs": 1}),
    "minute-strict": Row(outage=60, registered=1.5, short={"outage": 20}),
    "minute-latching": Row(outage=60, latching=True, follow="latching", audio=0.1, registered=1.5, short={"outage": 20}),
    "once": Row(latching=True, follow="once"),
    "reboot-latching": Row(latching=True, follow="latching", moves=False, audio=0.1),
    "reboot-strict": Row(moves=False),
    "ipv6-strict": Row(ipv6=True),
    "ipv6-latching": Row(ipv6=True, latching=True, follow="latching", audio=0.1),
    "ten": Row(calls=1, changes=10, pause=55, runs=1, short={"changes": 3, "pause": 2}),
}


def run(lab_arguments, long, name):
    row = ROWS[name]
    if not long:
        row = dataclasses.replace(row, **{"runs": 1, **row.short})
    results, failures = [], []

    def once(number):
        folder = os.path.join(lab_arguments["folder"], f"run{number + 1}")
        prefix = lab_arguments["prefix"] + "abcdefghi"[number]
        try:
            with Lab(prefix, folder, nat=row.nat, ipv6=row.ipv6) as lab:
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
    if failures:
        raise failures[0]
    registered = sorted(r[0] for r in results)
    told = f"registered after {spread(registered)}"
    if row.calls:
        told = f"{row.calls} of {row.calls} alive, audio both ways after {spread([r[1] for r in results])}, " + told
    median = statistics.median(registered)
    host.require(median <= row.median, f"{told}; the median was to be at most {row.median} s")
    return told


def spread(values):
    """The smallest, the median and the largest, or the only one."""
    values = sorted(values)
    if len(values) == 1:
        return f"{values[0]:.2f} s"
    return f"{values[0]:.2f}/{statistics.median(values):.2f}/{values[-1]:.2f} s"


def survive(lab, row, number):
    home = lab.provider(row.latching)
    far = home.far_end(row.follow)
    daemon = Daemon(lab, configuration(server=home.address, bind="[::]" if row.ipv6 else "0.0.0.0"))
    daemon.wait_registered()
    office = daemon.phone("10")
    pairs = talk(far, office, row.calls)
    # Which part of the keepalive's period the cut falls into.
    time.sleep(3 + (number * KEEPALIVE / row.runs if not row.calls else 0))
    registered = audio = 0.0
    for change in range(row.changes):
        if change:
            time.sleep(row.pause)
        once = interrupt(lab, row, home, daemon, pairs, change)
        registered, audio = max(registered, once[0]), max(audio, once[1])
    if row.calls:
        hang_up(daemon, pairs)
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

    def audio():
        times = [end.stream.returned(cut, back) for pair in pairs for end in pair]
        return None if None in times else [max(times, default=0.0)]

    def at_registrar():
        return not row.moves or any(address in e["source"] + e["contact"] for e in home.events("registered")[known:])

    took, registered = None, None
    end = back + max(row.audio, row.registered) + 3
    while time.monotonic() < end and (took is None or registered is None):
        if registered is None and at_registrar():
            registered = time.monotonic() - back
        took = took or audio()
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
    trunk = daemon.trunk()
    host.require(trunk["state"] == "registered", f"the trunk is {trunk['state']}")
    host.require(row.nat == "symmetric" or address in trunk["contact"], f"the contact is {trunk['contact']}")
    return registered, took[0] if took else 0.0


def measured(pairs, cut, back):
    ends = [(office.stream.returned(cut, back), far.stream.returned(cut, back)) for office, far in pairs]
    return ", ".join(f"{side} {spread([e[n] for e in ends if e[n] is not None] or [-1])}" for n, side in enumerate(("office", "far end")))


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
