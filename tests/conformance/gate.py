"""A gate in front of one server over HTTP, with a home of its own."""

import json
import os
import pathlib
import subprocess
import threading


class Gate:
    """`witgate serve`, ready once made. `server`: the lines of `[server.NAME]` that say what it is."""

    def __init__(self, witgate: pathlib.Path, place: pathlib.Path, server: list[str], name: str = "it"):
        home = place / "home"
        config = home / "config" / "witgate"
        for folder in (config, home / "state"):
            folder.mkdir(parents=True, mode=0o700)
        lines = [
            "version = 1", "[http]", 'listen = "127.0.0.1:0"', 'auth = "none"',
            f"[server.{name}]", 'standing = "trusted"', "auto_approve_tool_changes = true", *server,
        ]
        (config / "witgate.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (config / "witgate.toml").chmod(0o600)
        self.log = place / "gate.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(witgate), "serve", "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={
                    **os.environ,
                    "XDG_CONFIG_HOME": str(home / "config"),
                    "XDG_STATE_HOME": str(home / "state"),
                    # Compiled policies: the same for every gate.
                    "XDG_CACHE_HOME": str(witgate.parents[1] / "conformance" / "cache"),
                },
            )
        self.url = address(self.process, "witgate serve", self.log)["servers"][0]["url"]

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_) -> None:
        stop(self.process)


class Failure(Exception):
    """A run that cannot go on; the text says why."""


def address(process: subprocess.Popen, what: str, log: pathlib.Path):
    """The first line a process prints, as JSON; it has a minute for it."""
    timer = threading.Timer(60, process.kill)
    timer.start()
    line = process.stdout.readline()
    timer.cancel()
    try:
        return json.loads(line) if line.startswith((b"{", b"[")) or not line else line.decode().strip()
    except ValueError:
        stop(process)
        raise Failure(f"{what} did not start:\n{log.read_text(errors='replace')[-4000:]}") from None


def stop(process: subprocess.Popen) -> None:
    """Ends a process, by force if it does not end when asked."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
