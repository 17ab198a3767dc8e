"""STUN clients from PyPI, aiostun and pystun3, in a virtual environment that is made once and kept in .lab.

As a program, run by that environment's Python: `pypi.py HOST PORT TLS_PORT OWN_ADDRESS` asks the server with both and prints
one JSON object.
"""

import asyncio
import functools
import json
import os
import socket
import subprocess
import sys

PACKAGES = ("aiostun==0.6.1", "pystun3==2.0.0")


def environment(folder, packages=PACKAGES, name="pypi"):
    """The Python of an environment with these packages, and why there is none; one of the two is None."""
    home = os.path.join(folder, name)
    python, mark = os.path.join(home, "bin", "python"), os.path.join(home, "complete")
    try:
        with open(mark) as file:
            if file.read().split() == list(packages):
                return python, None
    except FileNotFoundError:
        pass
    try:
        for words in ([sys.executable, "-m", "venv", "--clear", home],
                      [python, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", "--retries", "0",
                       "--timeout", "5", *packages]):
            done = subprocess.run(words, capture_output=True, text=True, timeout=60)
            if done.returncode:
                return None, ((done.stderr or done.stdout).strip().splitlines() or [f"pip gave {done.returncode}"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    with open(mark, "w") as file:
        file.write(" ".join(packages) + "\n")
    return python, None


def pystun(host, port, own):
    import stun
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Its own two seconds, four times for each silence, are for the internet.
    made.settimeout(0.4)
    made.bind((own, 54999))
    kind, _ = stun.get_nat_type(made, own, 54999, host, port)
    # The last test's answer is what it returns, and may be none.
    return {"class": kind, "address": stun.stun_test(made, host, port, own, 54999)["ExternalIP"]}


async def aiostun(host, port, tls_port, own):
    import aiostun as library
    found = {}
    for name, protocol, where in (("udp", library.UDP, port), ("tcp", library.TCP, port), ("tls", library.TLS, tls_port)):
        try:
            async with library.Client(host=host, port=where, proto=protocol) as client:
                found[name] = (await client.get_mapped_address()).get("ip")
        except Exception as error:
            found[name] = repr(error)
    # It compares with its socket's own address, which without this is 0.0.0.0.
    library.client.Client = functools.partial(library.client.Client, local_addr=own, local_port=0)
    result = await library.NAT().discover(use_classicstun=True, stun_host=host, stun_port=port)
    found["class"] = result.get("nat") or result.get("error")
    return found


def main(host, port, tls_port, own):
    async def both():
        return await asyncio.gather(asyncio.to_thread(pystun, host, int(port), own),
                                    aiostun(host, int(port), int(tls_port), own))
    print(json.dumps(dict(zip(("pystun3", "aiostun"), asyncio.run(both())))))


if __name__ == "__main__":
    main(*sys.argv[1:])
