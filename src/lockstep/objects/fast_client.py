"""The obstore client of an S3 bucket, with everything said that obstore would otherwise read from the environment."""

from __future__ import annotations

from typing import Any

from obstore.store import S3Store

from lockstep.errors import ConfigurationError
from lockstep.objects.addresses import S3Settings
from lockstep.objects.credentials import Credentials
from lockstep.objects.fast_road import FAILURES, client_options


def connect(settings: S3Settings, credentials: Credentials, *, silent_seconds: int) -> Any:
    """An obstore client for the bucket; a request that stays silent for so long has failed. Nothing is sent.

    obstore reads the environment by itself, so everything that could change where a request goes, who signs it and whether is said here.
    """
    config: Any = {
        "endpoint": settings.bucket_endpoint,
        "aws_endpoint_url_s3": settings.bucket_endpoint,  # else AWS_ENDPOINT_URL_S3 of the environment wins over `endpoint`
        "region": settings.region,
        "virtual_hosted_style_request": settings.virtual_hosted,
        "skip_signature": False,
        "s3_express": False,
        "request_payer": False,
        "unsigned_payload": False,
        "conditional_put": "etag",
        "disable_tagging": True,
    }
    try:
        return S3Store(
            settings.url.bucket,
            config=config,
            client_options=client_options(certificates=settings.certificates, silent_seconds=silent_seconds),  # type: ignore[arg-type]
            retry_config={"max_retries": 0},  # retries are ours, and counted
            credential_provider=credentials.for_obstore(),
        )
    except FAILURES as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"the settings of {settings.url} are not usable: {reason}", hint="Check the endpoint and the bucket."
        ) from error
