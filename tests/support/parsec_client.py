"""A client of a running Parsec server: fills it over HTTP, as the desktop client does, and reads everything back.

A program for the Python of the server's own environment (`parsec_environment.py`); no test imports it:

    python parsec_client.py populate|add|go-on STATE URL BLOCKS        (the administration token in PARSEC_ADMINISTRATION_TOKEN)

STATE is a JSON file of what was made: the devices' keys, and the checksum of every block and of every version of every vlob.
`populate` makes the organizations, users, workspaces and vlobs, and the first BLOCKS blocks; `add` makes BLOCKS more, and another
version of one vlob in each workspace; `go-on` does so and then reads everything there is. Any answer that is not the right one ends it
with an error.

Source: https://docs.parsec.cloud/en/latest/hosting/administration.html, and the bindings that the package publishes.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import importlib
import json
import os
import random
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ORGANIZATIONS = ("CoolOrg", "Société_été")  # the keys of the second one's objects are not ASCII
REALMS = 3
VLOBS = 6
BLOCK_BYTES = (1, 6000)

# Installed only in the server's own environment, hence not imported in the way that type checkers follow.
parsec: Any = importlib.import_module("parsec._parsec")

_RPC = {"Api-Version": str(parsec.ApiVersion.API_LATEST_VERSION), "Content-Type": "application/msgpack"}


@dataclass
class Account:
    """A user's device. All three in hexadecimal."""

    user: str
    device: str
    signing_key: str


@dataclass
class Organization:
    """What was made in one organization: `blocks` has realm, checksum and size, `vlobs` realm and the checksum of each version."""

    name: str
    admin: Account
    guest: Account
    realms: list[str] = field(default_factory=list)
    blocks: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    vlobs: dict[str, tuple[str, list[str]]] = field(default_factory=dict)


class Server:
    """The server's HTTP API, over one connection."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)

    def create_organization(self, name: str) -> Any:
        """Create it by the administration API; returns the token to bootstrap it with."""
        headers = {"Authorization": f"Bearer {os.environ['PARSEC_ADMINISTRATION_TOKEN']}", "Content-Type": "application/json"}
        answer = json.loads(self._post("/administration/organizations", json.dumps({"organization_id": name}).encode(), headers))
        return parsec.ParsecOrganizationBootstrapAddr.from_url(answer["bootstrap_url"]).token

    def bootstrap(self, name: str, **arguments: Any) -> None:
        """Make the first user and device of an organization."""
        command = parsec.anonymous_cmds.latest.organization_bootstrap
        _expect(command, self._post(f"/anonymous/{quote(name)}", command.Req(**arguments).dump(), _RPC))

    def ask(self, organization: str, account: Account, command_name: str, **arguments: Any) -> Any:
        """Send a command as that device. Returns the answer, which must be the good one."""
        command = getattr(parsec.authenticated_cmds.latest, command_name)
        claim = f"PARSEC-SIGN-ED25519.{account.device}.{int(parsec.DateTime.now().as_timestamp_seconds())}"
        signature = base64.urlsafe_b64encode(_signing_key(account).sign_only_signature(claim.encode())).decode()
        headers = {**_RPC, "Authorization": f"Bearer {claim}.{signature}"}
        return _expect(command, self._post(f"/authenticated/{quote(organization)}", command.Req(**arguments).dump(), headers))

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        self._connection.request("POST", path, body=body, headers=headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} was answered {answer.status}: {content[:500]!r}")
        return content


def populate(server: Server) -> list[Organization]:
    """Organizations, two users in each, workspaces that both may write to, and vlobs in them."""
    organizations = []
    for name in ORGANIZATIONS:
        admin = _bootstrap(server, name)
        organization = Organization(name, admin, _create_guest(server, name, admin))
        for _ in range(REALMS):
            organization.realms.append(_create_realm(server, organization))
            for _ in range(VLOBS):
                _write_vlob(server, organization, organization.realms[-1], parsec.VlobID.new().hex)
        _settle(server, organization)
        organizations.append(organization)
    return organizations


def add(server: Server, organizations: list[Organization], block_count: int) -> None:
    """Blocks by both users in all the workspaces, and another version of one vlob in each."""
    places = [(organization, realm) for organization in organizations for realm in organization.realms]
    for number in range(block_count):
        organization, realm = places[number % len(places)]
        author = organization.guest if number // len(places) % 2 else organization.admin
        block, content = parsec.BlockID.new(), random.randbytes(random.randint(*BLOCK_BYTES))
        server.ask(
            organization.name, author, "block_create", block_id=block, realm_id=parsec.VlobID.from_hex(realm), key_index=1, block=content
        )
        organization.blocks[block.hex] = (realm, _sha256(content), len(content))
    for organization, realm in places:
        _write_vlob(server, organization, realm, next(vlob for vlob, (home, _) in organization.vlobs.items() if home == realm))


def read(server: Server, organizations: list[Organization]) -> None:
    """Read every block and every version of every vlob, and hold it against its checksum."""
    for organization in organizations:
        for block, (realm, checksum, size) in organization.blocks.items():
            ids = {"block_id": parsec.BlockID.from_hex(block), "realm_id": parsec.VlobID.from_hex(realm)}
            content = server.ask(organization.name, organization.guest, "block_read", **ids).block
            if (_sha256(content), len(content)) != (checksum, size):
                raise SystemExit(f"block {block} of {organization.name} has other bytes")
        for vlob, (realm, checksums) in organization.vlobs.items():
            wanted = [(parsec.VlobID.from_hex(vlob), version) for version in range(1, len(checksums) + 1)]
            items = server.ask(
                organization.name, organization.admin, "vlob_read_versions", realm_id=parsec.VlobID.from_hex(realm), items=wanted
            ).items
            if [_sha256(content) for *_, content in sorted(items, key=lambda item: int(item[3]))] != checksums:
                raise SystemExit(f"vlob {vlob} of {organization.name} has other versions")


def _bootstrap(server: Server, name: str) -> Account:
    root, bootstrap_token = parsec.SigningKey.generate(), server.create_organization(name)
    account, certificates = _certify(None, root, name=f"Amélie of {name}", profile=parsec.UserProfile.ADMIN)
    arguments = {"bootstrap_token": bootstrap_token, "root_verify_key": root.verify_key, "sequester_authority_certificate": None}
    server.bootstrap(name, **arguments, **certificates)
    return account


def _create_guest(server: Server, organization: str, admin: Account) -> Account:
    account, certificates = _certify(admin, _signing_key(admin), name="Bob", profile=parsec.UserProfile.STANDARD)
    server.ask(organization, admin, "user_create", **certificates)
    return account


def _certify(author: Account | None, author_key: Any, *, name: str, profile: Any) -> tuple[Account, dict[str, bytes]]:
    """A new user with a device, and the certificates that introduce both, named as the commands want them."""
    user, device, signing_key = parsec.UserID.new(), parsec.DeviceID.new(), parsec.SigningKey.generate()
    common = {"author": parsec.DeviceID.from_hex(author.device) if author else None, "timestamp": parsec.DateTime.now(), "user_id": user}
    of_user = {
        "public_key": parsec.PrivateKey.generate().public_key,
        "algorithm": parsec.PrivateKeyAlgorithm.X25519_XSALSA20_POLY1305,
        "profile": profile,
    }
    of_device = {
        "purpose": parsec.DevicePurpose.STANDARD,
        "device_id": device,
        "verify_key": signing_key.verify_key,
        "algorithm": parsec.SigningKeyAlgorithm.ED25519,
    }
    handle = parsec.HumanHandle(parsec.EmailAddress(f"{user.hex}@example.com"), name)
    certificates = {
        "user_certificate": parsec.UserCertificate(**common, **of_user, human_handle=handle),
        "redacted_user_certificate": parsec.UserCertificate(**common, **of_user, human_handle=None),
        "device_certificate": parsec.DeviceCertificate(**common, **of_device, device_label=parsec.DeviceLabel("Her tablet")),
        "redacted_device_certificate": parsec.DeviceCertificate(**common, **of_device, device_label=None),
    }
    account = Account(user.hex, device.hex, signing_key.encode().hex())
    return account, {name: certificate.dump_and_sign(author_key) for name, certificate in certificates.items()}


def _create_realm(server: Server, organization: Organization) -> str:
    """A workspace of the administrator's with its first key, shared with the guest, and named."""
    admin, key, realm = organization.admin, _signing_key(organization.admin), parsec.VlobID.new()

    def signed(kind: str, **facts: Any) -> bytes:
        author = parsec.DeviceID.from_hex(admin.device)
        certificate = getattr(parsec, kind)(author=author, timestamp=parsec.DateTime.now(), realm_id=realm, **facts)
        return bytes(certificate.dump_and_sign(key))

    owner, guest = parsec.UserID.from_hex(admin.user), parsec.UserID.from_hex(organization.guest.user)
    ownership = signed("RealmRoleCertificate", user_id=owner, role=parsec.RealmRole.OWNER)
    server.ask(organization.name, admin, "realm_create", realm_role_certificate=ownership)
    rotation = signed(
        "RealmKeyRotationCertificate",
        key_index=1,
        encryption_algorithm=parsec.SecretKeyAlgorithm.BLAKE2B_XSALSA20_POLY1305,
        hash_algorithm=parsec.HashAlgorithm.SHA256,
        key_canary=random.randbytes(40),
    )
    server.ask(
        organization.name,
        admin,
        "realm_rotate_key",
        realm_key_rotation_certificate=rotation,
        per_participant_keys_bundle_access={owner: random.randbytes(60)},
        per_sequester_service_keys_bundle_access=None,
        keys_bundle=random.randbytes(200),
    )
    share = signed("RealmRoleCertificate", user_id=guest, role=parsec.RealmRole.CONTRIBUTOR)
    access = random.randbytes(60)
    server.ask(organization.name, admin, "realm_share", realm_role_certificate=share, recipient_keys_bundle_access=access, key_index=1)
    title = signed("RealmNameCertificate", key_index=1, encrypted_name=random.randbytes(30))
    server.ask(organization.name, admin, "realm_rename", realm_name_certificate=title, initial_name_or_fail=True)
    return str(realm.hex)


def _settle(server: Server, organization: Organization) -> None:
    """What else an organization has after a while: an invitation, another profile, an archived workspace, a one-time password."""
    admin, guest = organization.admin, organization.guest
    invited = parsec.EmailAddress("zoe@example.com")
    server.ask(organization.name, admin, "invite_new_user", claimer_email=invited, send_email=False)
    signed = {"author": parsec.DeviceID.from_hex(admin.device), "timestamp": parsec.DateTime.now()}
    update = parsec.UserUpdateCertificate(**signed, user_id=parsec.UserID.from_hex(guest.user), new_profile=parsec.UserProfile.ADMIN)
    server.ask(organization.name, admin, "user_update", user_update_certificate=update.dump_and_sign(_signing_key(admin)))
    realm = parsec.VlobID.from_hex(_create_realm(server, organization))
    signed["timestamp"] = parsec.DateTime.now()
    archiving = parsec.RealmArchivingCertificate(**signed, realm_id=realm, configuration=parsec.RealmArchivingConfiguration.ARCHIVED)
    server.ask(organization.name, admin, "realm_update_archiving", archiving_certificate=archiving.dump_and_sign(_signing_key(admin)))
    server.ask(organization.name, guest, "totp_create_opaque_key")


def _write_vlob(server: Server, organization: Organization, realm: str, vlob: str) -> None:
    """The vlob's next version; the first one if there is none."""
    _, checksums = organization.vlobs.setdefault(vlob, (realm, []))
    content = random.randbytes(random.randint(20, 400))
    arguments: dict[str, Any] = {
        "realm_id": parsec.VlobID.from_hex(realm),
        "vlob_id": parsec.VlobID.from_hex(vlob),
        "key_index": 1,
        "timestamp": parsec.DateTime.now(),
        "blob": content,
    }
    if checksums:
        server.ask(organization.name, organization.admin, "vlob_update", version=len(checksums) + 1, **arguments)
    else:
        server.ask(organization.name, organization.admin, "vlob_create", **arguments)
    checksums.append(_sha256(content))


def _expect(command: Any, answer: bytes) -> Any:
    reply = command.Rep.load(answer)
    if not isinstance(reply, command.RepOk):
        raise SystemExit(f"{command.__name__} was answered {reply!r}")
    return reply


def _signing_key(account: Account) -> Any:
    return parsec.SigningKey(bytes.fromhex(account.signing_key))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _load(state: Path) -> list[Organization]:
    made = json.loads(state.read_text(encoding="utf-8"))
    return [Organization(**{**one, "admin": Account(**one["admin"]), "guest": Account(**one["guest"])}) for one in made]


def main(action: str, state: Path, url: str, block_count: int) -> None:
    """Do one of the three, and keep what was made."""
    server = Server(url)
    organizations = populate(server) if action == "populate" else _load(state)
    add(server, organizations, block_count)
    state.write_text(json.dumps([asdict(organization) for organization in organizations]), encoding="utf-8")
    if action == "go-on":
        read(server, organizations)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
