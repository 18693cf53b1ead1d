"""Chromium without a window, driven over its own protocol: what a page loads, prints, shows and does."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import websocket

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--remote-debugging-port=0", "--remote-allow-origins=*", "about:blank",
)  # fmt: skip
_LOGGED = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
DIALOG = "Page.javascriptDialogOpening"


class Browser:
    """One browser with one tab. All of it has ended after ``close``."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="batchq-chromium-", ignore_cleanup_errors=True)
        home = Path(self._home.name)
        self._process = subprocess.Popen(
            [shutil.which("chromium") or "chromium", *_FLAGS[:-1], f"--user-data-dir={home}", _FLAGS[-1]],
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number = 0
        self.events: list[dict[str, Any]] = []
        try:
            port = self._port(home / "DevToolsActivePort")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30) as answer:
                tab = next(tab for tab in json.load(answer) if tab["type"] == "page")
            self._socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=60)
        except BaseException:
            self._end()
            raise
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        try:
            self.call("Browser.close")
        except (OSError, websocket.WebSocketException):
            pass
        self._socket.close()
        self._end()

    def call(self, method: str, **params: Any) -> Any:
        """Send one command of the protocol; return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while (message := self._next()).get("id") != self._number:
            pass
        assert "error" not in message, f"{method}: {message['error']}"
        return message["result"]

    def open(self, path: Path, width: int = 1200, *, dark: bool = False, media: str = "") -> None:
        """Open a file in a window of that width, and wait until it has been loaded."""
        self._load("about:blank")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._load(path.as_uri())

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def requested(self) -> list[str]:
        """Return everything that was requested since the page was opened."""
        return [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]

    def logged(self) -> list[str]:
        """Return everything that was printed to the console since the page was opened."""
        return [json.dumps(event["params"]) for event in self.events if event["method"] in _LOGGED]

    def dialogs(self) -> list[str]:
        return [event["params"]["message"] for event in self.events if event["method"] == DIALOG]

    def picture(self, path: Path, most: int = 6000) -> None:
        """Save the whole page as PNG, at most ``most`` pixels of its height."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most), "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        """Return the page as it is printed, on A4."""
        printed = self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(printed["data"])

    def _load(self, url: str) -> None:
        self.events.clear()
        loader = self.call("Page.navigate", url=url)["loaderId"]
        while not any(_has_loaded(event, loader) for event in self.events):  # the page before may tell that it has, too
            self._next()

    def _next(self) -> Any:
        """Receive a message, and keep it if it is an event. A dialog is accepted: nothing else goes on until it is."""
        message = json.loads(self._socket.recv())
        if "method" in message:
            self.events.append(message)
            if message["method"] == DIALOG:
                accept = {"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
                self._socket.send(json.dumps(accept))
        return message

    def _port(self, path: Path) -> str:
        deadline = time.monotonic() + 60
        while not path.exists() or "\n" not in path.read_text():
            assert self._process.poll() is None, f"chromium ended with {self._process.returncode}"
            assert time.monotonic() < deadline, "chromium did not start"
            time.sleep(0.02)
        return path.read_text().split("\n")[0]

    def _end(self) -> None:
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._home.cleanup()


def _has_loaded(event: dict[str, Any], loader: str) -> bool:
    params = event["params"]
    return event["method"] == "Page.lifecycleEvent" and (params["loaderId"], params["name"]) == (loader, "load")
