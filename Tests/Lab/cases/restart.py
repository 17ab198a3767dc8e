"""kill -9 with a call up, and a start a moment later: telephones, which do not notice, are reachable at once, the call has its
record, and whoever hangs up afterwards is told that it is over."""

import datetime
import signal
import time

from lab import host, provider
from lab.lab import Lab
from lab.trunkline import Daemon, configuration


def run(lab_arguments, long):
    with Lab(**lab_arguments) as lab:
        home = lab.provider(latching=False)
        far = home.far_end("strict")
        killed = Daemon(lab, configuration())
        killed.wait_registered()
        office = killed.phone("10")
        call = far.dial(provider.NUMBER).wait_answered()
        other = office.wait_incoming(1)
        time.sleep(6)                       # they talk, and a sign of life is written
        identifier = killed.api("/calls")[0]["id"]
        killed.process.signal(signal.SIGKILL)
        killed.process.wait(5)

        began = time.monotonic()
        daemon = Daemon(lab, configuration())
        daemon.wait_registered()
        history = daemon.api("/history")
        host.require([entry["id"] for entry in history] == [identifier], f"the history is {history}")
        host.require(history[0]["result"] == "answered" and history[0]["endedBy"] == "trunkline" and history[0]["sentence"],
                     f"the record of the torn call is {history[0]}")
        seconds = moment(history[0]["endedAt"]) - moment(history[0]["answeredAt"])
        host.require(2 < seconds < 20, f"the torn call has lasted {seconds} s")

        # The telephone has not registered again.
        again = far.dial(provider.NUMBER).wait_answered()
        office.wait_incoming(2)
        back = time.monotonic() - began
        for end in (call, other):
            end.hang_up()
            host.wait_for("its BYE is answered", lambda: end.status == 481, 6)
        again.hang_up()
        host.require(daemon.stop() == 0, "it did not end well")
        daemon.check_recording()
        return f"called {back:.1f} s after the start, the torn call lasted {seconds:.0f} s"


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
