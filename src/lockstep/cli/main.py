"""Runs the command line from its arguments to its exit status.

To add a command, write a function in a file of its own and put it into `COMMANDS`:

    # cli/list.py
    def list_snapshots(session: Session, repository: RepositorySettings, *, tag: Tag = None) -> Result:
        \"\"\"List the snapshots of a repository.\"\"\"
        found = operations.list_snapshots(open_repository(repository), tag=tag, progress=session.listener)
        return Result(document=as_document(found), text=as_table(found))

    # cli/main.py
    CommandPlace("list", "lockstep.cli.list:list_snapshots", "List the snapshots of a repository."),

- The types `Session`, `DeploymentSettings` and `RepositorySettings` bring their options along; the output options come always.
  Parameters that are neither are options (or, with `typer.Argument`, arguments) of the command's own. A parameter `jobs` is `--jobs`,
  `LOCKSTEP_JOBS` and `jobs` in the file: nothing of that is written. A trailing `_` (`format_`) keeps a builtin free; then the option
  is named by hand (`typer.Option("--format")`).
- The function returns a `Result`, never prints, and raises `LockstepError`s. Findings are `status=ExitStatus.FINDINGS`.
- The first line of its docstring is the summary in `COMMANDS`. Its module may import what it likes: it is imported when it is called.
- Questions to the person: `lockstep.cli.questions.confirm`.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import NoReturn

import typer

from lockstep.cli.command_tree import CommandPlace, LazyGroup, command_tree, known_options
from lockstep.cli.exit_codes import SIGNAL_BASE, ExitStatus, exit_status
from lockstep.cli.file_option import Invocation
from lockstep.cli.garbage import GARBAGE
from lockstep.cli.redaction import Redactor, redacted_stderr
from lockstep.cli.screen import OutputOptions, Screen, StandardOutputFailed
from lockstep.cli.stop_signals import stop_signals
from lockstep.config.secret_values import secrets_of_arguments, secrets_of_environment
from lockstep.errors import Cancelled, LockstepError

COMMANDS: Sequence[CommandPlace] = (
    CommandPlace("check", "lockstep.cli.check:run_check", "Test every precondition of a backup and a restore."),
    CommandPlace("backup", "lockstep.cli.backup:run_backup", "Record the deployment as it is now, as one new snapshot in the repository."),
    CommandPlace("list", "lockstep.cli.list:run_list", "List the snapshots of a repository."),
    CommandPlace("show", "lockstep.cli.show:run_show", "Show a snapshot, what it references and what it lacks."),
    CommandPlace("restore", "lockstep.cli.restore:run_restore", "Bring a snapshot back: objects first, the database last."),
    CommandPlace(
        "audit",
        "lockstep.cli.audit:run_audit",
        "Compare the live database with the live bucket: what is missing, of another size, or an orphan.",
    ),
    CommandPlace("verify", "lockstep.cli.verify:run_verify", "Prove that the repository is what was written into it."),
    CommandPlace(
        "profile",
        "lockstep.cli.profile:run_profile",
        "Try a profile on a live deployment: what it references, and how much of a sample is in the bucket. Read-only.",
    ),
    CommandPlace(
        "repair",
        "lockstep.cli.repair:run_repair",
        "Put back into the bucket what is missing or of the wrong size and the repository, or another node of a RAID, has.",
    ),
    CommandPlace("drill", "lockstep.cli.drill:run_drill", "Restore a snapshot into a throw-away PostgreSQL and prove the result."),
    CommandPlace(
        "export",
        "lockstep.cli.export:run_export",
        "Write a snapshot into a directory as the plain tools know it: a dump, and the objects under their keys.",
    ),
    CommandPlace(
        "import", "lockstep.cli.import_:run_import", "Make a snapshot of a dump and a directory of objects that were made without lockstep."
    ),
    CommandPlace(
        "copy",
        "lockstep.cli.copy:run_copy",
        "Copy snapshots to a second repository, which becomes a mirror of this one; only what is not there yet travels.",
    ),
    CommandPlace(
        "prune",
        "lockstep.cli.prune:run_prune",
        "Remove the snapshots that a retention policy does not keep, then the objects that no kept snapshot references.",
    ),
    CommandPlace(
        "unlock",
        "lockstep.cli.unlock:run_unlock",
        "Show whose locks there are in a repository, and remove those of holders that are dead.",
    ),
    CommandPlace("key", "lockstep.cli.key:run_key", "Make a pair of keys: the secret one goes into a file, the public one is printed."),
    CommandPlace("demo", "lockstep.cli.demo:run_demo", "Show the whole story on this machine, with a real PostgreSQL and S3 store."),
)

_TRUE = ("1", "true", "yes", "on", "t", "y")
_COMPLETION_VARIABLE = "_LOCKSTEP_COMPLETE"
_STOPPED = "stopped: the repository is sound, and the next run resumes"


def main() -> NoReturn:
    """Run the command line of this process and end it.

    The process ends without Python's teardown: by then every context manager has done its work, and libraries in native code have been
    seen to abort while being unloaded, after the result was written.
    """
    gc.set_threshold(*GARBAGE)
    for stream in (sys.stdout, sys.stderr):
        # A key may hold what no encoding can say; a result is not lost for that.
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # or else AttributeError
    arguments = sys.argv[1:]
    if not guessed_output(arguments, os.environ).colour:
        os.environ["NO_COLOR"] = "1"  # for what typer writes, and for the programs that lockstep starts
    status = run(arguments)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status)


def run(arguments: Sequence[str], *, commands: Sequence[CommandPlace] | None = None) -> int:
    """The exit status of a command line; everything that it has to say has been written. Raises nothing."""
    places = COMMANDS if commands is None else commands
    secrets = secrets_of_environment(os.environ) | secrets_of_arguments(arguments)
    screen = Screen(guessed_output(arguments, os.environ), Redactor(secrets))
    invocation = Invocation(screen, partial(known_options, places))
    with redacted_stderr(screen.redactor), stop_signals() as signals:
        try:
            status = _invoke(command_tree(places), arguments, invocation)
        except SystemExit as error:
            # Only shell completion ends so.
            status = error.code if isinstance(error.code, int) else ExitStatus.FAILED
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last door: all that comes here becomes an exit status
            status = _told(error, arguments, screen)
        if signals.received is not None:
            status = SIGNAL_BASE + signals.received
        if status > SIGNAL_BASE:
            screen.show_note(_STOPPED)
    return status


def guessed_output(arguments: Sequence[str], environment: Mapping[str, str]) -> OutputOptions:
    """The output options as far as they can be told before the arguments are understood, for errors in the arguments themselves."""
    flags = set(arguments[: arguments.index("--")] if "--" in arguments else arguments)

    def given(flag: str, variable: str) -> bool:
        return flag in flags or environment.get(variable, "").lower() in _TRUE

    as_json = "--log-format=json" in flags or ("--log-format", "json") in pairwise(arguments)
    return OutputOptions(
        json=given("--json", "LOCKSTEP_JSON"),
        verbose=given("--verbose", "LOCKSTEP_VERBOSE"),
        log_format="json" if as_json or environment.get("LOCKSTEP_LOG_FORMAT") == "json" else None,
        colour=not given("--no-color", "LOCKSTEP_NO_COLOR") and not environment.get("NO_COLOR"),
    )


def _invoke(tree: LazyGroup, arguments: Sequence[str], invocation: Invocation) -> int:
    """Find the command, read its options, run it."""
    if _COMPLETION_VARIABLE in os.environ:
        tree.main(list(arguments), prog_name="lockstep")
    try:
        with tree.make_context("lockstep", list(arguments), obj=invocation) as ctx:
            return int(tree.invoke(ctx) or ExitStatus.DONE)
    except typer.Exit as error:
        return error.exit_code


def _told(error: BaseException, arguments: Sequence[str], screen: Screen) -> int:
    """Say what went wrong; the exit status for it."""
    match error:
        case KeyboardInterrupt():
            return SIGNAL_BASE + signal.SIGINT
        case Cancelled():
            return exit_status(error)
        case LockstepError():
            return _told_failure(error, screen)
        case typer.TyperException():
            return _told_usage(error, arguments, screen)
        case StandardOutputFailed():
            return _told_output(error, screen)
        case _:
            return _told_surprise(error, screen)


def _told_failure(error: LockstepError, screen: Screen) -> int:
    screen.show_error(error.kind, error.message, hint=error.hint)
    screen.show_traceback(error)
    return exit_status(error)


def _told_usage(error: typer.TyperException, arguments: Sequence[str], screen: Screen) -> int:
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", None) or "lockstep"
    if arguments:
        text = " ".join(error.format_message().split()).rstrip(".")
        message = text[:1].lower() + text[1:]
    else:
        message = "no command is given"
    screen.show_error("usage", message, hint=f"Run {path} --help to see what there is.")
    return error.exit_code


def _told_output(error: StandardOutputFailed, screen: Screen) -> int:
    # What is left in the buffer must not fail again at the end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    if not error.reader_gone:
        screen.show_error("failed", f"standard output cannot be written: {error}", hint="Make room, or write it elsewhere.")
    return ExitStatus.FAILED


def _told_surprise(error: BaseException, screen: Screen) -> int:
    if isinstance(error, typer.Abort):
        screen.show_note("nothing was done")
        return ExitStatus.FAILED
    said = str(error).strip().partition("\n")[0]  # one sentence; the rest of it is in the traceback
    message = f"{type(error).__name__}: {said}" if said else type(error).__name__
    screen.show_error("internal", message, hint="Run it again with --verbose to see where it happened, and report that.")
    screen.show_traceback(error)
    return ExitStatus.FAILED
