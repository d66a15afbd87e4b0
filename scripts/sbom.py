#!/usr/bin/env python3
"""Writes the bill of materials of what runs to standard output: CycloneDX 1.6, JSON. Needs Python 3.11 and Cargo.

    scripts/sbom.py [--features LIST] > facegate.cdx.json

--features are those that the program is built with beside the default ones (`cloud`). The crates are those that `cargo
build` links or runs for this machine, with the hashes of Cargo.lock; tests' crates are left out. The networks and ONNX
Runtime are those of crates/face-models/manifest.toml that this machine would fetch, each with the hashes of the files it is
made from; weights that are compiled in come with theirs.
"""

import argparse
import hashlib
import json
import pathlib
import platform
import subprocess
import tomllib

TOP = pathlib.Path(__file__).resolve().parent.parent
PURL = {"pypi": "pkg:pypi/{name}@{version}", "npm": "pkg:npm/{name}@{version}"}


def output(*command):
    return subprocess.run(command, cwd=TOP, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(features):
    """The packages that this machine links into facegate, by id; the id of the program; who needs whom."""
    host = next(line.split()[1] for line in output("rustc", "-vV").splitlines() if line.startswith("host:"))
    enabled = [flag for feature in features for flag in ("--features", f"facegate/{feature}")]
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", host, *enabled))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = next(i for i, package in packages.items() if package["name"] == "facegate")
    needs, waiting = {}, [root]
    while waiting:
        current = waiting.pop()
        if current not in needs:
            # None is an ordinary dependency; "build" runs while building; "dev" is the tests'.
            needs[current] = [dependency["pkg"] for dependency in nodes[current]["deps"]
                              if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])]
            waiting += needs[current]
    return {i: packages[i] for i in needs}, root, needs


def crates(features):
    """The components of facegate's dependency graph, and who depends on whom."""
    packages, root, needs = linked(features)
    checksums = {(package["name"], package["version"]): package.get("checksum")
                 for package in tomllib.loads((TOP / "Cargo.lock").read_text())["package"]}
    reference = {i: f"pkg:cargo/{package['name']}@{package['version']}" for i, package in packages.items()}
    depends = [{"ref": reference[i], "dependsOn": sorted(reference[other] for other in others)}
               for i, others in needs.items()]
    components = []
    for i in packages.keys() - {root}:
        package = packages[i]
        component = {"type": "library", "bom-ref": reference[i], "name": package["name"], "version": package["version"]}
        if package["license"]:
            component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        if checksum := checksums[package["name"], package["version"]]:
            component |= {"purl": reference[i], "hashes": [{"alg": "SHA-256", "content": checksum}]}
        components.append(component)
    return packages[root], reference[root], components, depends


def networks():
    manifest = tomllib.loads((TOP / "crates/face-models/manifest.toml").read_text())
    packages = {package["id"]: package for package in manifest["package"]}
    here = f"{platform.system().lower()}-{platform.machine()}".replace("darwin", "macos").replace("arm64", "aarch64")
    for artefact in manifest["artefact"]:
        if artefact["group"] != "models" or artefact.get("platform", here) != here:
            continue
        package = packages[artefact["package"]]
        component = {
            "type": "library" if artefact["name"] == "onnx_runtime" else "machine-learning-model",
            "bom-ref": f"{artefact['name']}@{package['version']}",
            "name": artefact["name"], "version": package["version"], "description": artefact["purpose"],
            "copyright": artefact["copyright"], "licenses": [{"expression": artefact["licence"]}],
            "properties": [{"name": "facegate:origin", "value": artefact["origin"]}],
            "components": [{"type": "file", "name": file["path"],
                            "hashes": [{"alg": "SHA-256", "content": file["sha256"]}]} for file in artefact["files"]],
        }
        if package["registry"] in PURL:
            component["purl"] = PURL[package["registry"]].format(**package).replace("/@", "/%40")
        yield component


def compiled_in(version):
    """Weights of our own that are part of a crate's source, beside those of the manifest."""
    for path in sorted(TOP.glob("crates/*/src/**/*.bin")):
        name = path.relative_to(TOP).as_posix()
        yield {
            "type": "machine-learning-model", "bom-ref": f"{path.stem}@{version}", "name": path.stem, "version": version,
            "copyright": "Copyright the facegate authors", "licenses": [{"expression": "Apache-2.0"}],
            "components": [{"type": "file", "name": name,
                            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]}],
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", default="", metavar="LIST", help="features beside the default ones, with commas")
    features = [feature for feature in parser.parse_args().features.split(",") if feature]
    root, reference, components, depends = crates(features)
    models = [*networks(), *compiled_in(root["version"])]
    for entry in depends:
        if entry["ref"] == reference:
            entry["dependsOn"] += [model["bom-ref"] for model in models]
    bill = {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": reference, "name": root["name"],
                                   "version": root["version"], "licenses": [{"expression": root["license"]}]}},
        "components": sorted(components, key=lambda c: c["bom-ref"]) + models,
        "dependencies": sorted(depends, key=lambda d: d["ref"]),
    }
    print(json.dumps(bill, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
