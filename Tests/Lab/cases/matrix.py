"""A call in each direction through every kind of router, with a far end that sends to where audio comes from and with one that
sends to what the SDP says, by Kamailio: audio both ways wherever there is a way at all, and otherwise one sentence that says
why there is none."""

import os
import time

from cases import nat
from lab import host, network, provider
from lab.lab import Lab, guarded, side_by_side
from lab.trunkline import Daemon, configuration

FAR_ENDS = ("latching", "strict")
# Where there is no way, and why; everything else is possible. Codes are those of the verdict that has to say so.
NOTHING = ("udpBlocked", "UDP does not pass, and neither SIP nor RTP goes by anything else yet")
BY_DESTINATION = ("audioUnreachable", "what STUN saw is not where the far end would have to send to, and nothing tells that place "
                  "before the far end's first packet: a stranger's packet to any other port is dropped")
IMPOSSIBLE = {
    ("blocked", "latching"): NOTHING,
    ("blocked", "strict"): NOTHING,
    ("symmetric", "strict"): BY_DESTINATION,
    ("symmetricrandom", "strict"): BY_DESTINATION,
    ("symmetricpersistent", "strict"): BY_DESTINATION,
    # Its next port could be guessed; that is done only where it is asked for.
    ("symmetricsequential", "strict"): BY_DESTINATION,
    ("addressdependent", "strict"): BY_DESTINATION,
}
# What is said of such a router once for all; the case `tribunal` is about that.
OF_THE_LINE = {"alg": "sipALG", "pool": "twoLines"}
# Side by side, each in a lab of its own; those that take long are spread.
PARTS = {
    "a": ("open", "symmetric", "persistent"),
    "b": ("firewall", "symmetricrandom", "pool"),
    "c": ("fullcone", "symmetricpersistent", "poolpersistent"),
    "d": ("restricted", "symmetricsequential", "alg"),
    "e": ("portrestricted", "addressdependent"),
    "f": ("eimtranslated", "blocked"),
}
ENOUGH = 50         # packets: a second of audio


def run(lab_arguments, long):
    kinds = [kind for part in PARTS.values() for kind in part]
    host.require(sorted(kinds) == sorted(nat.KINDS), "the parts are not all kinds of router")
    told = []
    # The strict provider is the harder one: it takes Contact and Via as they are written.
    for latching in (False, True) if long else (False,):
        folder = os.path.join(lab_arguments["folder"], "latching" if latching else "strict")
        began, found, failures = time.monotonic(), [], []
        side_by_side(lab_arguments, PARTS, [
            (part, lab_arguments["prefix"] + letter, os.path.join(folder, letter), latching, kinds, found, failures)
            for letter, kinds in PARTS.items()], failures)
        host.require(not failures, "; ".join(sorted(failures)))
        told.append(f"{'latching' if latching else 'strict'} provider: {found.count('both ways')} calls with audio both ways, "
                    f"{found.count('told')} without, each with its sentence, in {time.monotonic() - began:.0f} s")
    return "; ".join(told)


def part(prefix, folder, latching, kinds, found, failures):
    with Lab(prefix, folder) as lab:
        home = lab.provider(latching)
        far_ends = [(follow, home.far_end(follow, other=follow == "strict")) for follow in FAR_ENDS]
        for kind in kinds:
            lab.network.set_nat(kind)
            guarded(failures, visit, lab, kind, far_ends, found)


def verdicts(daemon):
    """Without the word about the router, which speaks no mapping protocol here: it is no call's."""
    return [v for v in daemon.api("/verdicts") if v["code"] != "portMappingUnavailable"]


def visit(lab, kind, far_ends, found):
    # What earlier ones found is kept in their stores.
    daemon = Daemon(lab, configuration(store=lab.file(kind + ".sqlite")))
    try:
        uplink = host.wait_for(f"{kind}: the NAT is known", lambda: known(daemon), 20)
        host.require(uplink["natType"] == nat.KINDS[kind][0][0], f"{kind}: the daemon takes it for {uplink['natType']}")
        office = daemon.phone("10")
        if kind == "blocked":
            blocked(daemon, office, far_ends)
            found.extend(["told"] * 4)
            return
        daemon.wait_registered()
        calls = dial(office, far_ends, kind)
        judge(daemon, kind, calls, found)
        for _, _, inside, outside in calls:
            inside.hang_up()
            outside.wait_ended()
    finally:
        daemon.stop()


def known(daemon):
    uplink = daemon.api("/uplinks")[0]
    return uplink if uplink["natType"] != "unknown" else None


def dial(office, far_ends, kind):
    """A call in each direction for each far end: (far end's kind, direction, the office's end, the far end's)."""
    calls = []
    for follow, far in far_ends:
        before = len(far.incoming)
        inside = office.dial(provider.OTHER_NUMBER if follow == "strict" else provider.FAR_NUMBER)
        outside = far.wait_incoming(before + 1)
        inside.wait_answered()
        calls.append((follow, "outbound", inside, outside))
        before = len(office.incoming)
        outside = far.dial(provider.NUMBER)
        inside = office.wait_incoming(before + 1)
        outside.wait_answered()
        calls.append((follow, "inbound", inside, outside))
    return calls


def judge(daemon, kind, calls, found):
    """Each call has audio both ways, or it has none of the far end's, as the table says, and one verdict that says why."""
    impossible = [call for call in calls if (kind, call[0]) in IMPOSSIBLE]

    def heard(call):
        _, _, inside, outside = call
        return inside.stream.heard(outside.stream.mark), outside.stream.heard(inside.stream.mark)

    def text(call):
        return f"{kind}, {call[0]}, {call[1]}: the office heard {heard(call)[0]} packets, the far end {heard(call)[1]}"

    for call in calls:
        if call in impossible:
            continue
        try:
            host.wait_for("audio both ways", lambda call=call: min(heard(call)) >= ENOUGH, 5)
        except host.Failed:
            raise host.Failed(f"{text(call)}; verdicts {[v['code'] for v in daemon.api('/verdicts')]}") from None
        found.append("both ways")
    wanted = sorted((direction, IMPOSSIBLE[kind, follow][0]) for follow, direction, _, _ in impossible)
    directions = {each["id"]: each["direction"] for each in daemon.api("/calls")}

    def told():
        return sorted((directions.get(v.get("callID"), v["subject"]), v["code"]) for v in verdicts(daemon)
                      if v["code"] != OF_THE_LINE.get(kind))

    if wanted:
        try:
            host.wait_for("the verdicts", lambda: len(told()) >= len(wanted), 10)
        except host.Failed:
            pass
        time.sleep(1)
    host.require(told() == wanted, f"{kind}: the verdicts are {told()}, expected {wanted}")
    for call in impossible:
        host.require(heard(call)[0] == 0, f"{text(call)}, though there is no way: {IMPOSSIBLE[kind, call[0]][1]}")
        found.append("told")


def blocked(daemon, office, far_ends):
    """Nothing comes through: calls are refused at once, and one sentence about the line says why."""
    host.wait_for("a verdict", lambda: verdicts(daemon), 20)
    for follow, far in far_ends:
        call = office.dial(provider.OTHER_NUMBER if follow == "strict" else provider.FAR_NUMBER).wait_ended()
        host.require(call.status >= 400, f"blocked: a call was answered with {call.status}")
        # The provider knows nobody by this number.
        call = far.dial(provider.NUMBER).wait_ended()
        host.require(call.status == 404, f"blocked: the provider answered {call.status} to a call for the trunk")
    codes = [v["code"] for v in verdicts(daemon)]
    host.require(codes == [NOTHING[0]], f"blocked: the verdicts are {codes}, expected one, {NOTHING[0]}")
