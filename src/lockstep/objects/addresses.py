"""The URL of a store and the settings of an S3 service, read and checked before anything is sent."""

from __future__ import annotations

import configparser
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from lockstep.errors import ConfigurationError
from lockstep.model.addresses import StoreAddress
from lockstep.objects.failures import Place
from lockstep.objects.keys import has_control_character

DEFAULT_REGION = "us-east-1"
_SCHEMES: dict[str, Literal["s3", "gs", "az"]] = {"s3": "s3", "gs": "gs", "az": "az"}
_FORMS = "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///directory"


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """`prefix` stands before every key; it is empty or ends in a slash."""

    scheme: Literal["s3", "gs", "az"]
    bucket: str
    prefix: str

    def __str__(self) -> str:
        """As it is shown to a person."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where an S3 service is and how to speak to it. `certificates` is the text of the CA bundle, `ca_bundle` its file."""

    url: BucketUrl
    endpoint_url: str
    region: str
    virtual_hosted: bool = False
    ca_bundle: str | None = None
    certificates: str | None = None

    @property
    def place(self) -> Place:
        """What messages say of it."""
        return Place(str(self.url), self.url.bucket, self.endpoint_url)

    @property
    def bucket_endpoint(self) -> str:
        """The endpoint with the bucket in its host name, where requests go in the virtual-hosted style."""
        scheme, _, rest = self.endpoint_url.partition("://")
        return f"{scheme}://{self.url.bucket}.{rest}" if self.virtual_hosted else self.endpoint_url

    @property
    def is_amazon(self) -> bool:
        """True for AWS itself, whose behaviour needs no trying out."""
        host = urlsplit(self.endpoint_url).hostname or ""
        return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def parse_url(url: str) -> BucketUrl | Path:
    """The bucket, or the directory of a `file://` URL. Raises ConfigurationError.

    Of a bucket's URL everything after the bucket is the prefix as it is, without percent-decoding, as `aws s3` has it.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or has_control_character(url):
        raise ConfigurationError(f"{url!r} is not the URL of a store", hint=f"Write {_FORMS}.")
    if scheme == "file":
        return _directory(url, rest)
    bucket, _, prefix = rest.partition("/")
    kind = _SCHEMES.get(scheme)
    if kind is None:
        raise ConfigurationError(f"stores of the kind {scheme!r} are not supported", hint=f"Write {_FORMS}.")
    if not bucket or "@" in bucket or ":" in bucket or "?" in bucket:
        raise ConfigurationError(
            f"the URL {scheme}://… does not name a bucket", hint=f"Write {scheme}://bucket or {scheme}://bucket/prefix."
        )
    prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    return BucketUrl(kind, bucket, prefix)


def read_s3_settings(url: BucketUrl, address: StoreAddress, *, environ: Mapping[str, str] | None = None) -> S3Settings:
    """The settings of the service: what the address says, else the standard variables, else `~/.aws/config`, else AWS in us-east-1.

    Reads the CA bundle. Raises ConfigurationError.
    Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints", "AWS Region".
    """
    environ = os.environ if environ is None else environ
    profile = _read_profile(environ) if address.region is None or address.endpoint_url is None else {}
    region = address.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or profile.get("region") or DEFAULT_REGION
    endpoint = address.endpoint_url or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    ca_bundle = address.ca_bundle or environ.get("AWS_CA_BUNDLE") or None
    return S3Settings(
        url=url,
        endpoint_url=check_endpoint(endpoint) if endpoint else f"https://s3.{region}.{suffix}",
        region=region,
        virtual_hosted=address.virtual_hosted,
        ca_bundle=ca_bundle,
        certificates=read_certificates(ca_bundle) if ca_bundle else None,
    )


def _directory(url: str, rest: str) -> Path:
    host, slash, path = rest.partition("/")
    if not slash or host not in ("", "localhost"):
        raise ConfigurationError(f"{url!r} does not name a directory", hint="Write file:/// and the absolute path, three slashes in all.")
    return Path("/" + unquote(path))


def check_endpoint(endpoint: str) -> str:
    """The endpoint as a URL without a slash at its end; https where no scheme is written. Raises ConfigurationError."""
    text = endpoint.strip() if "://" in endpoint else f"https://{endpoint.strip()}"
    try:
        parts = urlsplit(text)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    hint = "Write http:// or https://, the host and the port."
    if wrong or has_control_character(text) or " " in text:
        raise ConfigurationError("the endpoint of the store is not an http:// or https:// URL", hint=hint)
    if parts.username is not None or parts.query or parts.fragment:  # may hold a secret, so it is not shown
        raise ConfigurationError(f"the endpoint at {parts.hostname} holds more than a host, a port and a path", hint=hint)
    return text.rstrip("/")


def _read_profile(environ: Mapping[str, str]) -> dict[str, str]:
    name = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    file = Path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{file} cannot be read as an AWS configuration", hint="Mend the file, or set AWS_CONFIG_FILE.") from error
    for section in (f"profile {name}", name):
        if parser.has_section(section):
            return dict(parser.items(section))
    return {}


def read_certificates(file: str) -> str:
    """The text of a CA bundle. Raises ConfigurationError when it cannot be read or holds no certificates."""
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigurationError(
            f"the CA bundle {file} cannot be read ({error.strerror})", hint="Check the path and its permissions."
        ) from error
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(f"the CA bundle {file} holds no PEM certificates", hint="Name a file of PEM certificates.") from error
    return text
