"""The values of the Helm chart, and the Kubernetes job that a run gets from them.

The chart turns values into a dagster.yaml; here the same part of it is made from the values, and the job that
the run launcher asks of Kubernetes is caught by a server and judged by Kubernetes' own schemas.
"""

import json
import os
import re
from pathlib import Path

import dagster as dg
import jsonschema
import kubernetes_validate
import pytest
import yaml
from dagster._config import validate_config
from dagster._core.instance.config import dagster_instance_config_schema
from dagster._core.launcher import LaunchRunContext
from dagster._core.utils import make_new_run_id
from dagster_k8s import K8sRunLauncher
from loopback.server import Answer, LoopbackServer

from avalanche_assets.automation.stages import REQUESTS, STAGES

ROOT = Path(__file__).resolve().parents[2]
VALUES = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "values.yaml").read_text())
LAUNCHER = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
(DEPLOYMENT,) = VALUES["dagster-user-deployments"]["deployments"]

KNOWN = {
    "runLauncher": "type config",
    "runLauncher.config.k8sRunLauncher": (
        "image imagePullPolicy jobNamespace loadInclusterConfig kubeconfigFile envConfigMaps envSecrets "
        "envVars volumeMounts volumes labels failPodOnRunFailure resources schedulerName securityContext "
        "runK8sConfig"
    ),
    "runLauncher.config.k8sRunLauncher.runK8sConfig": (
        "containerConfig podSpecConfig podTemplateSpecMetadata jobSpecConfig jobMetadata"
    ),
    "dagsterDaemon": (
        "enabled image runCoordinator heartbeatTolerance env envConfigMaps envSecrets deploymentLabels "
        "labels nodeSelector affinity tolerations podSecurityContext securityContext resources livenessProbe "
        "readinessProbe startupProbe annotations runMonitoring runRetries sensors schedules schedulerName "
        "volumeMounts volumes initContainerResources"
    ),
    "dagsterDaemon.runCoordinator": "enabled type config",
    "dagsterDaemon.runCoordinator.config.queuedRunCoordinator": (
        "maxConcurrentRuns tagConcurrencyLimits dequeueIntervalSeconds dequeueNumWorkers "
        "dequeueUseThreads blockOpConcurrencyLimitedRuns"
    ),
    "dagsterWebserver": (
        "replicaCount image nameOverride pathPrefix service workspace env envConfigMaps envSecrets "
        "deploymentLabels labels nodeSelector affinity tolerations podSecurityContext securityContext "
        "resources readinessProbe livenessProbe startupProbe annotations enableReadOnly dbStatementTimeout "
        "dbPoolRecycle logLevel schedulerName volumeMounts volumes initContainerResources"
    ),
    "dagsterWebserver.service": "type port annotations",
    "pythonLogs": "pythonLogLevel managedPythonLoggers dagsterHandlerConfig",
    "telemetry": "enabled",
}
"""Sections of the chart's values.schema.json that allow no other fields, with the fields they allow."""


@pytest.mark.parametrize("section", KNOWN)
def test_strict_sections_of_the_chart_know_every_value(section):
    value = VALUES
    for name in section.split("."):
        value = value[name]
    assert set(value) <= set(KNOWN[section].split())


def test_values_follow_the_schema_of_the_chart():
    """Against the chart itself, where somebody has unpacked it (helm pull --untar)."""
    chart = os.environ.get("AVALANCHE_HELM_CHART")
    if not chart:
        pytest.skip("AVALANCHE_HELM_CHART does not name the folder of the unpacked chart")
    schema = json.loads((Path(chart) / "values.schema.json").read_text())
    defaults = yaml.safe_load((Path(chart) / "values.yaml").read_text())
    jsonschema.validate(_merged(defaults, VALUES), _without_remote_parts(schema))


def _merged(default, value):
    if not (isinstance(default, dict) and isinstance(value, dict)):
        return value
    return {**default, **{key: _merged(default.get(key), item) for key, item in value.items()}}


def _without_remote_parts(schema):
    """Kubernetes' own types, which the schema names by address, are judged by the test of the job."""
    if isinstance(schema, dict):
        remote = str(schema.get("$ref", "")).startswith("http")
        return {
            key: _without_remote_parts(item) for key, item in schema.items() if not remote or key != "$ref"
        }
    return [_without_remote_parts(item) for item in schema] if isinstance(schema, list) else schema


def test_additional_instance_settings_are_dagsters():
    result = validate_config(dagster_instance_config_schema(), VALUES["additionalInstanceConfig"])
    assert result.success, result.errors


def test_no_secret_stands_in_the_values():
    text = (ROOT / "deploy" / "kubernetes" / "values.yaml").read_text()
    assert re.findall(r"(?im)^ *(\w*(?:password|secret_key|token)\w*: *\S+)", text) == [
        "generatePostgresqlPasswordSecret: false",
        "CDSE_PASSWORD_FILE: /run/secrets/avalanche/cdse_password",
        "automountServiceAccountToken: false",
    ]


@pytest.fixture
def launched(tmp_path):
    """Launches a run with the tags of a stage's job; the Kubernetes job that is asked for."""
    jobs = []

    def create(request):
        jobs.append(json.loads(request.body))
        return Answer(201, request.body, {"Content-Type": "application/json"})

    with LoopbackServer() as server:
        server.routes["/apis/batch/v1/namespaces/avalanche/jobs"] = create
        cluster = {"name": "c", "cluster": {"server": server.url}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        (tmp_path / "kubeconfig").write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [cluster],
                    "contexts": [context],
                    "current-context": "x",
                    "users": [{"name": "u", "user": {}}],
                }
            )
        )
        config = _launcher_config(tmp_path / "kubeconfig")
        with dg.instance_for_test(
            overrides={"run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": config}}
        ) as instance:

            def launch(tags):
                origin = dg.reconstructable(_job).get_python_origin()
                origin = origin._replace(
                    repository_origin=origin.repository_origin._replace(
                        container_image=f"{DEPLOYMENT['image']['repository']}:{DEPLOYMENT['image']['tag']}",
                        container_context={"k8s": _container_context()},
                    )
                )
                run = dg.DagsterRun(
                    job_name="job",
                    run_id=make_new_run_id(),
                    job_code_origin=origin,
                    tags={key: tag if isinstance(tag, str) else json.dumps(tag) for key, tag in tags.items()},
                )
                instance.add_run(run)
                instance.run_launcher.launch_run(LaunchRunContext(run, None))
                return jobs[-1]

            assert isinstance(instance.run_launcher, K8sRunLauncher)
            yield launch


@dg.job
def _job():
    pass


def _launcher_config(kubeconfig):
    """What the chart's template makes of the values."""
    run = LAUNCHER["runK8sConfig"]
    return {
        "load_incluster_config": False,
        "kubeconfig_file": str(kubeconfig),
        "job_namespace": "avalanche",
        "image_pull_policy": LAUNCHER["imagePullPolicy"],
        "service_account_name": VALUES["global"]["serviceAccountName"],
        "dagster_home": "/opt/dagster/dagster_home",
        "instance_config_map": "avalanche-dagster-instance",
        "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
        "fail_pod_on_run_failure": LAUNCHER["failPodOnRunFailure"],
        "resources": LAUNCHER["resources"],
        "run_k8s_config": {
            "pod_spec_config": run["podSpecConfig"],
            "job_spec_config": {
                "ttl_seconds_after_finished": run["jobSpecConfig"]["ttlSecondsAfterFinished"]
            },
        },
    }


def _container_context():
    """What the chart makes of the code location's values for the runs of its code."""
    return {
        "env_vars": [f"{name}={value}" for name, value in DEPLOYMENT["env"].items()],
        "volumes": DEPLOYMENT["volumes"],
        "volume_mounts": DEPLOYMENT["volumeMounts"],
        "security_context": DEPLOYMENT["securityContext"],
        "run_k8s_config": {"pod_spec_config": {"security_context": DEPLOYMENT["podSecurityContext"]}},
        "namespace": "avalanche",
    }


def test_job_of_a_run_is_valid_for_kubernetes_and_confined(launched):
    job = launched({})
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.org/avalanche-assets:0.1.0"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["automountServiceAccountToken"] is False
    assert pod["restartPolicy"] == "Never"
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["ttlSecondsAfterFinished"] == 86400
    security = container["securityContext"]
    assert (security["readOnlyRootFilesystem"], security["capabilities"]) == (True, {"drop": ["ALL"]})
    assert container["resources"] == LAUNCHER["resources"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {
        "/data",
        "/run/secrets/avalanche",
        "/tmp",
    }
    assert container["args"][:3] == ["dagster", "api", "execute_run"]


def test_password_of_the_database_comes_from_its_secret(launched):
    job = launched({})
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (password,) = [entry for entry in container["env"] if entry["name"] == "DAGSTER_PG_PASSWORD"]
    assert password["valueFrom"]["secretKeyRef"]["name"] == "avalanche-postgresql"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_runs_of_a_stage_get_what_it_demands(launched, stage):
    job = launched(stage.run_tags)
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == REQUESTS[stage.demand]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
