#!/usr/bin/env python3
"""Writes docs/configuration.md from the program and its sources, so that the page cannot drift from them.

    docs/make-configuration.py FACEGATE           writes the page
    docs/make-configuration.py FACEGATE --check   fails when the page is not what would be written

Names, defaults and variables come from `FACEGATE config`, meanings from the doc comments of the settings' structs, limits
and actions of the profiles from the table in rules.rs.
"""

import os
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
PAGE = TOP / "docs/configuration.md"
FACEGATE, ANALYSIS = TOP / "crates/facegate/src", TOP / "crates/face-analysis/src"

# Where the struct behind each group of settings is.
STRUCTS = {
    "server": (FACEGATE / "config.rs", "ServerConfig"),
    "auth": (FACEGATE / "config.rs", "AuthConfig"),
    "audit": (FACEGATE / "config.rs", "AuditConfig"),
    "response": (FACEGATE / "config.rs", "ResponseConfig"),
    "links": (FACEGATE / "server/link.rs", "LinkSettings"),
    "models": (FACEGATE / "config.rs", "ModelsConfig"),
    "log": (FACEGATE / "config.rs", "LogConfig"),
    "metrics": (FACEGATE / "config.rs", "MetricsConfig"),
    "traces": (FACEGATE / "server/traces.rs", "TraceSettings"),
    "analysis.limits": (ANALYSIS / "decode.rs", "DecodeLimits"),
    "analysis.detection": (ANALYSIS / "detection.rs", "DetectionSettings"),
    "analysis.liveness": (ANALYSIS / "liveness.rs", "LivenessSettings"),
    "analysis.attributes": (ANALYSIS / "age_gender.rs", "AttributeSettings"),
}
TITLES = {
    "server": "The HTTP service",
    "auth": "Who may call",
    "audit": "The audit log",
    "response": "Answers",
    "links": "Links",
    "models": "The networks' files",
    "log": "The log",
    "metrics": "Metrics",
    "traces": "Traces",
    "analysis.limits": "Size of pictures",
    "analysis.detection": "Looking for faces",
    "analysis.liveness": "Liveness",
    "analysis.attributes": "Age and gender",
}

HEAD = """# Configuration

<!-- Written by docs/make-configuration.py: change the doc comments in the sources, not this page. -->

A setting has one name everywhere. `server.queue` is

- `queue = 4` under `[server]` in the TOML file given with `--config FILE` (or `FACEGATE_CONFIG`),
- `FACEGATE_SERVER_QUEUE=4` in the environment,
- `--set server.queue=4` on the command line.

The command line goes before the environment, the environment before the file, the file before the built-in value. Lists are
separated by commas in the environment and on the command line: `FACEGATE_LINKS_PORTS=80,443,8443`.

`facegate config` prints every setting with its value and where it comes from, and takes the same flags as `facegate serve`.
A name that does not exist, also a variable that begins with `FACEGATE_` and is none of these, stops the program, which
names the most similar setting. (In Kubernetes set `enableServiceLinks: false`: for a Service named `facegate` it would
otherwise add such variables.)

Short forms:

| short | setting |
| --- | --- |
{short}
| `--listen ADDRESS` | `server.listen` |
| `--profile NAME` | `analysis.rules.profile` |

The file is read at the start. Only the users file, the certificate and its key are read again while the service runs:
within two seconds of a change, and on SIGHUP.

An example:

```toml
[server]
listen = "0.0.0.0:8443"
tls_certificate = "/etc/facegate/tls.crt"
tls_key = "/etc/facegate/tls.key"
playground = false

[auth]
users_file = "/etc/facegate/users"
requests_per_minute = 600

[links]
enabled = false

[log]
format = "json"

[analysis.rules]
profile = "strict"
min_margin = { limit = 20 }
max_yaw = { action = "warn" }
```
"""

RULES_HEAD = """
## When a picture is usable

`analysis.rules.profile` (`FACEGATE_ANALYSIS_RULES_PROFILE`) names a set of limits: `default`, `strict` or `lenient`. Each
rule's limit and action can be changed from there with `analysis.rules.RULE.limit` and `analysis.rules.RULE.action`.

| action | effect |
| --- | --- |
| `reject` | a picture that breaks the rule is answered with the rule's word |
| `warn` | it is not rejected; `details` reports the rule as failed |
| `off` | the rule is not judged |

The rules in the order in which they are judged; the first that rejects is the answer. Where several limits are given, they
are those of the profiles `default`, `strict`, `lenient`; all reject unless it says otherwise.

| word | rule | rejects when | default | strict | lenient | unit |
| --- | --- | --- | --- | --- | --- | --- |
"""


def meanings(path, struct):
    """Doc comment of each field of a struct."""
    body = re.search(rf"pub struct {struct} \{{(.*?)^\}}", path.read_text(), re.S | re.M).group(1)
    found, comment = {}, []
    for line in map(str.strip, body.splitlines()):
        if line.startswith("///"):
            comment.append(line[3:].strip())
        elif match := re.match(r"pub (\w+):", line):
            found[match.group(1)] = " ".join(comment)
            comment = []
    return found


def settings(program):
    """Name, value and variable of every setting, nothing configured."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("FACEGATE_")}
    lines = subprocess.run([program, "config"], env=bare, check=True, capture_output=True, text=True).stdout.splitlines()
    for line in lines:
        name, value, variable = re.fullmatch(r"(\S+) = (.*?)    # default; (\S+)", line).groups()
        if re.fullmatch(r"\d+\.\d+", value):
            # Single precision, as the program holds it, in the fewest digits.
            value = f"{float(value):.6g}"
        yield name, value, variable


def rules():
    """Rows of the table of rules."""
    text = (ANALYSIS / "rules.rs").read_text()
    table = re.search(r"static RULES: .*?= \[\n(.*?)^\];", text, re.S | re.M).group(1)
    broken = {"Under": "below", "Over": "above", "AtOrOver": "at or above"}
    for rule in re.findall(r"Rule \{(.*?)^    \}", table, re.S | re.M):
        text_of = dict(re.findall(r'(\w+): "((?:[^"\\]|\\.)*)"', rule))
        word = re.search(r"RejectionWord::(\w+)", rule).group(1)
        word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).upper()
        limits = [f"{float(n):g}" for n in re.search(r"limits: \[(.*?)\]", rule).group(1).split(",")]
        actions = re.search(r"actions: \[(.*?)\]", rule)
        if actions:
            names = re.findall(r"Action::(\w+)", actions.group(1))
            limits = [n if a == "Reject" else f"{n} ({a.lower()})" for n, a in zip(limits, names)]
        kind = broken[re.search(r"Broken::(\w+)", rule).group(1)]
        yield f"| `{word}` | `{text_of['name']}` | {text_of['subject']} is {kind} | {' | '.join(limits)} | {text_of['unit']} |"


def page(program):
    known = list(settings(program))
    config = (FACEGATE / "config.rs").read_text()
    short = re.search(r"const SHORT: .*?= \[\n(.*?)^\];", config, re.S | re.M).group(1)
    short = "\n".join(f"| `{a}` | `{b}` |" for a, b in re.findall(r'\("(\w+)", "([\w.]+)"\)', short))
    out = [HEAD.replace("{short}", short)]
    listed = set()
    for group, (path, struct) in STRUCTS.items():
        meaning = meanings(path, struct)
        out.append(f"\n## {TITLES[group]}\n\n| setting | default | meaning |\n| --- | --- | --- |\n")
        for name, value, variable in known:
            head, _, leaf = name.rpartition(".")
            if head == group:
                listed.add(name)
                shown = "not set" if value == "(not set)" else f"`{value}`"
                out.append(f"| `{name}`<br>`{variable}` | {shown} | {meaning[leaf]} |\n")
    out.append(RULES_HEAD + "\n".join(rules()) + "\n")
    out.append("\n`min_faces` cannot be changed. The score from which a detection counts as a face is "
               "`analysis.detection.min_score`.\n")
    missing = [n for n, _, _ in known if n not in listed and not n.startswith("analysis.rules.")]
    if missing:
        sys.exit(f"not on the page: {', '.join(missing)}; extend STRUCTS")
    return "".join(out)


if __name__ == "__main__":
    text = page(sys.argv[1])
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.exists() and PAGE.read_text() == text else f"{PAGE} is out of date: run {sys.argv[0]} FACEGATE")
    PAGE.write_text(text)
