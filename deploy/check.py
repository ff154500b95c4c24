#!/usr/bin/env python3
"""Holds the compose stack to its own rules, without Docker: what is published and how it is
confined, and that the dashboards ask for what Sereno writes to InfluxDB.

Run by tests/compose_check.sh. Needs nothing beyond Python 3.11; with a YAML library (PyYAML or
ruamel.yaml) docker-compose.yml and the provisioning files are read as well.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DASHBOARDS = ROOT / "deploy/grafana/dashboards"
DATA_SOURCE = ROOT / "deploy/grafana/provisioning/datasources/influxdb.yml"

WINDOW_FIELDS = {"count", "capture", "revision", "end"}
WINDOW_TAGS = {"size"}
ALERT_FIELDS = {"state", "id"}
ALERT_TAGS = {"rule", "pipeline", "severity", "sensor", "zone"}


class Skipped(Exception):
    """A check whose means are not here; the message says which."""


def read_yaml(path):
    try:
        import yaml

        return yaml.safe_load(path.read_text())
    except ImportError:
        pass
    try:
        from ruamel.yaml import YAML

        return YAML(typ="safe").load(path.read_text())
    except ImportError:
        raise Skipped("no YAML library (PyYAML or ruamel.yaml)") from None


def influx_schema():
    """Measurement to the names it has, as the shipped pipelines define them."""
    files = sorted(ROOT.glob("pipelines/*/pipeline.toml"))
    if not files:
        raise Skipped("no pipelines/*/pipeline.toml to compare with")
    schema = {"alerts": ALERT_FIELDS | ALERT_TAGS}
    for file in files:
        pipeline = tomllib.loads(file.read_text())
        for window in pipeline.get("window", []):
            names = set(window.get("by", ["sensor"])) | set(window["fields"])
            schema[f"{pipeline['name']}_{window['name']}".replace("-", "_")] = names | WINDOW_FIELDS | WINDOW_TAGS
        for feed in pipeline.get("feed", []):
            levels = set(re.findall(r"\{(\w+)\}", feed["topic"]))
            tags = {"sensor"} | levels | set(feed.get("tags", {}))
            schema.setdefault(feed["name"].replace("-", "_"), set()).update(tags, feed.get("quantity", {}))
    return schema


def dashboards():
    return [(path.name, json.loads(path.read_text())) for path in sorted(DASHBOARDS.glob("*.json"))]


def queries(dashboard):
    for variable in dashboard["templating"]["list"]:
        yield f"variable {variable['name']}", variable["query"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["query"]


def unknown_names(query, schema):
    """What a query names that its measurement has not."""
    measurements = re.findall(r'FROM "([^"]+)"', query)
    aliases = set(re.findall(r'AS "([^"]+)"', query))
    unknown = [m for m in measurements if m not in schema]
    known = set().union(*(schema.get(m, set()) for m in measurements)) | aliases | set(measurements)
    return unknown + [n for n in re.findall(r'"([^"]+)"', query) if n not in known]


def check_dashboard_names():
    schema = influx_schema()
    for name, dashboard in dashboards():
        for where, query in queries(dashboard):
            for unknown in unknown_names(query, schema):
                yield f"{name}, {where}: nothing Sereno writes is called {unknown}"


def overlap(one, other):
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def check_dashboard_layout():
    if not dashboards():
        yield f"no dashboard in {DASHBOARDS.relative_to(ROOT)}"
    uid = re.search(r"^ *uid: *(\S+)", DATA_SOURCE.read_text(), re.M)[1]
    for name, dashboard in dashboards():
        panels = dashboard["panels"]
        if len({panel["id"] for panel in panels}) != len(panels):
            yield f"{name}: two panels have one id"
        for index, panel in enumerate(panels):
            if panel["type"] != "row" and panel["datasource"]["uid"] != uid:
                yield f"{name}: {panel['title']} asks a data source that is not provisioned"
            for other in panels[index + 1 :]:
                if overlap(panel["gridPos"], other["gridPos"]):
                    yield f"{name}: {panel['title']} lies over {other['title']}"


def check_compose_rules():
    compose = read_yaml(ROOT / "docker-compose.yml")
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}: port {port} is published beyond this machine"
        if not re.search(r":\d+\.\d+\.\d+$", service["image"]):
            yield f"{name}: image {service['image']} is not pinned to a release"
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
            yield f"{name}: needs read_only and cap_drop: [ALL]"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name}: needs no-new-privileges"
        if str(service.get("user", "0")).split(":")[0] in ("0", "root"):
            yield f"{name}: runs as root"
        if not service.get("restart"):
            yield f"{name}: no restart policy"
        if "healthcheck" not in service and "build" not in service:
            yield f"{name}: no health check"
        for key in service.get("environment", {}):
            if re.search(r"(PASSWORD|TOKEN|SECRET)$", key):
                yield f"{name}: {key} belongs in a file"


def check_compose_references():
    compose = read_yaml(ROOT / "docker-compose.yml")
    secrets_script = (ROOT / "deploy/secrets.sh").read_text()
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and not (ROOT / source).exists():
                yield f"{name}: {source} does not exist"
            if not source.startswith(("./", "/")) and source not in compose["volumes"]:
                yield f"{name}: volume {source} is not declared"
        for secret in service.get("secrets", []):
            secret = secret if isinstance(secret, str) else secret["source"]
            file = compose["secrets"].get(secret, {}).get("file", "")
            if file.removeprefix("./deploy/secrets/") not in secrets_script:
                yield f"{name}: deploy/secrets.sh does not make {secret}"
        uid = str(service["user"]).split(":")[0]
        if f"{name}_uid={uid}" not in secrets_script:
            yield f"{name}: deploy/secrets.sh hands its secrets to another user than {uid}"
        for needed in service.get("depends_on", {}):
            if needed not in compose["services"]:
                yield f"{name}: depends on {needed}, which is no service"


def check_image_has_health_check():
    dockerfile = (ROOT / "Dockerfile").read_text()
    for wanted in ("HEALTHCHECK", "USER 10001", "--locked"):
        if wanted not in dockerfile:
            yield f"Dockerfile: {wanted} is missing"


def check_sereno_toml():
    text = (ROOT / "deploy/sereno.toml").read_text()
    tomllib.loads(text)
    compose = (ROOT / "docker-compose.yml").read_text()
    for secret in re.findall(r"/run/secrets/(\w+)", text):
        if f"  {secret}:" not in compose:
            yield f"deploy/sereno.toml: {secret} is no secret of docker-compose.yml"


def main():
    passed = failed = skipped = 0
    for name, check in sorted(globals().items()):
        if not name.startswith("check_"):
            continue
        title = name.removeprefix("check_").replace("_", " ")
        try:
            complaints = list(check())
        except Skipped as reason:
            skipped += 1
            print(f"skipped  {title}: {reason}")
            continue
        for complaint in complaints:
            print(f"FAILED   {title}: {complaint}")
        if complaints:
            failed += 1
        else:
            passed += 1
            print(f"ok       {title}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
