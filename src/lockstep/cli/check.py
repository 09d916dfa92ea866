"""`lockstep check`: options, the operation, the report."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from lockstep.cli.composition import Session
from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.redaction import Redactor
from lockstep.cli.screen import Result, is_terminal
from lockstep.cli.transfer_options import TempDir
from lockstep.cli.wiring import open_repository_store, open_stores
from lockstep.config.deployment import DeploymentSettings
from lockstep.config.encryption import EncryptionSettings, SigningSettings
from lockstep.config.keeping import KeepingSettings
from lockstep.config.repository import RepositorySettings
from lockstep.model.addresses import StoreAddress
from lockstep.model.checkup import Answer, Checkup
from lockstep.objects.store import ObjectStore
from lockstep.operations.check import CheckSubject, check
from lockstep.report import check as report

Probe = Annotated[
    bool,
    typer.Option(
        "--probe",
        help="Also try out what the repository's service or disk really does, below a prefix that goes again; the deployment's bucket is "
        "only read.",
    ),
]


def run_check(
    session: Session,
    deployment: DeploymentSettings,
    repository: RepositorySettings,
    encryption: EncryptionSettings,
    signing: SigningSettings,
    keeping: KeepingSettings,  # noqa: ARG001 - the address has them
    *,
    temp_dir: TempDir = None,
    probe: Probe = False,
) -> Result:
    """Test every precondition of a backup and a restore."""

    def open_store(address: StoreAddress) -> ObjectStore:
        return open_stores(replace(deployment, stores=(address,), raid=None))[address.name]

    database, stores = deployment.needed()
    subject = CheckSubject(
        database,
        stores,
        repository.address,
        app=deployment.app,
        temporary=temp_dir,
        probe=probe,
        open_store=open_store,
        open_repository=lambda _: open_repository_store(repository, encryption, signing),
    )
    checkup = check(subject, listener=session.listener)
    # Answers are made of error messages, which are redacted wherever else they are shown.
    checkup = _redacted(checkup, session.screen.redactor)
    colour = session.output.colour and is_terminal(sys.stdout)
    return Result(report.as_document(checkup), report.as_text(checkup, colour=colour), ExitStatus.DONE if checkup.ok else ExitStatus.FAILED)


def _redacted(checkup: Checkup, redactor: Redactor) -> Checkup:
    def safe(answer: Answer) -> Answer:
        return replace(answer, detail=redactor.redact(answer.detail), hint=answer.hint and redactor.redact(answer.hint))

    return Checkup(tuple(replace(each, answer=safe(each.answer)) for each in checkup.checks))
