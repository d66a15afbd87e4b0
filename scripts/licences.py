#!/usr/bin/env python3
"""Writes the licence texts of all crates that are linked into the program to standard output, each text once.

    scripts/licences.py [--features LIST] > THIRD-PARTY.txt

Most of these licences ask whoever passes the program on to pass their text on too. The texts are those that the crates ship.
"""

import argparse
import pathlib
import re

import sbom

TEXT = re.compile(r"(licen[cs]e|copying|notice|copyright|patents)", re.I)


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    named = [folder / package["license_file"]] if package.get("license_file") else []
    beside = [path for path in sorted(folder.iterdir()) if path.is_file() and TEXT.match(path.name)]
    inside = [path for name in ("LICENSES", "licenses") for path in sorted((folder / name).glob("*")) if path.is_file()]
    for path in dict.fromkeys([*named, *beside, *inside]):
        yield path.read_text(errors="replace").strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", default="", metavar="LIST", help="features beside the default ones, with commas")
    features = [feature for feature in parser.parse_args().features.split(",") if feature]
    packages, _, _ = sbom.linked(features)
    owners, silent = {}, []
    # The crates of this repository have no source in the metadata, and LICENSE is theirs.
    for package in sorted((p for p in packages.values() if p["source"]), key=lambda p: (p["name"], p["version"])):
        name = f"{package['name']} {package['version']} ({package['license']})"
        found = list(texts(package))
        for text in found:
            owners.setdefault(" ".join(text.split()), (text, []))[1].append(name)
        if not found:
            silent.append(name)
    print("facegate is linked with the crates named here, each under the licence whose text follows its name.\n")
    for text, names in owners.values():
        print("=" * 100, *names, "-" * 100, text, "", sep="\n")
    if silent:
        print("=" * 100, "Without a text of their own; the licences that they name stand above or are well known:", *silent, sep="\n")


main()
