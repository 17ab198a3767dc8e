"""The keepalive rule: STUN from the SIP port when it was silent, and only from that one; none when other traffic leaves it."""

import time

from lab import host, provider
from lab.lab import Lab
from lab.trunkline import PORT, Daemon, configuration


def run(lab_arguments, long):
    silence = 65 if long else 25
    with Lab(**lab_arguments) as lab:
        # The older STUN server here, so that both kinds are met.
        home = lab.provider(stun="stund")
        far = home.far_end("strict")
        daemon = Daemon(lab, configuration())
        daemon.wait_registered()
        link = lab.capture()
        time.sleep(8)               # what belongs to the start has passed, the discovery from spare ports too

        began = time.time()
        time.sleep(silence)
        ended = time.time()
        requests = link.seen(lambda p: p.outgoing and p.is_stun_request, began)
        ports = {p.source[1] for p in requests}
        host.require(ports == {PORT}, f"STUN requests left from ports {sorted(ports) or 'none'}, expected {PORT} only")
        times = [began] + [p.at for p in requests] + [ended]
        longest = max(b - a for a, b in zip(times, times[1:]))
        host.require(longest <= 10.05, f"{longest:.2f} s without a STUN request, at most 10 s are allowed")

        # Other SIP traffic: the provider asks every 4 s, and the answers leave the same port.
        rounds = 16 if long else 7
        answers = 0
        far.options(f"sip:{provider.NUMBER}@{provider.DOMAIN}", provider.REGISTRAR)
        began = time.time()
        for number in range(rounds):
            while time.time() < began + 4 * (number + 1):
                time.sleep(0.05)
            answers += far.options(f"sip:{provider.NUMBER}@{provider.DOMAIN}", provider.REGISTRAR) > 0
        host.require(answers == rounds, f"only {answers} of {rounds} OPTIONS through the provider were answered")
        during = link.seen(lambda p: p.outgoing and p.source[1] == PORT and p.is_stun_request, began)
        host.require(not during, f"STUN requests left although SIP left every 4 s: {during}")
        left = link.seen(lambda p: p.outgoing and p.source[1] == PORT and p.is_sip, began)
        host.require(len(left) >= rounds, "no SIP was seen leaving the port: the capture is blind")

        beside = sum(1 for p in link.seen(lambda p: p.outgoing and p.source[1] == PORT and not p.is_stun_request))
        return (f"{len(requests)} STUN requests in {silence} s of silence, at most {longest:.1f} s apart, port {PORT} only; "
                f"none in {4 * rounds} s with SIP every 4 s ({beside} other packets)")
