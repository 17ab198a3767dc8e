"""The torture messages of RFC 4475 and RFC 5118, each as a datagram from a telephone and from the provider: the daemon goes
on, answers, and does not grow."""

import glob
import os
import socket
import time

from lab import host, network, provider
from lab.lab import Lab
from lab.trunkline import LAN, PORT, Daemon, configuration

# Where the published files may be: in the tests of the parser, and beside the checkout.
PLACES = ("Tests/*/Vectors/{name}", "Tests/Vectors/{name}", "../shared/vectors/{name}")
BOUND = 32 * 1024   # kilobytes that all of them together may add


def load():
    found, missing = [], []
    for name in ("rfc4475", "rfc5118"):
        folders = [f for place in PLACES for f in sorted(glob.glob(os.path.join(host.ROOT, place.format(name=name))))]
        if not folders:
            missing.append(name)
            continue
        for path in sorted(glob.glob(os.path.join(folders[0], "*"))):
            if not os.path.isfile(path) or path.endswith(".md"):
                continue
            with open(path, "rb") as file:
                data = file.read()
            # RFC 5118's are kept with bare line feeds.
            found.append((f"{name}/{os.path.basename(path)}",
                          data if b"\r\n" in data else data.replace(b"\n", b"\r\n")))
    return found, missing


def run(lab_arguments, long):
    vectors, missing = load()
    if not vectors:
        raise host.Skipped("the vectors of " + " and ".join(missing) + " are not here")
    with Lab(**lab_arguments) as lab:
        home = lab.provider()
        far = home.far_end("strict")
        daemon = Daemon(lab, configuration())
        daemon.wait_registered()
        office = daemon.phone("10")
        # The provider's own address and port, which is what the NAT lets in and the daemon listens to.
        home.stop_kamailio()
        trunk = lab.network.socket("provider", lambda: bound(network.PROVIDER, 5060))
        lan = lab.network.socket("phones", lambda: bound(network.PHONES, 0))
        before = daemon.process.resident_kilobytes()
        rounds = 50 if long else 5
        for _ in range(rounds):
            for name, data in vectors:
                for sender, target in ((lan, LAN), (trunk, (network.PUBLIC, PORT))):
                    try:
                        sender.sendto(data, target)
                    except OSError as error:
                        raise host.Failed(f"{name} could not be sent: {error}") from None
                time.sleep(0.002)
            host.require(daemon.process.running, f"the daemon ended: {daemon.process.output()[-400:]}")
        status = host.wait_for("OPTIONS is answered", lambda: office.options(f"sip:{LAN[0]}", LAN), 10)
        trunk.close()
        lan.close()
        home.start_kamailio()
        far.register()
        grown = daemon.process.resident_kilobytes() - before
        host.require(grown < BOUND, f"grew by {grown} KB, at most {BOUND} are allowed")
        # And it still does its work.
        host.wait_for("healthy", lambda: daemon.get("/healthz")[0] == 200, 5)
        status_after, _ = daemon.get("/api/v1/trunks/provider/register", method="POST")
        if status_after >= 300:
            # No such path yet: its own refresh would take minutes.
            daemon.stop()
            daemon = Daemon(lab, configuration())
        host.wait_for("the trunk is at the new Kamailio", lambda: home_has(far), 20, every=0.3)
        call = office.register().dial(provider.FAR_NUMBER).wait_answered()
        call.hang_up()
        return (f"{len(vectors)} messages, {rounds} times to both sides; OPTIONS got {status}, {grown:+d} KB"
                + (f"; not here: {', '.join(missing)}" if missing else ""))


def home_has(far):
    return far.options(f"sip:{provider.NUMBER}@{provider.DOMAIN}", provider.REGISTRAR) == 200


def bound(address, port):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    return made
