# SPDX-License-Identifier: MIT
"""The pages say what the code does: keys and defaults, error kinds, variables, commands, links and examples."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess

import pytest
import typer.main
import yaml
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import rules
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import upkeep_config
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import (
    catalog,
    layers,
    metadata_spec,
    nodes_file,
    schema,
    settings,
    strict_yaml,
    variables,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import kinds_table
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds, verdicts
from reference_pages import (
    CODE,
    FIELDS,
    REFERENCE,
    ROOT,
    SOAK,
    by_name,
    default_of,
    leaves,
    node_keys,
    rows,
    scenario_keys,
    setting_keys,
    soak_keys,
    type_of,
)

from testcell.cli.app import app

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
PLAYBOOKS = ROOT / "playbooks"
IDLE = "Without effect"
UNREPORTED = "Not reported in this version"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fences(page, kind):
    return [body for word, body in FENCE.findall(page.read_text()) if word == kind]


def in_words(row, key, spec_key):
    """Return what a row says wrongly about a key, "" when it is right."""
    kind, default = type_of(spec_key.spec), default_of(key, spec_key)
    if row[1] != kind:
        return f"{key}: type {row[1]!r}, the code says {kind!r}"
    if default and row[2] != default:
        return f"{key}: default {row[2]}, the code says {default}"
    if not default and (not row[2] or CODE.fullmatch(row[2])):
        return f"{key}: default {row[2]!r}, the code has none"
    return "" if row[3] else f"{key}: the meaning is missing"


def where(path):
    """Return page and key under which a setting of config/defaults.yaml is explained."""
    section = path.partition(".")[0]
    if path.startswith(SOAK):
        return "soak.md", path
    if section in settings.IN_DEPLOYMENT:
        return "scenario.md", f"deployment.{path}"
    return ("scenario.md" if section in settings.IN_SCENARIO else "configuration.md"), path


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "keys", "start"),
    [("scenario.md", scenario_keys, ""), ("nodes.md", node_keys, ""), ("soak.md", soak_keys, SOAK)],
    ids=["scenario.md", "nodes.md", "soak.md"],
)
def test_every_key_is_explained_with_its_type_and_default(page, keys, start):
    found, wanted = {key: row for key, row in by_name(page, 4).items() if key.startswith(start)}, keys()
    assert set(found) == set(wanted)
    assert [wrong for key, spec in wanted.items() if (wrong := in_words(found[key], key, spec))] == []


def parameters_of_faults():
    """Return parameter -> (the kinds that have it, its schema)."""
    found = {}
    for kind in kinds_table.KINDS.values():
        for name, key in kind.spec.keyed().items():
            if not isinstance(key.spec, metadata_spec.Renamed):
                found.setdefault(name, ([], key))[0].append(kind.name)
    return found


def test_every_parameter_of_a_fault_is_explained_with_its_type_and_the_kinds_that_have_it():
    text = section(REFERENCE / "soak.md", "Parameters", 3)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    said = {CODE.match(row[0])[1]: row[1:4] for row in lines}
    wanted = parameters_of_faults()
    assert set(said) == set(wanted)
    for name, (owners, key) in wanted.items():
        of, kind, default = said[name]
        assert (set(CODE.findall(of)), kind) == (set(owners), type_of(key.spec)), name
        assert (default == "required") == key.required, name


def test_every_kind_of_fault_has_its_row_with_what_it_may_be_told():
    lines = section(REFERENCE / "soak.md", "Chaos plan").splitlines()
    rows_of = {cells[1].strip(): cells for line in lines if len(cells := line.split("|")) == 7}
    whole = set(kinds_table.OF_WHOLE_NODES)
    for name, kind in kinds_table.KINDS.items():
        own = {one for one, key in kind.spec.keyed().items() if not isinstance(key.spec, metadata_spec.Renamed)}
        assert set(CODE.findall(rows_of[name][5])) == own - whole, name
        assert ("`whole`" in rows_of[name][2]) == kind.whole, name


@pytest.mark.parametrize(
    ("title", "level", "cells"),
    [("Kinds of faults", 2, 3), ("What a node needs", 3, 2), ("Nodes as targets", 3, 4)],
)
def test_every_kind_of_fault_is_in_each_table_about_them(title, level, cells):
    lines = [line for line in section(REFERENCE / "soak.md", title, level).splitlines() if line.startswith("| `")]
    of_kinds = [row for line in lines if len(row := re.split(r"(?<!\\)\|", line)[1:-1]) == cells]
    named = [kind for row in of_kinds for kind in CODE.findall(row[0])]
    without = {"pressure"} if title == "Nodes as targets" else set()
    assert sorted(named) == sorted(set(kinds_table.KINDS) - without)


@pytest.mark.parametrize("path", setting_keys())
def test_every_setting_is_explained_with_its_type_and_default(path):
    page, name = where(path)
    assert in_words(by_name(page, 4)[name], name, setting_keys()[path]) == ""


def test_configuration_names_every_section_and_nothing_that_does_not_exist():
    text = (REFERENCE / "configuration.md").read_text()
    assert [section for section in settings.SECTIONS if f"\n| {section} |" not in text] == []
    here = {path for path in setting_keys() if where(path)[0] == "configuration.md"}
    assert set(by_name("configuration.md", 4)) == here


def attributes_read():
    """Return the names of all attributes that code outside of the loader reads; `gates` only where it is a scenario's."""
    files = [path for room in ("plugins", "src") for path in (ROOT / room).rglob("*.py")]
    outside = [path for path in files if "plugins/plugin_utils/scenario/" not in path.as_posix()]
    nodes = [n for path in outside for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)]
    return {n.attr for n in nodes if n.attr != "gates" or ast.unparse(n.value) == "scenario"}


def field_of(key):
    """Return the name under which the code knows the value of a key."""
    parent, _, name = key.rpartition(".")
    side = parent.removeprefix("artifacts_collection.")
    if side in ("local_node", "remote_node") and name in ("enabled", "base_path"):
        return f"{side.removesuffix('_node')}_{name}"
    seconds = name in ("retry_delay", "canary_timeout", "transfer_timeout", "grace") or name.endswith("_timeout")
    return FIELDS.get(name, f"{name}_s" if seconds else name)


def test_what_is_said_to_be_without_effect_is_read_by_nobody_and_the_rest_is():
    # what is said of a soak is carried as data and looked up by its key; its gates, and what makes them, are no scenario's
    read = attributes_read() - {"gates"}
    checked = [key for key in by_name("scenario.md", 4) if not key.startswith("matrix.") and key != "soak"]
    idle = {key for key, row in by_name("scenario.md", 4).items() if row[3].startswith(IDLE)}
    read_here = {"name", "description", "schema_version", "compose_files", "from_labels", "allow", "min_nodes"}
    unread = {key for key in checked if field_of(key) not in read and key.rpartition(".")[2] not in read_here}
    assert idle == unread, "docs/reference/scenario.md says otherwise than the code; correct the page"


def test_what_a_node_cannot_set_is_said_to_be_without_effect():
    plugin = (ROOT / "plugins/inventory/nodes.py").read_text()
    used = {name for name in ("compose_path", "results_path", "extra") if f"node.{name}" in plugin}
    idle = {key for key, row in by_name("nodes.md", 4).items() if row[3].startswith(IDLE)}
    assert {key.removeprefix("docker_") for key in idle} == {"compose_path", "results_path", "extra"} - used


# --- examples -------------------------------------------------------------------------------------------------------


def spec_of(page, data):
    """Return the schema that an example on a page must pass, None for compose files."""
    if set(data) == {"nodes"}:
        return nodes_file.SPEC
    if set(data) <= set(settings.SECTIONS) and page.name == "configuration.md":
        return settings.GLOBAL
    return None if "services" in data else metadata_spec.METADATA


def problems_of(page, text):
    """Return what is wrong with an example; a part of a scenario gets the one key that it must have."""
    spec = spec_of(page, yaml.safe_load(text))
    if spec is None:
        return []
    part = spec is metadata_spec.METADATA and not re.search(r"^name:", text, re.MULTILINE)
    document = strict_yaml.parse(f"{text}name: example\n" if part else text, page.name)
    return [problem.render() for problem in schema.check(document, spec).problems]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_example_is_valid(page):
    assert [wrong for text in fences(page, "yaml") for wrong in problems_of(page, text)] == []


def test_the_scenario_of_the_readme_is_whole_and_valid(tmp_path):
    block = next(body for body in fences(ROOT / "README.md", "sh") if "mkdir scenarios/" in body)
    lines = [line for line in block.splitlines() if not line.startswith("testcell ")]
    (tmp_path / "scenarios").mkdir()
    subprocess.run(["bash", "-eu", "-c", "\n".join(lines)], cwd=tmp_path, check=True, timeout=30)
    problems = catalog.validate(tmp_path / "scenarios", layers.load(None))
    assert [problem.render() for problem in problems if problem.severity != "note"] == []
    assert [scenario.name for scenario in catalog.load_all(tmp_path / "scenarios", layers.load(None))] == ["mine"]


# --- error kinds ----------------------------------------------------------------------------------------------------


def test_the_table_of_error_kinds_is_that_of_the_code():
    found = by_name("failures.md", 4)
    said = {name: (row[1], row[2]) for name, row in found.items()}
    words = {True: "yes", False: "no"}
    assert said == {
        name: (kind.owner, "depends" if kind.depends else words[kind.retriable]) for name, kind in kinds.KINDS.items()
    }
    assert [name for name, row in found.items() if not row[3]] == []


def test_kinds_that_nothing_reports_are_marked():
    own = {"kinds.py", "exits.py", "verdict_page.py"}
    files = [path for room in ("plugins", "src") for path in (ROOT / room).rglob("*.py") if path.name not in own]
    texts = {n.value for f in files for n in ast.walk(ast.parse(f.read_text())) if isinstance(n, ast.Constant)}
    texts |= {rule.kind for rule in rules.own().rules}
    marked = {name for name, row in by_name("failures.md", 4).items() if row[3].startswith(UNREPORTED)}
    assert marked == {name for name in kinds.KINDS if name not in texts}


def test_the_readme_has_every_verdict_with_its_exit_code():
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    said = {CODE.match(row[0])[1]: row[2] for row in cells if len(row) == 3}
    codes = {verdict: str(code) for verdict, code in verdicts.EXIT_CODES.items()}
    assert said == {**codes, "cancelled": "130, 143"}


# --- playbooks ------------------------------------------------------------------------------------------------------


def section(page, title, level=2):
    """Return the text below a heading up to the next one that is no deeper."""
    text = page.read_text().split(f"\n{'#' * level} {title}\n", 1)[1]
    return re.split(rf"^#{{2,{level}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def documented(title):
    """Return variable -> default from the table below a heading of playbooks.md."""
    lines = [line for line in section(REFERENCE / "playbooks.md", title).splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {CODE.match(row[0])[1]: row[1].strip("`") for row in cells}


def variables_of(playbook):
    """Return variable -> the text of its default, for all variables that a playbook takes from outside."""
    text = (PLAYBOOKS / playbook).read_text()
    text += "".join((PLAYBOOKS / name).read_text() for name in re.findall(r"tasks/\w+\.yml", text))
    found = dict(re.findall(r"(?:\{\{|when:|that:) (\w+) \| default\(([^,)]*)", text))
    without = re.findall(r"when: (\w+) is defined", text) + re.findall(r"\{\{ (\w+) \| mandatory", text)
    return found | dict.fromkeys(without, "none")


@pytest.mark.parametrize("playbook", sorted(path.name for path in PLAYBOOKS.glob("*.yml")))
def test_every_variable_of_a_playbook_is_explained(playbook):
    said = documented("site.yml" if playbook == "site.yml" else f"playbooks/{playbook}")
    short = {"site.yml": variables.SHORT_NAMES, "soak.yml": variables.SOAK_NAMES}
    wanted = set(variables_of(playbook)) | set(short.get(playbook, ()))
    if playbook == "lab.yml":
        defaults = yaml.safe_load((ROOT / "roles/lab/defaults/main.yml").read_text())
        assert {name: str(value).replace("'", '"') for name, value in defaults.items()} == {
            name: said[name] for name in defaults
        }
        wanted |= set(defaults)
    assert set(said) == wanted


def test_numbers_among_the_defaults_of_the_main_playbook_are_right():
    said, written = documented("site.yml"), variables_of("site.yml")
    numbers = {name: default for name, default in written.items() if default.isdigit()}
    assert numbers and {name: said[name] for name in numbers} == numbers


# --- commands and links ---------------------------------------------------------------------------------------------


def make_words():
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def spoken(page, program):
    """Return the command lines of a program on a page: in console blocks, and in code marks within the text."""
    text = page.read_text()
    lines = [
        line.removeprefix("$ ")
        for kind in ("console", "sh")
        for body in fences(page, kind)
        for line in body.splitlines()
    ]
    blocks = [line.split("  #")[0] for line in lines]
    marks = CODE.findall(FENCE.sub("", text))
    return [line for line in [*blocks, *marks] if line.startswith(f"{program} ")]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_make_word_exists(page):
    words = {word for line in spoken(page, "make") for word in line.split()[1:] if "=" not in word}
    assert words - make_words() == set()


def known_options(*commands):
    options = [option for command in commands for p in command.params for option in (*p.opts, *p.secondary_opts)]
    return {*options, "--help", "-h"}


def wrong_command(line):
    """Return why a command line cannot be right, "" when it can."""
    top = typer.main.get_command(app)
    words = shlex.split(re.sub(r"\[|\]|\.\.\.|\\\||\|", " ", line))[1:]
    before = []
    while words and words[0].startswith("-"):
        before.append(words.pop(0))
        words = words[1:] if before[-1] in ("--log-level", "--format", "--project", "-C") else words
    if words and words[0].isupper():
        return ""  # a form such as `testcell COMMAND`
    command = top.commands.get(words.pop(0)) if words else top
    if command is None:
        return f"{line}: no such command"
    if hasattr(command, "commands") and command is not top and words:
        unnamed = command.commands.get(getattr(command, "default", ""))  # what a word that is no sub-command is for
        command = command.commands.get(words[0], unnamed)
        if command is None:
            return f"{line}: no such sub-command"
    options = [word.partition("=")[0] for word in words if word.startswith("-") and not word[1:2].isdigit()]
    unknown = (set(before) - known_options(top)) | (set(options) - known_options(top, command))
    return f"{line}: no such option {', '.join(sorted(unknown))}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_and_option_exists(page):
    assert [wrong for line in spoken(page, "testcell") if (wrong := wrong_command(line))] == []


def anchors(page):
    """Return the anchors of the headings of a page, as they are made of their texts."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text()))
    for link in [link for link in links if "://" not in link]:
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_no_page_names_a_place_on_somebodys_machine_or_shouts(page):
    text = page.read_text()
    assert re.findall(r"(?<![\w./])/(?:work|root|home|tmp)/\S*", text) == []
    assert [char for char in text if ord(char) >= 0x1F000] == []


def test_the_readme_is_short_and_leads_to_every_page():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 200
    assert [name for name in NAMES if name != "README.md" and f"({name})" not in text] == []


def test_the_helpers_see_the_tables():
    assert len(rows("scenario.md")) > len(scenario_keys()) > len(leaves(settings.VALIDITY))


def test_every_key_of_maintenance_is_explained_with_its_type_and_default():
    text = (REFERENCE / "configuration.md").read_text()
    table = re.search(r"^\| maintenance key \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    found = {cells[0]: cells[1:] for cells in map(_cells, table[0].strip().splitlines()[2:])}
    wanted = {
        f"{section}.{name}": key
        for section, part in upkeep_config.SPEC.keyed().items()
        for name, key in part.spec.keyed().items()
    }
    assert set(found) == set(wanted)
    wrong = [name for name, key in wanted.items() if not found[name][0].startswith(type_of(key.spec))]
    wrong += [name for name, key in wanted.items() if yaml.safe_load(found[name][1]) != key.default]
    assert wrong == []


def _cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]
