"""Runs the real binary against real servers and checks what came of it.

    check.py BINARY --node NODE --everything DIR --typescript DIR --python1 PYTHON --python2 PYTHON [--only WORD] [--at-once N]

Counts are judged, never verdicts: generator, server and other runs share the machine here, so that a run may rightly
doubt its own figures (INVALID) although each call was answered.
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import time

from servers import Failed, Results, Server, eventually

HERE = os.path.dirname(os.path.abspath(__file__))
LEGACY, MODERN = "2025-11-25", "2026-07-28"
RATE, SECONDS = 200, 10
# A busy machine makes servers slow, not wrong: what is late is still to be answered. With more connections at once than a
# listening socket keeps (511 in Node) the kernel would reset some, which is no fault of the server's either.
PATIENT = ["--timeout", "120s", "--connect-timeout", "120s", "--concurrent", "400"]
# Exit codes of a run that was made and judged: PASS, FAIL, INVALID, INCONCLUSIVE.
JUDGED = (0, 1, 3, 4)


class Everything(Server):
    """server-everything tells of its sessions in its log."""

    def sessions(self):
        opened = set(re.findall(r"Session initialized with ID: (\S+)", self.said()))
        return len(opened - set(re.findall(r"Transport closed for session ([^\s,]+)", self.said())))


class Sessionless(Server):
    """A server that opens no sessions, so that there are none to be left."""

    has_sessions = False


class Servers:
    """How each server is started."""

    def __init__(self, args):
        self.args = args

    def bundled(self, sessions, replies):
        command = [self.args.binary, "serve", "--port", "PORT", "--sessions", sessions, "--replies", replies]
        return Server(f"bundled {sessions} {replies}", command)

    def python(self, version, sessions, replies):
        program = getattr(self.args, f"python{version}")
        command = [program, os.path.join(HERE, "payments_server.py"), "PORT", sessions, replies]
        return Server(f"Python SDK {version}.x {sessions} {replies}", command)

    def everything(self):
        program = os.path.join(self.args.everything, "dist", "index.js")
        return Everything("server-everything", [self.args.node, program, "streamableHttp"])

    def typescript(self, legacy, replies):
        program = os.path.join(HERE, "payments_server.mjs")
        command = [self.args.node, program, self.args.typescript, "PORT", legacy, replies]
        return Sessionless(f"TypeScript SDK 2.x {legacy} {replies}", command)


class Run:
    """One run of the binary, and what it saved."""

    def __init__(self, binary, url, *flags, meanwhile=None, bound=240):
        self.flags = flags
        with tempfile.TemporaryDirectory(prefix="mcpace-interop-") as folder:
            out = os.path.join(folder, "run.json")
            command = [binary, "run", "--url", url, "--metrics", "off", "--out", out, *flags]
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                if meanwhile:
                    meanwhile()
                self.stdout, self.stderr = process.communicate(timeout=bound)
            except subprocess.TimeoutExpired:
                raise Failed(f"it hung: no end after {bound} s") from None
            finally:
                process.kill()
                process.wait()
            self.code = process.returncode
            if self.code not in JUDGED:
                raise Failed(f"exit code {self.code}: {self.stderr[-2000:]}")
            with open(out, encoding="utf-8") as saved:
                self.saved = json.load(saved)
        self.outcomes, self.scheduled, self.lost = {}, 0, 0
        for series in self.saved["summary"]["series"]:
            for phase in (series["warmup"], series["measure"]):
                self.scheduled += phase["scheduled"]
                self.lost += phase["dropped"] + phase["abandoned"]
                for outcome, count in phase["outcomes"].items():
                    self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count
        if self.scheduled != sum(self.outcomes.values()) + self.lost:
            raise Failed(f"{self.scheduled} scheduled, {self.outcomes} and {self.lost} lost do not add up")
        if self.scheduled == 0:
            raise Failed("nothing was scheduled")

    def all_ok(self, arrivals=None):
        """Each arrival was answered, and answered well; there were about so many of them."""
        if arrivals and abs(self.scheduled - arrivals) > arrivals / 10:
            raise Failed(f"{self.scheduled} calls were scheduled, not about {arrivals}")
        if self.outcomes != {"ok": self.scheduled}:
            examples = re.findall(r"FAILURES.*?\n\n", self.stdout, re.DOTALL)
            raise Failed(f"of {self.scheduled} calls: {self.outcomes}, {self.lost} lost\n{''.join(examples)[:3000]}")
        return self

    def spoke(self, revision):
        """The wire is the one that was to be tried."""
        spoken = self.saved["server"]["revision"]
        if spoken != revision:
            raise Failed(f"it spoke {spoken}, not {revision}")
        return self


def no_session_left(server):
    try:
        eventually("no session", 3, lambda: server.sessions() == 0)
    except Failed:
        raise Failed(f"{server.sessions()} sessions of ours are left on the server") from None


class Checks:
    """All that is to be checked, as groups; a group has one server, and its steps come one after the other."""

    def __init__(self, args):
        self.binary, self.servers, self.groups, self.results = args.binary, Servers(args), [], Results()
        pay, add = ["--mixed"], ["--tool", "get-sum", "--args", '{"a": 1, "b": 2}']
        for sessions, replies in (("stateful", "sse"), ("stateless", "sse"), ("stateless", "json")):
            self.wires(self.servers.bundled(sessions, replies), pay, [LEGACY, MODERN])
        for sessions in ("stateful", "stateless"):
            for replies in ("sse", "json"):
                self.wires(self.servers.python(2, sessions, replies), pay, [LEGACY, MODERN])
                self.wires(self.servers.python(1, sessions, replies), pay, [LEGACY])
        self.wires(self.servers.everything(), add, [LEGACY])
        self.wires(self.servers.typescript("stateless", "auto"), pay, [LEGACY, MODERN])
        self.wires(self.servers.typescript("reject", "sse"), pay, [MODERN])
        self.slow_tools()
        self.killed_servers()
        self.generated_arguments()

    def group(self, server, steps):
        self.groups.append((server, steps))

    def run(self, server, *flags, **options):
        return Run(self.binary, server.url, *flags, **options)

    def wires(self, server, calls, revisions):
        """On each wire that the server has, and on the one that is found: all ok, and no session left."""
        load = [*PATIENT, "--rate", str(RATE), "--duration", f"{SECONDS}s", *calls]
        steps = [(revision, lambda s, r=revision: self.run(s, "--protocol", r, *load).all_ok(RATE * SECONDS).spoke(r))
                 for revision in revisions]
        found = revisions[-1]
        steps.append((f"auto, which is {found}", lambda s: self.run(
            s, *PATIENT, "--rate", str(RATE), "--duration", "2s", *calls).all_ok().spoke(found)))
        self.group(server, steps)

    def slow_tools(self):
        """Tools of a second that overlap never hang, and one that takes longer than the SDK stays silent is answered."""
        long = ["--tool", "trigger-long-running-operation", "--args", '{"duration": 1, "steps": 2}']
        slow = ["--tool", "slow", "--args", '{"seconds": 1}']
        load = [*PATIENT, "--rate", "50", "--duration", f"{SECONDS}s"]
        self.group(self.servers.everything(), [("1 s tools", lambda s: self.run(s, *load, *long).all_ok())])
        for version, sessions, revision in ((1, "stateful", LEGACY), (2, "stateful", LEGACY), (2, "stateless", MODERN)):
            step = lambda s, r=revision: self.run(s, "--protocol", r, *load, *slow).all_ok()
            self.group(self.servers.python(version, sessions, "sse"), [(f"1 s tools, {revision}", step)])
        self.group(self.servers.typescript("stateless", "auto"), [
            (f"1 s tools, {r}", lambda s, r=r: self.run(s, "--protocol", r, *load, *slow).all_ok())
            for r in (LEGACY, MODERN)])
        silent = [*PATIENT, "--tool", "slow", "--args", '{"seconds": 16}', "--rate", "2", "--total", "4"]
        for version, revisions in ((1, [LEGACY]), (2, [LEGACY, MODERN])):
            self.group(self.servers.python(version, "stateless", "sse"), [
                (f"16 s tool, {r}", lambda s, r=r: self.run(s, "--protocol", r, *silent).all_ok(4))
                for r in revisions])

    def killed_servers(self):
        """A server that dies in the middle of a run: the run ends by itself, and tells what it saw."""
        def killed(server):
            def kill():
                time.sleep(2)
                server.kill()
            run = self.run(server, "--rate", "100", "--duration", "5s", "--timeout", "2s", *calls, meanwhile=kill, bound=30)
            if run.code == 0 or run.outcomes.get("ok", 0) == 0 or len(run.outcomes) < 2:
                raise Failed(f"exit code {run.code} and {run.outcomes} after the server was killed")
        calls = ["--tool", "slow", "--args", '{"seconds": 0.2}']
        self.group(self.servers.python(2, "stateful", "sse"), [("killed in mid-run", killed)])

    def generated_arguments(self):
        """Any tool of a server seen for the first time, without a plan."""
        flags = ["--tool", "get-sum", "--args", "auto", "--rate", "100", "--duration", f"{SECONDS}s"]
        self.group(self.servers.everything(), [("--args auto", lambda s: self.run(s, *flags).all_ok())])

    def work(self, group):
        server, steps = group
        try:
            with server:
                for what, step in steps:
                    self.results.check(f"{server.name}: {what}", lambda step=step: self.step(server, step))
        except Exception as why:  # The server itself would not start.
            self.results.say(server.name, why, 0)

    def step(self, server, step):
        step(server)
        if server.has_sessions and server.process.poll() is None:
            no_session_left(server)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    for name in ("node", "everything", "typescript", "python1", "python2"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--only", default="", help="only servers and steps with this word in their name")
    parser.add_argument("--at-once", type=int, default=3, help="how many servers at a time")
    args = parser.parse_args()
    checks = Checks(args)
    groups = []
    for server, steps in checks.groups:
        wanted = [step for step in steps if args.only in f"{server.name}: {step[0]}"]
        groups += [(server, wanted)] if wanted else []
    with concurrent.futures.ThreadPoolExecutor(args.at_once) as pool:
        list(pool.map(checks.work, groups))
    sys.exit(checks.results.end("interop"))


main()
