#!/usr/bin/env python3
"""Opens a page in headless Chromium as people would, and says as JSON what they would see.

Usage: browser.py URL [FOLDER]

Every width and colour scheme is one view: whether it scrolls sideways and because of what, its text. With FOLDER a
screenshot of each view and a PDF are written there. Whatever the page loads or complains about is listed, and what the tab
key comes to. Needs Python's standard library and Chromium alone: the two speak over a pipe (--remote-debugging-pipe).
"""
import base64, json, os, shutil, subprocess, sys, tempfile

VIEWS = [(1280, "light"), (1280, "dark"), (768, "light"), (360, "light"), (360, "dark")]
# What sticks out of the window to the right, by the innermost elements; what is clipped on purpose does not.
OVERFLOW = """[...document.body.querySelectorAll('*')].filter(e => {
  const box = e.getBoundingClientRect(), style = getComputedStyle(e);
  return box.width > 1 && box.right > document.documentElement.clientWidth + 0.5 && style.clipPath === 'none'
    && ![...e.children].some(c => c.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5);
}).map(e => e.tagName + '.' + e.getAttribute('class') + ': ' + e.textContent.trim().slice(0, 60))"""

# All that a person without a mouse must come to: what is drawn and can be followed, opened or scrolled.
USABLE = """[...document.querySelectorAll('a[href], button, summary, input, select, textarea, [tabindex="0"]')]
  .filter(e => e.checkVisibility() && !e.disabled)"""
# Where one is, and whether one sees it.
FOCUSED = """(() => {
  const e = document.activeElement;
  if (!e || e === document.body || e === document.documentElement) return -1;
  const style = getComputedStyle(e);
  if (style.outlineStyle === 'none' && style.boxShadow === 'none') window.unmarked.push(window.name_of(e));
  return window.usable.indexOf(e);
})()"""


class Browser:
    def __init__(self, profile):
        to_browser, self.to = os.pipe()
        self.back, from_browser = os.pipe()
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if not program:
            sys.exit("browser.py: there is no chromium; tests/setup installs it")
        # The pipe is on the descriptors 3 and 4: the shell puts it there, whatever ours are.
        command = 'exec "$0" "$@" 3<&%d 4>&%d' % (to_browser, from_browser)
        options = ["--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + profile, "--no-first-run",
                   "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")  # Chromium's own sandbox needs a user that is not root
        self.process = subprocess.Popen(["bash", "-c", command, program] + options, pass_fds=(to_browser, from_browser),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser), os.close(from_browser)
        self.number, self.buffer, self.events, self.session = 0, b"", [], None

    def message(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.back, 1 << 20)
            if not piece:
                sys.exit("browser.py: chromium has ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        while True:
            message = self.message()
            if message.get("id") == self.number:
                if "error" in message:
                    sys.exit("browser.py: %s: %s" % (method, message["error"]))
                return message["result"]
            self.events.append(message)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            sys.exit("browser.py: %s" % result["exceptionDetails"])
        return result["result"].get("value")

    def wait(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.message())


def tabbed(browser):
    """What the tab key comes to, from the top of the page to its end."""
    browser.evaluate("window.name_of = e => e.tagName + ': ' + e.textContent.trim().slice(0, 60); window.unmarked = [];"
                     "window.usable = %s; document.activeElement.blur(); scrollTo(0, 0)" % USABLE)
    count, reached = browser.evaluate("usable.length"), set()
    for _ in range(count + 20):
        for kind in ("rawKeyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        at = browser.evaluate(FOCUSED)
        if at in reached:
            break  # once around
        if at >= 0:
            reached.add(at)
    missed = [at for at in range(count) if at not in reached]
    return {"usable": count, "reached": len(reached), "unmarked": browser.evaluate("unmarked"),
            "unreached": browser.evaluate("%s.map(at => name_of(usable[at]))" % json.dumps(missed))}


def look(browser, url, folder):
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
        browser.call(domain + ".enable")
    browser.call("Page.navigate", url=url)
    browser.wait("Page.loadEventFired")
    views = []
    for width, scheme in VIEWS:
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        phone = width < 600
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=2 if phone else 1,
                     mobile=phone)
        views.append({
            "width": width,
            "scheme": scheme,
            "scrollWidth": browser.evaluate("document.documentElement.scrollWidth"),
            "overflow": browser.evaluate(OVERFLOW),
            "background": browser.evaluate("getComputedStyle(document.body).backgroundColor"),
            "text": browser.evaluate("document.body.innerText"),
        })
        if folder:
            shot = browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
            with open(os.path.join(folder, "%d-%s.png" % (width, scheme)), "wb") as file:
                file.write(base64.b64decode(shot["data"]))
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", features=[])
    keyboard = tabbed(browser)
    pdf = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69)["data"])
    if folder:
        with open(os.path.join(folder, "print.pdf"), "wb") as file:
            file.write(pdf)
    names = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {}
    for node in names:
        if not node.get("ignored"):
            role = node.get("role", {}).get("value", "")
            roles[role] = roles.get(role, 0) + 1
    kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Audits.issueAdded")
    complaints = [json.dumps(event["params"]) for event in browser.events if event.get("method") in kinds]
    loaded = [event["params"]["request"]["url"] for event in browser.events
              if event.get("method") == "Network.requestWillBeSent"]
    return {"views": views, "roles": roles, "complaints": complaints, "loaded": loaded, "keyboard": keyboard,
            "pdfBytes": len(pdf)}


def main():
    url, folder = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        try:
            print(json.dumps(look(browser, url, folder)))
        finally:
            browser.process.terminate()
            browser.process.wait()


main()
