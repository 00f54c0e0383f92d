# SPDX-License-Identifier: MIT
"""How one service is set up: from the command line, and from SIM_* variables where the command line is silent."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine_sim import __version__
from engine_sim.fault_catalogue import ROLES, describe
from engine_sim.faults import Fault, FaultError, parse


@dataclass(frozen=True)
class Settings:
    """One service: who it is, where it listens, how fast it works, and what goes wrong in it."""

    role: str = "single"
    name: str = "single"
    host: str = "0.0.0.0"
    port: int = 8000
    model: str = "sim"
    seed: int = 0
    prefill_tokens_per_s: float = 20000.0
    itl_ms: float = 5.0
    jitter: float = 0.1
    end_probability: float = 0.0
    max_concurrency: int = 32
    max_queue: int = 1024
    max_model_len: int = 8192
    kv_bytes_per_token: int = 256
    kv_capacity_tokens: int = 262144
    prefill: tuple[tuple[str, str], ...] = ()
    decode: tuple[tuple[str, str], ...] = ()
    probe_interval_s: float = 0.5
    worker_timeout_s: float = 300.0
    report_dir: str = ""
    report_interval_s: float = 10.0
    log_level: str = "INFO"
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class _Option:
    """One option: its flag, its variable, how it is read, and its help."""

    flag: str
    kind: str
    help: str
    low: float = 0
    high: float = float("inf")

    @property
    def field(self) -> str:
        """Return the name of the option's field."""
        return self.flag[2:].replace("-", "_")

    @property
    def variable(self) -> str:
        """Return the name of the option's environment variable."""
        return "SIM_" + self.field.upper()


OPTIONS = (
    _Option("--role", "role", "what the service is: " + ", ".join(ROLES)),
    _Option("--name", "text", "the service's name in logs, answers and fault targets; its role by default"),
    _Option("--host", "text", "the address to listen on"),
    _Option("--port", "int", "the port to listen on; 0 takes a free one and logs it", 0, 65535),
    _Option("--model", "text", "the name of the model that is served"),
    _Option("--seed", "int", "the seed of the tokens of requests that bring none, and of the jitter", 0, 2**63),
    _Option("--prefill-tokens-per-s", "float", "how fast a prompt is read", 1e-3),
    _Option("--itl-ms", "float", "milliseconds between two tokens", 0, 1e6),
    _Option("--jitter", "float", "how far an interval may be off, as a share of it", 0, 1),
    _Option("--end-probability", "float", "the chance at each token that the answer stops by itself", 0, 1),
    _Option("--max-concurrency", "int", "requests worked on at once; more wait", 1, 1e6),
    _Option("--max-queue", "int", "requests that may wait; one more is refused with 503", 0, 1e6),
    _Option("--max-model-len", "int", "tokens of prompt and answer together", 2, 1e7),
    _Option("--kv-bytes-per-token", "int", "bytes of KV cache for each token of a prompt", 1, 65536),
    _Option("--kv-capacity-tokens", "int", "tokens that fill the KV cache, for vllm:kv_cache_usage_perc", 1, 1e12),
    _Option("--prefill", "workers", "the prefill workers of a router: [NAME=]URL, joined by commas"),
    _Option("--decode", "workers", "the decode workers of a router, or as a prefill worker reaches them, likewise"),
    _Option("--probe-interval-s", "float", "seconds between two looks at a worker's /health", 0.01, 3600),
    _Option("--worker-timeout-s", "float", "seconds to wait for a worker's answer", 0.01, 86400),
    _Option("--report-dir", "text", "the folder for epoch reports; none are written without it"),
    _Option("--report-interval-s", "float", "seconds between two epoch reports", 0.01, 86400),
    _Option("--log-level", "level", "DEBUG, INFO, WARNING or ERROR"),
)


def parse_settings(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings of a command line and environment; a bad value ends the program with usage and code 2."""
    parser = _parser()
    given = vars(parser.parse_args(list(argv)))
    fields: dict[str, object] = {}
    problems: list[str] = []
    for option in OPTIONS:
        origin, text = _source(option, given, environ)
        if text is not None:
            try:
                fields[option.field] = _read(option, text)
            except ValueError as error:
                problems.append(f"{origin}: {error}")
    try:
        fields["faults"] = _faults(given, environ)
    except (FaultError, ValueError) as error:
        problems.extend(error.problems if isinstance(error, FaultError) else [str(error)])
    problems.extend(_contradictions(fields))
    if problems:
        parser.error("\n  ".join(["cannot start", *problems]))
    fields.setdefault("name", fields.get("role", Settings.role))
    return Settings(**fields)  # type: ignore[arg-type]  # each field was read by its option's kind


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; all values come out as text or None."""
    parser = argparse.ArgumentParser(prog="engine_sim", description="A simulated inference engine.")
    for option in OPTIONS:
        parser.add_argument(option.flag, help=f"{option.help} [{option.variable}]".replace("%", "%%"))
    parser.add_argument("--faults", help="what goes wrong; see --list-faults [SIM_FAULTS]")
    parser.add_argument("--fault-seed", help="the seed of faults that name none [SIM_FAULT_SEED]")
    parser.add_argument("--list-faults", action="version", version=describe(), help="list the faults and end")
    parser.add_argument("--version", action="version", version=f"engine-sim {__version__}")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


def _source(option: _Option, given: Mapping[str, str | None], environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return where an option's text comes from and the text; an empty variable counts as absent."""
    text = given[option.field]
    return (option.flag, text) if text is not None else (option.variable, environ.get(option.variable) or None)


def _faults(given: Mapping[str, str | None], environ: Mapping[str, str]) -> tuple[Fault, ...]:
    """Return the faults asked for: those of the variable, then those of the command line, which win."""
    seed = given["fault_seed"] or environ.get("SIM_FAULT_SEED") or "0"
    if not seed.isdigit():
        raise ValueError(f"the fault seed must be a whole number of at least 0, got {seed!r}")
    return parse(",".join([environ.get("SIM_FAULTS", ""), given["faults"] or ""]), int(seed))


def _contradictions(fields: Mapping[str, object]) -> list[str]:
    """Return what does not fit together: who needs workers and has none, who has workers and no use for them."""
    role = fields.get("role", Settings.role)
    problems = []
    for kind, users in (("prefill", ("router",)), ("decode", ("router", "prefill"))):
        if role == "router" and not fields.get(kind):
            problems.append(f"a router needs --{kind} with at least one worker")
        if role not in users and fields.get(kind):
            problems.append(f"--{kind} is for the role {' or '.join(users)}, not for {role}")
    return problems


def _read(option: _Option, text: str) -> object:
    """Return the value of an option's text by its kind; ValueError says what is allowed."""
    if option.kind in ("int", "float"):
        return _number(option, text)
    if option.kind == "role" and text not in ROLES:
        raise ValueError(f"unknown role {text!r}; known: {', '.join(ROLES)}")
    if option.kind == "level" and text not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"unknown level {text!r}; known: DEBUG, INFO, WARNING, ERROR")
    return read_workers(text, option.field) if option.kind == "workers" else text


def _number(option: _Option, text: str) -> float:
    """Return a number within the option's bounds."""
    try:
        value: float = int(text) if option.kind == "int" else float(text)
    except ValueError:
        raise ValueError(f"must be {'a whole number' if option.kind == 'int' else 'a number'}, got {text!r}") from None
    if not option.low <= value <= option.high:
        raise ValueError(f"must be from {option.low:g} to {option.high:g}, got {text!r}")
    return value


def read_workers(text: str, role: str) -> tuple[tuple[str, str], ...]:
    """Return (name, url) of each worker of a list; those without a name are called ROLE-1, ROLE-2, ..."""
    workers: list[tuple[str, str]] = []
    for place, item in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
        name, equals, url = item.partition("=")
        name, url = (name, url) if equals else (f"{role}-{place}", item)
        if not url.startswith("http://") or not name:
            raise ValueError(f"a worker is [NAME=]http://HOST:PORT, got {item!r}")
        workers.append((name, url.rstrip("/")))
    if len({name for name, _ in workers}) < len(workers):
        raise ValueError(f"two workers have the same name in {text!r}")
    return tuple(workers)
