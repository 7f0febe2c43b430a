"""Checks deploy/ and docker-compose.yml by their schemas and by rules of ours; see scripts/manifests.

Each rule of ours is also tried on a manifest that breaks it, so that a rule that finds nothing is noticed.
"""

import copy
import http.server
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
LOCAL_CI = ROOT / ".ci/run"
KINDS = {"api": 8080, "notifier": 8081, "worker": 8082}


def say(*words):
    print("manifests:", *words, file=sys.stderr, flush=True)


def fail(*words):
    say("FAILED:", *words)
    sys.exit(1)


def run(*command, where=ROOT):
    done = subprocess.run(list(map(str, command)), cwd=where, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def must(*command, where=ROOT):
    code, output = run(*command, where=where)
    if code:
        fail(*command, "\n" + output)
    return output


# --- containers -------------------------------------------------------------------------------------------------


def dockerfile_faults(text):
    """Returns what the image must not be; hadolint knows the rest."""
    faults, stages, stage, of = [], {}, None, {}
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, stage = rest.partition(" AS ")
            stages[stage], of[stage] = [], base
        elif stage:
            stages[stage].append((word, rest))
    for name in [*KINDS, "expediter", "kitchen", "courier", "all"]:
        if name not in stages:
            faults.append(f"there is no target {name}")
            continue
        lines, parent = list(stages[name]), of[name]
        while parent in stages:
            lines, parent = stages[parent] + lines, of[parent]
        users = [rest for word, rest in lines if word == "USER"]
        if not users or users[-1] in ("0", "root"):
            faults.append(f"{name} runs as root")
        if not any(word == "HEALTHCHECK" for word, _ in lines):
            faults.append(f"{name} has no health check")
        if name in KINDS and not any(word == "HEALTHCHECK" and f'["ready", "{KINDS[name]}"]' in rest for word, rest in lines):
            faults.append(f"the health check of {name} asks another port")
        if "slim" not in parent and "distroless" not in parent:
            faults.append(f"{name} is made from {parent}")
    layers = [rest for word, rest in stages.get("dependencies", []) if word == "COPY"]
    if layers != ["--from=manifests /src ."]:
        faults.append("the dependency layer depends on more than the manifests")
    return faults


def containers():
    must("hadolint", "--config", "deploy/hadolint.yaml", "deploy/Dockerfile")
    text = (DEPLOY / "Dockerfile").read_text()
    judge(
        "deploy/Dockerfile",
        dockerfile_faults,
        text,
        [
            (lambda it: it.replace("USER 10001", "USER root"), "api runs as root"),
            (lambda it: it.replace("FROM base AS courier", "FROM base AS carrier"), "there is no target courier"),
            (lambda it: re.sub("HEALTHCHECK.*8081.*", "", it), "notifier has no health check"),
            (lambda it: it.replace('["ready", "8082"]', '["ready", "8080"]'), "the health check of worker asks another port"),
            (lambda it: it.replace("debian:bookworm-slim", "debian:bookworm"), "api is made from debian:bookworm"),
            (lambda it: it.replace("COPY --from=manifests /src .", "COPY . ."), "the dependency layer depends on more than the manifests"),
        ],
    )
    must("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    stubs()
    ready()
    grafana()


def stubs():
    """The stubs of the dependency layer are a workspace, and know nothing of the sources."""
    listed = must("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for path in filter(None, listed):
            if (ROOT / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, folder / path)
        must(DEPLOY / "stubs", where=folder)
        left = {path.name for path in folder.rglob("*") if path.is_file()}
        if left != {"Cargo.toml", "Cargo.lock", "lib.rs", "main.rs"}:
            fail(f"deploy/stubs leaves {left}")
        if shutil.which("cargo"):
            code, output = run("cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1", where=folder)
            if code:
                fail("the stubs are no workspace:", output)


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404 if self.path == "/board" else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


def ready():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    for arguments, is_ready in [([port], True), ([port, "/board"], False), ([port, "/healthz"], False)]:
        code, _ = run(DEPLOY / "ready", *arguments)
        if (code == 0) != is_ready:
            fail(f"deploy/ready {arguments} ended with {code}")
    server.shutdown()
    server.server_close()
    if run(DEPLOY / "ready", port)[0] == 0:
        fail("deploy/ready succeeds although nobody listens")


def grafana():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    service = compose["services"]["grafana"]
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/expediter.yml").read_text())["providers"][0]
    mounted = [volume.split(":")[1] for volume in service["volumes"]]
    if f"{provider['options']['path']}/expediter.json" not in mounted:
        fail("Grafana's provider looks where no dashboard is mounted")
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/expediter.yml").read_text())["datasources"][0]
    if source["url"].split("//")[1].split(":")[0] not in compose["services"]:
        fail(f"there is no service {source['url']}")
    profiles = {name for one in compose["services"].values() for name in one.get("profiles", [])}
    if profiles != {"observe", "kitchen", "courier"}:
        fail(f"the profiles of compose are {profiles}")
    without = [name for name, one in compose["services"].items() if "healthcheck" not in one]
    if without:
        fail(f"these services of compose have no health check: {without}")


# --- Kubernetes -------------------------------------------------------------------------------------------------


def settings():
    """Returns every setting as its environment variable, those that name a file with the value, and the defaults."""
    default = tomllib.loads((ROOT / "common/config/default.toml").read_text())
    known = {f"EXPEDITER__{section}__{key}".upper() for section, keys in default.items() for key in keys}
    return known, {f"{name}_FILE" for name in known} - known, default


def by(documents, kind):
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == kind}


def secret_folders(deployment):
    """Returns the folders in which the container finds a secret, and can only read it."""
    secrets = {volume["name"] for volume in deployment["spec"]["template"]["spec"].get("volumes", []) if "secret" in volume}
    return {mount["mountPath"] for mount in container(deployment).get("volumeMounts", []) if mount["name"] in secrets and mount.get("readOnly")}


def cluster_faults(documents):
    faults = []
    known, in_files, default = settings()
    deployments, services = by(documents, "Deployment"), by(documents, "Service")
    maps, budgets, policies = by(documents, "ConfigMap"), by(documents, "PodDisruptionBudget"), by(documents, "NetworkPolicy")
    if by(documents, "Secret"):
        faults.append("a secret is committed")
    for name in {*KINDS, "gateway"} - set(deployments):
        faults.append(f"there is no deployment {name}")
    for name, one in deployments.items():
        spec, pod = one["spec"], one["spec"]["template"]
        labels, wants = pod["metadata"]["labels"], spec["selector"]["matchLabels"]
        if not wants.items() <= labels.items():
            faults.append(f"{name} does not select its own pods")
        if spec["replicas"] < 2:
            faults.append(f"{name} has only one pod")
        budget = budgets.get(name, {}).get("spec", {})
        if budget.get("maxUnavailable") != 1 or budget.get("selector", {}).get("matchLabels") != wants:
            faults.append(f"{name} has no disruption budget")
        if pod["spec"].get("automountServiceAccountToken") is not False or not pod["spec"]["securityContext"].get("runAsNonRoot"):
            faults.append(f"{name} has rights that it does not need")
        (container,) = pod["spec"]["containers"]
        secured = container.get("securityContext", {})
        if (
            not secured.get("readOnlyRootFilesystem")
            or secured.get("capabilities") != {"drop": ["ALL"]}
            or secured.get("allowPrivilegeEscalation") is not False
        ):
            faults.append(f"{name} may write or gain privileges")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe not in container:
                faults.append(f"{name} has no {probe}")
        if container.get("livenessProbe", {}).get("httpGet", {}).get("path") != "/healthz":
            faults.append(f"{name} is restarted when its database is away")
        if name in KINDS and container.get("readinessProbe", {}).get("httpGet", {}).get("path") != "/readyz":
            faults.append(f"{name} gets requests although it is not ready")
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            faults.append(f"{name} has no limits")
        stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
        pause = sum(map(int, re.findall(r"\d+", " ".join(stop))))
        takes = pause + (default["shutdown"]["drain_s"] + 4 if name in KINDS else 0)
        if not pause or pod["spec"]["terminationGracePeriodSeconds"] <= takes:
            faults.append(f"{name} is killed before it has stopped")
        if name in KINDS and container["ports"][0]["containerPort"] != KINDS[name]:
            faults.append(f"{name} has another port than in default.toml")
        for variable in container.get("env", []):
            if variable["name"] not in known:
                faults.append(f"there is no setting {variable['name']}")
            if "secretKeyRef" not in variable.get("valueFrom", {}):
                faults.append(f"{name}: {variable['name']} is no reference to a secret")
        if name in KINDS and not [
            one
            for one in policies.values()
            if one["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()
            and one["spec"].get("policyTypes") == ["Ingress", "Egress"]
        ]:
            faults.append(f"no policy closes {name}")
    for name, service in services.items():
        selected = [
            one
            for one in deployments.values()
            if service["spec"]["selector"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        ports = {port["name"] for one in selected for port in one["spec"]["template"]["spec"]["containers"][0]["ports"]}
        if len(selected) != 1 or {port["targetPort"] for port in service["spec"]["ports"]} - ports:
            faults.append(f"the service {name} leads nowhere")
    given = [pair for one in maps.values() for pair in one.get("data", {}).items() if pair[0].startswith("EXPEDITER__")]
    for name, value in given:
        if name not in known | in_files:
            faults.append(f"there is no setting {name}")
        if name in in_files:
            faults += [f"{kind} does not mount {value}" for kind in KINDS if value.rpartition("/")[0] not in secret_folders(deployments[kind])]
        elif re.search("SECRET|PASSWORD|KEY|__URL", name) and not name.endswith(("PUBLIC_URL", "_FILE")):
            faults.append(f"{name} belongs into the secret")
        if name.endswith("_LISTEN") and not value.startswith("0.0.0.0:"):
            faults.append(f"{name} is not reached from other pods")
    servers = policies.get("servers", {}).get("spec", {}).get("egress", [])
    open_ports = {port["port"] for rule in servers for port in rule["ports"]}
    for port in {3306, 5671, 5672} - open_ports:
        faults.append(f"a process does not reach a server on port {port}")
    outside = policies.get("integrators", {}).get("spec", {}).get("egress", [{"to": []}])[0]["to"]
    closed = {network for to in outside for network in to["ipBlock"].get("except", [])}
    if not {"10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= closed:
        faults.append("a worker reaches private networks")
    return faults


def change(kind, name, edit):
    def of(documents):
        documents = copy.deepcopy(documents)
        edit(by(documents, kind)[name] if name else documents)
        return documents

    return of


def container(one):
    return one["spec"]["template"]["spec"]["containers"][0]


def kubernetes():
    built = must("kubectl", "kustomize", "deploy")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(built)
        file.flush()
        must("kubernetes-validate", "--strict", file.name)
        # The validator notices a field that does not exist.
        pathlib.Path(file.name).write_text(built.replace("livenessProbe:", "liveProbe:", 1))
        if run("kubernetes-validate", "--strict", file.name)[0] == 0:
            fail("kubernetes-validate accepts liveProbe")
    documents = list(yaml.safe_load_all(built))
    grace = "terminationGracePeriodSeconds"
    judge(
        "deploy/kubernetes",
        cluster_faults,
        documents,
        [
            (change("Deployment", "api", lambda it: container(it).pop("livenessProbe")), "api has no livenessProbe"),
            (
                change("Deployment", "worker", lambda it: container(it)["livenessProbe"]["httpGet"].update(path="/readyz")),
                "worker is restarted when its database is away",
            ),
            (change("Deployment", "notifier", lambda it: container(it)["resources"].pop("limits")), "notifier has no limits"),
            (
                change("Deployment", "api", lambda it: it["spec"]["template"]["spec"].update({grace: 29})),
                "api is killed before it has stopped",
            ),
            (change("Deployment", "api", lambda it: container(it).pop("lifecycle")), "api is killed before it has stopped"),
            (
                change("Deployment", "worker", lambda it: container(it).update(env=[{"name": "EXPEDITER__DATABASE__URL", "value": "mysql://"}])),
                "worker: EXPEDITER__DATABASE__URL is no reference to a secret",
            ),
            (
                change("Deployment", "notifier", lambda it: container(it).pop("volumeMounts")),
                "notifier does not mount /run/secrets/expediter/database_url",
            ),
            (
                change("ConfigMap", "settings", lambda it: it["data"].update(EXPEDITER__OUTSIDE__CODES_URL_FILE="/etc/url")),
                "api does not mount /etc/url",
            ),
            (change("Deployment", "api", lambda it: container(it)["securityContext"].clear()), "api may write or gain privileges"),
            (change("Deployment", "gateway", lambda it: it["spec"].update(replicas=1)), "gateway has only one pod"),
            (change("PodDisruptionBudget", "worker", lambda it: it["spec"].update(maxUnavailable=2)), "worker has no disruption budget"),
            (
                change("Service", "api", lambda it: it["spec"]["selector"].update({"app.kubernetes.io/component": "apis"})),
                "the service api leads nowhere",
            ),
            (
                change("ConfigMap", "settings", lambda it: it["data"].update(EXPEDITER__HTTP__LISTEN="x")),
                "there is no setting EXPEDITER__HTTP__LISTEN",
            ),
            (
                change("ConfigMap", "settings", lambda it: it["data"].update(EXPEDITER__SECRETS__JWT_KEY="x")),
                "EXPEDITER__SECRETS__JWT_KEY belongs into the secret",
            ),
            (change("NetworkPolicy", "nothing", lambda it: it["spec"].update(policyTypes=["Ingress"])), "no policy closes worker"),
            (
                change("NetworkPolicy", "servers", lambda it: it["spec"]["egress"][0]["ports"].pop(1)),
                "a process does not reach a server on port 5671",
            ),
            (
                change(
                    "NetworkPolicy",
                    "integrators",
                    lambda it: it["spec"]["egress"][0]["to"][0]["ipBlock"]["except"].remove("169.254.0.0/16"),
                ),
                "a worker reaches private networks",
            ),
        ],
    )
    gateway(documents)
    overlay()
    return len(documents)


def overlay():
    """The overlay of docs/kubernetes.md changes what it says."""
    page = (ROOT / "docs/kubernetes.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(DEPLOY, f"{folder}/deploy")
        one = pathlib.Path(folder) / "overlay"
        one.mkdir()
        (one / "kustomization.yaml").write_text(shown)
        documents = list(yaml.safe_load_all(must("kubectl", "kustomize", one)))
    images = {container(it)["image"] for it in by(documents, "Deployment").values()}
    url = by(documents, "ConfigMap")["settings"]["data"]["EXPEDITER__HTTP__PUBLIC_URL"]
    if (
        {it["metadata"].get("namespace") for it in documents} != {"expediter"}
        or "registry.example/expediter:1" not in images
        or "eat" not in url
    ):
        fail("the overlay of docs/kubernetes.md does not do what it says", images, url)


def gateway(documents):
    """nginx reads the gateway's settings as the pod has them, but for the names of Services."""
    if not shutil.which("nginx"):
        say("SKIPPED the gateway's settings: nginx is not installed")
        return
    (files,) = [one["data"] for name, one in by(documents, "ConfigMap").items() if name.startswith("gateway-")]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            text = text.replace("/tmp/", f"{folder}/").replace("/etc/nginx", folder)
            (pathlib.Path(folder) / name).write_text(re.sub(r"server (api|notifier):", "server 127.0.0.1:", text))
        must("nginx", "-t", "-e", "stderr", "-c", f"{folder}/nginx.conf")


# ----------------------------------------------------------------------------------------------------------------


def judge(what, faults, good, broken):
    found = faults(good)
    if found:
        fail(what, *("\n  " + one for one in found))
    for edit, fault in broken:
        found = faults(edit(good))
        if fault not in found:
            fail(f"{what}: nothing finds that {fault}, only {found}")


def workflow_faults(files):
    faults = []
    makefile = (ROOT / "Makefile").read_text()
    for name, text in files.items():
        workflow = yaml.safe_load(text)
        if workflow.get("permissions") != {"contents": "read"}:
            faults.append(f"{name} has rights that most of its jobs do not need")
        for job, content in workflow["jobs"].items():
            if "timeout-minutes" not in content:
                faults.append(f"{name}: {job} may run for hours")
            rights = {right for right, what in content.get("permissions", {}).items() if what == "write"}
            for step in content["steps"]:
                command = step.get("run", "")
                # Whoever gets into a tool or a dependency gets the job's rights.
                if rights and re.search(r"\b(cargo|make|pip|npm|curl|scripts/)", command):
                    faults.append(f"{name}: {job} builds or installs with the right to write")
                if "id-token" in rights and not step.get("uses", "").startswith("actions/"):
                    faults.append(f"{name}: {job} signs, and runs more than GitHub's actions")
                for tools in re.findall(r"\bcargo install ([^\n;&|]+)", command):
                    if [tool for tool in tools.split() if tool[0] != "-" and not re.search(r"@\d+\.\d+\.\d+$", tool)]:
                        faults.append(f"{name}: {job} installs any version of a tool")
                for target in re.findall(r"\bmake ([a-z-]+)", command):
                    if not re.search(rf"^{target}:", makefile, re.MULTILINE):
                        faults.append(f"{name}: there is no make {target}")
                for script in re.findall(r"\bscripts/[a-z-]+", command):
                    if not (ROOT / script).exists():
                        faults.append(f"{name}: there is no {script}")
                # A text from outside in a command is a command of theirs.
                if "${{ github.event" in command or "${{ github.head_ref" in command:
                    faults.append(f"{name}: {job} runs what somebody else wrote")
        if name == "ci.yml":
            for target in set(re.findall(r"^step .*\bmake ([a-z-]+)", LOCAL_CI.read_text(), re.MULTILINE)) - {"test-real"}:
                if not re.search(rf"run: make {target}$", text, re.MULTILINE):
                    faults.append(f"{name} does not make {target}, as .ci/run does")
        if workflow.get("env", {}).get("NEXTEST_PROFILE") != "ci":
            faults.append(f"{name} does not test as .ci/run does")
        targets = workflow["jobs"].get("images", {}).get("strategy", {}).get("matrix", {}).get("target", [])
        stages = set(re.findall(r"^FROM \S+ AS (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
        if set(targets) - stages:
            faults.append(f"{name}: there is no image {sorted(set(targets) - stages)}")
    return faults


def workflows():
    paths = sorted((ROOT / ".github/workflows").glob("*.yml"))
    must("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *paths)
    files = {path.name: path.read_text() for path in paths}
    in_ci = lambda before, after: lambda it: {**it, "ci.yml": it["ci.yml"].replace(before, after)}
    in_release = lambda before, after: lambda it: {**it, "release.yml": it["release.yml"].replace(before, after)}
    judge(
        ".github/workflows",
        workflow_faults,
        files,
        [
            (in_ci("make deny", "make denied"), "ci.yml: there is no make denied"),
            (in_ci("scripts/check-commits", "scripts/check"), "ci.yml: there is no scripts/check"),
            (in_ci("timeout-minutes: 60", "name: check"), "ci.yml: check may run for hours"),
            (in_ci("permissions: {contents: read}", "permissions: write-all"), "ci.yml has rights that most of its jobs do not need"),
            (in_ci("make check", "echo ${{ github.event.pull_request.title }}"), "ci.yml: check runs what somebody else wrote"),
            (in_ci("run: make test", "run: make clients"), "ci.yml does not make test, as .ci/run does"),
            (in_ci(", NEXTEST_PROFILE: ci", ""), "ci.yml does not test as .ci/run does"),
            (
                in_release("id-token: write, attestations: write}\n    steps:", "id-token: write}\n    steps:\n      - run: make dist"),
                "release.yml: attest builds or installs with the right to write",
            ),
            (
                in_release("id-token: write, attestations: write}\n    steps:", "id-token: write}\n    steps:\n      - uses: some/action@v1"),
                "release.yml: attest signs, and runs more than GitHub's actions",
            ),
            (in_release("cargo-auditable@0.7.7", "cargo-auditable"), "release.yml: binaries installs any version of a tool"),
            (in_release("worker, notifier", "workers, notifier"), "release.yml: there is no image ['workers']"),
        ],
    )
    return len(paths)


def sources_named(texts):
    """Returns the source files that comments and pages name, and that are elsewhere now."""
    name = re.compile(r"(?<![\w/.-])(?:api|bench|common|courier|deploy|e2e|kitchen|notifier|standalone|web|worker)/[\w/.-]+\.\w+\b")
    return [f"{path} names {it}, which is not there" for path, text in texts.items() for it in set(name.findall(text)) if not (ROOT / it).exists()]


def pages():
    paths = [ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md"), *(path for path in DEPLOY.rglob("*") if path.is_file())]
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    named = "deploy/gateway/http.conf"
    move = lambda it: {**it, named: it[named].replace("common/runtime/src/", "api/src/http/")}
    judge("the pages", sources_named, texts, [(move, f"{named} names api/src/http/request_id.rs, which is not there")])


pages()
containers()
say(f"the Dockerfile, the compose file, {kubernetes()} Kubernetes manifests and {workflows()} workflows pass their checks")
