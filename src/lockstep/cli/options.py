"""The options that several commands share, each declared once with its words of help.

The name of a parameter is the name of its option with `_` for `-` (a trailing `_` keeps a builtin free). Its environment variable,
`LOCKSTEP_<OPTION>`, and its key in `lockstep.toml` follow from that name and are not written anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lockstep.cli.file_option import use_file
from lockstep.cli.log_lines import LogFormat

DEPLOYMENT = "Deployment"
REPOSITORY = "Repository"
ENCRYPTION = "Encryption"
OUTPUT = "Output"

Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URI",
        rich_help_panel=DEPLOYMENT,
        show_default=False,
        help="The deployment's database: a libpq URI or key=value string. PG* variables, ~/.pgpass and pg_service.conf are honoured.",
    ),
]
Bucket = Annotated[
    list[str] | None,
    typer.Option(
        "--bucket",
        metavar="URL",
        rich_help_panel=DEPLOYMENT,
        show_default=False,
        help="A store of the deployment: s3://bucket\\[/prefix], gs://, az:// or file:///directory. Several: repeat it as name=URL.",
    ),
]
Raid = Annotated[
    Literal["raid0", "raid1", "raid5"] | None,
    typer.Option(
        "--raid",
        rich_help_panel=DEPLOYMENT,
        show_default=False,
        help="The stores are the nodes of one RAID of a Parsec server, named with --bucket in node order. --parsec-env knows it by itself.",
    ),
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        metavar="URL",
        rich_help_panel=DEPLOYMENT,
        show_default=False,
        help="The address of an S3-compatible service. Default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else AWS itself.",
    ),
]
CaBundle = Annotated[
    Path | None,
    typer.Option(
        "--ca-bundle",
        metavar="FILE",
        rich_help_panel=DEPLOYMENT,
        show_default=False,
        help="Certificates of the authority that the service's certificate is checked against. Default: AWS_CA_BUNDLE.",
    ),
]
VirtualHosted = Annotated[
    bool,
    typer.Option(
        "--virtual-hosted",
        rich_help_panel=DEPLOYMENT,
        help="Put the bucket into the host name instead of the path.",
    ),
]
ParsecEnv = Annotated[
    list[Path] | None,
    typer.Option(
        "--parsec-env",
        metavar="FILE",
        rich_help_panel=DEPLOYMENT,
        show_default=False,
        help="Take database and stores from an env file of a Parsec server (PARSEC_DB, PARSEC_BLOCKSTORE), in place of --database, "
        "--bucket and --endpoint-url. Repeatable.",
    ),
]
App = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="NAME|FILE.toml",
        rich_help_panel=DEPLOYMENT,
        show_default=False,
        help="The profile that says which objects the metadata references: parsec (default where its schema is found), bucket (every "
        "object in the bucket), or a profile file.",
    ),
]
ClientPrograms = Annotated[
    Path | None,
    typer.Option(
        "--client-programs",
        metavar="DIR",
        rich_help_panel=DEPLOYMENT,
        show_default=False,
        help="The directory that holds pg_dump, pg_restore and psql. Default: those that fit the server, wherever they are.",
    ),
]
Repo = Annotated[
    str | None,
    typer.Option(
        "--repo",
        metavar="PATH|URL",
        rich_help_panel=REPOSITORY,
        show_default=False,
        help="The repository: a directory, or s3://, gs://, az://. Access of its own: LOCKSTEP_REPO_ENDPOINT_URL, _ACCESS_KEY_ID, "
        "_SECRET_ACCESS_KEY, _REGION, or \\[repository] in the file.",
    ),
]
Identity = Annotated[
    list[Path] | None,
    typer.Option(
        "--identity",
        metavar="FILE",
        rich_help_panel=ENCRYPTION,
        show_default=False,
        help="A file with the secret key that reads what is encrypted: an identity of age, or an SSH private key. Repeatable.",
    ),
]
IdentityCommand = Annotated[
    str | None,
    typer.Option(
        "--identity-command",
        metavar="COMMAND",
        rich_help_panel=ENCRYPTION,
        show_default=False,
        help="A command that writes an identity to its standard output, in place of a file. It is run when one is needed.",
    ),
]
Recipient = Annotated[
    list[str] | None,
    typer.Option(
        "--recipient",
        metavar="KEY|FILE",
        rich_help_panel=ENCRYPTION,
        show_default=False,
        help="Encrypt the dump and the list of what is missing to a public key: age1…, ssh-ed25519 … or ssh-rsa …, or a file with one on "
        "each line. Repeatable: each of them can read all.",
    ),
]
EncryptObjects = Annotated[
    bool,
    typer.Option("--encrypt-objects", rich_help_panel=ENCRYPTION, help="Encrypt the objects too."),
]
AllowPlain = Annotated[
    bool,
    typer.Option(
        "--allow-plain",
        rich_help_panel=ENCRYPTION,
        help="Write plain files also where the newest snapshot has them encrypted; without it that is refused.",
    ),
]
SignWith = Annotated[
    Path | None,
    typer.Option(
        "--sign-with",
        metavar="FILE",
        rich_help_panel=ENCRYPTION,
        show_default=False,
        help="Sign what is written with the Ed25519 key in this file, as 'lockstep key generate --signing' makes it.",
    ),
]
AllowUnsigned = Annotated[
    bool,
    typer.Option(
        "--allow-unsigned",
        rich_help_panel=ENCRYPTION,
        help="Write without a signature where the newest snapshot is signed, or sign behind one that is not; without it that is refused.",
    ),
]
VerifyKey = Annotated[
    list[str] | None,
    typer.Option(
        "--verify-key",
        metavar="KEY|FILE",
        rich_help_panel=ENCRYPTION,
        show_default=False,
        help="Refuse what is not signed with the secret half of this Ed25519 key: its line, or a file with it. Repeatable: one of them.",
    ),
]
LockFor = Annotated[
    str | None,
    typer.Option(
        "--lock-for",
        metavar="TIME",
        rich_help_panel=REPOSITORY,
        show_default=False,
        help="Lock what a snapshot needs in the repository's bucket (S3 Object Lock), so that nobody can delete it for so long at least: "
        "30d, 12h, 6m. none: lock nothing where it was locked so far.",
    ),
]
LockMode = Annotated[
    str | None,
    typer.Option(
        "--lock-mode",
        metavar="governance|compliance",
        rich_help_panel=REPOSITORY,
        show_default=False,
        help="Whether somebody with a right of his own may end such a lock early, or nobody at all. Default: governance.",
    ),
]
StorageClass = Annotated[
    str | None,
    typer.Option(
        "--storage-class",
        metavar="NAME",
        rich_help_panel=REPOSITORY,
        show_default=False,
        help="The class of S3 in which objects lie in the repository, such as STANDARD_IA. Default: the bucket's own.",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=OUTPUT, help="Write the result, or the error, as one JSON object to standard output."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", rich_help_panel=OUTPUT, help="Show warnings and errors only."),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", rich_help_panel=OUTPUT, help="Show more, and where an internal error came from. Wins over --quiet."),
]
LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option(
        "--log-format",
        rich_help_panel=OUTPUT,
        show_default=False,
        help="Write progress as log lines of this form. Default: live bars on a terminal, else text.",
    ),
]
NoColor = Annotated[
    bool,
    typer.Option("--no-color", rich_help_panel=OUTPUT, help="Use no colours. NO_COLOR does the same."),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        show_default=False,
        is_eager=True,
        callback=use_file,
        help="The configuration file. Default: ./lockstep.toml, else $XDG_CONFIG_HOME/lockstep/lockstep.toml, else "
        "/etc/lockstep/lockstep.toml.",
    ),
]

OUTPUT_OPTIONS: Mapping[str, Any] = {
    "json_": Json,
    "quiet": Quiet,
    "verbose": Verbose,
    "log_format": LogFormatOption,
    "no_color": NoColor,
    "config": Config,
}
_ACCESS_OPTIONS: Mapping[str, Any] = {
    "endpoint_url": EndpointUrl,
    "ca_bundle": CaBundle,
    "virtual_hosted": VirtualHosted,
    "parsec_env": ParsecEnv,
}
DEPLOYMENT_OPTIONS: Mapping[str, Any] = {
    "database": Database,
    "bucket": Bucket,
    "raid": Raid,
    **_ACCESS_OPTIONS,
    "app": App,
    "client_programs": ClientPrograms,
}
# How the deployment's S3 is reached is how the repository's is, unless it has an access of its own.
REPOSITORY_OPTIONS: Mapping[str, Any] = {
    "repo": Repo,
    **_ACCESS_OPTIONS,
    "identity": Identity,
    "identity_command": IdentityCommand,
    "verify_key": VerifyKey,
}
ENCRYPTION_OPTIONS: Mapping[str, Any] = {"recipient": Recipient, "encrypt_objects": EncryptObjects, "allow_plain": AllowPlain}
KEEPING_OPTIONS: Mapping[str, Any] = {"lock_for": LockFor, "lock_mode": LockMode, "storage_class": StorageClass}
SIGNING_OPTIONS: Mapping[str, Any] = {"sign_with": SignWith, "allow_unsigned": AllowUnsigned}
