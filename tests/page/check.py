"""Loads a page of a run in headless Chromium, driven over its DevTools pipe, and says what is wrong with it.

    check.py PAGE.html TEXT     TEXT is what must stand on the page as text, and nothing else
"""

import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions",
]
PATIENCE = 60

# What the page is made of, as its reader sees it.
LOOK = r"""
(() => {
  const shown = (svg) => getComputedStyle(svg).display !== 'none';
  const charts = [...document.querySelectorAll('svg[role=img]')].filter(shown).map((svg) => {
    const box = svg.getBoundingClientRect();
    const paths = [...svg.querySelectorAll('path.line')].map((path) => {
      const box = path.getBBox();
      const points = (path.getAttribute('d').match(/[ML]/g) || []).length;
      const style = getComputedStyle(path);
      return { points, width: box.width, stroke: style.stroke, colour: style.strokeWidth };
    });
    return { name: svg.getAttribute('aria-label'), width: box.width, height: box.height, paths };
  });
  return {
    charts,
    kinds: [...new Set([...document.querySelectorAll('*')].map((element) => element.localName))].sort(),
    handlers: [...document.querySelectorAll('*')].flatMap((e) => [...e.attributes]).map((a) => a.name)
      .filter((name) => name.startsWith('on') || ['href', 'src', 'srcset', 'style', 'action', 'xlink:href'].includes(name)),
    text: document.body.textContent,
    title: document.title,
    ground: getComputedStyle(document.body).backgroundColor,
    margin: getComputedStyle(document.body).marginTop,
    sideways: document.scrollingElement.scrollWidth - innerWidth,
  };
})()
"""

KINDS = set(
    "html head meta title style body main header footer section div p h1 h2 ul li b span dl dt dd table thead tbody tr th td "
    "figure figcaption details summary pre svg desc line path rect text".split()
)


class Browser:
    """Chromium in a profile of its own."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="page-")
        down, up = os.pipe(), os.pipe()
        # Chromium reads commands from descriptor 3 and writes to 4.
        def descriptors():
            ends = (os.dup(down[0]), os.dup(up[1]))
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)
        command = ["chromium", *FLAGS, f"--user-data-dir={self.home}", "--remote-debugging-pipe", "about:blank"]
        with open(os.path.join(self.home, "log"), "wb") as log:
            self.process = subprocess.Popen(
                command, close_fds=False, preexec_fn=descriptors, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        os.close(down[0])
        os.close(up[1])
        self.commands, self.answers = down[1], up[0]
        self.rest, self.last, self.events, self.session = b"", 0, [], None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def message(self, until):
        while b"\0" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.answers], [], [], left)[0]:
                raise TimeoutError("Chromium did not answer in time")
            chunk = os.read(self.answers, 1 << 20)
            if not chunk:
                log = Path(self.home, "log").read_text(errors="replace")
                raise RuntimeError(f"Chromium ended: {log[-2000:]}")
            self.rest += chunk
        line, self.rest = self.rest.split(b"\0", 1)
        return json.loads(line)

    def ask(self, method, **parameters):
        self.last += 1
        command = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            message = self.message(until)
            if message.get("id") == self.last:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.take(message)

    def take(self, message):
        self.events.append((message.get("method"), message.get("params", {})))
        if message.get("method") == "Page.javascriptDialogOpening":
            # It would hold up everything else; it is an event, and so a fault.
            self.last += 1
            answer = {"id": self.last, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            os.write(self.commands, json.dumps(answer | {"sessionId": self.session}).encode() + b"\0")

    def wait_for(self, method):
        until = time.monotonic() + PATIENCE
        while not any(name == method for name, _ in self.events):
            self.take(self.message(until))

    def evaluate(self, expression):
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def close(self):
        try:
            os.write(self.commands, json.dumps({"id": 0, "method": "Browser.close"}).encode() + b"\0")
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def faults(browser, page, text):
    """Everything that is wrong with a page."""
    url = Path(page).resolve().as_uri()
    browser.events.clear()
    screen(browser, 1100, 900, "light")
    browser.ask("Page.navigate", url=url)
    browser.wait_for("Page.loadEventFired")
    # Whatever the page begins, it begins within two frames and an idle moment.
    browser.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 300))))")
    wide = browser.evaluate(LOOK)
    screen(browser, 1100, 900, "dark")
    dark = browser.evaluate(LOOK)
    screen(browser, 390, 844, "light")
    phone = browser.evaluate(LOOK)
    found = [f"{what}" for what in happened(browser.events, url)]
    found += [f"on a screen: {what}" for what in seen(wide, text)]
    found += [f"on a phone: {what}" for what in seen(phone, text)]
    if brightness(wide["ground"]) < 200 or brightness(dark["ground"]) > 60:
        found.append(f"light and dark look the same: {wide['ground']}, {dark['ground']}")
    if len(browser.ask("Page.printToPDF")["data"]) < 10_000:
        found.append("there is nothing on paper")
    return found


def screen(browser, width, height, scheme):
    browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def happened(events, url):
    for method, parameters in events:
        if method == "Network.requestWillBeSent" and parameters["request"]["url"] != url:
            yield f"it asks for {parameters['request']['url']}"
        elif method == "Runtime.consoleAPICalled":
            yield f"it writes to the console: {parameters['args']}"
        elif method == "Runtime.exceptionThrown":
            yield f"it throws: {parameters['exceptionDetails'].get('text')}"
        elif method == "Log.entryAdded":
            yield f"the console says: {parameters['entry']['text']}"
        elif method == "Page.javascriptDialogOpening":
            yield f"it opens a dialog: {parameters['message']}"


def seen(look, text):
    if look["margin"] != "0px":
        yield "its style sheet is not in force"
    for kind in sorted(set(look["kinds"]) - KINDS):
        # `title` is in HTML and in SVG.
        yield f"there is an element <{kind}>"
    for name in sorted(set(look["handlers"])):
        yield f"there is an attribute {name}"
    if text not in look["text"] or text not in look["title"]:
        yield "the hostile text is not there as text"
    if look["sideways"] > 0:
        yield f"it is {look['sideways']} px too wide"
    names = [chart["name"] for chart in look["charts"]]
    for wanted in ("Rate over time", "Response time over time", "Errors over time", "Distribution of times by percentile"):
        if names.count(wanted) != 1:
            yield f"there is no chart, or more than one, of: {wanted} ({names})"
    for chart in look["charts"]:
        name = chart["name"]
        if chart["width"] < 100 or chart["height"] < 60:
            yield f"{name}: is {chart['width']} by {chart['height']} px"
        drawn = [path for path in chart["paths"] if path["points"] >= 5 and path["width"] > 50]
        least = {"Rate over time": 2, "Response time over time": 3, "Distribution of times by percentile": 2}.get(name, 0)
        if len(drawn) < least:
            yield f"{name}: {len(drawn)} lines are drawn, not {least}: {chart['paths']}"
        for path in drawn:
            if path["stroke"] == "none":
                yield f"{name}: a line has no colour"


def brightness(colour):
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3


# A page with each of these is a faulty one, or this program cannot fail.
SPOILS = [
    ("it asks for", lambda page: page.replace("<main>", '<main><img src="http://127.0.0.1:9/x"/>').replace(POLICY, "")),
    ("the console says", lambda page: page.replace("<main>", '<main><img src="http://127.0.0.1:9/x"/>')),
    ("it opens a dialog", lambda page: page.replace("<main>", "<main><script>alert(1)</script>").replace(POLICY, "")),
    ("there is an element <script>", lambda page: page.replace("<main>", "<main><script>alert(1)</script>")),
    ("its style sheet is not in force", lambda page: page.replace("body { margin: 0;", "body { margin:  0;")),
    ("lines are drawn", lambda page: re.sub(r'(class="line c" d=")[^"]*', r"\1", page)),
    ("the hostile text is not there", lambda page: page.replace("&lt;", "<")),
    ("px too wide", lambda page: page.replace('<tr><td class="w">', '<tr><td class="w"><svg width="3000"/>').replace('class="scroll"', "")),
]
POLICY = ""


def main(page, text):
    global POLICY
    browser = Browser()
    try:
        found = faults(browser, page, text)
        for fault in found:
            print(f"check-page: {fault}", file=sys.stderr)
        if found:
            return 1
        source = Path(page).read_text()
        POLICY = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', source).group()
        for wanted, spoil in SPOILS:
            spoilt = Path(browser.home, "spoilt.html")
            spoilt.write_text(spoil(source))
            found = faults(browser, spoilt, text)
            if not any(wanted in fault for fault in found):
                print(f"check-page: a spoilt page was not found out ({wanted}): {found}", file=sys.stderr)
                return 1
    finally:
        browser.close()
    print(f"check-page: {page} is as it should be, and {len(SPOILS)} spoilt ones were found out")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
