"""How a store connects: TLS with a CA of one's own, the bucket in the host name, through a proxy."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lockstep.errors import StoreUnreachable
from lockstep.model.addresses import StoreAddress
from lockstep.objects.memory import MemoryBody
from lockstep.objects.open import open_store
from support.lanes import CAREFUL, answers

BODY = b"<ListBucketResult><Contents><Key>a</Key><Size>3</Size></Contents></ListBucketResult>"
ANSWER = (
    b'HTTP/1.1 200 OK\r\nETag: "x"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: close\r\nContent-Length: '
    + str(len(BODY)).encode()
    + b"\r\n\r\n"
    + BODY
)


class Server:
    """Gives one answer to every request and remembers the requests."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self._over = threading.Event()
        self.requests: list[bytes] = []
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            with suppress(OSError):
                connection, _ = self._listener.accept()
                connection.settimeout(5)
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                with closing(connection):
                    self.requests.append(connection.recv(65536))
                    connection.sendall(ANSWER)


@pytest.fixture
def start() -> Iterator[Callable[[ssl.SSLContext | None], Server]]:
    servers: list[Server] = []

    def begin(context: ssl.SSLContext | None) -> Server:
        servers.append(Server(context))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


def sign(
    name: str, *, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is None:
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    else:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        builder = builder.add_extension(names, critical=False).add_extension(authority, critical=False)
    return builder.sign(key if issuer is None else issuer[1], hashes.SHA256()), key


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS for 127.0.0.1, and the file of the CA that vouches for it."""
    ca = sign("a CA of our own", issuer=None)
    certificate, key = sign("127.0.0.1", issuer=ca)
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(ca[0].public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "server.pem").write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return context, tmp_path / "ca.pem"


def address(endpoint_url: str, **more: object) -> StoreAddress:
    keys = {"access_key_id": "id", "secret_access_key": "secret", "region": "us-east-1"}
    return StoreAddress("s3://bucket", endpoint_url=endpoint_url, **keys, **more)  # type: ignore[arg-type]


def test_a_ca_of_ones_own_is_trusted_on_both_roads_when_it_is_named(
    start: Callable[[ssl.SSLContext | None], Server], tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, ca = tls
    endpoint = f"https://127.0.0.1:{start(context).port}"
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    trusting = open_store(address(endpoint, ca_bundle=str(ca)))
    assert trusting.read("a").bytes() == BODY
    assert trusting.read("a//b").bytes() == BODY
    assert [found.key for page in trusting.list() for found in page] == ["a"]
    body = answers(trusting, ["a"])["a"]
    assert isinstance(body, MemoryBody)
    assert body.data == BODY
    doubting = open_store(address(endpoint))
    assert answers(doubting, ["a", "b"]) == {"a": CAREFUL, "b": CAREFUL}
    for key in ("a", "a//b"):
        with pytest.raises(StoreUnreachable, match=f"cannot reach {endpoint}: its TLS certificate is not trusted"):
            doubting.read(key)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca))
    assert open_store(address(endpoint)).read("a").bytes() == BODY


def test_the_bucket_is_in_the_path_or_in_the_host(
    start: Callable[[ssl.SSLContext | None], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy sees where each road wants to go."""
    server = start(None)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    for virtual_hosted, host in ((False, b"http://s3.example:9000/bucket"), (True, b"http://bucket.s3.example:9000")):
        store = open_store(address("http://s3.example:9000", virtual_hosted=virtual_hosted))
        server.requests.clear()
        store.read("dir/a b")
        store.read("dir//b")
        store.write("a", b"", overwrite=True)
        answers(store, ["dir/a b"])
        list(store.list("dir/"))
        sent = [request.partition(b" HTTP/1.1")[0] for request in server.requests]
        wanted = [b"GET " + host + b"/dir/a%20b", b"GET " + host + b"/dir//b", b"PUT " + host + b"/a", b"GET " + host + b"/dir/a%20b"]
        assert sent[:4] == wanted
        assert sent[4].startswith(b"GET " + host)
        assert b"list-type=2" in sent[4]
