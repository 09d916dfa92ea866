"""A proxy that lets through what an IAM policy allows: the statements of a page of ours are held against what lockstep really asks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.s3_proxy import Answer, S3Proxy

_DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"

# What a query of a request asks for. Source: Amazon S3 user guide, "Required permissions for Amazon S3 API operations".
_OF_BUCKETS = {
    "object-lock": "s3:GetBucketObjectLockConfiguration",
    "versioning": "s3:GetBucketVersioning",
    "versions": "s3:ListBucketVersions",
    "lifecycle": "s3:GetLifecycleConfiguration",
}


def policy_on_page(page: Path) -> Any:
    """The first block of JSON of a page."""
    found = re.search(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert found is not None
    return json.loads(found[1])


class PolicyProxy(S3Proxy):
    """The store, for an account with a policy; `denied` has what was refused. Conditions are not looked at."""

    def __init__(self, endpoint_url: str, policy: Any, *, names: Mapping[str, str]) -> None:
        super().__init__(endpoint_url)
        text = json.dumps(policy)
        for before, after in names.items():
            text = text.replace(before, after)
        self._statements = [each for each in json.loads(text)["Statement"] if "Condition" not in each]
        self.denied: list[tuple[str, str]] = []

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        asked = actions_of(method, unquote(parts.path).lstrip("/"), parse_qs(parts.query, keep_blank_values=True), headers, body)
        refused = [each for each in asked if not self._allows(*each)]
        if not refused:
            return super().ask(method, target, headers, body)
        self.denied += refused
        if method == "POST" and "delete" in parts.query:
            bucket = parts.path.strip("/")
            errors = "".join(
                f"<Error><Key>{key.removeprefix(f'{bucket}/')}</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
                for _, key in refused
            )
            return Answer(200, {"Content-Type": "application/xml"}, f"<DeleteResult>{errors}</DeleteResult>".encode())
        return Answer(403, {"Content-Type": "application/xml"}, b"" if method == "HEAD" else _DENIED.encode())

    def _allows(self, action: str, place: str) -> bool:
        arn = f"arn:aws:s3:::{place}"
        meant = [each for each in self._statements if _matches(each["Action"], action) and _matches(each["Resource"], arn)]
        return bool(meant) and all(each["Effect"] == "Allow" for each in meant)


def actions_of(method: str, path: str, query: Mapping[str, Any], headers: Mapping[str, str], body: bytes) -> list[tuple[str, str]]:
    """The rights that a request needs, each with the bucket, or bucket and key, on which it needs it."""
    bucket, _, key = path.partition("/")
    if method == "POST" and "delete" in query:
        keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
        return [("s3:DeleteObjectVersion" if b"<VersionId>" in body else "s3:DeleteObject", f"{bucket}/{each}") for each in keys]
    if not key:
        named = next((action for name, action in _OF_BUCKETS.items() if name in query), None)
        return [(named or ("s3:ListBucket" if method in {"GET", "HEAD"} else "s3:PutBucketPolicy"), bucket)]
    version = "Version" if "versionId" in query else ""
    if "retention" in query:
        return [(f"s3:{method.capitalize()}ObjectRetention", path)]
    if method in {"GET", "HEAD"}:
        return [(f"s3:GetObject{version}", path)]
    if method == "DELETE":
        return [("s3:AbortMultipartUpload" if "uploadId" in query else f"s3:DeleteObject{version}", path)]
    locked = any(name.lower() == "x-amz-object-lock-mode" for name in headers)
    return [("s3:PutObject", path), *([("s3:PutObjectRetention", path)] if locked else [])]


def _matches(patterns: str | list[str], text: str) -> bool:
    return any(fnmatchcase(text, each) for each in ([patterns] if isinstance(patterns, str) else patterns))
