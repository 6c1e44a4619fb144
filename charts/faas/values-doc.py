#!/usr/bin/python3
"""Writes what follows from values.schema.json: values.yaml, the reference of values, and the names that are ignored.

    values-doc.py           write them
    values-doc.py --check   write nothing; exit 1 if one of them is stale

The schema has the type, the default and the description of every value. A value with "x-ignored" is one that OpenFaaS
users set and that has no effect here.
"""

import json
import sys
import textwrap
from pathlib import Path

CHART = Path(__file__).resolve().parent
REFERENCE = CHART.parent.parent / "docs" / "reference" / "chart-values.md"
WIDTH = 120


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    schema = json.loads((CHART / "values.schema.json").read_text())
    files = {
        CHART / "values.yaml": values(schema),
        CHART / "templates" / "_ignored.tpl": ignored_template(schema),
        REFERENCE: reference(schema),
    }
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            print(f"{path} is stale: run charts/faas/values-doc.py", file=sys.stderr)
        else:
            path.write_text(files[path])
    sys.exit(1 if check and stale else 0)


def properties(schema):
    """Name and schema of the values that have an effect."""
    for name, value in schema["properties"].items():
        if value.get("x-ignored"):
            continue
        if "description" not in value or ("default" in value) == ("properties" in value):
            sys.exit(f"values.schema.json: {name} needs a description, and either a default or properties")
        yield name, value


def ignored(schema, prefix=""):
    """Full names of the values that have none."""
    for name, value in schema["properties"].items():
        if value.get("x-ignored"):
            yield prefix + name
        elif "properties" in value:
            yield from ignored(value, f"{prefix}{name}.")


# values.yaml

def values(schema):
    lines = ["# Every value and its default. Written by values-doc.py from values.schema.json: change it there."]
    for name, value in properties(schema):
        lines.append("")
        lines += value_lines(name, value, "")
    return "\n".join(lines) + "\n"


def value_lines(name, value, indent):
    lines = textwrap.wrap(value["description"], WIDTH - len(indent) - 2, break_on_hyphens=False, break_long_words=False)
    lines = [f"{indent}# {line}" for line in lines]
    if "properties" not in value:
        return lines + yaml_lines(name, value["default"], indent)
    lines.append(f"{indent}{name}:")
    for inner, inner_value in properties(value):
        lines += value_lines(inner, inner_value, indent + "  ")
    return lines


def yaml_lines(name, default, indent):
    if isinstance(default, dict) and default:
        lines = [f"{indent}{name}:"]
        for key, value in default.items():
            lines += yaml_lines(key, value, indent + "  ")
        return lines
    # JSON is YAML, too. Plain words need no quotes.
    text = json.dumps(default)
    if isinstance(default, str) and default[:1].isalpha() and default not in ("true", "false", "null", "yes", "no"):
        text = default
    return [f"{indent}{name}: {text}"]


# templates/_ignored.tpl

def ignored_template(schema):
    names = "\n".join(ignored(schema))
    return (
        "{{/* Values of OpenFaaS that have no effect. Written by values-doc.py. */}}\n"
        f'{{{{- define "faas.ignoredValues" -}}}}\n{names}\n{{{{- end }}}}\n'
    )


# docs/reference/chart-values.md

def reference(schema):
    lines = [
        "<!-- Written by charts/faas/values-doc.py from charts/faas/values.schema.json: change it there. -->",
        "",
        "# Values of the Helm chart",
        "",
        "Each is set with `--set NAME=VALUE`, or in a file given with `--values`. Names and meaning are those of OpenFaaS's",
        "chart where it has them. A name that is in neither list, or a value of the wrong type, is refused.",
        "",
        "Durations are Go durations (`90s`, `1m30s`) or whole seconds.",
        "",
        "## For the whole platform",
        "",
    ]
    lines += table([(name, value) for name, value in properties(schema) if "properties" not in value], schema)
    for name, value in properties(schema):
        if "properties" in value:
            lines += ["", f"## {name}", "", value["description"], ""]
            lines += table(list(flat(name, value)), schema)
    lines += [
        "",
        "## Accepted and ignored",
        "",
        "These are values of OpenFaaS's chart. They may stand in a values file and have no effect; the notes after an",
        "installation name those that were set.",
        "",
    ]
    names = ", ".join(f"`{name}`" for name in ignored(schema))
    lines += textwrap.wrap(names, WIDTH, break_on_hyphens=False, break_long_words=False)
    return "\n".join(lines) + "\n"


def flat(prefix, schema):
    for name, value in properties(schema):
        if "properties" in value:
            yield from flat(f"{prefix}.{name}", value)
        else:
            yield f"{prefix}.{name}", value


def table(rows, schema):
    lines = ["| Value | Type | Default | Meaning |", "|---|---|---|---|"]
    for name, value in rows:
        default = json.dumps(value["default"])
        lines.append(f"| `{name}` | {type_of(value, schema)} | `{default}` | {value['description']} |")
    return lines


def type_of(value, schema):
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        definition = schema["definitions"][name]
        return name if name == "duration" or "enum" not in definition else type_of(definition, schema)
    if "enum" in value:
        return ", ".join(f"`{word}`" if word else "empty" for word in value["enum"])
    kind = value["type"]
    return kind if isinstance(kind, str) else " or ".join(kind)


if __name__ == "__main__":
    main()
