"""A small synchronous client for a real API server: enough for tests, and strict, as kubectl is."""

import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
import yaml

Manifest = dict[str, Any]
# An alias, because inside Admin the name `list` is a method.
Manifests = list[Manifest]
T = TypeVar("T")


class ApiError(Exception):
    """What the API server refused, with its own words."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Admin:
    """Reads and writes any resource by API version, plural, namespace and name; a None namespace is cluster-wide.

    Writes ask for strict field validation: an unknown or doubled field is refused, not dropped.
    """

    def __init__(self, url: str, token: str, certificate_authority: Path) -> None:
        self.url = url
        self._pool = urllib3.PoolManager(
            maxsize=8,
            ca_certs=str(certificate_authority),
            headers={"Authorization": f"Bearer {token}"},
            # The handshake of TLS counts as connecting: on a loaded machine it takes longer than on any network.
            timeout=urllib3.Timeout(connect=60, read=60),
            retries=False,
        )

    def get(self, api_version: str, plural: str, namespace: str | None, name: str, subresource: str = "") -> Manifest:
        """Read one object."""
        return self.request("GET", resource_path(api_version, plural, namespace, name, subresource))

    def find(self, api_version: str, plural: str, namespace: str | None, name: str) -> Manifest | None:
        """Read one object; None if there is none."""
        try:
            return self.get(api_version, plural, namespace, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, api_version: str, plural: str, namespace: str | None = None, label_selector: str = "") -> Manifests:
        """Read all objects, page by page."""
        path = resource_path(api_version, plural, namespace)
        items: Manifests = []
        query = {"limit": "500", "labelSelector": label_selector}
        while True:
            page = self.request("GET", path, query)
            items += page["items"]
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return items

    def create(self, api_version: str, plural: str, manifest: Manifest) -> Manifest:
        """Create the object where its metadata says."""
        path = resource_path(api_version, plural, manifest["metadata"].get("namespace"))
        return self.request("POST", path, {"fieldValidation": "Strict"}, manifest)

    def replace(self, api_version: str, plural: str, manifest: Manifest, subresource: str = "") -> Manifest:
        """Write the whole object, at the resourceVersion in its metadata."""
        path = resource_path(api_version, plural, *_place(manifest), subresource)
        return self.request("PUT", path, {"fieldValidation": "Strict"}, manifest)

    def apply(
        self,
        api_version: str,
        plural: str,
        manifest: Manifest,
        *,
        field_manager: str = "tests",
        force: bool = False,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Manifest:
        """Server-side apply, or what it would make of the object."""
        path = resource_path(api_version, plural, *_place(manifest), subresource)
        query = {"fieldValidation": "Strict", "fieldManager": field_manager, "force": str(force).lower()}
        query["dryRun"] = "All" if dry_run else ""
        return self.request("PATCH", path, query, manifest, "application/apply-patch+yaml")

    def merge_patch(
        self,
        api_version: str,
        plural: str,
        namespace: str | None,
        name: str,
        patch: Manifest,
        subresource: str = "",
    ) -> Manifest:
        """JSON merge patch."""
        path = resource_path(api_version, plural, namespace, name, subresource)
        return self.request("PATCH", path, {"fieldValidation": "Strict"}, patch, "application/merge-patch+json")

    def delete(self, api_version: str, plural: str, namespace: str | None, name: str) -> None:
        """Delete one object."""
        self.request("DELETE", resource_path(api_version, plural, namespace, name))

    def delete_all(self, api_version: str, plural: str, namespace: str) -> None:
        """Delete every object of a namespace."""
        self._ask("DELETE", resource_path(api_version, plural, namespace), None, "application/json")

    def create_namespace(self, name: str) -> str:
        """Create a namespace and return its name."""
        return str(self.create("v1", "namespaces", {"metadata": {"name": name}})["metadata"]["name"])

    def bind(self, user: str, cluster_role: str) -> None:
        """Give a user a ClusterRole everywhere, and wait until the authorizer knows."""
        group = "rbac.authorization.k8s.io"
        binding = {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{user}-{cluster_role}"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": cluster_role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }
        self.apply(f"{group}/v1", "clusterrolebindings", binding)
        rules = self.get(f"{group}/v1", "clusterroles", None, cluster_role)["rules"]
        rule = next(it for it in rules if it.get("resources"))
        asked = {"verb": rule["verbs"][0], "group": rule["apiGroups"][0], "resource": rule["resources"][0]}
        eventually(partial(self._may, user, asked), 10, f"{user} to have the rights of {cluster_role}")

    def unbind(self, user: str, cluster_role: str) -> None:
        """Take back what `bind` gave."""
        self.delete("rbac.authorization.k8s.io/v1", "clusterrolebindings", None, f"{user}-{cluster_role}")

    def _may(self, user: str, asked: Manifest) -> bool:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {"user": user, "resourceAttributes": asked},
        }
        return bool(self.create("authorization.k8s.io/v1", "subjectaccessreviews", review)["status"]["allowed"])

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        """One request; raises ApiError for an answer that is an error."""
        address = path
        if query:
            address += "?" + urlencode({key: value for key, value in query.items() if value})
        written = None if body is None else _written(body, content_type)
        answer = self._ask(method, address, written, content_type)
        if not answer.headers.get("Content-Type", "").startswith("application/json"):
            return {"text": answer.data.decode()}
        content: Manifest = json.loads(answer.data)
        return content

    def bytes_of(
        self, path: str, body: bytes | None = None, method: str = "", content_type: str = "application/json"
    ) -> bytes:
        """What is answered to a GET, or with a body to a POST: for objects that Python cannot decode."""
        return self._ask(method or ("GET" if body is None else "POST"), path, body, content_type).data

    def _ask(self, method: str, path: str, body: bytes | None, content_type: str) -> urllib3.BaseHTTPResponse:
        # A dict of headers replaces the pool's own, so those are given again.
        headers = {**self._pool.headers, "Content-Type": content_type}
        answer = self._pool.request(method, self.url + path, body=body, headers=headers)
        if answer.status >= 400:
            raise _error(answer.status, answer.data)
        return answer


def _written(body: Manifest, content_type: str) -> bytes:
    """As the content type says. JSON is YAML but for its escapes of surrogate pairs."""
    text = yaml.safe_dump(body, width=2**20) if content_type.endswith("yaml") else json.dumps(body)
    return text.encode()


def resource_path(
    api_version: str, plural: str, namespace: str | None = None, name: str = "", subresource: str = ""
) -> str:
    """The URL path of a resource, or of a collection where there is no name."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    parts = [root, *(["namespaces", namespace] if namespace else []), plural, name, subresource]
    return "/".join(part for part in parts if part)


def install_crds(admin: Admin, path: Path) -> list[str]:
    """Apply every CustomResourceDefinition in a file or folder and wait until each is served; returns their names."""
    api_version, plural = "apiextensions.k8s.io/v1", "customresourcedefinitions"
    crds = list(_crds(path))
    if not crds:
        raise ValueError(f"{path} has no CustomResourceDefinition")
    for crd in crds:
        admin.apply(api_version, plural, crd, field_manager="install", force=True)

    names = [str(crd["metadata"]["name"]) for crd in crds]
    for name in names:
        eventually(partial(_is_served, admin, name), 30, f"{name} to be served")
    return names


def _is_served(admin: Admin, crd_name: str) -> bool:
    crd = admin.get("apiextensions.k8s.io/v1", "customresourcedefinitions", None, crd_name)
    # A new one has `conditions: null` for a moment.
    conditions = crd.get("status", {}).get("conditions") or []
    if not any(it["type"] == "Established" and it["status"] == "True" for it in conditions):
        return False
    spec = crd["spec"]
    group_version = f"{spec['group']}/{next(it['name'] for it in spec['versions'] if it['storage'])}"
    # Established comes a moment before the handler answers.
    try:
        admin.request("GET", resource_path(group_version, spec["names"]["plural"]), {"limit": "1"})
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


def eventually(probe: Callable[[], T], seconds: float = 20, what: str = "", interval: float = 0.05) -> T:
    """Call `probe` until it returns something true, and return that.

    Raises:
        TimeoutError: with the last value, if that does not happen in `seconds`; a machine with more to do than it has
            cores gets more time, in proportion.
    """
    seconds *= _crowd()
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what or 'a condition'}; last seen: {value!r}")
        time.sleep(interval)


def _crowd() -> float:
    """How many processes want each core, at least 1 and at most 6."""
    return min(max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0), 6.0)


def _crds(path: Path) -> Iterator[Manifest]:
    for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
        # KubeRay's are a megabyte each: ten seconds with the loader in Python, half a second with the one in C.
        for document in yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader):
            if document and document.get("kind") == "CustomResourceDefinition":
                yield document


def _place(manifest: Manifest) -> tuple[str | None, str]:
    return manifest["metadata"].get("namespace"), manifest["metadata"]["name"]


def _error(status: int, data: bytes) -> ApiError:
    try:
        content = json.loads(data)
        return ApiError(status, content.get("reason", ""), content.get("message", ""))
    except ValueError:
        return ApiError(status, "", data.decode(errors="replace"))
