"""Surroundings that do not help: no STUN server, a port that is taken, a configuration with a mistake."""

import socket
import time

from lab import host, network, provider
from lab.lab import Lab, check_audio
from lab.trunkline import LAN, PORT, Daemon, configuration


def run(lab_arguments, long):
    with Lab(**lab_arguments) as lab:
        taken(lab)
        mistaken(lab)
        # Nobody is at that port.
        home = lab.provider(latching=True, stun=None)
        far = home.far_end("latching")
        daemon = Daemon(lab, configuration(stun=f"{network.PROVIDER_2}:3999"))
        daemon.wait_registered(seconds=30)

        def complaint():
            error = daemon.api("/uplinks/dsl").get("lastError")
            return error and "STUN" in error["sentence"] and error["sentence"]
        sentence = host.wait_for("the uplink says that no STUN server answers", complaint, 45, every=0.2)
        host.wait_for("so does the log", lambda: "no stun server answers" in daemon.process.output().lower(), 2)
        # It goes on with what it has.
        office = daemon.phone("10")
        out = office.dial(provider.FAR_NUMBER).wait_answered()
        back = far.dial(provider.NUMBER).wait_answered()
        heard, rang = far.wait_incoming(), office.wait_incoming()
        time.sleep(3)
        out.hang_up()
        back.hang_up()
        heard.wait_ended()
        rang.wait_ended()
        check_audio(("office", out.stream), ("far end", back.stream), ("far end, called", heard.stream),
                    ("office, called", rang.stream), at_least=140)
        return f"exit 71 and 78 as promised; without STUN: “{sentence}”, and calls both ways"


def taken(lab):
    """Exit 71, and the sentence names the port."""
    for port, kind in ((PORT, socket.SOCK_DGRAM), (LAN[1], socket.SOCK_DGRAM), (8065, socket.SOCK_STREAM)):
        def occupy():
            made = socket.socket(socket.AF_INET, kind)
            made.bind(("0.0.0.0" if kind == socket.SOCK_DGRAM else "127.0.0.1", port))
            if kind == socket.SOCK_STREAM:
                made.listen()
            return made
        with lab.network.socket("office", occupy):
            daemon = Daemon(lab, configuration(), wait=False)
            code, said = daemon.process.wait(15), daemon.process.output()
            host.require(code == 71, f"port {port} in use: exit {code}, expected 71")
            host.require(str(port) in said, f"port {port} in use, and the sentence does not name it: {said[-300:]}")


def mistaken(lab):
    """Exit 78, and the sentence names the place."""
    daemon = Daemon(lab, configuration().replace("keepalive: 10s", "keepalive: 60s"), wait=False)
    code = daemon.process.wait(15)
    host.require(code == 78, f"keepalive of 60 s: exit {code}, expected 78")
    host.require("trunkline.yaml:3:" in daemon.process.output(),
                 f"the place of the mistake is not named: {daemon.process.output()[-300:]}")
