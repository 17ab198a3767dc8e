"""The rules of `trunkline firewall`: a machine and a router that drop everything else, and calls through them; each rule left
out once, and the probe that it names fails. The table of --apply; what the other formats are read by."""

import json
import os
import re
import subprocess
import time

from lab import host, network, provider, pypi
from lab.lab import Lab, check_audio
from lab.links import Links
from lab.trunkline import EXECUTABLE, PORT, Daemon

ROWS = ("nftables", "iptables", "ipv6", "router", "apply", "formats")
FORMATS = ("nftables", "iptables", "pf", "openwrt", "routeros", "windows", "fritzbox", "text")
TALK = 3
# A machine that lets nothing pass, and the same in the words of iptables.
CLOSED = {
    "nftables": {
        "office": """table inet filter {
            chain input { type filter hook input priority filter; policy drop; iif lo accept; }
            chain output { type filter hook output priority filter; policy drop; oif lo accept; }
            }""",
        "router": """table inet filter {
            chain forward { type filter hook forward priority filter; policy drop; iifname "lan" oifname "lan" accept; }
            }
            table ip translation {
            chain postrouting { type nat hook postrouting priority srcnat; oifname "wan0" masquerade; }
            # An early packet from outside shall not take the port that the NAT wants to keep.
            chain input { type filter hook input priority filter; ct state new iifname "wan0" meta l4proto udp drop; }
            }"""},
    "iptables": {
        "office": ["-P INPUT DROP", "-P OUTPUT DROP", "-A INPUT -i lo -j ACCEPT", "-A OUTPUT -o lo -j ACCEPT"],
        "router": ["-P FORWARD DROP", "-A FORWARD -i lan -o lan -j ACCEPT"]},
}


def run(lab_arguments, long, row):
    if row == "apply":
        return apply(lab_arguments)
    if row == "formats":
        return formats(lab_arguments)
    kinds = {"nftables": ["nftables"], "iptables": ["iptables"]}.get(row, ["nftables", "iptables"])
    lacking = host.missing_tools("iptables-restore", "ip6tables-restore") if "iptables" in kinds else []
    notes = [f"not installed: {', '.join(lacking)}"] if lacking else []
    for kind in kinds:
        if lacking and kind == "iptables":
            continue
        arguments = {**lab_arguments, "folder": os.path.join(lab_arguments["folder"], kind)}
        with Lab(**arguments, ipv6=row == "ipv6") as lab:
            notes.append(through(lab, kind, "router" if row == "router" else "office", row == "ipv6"))
    return "; ".join(notes)


# A call through a firewall that drops everything else, and each rule left out once.

def through(lab, kind, place, ipv6):
    home = lab.provider()
    far = home.far_end("strict")
    links = Links(lab, ipv6)
    yaml = links.configuration()
    text = rules(lab, yaml, "--format", kind, *(["--for", "router"] if place == "router" else []),
                 *(["--table", "filter"] if kind == "nftables" else []))
    with open(lab.file("rules.txt"), "w") as file:
        file.write(text)
    host.require("WARNING" not in text, f"a rule is missing: {text}")
    close(lab, kind, place)
    firewall = Loaded(lab, kind, place, text)
    host.require(not links.probe("registration"), "the firewall drops nothing: the probes prove nothing")
    firewall.load(text)
    firewall.jump()

    daemon = Daemon(lab, yaml)
    contact = daemon.wait_registered(20).get("contact") or ""
    host.require(f":{PORT}" in contact, f"the contact is {contact}")
    office = daemon.phone("10")
    outbound = office.dial(provider.FAR_NUMBER).wait_answered()
    heard = far.wait_incoming()
    inbound = far.dial(provider.NUMBER).wait_answered()
    rang = office.wait_incoming()
    time.sleep(TALK)
    outbound.hang_up()
    heard.wait_ended()
    rang.hang_up()
    inbound.wait_ended()
    check_audio(*[(f"{call.phone.name}, {name} call", call.stream) for name, call in
                  (("outbound", outbound), ("outbound", heard), ("inbound", inbound), ("inbound", rang))],
                at_least=TALK * 50 - 15)
    host.require(daemon.stop() == 0, "trunkline did not end well")

    # What follows are single packets. Through a machine's firewall they shall come without a NAT's help or hindrance.
    if place == "office":
        lab.network.set_nat("open")
    probes = {rule: probe for rule, probe in firewall.blocks()}
    host.require(len(probes) >= 9, f"only the rules {sorted(probes)} were made")
    for probe in sorted(set(probes.values())):
        host.require(links.probe(probe, patience=2), f"with every rule in force the probe {probe} fails")
    for rule, probe in probes.items():
        firewall.load(firewall.without(rule))
        host.require(not links.probe(probe), f"the probe {probe} succeeds without the rule {rule}")
    firewall.load(text)
    for probe in sorted(set(probes.values())):
        host.require(links.probe(probe, patience=2), f"after every rule came back the probe {probe} fails")
    return f"{kind}{', IPv6' if ipv6 else ''}, {place}: 2 calls; each of {len(probes)} rules is missed by its probe"


def rules(lab, yaml, *words):
    """What the verb prints."""
    path = lab.file("trunkline.yaml")
    with open(path, "w") as file:
        file.write(yaml)
    return lab.network.run("office", EXECUTABLE, "firewall", "--config", path, *words)


def close(lab, kind, place):
    if place == "router":
        lab.network.run("router", "nft", "flush", "ruleset")
    if kind == "nftables" or place == "router":
        # The router's masquerade is nft's in either case.
        closed = CLOSED["nftables"][place]
        if kind == "iptables":
            closed = closed[closed.index("table ip translation"):]
        feed(lab, place, ["nft", "-f", "-"], closed)
    if kind == "iptables":
        for command in ("iptables", "ip6tables"):
            for words in CLOSED["iptables"][place]:
                lab.network.run(place, command, *words.split())


def feed(lab, place, words, text):
    done = subprocess.run(["ip", "netns", "exec", lab.network.namespace(place), *words], input=text, text=True,
                          capture_output=True, timeout=20)
    host.require(done.returncode == 0, f"{' '.join(words)} refused: {' '.join(done.stderr.split())[:300]}")


class Loaded:
    """The printed rules in a namespace."""

    def __init__(self, lab, kind, place, text):
        self.lab, self.kind, self.place, self.text = lab, kind, place, text

    def load(self, text):
        if self.kind == "nftables":
            feed(self.lab, self.place, ["nft", "-f", "-"], text)
        else:
            for command in ("iptables-restore", "ip6tables-restore"):
                feed(self.lab, self.place, [command, "--noflush"], text)

    def jump(self):
        """Types what the head of the file says is to be typed once."""
        for line in self.text.splitlines():
            found = re.match(r"#   ((?:nft|iptables) .*)", line)
            for command in found.group(1).split("; ") if found else []:
                self.lab.network.run(self.place, *command.split())

    def blocks(self):
        """(rule, probe) of each block."""
        return re.findall(r"^ *# \[([a-z0-9-]+)\].*\n *# Without it \(probe ([a-z-]+)\)", self.text, re.M)

    def without(self, rule):
        """The text without the block of that rule: it ends with an empty line or with its chain."""
        kept, inside = [], False
        for line in self.text.splitlines():
            if re.match(rf" *# \[{rule}\]", line):
                inside = True
            elif inside and (not line.strip() or line.strip() in ("}", "COMMIT")):
                inside = False
            if not inside:
                kept.append(line)
        host.require(len(kept) < len(self.text.splitlines()), f"there is no block of the rule {rule}")
        return "\n".join(kept) + "\n"


# The table of --apply.

def apply(lab_arguments):
    with Lab(**lab_arguments) as lab:
        home = lab.provider()
        far = home.far_end("strict")
        links = Links(lab, False)
        yaml = links.configuration()
        verb = Verb(lab, yaml)
        # Somebody else's table, which has to stay as it is.
        feed(lab, "office", ["nft", "-f", "-"], "table inet filter {\nchain input { type filter hook input priority "
             "filter; policy accept; tcp dport 22 accept; }\n}")
        before = lab.network.run("office", "nft", "list", "ruleset")
        verb.expect(0, "--format", "nftables", "--apply")
        first = lab.network.run("office", "nft", "list", "table", "inet", "trunkline")
        host.require("drop" in first and f"udp dport {PORT}" in first, f"the table is {first}")
        host.require(links.names_server not in verb.error, f"a warning for nothing: {verb.error}")

        daemon = Daemon(lab, yaml)
        daemon.wait_registered(20)
        office = daemon.phone("10")
        calls = [office.dial(provider.FAR_NUMBER).wait_answered(), far.dial(provider.NUMBER).wait_answered()]
        time.sleep(TALK)
        for call in calls:
            call.hang_up()
        check_audio(*[(call.phone.name, call.stream) for call in calls], at_least=TALK * 50 - 15)
        host.require(daemon.stop() == 0, "trunkline did not end well")

        lab.network.set_nat("open")
        for probe in ("call", "stun", "phone", "phone-tcp", "voice-in", "large"):
            host.require(links.probe(probe, patience=2), f"with the table the probe {probe} fails")
        host.require(not links.stranger(), "a stranger's packet came through to the SIP port")

        # Again: replaced, not doubled. With another port: the old one is open again.
        verb.expect(0, "--format", "nftables", "--apply")
        again = lab.network.run("office", "nft", "list", "table", "inet", "trunkline")
        host.require(counted(again) == counted(first), "the second --apply left another table than the first")
        Verb(lab, yaml.replace(f":{PORT}", ":65004")).expect(0, "--format", "nftables", "--apply")
        host.require(links.stranger(), "the table of the old configuration is still in force")
        # A mistake changes nothing.
        kept = lab.network.run("office", "nft", "list", "table", "inet", "trunkline")
        Verb(lab, yaml + "nonsense: 1\n").expect(78, "--format", "nftables", "--apply")
        host.require(counted(lab.network.run("office", "nft", "list", "table", "inet", "trunkline")) == counted(kept),
                     "a configuration with a mistake changed the table")

        # A table that drops by itself is named.
        lab.network.run("office", "nft", "add chain inet filter input { policy drop; }")
        verb.expect(0, "--format", "nftables", "--apply")
        host.require("inet filter drops" in verb.error, f"the dropping table is not named: {verb.error}")
        lab.network.run("office", "nft", "add chain inet filter input { policy accept; }")

        for _ in range(2):          # the second time there is nothing to remove
            verb.expect(0, "--remove")
            after = lab.network.run("office", "nft", "list", "ruleset")
            host.require(after == before, f"after --remove the rules are {after}")
        verb.expect(64, "--format", "iptables", "--apply")
        verb.expect(64, "--format", "windows", "--names")
        return "applied, a call, strangers dropped; replaced, kept after a mistake, removed without a trace"


def counted(table):
    return re.sub(r"packets \d+ bytes \d+", "", table)


class Verb:
    def __init__(self, lab, yaml):
        self.lab, self.path, self.error = lab, lab.file("verb.yaml"), ""
        self.yaml = yaml

    def expect(self, code, *words):
        """The verb's output; its complaints are in `error`."""
        with open(self.path, "w") as file:
            file.write(self.yaml)
        done = subprocess.run(["ip", "netns", "exec", self.lab.network.namespace("office"), EXECUTABLE, "firewall",
                               "--config", self.path, *words], capture_output=True, text=True, timeout=30)
        self.error = done.stderr
        host.require(done.returncode == code,
                     f"trunkline firewall {' '.join(words)} ended with {done.returncode}, expected {code}: {done.stderr[:300]}")
        return done.stdout


# What the others are read by.

def formats(lab_arguments):
    with Lab(**lab_arguments) as lab:
        links = Links(lab, False)
        verb = Verb(lab, links.configuration().replace("stun.lab", "nowhere.lab"))
        began, windows, openwrt = time.monotonic(), "", ""
        for kind in FORMATS:
            text = verb.expect(0, "--format", kind)
            first = text.splitlines()[0]
            host.require(("UNCHECKED" in first) != (kind in ("nftables", "iptables")), f"{kind} begins with {first}")
            host.require("WARNING: the name nowhere.lab" in text and "nowhere.lab" in verb.error,
                         f"{kind} does not say that a name has no address")
            host.require(str(PORT) in text, f"{kind} does not name the SIP port")
            windows = text if kind == "windows" else windows
            openwrt = text if kind == "openwrt" else openwrt
        lasted = (time.monotonic() - began) / len(FORMATS)
        note = named(lab, Verb(lab, links.configuration()))
        links.silence()
        began = time.monotonic()
        text = verb.expect(0, "--format", "text")
        host.require(time.monotonic() - began < 8, "with silent name servers the verb hangs")
        host.require("WARNING: the name sip.lab" in text, "a silent name server is not spoken of")
        note += powershell(lab, windows) + "; " + uci(lab, openwrt)
        return f"{len(FORMATS)} formats in {lasted:.1f} s each, names without an address said; {note}"


def named(lab, verb):
    """iptables looks the names up itself."""
    if host.missing_tools("iptables-restore"):
        return "not installed: iptables; "
    text = verb.expect(0, "--format", "iptables", "--names")
    host.require("-d sip.lab --sport" in text and "-d stun.lab --sport" in text, "the rules have no names in them")
    Loaded(lab, "iptables", "office", text).load(text)
    rules = lab.network.run("office", "iptables", "-S", "TRUNKLINE-OUT")
    host.require(f"-d {network.PROVIDER}/32" in rules, f"iptables made of the names {rules}")
    return "iptables took names; "


def powershell(lab, text):
    """The grammar of tree-sitter-powershell reads the rules for Windows, and refuses broken ones."""
    python, reason = pypi.environment(os.path.dirname(lab.folder), ("tree-sitter==0.26.1", "tree-sitter-powershell==0.26.4"),
                                      "powershell")
    if not python:
        return f"not read: PowerShell ({reason})"
    path = lab.file("rules.ps1")
    broken = text.replace("-Group 'Trunkline'", "-Group 'Trunkline", 1)
    for content, expected in ((text, False), (broken, True)):
        with open(path, "w") as file:
            file.write(content)
        program = ("import sys, json, tree_sitter as t, tree_sitter_powershell as p\n"
                   "tree = t.Parser(t.Language(p.language())).parse(open(sys.argv[1], 'rb').read())\n"
                   "print(json.dumps(tree.root_node.has_error))")
        found = json.loads(host.command(python, "-c", program, path))
        host.require(found == expected, f"the PowerShell grammar {'refuses' if found else 'takes'} {path}")
    return "PowerShell read by tree-sitter-powershell"


def uci(lab, text):
    """uciparse reads the file that `uci batch` would have made of the rules for OpenWrt, and refuses one with a broken quote."""
    python, reason = pypi.environment(os.path.dirname(lab.folder), ("uciparse==0.3.0",), "uci")
    if not python:
        return f"not read: UCI ({reason})"
    lines, rules = [], 0
    for line in text.splitlines():
        words = re.fullmatch(r"set firewall\.(\w+)(?:\.(\w+))?=(.*)", line)
        if words and words[2]:
            lines.append(f"\toption {words[2]} {words[3]}")
        elif words:
            rules += 1
            lines += ["", f"config {words[3]} '{words[1]}'"]
        else:
            host.require(not line or line[0] == "#" or re.fullmatch(r"delete firewall\.\w+", line),
                         f"uci batch does not know “{line}”")
    path = lab.file("firewall.uci")
    for content, expected in ((lines, rules), (lines + ["\toption name 'open"], None)):
        with open(path, "w") as file:
            file.write("\n".join(content) + "\n")
        program = ("import json, sys\n"
                   "from uciparse.uci import UciFile, UciParseError\n"
                   "try: lines = UciFile.from_file(sys.argv[1]).normalized()\n"
                   "except UciParseError: print('null')\n"
                   "else: print(json.dumps(sum(line.startswith('config ') for line in lines)))")
        found = json.loads(host.command(python, "-c", program, path))
        host.require(found == expected, f"uciparse finds {found} sections in {path}, expected {expected}")
    return f"{rules} UCI sections read by uciparse"
