"""Misbehaves as the tool that is called says, or, where it filters, as a tool in the list says."""

import builtins
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.call_gate import Hold, Verdict_Allow, Verdict_Deny, Verdict_Other
from wit_world.imports.types import Denial

ALLOW = Verdict_Allow()


def denied(code, reason="", labels=()):
    return Verdict_Deny(Denial(code, reason, None, list(labels)))


class Endless:
    @property
    def code(self):
        spin()


class Raising:
    @property
    def code(self):
        raise ValueError("on purpose")


# Takes too long.


def spin():
    while True:
        pass


def regex():
    return re.match(r"(a+)+$", "a" * 64 + "b")


def big_number():
    return 3 ** (1 << 30)


def sleep():
    time.sleep(3600)
    return ALLOW


def spin_while_read():
    return Verdict_Deny(Endless())


# Takes too much.


def grow():
    everything = []
    while True:
        everything.append(bytearray(1 << 16))


def grow_and_catch():
    try:
        grow()
    except MemoryError:
        return ALLOW


def grow_text():
    text = "é"
    while True:
        text += text


def recurse():
    return recurse()


def recurse_without_limit():
    sys.setrecursionlimit(1 << 30)
    return recurse()


def nest():
    return json.loads("[" * 1_000_000)


def huge():
    return denied("big", "x" * (1 << 20))


def many():
    return denied("many", "", [("k", "v")] * (1 << 16))


# Gives up.


def throw():
    raise ValueError("on purpose")


def throw_err():
    raise Err("on purpose")


def throw_verdict():
    raise Err(ALLOW)


def leave():
    sys.exit(0)


def leave_at_once():
    os._exit(0)


def abort():
    os.abort()


# Answers what is no verdict.


def nothing():
    pass


def text():
    return "allow"


def number():
    return float("nan")


def kind_of_verdict():
    return Verdict_Allow


def coroutine():
    async def verdict():
        return ALLOW

    return verdict()


def other():
    return Verdict_Other("new")


def hold_for_denial():
    return Verdict_Deny(Hold("held", "No denial", []))


def deny_none():
    return Verdict_Deny(None)


def deny_text():
    return Verdict_Deny("no")


def missing_field():
    return Verdict_Deny(SimpleNamespace(code="half", labels=[]))


def number_for_text():
    return denied(3, float("nan"))


def bytes_for_text():
    return denied("odd", b"reason")


def text_for_list():
    return Verdict_Deny(Denial("odd", "", None, "labels"))


def wrong_pairs():
    return denied("odd", "", [("k",)])


def throw_while_read():
    return Verdict_Deny(Raising())


def bad_code():
    return denied("\x1b[2J")


def surrogate():
    return denied("surrogate", "half a \ud83d face")


# Wants what a policy does not get.


def file():
    return denied("read", open("/etc/passwd").read())


def connect():
    return denied("connected", str(socket.create_connection(("127.0.0.1", 80))))


def process():
    return denied("ran", str(subprocess.run(["/bin/true"])))


def thread():
    threading.Thread(target=spin).start()
    return ALLOW


# Behaves, after a fashion.


def allow():
    return ALLOW


def poison():
    builtins.poisoned = True
    return ALLOW


def is_it_poisoned():
    return denied("poisoned") if hasattr(builtins, "poisoned") else ALLOW


def clock():
    return denied("time", str(time.time()))


def dice():
    return denied("random", str(random.random()))


def environment():
    return denied("environment", str(dict(os.environ)))


class CallGate(exports.CallGate):
    def check(self, context, call):
        return globals()[call.item.name]()


FILTERS = {
    "short_list": lambda items: [],
    "long_list": lambda items: [None] * (len(items) + 1),
    "no_list": lambda items: None,
    "list_of_numbers": lambda items: list(range(len(items))),
    "list_of_booleans": lambda items: [False for _ in items],
    "generator": lambda items: (None for _ in items),
}


class ListFilter(exports.ListFilter):
    def filter(self, context, items):
        for item in items:
            if item.name in FILTERS:
                return FILTERS[item.name](items)
        return [None] * len(items)
