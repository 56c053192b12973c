"""The kinds that may be read, the form of every argument, and what an object loses before the model sees it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAMESPACE = re.compile(LABEL)
NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")
SELECTOR = re.compile(r"[A-Za-z0-9 ._/,=!()-]{0,1000}")
TOKEN = re.compile(r"[A-Za-z0-9._~=+/-]{0,4096}")
WITHHELD = "[withheld]"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class ArgumentError(Exception):
    """What is wrong with the model's argument and what to try."""


@dataclass(frozen=True)
class Kind:
    name: str
    path: str  # of its API group and version
    plural: str
    namespaced: bool = True


def _kinds(path: str, *rows: str, namespaced: bool = True) -> list[tuple[Kind, list[str]]]:
    made = []
    for row in rows:
        name, plural, *short = row.split()
        made.append((Kind(name, path, plural, namespaced), [name.lower(), plural, *short]))
    return made


KINDS: dict[str, Kind] = {
    alias: kind
    for kind, aliases in [
        *_kinds("/api/v1", "Pod pods po", "Event events ev", "Service services svc", "Endpoints endpoints ep"),
        *_kinds("/api/v1", "PersistentVolumeClaim persistentvolumeclaims pvc"),
        *_kinds("/api/v1", "Node nodes no", "Namespace namespaces ns", namespaced=False),
        *_kinds("/api/v1", "PersistentVolume persistentvolumes pv", namespaced=False),
        *_kinds("/apis/apps/v1", "Deployment deployments deploy", "ReplicaSet replicasets rs"),
        *_kinds("/apis/apps/v1", "StatefulSet statefulsets sts", "DaemonSet daemonsets ds"),
        *_kinds("/apis/apps/v1", "ControllerRevision controllerrevisions"),
        *_kinds("/apis/batch/v1", "Job jobs", "CronJob cronjobs cj"),
        *_kinds("/apis/autoscaling/v2", "HorizontalPodAutoscaler horizontalpodautoscalers hpa"),
        *_kinds("/apis/policy/v1", "PodDisruptionBudget poddisruptionbudgets pdb"),
        *_kinds("/apis/networking.k8s.io/v1", "Ingress ingresses ing", "NetworkPolicy networkpolicies netpol"),
        *_kinds("/apis/metrics.k8s.io/v1beta1", "PodMetrics pods podmetrics"),
        *_kinds("/apis/metrics.k8s.io/v1beta1", "NodeMetrics nodes nodemetrics", namespaced=False),
    ]
    for alias in aliases
    if not (kind.name.endswith("Metrics") and alias in ("pods", "nodes"))
}
NAMES = ", ".join(sorted({kind.name for kind in KINDS.values()}))


def kind_of(arguments: dict[str, Any]) -> Kind:
    given = word(arguments, "kind")
    found = KINDS.get(given.lower())
    if found is None:
        raise ArgumentError(f"kind {shown(given)} cannot be read; kinds: {NAMES}")
    return found


def word(arguments: dict[str, Any], key: str, required: bool = True) -> str:
    value = arguments.get(key)
    if value is None or value == "":
        if required:
            raise ArgumentError(f"{key}: is required")
        return ""
    if not isinstance(value, str):
        raise ArgumentError(f"{key}: must be a string")
    return value


def matching(arguments: dict[str, Any], key: str, form: re.Pattern[str], required: bool = False) -> str:
    value = word(arguments, key, required)
    if value and ((len(value) > 253 and form in (NAME, NAMESPACE)) or not form.fullmatch(value)):
        raise ArgumentError(f"{key}: {shown(value)} is not in the form that Kubernetes demands")
    return value


def number(arguments: dict[str, Any], key: str, default: int, high: int) -> int:
    value = arguments.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentError(f"{key}: must be a whole number")
    return min(high, max(1, value))


def shown(value: str) -> str:
    return json.dumps(value[:64])


def stripped(value: Any) -> Any:
    """Without managed fields and the copy of the last apply; environment values are withheld, their names stay."""
    if isinstance(value, list):
        return [stripped(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: stripped(item) for key, item in value.items() if key not in ("managedFields", LAST_APPLIED)}
    if isinstance(kept.get("env"), list):
        kept["env"] = [_withheld(entry) for entry in kept["env"]]
    return kept


def _withheld(entry: Any) -> Any:
    return entry | {"value": WITHHELD} if isinstance(entry, dict) and entry.get("value") else entry
