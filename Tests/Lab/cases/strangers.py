"""Telephones that are not ours: baresip and sipp in the office, sipp as the far end."""

import time

from lab import host, network, provider, strangers
from lab.lab import Lab, check_audio
from lab.trunkline import LAN, PHONES, Daemon, configuration


def run(lab_arguments, long):
    seconds = 10 if long else 3
    with Lab(**lab_arguments) as lab:
        home = lab.provider()
        far = home.far_end("strict")
        text = configuration().replace("to: [phone:10]", "to: [phone:20]")
        daemon = Daemon(lab, text)
        daemon.wait_registered()
        office = daemon.phone("10")
        far_sipp = strangers.sipp_callee(lab, network.FAR)
        near = strangers.baresip(lab, "phones", network.PHONES, LAN, "20", PHONES["20"], network.OFFICE)

        # From outside to baresip, which sends back what it hears; from our telephone to sipp, which does the same.
        inside = far.dial(provider.NUMBER).wait_answered()
        outside = office.dial(provider.SIPP_NUMBER).wait_answered()
        talk(seconds, inside, outside)
        # Between the two telephones of the office; a second call at once would make baresip hold the first.
        across = office.dial("20").wait_answered()
        talk(seconds, across)
        host.require(outside.stream.own >= seconds * 50 - 25, f"only {outside.stream.own} packets were sipp's echo of our own")
        host.require(far_sipp.wait(8) == 0, f"sipp, called, is not content: {far_sipp.output()[-400:]}")
        near.stop()

        # sipp as a telephone calls the far end and hangs up.
        count = len(far.incoming)
        caller = strangers.sipp_caller(lab, network.PHONES, LAN, "20", PHONES["20"], provider.FAR_NUMBER)
        host.require(caller.wait(30) == 0, f"sipp, calling, is not content: see {caller.log}")
        heard = far.incoming[count].wait_ended()
        host.require(heard.stream.own >= 80, f"only {heard.stream.own} of 100 packets came back from sipp")
        return f"baresip called, sipp called and calling; {inside.stream.received}, {outside.stream.received}, {across.stream.received} packets"


def talk(seconds, *calls):
    time.sleep(seconds)
    for call in calls:
        call.hang_up()
        check_audio((f"{call.phone.name}, calling", call.stream), at_least=seconds * 50 - 10)
