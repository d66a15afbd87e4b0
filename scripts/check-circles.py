#!/usr/bin/env python3
"""Finds circles between the files of a crate: a file that uses another which uses it, over however many others.

    scripts/check-circles.py                 # every crate below crates/
    scripts/check-circles.py face-service    # some of them

Reads the `use` lines (`crate::`, `super::`, `self::`) outside of tests. A file that declares another (`mod x;`) and what is
below it may use each other: they are one module in several files. Ends with 1 when there is a circle.
"""

import pathlib
import re
import sys

CRATES = pathlib.Path(__file__).resolve().parent.parent / "crates"
USE = re.compile(r"^\s*(?:pub(?:\([a-z]+\))?\s+)?use\s+((?:crate|super|self)::[^;]+);", re.M)


def module_of(path, source):
    parts = list(path.relative_to(source).with_suffix("").parts)
    return tuple(part for part in parts if part not in ("lib", "main", "mod"))


def without_tests(text):
    return re.split(r"^#\[cfg\(test\)\]\s*\nmod tests", text, maxsplit=1, flags=re.M)[0]


def paths(tree):
    """`a::{b, c::d}` as a::b and a::c::d."""
    tree = tree.strip()
    if "{" not in tree:
        return [tree.split(" as ")[0].strip()]
    begin, rest = tree.split("{", 1)
    inner, depth, parts, part = rest.rsplit("}", 1)[0], 0, [], ""
    for letter in inner:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += letter
    return [begin + path for each in [*parts, part] if each.strip() for path in paths(each)]


def uses(module, text, modules):
    for tree in USE.findall(text):
        for path in paths(re.sub(r"\s+", " ", tree)):
            at, steps = list(module), path.split("::")
            if steps[0] == "crate":
                at, steps = [], steps[1:]
            elif steps[0] == "self":
                steps = steps[1:]
            while steps and steps[0] == "super":
                at, steps = at[:-1], steps[1:]
            target = tuple(at)
            for step in steps:
                if (*target, step.strip()) not in modules:
                    break
                target = (*target, step.strip())
            yield target


def circles(crate):
    source = CRATES / crate / "src"
    files = {module_of(path, source): without_tests(path.read_text()) for path in sorted(source.rglob("*.rs"))
             if path.stem != "tests"}
    graph = {}
    for module, text in files.items():
        targets = set(uses(module, text, files))
        # One module in several files.
        graph[module] = {t for t in targets if t != module[:len(t)] and module != t[:len(module)]}
    # Tarjan's strongly connected components.
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while component[-1:] != [node]:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted("::".join(each) for each in component))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def main():
    crates = sys.argv[1:] or sorted(path.name for path in CRATES.iterdir() if (path / "src").is_dir())
    bad = [(crate, circle) for crate in crates for circle in circles(crate)]
    for crate, circle in bad:
        print(f"{crate}: a circle of {', '.join(circle)}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
