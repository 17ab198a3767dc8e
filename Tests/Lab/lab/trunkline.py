"""The program under test, in the office namespace, and what it says about itself over HTTP."""

import http.client
import json
import os
import re
import signal
import subprocess

from . import host, network, provider, sip

EXECUTABLE = os.environ.get("TRUNKLINE", os.path.join(host.ROOT, ".build", "release", "trunkline"))
TOKEN = "lab-token"
HTTP = ("127.0.0.1", 8065)
LAN = (network.OFFICE, 5060)
PORT = 65002
MEDIA = range(55000, 56000)
PHONES = {"10": "phone-ten", "20": "phone-twenty"}


def configuration(password=provider.PASSWORD, stun=None, store="trunkline.sqlite", server=network.PROVIDER, bind="0.0.0.0",
                  second=False, spare=False):
    """One trunk at the lab's provider, two phones; calls from outside ring phone 10. With `second` there are two uplinks, with
    `spare` the first has a spare port."""
    server = sip.bracketed(server)
    stun = stun or f"{server}:{provider.STUN_PORT}"
    another, uplinks = "", ""
    spare = f", sparePort: {PORT + 1}" if spare else ""
    if second:
        another = f'\n  - {{name: mobile, bind: "{network.OFFICE_2}:{PORT}", stunServers: ["{stun}"], keepalive: 10s}}'
        uplinks = "\n    uplinks: [dsl, mobile]"
    return f"""version: 1
uplinks:
  - {{name: dsl, bind: "{bind}:{PORT}", stunServers: ["{stun}"], keepalive: 10s{spare}}}{another}
lan: {{bind: 0.0.0.0:5060}}
phones:
  - {{extension: 10, name: Reception, password: {PHONES["10"]}}}
  - {{extension: 20, name: Workshop, password: {PHONES["20"]}}}
trunks:
  - name: provider
    domain: {provider.DOMAIN}
    registrar: "{server}:5060"
    username: {provider.USER}
    password: {password}
    numbers: [{provider.NUMBER}]{uplinks}
inbound:
  - {{trunk: provider, to: [phone:10]}}
outbound:
  - {{to: "*", trunks: [provider]}}
media: {{ports: {MEDIA.start}-{MEDIA.stop - 1}}}
store: {{path: {store}}}
http: {{bind: {HTTP[0]}:{HTTP[1]}, token: {TOKEN}}}
log: {{level: debug}}
"""


class Daemon:
    """`trunkline run`; without a configuration the embedded default."""

    def __init__(self, lab, text=None, wait=True):
        if not os.access(EXECUTABLE, os.X_OK):
            raise host.Skipped(f"{os.path.relpath(EXECUTABLE, host.ROOT)} has not been built")
        self.lab = lab
        self.folder = lab.file("daemon")
        os.makedirs(self.folder, exist_ok=True)
        # Whatever it keeps for its user belongs to this lab.
        self.environment = {"TRUNKLINE_RUNTIME_DIR": self.folder, "HOME": self.folder, "XDG_STATE_HOME": self.folder,
                            "XDG_RUNTIME_DIR": self.folder, "XDG_CONFIG_HOME": self.folder, "XDG_DATA_HOME": self.folder}
        self.configuration = None
        self.token = TOKEN
        words = [EXECUTABLE, "run"]
        if text is not None:
            self.configuration = os.path.join(self.folder, "trunkline.yaml")
            with open(self.configuration, "w") as file:
                file.write(text.replace("path: trunkline.sqlite", f"path: {self.folder}/trunkline.sqlite"))
            words += ["--config", self.configuration]
        log = lab.file(f"trunkline{len(lab.daemons) + 1}.log")
        self.process = lab.network.start("office", *words, log=log, env=self.environment, cwd=self.folder)
        lab.daemons.append(self)
        if wait:
            host.wait_for("trunkline answers /healthz", self._healthy, 15)

    def _healthy(self):
        host.require(self.process.running, f"trunkline ended: {self.process.output()[-600:]}")
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def verb(self, *words):
        """Runs another verb beside the daemon: (exit code, standard output)."""
        if self.configuration:
            words += ("--config", self.configuration)
        done = subprocess.run(
            ["ip", "netns", "exec", self.lab.network.namespace("office"), EXECUTABLE, *words], capture_output=True,
            text=True, timeout=20, env={**os.environ, **self.environment}, cwd=self.folder)
        return done.returncode, done.stdout

    def get(self, path, method="GET"):
        """(status, body) of an HTTP request from the daemon's own machine."""
        status, body = self.fetch(path, method)
        return status, body.decode()

    def fetch(self, path, method="GET"):
        """As get, with the body's bytes."""
        def connect():
            connection = http.client.HTTPConnection(*HTTP, timeout=5)
            connection.connect()
            return connection
        connection = self.lab.network.socket("office", connect)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def api(self, path):
        status, body = self.get("/api/v1" + path)
        host.require(status == 200, f"GET /api/v1{path} answered {status}: {body[:200]}")
        return json.loads(body)

    def metrics(self):
        """Prometheus text as a dictionary: the line's name with its labels → value."""
        found = {}
        for text in self.get("/metrics")[1].splitlines():
            if text and not text.startswith("#"):
                name, _, value = text.rpartition(" ")
                found[name] = float(value)
        return found

    def metric(self, name):
        """The sum over all labels."""
        return sum(v for n, v in self.metrics().items() if n == name or n.startswith(name + "{"))

    def trunk(self):
        return self.api("/trunks/provider")

    def wait_registered(self, seconds=15):
        host.wait_for("the trunk is registered", lambda: self.trunk()["state"] == "registered", seconds, every=0.1)
        return self.trunk()

    def media_sockets(self):
        """Local ports of media that the daemon has open."""
        ports = []
        for text in self.lab.network.run("office", "ss", "-H", "-u", "-a", "-n", "-p").splitlines():
            found = re.search(r":(\d+)\s+\S+\s+.*pid=(\d+)", text)
            if found and int(found.group(2)) == self.process.pid and int(found.group(1)) in MEDIA:
                ports.append(int(found.group(1)))
        return sorted(set(ports))

    def phone(self, extension, **options):
        """A registered telephone of the office."""
        return self.lab.phone(extension, PHONES[extension], LAN, domain=network.OFFICE, **options).register()

    def check_recording(self):
        """What the daemon has recorded since its start replays, decision by decision, and neither it nor the log names anybody.
        For a daemon that has ended. Answers how many inputs there are."""
        folder = os.path.join(self.folder, "recordings")
        name = os.path.join(folder, sorted(file for file in os.listdir(folder) if file.endswith(".recording"))[-1])
        done = subprocess.run([EXECUTABLE, "replay", name], capture_output=True, text=True, timeout=60)
        host.require(done.returncode == 0, f"replay ended with {done.returncode}: {done.stdout[-600:]}")
        secrets = [provider.PASSWORD, provider.NUMBER[4:], provider.FAR_NUMBER[4:], provider.DOMAIN, network.PROVIDER, network.FAR,
                   network.PUBLIC, network.OFFICE, network.PHONES, "Reception", "Workshop", *PHONES.values()]
        for place, text in (("recording", open(name).read()), ("replay", done.stdout), ("log", self.process.output())):
            for secret in secrets:
                host.require(secret not in text, f"{secret} is in the {place}")
        return int(done.stdout.split(" inputs;")[0].split()[-1])

    def stop(self, seconds=10, number=signal.SIGTERM):
        """The exit code."""
        self.process.signal(number)
        return self.process.wait(seconds)
