"""Long silence: the provider's own way in through the NAT stays open, not only the STUN server's."""

import time

from lab import host, provider
from lab.lab import Lab, check_audio
from lab.trunkline import Daemon, configuration


def run(lab_arguments, long):
    # The short form shortens the router's memory with the silence.
    silence, timeout = (600, 30) if long else (45, 15)
    with Lab(**lab_arguments, udp_timeout=timeout, stream_timeout=timeout) as lab:
        home = lab.provider()
        far = home.far_end("strict")
        daemon = Daemon(lab, configuration())
        daemon.wait_registered()
        office = lab.phone("10", "phone-ten", ("192.168.77.100", 5060), domain="192.168.77.100").register(expires=3600)
        registrations = len(home.events("registered"))
        time.sleep(silence)         # nobody calls
        began = time.monotonic()
        call = far.dial(provider.NUMBER).wait_answered()
        took = time.monotonic() - began
        rang = office.wait_incoming()
        time.sleep(3)
        call.hang_up()
        rang.wait_ended()
        check_audio(("far end", call.stream), ("office", rang.stream), at_least=140)
        host.require(long or len(home.events("registered")) == registrations,
                     "the trunk registered meanwhile, so this proved nothing about keepalives")
        return f"{silence} s of silence, router forgets after {timeout} s; a call was answered within {took:.1f} s"
