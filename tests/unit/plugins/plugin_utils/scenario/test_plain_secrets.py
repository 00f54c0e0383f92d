# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.plain_secrets import (
    compose_secrets,
    suspicious,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import parse


def warnings_of(text: str) -> list[str]:
    document = parse(text, "metadata.yml")
    problems = suspicious(document, document.data)
    assert all(problem.severity == "warning" for problem in problems)
    return [problem.render() for problem in problems]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("test_execution: {env: {HF_TOKEN: s3cret-value}}", "test_execution.env.HF_TOKEN"),
        ("a: {password: 's3cret-value'}", "a.password"),
        ("a: [{api-key: s3cret-value}]", "a[0].api-key"),
        ("note: 'sk-s3cret-valueAAAAAAAAAAAAAAAAAAAA'", "note"),
        ("url: 'http://me:s3cret-value@127.0.0.1/'", "url"),
        ("test_execution: {args: [--api-key, s3cret-value]}", "test_execution.args[1]"),
        ("test_execution: {args: ['--api-key=s3cret-value']}", "test_execution.args[0]"),
        ("key: |\n  -----BEGIN PRIVATE KEY-----\n  s3cret-value\n", "key"),
    ],
)
def test_B38_secret_is_warned_of_by_key_and_never_shown(text, place):
    (line,) = warnings_of(text)
    assert f" warning: {place}: looks like a secret" in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    "text",
    [
        "env: {HF_TOKEN: '${HF_TOKEN}', PASSWORD: ''}",
        "env: {MAX_TOKENS: '5', TOKENIZER: x, KEY_FILE: /a}",
        "max_tokens: 5",
        "url: 'http://127.0.0.1:80/a@b'",
        "test_execution: {args: [--api-key, '$KEY', --max-tokens, '4', --api-key]}",
    ],
)
def test_references_and_other_words_are_no_secrets(text):
    assert warnings_of(text) == []


def test_B34_template_text_is_said_to_stay_as_it_is():
    (line,) = warnings_of("description: \"{{ lookup('pipe', 'id') }}\"")
    assert "taken as it is written and never filled in" in line


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("environment: {HF_TOKEN: s3cret-value}", "services.a.environment.HF_TOKEN"),
        ("environment: [A=1, DB_PASSWORD=s3cret-value]", "services.a.environment[1]"),
        ("command: [serve, --api-key, s3cret-value]", "services.a.command[2]"),
        ("entrypoint: ['--token=s3cret-value']", "services.a.entrypoint[0]"),
        ("environment: {URL: 'http://me:s3cret-value@h/'}", "services.a.environment.URL"),
    ],
)
def test_B38_secret_in_a_compose_file_is_warned_of_by_key_and_never_shown(body, place):
    (problem,) = compose_secrets(parse(f"services:\n  a: {{{body}}}\n", "docker-compose.yml"))
    assert (problem.severity, problem.line, problem.key) == ("warning", 2, place)
    assert "s3cret" not in problem.render()


@pytest.mark.parametrize(
    "body",
    [
        "environment: {HF_TOKEN: '${HF_TOKEN}', MAX_TOKENS: '5'}",
        "environment: ['HF_TOKEN=${HF_TOKEN:?give it}', HF_TOKEN, 5]",
        "command: [serve, --api-key, '$KEY', 5], entrypoint: serve",
        "healthcheck: {test: ['CMD', 'docker', 'ps', '--format', '{{.Names}}']}",
    ],
)
def test_references_and_templates_of_docker_are_no_secrets(body):
    assert compose_secrets(parse(f"services:\n  a: {{{body}}}\n", "c.yml")) == []


@pytest.mark.parametrize("text", ["3", "services: 3", "services: {a: 3}", "services: {a: {environment: 3}}", "# none"])
def test_a_compose_file_of_another_form_is_no_matter_here(text):
    assert compose_secrets(parse(text, "c.yml")) == []
