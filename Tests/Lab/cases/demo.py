"""`trunkline demo`: a call outlives two cuts of the line, over loopback sockets, with no other software and no root; what the far
end heard and the picture are written, and both agree with what was promised."""

import os
import re
import struct
import subprocess
import xml.dom.minidom

from lab import host
from lab.lab import Lab
from lab.trunkline import EXECUTABLE

GAP = 1200    # samples: silences from 150 ms on


def silences(path):
    """Seconds of nothing in a WAV file, each run of it."""
    data = open(path, "rb").read()[44:]
    samples = struct.unpack(f"<{len(data) // 2}h", data)
    found, run = [], 0
    for sample in samples + (1,):
        if sample == 0:
            run += 1
            continue
        if run >= GAP:
            found.append(run / 8000)
        run = 0
    return found, len(samples) / 8000


def run(lab_arguments, long):
    seconds, every = (30, 8) if long else (12, 4)
    cuts = 3 if long else 2
    if not os.access(EXECUTABLE, os.X_OK):
        raise host.Skipped(f"{os.path.relpath(EXECUTABLE, host.ROOT)} has not been built")
    with Lab(**lab_arguments) as lab:
        folder, office = lab.folder, lab.network.namespace("office")

        def demo(*words, limit):
            done = subprocess.run(["ip", "netns", "exec", office, EXECUTABLE, "demo", *words], capture_output=True, text=True,
                                  timeout=limit, cwd=folder)
            return done.returncode, done.stdout + done.stderr

        wav, svg = (os.path.join(folder, "demo." + ending) for ending in ("wav", "svg"))
        code, text = demo("--seconds", str(seconds), "--cut-every", str(every), "--output", wav, "--picture", svg,
                          limit=seconds + 30)
        host.require(code == 0, f"exit {code}: {text}")
        host.require("Every promise held." in text, text)
        host.require(text.count("the line is cut") == cuts, f"{cuts} cuts were wanted: {text}")
        addresses = set(re.findall(r"with the public address (\S+?);", text))
        host.require(len(addresses) == cuts, f"public addresses: {addresses}")
        gaps, length = silences(wav)
        host.require(len(gaps) == cuts, f"silences in what the far end heard: {gaps}")
        host.require(abs(length - seconds) < 1.5, f"{length} s were heard of {seconds}")
        host.require(max(gaps) < every / 4 + 1, f"a silence of {max(gaps):.2f} s")
        picture = open(svg, encoding="utf-8").read()
        xml.dom.minidom.parseString(picture)
        host.require(picture.count("class=\"up\"") == cuts + 1, "the picture shows another number of addresses")

        # Nothing reaches the public addresses: the first promise breaks, and says so.
        host.command("ip", "netns", "exec", office, "nft", "add table ip deaf; add chain ip deaf in { type filter hook input "
                     "priority 0; }; add rule ip deaf in ip daddr 127.10.3.0/24 drop")
        code, text = demo("--seconds", "2", limit=30)
        host.require(code == 1, f"exit {code} although nothing gets through: {text}")
        host.require("Broken: the trunk registers within 10 s." in text, text)
        return f"{cuts} cuts of {every / 4:.1f} s; the far end missed {', '.join(f'{gap:.2f}' for gap in gaps)} s"
