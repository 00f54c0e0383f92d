# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import fields

import pytest
from engine_sim.fault_catalogue import CATALOGUE
from engine_sim.faults import parse
from engine_sim.settings import OPTIONS, Settings, parse_settings


def test_every_setting_has_an_option() -> None:
    assert {option.field for option in OPTIONS} | {"faults"} == {field.name for field in fields(Settings)}


def test_nothing_given_is_a_single_engine() -> None:
    assert parse_settings([], {}) == Settings()


@pytest.mark.parametrize(
    ("argv", "environ", "field", "value"),
    [
        (["--port", "1"], {"SIM_PORT": "2"}, "port", 1),
        ([], {"SIM_PORT": "2"}, "port", 2),
        ([], {"SIM_PORT": ""}, "port", 8000),
        ([], {"SIM_ROLE": "decode"}, "name", "decode"),
        (["--name", "d1"], {"SIM_ROLE": "decode"}, "name", "d1"),
        (["--itl-ms", "0.5"], {}, "itl_ms", 0.5),
        (["--faults", "hang=1"], {}, "faults", parse("hang=1")),
        (["--faults", "hang=1"], {"SIM_FAULTS": "hang=2"}, "faults", parse("hang=2,hang=1")),
        ([], {"SIM_FAULTS": "garbage%0.5", "SIM_FAULT_SEED": "9"}, "faults", parse("garbage%0.5#9")),
    ],
)
def test_the_command_line_goes_before_the_environment(
    argv: list[str], environ: dict[str, str], field: str, value: object
) -> None:
    assert getattr(parse_settings(argv, environ), field) == value


def test_workers_get_names_by_their_place() -> None:
    settings = parse_settings(
        ["--role", "router", "--prefill", "http://a:1/, p2=http://b:2", "--decode", "http://c:3"], {}
    )
    assert settings.prefill == (("prefill-1", "http://a:1"), ("p2", "http://b:2"))
    assert settings.decode == (("decode-1", "http://c:3"),)


@pytest.mark.parametrize(
    ("argv", "environ", "message"),
    [
        (["--role", "rooter"], {}, "--role: unknown role 'rooter'; known: single, router, prefill, decode"),
        (["--port", "70000"], {}, "--port: must be from 0 to 65535, got '70000'"),
        ([], {"SIM_PORT": "http"}, "SIM_PORT: must be a whole number, got 'http'"),
        (["--jitter", "2"], {}, "--jitter: must be from 0 to 1"),
        (["--itl-ms", "nan"], {}, "--itl-ms: must be from 0"),
        (["--log-level", "loud"], {}, "known: DEBUG, INFO, WARNING, ERROR"),
        (["--faults", "nope"], {}, "'nope': unknown fault"),
        (["--fault-seed", "x"], {}, "the fault seed must be a whole number"),
        (["--role", "router"], {}, "a router needs --prefill with at least one worker"),
        (["--role", "router", "--prefill", "http://a:1"], {}, "a router needs --decode"),
        (["--role", "decode", "--prefill", "http://a:1"], {}, "--prefill is for the role router, not for decode"),
        (["--role", "router", "--prefill", "a:1"], {}, "a worker is [NAME=]http://HOST:PORT, got 'a:1'"),
        (["--role", "router", "--prefill", "x=http://a,x=http://b"], {}, "two workers have the same name"),
    ],
)
def test_a_bad_setting_ends_with_usage_and_code_2(
    argv: list[str], environ: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_settings(argv, environ)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_all_bad_settings_are_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_settings(["--port", "x", "--jitter", "9", "--faults", "nope"], {})
    shown = capsys.readouterr().err
    assert all(text in shown for text in ("--port", "--jitter", "'nope'"))


@pytest.mark.parametrize("flag", ["--help", "--list-faults", "--version"])
def test_help_lists_and_versions_are_shown(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_settings([flag], {})
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    names = {"--help": [option.variable for option in OPTIONS], "--list-faults": list(CATALOGUE), "--version": ["1."]}
    assert all(name in shown for name in names[flag])
