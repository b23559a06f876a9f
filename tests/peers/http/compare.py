"""Compares what real clients get over HTTP directly and through `witgate serve`. See ../README.md.

    compare.py ROOT [CASE...]
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

HERE = pathlib.Path(__file__).parent
ROOT = pathlib.Path(sys.argv[1]).resolve()
PEERS = ROOT / "target" / "peers" / "http"
DEBUG = ROOT / "target" / "debug"
SECONDS = 180

sys.path.insert(0, str(ROOT / "tests" / "conformance"))
from gate import Failure, Gate, address, stop  # noqa: E402

USUAL = ["list", "call", "error", "progress", "elicitation", "sampling", "change", "cancel", "hundred"]
# A Python server asks nothing here, and its list stays as it is.
PLAIN = ["list", "call", "error", "progress", "cancel", "hundred"]


@dataclass
class Client:
    """A program that takes a URL, a mode and steps, and prints what came of them as JSON."""

    command: list[str]
    mode: str
    """Steps that it cannot do."""
    without: tuple[str, ...] = ()

    def run(self, url: str, steps: list[str], log: pathlib.Path) -> dict:
        chosen = [step for step in steps if step not in self.without]
        with open(log, "ab") as errors:
            done = subprocess.run(
                [*self.command, url, self.mode, *chosen],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, timeout=SECONDS,
            )
        try:
            return json.loads(done.stdout)
        except ValueError:
            end = log.read_text(errors="replace")[-3000:]
            raise Failure(f"{self.command} {self.mode}: exit {done.returncode}\n{end}") from None


def clients() -> dict[str, Client]:
    python = {n: str(PEERS / f"mcp{n}" / "bin" / "python") for n in (1, 2)}
    node = ["node", str(HERE / "client.mjs"), str(PEERS)]
    found = {f"mcp-2-{mode}": Client([python[2], str(HERE / "python2.py")], mode)
             for mode in ("legacy", "auto", "2026-07-28")}
    # Its calls are not cancelled by leaving them.
    found["mcp-1"] = Client([python[1], str(HERE / "python1.py")], "legacy", ("cancel",))
    found["sdk-1"] = Client(node, "sdk-1")
    found |= {f"client-2-{mode}": Client(node, mode) for mode in ("legacy", "auto", "2026-07-28")}
    found["inspector"] = Client([sys.executable, str(HERE / "inspector.py"), str(PEERS)], "http", tuple(
        step for step in [*USUAL, "pages", "large"] if step not in ("list", "call", "error")
    ))
    return found


class Server:
    """A server's process, listening. `command` prints its URL."""

    def __init__(self, command: list[str], log: pathlib.Path):
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
        self.url = address(self.process, command[0], log)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        stop(self.process)


FIXTURE = [str(DEBUG / "examples" / "conformance-server")]
PAGED = [*FIXTURE, "--pages", "63"]
SERVERS = {
    "rmcp": (FIXTURE, USUAL),
    "pages": (PAGED, ["pages"]),
    # As JSON: the Python client takes no event beyond a mebibyte.
    "json": ([*FIXTURE, "--json"], ["call", "large"]),
    "python": ([str(PEERS / "mcp2" / "bin" / "python"), str(HERE / "server.py")], PLAIN),
}


def differences(direct: dict, gated: dict) -> list[str]:
    """What a client got otherwise, by step. A step that fails directly is a fault of the peers: told, too."""
    lines = []
    for step in direct:
        one, other = direct[step], gated.get(step)
        if isinstance(one, str) and one.startswith("FAILED"):
            lines.append(f"{step}: directly {one[:300]}")
        elif one != other:
            lines.append(f"{step}: directly {str(one)[:300]}\n{' ' * len(step)}    gated {str(other)[:600]}")
    return lines


def took(log: pathlib.Path) -> str:
    """How long the hundred calls took, as the client tells on stderr."""
    found = re.search(r"^hundred: (.*)$", log.read_text(errors="replace"), re.M)
    return found[1] if found else "not told"


def compare(name: str, client: Client, base: pathlib.Path) -> bool:
    """One client with every server; whether the gate changes nothing."""
    well = True
    for kind, (command, steps) in SERVERS.items():
        if not [step for step in steps if step not in client.without]:
            continue
        here = base / f"{name}-{kind}"
        here.mkdir()
        with Server(command, here / "direct.log") as server:
            direct = client.run(server.url, steps, here / "client-direct.log")
        ways = {}
        # The inspector changes every path that does not end in `/mcp`.
        called = "mcp" if client.mode == "http" else "it"
        with Server(command, here / "server.log") as server:
            with Gate(DEBUG / "witgate", here / "http", [f"url = {json.dumps(server.url)}"], called) as gate:
                ways["http"] = client.run(gate.url, steps, here / "client-http.log")
        if kind != "python":
            lines = [f"command = {json.dumps(command[0])}", f"args = {json.dumps([*command[1:], '--stdio'])}"]
            with Gate(DEBUG / "witgate", here / "stdio", lines, called) as gate:
                ways["stdio"] = client.run(gate.url, steps, here / "client-stdio.log")
        for way, gated in ways.items():
            different = differences(direct, gated)
            well = well and not different
            told = "the same" if not different else "DIFFERS\n  " + "\n  ".join(different)
            print(f"{name:<20} {kind:<8} {way:<6} {len(direct) - 1} steps, {direct['version']}: {told}", flush=True)
        if "hundred" in steps and "hundred" not in client.without:
            times = [f"{way} {took(here / f'client-{way}.log')}" for way in ("direct", *ways)]
            print(f"{name:<20} {kind:<8} a hundred calls of a second: {', '.join(times)}", flush=True)
    return well


def main() -> int:
    failed = 0
    known = clients()
    with tempfile.TemporaryDirectory(dir=PEERS, prefix="run-") as base:
        for name in sys.argv[2:] or known:
            try:
                failed += not compare(name, known[name], pathlib.Path(base))
            except (Failure, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"{name:<20} FAILED\n{error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
