"""The boto3 client of an S3 service: patient in no way of its own, following no redirect, and handing listings over as they came."""

from __future__ import annotations

from typing import Any

from botocore import handlers
from botocore.config import Config

from lockstep.objects.addresses import S3Settings
from lockstep.objects.credentials import Credentials
from lockstep.objects.limits import HTTP

PAGE = "lockstep_page"
"""Under which name an answer holds the XML of a page."""


def connect(settings: S3Settings, credentials: Credentials, *, silent_seconds: int) -> Any:
    """A boto3 client for the service; a request that stays silent for so long has failed. Nothing is sent."""
    config = Config(
        connect_timeout=HTTP.connect_timeout_seconds,
        read_timeout=silent_seconds,
        max_pool_connections=HTTP.idle_connections,
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",  # services that are not AWS often refuse the newer checksums
        response_checksum_validation="when_required",
        s3={"addressing_style": "virtual" if settings.virtual_hosted else "path"},
    )
    client = credentials.boto_session().client(
        "s3", endpoint_url=settings.endpoint_url, region_name=settings.region, verify=settings.ca_bundle, config=config
    )
    client.meta.events.register("before-parse.s3.ListObjectsV2", _take_page)
    _parse_pages_once(client.meta.events)
    client.meta.events.register_last("before-parameter-build.s3", _follow_no_redirect)
    return client


def _follow_no_redirect(context: dict[str, Any], **_: object) -> None:
    """Let a bucket in another region be an error, as with obstore; boto3 would look for the region, at some services without end."""
    context.get("s3_redirect", {})["redirected"] = True


def _parse_pages_once(events: Any) -> None:
    """Keep boto3 from parsing each page only to see whether it is an error in an answer that says 200: whoever reads a page sees that."""
    look_for_errors = getattr(handlers, "_handle_200_error", None)
    if look_for_errors is None:  # a botocore that does not look, or does so elsewhere
        return

    def look_elsewhere(operation_model: Any, response_dict: dict[str, Any], **more: object) -> None:
        if operation_model.name != "ListObjectsV2":
            look_for_errors(operation_model=operation_model, response_dict=response_dict, **more)

    events.unregister("before-parse.s3.*", look_for_errors)
    events.register_first("before-parse.s3.*", look_elsewhere)


def _take_page(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Hand the XML of a page over as it is, and let boto3 parse an empty one."""
    if response_dict["status_code"] == 200:
        customized_response_dict[PAGE] = response_dict["body"]
        response_dict["body"] = b"<ListBucketResult/>"
