"""Writes results to standard output, and errors and progress to standard error, in the form the options ask for."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from lockstep.cli.exit_codes import ExitStatus
from lockstep.cli.log_lines import LogFormat, LogLines, log_line, write_line
from lockstep.cli.redaction import Redactor
from lockstep.progress import Event


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How to write. `log_format` None: text, or live bars on a terminal."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    log_format: LogFormat | None = None
    colour: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found or did: `document` is its JSON, `text` the same for people, `status` its exit status.

    A value of `document` that is an iterator is written as a list, item by item; `text` may be an iterator of lines without their line
    feeds. So neither need be in memory. Neither ever holds a secret.
    """

    document: Mapping[str, object]
    text: str | Iterable[str]
    status: ExitStatus = ExitStatus.DONE


class StandardOutputFailed(Exception):
    """Standard output takes no more; `reader_gone` when that is because its reader has gone (`| head`)."""

    def __init__(self, error: OSError) -> None:
        super().__init__((error.strerror or "unknown reason").lower())
        self.reader_gone = isinstance(error, BrokenPipeError)


class ClosableListener(Protocol):
    """A progress listener that gives the terminal back in the end."""

    def __call__(self, event: Event) -> None:
        """Take an event from any thread."""

    def close(self) -> None:
        """Stop drawing."""


@dataclass(slots=True)
class Screen:
    """Both standard streams. `output` is a guess until the options are parsed; `begun` is true once a result has been begun."""

    output: OutputOptions = field(default_factory=OutputOptions)
    redactor: Redactor = field(default_factory=Redactor)
    begun: bool = False

    def emit(self, result: Result) -> None:
        """Write a result to standard output: with `--json` exactly one JSON object, else its text."""
        self.begun = True
        if self.output.json:
            for piece in json_pieces(result.document):
                _write(piece)
            _write("\n")
        elif isinstance(result.text, str):
            _write(result.text if result.text.endswith("\n") or not result.text else f"{result.text}\n")
        else:
            for line in result.text:
                _write(f"{line}\n")
        _flush()

    def show_error(self, kind: str, message: str, *, hint: str) -> None:
        """Say what went wrong on standard error, and with `--json` on standard output too, unless a result was begun there."""
        message, hint = self.redactor.redact(message), self.redactor.redact(hint)
        if self.output.log_format == "json":
            fields = {"kind": kind, "hint": hint}
            write_line(log_line("error", message, fields, log_format="json", redactor=self.redactor, now=datetime.now(UTC)))
        else:
            write_line(f"{self._coloured('error:', 31)} {message}")
            if hint:
                write_line(f"{self._coloured('hint:', 36)} {hint}")
        if self.output.json and not self.begun:
            self.begun = True
            with suppress(StandardOutputFailed):
                _write(as_json({"error": {"kind": kind, "message": message, "hint": hint}}) + "\n")
                _flush()

    def show_traceback(self, error: BaseException) -> None:
        """With `--verbose`, say where an error came from."""
        if self.output.verbose:
            write_line(self.redactor.redact("".join(traceback.format_exception(error)).rstrip()))

    def show_note(self, message: str) -> None:
        """Say something on standard error that is no error."""
        if self.output.log_format == "json":
            write_line(log_line("info", message, {}, log_format="json", redactor=self.redactor, now=datetime.now(UTC)))
        else:
            write_line(self.redactor.redact(message))

    @contextmanager
    def listening(self) -> Iterator[ClosableListener]:
        """A progress listener for the time of an operation: bars on a terminal, else lines."""
        listener = self._listener()
        try:
            yield listener
        finally:
            listener.close()

    def _listener(self) -> ClosableListener:
        output = self.output
        if output.log_format is None and not output.quiet and is_terminal(sys.stderr):
            # Only here: rich takes longer to import than everything else that a short command needs.
            from rich.console import Console

            from lockstep.cli.progress_bars import ProgressBars

            console = Console(file=sys.stderr, no_color=not output.colour, highlight=False)
            return ProgressBars(console, verbose=output.verbose, redactor=self.redactor)
        least: Literal["debug", "info", "warning"] = "warning" if output.quiet else "debug" if output.verbose else "info"
        return LogLines(log_format=output.log_format or "text", least=least, redactor=self.redactor)

    def _coloured(self, word: str, code: int) -> str:
        return f"\x1b[{code};1m{word}\x1b[0m" if self.output.colour and is_terminal(sys.stderr) else word


def is_terminal(stream: object) -> bool:
    """True when the stream is a terminal that can redraw a line."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) and os.environ.get("TERM", "") not in {"", "dumb"}


def json_pieces(document: Mapping[str, object]) -> Iterator[str]:
    """The JSON text of a document in pieces; iterators among its values are written as they yield."""
    yield "{"
    for number, (key, value) in enumerate(document.items()):
        yield f"{', ' if number else ''}{as_json(key)}: "
        if isinstance(value, Iterator):
            yield "["
            for position, item in enumerate(value):
                yield f"{', ' if position else ''}{as_json(item)}"
            yield "]"
        else:
            yield as_json(value)
    yield "}"


def as_json(value: object) -> str:
    """The JSON text of a value: times in RFC 3339 UTC, paths as text, dataclasses as objects, sets in order."""
    # Where standard output is not UTF-8, escapes are the form that every reader understands.
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, default=_jsonable)


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # What a value hides from its repr is a secret, and never becomes part of a document.
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value) if item.repr}
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise StandardOutputFailed(error) from error


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        raise StandardOutputFailed(error) from error
