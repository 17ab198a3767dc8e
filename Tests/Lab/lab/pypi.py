"""STUN clients from PyPI, aiostun and pystun3, in a virtual environment that is made once and kept in .lab.

As a program, run by that environment's Python: `pypi.py HOST PORT TLS_PORT OWN_ADDRESS` asks the server with both and prints
one JSON object.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys

PACKAGES = ("aiostun==0.6.1", "pystun3==2.0.0")


def environment(folder):
    """The environment's Python, and why there is none; one of the two is None."""
    home = os.path.join(folder, "pypi")
    python, mark = os.path.join(home, "bin", "python"), os.path.join(home, "complete")
    if os.path.exists(mark):
        return python, None
    try:
        for words in ([sys.executable, "-m", "venv", home],
                      [python, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", "--retries", "0",
                       "--timeout", "5", *PACKAGES]):
            done = subprocess.run(words, capture_output=True, text=True, timeout=40)
            if done.returncode:
                return None, (done.stderr or done.stdout).strip().splitlines()[-1:] or "pip failed"
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    with open(mark, "w") as file:
        file.write(" ".join(PACKAGES) + "\n")
    return python, None


def pystun(host, port, own):
    import stun
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Its own two seconds, four times for each silence, are for the internet.
    made.settimeout(0.4)
    made.bind((own, 54999))
    kind, answer = stun.get_nat_type(made, own, 54999, host, port)
    return {"class": kind, "address": answer["ExternalIP"]}


async def aiostun(host, port, tls_port):
    import aiostun as library
    found = {}
    for name, protocol, where in (("udp", library.UDP, port), ("tcp", library.TCP, port), ("tls", library.TLS, tls_port)):
        try:
            async with library.Client(host=host, port=where, proto=protocol) as client:
                answer = await client.get_mapped_address()
                found[name] = answer["ip"] if answer else None
        except Exception as error:
            found[name] = repr(error)
    try:
        found["class"] = (await library.NAT().discover(use_classicstun=True, stun_host=host, stun_port=port)).get("nat")
    except Exception as error:
        found["class"] = repr(error)
    return found


def main(host, port, tls_port, own):
    print(json.dumps({"pystun3": pystun(host, int(port), own), "aiostun": asyncio.run(aiostun(host, int(port), int(tls_port)))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
