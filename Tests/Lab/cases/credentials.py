"""A wrong password: said in one sentence everywhere, and the registrar is left in peace."""

import time

from lab import host
from lab.lab import Lab
from lab.trunkline import Daemon, configuration


def run(lab_arguments, long):
    with Lab(**lab_arguments) as lab:
        home = lab.provider()
        wire = lab.capture("provider")
        daemon = Daemon(lab, configuration(password="not-the-secret"))
        host.wait_for("the trunk is rejected", lambda: daemon.trunk()["state"] == "rejected", 15, every=0.1)

        error = daemon.trunk().get("lastError")
        host.require(error and "password" in error["sentence"].lower(), f"the API says {error}")
        sentence = error["sentence"]
        host.wait_for("the sentence is in the log", lambda: sentence in daemon.process.output(), 2)
        code, text = daemon.verb("status")
        host.require(code == 1, f"`trunkline status` ended with {code}, expected 1")
        host.require(sentence in " ".join(text.split()), f"`trunkline status` does not say it: {text}")
        host.require(any(v["subject"] == "trunk provider" for v in daemon.api("/verdicts")), "no verdict in the API")
        status, body = daemon.get("/readyz")
        host.require(status == 503 and "provider" in body, f"/readyz answered {status} {body}")
        host.require("not-the-secret" not in daemon.process.output(), "the log shows the password")

        def registers():
            return [p.at for p in wire.seen(lambda p: not p.outgoing and p.method == "REGISTER")]

        begin = registers()[0]
        while time.time() < begin + 60:
            time.sleep(0.2)
        first_minute = [at for at in registers() if at < begin + 60]
        host.require(len(first_minute) <= 4, f"{len(first_minute)} REGISTERs in the first minute, at most 4 are allowed")
        host.require(len(home.events("refused")) >= 1, "Kamailio never saw an attempt")
        if not long:
            return f"{len(first_minute)} REGISTERs in the first minute; “{sentence}”"

        # An attempt is a REGISTER and, within 5 s, its repeat with credentials.
        while time.time() < begin + 720:
            time.sleep(1)
        attempts = []
        for at in registers():
            if at >= begin + 60 and (not attempts or at - attempts[-1] > 5):
                attempts.append(at)
        close = [f"{b - a:.0f} s" for a, b in zip(attempts, attempts[1:]) if b - a < 299]
        host.require(not close, f"attempts only {', '.join(close)} apart, 5 min are asked for")
        host.require(1 <= len(attempts) <= 3, f"{len(attempts)} attempts in the 11 minutes after the first")
        return f"{len(first_minute)} REGISTERs in the first minute, {len(attempts)} attempts in the 11 minutes after; “{sentence}”"
