#!/usr/bin/python3
"""Renders the chart with each file in values/ and keeps what comes out, the notes included, in snapshots/.

    snapshots.py           write them
    snapshots.py --check   write nothing; print what differs and exit 1

The generated password is random, so it and what follows from it are blotted out. The resource definition is generated
from the types and checked there: only its head is kept.
"""

import difflib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
KUBERNETES = "1.34.0"
RANDOM = re.compile(r"(basic-auth-password: |checksum/basic-auth: )(?!\"none\").*")


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        chart = chart_with_visible_notes(Path(folder) / "faas")
        rendered = {values.stem: render(chart, values) for values in sorted((HERE / "values").glob("*.yaml"))}
    kept = {path.stem: path.read_text() for path in (HERE / "snapshots").glob("*.yaml")}
    if check:
        for name in sorted(rendered.keys() | kept.keys()):
            before, after = (text.get(name, "").splitlines() for text in (kept, rendered))
            for line in difflib.unified_diff(before, after, f"snapshots/{name}.yaml", "rendered now", lineterm=""):
                print(line)
        if rendered != kept:
            sys.exit("the chart renders something else: look at it, then run charts/faas/tests/snapshots.py")
        return
    for name in kept.keys() - rendered.keys():
        (HERE / "snapshots" / f"{name}.yaml").unlink()
    for name, text in rendered.items():
        (HERE / "snapshots" / f"{name}.yaml").write_text(text)


def chart_with_visible_notes(target):
    """A copy of the chart. `helm template` keeps the notes to itself, so that the copy has them in a ConfigMap as well."""
    shutil.copytree(HERE.parent, target)
    notes = (target / "templates" / "NOTES.txt").read_text()
    (target / "templates" / "zz-notes.yaml").write_text(
        '{{- define "notes" }}' + notes + "{{- end }}\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: the-notes\ndata:\n  notes: |\n"
        '    {{- include "notes" . | nindent 4 }}\n'
    )
    return target


def render(chart, values):
    command = ["helm", "template", "openfaas", chart, "--namespace", "openfaas", "--kube-version", KUBERNETES]
    run = subprocess.run([*command, "--values", values], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{values}: {run.stderr}")
    documents = run.stdout.split("\n---\n")
    documents = [text.split("\nspec:\n")[0] if "\nkind: CustomResourceDefinition\n" in text else text for text in documents]
    text = RANDOM.sub(r"\1RANDOM", "\n---\n".join(documents))
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
