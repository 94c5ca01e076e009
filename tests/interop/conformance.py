"""Has the conformance suites of MCP examine the real binary, as a client and as a server.

    conformance.py BINARY --node NODE --suite DIR --first-suite DIR [--only WORD] [--at-once N]

As a client: every scenario that a suite has but those of authorization and of extensions, in every revision that it
applies to. As a server: the bundled one, in each of its modes, in the scenarios that need none of the suite's own
fixtures, or not only these.
"""

import argparse
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

from servers import Failed, Results, Server

HERE = os.path.dirname(os.path.abspath(__file__))
OLDER, LEGACY, MODERN = "2025-06-18", "2025-11-25", "2026-07-28"
# Nobody's scenario takes longer, in seconds.
BOUND = 60
# How many client scenarios the suites have for us: fewer would mean that their list is not understood any more.
CLIENT_SCENARIOS = {"suite": 11, "first_suite": 4}
# Checks that a suite leaves out, as they are about what this client has no need to do or to offer.
SKIPPED = {
    "http-standard-headers": {"ClientMcpMethodHeader_initialize", "ClientMcpMethodHeader_notifications_initialized"},
    "request-metadata": {"ClientDeclaresRootsCapability", "ClientDeclaresSamplingCapability"},
}
# Mode of the bundled server, revision, scenarios.
HANDSHAKE = ["server-initialize", "ping", "tools-list"]
SESSION = ["server-session-lifecycle"]
EVERY_MODERN = [
    "server-stateless", "http-header-validation", "tools-list", "caching", "server-sse-multiple-streams",
    "dns-rebinding-protection", "input-required-result-unsupported-methods",
]
SERVER_SCENARIOS = {
    ("stateful", "sse"): {
        OLDER: HANDSHAKE + SESSION,
        LEGACY: HANDSHAKE + SESSION + ["server-sse-multiple-streams", "server-sse-polling", "dns-rebinding-protection"],
        MODERN: EVERY_MODERN,
    },
    ("stateless", "sse"): {LEGACY: HANDSHAKE + ["dns-rebinding-protection"], MODERN: EVERY_MODERN},
    ("stateless", "json"): {LEGACY: HANDSHAKE + ["dns-rebinding-protection"], MODERN: EVERY_MODERN},
}
# What the bundled server has no fixture for, by revision.
MISSING_FIXTURES = {revision: os.path.join(HERE, f"missing-fixtures-{revision}.yml") for revision in (LEGACY, MODERN)}


class Suite:
    """One version of the conformance suite."""

    def __init__(self, node, folder):
        self.command = [node, os.path.join(folder, "dist", "index.js")]

    def client_scenarios(self):
        """(name, revisions) of those that are no matter of authorization or of an extension."""
        told = subprocess.run([*self.command, "list"], capture_output=True, text=True, timeout=BOUND, check=True).stdout
        section = told.partition("Client scenarios")[2].partition("\n\n")[0]
        listed = [(name, where.split(",")) for name, where in re.findall(r"^\s+- (\S+) \[(.+)\]$", section, re.MULTILINE)]
        return [(name, where) for name, where in listed if not name.startswith("auth/") and where != ["extension"]]

    def checks(self, what, cwd=None):
        """What a run of the suite has checked. Its own exit code must agree that nothing is wrong."""
        with tempfile.TemporaryDirectory(prefix="mcpace-conformance-") as folder:
            command = [*self.command, *what, "--output-dir", folder]
            try:
                ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=BOUND)
            except subprocess.TimeoutExpired:
                raise Failed(f"it hung: no end after {BOUND} s") from None
            found = glob.glob(os.path.join(folder, "**", "checks.json"), recursive=True)
            checks = []
            for path in found:
                with open(path, encoding="utf-8") as told:
                    checks += json.load(told)
        if ended.returncode != 0 or len(found) != 1:
            wrong = [f"{check['id']}: {check.get('errorMessage') or check['description']}" for check in bad(checks)]
            words = re.sub(r"\x1b\[[0-9;]*m", "", f"{ended.stdout[-1000:]}\n{ended.stderr[-1000:]}")
            raise Failed("\n".join([f"exit code {ended.returncode}", *wrong, words]))
        if not any(check["status"] == "SUCCESS" and check["id"] != "wire-schema-valid" for check in checks):
            raise Failed("nothing was checked")
        return checks


def bad(checks):
    return [check for check in checks if check["status"] in ("FAILURE", "WARNING")]


class Checks:
    """All that is to be checked, as tasks that may run beside each other."""

    def __init__(self, args):
        self.binary, self.only, self.results = os.path.realpath(args.binary), args.only, Results()
        self.suites = {name: Suite(args.node, getattr(args, name)) for name in CLIENT_SCENARIOS}
        self.missing = set()

    def run(self, at_once):
        tasks = self.client_tasks() + [lambda mode=mode: self.server(*mode) for mode in SERVER_SCENARIOS]
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda task: task(), tasks))
        self.check("what is listed as missing is missed by a scenario", self.all_is_missed)
        return self.results.end("conformance")

    def check(self, name, step):
        if self.only in name:
            self.results.check(name, step)

    def client_tasks(self):
        tasks = []
        for which, suite in self.suites.items():
            scenarios = suite.client_scenarios()
            self.check(f"client scenarios of the {which}", lambda: expect(CLIENT_SCENARIOS[which], len(scenarios)))
            for name, revisions in scenarios:
                # The first suite does not say which revision it is about: it shall be found out.
                for revision in revisions if which == "suite" else [None]:
                    label = f"client, {name}, {revision or 'whatever the first suite speaks'}"
                    step = lambda s=suite, n=name, r=revision: self.client(s, n, r)
                    tasks.append(lambda label=label, step=step: self.check(label, step))
        return tasks

    def client(self, suite, scenario, revision):
        # The suite takes the command apart at its blanks, so that it is given no path that might have some.
        folder, name = os.path.split(self.binary)
        what = ["client", "--command", f"./{name} conformance-client", "--scenario", scenario, "--timeout", "20000"]
        checks = suite.checks([*what, *(["--spec-version", revision] if revision else [])], cwd=folder)
        for check in bad(checks):
            raise Failed(f"{check['id']}: {check.get('errorMessage') or check['description']}")
        expect(SKIPPED.get(scenario, set()), {check["name"] for check in checks if check["status"] == "SKIPPED"})

    def server(self, sessions, replies):
        command = [self.binary, "serve", "--port", "PORT", "--sessions", sessions, "--replies", replies]
        label = f"server, {sessions} {replies}"
        try:
            with Server(label, command) as server:
                for revision, scenarios in SERVER_SCENARIOS[sessions, replies].items():
                    for scenario in scenarios:
                        step = lambda s=scenario, r=revision: self.scenario(server, s, r)
                        self.check(f"{label}, {scenario}, {revision}", step)
        except Exception as why:  # The server itself would not start.
            self.results.say(label, why, 0)

    def scenario(self, server, scenario, revision):
        missing = MISSING_FIXTURES.get(revision, MISSING_FIXTURES[LEGACY])
        url = f"{server.url}/mcp"
        what = ["server", "--url", url, "--scenario", scenario, "--spec-version", revision, "--expected-failures", missing]
        checks = self.suites["suite"].checks(what)
        self.missing |= {(os.path.basename(missing), f"{scenario}:{check['id']}") for check in bad(checks)}

    def all_is_missed(self):
        """The suite says which entries have become true; this says which are about nothing at all."""
        for path in MISSING_FIXTURES.values():
            with open(path, encoding="utf-8") as text:
                listed = set(re.findall(r"^\s+- ([^\s#]+)", text.read(), re.MULTILINE))
            missed = {entry for file, entry in self.missing if file == os.path.basename(path)}
            if listed - missed:
                raise Failed(f"{path}: of its entries these fail in no check: {', '.join(sorted(listed - missed))}")


def expect(wanted, found):
    if wanted != found:
        raise Failed(f"expected {wanted}, found {found}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    for name in ("node", "suite", "first-suite"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--only", default="", help="only checks with this word in their name")
    parser.add_argument("--at-once", type=int, default=2, help="how many at a time")
    args = parser.parse_args()
    sys.exit(Checks(args).run(args.at_once))


main()
