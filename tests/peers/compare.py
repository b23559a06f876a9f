"""Compares what clients receive from servers directly and through `witgate wrap`. See README.md.

    compare.py ROOT [CASE...]
"""

import difflib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).parent
ROOT = pathlib.Path(sys.argv[1])
PEERS = ROOT / "target" / "peers"
WITGATE = ROOT / "target" / "debug" / "witgate"
FIXTURE = ROOT / "target" / "debug" / "examples" / "fixture-server"
SECONDS = 120


def npm(package: str) -> list[str]:
    return ["node", str(PEERS / "node_modules" / "@modelcontextprotocol" / package / "dist" / "index.js")]


def pypi(program: str) -> list[str]:
    return [str(PEERS / "venv" / "bin" / program)]


@dataclass
class Case:
    """A server, and what is asked of it by each client."""

    command: list[str]
    steps: list[list]
    env: dict[str, str] = field(default_factory=dict)
    """For the inspector: arguments after `--method`."""
    inspect: list[list[str]] = field(default_factory=list)


def cases(place: pathlib.Path) -> dict[str, Case]:
    """The cases, with files for them under `place`: the same for both runs, so made anew for each."""
    files = place / "files"
    files.mkdir()
    (files / "note.txt").write_text("Grüße, ½ — \u2028 ok\n", encoding="utf-8")
    repository = place / "repository"
    repository.mkdir()
    git = ["git", "-c", "user.name=p", "-c", "user.email=p@example.org", "-C", str(repository)]
    stamp = {**os.environ, "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}
    (repository / "a.txt").write_text("one\n")
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "First"]):
        subprocess.run([*git, *arguments], check=True, env=stamp)
    (repository / "a.txt").write_text("two\n")
    graph = {"entities": [{"name": "Ada", "entityType": "person", "observations": ["wrote notes"]}]}
    everything = "demo://resource/static/document/architecture.md"
    return {
        "everything": Case(
            npm("server-everything"),
            [
                ["tools"], ["prompts"], ["resources"], ["templates"],
                ["call", "echo", {"message": "Grüße \u2028 \U0001f600 \"quoted\""}],
                ["call", "get-sum", {"a": 2, "b": 40}],
                ["call", "get-sum", {"a": "no number"}],
                ["call", "get-structured-content", {"location": "New York"}],
                ["call", "get-tiny-image", {}],
                ["call", "get-annotated-message", {"messageType": "success", "includeImage": True}],
                ["call", "get-resource-links", {"count": 3}],
                ["prompt", "simple-prompt", {}],
                ["prompt", "args-prompt", {"city": "Paris", "state": "TX"}],
                ["read", everything],
            ],
            inspect=[
                ["tools/list"], ["prompts/list"], ["resources/list"], ["resources/templates/list"],
                ["tools/call", "--tool-name", "get-structured-content", "--tool-arg", "location=Chicago"],
                ["prompts/get", "--prompt-name", "args-prompt", "--prompt-args", "city=Paris"],
                ["resources/read", "--uri", everything],
            ],
        ),
        "filesystem": Case(
            [*npm("server-filesystem"), str(files)],
            [
                ["tools"],
                ["call", "list_directory", {"path": str(files)}],
                ["call", "read_text_file", {"path": str(files / "note.txt")}],
                ["call", "write_file", {"path": str(files / "new.txt"), "content": "x" * 300_000}],
                ["call", "read_text_file", {"path": str(files / "new.txt")}],
                ["call", "read_text_file", {"path": "/etc/hostname"}],
            ],
            inspect=[["tools/list"], ["tools/call", "--tool-name", "list_allowed_directories"]],
        ),
        "memory": Case(
            npm("server-memory"),
            [
                ["tools"], ["call", "create_entities", graph], ["call", "read_graph", {}],
                ["call", "search_nodes", {"query": "notes"}],
            ],
            env={"MEMORY_FILE_PATH": str(place / "memory.json")},
            inspect=[["tools/list"], ["tools/call", "--tool-name", "read_graph"]],
        ),
        "git": Case(
            [*pypi("mcp-server-git"), "--repository", str(repository)],
            [
                ["tools"], ["prompts"], ["resources"],
                ["call", "git_status", {"repo_path": str(repository)}],
                ["call", "git_log", {"repo_path": str(repository), "max_count": 5}],
                ["call", "git_diff_unstaged", {"repo_path": str(repository)}],
                ["call", "git_status", {"repo_path": "/"}],
            ],
            inspect=[["tools/list"]],
        ),
        "time": Case(
            [*pypi("mcp-server-time"), "--local-timezone", "Europe/Paris"],
            [
                ["tools"], ["prompts"], ["resources"], ["templates"],
                ["call", "convert_time", {"source_timezone": "Asia/Tokyo", "time": "12:30", "target_timezone": "UTC"}],
                ["call", "convert_time", {"source_timezone": "No/Where", "time": "12:30", "target_timezone": "UTC"}],
            ],
            inspect=[
                ["tools/list"],
                ["tools/call", "--tool-name", "convert_time", "--tool-arg", "source_timezone=UTC",
                 "--tool-arg", "time=10:00", "--tool-arg", "target_timezone=Asia/Tokyo"],
            ],
        ),
    }


class Run:
    """One way to one server: its own home, and a fresh copy of the case's files."""

    def __init__(self, place: pathlib.Path, name: str, gated: bool, flags: list[str] = []):
        # The same path for both runs, so that paths in answers are the same.
        self.place = place
        place.mkdir(parents=True, exist_ok=True)
        self.name, self.gated, self.flags = name, gated, flags
        home = place / "home"
        for folder in ("config", "state"):
            (home / folder).mkdir(parents=True, mode=0o700)
        self.home = {
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(PEERS / "cache"),
        }
        self.sessions = 0

    def spec(self, command: list[str], env: dict[str, str]) -> tuple[str, pathlib.Path]:
        self.sessions += 1
        log = self.place / f"session-{self.sessions}.log"
        log.unlink(missing_ok=True)
        if self.gated:
            command = [str(WITGATE), "wrap", "--name", self.name, *self.flags, "--", *command]
            env = {**env, **self.home}
        path = self.place / "spec.json"
        path.write_text(json.dumps({"log": str(log), "command": command, "env": env}))
        return str(path), log

    def python(self, case: Case, mode: str, steps: list[list] | None = None) -> tuple[list, pathlib.Path]:
        spec, log = self.spec(case.command, case.env)
        # In a file: a step may hold more than a command line can.
        told = self.place / "steps.json"
        told.write_text(json.dumps(steps or case.steps))
        command = [sys.executable, str(HERE / "session.py"), spec, mode, str(told)]
        return json.loads(output(command)), log

    def inspector(self, case: Case, arguments: list[str]) -> tuple[str, pathlib.Path]:
        spec, log = self.spec(case.command, case.env)
        inspector = PEERS / "node_modules" / ".bin" / "mcp-inspector-cli"
        record = str(HERE / "record.py")
        return output(["node", str(inspector), "--cli", sys.executable, record, spec, "--method", *arguments]), log


def output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Failure(Exception):
    pass


def answers(log: pathlib.Path) -> dict[str, tuple[str, bytes]]:
    """The answer lines by request id, each with the method it answers."""
    methods, found = {}, {}
    for line in log.read_bytes().splitlines():
        message = json.loads(line[1:])
        if "id" not in message:
            continue
        key = json.dumps(message["id"])
        if line[:1] == b">" and "method" in message:
            methods[key] = message["method"]
        elif line[:1] == b"<" and "method" not in message:
            found[key] = (methods[key], line[1:])
    return found


def promised(line: bytes) -> object:
    """An answer to `initialize` with the one edit that the gate is known for."""
    message = json.loads(line)
    for kind in ("tools", "prompts", "resources"):
        if kind in message["result"]["capabilities"]:
            message["result"]["capabilities"][kind]["listChanged"] = True
    return message


def same(direct: pathlib.Path, gated: pathlib.Path) -> int:
    """Compares two transcripts of the same requests; the number of lines that are the same bytes."""
    one, other = answers(direct), answers(gated)
    if one.keys() != other.keys():
        raise Failure(f"other requests were answered: {one.keys()} and {other.keys()}")
    if not one:
        raise Failure(f"nothing was answered in {direct}")
    count = 0
    for key, (method, line) in one.items():
        through = other[key][1]
        if line == through:
            count += 1
        elif method != "initialize" or promised(line) != json.loads(through):
            raise Failure(f"{method} (id {key}) differs\n{difference(line, through)}")
    return count


def difference(one: bytes, other: bytes) -> str:
    """Where two lines part, with what stands around it."""
    at = next((n for n, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    part = slice(max(0, at - 80), at + 120)
    return f"direct at {at}: {one[part]!r}\ngated  at {at}: {other[part]!r}"


def uncached(result: object) -> object:
    """A result without how long, and by whom, it may be kept: the gate narrows both."""
    if not isinstance(result, dict):
        return result
    return {key: value for key, value in result.items() if key not in ("ttlMs", "cacheScope")}


def compare(name: str, base: pathlib.Path) -> str:
    """One case: both clients, both ways, the same bytes."""
    place = base / name
    logs: dict[bool, list[pathlib.Path]] = {}
    printed: dict[bool, list] = {}
    newest: dict[bool, list] = {}
    for gated in (False, True):
        # At one path, one after the other: answers hold paths.
        if place.exists():
            place.rename(base / f"{name}-direct")
        run = Run(place, name, gated)
        case = cases(place)[name]
        results, log = run.python(case, "legacy")
        logs[gated], printed[gated] = [log], [results]
        for arguments in case.inspect:
            results, log = run.inspector(case, arguments)
            logs[gated].append(log)
            printed[gated].append(results)
        lists = [step for step in case.steps if len(step) == 1]
        newest[gated], _ = run.python(case, "auto", lists)
    logs[False] = [base / f"{name}-direct" / log.name for log in logs[False]]
    lines = sum(same(direct, gated) for direct, gated in zip(logs[False], logs[True]))
    if printed[False] != printed[True]:
        texts = [json.dumps(printed[gated], indent=1).splitlines() for gated in (False, True)]
        raise Failure("the clients understood\n" + "\n".join(difflib.unified_diff(*texts, lineterm="", n=1)))
    one, other = newest[False], newest[True]
    if [uncached(result) for result in one] != [uncached(result) for result in other]:
        raise Failure(f"a client that tries the newest revision first understood\n{one}\n{other}")
    for result in other:
        # What is judged for one caller may be kept by that caller alone.
        if isinstance(result, dict) and result.get("cacheScope", "private") != "private":
            raise Failure(f"anybody may keep {result}")
    return f"{len(logs[True])} sessions, {lines} answers the same bytes; newest revision {other[0]}"


def denied(base: pathlib.Path) -> str:
    """F16: a tool with an output schema whose call is denied; both SDKs read the reason instead of failing over it."""
    place = base / "denied"
    run = Run(place, "denied", True)
    policies = place / "home" / "config" / "witgate" / "policies.d"
    policies.mkdir(parents=True, mode=0o700)
    (policies / "10-golden.wasm").write_bytes((ROOT / "tests" / "golden" / "v0_1_0_rust.wasm").read_bytes())
    schema = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}
    tool = {"name": "deny_typed", "inputSchema": {"type": "object"}, "outputSchema": schema}
    server = place / "server"
    server.mkdir()
    (server / "script.json").write_text(json.dumps({"catalogue": {"tools": [tool]}}))
    case = Case([str(FIXTURE), str(server)], [["tools"], ["call", "deny_typed", {}]])
    results, _ = run.python(case, "legacy")
    printed, _ = run.inspector(case, ["tools/call", "--tool-name", "deny_typed"])
    for result in (results[2], json.loads(printed)):
        payload = json.loads(result["content"][0]["text"])
        if not result["isError"] or payload["decision"] != "DENIED" or payload["reason"] != "Told to deny":
            raise Failure(f"not the denial: {result}")
    if "tools/call" in (server / "received.log").read_text():
        raise Failure("the denied call reached the server")
    return "read by both SDKs"


def main() -> int:
    (PEERS / "cache").mkdir(mode=0o700, exist_ok=True)
    known = {name: compare for name in ("everything", "filesystem", "memory", "git", "time")}
    failed = 0
    with tempfile.TemporaryDirectory(dir=PEERS, prefix="run-") as base:
        for name in sys.argv[2:] or [*known, "denied"]:
            try:
                told = denied(pathlib.Path(base)) if name == "denied" else known[name](name, pathlib.Path(base))
                print(f"{name:<12} {told}", flush=True)
            except (Failure, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"{name:<12} FAILED\n{error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
