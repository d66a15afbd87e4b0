#!/usr/bin/env bash
# Checks the manifests against Kubernetes' own schemas, offline: the PyPI package kubernetes-validate carries them.
#
#   deploy/kubernetes/validate.sh PROGRAM      the built facegate, which must know every setting that a pod is given
#
# Uses kubernetes-validate from the PATH, or installs it with pip into an environment in target/ on the first run.
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")"

tool=$(command -v kubernetes-validate || true)
if [ -z "$tool" ]; then
    wanted=kubernetes-validate==1.37.0 folder=../../target/kubernetes-validate
    # Written last: an environment that was not finished is made anew.
    if [ "$(cat "$folder/installed.txt" 2>/dev/null)" != "$wanted" ]; then
        python3 -m venv --clear "$folder"
        ../../scripts/retry "$folder/bin/pip" install --quiet --disable-pip-version-check "$wanted"
        echo "$wanted" >"$folder/installed.txt"
    fi
    tool=$folder/bin/kubernetes-validate
fi

for version in 1.31 1.34 1.37; do
    "$tool" --strict --quiet --kubernetes-version "$version" ./*.yaml ./bulk/*.yaml
    echo "schemas of Kubernetes $version: valid"
done

# What no schema knows: everything must select the same pods, and refer to what exists.
if "${tool%/*}/python3" -c 'import yaml' 2>/dev/null; then python=${tool%/*}/python3; else python=python3; fi
"$python" - "$program" ./*.yaml ./bulk/*.yaml <<'PYTHON'
import subprocess, sys, yaml

objects = [o for path in sys.argv[2:] for o in yaml.safe_load_all(open(path)) if o]
by = {(o["kind"], o["metadata"]["name"]): o for o in objects}
assert len(by) == len(objects), "two objects share kind and name"
deployment = by["Deployment", "facegate"]["spec"]
pod = deployment["template"]
labels = pod["metadata"]["labels"].items()
container, = pod["spec"]["containers"]
ports = {p["name"]: p["containerPort"] for p in container["ports"]}


def selects(selector):
    return selector.items() <= labels


assert selects(deployment["selector"]["matchLabels"])
assert selects(by["Service", "facegate"]["spec"]["selector"])
assert by["Service", "facegate"]["spec"]["ports"][0]["targetPort"] in ports
assert selects(by["PodDisruptionBudget", "facegate"]["spec"]["selector"]["matchLabels"])
assert selects(by["NetworkPolicy", "facegate"]["spec"]["podSelector"]["matchLabels"])
for rule in by["NetworkPolicy", "facegate"]["spec"]["ingress"]:
    assert rule["ports"][0]["port"] in ports
assert int(pod["metadata"]["annotations"]["prometheus.io/port"]) == ports["metrics"]
target = by["HorizontalPodAutoscaler", "facegate"]["spec"]["scaleTargetRef"]
assert (target["kind"], target["name"]) in by and "replicas" not in deployment
assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in by
volume, = pod["spec"]["volumes"]
secret = by["Secret", volume["secret"]["secretName"]]
mount, = container["volumeMounts"]
users = {e["name"]: e.get("value") for e in container["env"]}["FACEGATE_USERS_FILE"]
assert mount["name"] == volume["name"] and users.removeprefix(mount["mountPath"] + "/") in secret["stringData"]
assert pod["spec"]["enableServiceLinks"] is False
for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
    assert container[probe]["httpGet"]["port"] in ports

job = by["Job", "facegate-bulk"]["spec"]
bulk = job["template"]
worker, = bulk["spec"]["containers"]
assert f"--shard=$(JOB_COMPLETION_INDEX)/{job['completions']}" in worker["args"]
assert bulk["spec"]["restartPolicy"] == "Never", "backoffLimitPerIndex asks for it"
assert bulk["spec"]["enableServiceLinks"] is False
assert ("Secret", worker["envFrom"][0]["secretRef"]["name"]) in by
selector = by["NetworkPolicy", "facegate-bulk"]["spec"]["podSelector"]["matchLabels"]
assert selector.items() <= bulk["metadata"]["labels"].items()
# What selects the service must leave the job alone.
assert not by["Service", "facegate"]["spec"]["selector"].items() <= bulk["metadata"]["labels"].items()
print("references: consistent")

# facegate refuses FACEGATE_ variables that are no settings, and values that it cannot read.
for o in objects:
    for c in o.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
        settings = {e["name"]: e["value"] for e in c.get("env", []) if "value" in e}
        subprocess.run([sys.argv[1], "config"], env=settings, check=True, stdout=subprocess.DEVNULL)
print("settings: known to the program")
PYTHON
