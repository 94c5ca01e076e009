"""What the checks against other people's programs share: servers in processes of their own, and an account of what held."""

import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
import traceback
import urllib.request


class Failed(Exception):
    """Something is not as it should be."""


def free_port():
    """A port below the ephemeral range that nobody listens on."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise Failed("no free port was found")


def eventually(what, seconds, happens):
    """The first true value of `happens`, which is given so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = happens()
        if value:
            return value
        time.sleep(0.1)
    raise Failed(f"{what} did not happen within {seconds} s")


class Server:
    """A server in a process of its own, which ends with the block."""

    has_sessions = True

    def __init__(self, name, command, environment=()):
        self.name, self.command, self.environment = name, command, dict(environment)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.log = tempfile.NamedTemporaryFile("w+", prefix="mcpace-interop-", suffix=".log")
        command = [word.replace("PORT", str(self.port)) for word in self.command]
        environment = os.environ | self.environment | {"PORT": str(self.port)}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        try:
            eventually(f"{self.name}: its start", 60, self.listens)
        except Failed:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        self.log.close()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def listens(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}:\n{self.said()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def said(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as log:
            return log.read()

    def sessions(self):
        """How many sessions are open."""
        with urllib.request.urlopen(f"{self.url}/health", timeout=10) as answer:
            return json.load(answer)["sessions"]


class Results:
    """What was checked, and how it went. Each failure names itself."""

    def __init__(self):
        self.held = []

    def check(self, name, step):
        """Does a step, which raises where something is wrong."""
        begun, why = time.monotonic(), None
        try:
            step()
        except Exception as failure:
            why = failure
        self.say(name, why, time.monotonic() - begun)

    def say(self, name, why, seconds):
        self.held.append(why is None)
        print(f"{'ok    ' if why is None else 'FAILED'} {name} ({seconds:.0f} s)", flush=True)
        if why is not None:
            told = str(why) if isinstance(why, Failed) else "".join(traceback.format_exception(why))
            print("       " + told.strip().replace("\n", "\n       "), flush=True)

    def end(self, what):
        """The last line, and the exit code."""
        failed = self.held.count(False)
        print(f"{what}: {len(self.held) - failed} passed, {failed} failed")
        return 1 if failed or not self.held else 0
