"""Telephones that others wrote: sipp by scenario, and baresip."""

import os

from . import host

BARESIP_PORT, SIPP_PORT = 5062, 5080


def sipp_callee(lab, address, calls=1):
    """Answers at `address`, port 5080, and sends audio back; ends by itself after that many calls."""
    if host.missing_tools("sipp"):
        raise host.Skipped("sipp is not installed")
    return lab.network.start(
        "provider", "sipp", "-sf", scenario("callee"), "-i", address, "-p", str(SIPP_PORT), "-mi", address, "-mp", "6000",
        "-rtp_echo", "-m", str(calls), "-nostdin", "-timeout", "60", log=lab.file("sipp-callee.log"), cwd=lab.folder,
        env={"TERM": "dumb"})


def sipp_caller(lab, address, registrar, user, password, number):
    """Registers, calls, talks for 2 s, hangs up; exit 0 when all of that went as the scenario says."""
    if host.missing_tools("sipp"):
        raise host.Skipped("sipp is not installed")
    return lab.network.start(
        "phones", "sipp", f"{registrar[0]}:{registrar[1]}", "-sf", scenario("caller"), "-i", address, "-p", str(SIPP_PORT),
        "-mi", address, "-mp", "6000", "-rtp_echo", "-m", "1", "-nostdin", "-timeout", "30", "-au", user, "-ap", password,
        "-key", "user", user, "-key", "number", number, "-trace_err", log=lab.file("sipp-caller.log"), cwd=lab.folder,
        env={"TERM": "dumb"})


def scenario(name):
    return os.path.join(host.LAB, "sipp", name + ".xml")


def baresip(lab, place, address, registrar, user, password, domain):
    """Registers, answers by itself, sends back what it hears."""
    if host.missing_tools("baresip"):
        raise host.Skipped("baresip is not installed")
    folder = lab.file("baresip")
    os.makedirs(folder, exist_ok=True)
    words = {"@ADDRESS@": address, "@PORT@": str(BARESIP_PORT), "@USER@": user, "@DOMAIN@": domain, "@PASSWORD@": password,
             "@REGISTRAR@": f"{registrar[0]}:{registrar[1]}"}
    for name in ("config", "accounts"):
        with open(os.path.join(host.LAB, "baresip", name)) as file:
            text = file.read()
        for word, value in words.items():
            text = text.replace(word, value)
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    process = lab.network.start(place, "baresip", "-f", folder, "-s", log=lab.file("baresip.log"), env={"HOME": folder})
    host.wait_for("baresip has registered", lambda: "200 OK" in process.output(), 10)
    return process
