"""Compares what the conformance suites find directly and through the gate. See README.md.

    compare.py ROOT [--keep FOLDER] [RUN...]
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from gate import Failure, Gate, address, stop

HERE = pathlib.Path(__file__).parent
SECONDS = 240


@dataclass
class Run:
    """One run of a suite: of servers, or of clients."""

    package: str
    arguments: list[str]
    """Arguments of the fixture server."""
    server: tuple[str, ...] = ()
    """The ways through the gate: `http` and `stdio` upstream."""
    ways: tuple[str, ...] = ("http", "stdio")
    """How many checks pass directly: fewer say that the fixture has lost something."""
    passing: int = 0
    """For a client suite: the scenarios, each run by itself."""
    scenarios: tuple[str, ...] = ()


RUNS = {
    "0.1.16": Run("conformance-0.1", ["--suite", "all"], passing=46),
    "2025-11-25": Run("conformance-0.2", ["--requirements", "2025-11-25"], passing=83),
    "2026-07-28": Run("conformance-0.2", ["--requirements", "2026-07-28"], passing=197),
    # A server that answers with JSON where it can.
    "json": Run(
        "conformance-0.2", ["--requirements", "2026-07-28"], server=("--json",), ways=("http",), passing=196
    ),
    # A server that closes its stream in the middle of a call.
    "reconnect": Run(
        "conformance-0.2",
        ["--scenario", "server-sse-polling", "--spec-version", "2025-11-25"],
        server=("--reconnect",),
        ways=("http",),
        passing=3,
    ),
}

# The client scenarios that are no matter of authorization, by the revision they are run in.
CLIENTS = {
    "client-2025-11-25": Run(
        "conformance-0.2",
        ["--spec-version", "2025-11-25"],
        ways=("gate",),
        passing=20,
        scenarios=(
            "initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry",
            "json-schema-2020-12-preservation",
        ),
    ),
    "client-2026-07-28": Run(
        "conformance-0.2",
        ["--spec-version", "2026-07-28"],
        ways=("gate",),
        passing=62,
        scenarios=(
            "tools_call", "request-metadata", "sep-2322-client-request-state", "http-standard-headers",
            "http-custom-headers", "http-invalid-tool-headers", "json-schema-ref-no-deref",
            "json-schema-2020-12-preservation",
        ),
    ),
}


class Place:
    """The binaries, the packages, and a folder for what runs leave behind."""

    def __init__(self, root: pathlib.Path, base: pathlib.Path):
        debug = root / "target" / "debug"
        self.witgate = debug / "witgate"
        self.server = debug / "examples" / "conformance-server"
        self.client = debug / "examples" / "conformance-client"
        self.modules = root / "target" / "conformance" / "node_modules"
        self.base = base

    def suite(self, run: Run, leg: str, arguments: list[str], results: pathlib.Path) -> None:
        """Runs a suite. What it found is in `results`; its exit code says nothing more."""
        node = self.modules / "node" / "bin" / "node"
        main = self.modules / run.package / "dist" / "index.js"
        command = [str(node), str(main), leg, *arguments, "-o", str(results)]
        results.mkdir(parents=True, exist_ok=True)
        with open(results / "log.txt", "ab") as log:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=SECONDS,
                env={**os.environ, "PATH": f"{node.parent}:{os.environ['PATH']}"},
            )


def scenario_of(file: pathlib.Path) -> str:
    """The scenario of a `checks.json`: its folder is named after it, and after the time."""
    return re.sub(r"-[0-9]{4}-[0-9]{2}-[0-9]{2}T.*", "", file.parent.name.removeprefix("server-"))


def checks(results: pathlib.Path) -> collections.Counter:
    """How often each check had each status: by (scenario, id, name, status)."""
    found = collections.Counter()
    for file in sorted(results.glob("**/checks.json")):
        scenario = scenario_of(file)
        for check in json.loads(file.read_text(encoding="utf-8")):
            found[(scenario, check["id"], check["name"], check["status"])] += 1
    return found


def told(results: pathlib.Path, scenario: str, check: str) -> list[str]:
    """What the suite says of a check that did not pass."""
    lines = []
    for file in sorted(results.glob("**/checks.json")):
        if scenario_of(file) != scenario:
            continue
        for found in json.loads(file.read_text(encoding="utf-8")):
            if found["id"] == check and found["status"] not in ("SUCCESS", "INFO"):
                lines.append(f"{found['status']} {found.get('errorMessage', '')}"[:400])
                lines.append(json.dumps(found.get("details"))[:1200])
    return lines


def servers(place: Place, name: str, run: Run, way: str) -> pathlib.Path:
    """A server suite, one way: with a server and a gate of its own."""
    here = place.base / name / way
    here.mkdir(parents=True)
    results = here / "results"
    fixture = [str(place.server), *run.server]
    if way == "stdio":
        lines = [f"command = {json.dumps(fixture[0])}", f"args = {json.dumps([*fixture[1:], '--stdio'])}"]
        with Gate(place.witgate, here, lines) as gate:
            place.suite(run, "server", ["--url", gate.url, *run.arguments], results)
        return results
    with open(here / "server.log", "wb") as log:
        process = subprocess.Popen(fixture, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    try:
        url = address(process, "the fixture", here / "server.log")
        if way == "direct":
            place.suite(run, "server", ["--url", url, *run.arguments], results)
        else:
            with Gate(place.witgate, here, [f"url = {json.dumps(url)}"]) as gate:
                place.suite(run, "server", ["--url", gate.url, *run.arguments], results)
    finally:
        stop(process)
    return results


def clients(place: Place, name: str, run: Run, way: str) -> pathlib.Path:
    """A client suite, one way."""
    here = place.base / name / way
    here.mkdir(parents=True)
    command = [str(place.client)]
    if way == "gate":
        command = [sys.executable, str(HERE / "client.py"), str(place.witgate), str(here), *command]
    for scenario in run.scenarios:
        arguments = ["--command", " ".join(command), "--scenario", scenario, *run.arguments]
        place.suite(run, "client", arguments, here / "results")
    return here / "results"


def resumed(found: collections.Counter, missing: collections.Counter) -> collections.Counter:
    """Without what need not pass: where a server closes a stream and the gate resumes it, the gate's own stream stays
    open and brings the answer, so the suite has nothing to resume."""
    disconnect = ("server-sse-polling", "server-sse-disconnect-resume", "ServerDisconnectResume")
    brought = found[("server-sse-polling", "incoming-sse-event", "IncomingSseEvent", "INFO")] >= 2
    return collections.Counter({key: n for key, n in missing.items() if key != disconnect or not brought})


def compare(place: Place, name: str, run: Run) -> bool:
    """One run, all ways; whether the gate changes nothing."""
    go = clients if run.scenarios else servers
    direct = checks(go(place, name, run, "direct"))

    def status(found: collections.Counter, *statuses: str) -> collections.Counter:
        chosen = collections.Counter()
        for (*check, was), n in found.items():
            if was in statuses:
                chosen[tuple(check)] += n
        return chosen

    passing, bad = status(direct, "SUCCESS"), status(direct, "FAILURE", "WARNING")
    well = True
    if bad or passing.total() < run.passing:
        well = False
        print(f"{name}: directly {passing.total()} checks pass, {run.passing} are known to; bad: {sorted(bad)}")
    counts = [f"direct {passing.total()}"]
    for way in run.ways:
        try:
            results = go(place, name, run, way)
        except (Failure, subprocess.TimeoutExpired) as error:
            well = False
            print(f"{name}, {way}: {error}")
            continue
        found = checks(results)
        counts.append(f"{way} {status(found, 'SUCCESS').total()}")
        missing = resumed(found, passing - status(found, "SUCCESS"))
        worse = status(found, "FAILURE", "WARNING") - bad
        for scenario, check, label in sorted({*missing, *worse}):
            well = False
            print(f"{name}, {way}: {scenario}: {check} ({label})")
            for line in told(results, scenario, check) or ["not reported"]:
                print(f"    {line}")
    print(f"{name:<18} {', '.join(counts)}: {'the same' if well else 'NOT THE SAME'}", flush=True)
    return well


def main() -> int:
    runs = {**RUNS, **CLIENTS}
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--keep", type=lambda path: pathlib.Path(path).resolve(), help="a folder for results and logs, which stay there")
    parser.add_argument("runs", nargs="*", metavar="RUN", help=", ".join(runs))
    told = parser.parse_intermixed_args()
    if unknown := [name for name in told.runs if name not in runs]:
        parser.error(f"no run {', '.join(unknown)}; there are: {', '.join(runs)}")
    (told.root / "target" / "conformance" / "cache").mkdir(mode=0o700, parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory(dir=told.root / "target" / "conformance", prefix="run-") as base:
        place = Place(told.root, told.keep or pathlib.Path(base))
        for name in told.runs or runs:
            try:
                failed += not compare(place, name, runs[name])
            except (Failure, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"{name:<18} FAILED\n{error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
