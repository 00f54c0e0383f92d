# SPDX-License-Identifier: MIT
import os
import sys

import jinja2
import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import templating
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.templating import Compiled


@pytest.fixture
def compile_count(monkeypatch):
    """Return a list that gets an entry for each template that is compiled."""
    compiled = []
    own = jinja2.Environment.compile
    monkeypatch.setattr(jinja2.Environment, "compile", lambda *args, **more: compiled.append(1) or own(*args, **more))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return compiled


@pytest.fixture
def page(tmp_path):
    """Return a function that renders a template as a process that has just begun; `{{ text }}` by itself."""
    folder, kept = tmp_path / "templates", tmp_path / "kept"
    folder.mkdir()
    kept.mkdir()

    def make(source="{{ text }}", **values):
        (folder / "page.html.j2").write_text(source)
        loader = jinja2.FileSystemLoader(folder)
        environment = jinja2.Environment(autoescape=True, loader=loader, bytecode_cache=Compiled(kept))
        return environment.get_template("page.html.j2").render(text="a", **values)

    make.kept = kept
    return make


def test_a_template_is_compiled_once(page, compile_count):
    assert [page(), page(), page("<{{ text }}>")] == ["a", "a", "<a>"]
    assert len(compile_count) == 2, "once for each source"


@pytest.mark.parametrize("content", [b"", b"j2", None], ids=["empty", "the magic's begin", "cut short"])
def test_what_a_crash_has_left_is_compiled_again(page, compile_count, content):
    page()
    (kept,) = page.kept.iterdir()
    kept.write_bytes(kept.read_bytes()[:-9] if content is None else content)
    assert page() == page() == "a" and len(compile_count) == 2


def test_what_is_no_pickle_is_compiled_again(page, compile_count):
    page()
    (kept,) = page.kept.iterdir()
    magic = jinja2.bccache.bc_magic
    kept.write_bytes(magic + b"\xff" * 40)
    assert page() == "a" and len(compile_count) == 2


def test_settings_that_changed_make_other_code_of_the_same_template(page, compile_count, monkeypatch, tmp_path):
    page()
    other = tmp_path / "templating.py"
    other.write_text("# other settings")
    monkeypatch.setattr(templating, "__file__", str(other))
    assert page() == "a" and len(compile_count) == 2 and len(list(page.kept.iterdir())) == 2


@pytest.mark.parametrize("why", ["absent", "asked"])
def test_nothing_is_kept_where_that_cannot_or_must_not_be(page, compile_count, monkeypatch, why):
    if why == "absent":
        os.rmdir(page.kept)
    monkeypatch.setattr(sys, "dont_write_bytecode", why == "asked")
    assert page() == page() == "a" and len(compile_count) == 2
    assert not page.kept.exists() or not list(page.kept.iterdir())


def test_text_is_escaped_and_its_control_characters_are_visible(tmp_path):
    (tmp_path / "one.j2").write_text("{{ text }}")
    assert templating.environment(tmp_path).get_template("one.j2").render(text="<b>\x1b") == "&lt;b&gt;\\x1b"
